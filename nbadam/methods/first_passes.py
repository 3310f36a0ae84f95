"""First passes over all the data, from a start where a few samples outweigh all others.

With an exponential link, a start far off makes the gradients of some samples huge.  Batches that have one of
them, and batches that have none, tell nothing about each other, and the automatic rates stay short after
such noise.  Passes over all the data by L-BFGS-B leave such a place, and batches do the rest.
"""

from math import inf

import numpy as np

from .objective import Objective
from .plan import RunPlan
from .scaling import estimate_scaling


def begin_epochs(objective: Objective, plan: RunPlan, x0: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Return the point where batches begin; some of them give the plan units and a first radius.

    Parameters
    ----------
    objective : Objective
        Of a Minibatch, whose place in the data does not change.
    plan : RunPlan
        Plan of a run by `epochs`, with automatic rates.
    x0 : ndarray, shape (n,)
        Start.
    known : ndarray of shape (n,), optional
        Unit of each variable, if it is known.
    """
    box = plan.lower, plan.upper
    found = estimate_scaling(objective, x0, known, box)
    passes = min(plan.passes or 0, plan.maxfun - objective.nfev)
    if found.has_outliers and passes > 0:
        x0 = _leave_tail(objective, x0, found.x_scale, box, passes)
        found = estimate_scaling(objective, x0, known, box)
    plan.x_scale, plan.limits["radius"] = found.x_scale, found.radius
    return x0


def _leave_tail(
    objective: Objective,
    x0: np.ndarray,
    x_scale: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    passes: float,
) -> np.ndarray:
    """Return a point with a lower value over all the data, or the start.

    After so many passes no further iteration begins.
    """
    from scipy.optimize import minimize

    lowest: tuple[float, np.ndarray] = (inf, x0)
    far = float(np.abs(x0 / x_scale).max())  # length of the first step
    x_scale = x_scale * far if 0 < far < inf else x_scale
    steepness = 0.0  # at the start, by which value and gradient are divided

    def full(u: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal lowest, steepness
        x = np.clip(u * x_scale, *box)
        f, g = objective.full(x)
        if f < lowest[0] and np.isfinite(g).all():
            lowest = f, x
        g = g * x_scale
        steepness = steepness or float(np.linalg.norm(g))
        return f / steepness, g / steepness

    bounds = list(zip(*(side / x_scale for side in box), strict=True))
    limits = {"maxfun": passes, "maxiter": passes, "ftol": 0.0, "gtol": 0.0}
    with np.errstate(all="ignore"):
        minimize(full, x0 / x_scale, jac=True, method="L-BFGS-B", bounds=bounds, options=limits)
    return lowest[1]
