"""Evaluations taken in: window, best, average, history, stop tests, and the next thing to do.

Small means over a window may be those of a cycle of large steps.  If the objective is not noisy, the mean
point of the window tells: at the centre of a cycle the gradient differs from the average one, or the value
is lower.  Where the mean point is the better one, the run ends there.
"""

from math import inf

from .._jitable import register_jitable
from ..kernels import norm
from .auto import after_probe, begin, careful_length, first_length, to_probe
from .averaging import weight
from .history import push
from .record import EVALUATE, NO, STEP, UNKNOWN, YES, Phase
from .step import copy, to_user
from .stopping import WINDOW, Stop, allowed_change, check_convergence, is_sure, meets_gtol

# A run without noise whose automatic rates let the value rise above the start by more than so many times
# the fall from the start to the best point goes back to that point.
HIGHEST = 1.0
SHRINKAGE = 0.5  # factor of the radii then
FIRST_SHRINKAGE = 0.1  # the same before any point was better than the start
RETURNS = 30  # largest number of returns in a row from where nothing is finite


def tell(run, f, is_fresh):
    """Take in an evaluation at the `point` of a run, whose gradient is in `g`, and decide how to go on.

    The number `next` is then `STEP`, `EVALUATE` at `point`, or the reason to end, a `stopping.Stop`.

    Parameters
    ----------
    run : Record
        At an address.
    f : float
        Value, or the last one known.
    is_fresh : int
        Whether it is that at the point.
    """
    s, limits = run.numbers[0], run.limits[0]
    code, phase = STEP, int(s.phase)  # in plain Python members compare slowly with integers of NumPy
    here, x, g, average = run.here, run.x, run.g, run.average
    if not s.is_free:
        x_scale = run.x_scale
        for i in range(x.size):
            g[i] *= x_scale[i]
    is_finite = abs(f) < inf
    for i in range(x.size):
        is_finite &= (abs(g[i]) < inf) & (abs(here[i]) < inf)
    if phase == Phase.PROBE:
        code = after_probe(run, is_finite) if s.probe > 0 else to_first_probe(run, f, is_finite)
    elif phase > Phase.STEP:
        code = after_test(run, f, is_finite)
    elif not is_finite:
        code = recover(run, f)
    else:  # not a function: a call would cost more than all that is done here for few variables
        slope, g_sum, x_sum = run.slope, run.g_sum, run.x_sum
        s.f, s.is_fresh, s.skipped_now = f, is_fresh, 0
        if run.radius.size and phase == Phase.STEP:
            before, secant = run.before, 0.0
            for i in range(x.size):
                secant += (x[i] - before[i]) * (g[i] - slope[i])
            s.secant = secant if abs(secant) < inf else 0.0
        copy(g, slope)
        if is_fresh and f < s.f_best:
            s.f_best = f
            copy(here, run.x_best)
            copy(slope, run.g_best)
        if phase == Phase.START:
            code = after_start(run)
        else:
            for i in range(x.size):
                g_sum[i] += slope[i]
            for i in range(x.size):
                x_sum[i] += x[i]
            s.points += 1.0
            s.f_sum += f
            s.f_squares += (f - s.f_mean) * (f - s.f_mean)  # NaN in the first window
            if limits.part < inf:
                s.part_points += 1.0
                s.part_sum += f
            if average.size:
                share = weight(limits.average, float(s.nit))
                for i in range(x.size):
                    average[i] += share * (here[i] - average[i])
            if run.history.shape[0]:
                s.trace_sum += f
                s.trace_points += 1.0
                if s.trace_points >= s.trace_every:
                    push(s.nit, s.rate, norm(slope, inf), run.history, s)
            if s.points >= WINDOW or s.part_points >= limits.part:
                code = check_convergence(run)
                if code != STEP and s.is_noisy != YES:
                    code = test_mean(run, code)
            if run.radius.size and code == STEP and is_fresh and s.is_noisy != YES:
                if f - s.f_start > HIGHEST * (s.f_start - s.f_best):
                    code = go_back(run)
    if code == STEP and s.nit >= limits.maxiter:
        code = Stop.MAXITER.value
    if limits.evaluates_average and code > EVALUATE and code != Stop.NONFINITE and s.phase != Phase.AVERAGE:
        if s.nit > 0 and not s.is_at_mean:
            code = to_average(run, code)
    s.next = code


@register_jitable
def to_average(run, code):
    """Go to the average, or, without one, to the best point again if that seems lower than the last."""
    s, average, point = run.numbers[0], run.average, run.point
    if average.size:
        for i in range(point.size):  # rounding may have brought it out of the bounds
            run.here[i] = point[i] = min(max(average[i], run.x_lower[i]), run.x_upper[i])
    elif code != Stop.GTOL and s.f_best < s.f:
        copy(run.x_best, point)
    else:
        return code
    s.found, s.phase = code, Phase.AVERAGE
    return EVALUATE


@register_jitable
def recover(run, f):
    """Go on from where something is not finite, or end the run there.

    A run that skips such evaluations evaluates again: at the same point, and after that each time half as
    far from the point before.  One with automatic rates and without noise goes back to the best point.
    """
    s, x, before, skips = run.numbers[0], run.x, run.before, run.limits[0].skips
    may_skip = s.skipped_now < skips
    if not may_skip or s.phase == Phase.START:
        s.f = f
        copy(run.g, run.slope)
    if may_skip and s.skipped_now > 0:
        for i in range(x.size):
            x[i] = 0.5 * before[i] + 0.5 * x[i] if abs(x[i]) < inf else before[i]
        to_user(x, run.x_scale, run.x_lower, run.x_upper, run.here)
    may_return = run.radius.size > 0 and skips == 0 and s.is_noisy != YES and s.skipped_now < RETURNS
    may_return &= s.phase == Phase.STEP and not f < s.f_best
    for i in range(x.size):
        may_return &= abs(run.here[i]) < inf
    if not (may_skip or may_return):
        return Stop.NONFINITE.value
    s.skipped += 1
    s.skipped_now += 1
    copy(run.here, run.point)
    return EVALUATE if may_skip else go_back(run)


@register_jitable
def go_back(run):
    """Return to the best point with smaller radii, or evaluate it again first to see if the rise is noise."""
    s = run.numbers[0]
    s.phase = Phase.BEST
    if s.is_noisy == UNKNOWN:
        copy(run.x_best, run.point)
        return EVALUATE
    copy(run.x_best, run.here)
    copy(run.g_best, run.slope)
    shrinkage = SHRINKAGE if s.f_best < s.f_start else FIRST_SHRINKAGE
    for i in range(run.x.size):
        run.x[i] = run.start[i] = min(max(run.here[i] / run.x_scale[i], run.lower[i]), run.upper[i])
        run.radius[i] *= shrinkage
    s.f, s.is_fresh = s.f_best, 1
    s.secant = s.length_2 = 0.0  # no step led here
    return STEP


@register_jitable
def after_start(run):
    """Return the thing to do after the first point, which is finite."""
    s = run.numbers[0]
    s.f_start = s.f
    is_fixed = True
    for i in range(run.x.size):
        is_fixed &= run.lower[i] == run.upper[i]
    if is_fixed:
        return Stop.FIXED.value
    if meets_gtol(run, run.x, run.slope):
        return Stop.GTOL.value
    if run.radius.size and not begin(run) and norm(run.slope, inf) > 0:
        s.phase = Phase.PROBE
        copy(run.slope, run.g)
        if s.is_noisy == NO:
            return to_first_probe(run, s.f, True)
        copy(run.here, run.point)
        return EVALUATE
    return STEP


@register_jitable
def to_first_probe(run, f, is_finite):
    """Take in a second evaluation of the start, and go to the first point that tells sizes of variables."""
    s = run.numbers[0]
    copy(run.g if is_finite else run.slope, run.g_at_mean)
    if is_finite and s.is_noisy == UNKNOWN:
        notice_noise(run, f, s.f_start, run.slope)
        s.is_noisy = YES if s.is_noisy == YES else UNKNOWN  # there may be noise elsewhere
    s.probe = first_length(run) if s.is_noisy == YES else careful_length(run)
    return to_probe(run)


@register_jitable
def test_mean(run, code):
    """Begin the test at the mean point of a run that has met the test `code`."""
    s = run.numbers[0]
    if code == Stop.PATIENCE and s.nit < WINDOW:
        return STEP  # no window is full yet that a mean point would come from
    s.found, s.phase = code, Phase.MEAN
    to_user(run.x_mean, run.x_scale, run.x_lower, run.x_upper, run.x_at_mean)
    copy(run.x_at_mean, run.point)
    return EVALUATE


@register_jitable
def after_test(run, f, is_finite):
    """Take in an evaluation of a test, or of the average; return the next thing to do."""
    s = run.numbers[0]
    if s.phase == Phase.AVERAGE:
        if run.average.size:
            s.f = f
        elif f == s.f_best:  # one that differs the second time was luck
            s.f = f
            copy(run.x_best, run.here)
        return s.found
    if s.phase == Phase.BEST:
        s.phase = Phase.STEP
        notice_noise(run, f, s.f_best, run.g_best)
        if s.is_noisy == NO:
            return go_back(run)
        return Stop.NONFINITE.value if s.skipped_now else STEP
    if s.phase == Phase.MEAN:
        s.f_at_mean = f
        copy(run.g, run.g_at_mean)
        if s.is_noisy == UNKNOWN:
            s.phase = Phase.MEAN_AGAIN
            copy(run.x_at_mean, run.point)
            return EVALUATE
    else:
        notice_noise(run, f, s.f_at_mean, run.g_at_mean)
    if s.is_noisy == YES:
        return s.found if s.found != Stop.FTOL or is_sure(s, run.limits[0].ftol) else STEP
    return s.found if converged_at_mean(run, is_finite) else STEP


@register_jitable
def converged_at_mean(run, is_finite):
    """Whether the mean point of the window, or the last one, has converged; note whether it is the former.

    The value and the gradient at the mean point may not be finite.
    """
    s = run.numbers[0]
    for i in range(run.x_at_mean.size):
        is_finite &= abs(run.x_at_mean[i]) < inf
    is_lower = is_finite and s.f_at_mean < s.f
    if s.found == Stop.GTOL:
        is_met = meets_gtol(run, run.x, run.slope)
        is_met_at_mean = is_finite and meets_gtol(run, run.x_mean, run.g_at_mean)
        s.is_at_mean = is_met_at_mean and (is_lower or not is_met)
        return is_met or is_met_at_mean
    allowed = allowed_change(max(run.limits[0].ftol, 0.0), s, s.f_at_mean, s.f)
    has_converged = is_finite and s.f - s.f_at_mean <= allowed
    s.is_at_mean = has_converged and is_lower
    return has_converged


@register_jitable
def same(a, b):
    """Whether two numbers are equal, or both NaN."""
    return a == b or (a != a and b != b)


@register_jitable
def notice_noise(run, f, f_before, slope_before):
    """Note whether a second evaluation at a point differs from the first.

    Differences of values may have got other steps in between: they say nothing.
    """
    is_same = same(f, f_before)
    if not run.limits[0].has_differences:
        for i in range(run.g.size):
            is_same &= same(run.g[i], slope_before[i])
    run.numbers[0].is_noisy = NO if is_same else YES
