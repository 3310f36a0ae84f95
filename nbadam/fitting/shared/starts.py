"""Starts of fits with shared parameters: found for each data set by itself, and tried on the whole."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...status import Status
from ..problem import Plan, bounds_of
from ..search.explore import ENOUGH, SAME, levels
from ..search.library import fit_without_start
from .whole import Whole

TRIALS = 4  # starts of the whole, at most


class Search:
    """The search for the start of a fit with shared parameters, of data sets with one model.

    Each data set is fitted by itself first.  The whole then starts from the medians of the shared values that
    were found, and from those of single data sets.  The latter are needed where terms can be exchanged: equal
    solutions then have no median.

    Parameters
    ----------
    sets : DataSets or RaggedSets
    plan : Plan
        Of fits of each data set by itself.
    shared : ndarray of int, shape (k,)
        The shared ones among the parameters.
    values : ndarray of int, shape (fits, k)
        The numbers of their values.

    Attributes
    ----------
    n_starts : int
        Starts of the whole that were tried.
    n_reached : ndarray of int, shape (fits,)
        How many of them led to the lowest chi-square.
    nfev : ndarray of int, shape (fits,)
        Evaluations of each data set.
    """

    shared: np.ndarray
    values: np.ndarray
    n_starts: int
    n_reached: np.ndarray
    nfev: np.ndarray

    def __init__(self, sets: Any, plan: Plan, shared: np.ndarray, values: np.ndarray) -> None:
        self.shared, self.values = shared, values
        everything = np.arange(sets.fits)
        fits, error, _ = fit_without_start(sets, plan)
        if isinstance(error, KeyboardInterrupt):
            raise error
        self.n_starts, self.n_reached, self.nfev = 0, np.zeros(sets.fits, int), fits.nfev.astype(int)
        self.rounding: np.ndarray = levels(sets, plan, everything)
        self.sound: Any = fits.status == Status.SUCCESS
        self.popt: np.ndarray = np.array(plan.start(everything), float)
        if self.sound.any():
            free = ~plan.fixed
            self.popt[:, free] = np.median(fits.popt[self.sound][:, free], axis=0)
            self.popt[self.sound] = fits.popt[self.sound]
            lower, upper = bounds_of(plan, everything, free.size)
            self.popt[:, free] = np.clip(self.popt, lower, upper)[:, free]

    def best(self, whole_of: Callable[[np.ndarray], Whole]) -> Whole:
        """Return the fit with the lowest chi-square, of each problem by itself.

        Parameters
        ----------
        whole_of : callable
            Makes the `Whole` of all data sets for their starts.
        """
        kept: Whole | None = None
        best = self.popt.copy()
        for start in self._trials():
            whole = whole_of(start)
            whole.run()
            if not self.n_starts:
                points, chi2 = np.full(whole.count, -1.0), np.full(whole.count, np.inf)
                reached = np.zeros(whole.count, int)
            self.n_starts += 1
            numbers, problem = whole.parts[0].numbers, whole.problem_of(0)
            self.nfev[numbers] += whole.states[0].nfev
            new = np.where(np.isfinite(whole.chi2), whole.chi2, np.inf)
            # A start from which data sets have no fit leaves them out, and has a lower chi-square for that.
            is_whole = whole.points == points
            with np.errstate(invalid="ignore"):
                rounding = np.bincount(problem, self.rounding[numbers], whole.count)
                same = is_whole & (np.abs(new - chi2) <= SAME * np.abs(chi2) + rounding)
            lower = (whole.points > points) | (is_whole & (new < chi2) & ~same)
            reached = np.where(lower, 0, reached) + ((whole.code == Status.SUCCESS) & (same | lower))
            points, chi2 = np.where(lower, whole.points, points), np.where(lower, new, chi2)
            best[numbers[lower[problem]]] = start[numbers[lower[problem]]]
            self.n_reached[numbers] = reached[problem]
            if lower[np.isfinite(chi2)].all():
                kept = whole
            elif lower.any():  # the best starts of the problems are of different trials
                kept = None
            if (reached[np.isfinite(chi2)] >= ENOUGH).all():
                break
        if kept is None:
            kept = whole_of(best)
            kept.run()
        else:
            self.nfev[kept.parts[0].numbers] -= kept.states[0].nfev
        return kept

    def _trials(self) -> Iterator[np.ndarray]:
        """Return starts of the whole."""
        yield self.popt
        for trial in range(TRIALS - 1):
            start = self.popt.copy()
            for j, numbers in zip(self.shared, self.values.T, strict=True):
                known = np.flatnonzero(self.sound)
                known = known[np.argsort(numbers[known], kind="stable")]
                some, first, count = np.unique(numbers[known], return_index=True, return_counts=True)
                chosen = np.full(numbers.max() + 1, -1)
                chosen[some] = known[first + (2 * trial + 1) * count // (2 * TRIALS - 2)]
                which = np.flatnonzero(chosen[numbers] >= 0)
                start[which, j] = self.popt[chosen[numbers[which]], j]
            yield start
