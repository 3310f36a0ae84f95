"""Units and a first radius from some batches, for runs that are told the number of epochs and nothing more.

The gradients of some batches tell two things.  Their mean squares, sample by sample, are the unit in
which each variable matters: for a likelihood, its Fisher information.  And their change along the
mean gradient tells how far away the minimum seems to be: automatic rates need not grow from next to
nothing.  A first step of that size must lower the value: where the curvature grows on the way, as
with an exponential link, the distance is far too long.
"""

from typing import Any, NamedTuple

import numpy as np

from .auto import STRIDE
from .objective import Objective

BATCHES = 16  # number of batches evaluated
# Where automatic rates begin, as a fraction of the distance.  From 0.03 to 0.3 it makes little difference
# on regressions, a mixture and a small network; without it, 120 steps end up to 20 times as far off.
FIRST_RADIUS = 0.1
OUTLYING = 5.0  # squared gradient of an outlier, relative to the mean of all batches: ordinary fits reach 4.5
SHORTENINGS = 20  # largest number of shortenings of a first step that raises the value: to 1e-12 of it


class Scaling(NamedTuple):
    """All that some batches tell."""

    x_scale: np.ndarray  # shape (n,), unit of each variable
    radius: float  # where automatic rates should begin, in these units; 0 where nothing can be told
    has_outliers: bool  # whether the gradient of one batch outweighs most others


def estimate_scaling(
    objective: Objective, x0: np.ndarray, x_scale: np.ndarray | None, box: tuple[np.ndarray, np.ndarray]
) -> Scaling:
    """Evaluate some batches at `x0` and near it.

    Parameters
    ----------
    objective : Objective
        Of a Minibatch, whose place in the data does not change.
    x0 : ndarray, shape (n,)
        Where the run starts.
    x_scale : ndarray of shape (n,), optional
        Unit of each variable, if it is known.
    box : tuple of two ndarrays, each of shape (n,)
        Bounds.

    Returns
    -------
    Scaling
    """
    batches, size = objective.next_batches(BATCHES)
    nothing = Scaling(np.ones_like(x0) if x_scale is None else x_scale, 0.0, False)
    with np.errstate(all="ignore"):
        values, gradients = _on_batches(objective, x0, batches)
        mean = gradients.mean(axis=0)
        if not np.isfinite(mean).all() or not mean.any():
            return nothing
        scale = _units(gradients, size) if x_scale is None else x_scale
        squares = ((scale * gradients) ** 2).sum(axis=1)
        has_outliers = bool(squares.max() > OUTLYING * squares.mean())
        near = _nearby(objective, x0, batches[0], gradients[0], scale, scale**2 * mean, box)
        moved = (near - x0) / scale
        change = _on_batches(objective, near, batches)[1].mean(axis=0) - mean
        curvature = abs(moved @ (scale * change)) / (moved @ moved)
        distance = float(np.abs(scale * mean)[moved != 0].max(initial=0.0) / curvature)
        if not 0 < distance < np.inf:
            return Scaling(scale, 0.0, has_outliers)
        radius = _checked(objective, x0, batches, values.mean(), -scale * np.sign(mean), distance, box)
        return Scaling(scale, radius, has_outliers)


def _on_batches(
    objective: Objective, x: np.ndarray, batches: list[tuple[Any, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the value and the gradient on each batch."""
    values, gradients = zip(*(objective.on_batch(x, batch) for batch in batches), strict=True)
    return np.array(values), np.array(gradients)


def _checked(
    objective: Any, x0: Any, batches: Any, f: Any, direction: Any, distance: float, box: Any
) -> float:
    """Return the first radius for a distance that is shortened until the first step lowers the value."""
    radius = FIRST_RADIUS * distance
    for k in range(SHORTENINGS):
        first = np.clip(x0 + STRIDE * radius * direction, *box)
        if _on_batches(objective, first, batches)[0].mean() < f:
            return radius if k == 0 else FIRST_RADIUS * radius  # the steps to come must not overshoot, either
        radius *= 0.25
    return 0.0


def _units(gradients: np.ndarray, size: int) -> np.ndarray:
    """Return one over the root mean square of each component, sample by sample; 1 where that is not known."""
    spread = gradients.var(axis=0, ddof=1) if len(gradients) > 1 else 0.0
    scale = 1 / np.sqrt(gradients.mean(axis=0) ** 2 + size * spread)
    known = np.isfinite(scale)
    return np.where(known, scale, np.median(scale[known]) if known.any() else 1.0)


def _nearby(
    objective: Any, x0: Any, batch: Any, gradient: Any, scale: Any, direction: Any, box: Any
) -> np.ndarray:
    """Return a point down the direction, so far away that more than rounding changes the gradient."""
    step = 1e-12 * max(1.0, float(np.abs(x0).max())) / float(np.abs(direction).max())
    for _ in range(40):
        near = np.clip(x0 - step * direction, *box)
        change = objective.on_batch(near, batch)[1] - gradient
        if not np.linalg.norm(scale * change) < 1e-4 * np.linalg.norm(scale * gradient):
            break
        step *= 10.0
    return near
