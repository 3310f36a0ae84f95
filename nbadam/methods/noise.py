"""Noise of values, noticed before the first step, and the gradient estimates that suit it."""

from collections.abc import Callable
from math import isfinite, sqrt
from typing import Any

import numpy as np

from .calibration import FIRST
from .domain import open_side

POINTS = 8  # number of points on a line, for the estimate of the noise
SPACINGS = 1e-6, 1e-8, 1e-4, 1e-10, 1e-2, 1e-1  # tried in turn, in units of x_scale
# Noise that is more than rounding, in units of it; largest change relative to noise that is none; factor from
# one spacing to the next where values may be those of a small unit, and the number of them.
ROUGH, CALM, SMALLER, SPACINGS_BELOW = 8.0, 0.1, 1e-3, 5
LONGER = 1e-4  # tried, too, for values that are not random: roughness of a longer period looks smooth before
# Spacings at which ripples are looked for, and the slope over the shortest spacing, relative to that over the
# first perturbations, from which on there may be some.
RIPPLES, STEEPER = (1.3e-4, 1.1e-3, 0.9e-2), 1.0
CLEAR = 1e6  # noise, in units of rounding, beside which ripples are not looked for
WIDER = tuple(10.0**k for k in range(13))  # tried where the value has not changed at all
SMALLEST_STEP = 1e3  # smallest step of the output, in units of rounding
FAR = 1.0  # spacing over which the value changes in earnest
# Noise relative to the response, below which differences with steps for it are the better choice: random
# noise, and rounding or steps of the output.
FAINT, FAINT_ROUNDING = 1e-5, 1e-3
UNNOTICED = 1e-11  # the same, below which a run ends by its tolerances as one without noise


def noise_of(values: np.ndarray) -> float | None:
    """Estimate the standard deviation of the noise of values at equally spaced points.

    Differences of a smooth function shrink with their order, those of noise do not.  The estimate is
    taken from the first of three orders that agree within a factor of 4.  See Moré and Wild 2011,
    "Estimating computational noise", SIAM Journal on Scientific Computing 33.

    Parameters
    ----------
    values : ndarray, shape (m,)
        At least 4 values.

    Returns
    -------
    float or None
        None where the points are too close (half of the values are equal) or too far apart.
    """
    if not np.isfinite(values).all():
        return None
    levels, has_both_signs = [], []
    factor, row = 1.0, values
    for k in range(1, values.size):
        row = np.diff(row)
        if k == 1 and np.count_nonzero(row == 0) >= values.size / 2:
            return None
        factor *= 0.5 * k / (2 * k - 1)  # (k!)**2 / (2 k)!
        levels.append(sqrt(factor * np.mean(row**2)))
        has_both_signs.append(row.min() * row.max() < 0)
    for k in range(values.size - 3):
        three = levels[k : k + 3]
        if max(three) <= 4 * min(three) and has_both_signs[k]:
            return levels[k]
    return None


def noise_near(
    value: Callable[..., Any],
    x: np.ndarray,
    f: float,
    unit: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    is_random: bool = False,
) -> float:
    """Return the noise along the diagonal, into the box, for the first spacing that shows it.

    Of a function that is rough, but not random, it is the larger one of two spacings.

    Parameters
    ----------
    value : callable
        Objective.
    x, f : ndarray of shape (n,), float
        Point, and the value there.
    unit, lower, upper : ndarray, shape (n,)
        Sizes of the variables, and bounds.
    is_random : bool
        Whether two values at one point differ.
    """
    ahead, across = (line_from(value, x, f, unit, lower, upper, is_across) for is_across in (False, True))
    # Scores, ranks and softmax do not change along the diagonal from a start whose entries are equal.
    for line, tried in ((ahead, ()), (across, ()), (ahead, SPACINGS)):
        found = _noise_on(line, f, is_random, tried)
        if found is not None:
            break
    assert found is not None
    noise, rounding = found
    if is_random:
        return noise
    is_smooth = noise > ROUGH * rounding and _is_smooth_nearby(line, f, noise)
    noise = rounding if is_smooth else noise
    return noise if noise > CLEAR * rounding else max(noise, _ripple(line, f))


def line_from(
    value: Callable[..., Any],
    x: np.ndarray,
    f: float,
    unit: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    is_across: bool = False,
) -> Callable[..., np.ndarray]:
    """Return the function of a spacing, in units, that evaluates equally spaced points from `x` on.

    The first value is `f`, which is known; those that are not finite become NaN.  The points are in the
    direction in which there is most room, or across: every other variable moves the other way.  Where the
    domain ends, they turn to the side on which it goes on.
    """
    is_up = upper - x >= x - lower
    if is_across:
        is_up[1::2] ^= np.minimum(upper - x, x - lower)[1::2] > 0
    is_turned = False

    def line(spacing: Any, points: Any = POINTS) -> Any:
        nonlocal is_up, is_turned
        values = along(spacing, points)
        if isfinite(f) and not is_turned and not np.isfinite(values).all():
            is_turned = True
            side = open_side(value, x, POINTS * spacing * unit, lower, upper)
            if side is not None and not np.array_equal(is_up, side > 0):
                is_up = side > 0
                values = along(spacing, points)
        return values

    def along(spacing: Any, points: Any) -> Any:
        room = np.where(is_up, upper - x, x - lower)
        steps = np.minimum(spacing * unit, room / POINTS)
        grid = np.spacing(np.abs(x) + POINTS * steps)
        steps = np.where(is_up, 1, -1) * grid * np.maximum(np.rint(steps / grid), 1)  # equal, as x is rounded
        values = np.array([f] + [value(np.clip(x + k * steps, lower, upper)) for k in range(1, points)])
        return np.where(np.isfinite(values), values, np.nan)

    return line


def _noise_on(
    line: Callable[..., np.ndarray], f: float, is_random: bool, tried: tuple[float, ...]
) -> tuple[float, float] | None:
    """Return the noise of values on lines of several spacings, and the rounding error of `f`.

    Spacings that were tried before, without a change of the value, are left out.  If none was, and no value
    changes over the first ones, return None.
    """
    resolution = np.inf  # smallest change of the output that was seen beside changes of 0
    is_level, is_stepped = True, bool(tried)
    rounding = rounding_of(f)
    for spacing in (SPACINGS + WIDER)[len(tried) :]:
        if (spacing > SPACINGS[4] and not is_stepped) or (spacing >= WIDER[0] and resolution < np.inf):
            break
        if spacing == WIDER[0] and is_level and not tried:
            return None
        values = line(spacing)
        changes = np.abs(np.diff(values))
        has_steps = bool(np.count_nonzero(changes == 0) >= POINTS / 2)
        noise = noise_of(values)
        if noise is not None and noise > ROUGH * rounding_of(values):
            return noise if is_random else max(noise, noise_of(line(LONGER)) or 0.0), rounding
        is_stepped |= has_steps
        is_level &= not changes.any()
        smallest = np.inf
        if is_stepped and changes.any() and np.isfinite(values).all():
            smallest = _smallest_change(values)
        if SMALLEST_STEP * rounding_of(values) < smallest < np.inf:
            resolution = min(resolution, smallest)
        elif noise is not None:
            return noise if noise <= ROUGH * rounding else rounding, rounding
    return rounding if resolution == np.inf else max(resolution / sqrt(12), rounding), rounding


def _ripple(line: Callable[..., np.ndarray], f: float) -> float:
    """Return the noise of ripples that look smooth over the shortest spacing, but hide the slope, or 0."""
    nearby = abs(line(SPACINGS[0], 2)[1] - f) / SPACINGS[0]
    if not nearby > STEEPER * np.ptp(line(FIRST, 3)) / FIRST:  # NaN, too
        return 0.0
    for spacing in RIPPLES:
        values = line(spacing)
        noise = noise_of(values)
        if noise is not None and noise > ROUGH * rounding_of(values) and _is_calm(line, noise):
            return noise
    return 0.0


def _is_calm(line: Callable[..., np.ndarray], noise: float) -> bool:
    """Whether noise is small beside the change of values farther off."""
    return any(noise <= CALM * np.ptp(line(spacing, 3)) for spacing in (FIRST, FAR))


def rounding_of(values: Any) -> float:
    """Return the rounding error of the largest one of finite values."""
    return float(np.finfo(float).eps * max(np.max(np.abs(values)), np.finfo(float).tiny))


def _is_smooth_nearby(line: Callable[..., np.ndarray], f: float, noise: float) -> bool:
    """Whether values that look like noise are smooth over shorter distances, as those of a small unit are.

    Noise that is small beside the change of values farther off is noise, however smooth it is nearby.
    """
    if _is_calm(line, noise):
        return False
    spacing = SPACINGS[0]
    for _ in range(SPACINGS_BELOW):
        spacing *= SMALLER
        change = abs(line(spacing, 2)[1] - f)
        if change == 0:  # steps of the output
            return False
        if change <= CALM * noise:
            values = line(spacing)
            found = noise_of(values)
            if np.ptp(values) <= noise and (found is None or found <= ROUGH * rounding_of(values)):
                return True
    return False


def step_of_output(values: np.ndarray) -> float:
    """Return the distance of the levels of values that are counts or rounded; 0 if few of them are equal."""
    levels = np.unique(values[np.isfinite(values)])
    return _smallest_change(levels) if 1 < levels.size < 0.75 * values.size else 0.0


def _smallest_change(values: np.ndarray) -> float:
    """Return the smallest difference, of first or second order, that is more than rounding."""
    found = np.abs(np.concatenate([np.diff(values), np.diff(values, 2)]))
    found = found[found > 8 * np.finfo(float).eps * np.abs(values).max()]
    return float(found.min()) if found.size else np.inf
