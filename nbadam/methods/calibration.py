"""The size of simultaneous perturbations that stands above the noise of values."""

from collections.abc import Callable
from math import isfinite, sqrt
from typing import Any

import numpy as np

# Perturbations in units of x_scale: the first one tried, the factor to the next, and one that is large enough
# if the response is so many times the noise.
FIRST, FACTOR, LARGE, RESPONSE = 0.1, 2.0, 0.5, 3.5
FARTHEST = 1e12  # largest perturbation
SHORTENINGS, SHORTENED = 20, 0.25  # largest number of times that the perturbation shrinks, and the factor
# Factor by which noise may be larger than its estimate from few values, and the response beside it that needs
# no longer perturbations where the domain ends nearby.
LOW, SURE = 2.5, 35.0
INWARD = 2.0  # distance from the end of a domain of the point around which they are, in perturbations
PAIRS = 3  # pairs of values for each size of the perturbation
BENT = 6.0  # curvature over a perturbation, relative to the noise, that may be chance
SUDDEN = 5.0  # growth of the response, for twice the perturbation, that no smooth function has


def calibrate(
    value: Callable[..., Any],
    x: np.ndarray,
    f: float,
    noise: float,
    x_scale: Any,
    lower: Any,
    upper: Any,
    seed: tuple[int, ...],
    inward: Any = 0.0,
) -> tuple[float, float, bool]:
    """Return the size of simultaneous perturbations, in units of `x_scale`, and the change by them.

    The third item says whether values that are not finite have shortened it, or kept it from growing.

    The size grows from `FIRST` as long as the change of the value between the two points is finite and
    outweighs the curvature between them: up to `LARGE`, or until the change stands above the noise.
    Otherwise it shrinks.  Where noise is all that is seen up to `FARTHEST`, it is `FIRST`.  Up to 6
    evaluations a size.  How far the point is from 0 makes no difference.

    Parameters
    ----------
    value : callable
        Objective.
    x, f, noise : ndarray of shape (n,), float, float
        Point, the value there, and its standard deviation.
    x_scale, lower, upper : ndarray, shape (n,)
        Units and bounds.
    seed : tuple of int
        Seed of the signs.
    inward : ndarray, shape (n,), optional
        Signs of the side on which the function is defined.  The perturbations are around a point there, as
        far from `x` that they do not reach back to it.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2**32 - 1,)))

    def response(size: Any) -> Any:
        changes, bends = [], []
        middle = x + INWARD * size * x_scale * inward
        here = value(np.clip(middle, lower, upper)) if np.any(inward) else f
        for _ in range(PAIRS):
            move = size * x_scale * rng.choice([-1.0, 1.0], x.size)
            ahead, behind = [value(np.clip(middle + step, lower, upper)) for step in (move, -move)]
            if not isfinite(ahead + behind):
                return np.nan, False
            changes.append(ahead - behind)
            bends.append(ahead + behind - 2 * here)
        change = sqrt(np.mean(np.square(changes)))
        bend = abs(np.mean(bends))
        is_fine = isfinite(bend) and bend <= max(change, BENT * noise)
        return change, is_fine

    size = FIRST
    change, is_fine = response(size)
    if not is_fine:
        for _ in range(SHORTENINGS):
            is_cut = not isfinite(change)
            size *= SHORTENED
            change, is_fine = response(size)
            if is_fine:
                break
        return size, change, is_cut
    is_cut = False
    changes, first = [sqrt(2) * noise], (size, change, False)
    while size * FACTOR <= (
        LARGE if change > RESPONSE * max(noise, np.median(changes) / sqrt(2)) else FARTHEST
    ):
        changes.append(change)
        larger, is_fine = response(FACTOR * size)
        if not is_fine or larger > SUDDEN * max(change, RESPONSE * noise):
            is_cut = not isfinite(larger)
            break
        size, change = FACTOR * size, larger
    return first if size * FACTOR > FARTHEST else (size, change, is_cut)
