"""The option `search`: fits that may have ended at a wrong minimum start again from points that Adam finds.

Which scale Adam's steps should have depends on what is wrong with the start, so both are tried.  Of
what they and Levenberg-Marquardt alone have found, each fit keeps the lowest `chi2`.
"""

import numpy as np

from ..status import Status
from . import adam
from .finish import finish, spare
from .problem import ENDED, Fits, Plan, Problem

# Steps and first learning rate, a share of each parameter's scale.
WARM_UPS = ((50, 0.1, adam.ABSOLUTE), (20, 0.1, adam.JACOBIAN))
FEW = 10  # fits from which on an outlier can be told


def to_retry(fits: Fits, plan: Plan) -> np.ndarray:
    """Return the numbers of the fits to try again."""
    possible = ~np.isin(fits.status, (Status.TOO_FEW_POINTS, Status.NOT_RUN))
    if plan.search == "all" or fits.status.size < FEW:
        return np.flatnonzero(possible)
    converged = fits.status == Status.SUCCESS
    dof = np.maximum(fits.n_points - np.count_nonzero(~plan.fixed), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(fits.chi2 / dof)
    known = level[converged & np.isfinite(level)]
    if not known.size:
        return np.flatnonzero(possible)
    low, high = np.quantile(known, [0.25, 0.75])
    outlier = level > high + 1.5 * (high - low)  # beyond Tukey's fence
    return np.flatnonzero(possible & (outlier | ~converged))


def retry_block(sets, plan: Plan, fits: Fits, chosen: np.ndarray) -> None:
    """Warm up and finish the given fits, and keep what is better."""
    problem = Problem(sets, plan, chosen)
    found = fits[chosen]
    for warm_up in WARM_UPS:
        again = problem.fitted(problem.warmed_up(*warm_up), plan.max_nfev - spare(plan.max_nfev))
        finish(sets, plan, chosen, again, plan.max_nfev)
        again.nfev += warm_up[0] + found.nfev
        # Equal but for rounding: the first one that has converged.
        margin = 1e-12 * np.abs(found.chi2) + problem.chi2_of_rounding()
        was, has = found.status == Status.SUCCESS, again.status == Status.SUCCESS
        limit = found.chi2 + np.where(was, -margin, np.where(has, margin, 0))
        better = np.isin(again.status, ENDED) & ~(again.chi2 >= limit)
        found.nfev = again.nfev
        for name in ("popt", "information", "is_inverse", "chi2", "status"):
            array = getattr(found, name)
            array[better] = getattr(again, name)[better]
    fits[chosen] = found
