"""Jacobians of fits in double precision, as QR factors, and the covariances that follow from them.

Normal equations square the condition number.  A parabola over a year of day numbers has one of 1e9.  Its
normal matrix tells nothing in double precision, its Jacobian all that is needed.
"""

from typing import Any

import numpy as np

from .. import _linalg as linalg
from .data import DataSets, RaggedSets
from .kernels.kernels import run
from .kernels.rows import rows_kernel
from .model.constants import Lifted, lifted
from .model.pointwise import pointwise
from .problem import Plan, bounds_of

EPSILON = float(np.finfo(float).eps)
POINTS = 1 << 14  # factored at a time: their Jacobian takes a few MB
ACCURACY = 1e-6  # relative error of a standard error; above it the parameters count as undetermined
SINGULAR = 1e-2  # the same, above which a step is not worth trying
ROUNDING = 4 * EPSILON  # relative error of a derivative
OF_DIFFERENCES = 1e-3, 1e-10  # accuracy and rounding for derivatives by differences


class Jacobians:
    """Jacobians of some fits, in double precision, as factors.

    Parameters
    ----------
    sets : DataSets or RaggedSets
    plan : Plan
    chosen : ndarray of int
        The numbers of the data sets.
    """

    x: np.ndarray
    data: np.ndarray
    f_scale: float
    lower: np.ndarray
    upper: np.ndarray
    accuracy: float

    def __init__(self, sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray) -> None:
        block = sets.block(chosen, np.float64)
        self.rows: Any = rows_kernel(plan.model, block.weighted, block.own_x, block.correlated, plan.loss)
        self.lifted: Lifted = lifted(plan.model)
        self.x, self.data, self.f_scale = block.x, block.data, plan.f_scale
        n = len(plan.model.parameters)
        bounds = (np.ascontiguousarray(bound, float) for bound in bounds_of(plan, chosen, n))
        self.lower, self.upper = bounds
        self.points = block.data.shape[2] if block.correlated else POINTS
        self.exact: bool = by_exact_derivatives(plan)
        self.data_rounding: Any = block.rounding
        # Errors of the points' derivatives share out as a mean's do.
        self.n_points: np.ndarray = np.maximum(block.points, 1)
        self.accuracy, rounding = (ACCURACY, ROUNDING) if self.exact else OF_DIFFERENCES
        self.rounding: np.ndarray = rounding / np.sqrt(self.n_points)

    def of(self, which: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return factors R of the given fits at `p`, ``Q.T @ residuals`` as last column, and chi-square."""
        arrays = (self.data, p, self.lower, self.upper)
        data, p, lower, upper = (np.ascontiguousarray(a if a is p else a[which]) for a in arrays)
        m, n = data.shape[2], p.shape[1]
        factor: np.ndarray = np.empty((len(p), 0, n + 1))
        chi2, constants = np.zeros(len(p)), self.lifted.constants
        for first in range(0, m, self.points):
            last = min(first + self.points, m)
            out = np.empty((len(p), last - first, n + 1))
            run(self.rows, self.x, constants, data, p, lower, upper, self.f_scale, first, last, out, chi2)
            factor = triangle_of(np.concatenate([factor, out], axis=1))
        square = np.concatenate([factor, np.zeros((len(p), n, n + 1))], axis=1)[:, :n]  # also of few points
        return square, chi2


def by_exact_derivatives(plan: Plan) -> bool:
    """Whether derivatives have only the rounding errors of a formula."""
    return pointwise(plan.model).derivatives != "differences"


def triangle_of(matrices: np.ndarray) -> np.ndarray:
    """Return the factors R of matrices."""
    factor = linalg.qr(matrices, mode="r")
    assert isinstance(factor, np.ndarray)
    return factor


def only(factor: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return factors for the active parameters alone; the others have a 1 on the diagonal."""
    if active.all():
        return factor
    fits, n = active.shape
    columns = np.concatenate([active, np.ones((fits, 1), bool)], axis=1)
    others = np.concatenate([np.eye(n) * ~active[:, None], np.zeros((fits, n, 1))], axis=2)
    return triangle_of(np.concatenate([np.where(columns[:, None], factor, 0), others], axis=1))[:, :n]


def steps(factor: np.ndarray, p: Any, lower: Any, upper: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the full steps of the parameters that do not leave their bounds, and their predictions."""
    active = lower < upper
    while True:
        triangle = only(factor, active)
        step = np.where(active, linalg.solve(triangle[..., :-1], triangle[..., -1:])[..., 0], 0)
        outward = ((step < 0) & (p <= lower)) | ((step > 0) & (p >= upper))
        if not outward.any():
            return step, (np.where(active, triangle[..., -1], 0) ** 2).sum(axis=1)
        active &= ~outward


def inverses(factor: np.ndarray, free: np.ndarray, rounding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return inverses of the factors, and the largest relative error of a standard error by rounding.

    A covariance matrix is the product of an inverse and its transpose.  Combinations of parameters want the
    inverse itself: in the product they may cancel.

    Parameters
    ----------
    factor : ndarray, shape (fits, n, n + 1)
    free : ndarray of bool, shape (n,)
        The rows of the other parameters become 0.
    rounding : ndarray, shape (fits,)
        Relative error of the Jacobian's columns.
    """
    square = only(factor, np.broadcast_to(free, factor.shape[:2]))[..., :-1].copy()
    diagonal = np.einsum("fii->fi", square)
    diagonal[diagonal == 0] = np.finfo(float).tiny  # not singular, and far from determined
    inverse = linalg.inv(square)
    # The condition number of each column: its length by that of its part that no other column has.
    condition = np.linalg.norm(square, axis=1) * np.linalg.norm(inverse, axis=2)
    error = rounding * condition.max(axis=1)
    return np.where(free[:, None] & free, inverse, 0), np.where(np.isnan(error), np.inf, error)


def inverses_at(
    sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray, popt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse factors of Jacobians at `popt`, and chi-square, in double precision."""
    jacobians = Jacobians(sets, plan, chosen)
    with np.errstate(all="ignore"):
        factor, chi2 = jacobians.of(np.arange(len(chosen)), np.ascontiguousarray(popt, float))
        inverse, error = inverses(factor, ~plan.fixed, jacobians.rounding)
    inverse[error > jacobians.accuracy] = np.inf
    return inverse, chi2
