"""Steps of forward differences from the effect that they have on the value, smooth or noisy.

The unit of a variable is not known, nor how far its zero lies: a time may be a Julian date that matters to
the second, a flux may be 1e-17.  So the step is found where the second difference stands above the noise,
which is at least rounding.
"""

from collections.abc import Callable, Iterable
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np

EPS = float(np.finfo(float).eps)
CLEAR, LARGE = 1e2, 1e6  # second differences, in units of the noise, between which the curvature is taken
AIM = 1e4
# Factors from one step tried to the next, the second for a step that is not seen at all.
GROWTH, UNSEEN, LARGEST_SHRINKAGE = 10.0, 1e8, 1e-3
# Factor of the step, the least one, and the powers by which a second difference grows over it, unless it is
# noise, at least and at most; that of a parabola grows by 2.
WIDER, LEAST_WIDER, CURVED, JUMPING = 30.0, 2.0, 0.6, 3.0
NARROWER = 10.0  # divisor of the step, for second differences that are so clear that they are no noise
# Powers of the step by which second differences fall less, if they are noise, or if slopes are infinite as
# those of roots; they fall by 2 where a function is smooth, and by 1 at a kink.
POWER_OF_NOISE, POWER_OF_ROOTS = 0.25, 0.75
SMALL = 1e-8  # noise relative to a difference
# Limits of the search: of trials, of a step relative to the first, and of one in units.
TRIALS, SHORTEST, LONGEST = 40, 1e-20, 1e12
SMALLEST = 1e-100  # variable that tells its size, in units
BEST = 8**0.25  # factor of the best step of a forward difference: Moré and Wild 2012, ACM TOMS 38, no. 3


def suited_steps(
    value: Callable[..., float],
    x: np.ndarray,
    f: float,
    noise: float,
    bounds: tuple[np.ndarray, np.ndarray],
    x_scale: np.ndarray,
    known: np.ndarray | None = None,
    farthest: np.ndarray | float = inf,
    which: Iterable[int] | None = None,
) -> np.ndarray:
    """Return the step of a forward difference that suits each variable.

    Its errors are about ``2 noise / step`` and ``curvature * step / 2``.

    Parameters
    ----------
    value : callable
        Objective.
    x, f, noise : ndarray of shape (n,), float, float
        Point, the value there, and its standard deviation, or its rounding error.
    bounds : tuple of two ndarrays of shape (n,)
        Lower and upper bounds, beyond which no point lies.
    x_scale : ndarray, shape (n,)
        Units.
    known : ndarray of shape (n,), optional
        Steps that suited another point, or from which to begin.
    farthest : float or ndarray of shape (n,)
        Longest steps.
    which : iterable of int, optional
        Variables whose steps are to be found; 0 is returned for the others.
    """
    steps = np.zeros_like(x)
    spacing = 4 * np.spacing(np.abs(x))
    size = np.where(np.abs(x) < SMALLEST * x_scale, x_scale, np.abs(x))
    farthest = np.broadcast_to(farthest, x.shape)
    first = sqrt(EPS) * size if known is None else known
    for i in range(x.size) if which is None else which:
        low, high = x[i] - bounds[0][i], bounds[1][i] - x[i]
        if max(low, high) > 0:
            is_central = min(low, high) > 4 * spacing[i]
            room = min(low, high) / 2 if is_central else max(low, high) / 4
            sign = 0 if is_central else 1 if high > low else -1

            def differences(h: Any, i: Any = i, sign: Any = sign) -> Any:
                found = _differences(value, x, f, i, h, sign)
                if sign != 0 or isfinite(found[1]):
                    return found
                # `x` may be where the domain ends: one side will do.
                sides = (_differences(value, x, f, i, h, side) for side in (1, -1))
                return next((each for each in sides if isfinite(each[1])), found)

            longest = min(max(abs(x[i]), LONGEST * x_scale[i], first[i]), farthest[i], room)
            shortest = max(spacing[i], SHORTEST * first[i])
            begin = min(max(first[i], shortest), longest)
            found = _suited(differences, f, noise, begin, shortest, longest)
            steps[i] = min(found, 2 * room)
    return steps


def _suited(differences: Any, f: float, noise: float, h: float, shortest: float, longest: float) -> float:
    """Return the best step by the curvature over one whose second difference is clear, but small."""
    begin, is_seen = h, False
    short, long, first_of_short = 0.0, inf, inf  # too short, too long
    lengths, seconds = [], []  # too long
    for _ in range(TRIALS):
        first, second, largest = differences(h)
        is_seen |= first > 0
        rounding = max(noise, EPS * min(largest, 2 * abs(f)))  # `f` may be 0, where the others are not
        if not second <= LARGE * rounding:  # NaN, too
            long = h
            if isfinite(second):
                lengths.append(h)
                seconds.append(second)
                found = _above_noise(differences, lengths, seconds, longest)
                if found is not None:
                    return found
            factor = sqrt(AIM * rounding / second) if isfinite(second) else 0.0
            h = h * max(factor, LARGEST_SHRINKAGE) if short == 0 else sqrt(short * long)
        elif second >= CLEAR * rounding and _is_curved(differences, h, second, rounding, longest):
            return min(BEST * h * sqrt(noise / second), _visible(first / h, noise))
        elif first * SMALL >= noise:
            return max(min(h, begin), _visible(first / h, noise))
        else:
            short, first_of_short = h, first
            growth = GROWTH if first > 0 else UNSEEN
            h = growth * h if long == inf else sqrt(short * long)
        if short >= longest or long <= shortest or long <= 2 * short:
            break
        h = min(max(h, shortest), longest)
    if not is_seen or (short >= begin and first_of_short == 0):  # the function may be another there
        return begin
    if short > 0 and lengths and lengths[0] <= begin and first_of_short <= seconds[-1]:  # out of nothing
        found = _above(max(seconds), differences, lengths[-1], longest)
        if found is not None:
            return found
    return short if short > 0 else max(long, shortest)


def _is_curved(differences: Any, h: float, second: float, noise: float, longest: float) -> bool:
    """Whether a second difference changes with the step as by curvature, not by noise.

    It should grow with a wider step, or not be finite.  Waves level off farther away: a second difference far
    above the noise may also fall with a narrower step.
    """
    factor = min(WIDER, longest / h)
    if factor < LEAST_WIDER:
        return True
    wider = differences(factor * h)[1]
    if not isfinite(wider) or _grows(second, wider, factor):
        return True
    return second >= AIM * noise and _grows(differences(h / NARROWER)[1], second, NARROWER)


def _grows(narrow: float, wide: float, factor: float) -> bool:
    return factor**CURVED * narrow < wide < factor**JUMPING * narrow


def _above_noise(
    differences: Any, lengths: list[float], seconds: list[float], longest: float
) -> float | None:
    """Return the best step where the last second differences hardly fall with ever shorter steps.

    Terms of the value are rounded that cancel in it, or the slope is infinite.
    """
    if len(lengths) < 2 or lengths[-1] > 0.1 * lengths[-2]:
        return None
    powers = np.diff(np.log(seconds[-3:])) / np.diff(np.log(lengths[-3:]))
    if powers[-1] < POWER_OF_NOISE:
        return _above(max(seconds[-2:]), differences, lengths[-2], longest)
    is_root = powers.size > 1 and powers.min() >= POWER_OF_NOISE and powers.max() < POWER_OF_ROOTS
    return lengths[0] if is_root else None


def _above(noise: float, differences: Any, h: float, longest: float) -> float | None:
    """Return the best step for a noise, which is that of a second difference; None if nothing is above it."""
    while h < longest:
        second = differences(h)[1]
        if second >= AIM * noise and _is_curved(differences, h, second, noise, longest):
            return BEST * h * sqrt(noise / second)
        if not isfinite(second):
            break
        h *= GROWTH
    return None


def _visible(slope: float, noise: float) -> float:
    """Return the step over which rounding is no more than a small part of the change."""
    return noise / (SMALL * slope) if slope > 0 else inf


def _differences(
    value: Any, x: np.ndarray, f: float, i: int, h: float, sign: int
) -> tuple[float, float, float]:
    """Return the sizes of the first and second difference by variable `i`, and of the largest value."""

    def at(step: Any) -> Any:
        point = x.copy()
        point[i] += step
        return float(value(point))

    h = float((x[i] + h) - x[i])  # as it is after rounding; a float does not warn where values overflow
    if sign == 0:
        other = float((x[i] - h / 2) - x[i])  # no odd function looks straight over these two
    else:
        other = float((x[i] + sign * 2 * h) - x[i])
        h *= sign
    if h == 0 or other in (0, h):
        return 0.0, 0.0, abs(f)
    beside, beyond = at(h), at(other)
    slope = (beside - f) / h
    second = 2 * h * h * ((beyond - f) / other - slope) / (other - h)
    if not isfinite(second):
        return nan, nan, inf
    return abs(beside - f), abs(second), max(abs(f), abs(beside), abs(beyond))
