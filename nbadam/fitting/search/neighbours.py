"""The option ``search="neighbours"``: fits start again from the solutions next to them in the batch."""

from dataclasses import replace
from typing import Any

import numpy as np

from ...status import Status
from ..finish import fit_and_finish
from ..problem import Fits, Plan, Problem, bounds_of
from .explore import fitted, levels
from .retry import keep_better

GAIN = 1e-9  # least fall of chi-square, a share of it, that makes neighbours try again


def improve(sets: Any, plan: Plan, fits: Fits, batch: tuple[int, ...]) -> KeyboardInterrupt | None:
    """Start every fit from its neighbours' solutions along each axis, and keep the best.

    Then those next to a fit that has gained try again, until none gains: a good solution spreads.  All start
    from the solutions of the sweep before, so that the order of the fits does not matter.

    Parameters
    ----------
    sets, plan
    fits : Fits
        Of all data sets; those that are better replace them.
    batch : tuple of int
        Shape of the batch.

    Returns
    -------
    KeyboardInterrupt or None
        If Ctrl-C ended it; the fits are whole.
    """
    possible = ~np.isin(fits.status, (Status.TOO_FEW_POINTS, Status.NOT_RUN))
    has_gained = possible.copy()
    try:
        for _ in range(sets.fits):  # as far as the longest way through masked fits
            popt, sound = fits.popt.copy(), fits.status == Status.SUCCESS
            gained = np.zeros(sets.fits, bool)
            for other in _neighbours(batch):
                which = np.flatnonzero(possible & (other >= 0) & (sound & has_gained)[other])
                if which.size:
                    better = _started_from(sets, plan, fits, which, popt[other[which]])
                    gained[which[better]] = True
            if not gained.any():
                break
            has_gained = gained
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("All fits are finished; the attribute `result` of this exception has them.")
        return interrupt
    return None


def _neighbours(batch: tuple[int, ...]) -> list[np.ndarray]:
    """Return each data set's neighbour on both sides along each axis, by number; -1 where there is none."""
    numbers = np.pad(np.arange(np.prod(batch)).reshape(batch), 1, constant_values=-1)
    inner = (slice(1, -1),) * len(batch)
    return [np.roll(numbers, step, axis)[inner].ravel() for axis in range(len(batch)) for step in (1, -1)]


def _started_from(sets: Any, plan: Plan, fits: Fits, which: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Fit some data sets again from given starts; return which are better, and have replaced the fits."""
    start[:, plan.fixed] = plan.start(which)[:, plan.fixed]
    start = np.ascontiguousarray(np.clip(start, *bounds_of(plan, which, plan.fixed.size)), plan.dtype)

    def work(problem: Problem, part: np.ndarray) -> Fits:
        return fit_and_finish(problem, part, np.ascontiguousarray(start[part]))

    again = fitted(sets, replace(plan, progress=False), which, work)
    before = fits[which]
    better = keep_better(before, again, levels(sets, plan, which) + GAIN * np.abs(before.chi2))
    before.nfev += again.nfev
    fits[which] = before
    return better
