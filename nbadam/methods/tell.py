"""Evaluations taken in: window, best, average, history, stop tests, and the next thing to do.

Small means over a window may be those of a cycle of large steps.  If the objective is not noisy, the mean
point of the window tells: at the centre of a cycle the gradient differs from the average one, or the value
is lower.  Where the mean point is the better one, the run ends there.
"""

from functools import cache
from math import inf
from typing import Any

from .._jit import compile_kernel
from .._jitable import register_jitable
from .._pointers import pointer_to
from .._tuples import store
from ..kernels import norm
from .auto import begin as begin_auto
from .auto import mean_size, radius_of, share
from .averaging import AUTO, BEST, weight
from .history import push
from .record import (
    AT_AVERAGE,
    AT_BEST_AGAIN,
    AT_LAST,
    AT_MEAN,
    AT_MEAN_AGAIN,
    AT_PROBE,
    AT_START,
    AT_STEP,
    EVALUATE,
    NO,
    STEP,
    UNKNOWN,
    YES,
)
from .step import to_user
from .stopping import (
    FIXED,
    FTOL,
    GTOL,
    MAXITER,
    NONFINITE,
    PATIENCE,
    WINDOW,
    allowed_change,
    check_convergence,
    is_sure,
    meets_gtol,
)

# A run without noise whose automatic rates let the value rise above the start by more than so many times
# the fall from the start to the best point goes back to that point.
HIGHEST = 1.0
SHRINKAGE = 0.5  # factor of the radii then
FIRST_SHRINKAGE = 0.1  # the same before any point was better than the start
# Probes of the size of variables: factor from one length to the next, a power of 2, which rounds nothing;
# part of the slope that is left after a short one; limits of the length, in scaled variables.
PROBE_FACTOR, PROBED = 4.0, 0.5
SHORTEST_PROBE, LONGEST_PROBE = 1e-30, 1e12


def tell(run, f, is_fresh):
    """Take in an evaluation at the `point` of a run, whose gradient is in `g`; return the next thing to do.

    Parameters
    ----------
    run : Record
        At an address.
    f : float
        Value, or the last one known.
    is_fresh : int
        Whether it is that at the point.

    Returns
    -------
    int
        `STEP`, `EVALUATE` at `point`, or why the run has ended, a `stopping.Stop`.
    """
    s, limits = run.numbers[0], run.limits[0]
    code = STEP
    if s.phase == AT_START:
        code = after_start(run, f)
    elif s.phase == AT_PROBE:
        code = after_probe(run, f)
    elif s.phase != AT_STEP:
        code = after_test(run, f)
    else:  # not a function: a call would cost more than all that is done here for few variables
        here, x, g, x_scale, slope, g_sum, x_sum = (
            run.here, run.x, run.g, run.x_scale, run.slope, run.g_sum, run.x_sum,
        )  # fmt: skip
        is_finite = abs(f) < inf
        for i in range(g.size):
            is_finite &= abs(g[i] * x_scale[i]) < inf
            is_finite &= abs(here[i]) < inf
        if not is_finite and s.skipped_now < limits.skips:
            code = skip(run)
        elif not is_finite:
            code, s.f = NONFINITE, f
            scale(g, x_scale, slope)
        else:
            s.f, s.is_fresh, s.skipped_now = f, is_fresh, 0
            for i in range(x.size):
                slope[i] = g[i] * x_scale[i]
                g_sum[i] += slope[i]
                x_sum[i] += x[i]
            s.points += 1.0
            s.f_sum += f
            s.f_squares += (f - s.f_mean) * (f - s.f_mean)  # NaN in the first window
            if limits.part < inf:
                s.part_points += 1.0
                s.part_sum += f
            if is_fresh and f < s.f_best:
                s.f_best = f
                x_best, g_best = run.x_best, run.g_best
                for i in range(x.size):
                    x_best[i] = here[i]
                    g_best[i] = slope[i]
            average = run.average
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
                if code != STEP:
                    code = test_mean(run, code)
            if run.radius.size and code == STEP and is_fresh and s.is_noisy != YES:
                if f - s.f_start > HIGHEST * (s.f_start - s.f_best):
                    code = go_back(run)
    if code == STEP and s.nit >= limits.maxiter:
        code = MAXITER
    if code > EVALUATE and code != NONFINITE and limits.evaluates_average and s.phase != AT_AVERAGE:
        if run.average.size and limits.average != AUTO and s.nit > 0 and not s.is_at_mean:
            s.found, s.phase = code, AT_AVERAGE
            average_within_bounds(run, run.point)
            code = EVALUATE
    s.next = code
    return code


@register_jitable
def skip(run):
    """Evaluate again: at the same point, and after that each time half as far from the point before."""
    s, x, before = run.numbers[0], run.x, run.before
    if s.skipped_now > 0:
        for i in range(x.size):
            x[i] = 0.5 * before[i] + 0.5 * x[i] if abs(x[i]) < inf else before[i]
        to_user(x, run.x_scale, run.x_lower, run.x_upper, run.here)
    copy(run.here, run.point)
    s.skipped += 1
    s.skipped_now += 1
    return EVALUATE


@register_jitable
def go_back(run):
    """Return to the best point with smaller radii, or evaluate it again first to see if the rise is noise."""
    s = run.numbers[0]
    if s.is_noisy == UNKNOWN:
        s.phase = AT_BEST_AGAIN
        copy(run.x_best, run.point)
        return EVALUATE
    copy(run.x_best, run.here)
    copy(run.g_best, run.slope)
    shrinkage = SHRINKAGE if s.f_best < s.f_start else FIRST_SHRINKAGE
    for i in range(run.x.size):
        run.x[i] = min(max(run.here[i] / run.x_scale[i], run.lower[i]), run.upper[i])
        run.start[i] = run.x[i]
        run.radius[i] *= shrinkage
    s.f, s.is_fresh, s.is_back = s.f_best, 1, 1
    return STEP


@register_jitable
def after_start(run, f):
    """Take in the first point."""
    s, slope, lower, upper = run.numbers[0], run.slope, run.lower, run.upper
    is_finite, is_fixed = abs(f) < inf, True
    scale(run.g, run.x_scale, slope)
    for i in range(slope.size):
        is_finite &= abs(slope[i]) < inf
        is_finite &= abs(run.here[i]) < inf
        is_fixed &= lower[i] == upper[i]
    s.f = s.f_start = f
    s.is_fresh = 1
    if not is_finite:
        return skip(run) if s.skipped_now < run.limits[0].skips else NONFINITE
    s.f_best, s.skipped_now = f, 0
    copy(run.here, run.x_best)
    copy(slope, run.g_best)
    if is_fixed:
        return FIXED
    if meets_gtol(run.x, slope, lower, upper, run.limits[0].gtol):
        return GTOL
    if run.radius.size:
        is_known = begin_auto(run.x, run.limits[0].radius, run.start, run.radius)
        if not is_known and norm(slope, inf) > 0:
            s.probe, s.probe_factor = first_length(run), 0.0
            return to_probe(run)
    return STEP


@register_jitable
def to_probe(run):
    """Go to the next point that tells the size of variables that start at 0."""
    run.numbers[0].phase = AT_PROBE
    mean = mean_size(run.slope)
    for i in range(run.x.size):
        run.point[i] = min(max(probed(run, i, mean) * run.x_scale[i], run.x_lower[i]), run.x_upper[i])
    return EVALUATE


@register_jitable
def first_length(run):
    """Return the length by which a probe moves no variable by more than its size; 1 if all are 0."""
    mean, length = mean_size(run.slope), inf
    for i in range(run.x.size):
        if run.x[i] != 0 and run.slope[i] != 0:
            length = min(length, abs(run.x[i]) / share(run.slope[i], mean))
    return min(max(length, SHORTEST_PROBE), LONGEST_PROBE) if length < inf else 1.0


@register_jitable
def probed(run, i, mean):
    """Return a scaled variable at the point of a probe."""
    length = run.numbers[0].probe * share(run.slope[i], mean)
    if run.slope[i] == 0:
        length = 0.0
    return run.x[i] - length if run.slope[i] > 0 else run.x[i] + length


@register_jitable
def after_probe(run, f):
    """Find the largest length over which the slope keeps half of its size; begin, or probe again."""
    s, slope = run.numbers[0], run.slope
    mean = mean_size(slope)
    slope_there = slope_here = 0.0
    is_finite = abs(f) < inf
    for i in range(slope.size):
        moved = min(max(probed(run, i, mean), run.lower[i]), run.upper[i]) - run.x[i]
        if moved != 0:
            slope_here += slope[i] * moved
            slope_there += run.g[i] * run.x_scale[i] * moved
            is_finite &= abs(run.g[i]) < inf
    is_short = is_finite and slope_there <= PROBED * slope_here  # which are negative
    if s.probe_factor == 0:
        s.probe_factor = PROBE_FACTOR if is_short else 1 / PROBE_FACTOR
    is_growing = s.probe_factor > 1
    if is_growing == is_short and slope_here != 0 and SHORTEST_PROBE < s.probe < LONGEST_PROBE:
        s.probe *= s.probe_factor
        return to_probe(run)
    if is_growing:  # one step back; without any curvature, to where it began
        s.probe = s.probe / PROBE_FACTOR if s.probe < LONGEST_PROBE else first_length(run)
    for i in range(slope.size):
        if run.radius[i] == 0:
            run.radius[i] = radius_of(s.probe * share(slope[i], mean))
    s.phase = AT_STEP
    return STEP


@register_jitable
def test_mean(run, code):
    """Begin the test at the mean point, or return `code` where none is to be made."""
    s = run.numbers[0]
    if s.is_noisy == YES:
        return code
    if code == PATIENCE and s.nit < WINDOW:
        return STEP  # no window is full yet that a mean point would come from
    s.found, s.phase = code, AT_MEAN
    to_user(run.x_mean, run.x_scale, run.x_lower, run.x_upper, run.x_at_mean)
    copy(run.x_at_mean, run.point)
    return EVALUATE


@register_jitable
def after_test(run, f):
    """Take in an evaluation of a test, or of the average; return the next thing to do."""
    s = run.numbers[0]
    if s.phase == AT_AVERAGE:
        s.f_at_average = f
        return s.found
    if s.phase == AT_BEST_AGAIN:
        s.phase = AT_STEP
        notice_noise(run, f, s.f_best, run.g_best)
        return go_back(run) if s.is_noisy == NO else STEP
    if s.phase == AT_LAST:
        s.f, s.is_fresh = f, 1
    elif s.phase == AT_MEAN:
        s.f_at_mean = f
        scale(run.g, run.x_scale, run.g_at_mean)
        if s.is_noisy == UNKNOWN:
            s.phase = AT_MEAN_AGAIN
            copy(run.x_at_mean, run.point)
            return EVALUATE
    else:
        notice_noise(run, f, s.f_at_mean, run.g_at_mean)
    if s.is_noisy == NO and not s.is_fresh:
        s.phase = AT_LAST
        copy(run.here, run.point)
        return EVALUATE
    s.phase = AT_STEP
    if s.is_noisy == YES:
        return s.found if s.found != FTOL or is_sure(s, run.limits[0].ftol) else STEP
    return s.found if converged_at_mean(run) else STEP


@register_jitable
def converged_at_mean(run):
    """Whether the mean point of the window, or the last one, has converged; note whether it is the former."""
    s, limits, lower, upper = run.numbers[0], run.limits[0], run.lower, run.upper
    is_finite = abs(s.f_at_mean) < inf
    for i in range(run.x_at_mean.size):
        is_finite &= abs(run.g_at_mean[i]) < inf
        is_finite &= abs(run.x_at_mean[i]) < inf
    is_lower = is_finite and s.f_at_mean < s.f
    if s.found == GTOL:
        is_flat = meets_gtol(run.x, run.slope, lower, upper, limits.gtol)
        mean_is_flat = is_finite and meets_gtol(run.x_mean, run.g_at_mean, lower, upper, limits.gtol)
        s.is_at_mean = mean_is_flat and (is_lower or not is_flat)
        return is_flat or mean_is_flat
    allowed = allowed_change(max(limits.ftol, 0.0), s, s.f_at_mean, s.f)
    has_converged = is_finite and s.f - s.f_at_mean <= allowed
    s.is_at_mean = has_converged and is_lower
    return has_converged


@register_jitable
def same(a, b):
    """Whether two numbers are equal, or both NaN."""
    return a == b or (a != a and b != b)


@register_jitable
def notice_noise(run, f, f_before, slope_before):
    """Note whether a second evaluation at a point differs from the first."""
    is_same = same(f, f_before)
    for i in range(run.g.size):
        is_same &= same(run.g[i] * run.x_scale[i], slope_before[i])
    run.numbers[0].is_noisy = NO if is_same else YES


@register_jitable
def copy(source, target):
    """Copy an array."""
    for i in range(target.size):
        target[i] = source[i]


@register_jitable
def scale(g, x_scale, slope):
    """Write the gradient by the scaled variables."""
    for i in range(g.size):
        slope[i] = g[i] * x_scale[i]


@register_jitable
def average_within_bounds(run, x):
    """Write the average of the points, which rounding may have brought out of the bounds."""
    for i in range(x.size):
        x[i] = min(max(run.average[i], run.x_lower[i]), run.x_upper[i])


# --- The beginning and the end -------------------------------------------------------------------


def begin(run, own, given, p):
    """Make the record of a run ready for problem `p` of a block."""
    run.numbers[0] = given.numbers[0]
    is_free = run.fractions.size == 0
    for i in range(run.x.size):
        lower, upper, scale = given.lower[p, i], given.upper[p, i], given.x_scale[p, i]
        run.x_lower[i], run.x_upper[i], run.x_scale[i] = lower, upper, scale
        run.here[i] = run.point[i] = run.x_best[i] = min(max(given.x0[p, i], lower), upper)
        run.x[i] = run.before[i] = run.here[i] / scale
        run.lower[i], run.upper[i] = lower / scale, upper / scale
        is_free &= scale == 1 and lower == -inf and upper == inf
        run.g_sum[i] = run.x_sum[i] = run.x_mean[i] = 0.0
    for i in range(run.fractions.size):
        run.fractions[i] = given.fractions[p, i]
    for i in range(run.x.size):
        store(own.slots, i, given.slots[:, p, i])
    for i in range(run.average.size):
        run.average[i] = 0.0
    for i in range(run.noise.size):
        run.noise[i] = 0.0
    run.numbers[0].is_free = is_free


def end(run, own, given, p):
    """Write the result of problem `p`: the point wanted, or the best one if that is above the start.

    Where the run ended no lower than it began, `next` becomes negative.
    """
    s, limits = run.numbers[0], run.limits[0]
    f, x = s.f, run.here
    if s.is_at_mean:
        f, x = s.f_at_mean, run.x_at_mean
    elif s.phase == AT_AVERAGE:
        f = s.f_at_average
        average_within_bounds(run, x)
    elif limits.average == BEST and s.f_best < inf:
        f, x = s.f_best, run.x_best
    is_start = s.nit > 0 and s.next != GTOL
    for i in range(x.size):
        is_start &= x[i] == min(max(given.x0[p, i], run.x_lower[i]), run.x_upper[i])
    if is_start:
        s.next = -s.next
    if s.f_best < inf and (abs(s.next) == NONFINITE or not f <= s.f_start):
        f, x = s.f_best, run.x_best
        s.next = -abs(s.next)
    for i in range(x.size):
        given.x_end[p, i] = x[i]
    given.f_end[p], given.nit_end[p] = f, s.nit


@cache
def tell_kernel(record: Any) -> Any:
    """Return `tell` for records of a type, compiled."""
    return compile_kernel(tell, (pointer_to(record), 0.0, 1), name="tell", mode="uncounted")


@cache
def block_kernel(kernel: Any, record: Any, own: Any, block: Any) -> Any:
    """Return `begin` or `end` for records, rule states and blocks of a type, compiled."""
    examples = *map(pointer_to, (record, own, block)), 0
    return compile_kernel(kernel, examples, name=kernel.__name__, mode="uncounted")
