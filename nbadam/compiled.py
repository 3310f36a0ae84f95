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
from numba.extending import is_jitted, overload, register_jitable

from . import history
from ._jit import compile_kernel, put, store, take
from .averaging import weight
from .engine import _sum_squares
from .gradients import clip_scale, norm_from
from .kernels import SWEEP, clipped
from .rules import Rule
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
    for i in range(x.size):
        if rates.size:
            scaled[i] = before[i] + rates[i] * (scaled[i] - before[i])
        scaled[i] = min(max(scaled[i], lower[i]), upper[i])
        x[i] = min(max(scaled[i] * x_scale[i], x_lower[i]), x_upper[i])


@cache
def place_kernel():
    """Return `place`, compiled."""
    signature = types.void(*(types.Array(types.float64, 1, "C"),) * 9)
    return compile_kernel(place, signature, name="place", mode="serial")


def writes_gradient(fun: Callable, least: int) -> bool:
    """Whether a function that Numba compiled has one parameter more than its `least` arguments."""
    if not is_jitted(fun):
        return False
    required = 0
    for parameter in inspect.signature(inspect.unwrap(fun)).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return False
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            required += parameter.default is parameter.empty
    return required == least + 1


# --- Objectives: evaluate(k, x, g, args) writes the gradient and returns the value, and whether it fits


def _returning(fun):
    @njit(error_model="numpy")
    def evaluate(k, x, g, args):
        f, gradient = fun(x, *args)
        if gradient.shape != x.shape:
            return f, False
        for i in range(x.size):
            g[i] = gradient[i]
        return f, True

    return evaluate


def _in_place(fun):
    @njit(error_model="numpy")
    def evaluate(k, x, g, args):
        return fun(x, g, *args), True

    return evaluate


def _on_batches(evaluate):
    """Evaluate batch `k` of those that `args` describes: see `minibatch.Sampler.batches`."""

    @njit(error_model="numpy")
    def evaluate_batch(k, x, g, args):
        rows, starts, data, buffers, more = args
        batch = gather(data, rows[starts[k] : starts[k + 1]], buffers)
        return evaluate(k, x, g, batch + more)

    return evaluate_batch


def gather(data, rows, buffers):
    """Copy rows of every array of a tuple into the beginning of its buffer; return these parts."""
    return tuple(_gather(array, rows, buffer) for array, buffer in zip(data, buffers, strict=True))


def _gather(array, rows, buffer):
    buffer[: rows.size] = array[rows]
    return buffer[: rows.size]


@overload(_gather)
def _gather_compiled(array, rows, buffer):
    if array.ndim == 1:

        def gather(array, rows, buffer):
            for j in range(rows.size):
                buffer[j] = array[rows[j]]
            return buffer[: rows.size]
    elif array.ndim == 2:

        def gather(array, rows, buffer):
            for j in range(rows.size):
                row = rows[j]
                for c in range(array.shape[1]):
                    buffer[j, c] = array[row, c]
            return buffer[: rows.size]
    else:

        def gather(array, rows, buffer):
            for j in range(rows.size):
                source, target = array[rows[j]], buffer[j]
                for index in np.ndindex(source.shape):
                    target[index] = source[index]
            return buffer[: rows.size]

    return gather


@overload(gather)
def _gather_all(data, rows, buffers):
    parts = "".join(f"_gather(data[{k}], rows, buffers[{k}]), " for k in range(len(data)))
    return eval(f"lambda data, rows, buffers: ({parts})", globals())


# --- The run -------------------------------------------------------------------------------------


def descent(rule: Rule, evaluate: Callable):
    """Compile the run of a rule on an objective.

    Nothing of it is cached on disk: Numba's cache does not see a change in the objective.
    """
    update, scalars = rule.update, rule.scalars
    sum_squares, judge = _sum_squares("float64", 1, "serial"), judge_kernel()

    # Loops instead of `a[:] = b`, whose broadcasting takes Numba seconds to compile.
    @njit(error_model="numpy", nogil=True)
    def run(nit, learning_rates, hyper, limits, tolerances, average_kind,
            g, scaled, slots, rates, box, x, window, best, average, table, trace, args):  # fmt: skip
        lower, upper, x_scale, x_lower, x_upper = box
        clipvalue, clipnorm, weight_decay = limits
        g_sum, x_sum, x_mean, tally = window
        f_best, x_best, g_best = best
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
            for i in range(x.size):
                before[i] = scaled[i]
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
def _compiled_run(rule: Rule, fun: Callable, in_place: bool, on_batches: bool):
    evaluate = _in_place(fun) if in_place else _returning(fun)
    return descent(rule, _on_batches(evaluate) if on_batches else evaluate)


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


def compiled_run(rule: Rule, fun: Callable, *, in_place: bool, on_batches: bool):
    """Return the compiled run of a rule on a function that Numba compiled; the 64 last ones are kept."""
    with global_compiler_lock:  # two threads that come at once compile it once
        _warn_of_many(fun)
        return _compiled_run(rule, fun, in_place, on_batches)
