"""The loop over independent problems, each of them run to its end inside compiled code.

A run is that of `minimize`, made of the same pieces: it takes the same steps bit for bit.  It shares
nothing with other problems, so its bits do not depend on the batch that it is part of.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from math import inf, isfinite, nan

import numpy as np
from numba import from_dtype, njit, types
from numba.extending import register_jitable

from .._jit import cast, compile_kernel, put, store, take
from ..gradients import clip_scale, norm_from
from ..kernels import BLOCK, SWEEP, block_sum, clipped
from ..methods.compiled import place
from ..methods.evaluator import evaluator
from ..methods.stopping import BAD_SHAPE, CONTINUE, GTOL, NONFINITE, WINDOW, judge, take_in
from ..rules import Rule
from .data import rows

_inlined = register_jitable(error_model="numpy")
_inlined(place)
_inlined(judge)

# What the loop returns beside the codes of `stopping`.
FIXED, LAST_STEP = BAD_SHAPE + 1, BAD_SHAPE + 2

# Rows of the work array of a run; what is in the user's units says so.
X, BEFORE, SLOPE, LOWER, UPPER, MEAN, SCALE, HERE, BEST, USER_LOWER, USER_UPPER = range(11)
ROWS = 11
# Entries of the state of a run; the last ten are the tally of `stopping.new_window`.
PHASE, DONE, FOUND, FLAT, F, F_START, F_BEST, TALLY = range(8)
ENTRIES = 17
# What the objective was last evaluated for.
AT_START, AT_STEP, AT_MEAN = range(3)


@_inlined
def norm(g, limit):
    """Norm of a gradient clipped by value, summed as `kernels.sum_squares` does."""
    total = 0.0
    for start in range(0, g.size, BLOCK):
        total += block_sum(g[start : start + BLOCK], limit)
    return norm_from(total, g, limit)


@_inlined
def is_flat(x, g, lower, upper, gtol):
    """Whether `gtol` is met, as far as the bounds leave room to follow the gradient."""
    flat = True
    for i in range(x.size):
        slope = x[i] - upper[i] if g[i] < x[i] - upper[i] else g[i]
        slope = x[i] - lower[i] if slope > x[i] - lower[i] else slope
        flat &= abs(slope) <= gtol
    return flat


def loading():
    """Build what makes the arrays of a run ready for problem `p` of a block."""

    def kernel(p, block, initial, work, sums, state, slots, point):
        for k in range(len(slots)):
            for i in range(point.size):
                slots[k][i] = initial[k, p, i]
        for i in range(point.size):
            x0, lower, upper, scale = block[0, p, i], block[1, p, i], block[2, p, i], block[3, p, i]
            work[SCALE, i], work[USER_LOWER, i], work[USER_UPPER, i] = scale, lower, upper
            work[HERE, i] = work[BEST, i] = point[i] = min(max(x0, lower), upper)
            work[X, i], work[LOWER, i], work[UPPER, i] = point[i] / scale, lower / scale, upper / scale
            sums[0, i] = sums[1, i] = sums[2, i] = 0.0
        for i in range(state.size):
            state[i] = 0.0
        state[PHASE], state[F_BEST], state[TALLY + 2] = AT_START, inf, nan

    return kernel


def advancing(rule):
    """Build what takes in the value `f` and gradient `g` at `point`, and goes on to the next point.

    It returns `CONTINUE` when it wants the objective at `point`, and why the run has ended otherwise.
    """
    update, scalars = rule.update, rule.scalars

    def kernel(f, g, point, p, hyper, settings, schedule, table, rates, fractions,
               work, sums, state, slots, x_out, f_out, nit_out):  # fmt: skip
        maxiter, gtol, ftol, xtol, clipvalue, clipnorm, weight_decay = settings
        x, slope, here, scale = work[X], work[SLOPE], work[HERE], work[SCALE]
        lower, upper, user_lower, user_upper = work[LOWER], work[UPPER], work[USER_LOWER], work[USER_UPPER]
        done = int(state[DONE])
        code = CONTINUE

        if state[PHASE] == AT_MEAN:
            for i in range(x.size):
                g[i] *= scale[i]
            if state[FOUND] == GTOL:
                mean_is_flat = is_flat(work[MEAN], g, lower, upper, gtol) and isfinite(f)
                settled = mean_is_flat or state[FLAT] != 0
                better = mean_is_flat and (f < state[F] or state[FLAT] == 0)
            else:
                settled = state[F] - f <= max(ftol, 0.0) * max(abs(f), abs(state[F]))
                better = f < state[F]
            if settled:
                code = int(state[FOUND])
                if better:
                    state[F] = f
                    for i in range(x.size):
                        here[i] = min(max(work[MEAN, i] * scale[i], user_lower[i]), user_upper[i])
        else:
            state[F] = f
            tally = state[TALLY:]
            finite = take_in(f, g, x, scale, inf, sums[0], sums[1], tally)
            for i in range(x.size):
                slope[i] = g[i]
                finite &= isfinite(here[i])
            if finite and f < state[F_BEST]:
                state[F_BEST] = f
                for i in range(x.size):
                    work[BEST, i] = here[i]
            if not finite:
                code = NONFINITE
            elif state[PHASE] == AT_START:
                state[F_START] = f
                fixed = True
                for i in range(x.size):
                    sums[0, i] = sums[1, i] = 0.0  # a window begins after the start
                    fixed &= lower[i] == upper[i]
                tally[0] = tally[1] = 0.0
                if fixed:
                    code = FIXED
                elif is_flat(x, slope, lower, upper, gtol):
                    code = GTOL
            elif tally[0] >= WINDOW:
                tolerances = gtol, ftol, xtol, inf
                code = judge(sums[0], sums[1], x, lower, upper, tolerances, sums[2], tally)
                if code != CONTINUE:
                    # Small means may be those of a cycle of large steps: the mean point has to pass as well.
                    state[FOUND], state[PHASE] = code, AT_MEAN
                    state[FLAT] = 1.0 if is_flat(x, slope, lower, upper, gtol) else 0.0
                    for i in range(x.size):
                        work[MEAN, i] = sums[2, i]
                        point[i] = min(max(work[MEAN, i] * scale[i], user_lower[i]), user_upper[i])
                    return CONTINUE

        if code == CONTINUE and done < maxiter:
            if rates.size:
                rate = rates[p]
                step = cast(scalars(done + 1.0, rate, *hyper), x)
            else:
                rate = schedule[done]
                step = cast(take(table, done), x)
            factor = clip_scale(norm(slope, clipvalue), clipnorm) if clipnorm < inf else 1.0
            limit, factor, decay = cast((clipvalue, factor, rate * weight_decay), x)
            plain = clipvalue == inf and factor == 1 and decay == 0 and (done + 1) % SWEEP != 0
            before = work[BEFORE]
            for i in range(x.size):
                before[i] = x[i]
                g_i = slope[i] if plain else factor * clipped(slope[i], limit)
                new = update(g_i, x[i] - decay * x[i], *take(slots, i), *step)
                x[i] = new[0]
                if plain:
                    store(slots, i, new[1:])
                else:
                    put(slots, i, new[1:])
            place(before, x, fractions[p], lower, upper, scale, user_lower, user_upper, here)
            for i in range(x.size):
                point[i] = here[i]
            state[DONE], state[PHASE] = done + 1.0, AT_STEP
            return CONTINUE

        f = state[F]
        if state[F_BEST] < inf and (code == NONFINITE or not f <= state[F_START]):
            f, here = state[F_BEST], work[BEST]
        for i in range(x.size):
            x_out[p, i] = here[i]
        f_out[p], nit_out[p] = f, done
        return code if code != CONTINUE else LAST_STEP

    return kernel


@lru_cache(maxsize=64)
def problems_kernel(rule: Rule, fun: Callable, writes: bool, dtype: str):
    """Compile the loop over the problems of a block, for a compiled objective.

    It is not cached on disk, as Numba's cache does not see a change in the function; but what takes
    long to compile are the two kernels that it is linked with, and they are.
    """
    evaluate = evaluator(fun, writes)
    load, advance = loading_kernel(rule, dtype), advancing_kernel(rule, dtype)

    @njit(error_model="numpy", nogil=True)
    def run(block, initial, data_of, args, hyper, settings, schedule, table, rates, fractions,
            work, sums, state, slots, point, g, x_out, f_out, nit_out, status_out):  # fmt: skip
        for p in range(status_out.size):
            data = (*rows(data_of, p), *args)
            load(p, block, initial, work, sums, state, slots, point)
            code = CONTINUE
            while code == CONTINUE:
                f, fits = evaluate(0, point, g, data)
                if not fits:
                    return False
                code = advance(f, g, point, p, hyper, settings, schedule, table, rates, fractions,
                               work, sums, state, slots, x_out, f_out, nit_out)  # fmt: skip
            status_out[p] = code
        return True

    return run


@cache
def loading_kernel(rule: Rule, dtype: str):
    """Return `loading` for a rule with as many slots, compiled."""
    double, real = types.float64, from_dtype(np.dtype(dtype))
    width = len(rule.slots)
    signature = types.void(
        types.int64,
        types.Array(real, 3, "C"),
        types.Array(real, 3, "C"),
        types.Array(real, 2, "C"),
        types.Array(double, 2, "C"),
        types.Array(double, 1, "C"),
        types.UniTuple(types.Array(real, 1, "C"), width),
        types.Array(real, 1, "C"),
    )
    return compile_kernel(loading(), signature, name=f"loading_{width}_{dtype}", mode="uncounted")


@cache
def advancing_kernel(rule: Rule, dtype: str):
    """Return `advancing`, compiled."""
    double, real = types.float64, from_dtype(np.dtype(dtype))
    vector, matrix = types.Array(real, 1, "C"), types.Array(real, 2, "C")
    doubles = types.Array(double, 1, "C")
    signature = types.int64(
        double,
        vector,
        vector,
        types.int64,
        types.UniTuple(double, len(rule.hyperparameters) - 1),
        types.UniTuple(double, 7),
        doubles,
        types.UniTuple(doubles, columns(rule)),
        doubles,
        matrix,
        matrix,
        types.Array(double, 2, "C"),
        doubles,
        types.UniTuple(vector, len(rule.slots)),
        matrix,
        vector,
        types.Array(types.int64, 1, "C"),
    )
    return compile_kernel(advancing(rule), signature, name=f"advancing_{rule.name}_{dtype}", mode="uncounted")


def columns(rule: Rule) -> int:
    """Return how many scalars a step has."""
    return len(rule.scalars(1.0))


def fill_table(rule):
    """Build the loop that forms the scalars of every step."""
    scalars = rule.scalars

    def kernel(rates, hyper, table):
        for k in range(rates.size):
            store(table, k, scalars(k + 1.0, rates[k], *hyper))

    return kernel


@cache
def fill_table_kernel(rule: Rule):
    """Return `fill_table`, compiled."""
    double, array = types.float64, types.Array(types.float64, 1, "C")
    hyper = types.UniTuple(double, len(rule.hyperparameters) - 1)
    signature = types.void(array, hyper, types.UniTuple(array, columns(rule)))
    return compile_kernel(fill_table(rule), signature, name=f"fill_table_{rule.name}", mode="nogil")
