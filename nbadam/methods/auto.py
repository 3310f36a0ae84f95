"""A learning rate for each variable that needs no tuning: ``learning_rate="auto"``.

The rule makes a step of rate 1, which gives the direction of Adam for each variable: minus the mean gradient
over its root mean square, in which later gradients weigh more where there is no noise.  `apply_dog` then
gives it a length.  That is the variable's *radius*, the furthest that it has been from its start, over the
root of the noise met so far.  That is distance over gradients (DoG) of Ivgi, Hinder and Carmon (ICML 2023),
variable by variable.  The weights are those of Prodigy (Mishchenko and Defazio, ICML 2024), by which noise
that was met at a smaller radius counts less.  Noise is the part of the gradient that the momentum did not
foresee, as in optimistic methods (Rakhlin and Sridharan, COLT 2013): a steady gradient does not slow a
variable down.  The radius grows by a bounded factor a step, which is smaller where the gradient is not as
foreseen.  All rates are shortened where the curvature along the steps is close to the one at which steps of
this length become unstable.  In the last part of the budget the rates fall to 0 in a straight line; it is
the longer the noisier the gradients are.

Every quantity is relative: to the radius, or to the root mean square of the gradient.  Another unit of
the value or a constant added to it changes nothing but rounding.  So does another unit of a variable that
does not start at 0.
"""

from math import inf, sqrt

import numpy as np

from .._jitable import register_jitable
from ..kernels import clipped
from ..rules import bias_correction
from .averaging import TAIL, weight
from .record import EVALUATE, STEP, Phase

# Chosen on two thirds of the problems of benchmarks/robustness.py, see docs/learning_rates.rst.
FIRST_RADIUS = 1e-3  # relative to where the variable starts
STRIDE = 2.0  # length of a step in radii, without noise
# Weights of the noise met so far: in runs with hardly any noise, and in runs with much.
QUIET_WEIGHT, NOISE_WEIGHT = 8.0, 3.0
# Power of the step number by which squared gradients are weighed in v without noise, and the noise, on
# average or of late, from which on all weigh the same.  A plain mean keeps the steep gradients of the first
# steps, which shorten all later ones.
FORGETTING, PLAIN_NOISE = 3.0, 0.1
# Largest sharpness relative to the one at which steps become unstable, least such limit relative to the
# sharpness that noise alone looks like, which varies by chance, and steps over which sharpness is measured.
SHARPEST, CLEAR_OF_NOISE, SHARP_STEPS = 0.9, 5.0, 10.0
LEAST_DAMPING = 0.5  # smallest factor by which a step shortens the rates
MUCH_NOISE = 0.2  # mean squared noise of a step that is much, relative to the mean square of the gradient
SLOWEST, FASTEST = 0.02, 0.2  # growth of a radius in a step: if all is noise, and more if none is
# Growth if all is noise in runs of less than 500 steps, and up to 1,000, where it is this sum over all steps.
SLOWEST_OF_SHORT, SUM_OF_SHORT = 0.04, 20.0
NOISY = 0.01  # squared noise, relative to the mean square of the gradient, at which that is halved
# Power by which noise that was met at a smaller radius counts less: in general, and in runs of 1,000 steps or
# more with much noise.  There steps would stay long and radii of flat directions grow by chance.
POWER, POWER_OF_LONG = 2.0, 0.5
SMALLEST, LARGEST = float(np.finfo(float).tiny), float(np.finfo(float).max)  # sizes of a variable
SMALL_SLOPE = 1e-9  # slope along the way, relative to the sum of the sizes of its parts, that may be rounding
SHORTEST_FALL = 0.1  # least part of the budget in which the rates fall
# Factor from the length of one probe to the next, a power of 2, which rounds nothing;
# part of the slope that is left after a short one; limits of the length, in scaled variables.
PROBE_FACTOR, PROBED = 4.0, 0.5
SHORTEST_PROBE, LONGEST_PROBE = 1e-30, 1e12
SHORT_MOVE = 2.0**-12  # furthest move by the first probe without noise where all variables start at 0
PROBED_NOISE = 2.0  # differences of slopes that may be noise, in standard deviations


@register_jitable
def begin(run):
    """Set the radii where a run begins; return whether they are known.

    Each is a part of where the variable starts, unless the first radius of all variables is given.  A
    variable that starts at 0 has no size, and its radius is left at 0.
    """
    x, first, is_known = run.x, run.limits[0].radius, True
    for i in range(x.size):
        run.start[i], run.noise[i] = x[i], 0.0
        size = float(abs(x[i]))
        run.radius[i] = first if first > 0 or size == 0 else radius_of(size)
        is_known &= run.radius[i] > 0
    return is_known


@register_jitable
def radius_of(size):
    """Return the first radius of a variable of a size."""
    return FIRST_RADIUS * min(max(size, SMALLEST), LARGEST)


@register_jitable
def mean_size(g):
    """Return the mean size of the entries of a gradient, which must be finite."""
    largest = mean = 0.0
    for i in range(g.size):
        largest = max(largest, float(abs(g[i])))
    for i in range(g.size):
        mean += abs(g[i]) / largest / g.size  # the sum of gradients might overflow
    return largest * mean


@register_jitable
def share(g, mean):
    """Return how far a variable moves, beside others, so that all of them lower the value by as much."""
    return mean / max(float(abs(g)), 0.01 * mean)


# --- Size of variables that start at 0: points against the slope are evaluated ----------------------


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
def careful_length(run):
    """Return the length of a probe that moves no variable further than the least size of all.

    Without noise the length grows from there, so that the value does not rise far above the start.
    """
    mean, length, size, widest = mean_size(run.slope), first_length(run), inf, 0.0
    for i in range(run.x.size):
        if run.slope[i] != 0:
            widest = max(widest, share(run.slope[i], mean))
            size = min(size, float(abs(run.x[i]))) if run.x[i] != 0 else size
    size = size if size < inf else SHORT_MOVE
    while length * widest > size and length > SHORTEST_PROBE * PROBE_FACTOR:
        length /= PROBE_FACTOR
    return length


@register_jitable
def probed(run, i, mean):
    """Return a scaled variable at the point of a probe."""
    length = run.numbers[0].probe * share(run.slope[i], mean)
    if run.slope[i] == 0:
        length = 0.0
    return run.x[i] - length if run.slope[i] > 0 else run.x[i] + length


@register_jitable
def after_probe(run, is_finite):
    """Find the largest length over which the slope keeps half of its size; begin, or probe again.

    A variable's size is its part of that length.  A second gradient at the start, `g_at_mean`, tells the
    noise: lengths neither grow nor shrink by a difference of slopes that may be noise.
    """
    s, slope, again = run.numbers[0], run.slope, run.g_at_mean
    mean = mean_size(slope)
    slope_there = slope_here = noise = common = 0.0
    for i in range(slope.size):
        moved = min(max(probed(run, i, mean), run.lower[i]), run.upper[i]) - run.x[i]
        if moved != 0:
            slope_here += again[i] * moved
            slope_there += run.g[i] * moved
            noise += ((again[i] - slope[i]) * moved) ** 2
            common += (again[i] - slope[i]) * moved
    noise = PROBED_NOISE * max(sqrt(noise), abs(common))
    lost = slope_there - slope_here - (1 - PROBED) * abs(slope_here) if is_finite else inf
    if s.probe_factor == 0:
        s.probe_factor = PROBE_FACTOR if lost <= 0 else 1 / PROBE_FACTOR
    is_growing = s.probe_factor > 1
    is_short = lost <= (-noise if is_growing else noise)
    if is_growing == is_short and slope_here != 0 and SHORTEST_PROBE < s.probe < LONGEST_PROBE:
        s.probe *= s.probe_factor
        return to_probe(run)
    if is_growing:  # one step back; without any curvature, to where it began
        s.probe = s.probe / PROBE_FACTOR if s.probe < LONGEST_PROBE else first_length(run)
    for i in range(slope.size):
        if run.radius[i] == 0:
            run.radius[i] = radius_of(s.probe * share(slope[i], mean))
    return STEP


# --- Steps ----------------------------------------------------------------------------------------


@register_jitable
def scalars_of_adam(t, noise_sum, late_noise, beta_1, beta_2, epsilon):
    """Return the scalars of a step of rate 1 for Adam, whose v is a weighted mean without bias.

    Its weights grow by a power of the step number, or as Adam's own where these grow faster, but not faster
    than those of m.  A run counts as noisy until some steps had no noise.
    """
    power = FORGETTING * max(1 - max((noise_sum + 1) / t, late_noise) / PLAIN_NOISE, 0.0)
    unbias_1 = 1 / bias_correction(beta_1, t)
    newest = min((power + 1) / (power + t), (1 - beta_1) * unbias_1)
    return unbias_1, 1 - beta_1, max((1 - beta_2) / bias_correction(beta_2, t), newest), epsilon


@register_jitable
def damp(s, beta_1):
    """Shorten all rates where the last steps were close to unstable, and let them recover elsewhere.

    Sharpness is the product of a step with the change of the gradient over it, relative to the squared length
    of the step.  Steps become unstable at 2 (1 + beta_1) / (1 - beta_1) (Cohen et al., "Adaptive gradient
    methods at the edge of stability", 2022).  Noise alone looks like 1 + beta_1.
    """
    s.mean_secant += (s.secant - s.mean_secant) / SHARP_STEPS
    s.mean_length_2 += (s.length_2 - s.mean_length_2) / SHARP_STEPS
    most = (1 + beta_1) * max(2 * SHARPEST / (1 - beta_1), CLEAR_OF_NOISE) * s.mean_length_2
    if s.mean_secant > most:
        s.damping *= max(most / s.mean_secant, LEAST_DAMPING)
    else:
        s.damping = min(s.damping * (1 + SLOWEST), 1.0)


@register_jitable
def apply_dog(run, own, t, scale, unbias_2):
    """Turn a step of rate 1 from 0 into the run's step; return the mean rate.

    Parameters
    ----------
    run : Record
        With the variables before the step in `before`, and the step of the rule from 0 in `x`.  The variables
        after the step are written to `x`; `here` and `point` are room for other results.
    own : RuleState
        With the moments after the step.
    t : float
        Number of the step, from 1.
    scale : float
        Factor of the gradient after it is clipped by value.
    unbias_2 : float
        Factor that corrects the bias of v.
    """
    s, limits = run.numbers[0], run.limits[0]
    horizon, clipvalue, weight_decay = limits.horizon, limits.clipvalue, limits.weight_decay
    g, before, x, start, radius, noise = run.slope, run.before, run.x, run.start, run.radius, run.noise
    m, v, surprise, rate = own.slots[0], own.slots[1], run.here, run.point
    lower, upper = run.lower, run.upper
    unbias_1 = 1 / bias_correction(own.hyper[0], t)
    n = x.size
    mean_noise = s.noise_sum / max(t - 1, 1.0)
    noisiness = min(mean_noise / MUCH_NOISE, 1.0)
    noise_weight = QUIET_WEIGHT + (NOISE_WEIGHT - QUIET_WEIGHT) * noisiness
    fall = min(max(SHORTEST_FALL, mean_noise), 1.0)
    damp(s, own.hyper[0])
    height = s.damping * min(1.0, (horizon - t + 1) / (fall * horizon))
    # Radii grow while the slope still points away from the start, along the line from there to the point.
    along = most = 0.0
    for i in range(n):
        part = g[i] * (before[i] - start[i])
        along += part
        most += abs(part)
    is_ahead = along < -SMALL_SLOPE * most
    slowest = min(max(SLOWEST, SUM_OF_SHORT / horizon), SLOWEST_OF_SHORT)
    long = (SLOWEST_OF_SHORT - slowest) / (SLOWEST_OF_SHORT - SLOWEST)  # from 0 in short runs to 1
    power = POWER + (POWER_OF_LONG - POWER) * long * max(2 * noisiness - 1, 0.0)
    # Several loops without branches, which are vectorized; sums, whose order counts, by themselves.
    for i in range(n):
        error = scale * clipped(g[i], clipvalue) - unbias_1 * m[i]
        surprise[i] = min(error * (error / (unbias_2 * v[i])), 1e3) if v[i] > 0 else 0.0
    for i in range(n):
        moved = abs(before[i] - start[i])
        fastest = 1 + slowest + FASTEST / (1 + surprise[i] / NOISY)
        growth = min(moved / radius[i], fastest) if is_ahead and moved > radius[i] else 1.0
        radius[i] *= growth
        forgotten = growth * (1 + (power - 1) * (growth - 1))  # next to growth**power, which takes longer
        noise[i] = noise[i] / forgotten + surprise[i]
    for i in range(n):
        rate[i] = height * STRIDE * radius[i] / sqrt(1 + noise_weight * noise[i])
        x[i] = before[i] + rate[i] * (x[i] - weight_decay * before[i])
    # The squared length of the step in the norm in which Adam's direction is the steepest one.
    total_noise = total_rate = length_2 = 0.0
    for i in range(n):
        total_noise += surprise[i]
        total_rate += rate[i]
        length_2 += abs(m[i] * (min(max(x[i], lower[i]), upper[i]) - before[i]))
    s.length_2 = unbias_1 * length_2
    s.noise_sum += total_noise / n
    s.late_noise += weight(TAIL, t) * (total_noise / n - s.late_noise)
    return total_rate / n
