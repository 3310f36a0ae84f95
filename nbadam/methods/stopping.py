"""Reasons to end a run, and the tests that smooth and noisy objectives can both meet.

A single gradient of a noisy objective says little, so convergence is judged on means over windows
of `WINDOW` steps: the mean gradient, and how far the mean value and the mean point have moved
since the window before.  On a smooth objective the means follow the plain quantities.  `patience`
compares two longer windows of values, as much as their noise allows.
"""

from math import log, sqrt

import numpy as np

from .._jitable import register_jitable
from ..status import CodedEnum, Status
from .record import STEP, YES

WINDOW = 100  # steps

ROUNDING = 4 * float(np.finfo(float).eps)  # change of a value, relative to it, that is nothing
GROWING = 0.1  # growth of the mean logarithm of the radii, over a window or `patience`, of a run on its way
PARTS = 10  # means that a window of `patience` steps is cut into, to see how much they vary
TRENDS = PARTS * (PARTS**2 - 1) / 12  # sum of the squares of their numbers, from the mean of these on

SUCCESS = "Optimization terminated successfully: "


class Stop(CodedEnum):
    """Reasons to end a run, by the number that compiled code returns, with messages."""

    GTOL = 2, SUCCESS + "the mean gradient is below `gtol`."
    FTOL = 3, SUCCESS + "the mean value changes by less than `ftol`."
    XTOL = 4, SUCCESS + "the mean point moves by less than `xtol`."
    PATIENCE = 5, SUCCESS + "over `patience` steps the mean value fell within its standard error."
    FIXED = 6, SUCCESS + "no variable is free."
    NONFINITE = 7, "A value or a gradient is not finite."
    MAXITER = (
        8,
        "Maximum number of iterations has been exceeded (STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT). "
        "Try a larger `learning_rate` (the step per iteration, in units of `x_scale`), a larger `maxiter`, "
        "or `steps` for a budget that is meant to be used up.",
    )
    STEPS = 9, SUCCESS + "the planned number of `steps` is done."
    EPOCHS = 10, SUCCESS + "the planned number of `epochs` is done."
    MAXFUN = (
        11,
        "Maximum number of function evaluations has been exceeded "
        "(STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT). Try a larger `maxfun`.",
    )
    MAX_TIME = 12, "Maximum time has been exceeded. Try a larger `max_time`, or continue from the `state`."
    INTERRUPTED = 13, "Interrupted by the user. The result's `state` continues the run."
    CALLBACK = 14, "`callback` raised `StopIteration`."
    NO_PROGRESS = (
        15,
        "The run ended no lower than it began, so the best point seen is returned. Try a smaller "
        "`learning_rate` or more steps; check the gradient, and `finite_diff` where there is none.",
    )
    KINK = 16, SUCCESS + "at a kink after `maxiter` steps: gradients around cancel, though none is small."
    MINIMUM = 17, SUCCESS + "`x0` is a minimum, as far as values around it tell."

    @property
    def status(self) -> Status:
        """Status of the result: the one of the same name, or else success."""
        return Status.__members__.get(self.name, Status.SUCCESS)


@register_jitable
def check_convergence(run):
    """Apply the tests whose window is full, and begin the next window.

    Where `patience` is met, the learning rate may be reduced instead.

    Returns
    -------
    int
        `STEP`, or the first test that is met.
    """
    s, limits = run.numbers[0], run.limits[0]
    code = STEP  # a plain integer like the values below: Numba 0.60 does not unify members of `Stop` with it
    if s.points >= WINDOW:
        steepest, furthest = close_window(run)
        f_before, f_now = s.f_mean, s.f_sum / WINDOW
        variance = max(0.0, s.f_squares / WINDOW - (f_now - f_before) ** 2)
        s.f_error = sqrt(2.0 * variance / WINDOW)
        s.points, s.f_sum, s.f_squares, s.f_mean = 0.0, 0.0, 0.0, f_now
        log_radius = mean_log(run.radius)
        is_growing = log_radius - s.window_log_radius >= GROWING
        s.window_log_radius = log_radius
        change = abs(f_now - f_before)  # infinite ones are no agreement
        is_unchanged = change < np.inf and change <= allowed_change(limits.ftol, s, f_before, f_now)
        if steepest <= limits.gtol:
            code = Stop.GTOL.value
        elif is_unchanged and is_sure(s, limits.ftol) and not is_growing:
            code = Stop.FTOL.value
        elif f_before == f_before and furthest <= limits.xtol:  # NaN before the second window
            code = Stop.XTOL.value
    if s.part_points >= limits.part and close_part(s, limits.part, run.radius) and code == STEP:
        if s.reductions >= limits.reductions:
            return Stop.PATIENCE.value
        s.reductions += 1
        s.reduction *= limits.reduction
    return code


@register_jitable
def allowed_change(ftol, s, f, other):
    """Return the change of a value that counts as none: a part of the fall since the start, or rounding.

    No constant that is added to the values, and no unit of them, makes a difference.
    """
    if ftol < 0:
        return -1.0
    return max(ftol * (s.f_start - s.f_best), ROUNDING * max(abs(f), abs(other)))


@register_jitable
def is_sure(s, ftol):
    """Whether the means of noisy values are exact enough for `ftol`: small changes may be chance."""
    return s.is_noisy != YES or s.f_error <= allowed_change(ftol, s, s.f_mean, s.f_mean)


@register_jitable
def close_window(run):
    """Return the largest component of the mean gradient and the furthest move of the mean point.

    The gradient counts as far as bounds leave room to follow it.  The next window begins.
    """
    x, lower, upper = run.x, run.lower, run.upper
    g_sum, x_sum, x_mean = run.g_sum, run.x_sum, run.x_mean
    steepest = furthest = 0.0
    for i in range(x.size):
        slope = min(max(g_sum[i] / WINDOW, x[i] - upper[i]), x[i] - lower[i])
        steepest = max(steepest, abs(slope))
        mean = x_sum[i] / WINDOW
        furthest = max(furthest, abs(mean - x_mean[i]) / max(1.0, abs(mean)))
        x_mean[i] = mean
        g_sum[i] = x_sum[i] = 0.0
    return steepest, furthest


@register_jitable
def close_part(s, part, radius):
    """Take in a part of `patience`; return whether the mean of the last parts fell by less than its error.

    Means of parts vary as much as that of all of them, even if neighbouring values resemble each other.
    They vary by a fall, too: the smaller error of the two means counts, and a fall among the last parts
    by more than its error is none to end at.
    While the radii of automatic rates grow, the run is on its way, however little the values tell of it.
    """
    mean = s.part_sum / part
    s.part_points = s.part_sum = 0.0
    s.parts += 1.0
    deviation = mean - s.parts_mean
    s.parts_mean += deviation / s.parts
    s.parts_squares += deviation * (mean - s.parts_mean)
    s.parts_trend += 0.5 * (s.parts - 1.0) * deviation  # covariance with the number of the part
    if s.parts < PARTS:
        return False
    error = s.parts_squares / (PARTS * (PARTS - 1))
    is_met = s.mean_before - s.parts_mean <= sqrt(2.0 * min(error, s.error_before))
    explained = s.parts_trend * s.parts_trend / TRENDS  # squares by a straight line
    is_met &= s.parts_trend >= 0 or explained <= (s.parts_squares - explained) / (PARTS - 2)
    s.mean_before, s.error_before = s.parts_mean, error
    s.parts = s.parts_mean = s.parts_squares = s.parts_trend = 0.0
    log_radius = mean_log(radius)
    is_met &= log_radius - s.log_radius < GROWING
    s.log_radius = log_radius
    return is_met


@register_jitable
def mean_log(radius):
    """Return the mean logarithm of the radii of automatic rates; 0 without them."""
    mean = 0.0
    for i in range(radius.size):
        mean += log(radius[i]) / radius.size
    return mean


@register_jitable
def meets_gtol(run, x, g):
    """Whether no component of the gradient at a point is larger, as far as bounds leave room to follow it."""
    lower, upper, is_met = run.lower, run.upper, True
    for i in range(x.size):
        slope = min(max(g[i], x[i] - upper[i]), x[i] - lower[i])
        is_met &= abs(slope) <= run.limits[0].gtol
    return is_met
