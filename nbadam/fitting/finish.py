"""The end of fits that are ill-conditioned: last steps and covariances by QR factors of the Jacobian.

Normal equations square the condition number.  A parabola over a year of day numbers has one of 1e9.  Its
normal matrix tells nothing in double precision, its Jacobian all that is needed.
"""

from typing import Any

import numpy as np

from .. import _linalg as linalg
from ..status import Status
from .covariance import LANES, unsure_kernel
from .data import DataSets, RaggedSets
from .kernels.kernels import run
from .kernels.rows import rows_kernel
from .kernels.trust_region import DIVERGED, EXACT, LEAST_PIVOT, least_chi2
from .model.constants import Lifted, lifted
from .model.pointwise import pointwise
from .problem import Fits, Plan, bounds_of, box

EPSILON = float(np.finfo(float).eps)
POINTS = 1 << 14  # factored at a time: their Jacobian takes a few MB
ACCURACY = 1e-6  # relative error of a standard error; above it the parameters count as undetermined
SINGULAR = 1e-2  # the same, above which a step is not worth trying
SMALLEST_PART = 1e-6  # a fit ends where so small a part of a step raises chi-square
ROUNDING = 4 * EPSILON  # relative error of a derivative
OF_DIFFERENCES = 1e-3, 1e-10  # accuracy and rounding for derivatives by differences
NEARBY = 1e-2  # standard errors; at points so near, differences must agree about the errors
LIMITS = {
    name: np.array([least, (EXACT * np.finfo(name).eps) ** 2, least_chi2(name)])
    for name, least in LEAST_PIVOT.items()
}
NONE = 100  # units of rounding of the model; parameters that change it by less may be 0
SAME = 2  # largest ratio of standard errors, one error apart, of fits that do not run away
SPARE = 20  # evaluations that the kernel leaves for last steps, at most


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


def size_of_terms(p: Any, factor: Any) -> Any:
    """Return the size of the terms of models: of each parameter times the derivative by it."""
    return np.linalg.norm(p * np.linalg.norm(factor[..., :-1], axis=1), axis=1)


def is_exact(plan: Plan, p: Any, factor: Any, chi2: Any) -> np.ndarray:
    """Tell where the residuals are nothing but rounding."""
    terms = size_of_terms(p, factor)
    return chi2 <= np.maximum((EXACT * np.finfo(plan.dtype).eps * terms) ** 2, least_chi2(plan.dtype))


def vanishing(jacobians: Jacobians, plan: Plan, p: Any, factor: Any, chi2: Any, inverse: Any) -> np.ndarray:
    """Tell where parameters are determined only by terms of the model that rounding does not tell from 0.

    The rate of a decay whose amplitude is 1e-16 of the data, for example: of constant data.  Of data that
    are all 0 it is 1e-160, where chi-square has lost its digits.
    """
    terms = size_of_terms(p, factor)
    least = np.maximum(np.finfo(plan.dtype).eps * terms, np.sqrt(least_chi2(plan.dtype)))
    # Not the residuals: `is_exact` leaves room for 100 units, and there may be noise of that size.
    scatter = least / np.sqrt(jacobians.n_points)
    insignificant = np.abs(p) <= NONE * scatter[:, None] * np.linalg.norm(inverse, axis=2)
    none = is_exact(plan, p, factor, chi2)[:, None] & insignificant & (p != 0) & ~plan.fixed
    found = np.zeros(len(p), bool)
    without = p.copy()
    # One after another: a width, without effect as long as there is no peak, cannot be 0.
    for i in np.flatnonzero(none.any(axis=0)):
        which = np.flatnonzero(none[:, i])
        trial = without[which]
        trial[:, i] = 0
        factor, value = jacobians.of(which, trial)
        error = inverses(factor, ~plan.fixed, jacobians.rounding[which])[1]
        found[which] |= np.isfinite(value) & (error > jacobians.accuracy)
        remains = is_exact(plan, trial, factor, value)
        without[which[remains]] = trial[remains]
    return found


def shaky(jacobians: Jacobians, plan: Plan, p: Any, factor: Any, chi2: Any, inverse: Any) -> np.ndarray:
    """Tell where standard errors depend on the rounding of the model.

    They are computed again for parameters that differ by some units of rounding: a phase in radians since
    1970, for example, has few digits left.  The size of the residuals does not count where rounding the
    data, or the values of any model, changes it by more than the accuracy.  Differences may err by more than
    units of rounding tell, where the values of a model have few digits: for them parameters differ by a part
    of their errors.
    """
    rounded = chi2 <= (jacobians.data_rounding() / jacobians.accuracy) ** 2
    rounded |= is_exact(plan, p, factor, chi2)

    def ratios(change: Any) -> Any:
        near = np.clip(p + change, jacobians.lower, jacobians.upper)
        again, value = jacobians.of(np.arange(len(p)), near)
        other = inverses(again, ~plan.fixed, jacobians.rounding)[0]
        ratio = np.linalg.norm(other, axis=2) / np.linalg.norm(inverse, axis=2)
        return (ratio * np.where(rounded, 1, np.sqrt(value / chi2))[:, None])[:, ~plan.fixed]

    if jacobians.exact:
        off = np.maximum(*(np.abs(ratios(change) - 1) for change in (4 * EPSILON * p, -4 * EPSILON * p)))
    else:
        scatter = standard_residual(jacobians, plan, p, chi2)
        change = NEARBY * scatter[:, None] * inverse.sum(axis=2)
        room = np.minimum(p - jacobians.lower, jacobians.upper - p)
        change = np.where(np.abs(change) <= room, change, 0)
        # Errors that change in proportion to the parameters do so to both sides.
        off = np.abs((ratios(change) + ratios(-change)) / 2 - 1)
    found: np.ndarray = (off > 0.5 * jacobians.accuracy).any(axis=1)
    return found


def diverging(jacobians: Jacobians, plan: Plan, p: Any, factor: Any, chi2: Any, inverse: Any) -> np.ndarray:
    """Tell where two parameters far less than their standard errors run away together.

    Symmetric or orthogonal data have parameters of 0, to rounding, that are well determined: there the
    errors of all parameters are about the same one error away.
    """
    errors = standard_residual(jacobians, plan, p, chi2)[:, None] * np.linalg.norm(inverse, axis=2)
    far = np.isfinite(errors) & (errors > DIVERGED * np.abs(p))
    far &= (p > jacobians.lower) & (p < jacobians.upper)
    found: np.ndarray = far.sum(axis=1) > 1
    which = np.flatnonzero(found)
    if which.size:
        far, size = far[which], np.linalg.norm(inverse[which], axis=2)
        holds = np.ones(far.shape, bool)
        for change in (errors[which], -errors[which]):
            near = np.clip(p[which] + far * change, jacobians.lower[which], jacobians.upper[which])
            other = inverses(jacobians.of(which, near)[0], ~plan.fixed, jacobians.rounding[which])[0]
            ratio = np.linalg.norm(other, axis=2) / size
            holds &= (ratio < SAME) & (ratio > 1 / SAME)
        # Of all: an amplitude is linear, its peak's width is not.
        found[which] = ~holds[:, ~plan.fixed].all(axis=1)
    return found


def standard_residual(jacobians: Jacobians, plan: Plan, p: Any, chi2: Any) -> np.ndarray:
    """Return the standard deviations of the residuals; likelihoods know them."""
    if plan.loss.is_likelihood:
        return np.ones(len(p))
    return np.sqrt(chi2 / np.maximum(jacobians.n_points - p.shape[1], 1))


def improve(
    jacobians: Jacobians, p: Any, lower: Any, upper: Any, nfev: Any, ftol: float, max_nfev: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make Gauss-Newton steps as long as they lower chi-square.

    Parameters
    ----------
    p, lower, upper : ndarray, shape (fits, n)
        `p` is changed.  Parameters with equal bounds are fixed.
    nfev : ndarray of int, shape (fits,)
        Evaluations so far; changed.
    max_nfev : ndarray of int, shape (fits,)
        How many there may be.

    Returns
    -------
    factor, inverse, chi2 : ndarrays
        At `p`; the inverse is infinite where parameters are not determined.
    ended : ndarray of bool, shape (fits,)
        Where no full step would lower chi-square by more than `ftol` of it, or than rounding hides.
    """
    fits = len(p)
    free = (lower < upper).any(axis=0)
    factor, chi2 = jacobians.of(np.arange(fits), p)
    part, ended, at_work = np.ones(fits), np.zeros(fits, bool), np.arange(fits)
    while True:
        inverse, error = inverses(factor, free, jacobians.rounding)
        at_work = at_work[error[at_work] < SINGULAR]
        step, reduction = steps(factor[at_work], p[at_work], lower[at_work], upper[at_work])
        # Steps may lower rounding errors for ever, where a parameter goes towards 0.
        exact = chi2[at_work] <= noise(factor[at_work], p[at_work], 0)
        ended[at_work] = (reduction <= ftol * chi2[at_work]) | exact
        goes_on = ~ended[at_work] & (nfev[at_work] < max_nfev[at_work]) & (part[at_work] > SMALLEST_PART)
        at_work, step, reduction = at_work[goes_on], step[goes_on], reduction[goes_on]
        if not at_work.size:
            inverse[error > jacobians.accuracy] = np.inf
            return factor, inverse, chi2, ended
        trial = np.clip(p[at_work] + part[at_work, None] * step, lower[at_work], upper[at_work])
        new_factor, new_chi2 = jacobians.of(at_work, trial)
        nfev[at_work] += 1
        better = new_chi2 < chi2[at_work]
        hidden = ~better & (reduction <= noise(factor[at_work], p[at_work], chi2[at_work]))
        ended[at_work[hidden]] = True
        part[at_work] = np.where(better, np.minimum(1, 2 * part[at_work]), part[at_work] / 4)
        improved = at_work[better]
        p[improved], factor[improved], chi2[improved] = trial[better], new_factor[better], new_chi2[better]
        at_work = at_work[~hidden]


def noise(factor: np.ndarray, p: np.ndarray, chi2: np.ndarray | float) -> np.ndarray:
    """Estimate the error of chi-square that comes from rounding the terms of the model."""
    size = EPSILON * (np.abs(p) * np.linalg.norm(factor[..., :-1], axis=1)).sum(axis=1)
    return size * (2 * np.sqrt(chi2) + size)


def spare(max_nfev: int) -> int:
    """Return how many evaluations to leave for last steps."""
    return min(SPARE, max_nfev // 10)


def finish(sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray, fits: Fits, max_nfev: int) -> None:
    """Look at ill-conditioned fits again: improve them, and mark them where a parameter is not determined.

    Parameters
    ----------
    chosen : ndarray of int
        The numbers of the data sets.
    fits : Fits
        Results of the kernel for them; changed.
    max_nfev : int
        Evaluations that a fit may have had; 0 leaves the parameters as they are.
    """
    with np.errstate(all="ignore"):
        _finish(sets, plan, chosen, fits, max_nfev)


def _finish(sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray, fits: Fits, max_nfev: int) -> None:
    which = np.flatnonzero(fits.unsure)
    if which.size:
        which = which[_unsure(plan, fits if which.size == len(chosen) else fits[which], max_nfev)]
    if not by_exact_derivatives(plan):
        which = np.union1d(which, np.flatnonzero(fits.status == Status.SUCCESS.value))
    if not which.size:
        return
    p = fits.popt[which].astype(float)
    lower, upper = bounds_of_fits(plan, chosen[which], fits.popt[which])
    jacobians = Jacobians(sets, plan, chosen[which])
    nfev = fits.nfev[which]
    status = fits.status[which]
    status[status == Status.UNDETERMINED] = Status.SUCCESS  # the kernel tells by the normal matrix only
    ftol = max(plan.ftol, 4 * EPSILON)
    # Those that run away hardly ever come back, and crawl: some took a thousand steps of a millisecond.  Of
    # 43,000 fits from poor starts none came back after 20.
    limit = np.where(status == Status.RUNAWAY, np.minimum(nfev + SPARE, max_nfev), max_nfev)
    factor, inverse, chi2, ended = improve(jacobians, p, lower, upper, nfev, ftol, limit)
    ended |= chi2 <= jacobians.data_rounding() ** 2  # steps towards 0 may go on for ever
    if max_nfev:
        status = np.where(ended, Status.SUCCESS, np.where(status == Status.SUCCESS, Status.MAXITER, status))
    state = jacobians, plan, p, factor, chi2, inverse
    inverse[vanishing(*state) | shaky(*state)] = np.inf
    undetermined = np.isinf(inverse).any(axis=(1, 2))
    status = np.where(undetermined, Status.UNDETERMINED, status)
    status = np.where(diverging(*state) & ~undetermined, Status.RUNAWAY, status)
    fits.popt[which], fits.nfev[which], fits.chi2[which], fits.status[which] = p, nfev, chi2, status
    rows, columns = np.triu_indices(p.shape[1])
    fits.information[which], fits.is_inverse[which] = inverse[:, rows, columns], True


def _unsure(plan: Plan, fits: Fits, max_nfev: int) -> np.ndarray:
    """Tell which fits to look at again: see `covariance.unsure`."""
    found = np.empty(len(fits.status), bool)
    n, pairs = fits.popt.shape[1], fits.information.shape[1]
    dtype = plan.dtype.type.__name__  # NumPy takes long for the name of a dtype
    unsure_kernel(dtype)(
        fits.information, fits.popt, fits.chi2, fits.status, fits.nfev, ~plan.fixed, LIMITS[dtype], max_nfev,
        np.empty((pairs + n + 3, LANES)), found,
    )  # fmt: skip
    return found


def bounds_of_fits(plan: Plan, chosen: np.ndarray, popt: np.ndarray) -> list[np.ndarray]:
    """Return lower and upper bounds of some fits, those of fixed parameters their values in `popt`."""
    if not plan.bounded:
        return [np.full(popt.shape, -np.inf), np.full(popt.shape, np.inf)]
    return [bound.astype(float) for bound in box(plan, chosen, popt)]


def look_again(
    sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray, popt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse factors of Jacobians at `popt`, and chi-square, in double precision."""
    jacobians = Jacobians(sets, plan, chosen)
    with np.errstate(all="ignore"):
        factor, chi2 = jacobians.of(np.arange(len(chosen)), np.ascontiguousarray(popt, float))
        inverse, error = inverses(factor, ~plan.fixed, jacobians.rounding)
    inverse[error > jacobians.accuracy] = np.inf
    return inverse, chi2
