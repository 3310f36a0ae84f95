"""The side of a point on which a function is defined, for points near the end of its domain."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

MOST = 100  # variables, beyond which each one alone would cost too many evaluations


def open_side(
    value: Callable[..., float], x: np.ndarray, step: np.ndarray, lower: Any, upper: Any
) -> np.ndarray | None:
    """Return signs of the variables such that the value a step away is finite, or None.

    All up or all down will do in most cases.  Otherwise, as in a corner between two walls, each variable
    alone tells its side.

    Parameters
    ----------
    value : callable
        Objective.
    x, step : ndarray, shape (n,)
        Point with a finite value, and sizes of the step.
    lower, upper : ndarray, shape (n,)
        Bounds; a step goes to the side with more room first.
    """

    def is_open(move: Any) -> bool:
        point = np.clip(x + move, lower, upper)
        return not np.array_equal(point, x) and isfinite(value(point))

    signs = np.where(upper - x >= x - lower, 1.0, -1.0)
    for side in (signs, -signs):
        if is_open(side * step):
            return side
    if not 1 < x.size <= MOST:
        return None
    alone = [is_open(move) for move in np.diag(signs * step)]
    signs = np.where(alone, signs, -signs)
    return signs if is_open(signs * step) else None
