"""Why a run ends, and the test that smooth and noisy objectives can both meet.

A single gradient of a noisy objective says little, so convergence is judged on means over windows
of `WINDOW` steps: the mean gradient, and how far the mean value and the mean point have moved
since the window before.  On a smooth objective the means follow the plain quantities.
"""

from enum import Enum
from functools import cache
from math import isfinite

from numba import types

from ._jit import compile_kernel

WINDOW = 100  # steps

CONTINUE, GTOL, FTOL, XTOL, NONFINITE, BAD_SHAPE = range(6)  # what compiled code returns

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
    CALLBACK = 99, False, "`callback` raised `StopIteration`."


CODES = {GTOL: Stop.GTOL, FTOL: Stop.FTOL, XTOL: Stop.XTOL, NONFINITE: Stop.NONFINITE}


def observe(f, g, x, lower, upper, tolerances, g_sum, x_sum, x_mean, tally):
    """Take in the value and gradient of one more point; at the end of a window, judge it.

    Parameters
    ----------
    f, g, x : float and float64 arrays of shape (n,)
        Value (the last one known), gradient and point.
    lower, upper : float64 arrays of shape (n,)
        Bounds; a gradient that points out of them does not count.
    tolerances : tuple of float
        `gtol`, `ftol` and `xtol`; a negative one is off.
    g_sum, x_sum, x_mean : float64 arrays of shape (n,)
        Sums over the window so far, and the mean point of the window before.
    tally : float64 array of shape (3,)
        Points in the window so far, the sum of their values, and the mean of the window before
        (NaN at first, which no test passes).

    Returns
    -------
    int
        `CONTINUE`, `NONFINITE`, or the test that is met: `GTOL`, `FTOL` or `XTOL`.
    """
    finite = isfinite(f)
    for i in range(x.size):
        finite &= isfinite(g[i])
        g_sum[i] += g[i]
        x_sum[i] += x[i]
    if not finite:
        return NONFINITE
    tally[0] += 1.0
    tally[1] += f
    if tally[0] < WINDOW:
        return CONTINUE

    gtol, ftol, xtol = tolerances
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
        return GTOL
    if ftol >= 0.0 and abs(f_now - f_before) <= ftol * max(abs(f_before), abs(f_now)):
        return FTOL
    if f_before == f_before and furthest <= xtol:
        return XTOL
    return CONTINUE


@cache
def observe_kernel():
    """Return `observe`, compiled."""
    double = types.float64
    array = types.Array(double, 1, "C")
    tolerances = types.UniTuple(double, 3)
    signature = types.int64(double, array, array, array, array, tolerances, array, array, array, array)
    return compile_kernel(observe, signature, name="observe", mode="serial")
