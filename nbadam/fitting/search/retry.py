"""The option `search`: fits that may have ended at a wrong minimum start again from points that Adam finds.

Which scale Adam's steps should have depends on what is wrong with the start, so both are tried.  Of
what they and Levenberg-Marquardt alone have found, each fit keeps the lowest `chi2`.
"""

from typing import Any

import numpy as np

from ...status import Status
from ..finish import fit_and_finish
from ..kernels import adam
from ..problem import ENDED, Fits, Plan, Problem
from .structure import is_structured

# Steps and first learning rate, a share of each parameter's scale.
WARM_UPS = ((50, 0.1, adam.ABSOLUTE), (20, 0.1, adam.JACOBIAN))


def to_retry(sets: Any, plan: Plan, fits: Fits, chosen: np.ndarray) -> np.ndarray:
    """Return which of the given fits to try again, shape (chosen,); each fit's own data decide."""
    possible = ~np.isin(fits.status[chosen], (Status.TOO_FEW_POINTS, Status.NOT_RUN))
    if plan.search == "all":
        return possible
    doubtful = fits.status[chosen] != Status.SUCCESS
    done = np.flatnonzero(~doubtful)
    if done.size:
        doubtful[done] = is_structured(sets, plan, chosen[done], fits.popt[chosen[done]])
    return possible & doubtful


def keep_better(found: Fits, again: Fits, rounding: np.ndarray) -> np.ndarray:
    """Put the fits of `again` that are better into `found`; return which are.

    Of fits that are equal but for `rounding`, chi-squares of shape (fits,), the first one that has converged
    stays.
    """
    margin = 1e-12 * np.abs(found.chi2) + rounding
    was, has = found.status == Status.SUCCESS, again.status == Status.SUCCESS
    limit = found.chi2 + np.where(was, -margin, np.where(has, margin, 0))
    better = np.isin(again.status, ENDED) & ~(again.chi2 >= limit)
    for name in ("popt", "information", "is_inverse", "chi2", "status"):
        array = getattr(found, name)
        array[better] = getattr(again, name)[better]
    return better


def retry_block(sets: Any, plan: Plan, fits: Fits, chosen: np.ndarray) -> None:
    """Warm up and finish the given fits, and keep what is better."""
    problem = Problem(sets, plan, chosen)
    found = fits[chosen]
    for warm_up in WARM_UPS:
        again = fit_and_finish(problem, chosen, problem.warmed_up(*warm_up))
        found.nfev += warm_up[0] + again.nfev
        keep_better(found, again, problem.chi2_of_rounding())
    fits[chosen] = found
