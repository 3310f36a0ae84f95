"""A whole run inside compiled code, for objectives that Numba compiled.

The pieces are those of the run driven from Python (the rule, `place`, `stopping.take_in`,
`history.push`), so both take the same steps bit for bit.
"""

import inspect
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from math import inf
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from numba import njit, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import register_jitable

from .._jit import compile_kernel, put, store, take
from ..gradients import clip_scale, norm_from
from ..kernels import SWEEP, clipped, sum_squares_kernel
from ..rules import Rule
from . import history
from .auto import stretch_kernel
from .averaging import weight
from .evaluator import evaluator
from .stopping import BAD_SHAPE, CONTINUE, NONFINITE, WINDOW, judge_kernel, take_in


@register_jitable(inline="always")
def place(before, scaled, rates, lower, upper, x_scale, x_lower, x_upper, x):
    """Turn the rule's step into the run's: each variable's own rate, the bounds, the user's units.

    Parameters
    ----------
    before, scaled : float64 arrays of shape (n,)
        Scaled variables before the step and after it; the latter are corrected in place.
    rates : float64 array of shape (n,) or (0,)
        Each variable's learning rate as a fraction of the one that the rule used; empty if equal.
    lower, upper, x_scale, x_lower, x_upper : float64 arrays of shape (n,)
        Bounds of the scaled variables, and scale and bounds of the user's.
    x : float64 array of shape (n,)
        The user's variables, written.
    """
    # Several loops: the compiler vectorizes those of few arrays only, which it can tell to be apart.
    if rates.size:
        for i in range(x.size):
            scaled[i] = before[i] + rates[i] * (scaled[i] - before[i])
    for i in range(x.size):
        scaled[i] = min(max(scaled[i], lower[i]), upper[i])
    for i in range(x.size):
        x[i] = min(max(scaled[i] * x_scale[i], x_lower[i]), x_upper[i])


@register_jitable
def is_plain(lower, upper, x_scale, x_lower, x_upper):
    """Whether there are no bounds and no scales, so that `place` would copy."""
    for i in range(x_scale.size):
        if not (x_scale[i] == 1.0 and lower[i] == x_lower[i] == -inf and upper[i] == x_upper[i] == inf):
            return False
    return True


@cache
def place_kernel():
    """Return `place`, compiled."""
    signature = types.void(*(types.Array(types.float64, 1, "C"),) * 9)
    return compile_kernel(place, signature, name="place", mode="serial")


def descent(rule: Rule, evaluate: Callable, automatic: bool):
    """Compile the run of a rule on an objective, with automatic rates or given ones.

    Nothing of it is cached on disk: Numba's cache does not see a change in the objective.
    """
    update, scalars = rule.update, rule.scalars
    sum_squares, judge = sum_squares_kernel("float64", 1, "serial"), judge_kernel()
    stretch = stretch_kernel()

    # Loops instead of `a[:] = b`, whose broadcasting takes Numba seconds to compile.
    @njit(error_model="numpy", nogil=True)
    def run(nit, learning_rates, hyper, limits, tolerances, average_kind,
            g, scaled, slots, auto, rates, box, x, window, best, average, table, trace, args):  # fmt: skip
        lower, upper, x_scale, x_lower, x_upper = box
        clipvalue, clipnorm, weight_decay, horizon = limits
        g_sum, x_sum, x_mean, tally = window
        f_best, x_best, g_best = best
        is_free = is_plain(lower, upper, x_scale, x_lower, x_upper) and not rates.size
        given, before = np.empty_like(x), np.empty_like(x)
        sums = np.empty(1)
        f, code, done = 0.0, CONTINUE, 0
        for rate in learning_rates:
            t = nit + done + 1
            scale = 1.0
            if clipnorm < inf:
                sum_squares((g,), clipvalue, sums)
                scale = clip_scale(norm_from(sums[0], g, clipvalue), clipnorm)
            decay = rate * weight_decay
            step = scalars(np.float64(t), rate, *hyper)
            if automatic or not is_free:
                for i in range(x.size):
                    before[i] = scaled[i]
            if automatic:
                decay = 0.0
                for i in range(x.size):
                    scaled[i] = 0.0
            if clipvalue == inf and scale == 1.0 and decay == 0.0 and t % SWEEP != 0:
                for i in range(x.size):
                    new = update(g[i], scaled[i], *take(slots, i), *step)
                    scaled[i] = new[0]
                    store(slots, i, new[1:])
            else:
                for i in range(x.size):
                    g_i = scale * clipped(g[i], clipvalue)
                    new = update(g_i, scaled[i] - decay * scaled[i], *take(slots, i), *step)
                    scaled[i] = new[0]
                    put(slots, i, new[1:])
            if automatic:
                betas = hyper[0], hyper[1]
                rate = stretch(np.float64(t), horizon, g, scale, (clipvalue, weight_decay), betas,
                               before, scaled, slots[0], slots[1], *auto)  # fmt: skip
            if is_free:
                for i in range(x.size):
                    x[i] = scaled[i]
            else:
                place(before, scaled, rates, lower, upper, x_scale, x_lower, x_upper, x)
            for i in range(x.size):
                given[i] = x[i]  # `fun` may write to its argument
            f, fits = evaluate(done, given, g, args)
            done += 1
            if not fits:
                code = BAD_SHAPE
                break
            if not take_in(f, g, scaled, x_scale, tolerances[3], g_sum, x_sum, tally):
                code = NONFINITE
                break
            if tally[0] >= WINDOW or tally[3] >= tolerances[3]:
                code = judge(g_sum, x_sum, scaled, lower, upper, tolerances, x_mean, tally)
            if f < f_best[0]:
                f_best[0] = f
                for i in range(x.size):
                    x_best[i], g_best[i] = x[i], g[i]
            if average.size:
                share = weight(average_kind, np.float64(t))
                for i in range(x.size):
                    average[i] += share * (x[i] - average[i])
            trace[0] += f
            trace[1] += 1.0
            if trace[1] >= trace[2]:
                sum_squares((g,), inf, sums)
                push(t, rate, norm_from(sums[0], g, inf), table, trace)
            if code != CONTINUE:
                break
        return code, done, f

    return run


push = register_jitable(history.push)


@lru_cache(maxsize=64)
def _compiled_run(rule: Rule, automatic: bool, fun: Callable, in_place: bool, on_batches: bool):
    return descent(rule, evaluator(fun, in_place, on_batches), automatic)


MANY = 5  # functions made from one text, from which on it looks like a loop

_made: WeakKeyDictionary = WeakKeyDictionary()  # functions that were compiled, by their code
_warned: WeakSet = WeakSet()


def _warn_of_many(fun: Callable) -> None:
    """Warn once if one text was made into many functions, as in a loop: each costs a compilation."""
    code = inspect.unwrap(fun).__code__
    made = _made.setdefault(code, WeakSet())
    made.add(fun)
    if len(made) == MANY and code not in _warned:
        _warned.add(code)
        warnings.warn(
            f"{code.co_name!r} of {code.co_filename}, line {code.co_firstlineno}, was compiled anew {MANY} "
            "times, which takes seconds and memory each time. Define it once, outside of the loop, and pass "
            "what changes through `args`.",
            RuntimeWarning,
            stacklevel=8,
        )


def compiled_run(rule: Rule, automatic: bool, fun: Callable, *, in_place: bool, on_batches: bool):
    """Return the compiled run of a rule on a function that Numba compiled; the 64 last ones are kept."""
    with global_compiler_lock:  # two threads that come at once compile it once
        _warn_of_many(fun)
        return _compiled_run(rule, automatic, fun, in_place, on_batches)
