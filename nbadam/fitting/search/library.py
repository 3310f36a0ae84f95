"""Fits of data sets for which nobody has told where to start.

A few data sets are searched each by itself (`explore`).  Together they could take a million searches; but the
data sets of a batch are alike.  So the solutions that were found become a library: each other data set starts
from the entry that fits it best, and those that then stand out are tried again with a larger one.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ...blocks import is_called_off
from ...status import Status
from ..batch import fit_all, run
from ..finish import fit_and_finish
from ..kernels.compile import LONG
from ..kernels.kernels import ModelError
from ..problem import Fits, Plan, Problem
from .explore import MOST, STARTS, explore, levels
from .linear import linear_parameters
from .minima import Minima
from .retry import keep_better
from .structure import is_structured

OWN = 16  # data sets of a batch that are all searched by themselves
SAMPLE = 8  # data sets searched at a time
AGAIN = 4  # data sets of the pilot that are searched longer
PILOT = 256  # data sets that fill the library
ENTRIES = 16  # solutions that all data sets are compared with
MORE = 64  # solutions that outliers are compared with
TRIES = 3  # entries that each of these starts from
ROUNDS = 4  # rounds of searches for data sets that still stand out
WORTHWHILE = 0.25  # share of these searches that must find something for all to be searched
FENCE = 1.5  # Tukey's


def fit_without_start(sets: Any, plan: Plan) -> tuple[Fits, BaseException | None, Minima | None]:
    """Fit every data set from starts that are searched for.

    Returns
    -------
    Fits
        Those that are not done have the status `NOT_RUN`.
    BaseException or None
        As of `batch.fit_all`.
    Minima or None
        Of a single data set.
    """
    fits = Fits.empty(sets.fits, plan.fixed.size, plan.dtype)
    minima = None
    try:
        usable = _usable(sets, plan, np.arange(sets.fits) if sets.fits <= OWN else sets.order())
        if not usable.size:
            return *fit_all(sets, replace(plan, search="never")), None
        linear = linear_parameters(sets, replace(plan, progress=False), usable[0])
        if sets.fits <= OWN or plan.search == "all":
            for first in range(0, sets.fits, OWN):
                some = np.arange(first, min(first + OWN, sets.fits))
                fits[some], found = explore(sets, replace(plan, progress=False), some, linear)
                minima = found[0] if sets.fits == 1 else None
        else:
            Library(sets, plan, linear, fits).fit(usable)
    except KeyboardInterrupt as interrupt:
        fits.clear(fits.status == Status.NOT_RUN)
        done = np.count_nonzero(fits.status != Status.NOT_RUN)
        interrupt.add_note(
            f"{done} of {sets.fits} fits are finished; the attribute `result` of this exception has them."
        )
        return fits, interrupt, None
    if fits.status[0] == Status.MODEL_ERROR and sets.fits == 1:
        return *fit_all(sets, replace(plan, search="never")), None
    return fits, None, minima


def spaced(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` of the numbers, evenly spaced."""
    return numbers[np.unique(np.linspace(0, numbers.size - 1, min(count, numbers.size)).round().astype(int))]


def _usable(sets: Any, plan: Plan, order: np.ndarray) -> np.ndarray:
    """Return some data sets, evenly spaced, that have as many points as free parameters."""
    numbers = spaced(order, min(PILOT, max(4 * OWN, order.size // 8)))
    points = np.array([sets.one(i, copy=False)[1].size for i in numbers])
    return numbers[points >= np.count_nonzero(~plan.fixed)]


class Library:
    """Solutions, and the fits of all data sets by them.

    Parameters
    ----------
    sets, plan
    linear : ndarray of int
        Parameters in which the model is linear.
    fits : Fits
        Written.
    """

    sets: Any
    plan: Plan
    linear: np.ndarray
    fits: Fits

    def __init__(self, sets: Any, plan: Plan, linear: np.ndarray, fits: Fits) -> None:
        self.sets, self.plan, self.linear, self.fits = sets, plan, linear, fits
        self.quiet: Plan = replace(plan, progress=False)
        self.entries: np.ndarray = np.zeros((0, plan.fixed.size))

    def fit(self, pilot: np.ndarray) -> None:
        """Fit all data sets; `pilot` are some of them."""
        self.explore(spaced(pilot, SAMPLE), STARTS)
        self.compare(self.quiet, pilot, self.thinned(self.entries, MORE), TRIES)
        self.explore(spaced(pilot[self.stand_out(pilot)], AGAIN), MOST // 4)
        self.compare(self.quiet, pilot, self.thinned(self.entries, MORE), TRIES)
        sound = self.fits.status[pilot] == Status.SUCCESS
        known = np.concatenate([self.entries, self.fits.popt[pilot[sound]]])
        everything = self.sets.order()
        self.compare(self.plan, everything, self.thinned(known, ENTRIES), 1)
        suspects = everything[self.stand_out(everything)]
        self.compare(self.quiet, suspects, self.thinned(known, MORE), TRIES)
        for _ in range(ROUNDS):
            suspects = suspects[self.stand_out(suspects, everything)]
            if not suspects.size:
                return
            sample = spaced(suspects, SAMPLE)
            better = self.explore(sample, STARTS)
            if not better.any():
                return
            entries = self.fits.popt[sample[better]]
            self.compare(self.quiet, suspects, entries, min(TRIES, len(entries)))
        if better.mean() >= WORTHWHILE:
            self.explore(suspects[self.stand_out(suspects, everything)], STARTS)

    def explore(self, numbers: np.ndarray, most: int) -> np.ndarray:
        """Search for some data sets by themselves; return for which of them that found a better fit."""
        if not numbers.size:
            return np.zeros(0, bool)
        found, _ = explore(self.sets, self.quiet, numbers, self.linear, most)
        sound = found.status == Status.SUCCESS
        self.entries = np.concatenate([self.entries, found.popt[sound]])
        return self.keep(numbers, found, 1e-9)

    def keep(self, numbers: np.ndarray, found: Fits, margin: Any = 0.0) -> np.ndarray:
        """Keep what is better than the fits so far, or the first; return which are better."""
        before = self.fits[numbers]
        new = before.status == Status.NOT_RUN
        rounding = levels(self.sets, self.plan, numbers)
        with np.errstate(invalid="ignore"):
            better = keep_better(before, found, rounding + margin * np.abs(before.chi2)) & ~new
        before[new] = found[new]
        before.nfev[~new] += found.nfev[~new]
        before.n_starts[~new] += found.n_starts[~new]
        before.n_reached[~new] = np.where(better, found.n_reached, before.n_reached)[~new]
        self.fits[numbers] = before
        return better

    def thinned(self, entries: np.ndarray, count: int) -> np.ndarray:
        """Return at most `count` entries, each as far as can be from those before."""
        scale = np.quantile(entries, [0.25, 0.75], axis=0) if len(entries) else np.ones((2, 1))
        scale = np.where(scale[1] > scale[0], scale[1] - scale[0], 1)
        free = np.setdiff1d(np.flatnonzero(~self.plan.fixed), self.linear)
        points = (entries / scale)[:, free]
        chosen: list[int] = []
        distance = np.full(len(entries), np.inf)
        while len(chosen) < count and distance.size and distance.max() > 0:
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        return entries[chosen]

    def compare(self, plan: Plan, numbers: np.ndarray, entries: np.ndarray, tries: int) -> None:
        """Start the given data sets from the entries that fit them best."""
        if not numbers.size:
            return
        if not len(entries):
            entries, tries = plan.start(numbers[:1]), 1
        tries = min(tries, len(entries))
        trials = np.ascontiguousarray(entries[None], plan.dtype)

        def task(chosen: np.ndarray) -> None:
            for part in self.sets.parted(chosen, LONG):
                try:
                    problem = Problem(self.sets, plan, part)
                    own = trials
                    if plan.fixed.any():
                        own = np.repeat(trials, part.size, axis=0)
                        own[..., plan.fixed] = problem.p0[:, None, plan.fixed]
                    starts, chi2 = problem.screened(own, self.linear, tries)
                    starts[~np.isfinite(chi2)] = 0
                    for k in range(tries):
                        start = np.where(np.isfinite(chi2[:, k, None]), starts[:, k], problem.p0)
                        found = fit_and_finish(problem, part, start)
                        found.n_starts[:] = found.n_reached[:] = 1
                        if not is_called_off():
                            self.keep(part, found)
                except ModelError:
                    if part.size == 1:
                        self.fits.status[part], self.fits.n_points[part] = Status.MODEL_ERROR, problem.points
                        self.fits.clear(part)
                    for half in np.array_split(part, 2) if part.size > 1 else ():
                        task(half)

        run(plan, self.sets, numbers, task, "fit")

    def stand_out(self, numbers: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
        """Tell which fits have not converged, or have residuals that are large, or not random."""
        among = numbers if among is None else among
        wanting = ~np.isin(self.fits.status[numbers], (Status.SUCCESS, Status.TOO_FEW_POINTS))
        level = self._level(among)
        level = level[np.isfinite(level)]
        if level.size:
            low, high = np.quantile(level, [0.25, 0.75])
            wanting |= self._level(numbers) > high + FENCE * (high - low)
        rest = numbers[~wanting & (self.fits.status[numbers] == Status.SUCCESS)]
        structured = np.zeros(self.sets.fits, bool)

        def task(chosen: np.ndarray) -> None:
            for part in self.sets.parted(chosen, LONG):
                structured[part] = is_structured(self.sets, self.plan, part, self.fits.popt[part])

        if rest.size:
            run(self.quiet, self.sets, rest, task, "fit")
        return wanting | structured[numbers]

    def _level(self, numbers: np.ndarray) -> np.ndarray:
        dof = np.maximum(self.fits.n_points[numbers] - np.count_nonzero(~self.plan.fixed), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.log(self.fits.chi2[numbers] / dof)
        return np.where(self.fits.status[numbers] == Status.SUCCESS, level, np.nan)
