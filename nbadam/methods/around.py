"""Whether a start that a run does not leave is a minimum, by values around it."""

from enum import Enum, auto
from itertools import pairwise
from typing import Any

import numpy as np

from .record import YES
from .stopping import ROUNDING

MOST, RANDOM = 20, 10  # variables whose axes are tried, and random directions
LENGTHS = 1e-2, 1e-3, 1e-4  # steps, relative to the size of each variable
# Least ratio of the changes over two of these in turn around a minimum: 100 for a parabola, 10 for a kink.
LEAST_RATIO = 5.0
EVALUATIONS = 2 * len(LENGTHS) * (MOST + RANDOM) + 1  # least number that must be left


class Around(Enum):
    """Values around a point: some are lower, all are higher the farther away they are, or neither."""

    LOWER = auto()
    HIGHER = auto()
    UNCLEAR = auto()


def look_around(run: Any, x: np.ndarray, f: float) -> Around:
    """Compare values around a point, within the bounds, with the one there; noisy ones tell nothing."""
    objective, plan, n = run.objective, run.plan, x.size
    is_random = getattr(objective.differences, "is_random", run.s.is_noisy == YES)
    if objective.sampler is not None or is_random:
        return Around.UNCLEAR
    if objective.nfev + EVALUATIONS > plan.maxfun or objective.value(x) != f:
        return Around.UNCLEAR
    rng, size = np.random.default_rng(0), np.maximum(plan.x_scale, np.abs(x))
    changes = []
    with np.errstate(all="ignore"):
        for k in range(min(n, MOST) + RANDOM):
            direction = np.zeros(n)
            if k < min(n, MOST):
                direction[k] = 1.0
            else:
                direction = rng.uniform(-1, 1, n)
            for step in (size * direction, -size * direction):
                points = [np.clip(x + length * step, plan.lower, plan.upper) for length in LENGTHS]
                if not any(np.array_equal(point, x) for point in points):
                    changes.append([objective.value(point) - f for point in points])
    least = ROUNDING * abs(f)
    if any(change < -least for way in changes for change in way):
        return Around.LOWER
    are_higher = all(
        way[0] > least and all(near <= least or far > LEAST_RATIO * near for far, near in pairwise(way))
        for way in changes
    )
    return Around.HIGHER if changes and n <= MOST and are_higher else Around.UNCLEAR
