"""Parameters in which a model is linear, found by trying."""

from typing import Any

import numpy as np

from ..kernels.losses import Loss
from ..model.pointwise import pointwise
from ..problem import Fits, Plan, Problem, bounds_of
from .draws import spread, uniform_points
from .explore import fitted

TRIALS = 16
SEED = 20_000  # seed of the points at which linearity is tried; any will do
OF_DIFFERENCES = 1e-4  # relative error of sums of squared derivatives by differences


def linear_parameters(sets: Any, plan: Plan, number: int) -> np.ndarray:
    """Return the numbers of parameters in which the model is linear together, as many as possible.

    A model is linear in some parameters if its derivatives by them depend on none of them.  At random points
    each parameter takes another value: a derivative has stayed the same where its sum of squares has.

    Parameters
    ----------
    sets, plan
    number : int
        The data set whose variables and weights serve.
    """
    n = plan.fixed.size
    lower, upper = (bound[0] for bound in bounds_of(plan, np.array([number]), n))
    points = spread(uniform_points(2 * TRIALS, n, (SEED,)), sets.one(number)[0], lower, upper)
    values = np.repeat(points[:TRIALS, None], n + 1, axis=1)
    for i in range(n):
        values[:, i + 1, i] = points[TRIALS:, i]
    values = np.ascontiguousarray(values.reshape(-1, n), plan.dtype)
    values[:, plan.fixed] = plan.start(np.array([number]))[:, plan.fixed]

    def work(problem: Problem, part: np.ndarray) -> Fits:
        return problem.fitted(values[part], 1, Loss("linear"))

    information = fitted(sets, plan, np.full(len(values), number), work).information
    squares = information[:, [j * (j + 3) // 2 for j in range(n)]].reshape(TRIALS, n + 1, n)
    before, after = squares[:, :1], squares[:, 1:]
    with np.errstate(all="ignore"):
        known = np.isfinite(before) & np.isfinite(after) & (before > 0) & (after > 0)
        changes = np.where(known, np.abs(after / before - 1), np.nan)
    changes[0, ~known.any(axis=0)] = np.inf
    limit = np.sqrt(np.finfo(plan.dtype).eps)
    if pointwise(plan.model).derivatives == "differences":  # where another term is huge, they are anything
        depends = np.nanmedian(changes, axis=0) > max(limit, OF_DIFFERENCES)
    else:
        depends = np.nanmax(changes, axis=0) > limit
    return independent(depends | depends.T, ~plan.fixed & ~np.diagonal(depends))


def independent(conflicts: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return candidates without a conflict between them; those with the most conflicts are left out."""
    left = np.flatnonzero(candidates)
    while True:
        counts = (conflicts[np.ix_(left, left)] & ~np.eye(left.size, dtype=bool)).sum(axis=1)
        if not counts.any():
            return left
        left = np.delete(left, counts.size - 1 - counts[::-1].argmax())
