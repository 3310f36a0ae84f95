"""Scales and a learning rate from a first look at the data, for runs of so many epochs and no more said.

The gradients of some batches tell two things.  Their mean squares, sample by sample, are the unit in
which each variable matters: for a likelihood, its Fisher information.  And how much they change along
the mean gradient tells how far away the minimum seems to be.  A run that covers that distance some
dozens of times, with steps that fall to zero, has time enough to find it in directions that are harder.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import rules
from .checks import positive
from .objective import Objective
from .options import epochs_to_steps
from .run_state import RunState
from .schedules import CosineDecay

LOOKED_AT = 16  # batches
# Rules whose steps are about as long as the learning rate, whatever the size of the gradient.
UNIT_STEPS = (
    rules.ADAM,
    rules.AMSGRAD,
    rules.ADAMAX,
    rules.NADAM,
    rules.RADAM,
    rules.LION,
    rules.RMSPROP_MOMENTUM_INSIDE,
)
TRAVEL = 60.0  # how often the steps of a run cover the distance, as far as the limits below let them
SHORTEST, LONGEST = 0.05, 0.3  # first step, as a fraction of the distance


@dataclass
class Pace:
    """What a first look has told.

    Attributes
    ----------
    x_scale : ndarray, shape (n,)
        Unit of each variable.
    distance : float
        How far away the minimum seems to be, in these units; 0 where nothing can be told.
    """

    x_scale: np.ndarray
    distance: float

    def learning_rate(self, steps: float) -> float:
        """Return the first of `steps` learning rates that fall to 0 as a cosine does."""
        return self.distance * float(np.clip(2 * TRAVEL / max(steps, 1.0), SHORTEST, LONGEST))


def first_look(objective: Objective, x0: np.ndarray, x_scale: np.ndarray | None, box: tuple) -> Pace:
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
    """
    batches, size = objective.next_batches(LOOKED_AT)
    nothing = Pace(np.ones_like(x0) if x_scale is None else x_scale, 0.0)
    with np.errstate(all="ignore"):
        gradients = np.array([objective.on_batch(x0, batch) for batch in batches])
        mean = gradients.mean(axis=0)
        if not np.isfinite(mean).all() or not mean.any():
            return nothing
        scale = _units(gradients, size) if x_scale is None else x_scale
        near = _nearby(objective, x0, batches[0], gradients[0], scale, scale**2 * mean, box)
        moved = (near - x0) / scale
        change = np.mean([objective.on_batch(near, batch) for batch in batches], axis=0) - mean
        curvature = abs(moved @ (scale * change)) / (moved @ moved)
        distance = float(np.abs(scale * mean)[moved != 0].max(initial=0.0) / curvature)
        return Pace(scale, distance if 0 < distance < np.inf else 0.0)


def _units(gradients: np.ndarray, size: int) -> np.ndarray:
    """Return one over the root mean square of each component, sample by sample; 1 where that is not known."""
    spread = gradients.var(axis=0, ddof=1) if len(gradients) > 1 else 0.0
    scale = 1 / np.sqrt(gradients.mean(axis=0) ** 2 + size * spread)
    known = np.isfinite(scale)
    return np.where(known, scale, np.median(scale[known]) if known.any() else 1.0)


def _nearby(objective, x0, batch, gradient, scale, direction, box) -> np.ndarray:
    """Return a point down the direction, so far away that more than rounding changes the gradient."""
    step = 1e-12 * max(1.0, float(np.abs(x0).max())) / float(np.abs(direction).max())
    for _ in range(40):
        near = np.clip(x0 - step * direction, *box)
        change = objective.on_batch(near, batch) - gradient
        if not np.linalg.norm(scale * change) < 1e-4 * np.linalg.norm(scale * gradient):
            break
        step *= 10.0
    return near


def paced(
    settings: dict[str, Any],
    given: Collection[str],
    objective: Objective,
    x0: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    resumed: RunState | None,
) -> tuple[dict[str, Any], float]:
    """Complete the settings of a run of so many epochs that was given no learning rate.

    Parameters
    ----------
    settings, given : dict, collection of str
        Options with their defaults, and the names of those that are not defaults.
    objective, x0, box
        See `first_look`.
    resumed : RunState, optional
        The run that is continued: it has had its first look.

    Returns
    -------
    settings : dict
        With `learning_rate`, and `x_scale` and `average` unless they were given.
    distance : float
        See `Pace`.
    """
    steps = epochs_to_steps(settings["epochs"], objective.minibatch) or 0
    known = positive("x_scale", settings["x_scale"], x0.size) if "x_scale" in given else None
    if resumed is None:
        pace = first_look(objective, x0, known, box)
    else:
        pace = Pace(resumed.arrays["x_scale"], resumed.facts["distance"] or 0.0)
    completed: dict[str, Any] = {"x_scale": pace.x_scale}
    if "average" not in given:
        completed["average"] = "tail"
    if pace.distance > 0:
        completed["learning_rate"] = CosineDecay(pace.learning_rate(steps), max(steps, 1))
    return settings | completed, pace.distance
