"""Why a run ends, and the tests that smooth and noisy objectives can both meet.

A single gradient of a noisy objective says little, so convergence is judged on means over windows
of `WINDOW` steps: the mean gradient, and how far the mean value and the mean point have moved
since the window before.  On a smooth objective the means follow the plain quantities.  `patience`
compares two longer windows of values, as much as their noise allows.
"""

from enum import Enum
from functools import cache
from math import inf, sqrt

import numpy as np
from numba import types
from numba.extending import register_jitable

from .._jit import compile_kernel

WINDOW = 100  # steps

PARTS = 10  # means that a window of `patience` steps is cut into, to see how much they vary

CONTINUE, GTOL, FTOL, XTOL, PATIENCE, NONFINITE, BAD_SHAPE = range(7)  # what compiled code returns

MAXITER_ADVICE = (
    "Try a larger `learning_rate` (the step per iteration, in units of `x_scale`), a larger `maxiter`, "
    "or `steps` for a budget that is meant to be used up."
)


class Stop(Enum):
    """Reasons to end a run; each value is (status, success, message)."""

    GTOL = 0, True, "Optimization terminated successfully: the mean gradient is below `gtol`."
    FTOL = 0, True, "Optimization terminated successfully: the mean value changes by less than `ftol`."
    XTOL = 0, True, "Optimization terminated successfully: the mean point moves by less than `xtol`."
    STEPS = 0, True, "Optimization terminated successfully: the planned number of `steps` is done."
    FIXED = 0, True, "Optimization terminated successfully: no variable is free."
    MAXITER = (
        1,
        False,
        "Maximum number of iterations has been exceeded (STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT). "
        + MAXITER_ADVICE,
    )
    MAXFUN = (
        2,
        False,
        "Maximum number of function evaluations has been exceeded "
        "(STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT). Try a larger `maxfun`.",
    )
    NONFINITE = 3, False, "A value or a gradient is not finite."
    PATIENCE = (
        4,
        True,
        "Optimization terminated successfully: over `patience` steps the mean value fell by no more than its "
        "standard error.",
    )
    EPOCHS = 5, True, "Optimization terminated successfully: the planned number of `epochs` is done."
    MAX_TIME = (
        6,
        False,
        "Maximum time has been exceeded. Try a larger `max_time`, or continue from the result's `state`.",
    )
    INTERRUPTED = 7, False, "Interrupted by the user. The result's `state` continues the run."
    CALLBACK = 99, False, "`callback` raised `StopIteration`."


CODES = {
    GTOL: Stop.GTOL,
    FTOL: Stop.FTOL,
    XTOL: Stop.XTOL,
    PATIENCE: Stop.PATIENCE,
    NONFINITE: Stop.NONFINITE,
}


def new_window(n: int) -> tuple[np.ndarray, ...]:
    """Return what `observe` carries from step to step, before the first one.

    Sums of the gradients and the points of the window so far and the mean point of the window before,
    each of shape (n,); and a tally: points and sum of the values of the window so far, the mean value of
    the window before (NaN at first, which no test passes); then for `patience` the points and sum of the
    part so far, number, mean and squared deviations of the parts so far, and mean and squared error of
    the window before.
    """
    tally = np.zeros(10)
    tally[2] = tally[8] = np.nan
    return np.zeros(n), np.zeros(n), np.zeros(n), tally


@register_jitable(inline="always")  # a call would cost more than all that is done here for few variables
def take_in(f, g, x, x_scale, period, g_sum, x_sum, tally):
    """Scale the gradient of one more point and add it to the sums; return whether all is finite."""
    finite = abs(f) < inf
    for i in range(g.size):
        slope = g[i] * x_scale[i]
        g[i] = slope
        finite &= abs(slope) < inf
        g_sum[i] += slope
    for i in range(x.size):  # a loop of few arrays is vectorized
        x_sum[i] += x[i]
    tally[0] += 1.0
    tally[1] += f
    if period < inf:
        tally[3] += 1.0
        tally[4] += f
    return finite


def judge(g_sum, x_sum, x, lower, upper, tolerances, x_mean, tally):
    """Apply the tests whose window is full, and begin the next window.

    Parameters
    ----------
    g_sum, x_sum, x_mean, tally : arrays
        See `new_window`.
    x, lower, upper : float64 arrays of shape (n,)
        The last point and the bounds; a gradient that points out of them does not count.
    tolerances : tuple of float
        `gtol`, `ftol` and `xtol`, of which a negative one is off; and the steps in each of the `PARTS` of
        `patience`, infinite where that is off.

    Returns
    -------
    int
        `CONTINUE`, or the test that is met: `GTOL`, `FTOL`, `XTOL` or `PATIENCE`.
    """
    gtol, ftol, xtol, period = tolerances
    code = CONTINUE
    if tally[0] >= WINDOW:
        f_before, f_now = tally[2], tally[1] / WINDOW
        steepest = furthest = 0.0
        for i in range(x.size):
            slope = g_sum[i] / WINDOW
            slope = min(slope, x[i] - lower[i]) if slope > 0.0 else max(slope, x[i] - upper[i])
            steepest = max(steepest, abs(slope))
            mean = x_sum[i] / WINDOW
            furthest = max(furthest, abs(mean - x_mean[i]) / max(1.0, abs(mean)))
            x_mean[i] = mean
            g_sum[i] = x_sum[i] = 0.0
        tally[0] = tally[1] = 0.0
        tally[2] = f_now
        if steepest <= gtol:
            code = GTOL
        elif ftol >= 0.0 and abs(f_now - f_before) <= ftol * max(abs(f_before), abs(f_now)):
            code = FTOL
        elif f_before == f_before and furthest <= xtol:
            code = XTOL
    if tally[3] >= period:
        # Means of parts vary as much as the window's mean does, even if neighbouring values resemble
        # each other.
        mean = tally[4] / period
        tally[3] = tally[4] = 0.0
        tally[5] += 1.0
        deviation = mean - tally[6]
        tally[6] += deviation / tally[5]
        tally[7] += deviation * (mean - tally[6])
        if tally[5] >= PARTS:
            error = tally[7] / (PARTS * (PARTS - 1))
            if code == CONTINUE and tally[8] - tally[6] <= sqrt(error + tally[9]):
                code = PATIENCE
            tally[8], tally[9] = tally[6], error
            tally[5] = tally[6] = tally[7] = 0.0
    return code


_judge = register_jitable(judge)


def observe(f, g, x, x_scale, lower, upper, tolerances, g_sum, x_sum, x_mean, tally):
    """Take in the value and gradient of one more point; at the end of a window, judge it.

    Parameters
    ----------
    f, g, x : float and float64 arrays of shape (n,)
        Value (the last one known), gradient, which is multiplied by `x_scale` in place, and scaled point.
    x_scale, lower, upper : float64 arrays of shape (n,)
        Scale, and bounds of the scaled variables.
    tolerances : tuple of float
        As in `judge`.
    g_sum, x_sum, x_mean, tally : arrays
        See `new_window`.

    Returns
    -------
    int
        What `judge` returns, or `NONFINITE`.
    """
    if not take_in(f, g, x, x_scale, tolerances[3], g_sum, x_sum, tally):
        return NONFINITE
    if tally[0] >= WINDOW or tally[3] >= tolerances[3]:
        return _judge(g_sum, x_sum, x, lower, upper, tolerances, x_mean, tally)
    return CONTINUE


def _arrays(count: int) -> tuple:
    return (types.Array(types.float64, 1, "C"),) * count


@cache
def judge_kernel():
    """Return `judge`, compiled."""
    signature = types.int64(*_arrays(5), types.UniTuple(types.float64, 4), *_arrays(2))
    return compile_kernel(judge, signature, name="judge", mode="serial")


@cache
def observe_kernel():
    """Return `observe`, compiled."""
    signature = types.int64(types.float64, *_arrays(5), types.UniTuple(types.float64, 4), *_arrays(4))
    return compile_kernel(observe, signature, name="observe", mode="serial")
