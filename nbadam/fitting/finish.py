"""The end of ill-conditioned fits: last steps by QR factors of the Jacobian, covariance and status."""

from typing import Any

import numpy as np

from ..status import Status
from .covariance import LANES, unsure_kernel
from .data import DataSets, RaggedSets
from .identifiability import diverging, shaky, vanishing
from .jacobians import EPSILON, SINGULAR, Jacobians, by_exact_derivatives, inverses, steps
from .kernels.trust_region import EXACT, LEAST_PIVOT, least_chi2
from .problem import Fits, Plan, Problem, box

SMALLEST_PART = 1e-6  # a fit ends where so small a part of a step raises chi-square
LIMITS = {
    name: np.array([least, (EXACT * np.finfo(name).eps) ** 2, least_chi2(name)])
    for name, least in LEAST_PIVOT.items()
}
SPARE = 20  # evaluations that the kernel leaves for last steps, at most


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


def fit_and_finish(problem: Problem, chosen: np.ndarray, start: np.ndarray, room: Fits | None = None) -> Fits:
    """Fit the data sets of a problem, whose numbers are given, and leave some evaluations for last steps."""
    plan = problem.plan
    fits = problem.fitted(start, plan.max_nfev - min(SPARE, plan.max_nfev // 10), room=room)
    finish(problem.sets, plan, chosen, fits, plan.max_nfev)
    return fits


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
    which = np.union1d(which, _of_zeros(sets, plan, chosen, fits))
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


def _of_zeros(sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray, fits: Fits) -> np.ndarray:
    """Return the numbers of successes on data that are all 0, whose chi-square depends on the units."""
    is_small = fits.chi2 < np.sqrt(np.finfo(plan.dtype).tiny)
    which = np.flatnonzero(is_small & (fits.status == Status.SUCCESS.value))
    return which[sets.block(chosen[which], plan.dtype).rounding() == 0] if which.size else which


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
