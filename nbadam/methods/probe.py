"""Probes of the size of variables that start at 0, for automatic learning rates.

Points against the slope are evaluated.  A variable's size is the largest length over which
the slope keeps half of what it is at the start.
"""

from math import inf

from .._jitable import register_jitable
from .auto import mean_size, radius_of, share
from .record import EVALUATE, STEP, Phase

# Factor from one length to the next, a power of 2, which rounds nothing;
# part of the slope that is left after a short one; limits of the length, in scaled variables.
PROBE_FACTOR, PROBED = 4.0, 0.5
SHORTEST_PROBE, LONGEST_PROBE = 1e-30, 1e12


@register_jitable
def to_probe(run):
    """Go to the next point that tells the size of variables that start at 0."""
    run.numbers[0].phase = Phase.PROBE
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
def after_probe(run, is_finite):
    """Find the largest length over which the slope keeps half of its size; begin, or probe again."""
    s, slope = run.numbers[0], run.slope
    mean = mean_size(slope)
    slope_there = slope_here = 0.0
    for i in range(slope.size):
        moved = min(max(probed(run, i, mean), run.lower[i]), run.upper[i]) - run.x[i]
        if moved != 0:
            slope_here += slope[i] * moved
            slope_there += run.g[i] * moved
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
    s.phase = Phase.STEP
    return STEP
