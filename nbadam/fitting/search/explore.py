"""The search for starts of data sets, each by its own data alone.

Many starts of a data set go side by side: random ones, and later also ones that share some parameters with
the best solutions so far.  Linear parameters are solved for (`screen`), a few evaluations by
Levenberg-Marquardt sort the starts, and the best go on.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...blocks import is_called_off
from ...status import Status
from ..batch import run
from ..finish import fit_and_finish
from ..kernels.compile import LONG
from ..kernels.kernels import ModelError
from ..problem import ENDED, Fits, Plan, Problem, bounds_of
from ..result.refits import Selection
from .draws import spread, uniform_points
from .minima import Minima

STARTS = 1024  # starts of a round
MOST = 16 * STARTS  # starts of all rounds
TRIALS = 4  # points for each start, of which it takes the best
FIRST = 20  # evaluations of every start
SECOND = 200  # evaluations of those that go on
KEPT = 64  # starts of a round that go on
PARENTS = 32  # solutions with which further starts share parameters
LAST = 4  # solutions that are finished
ENOUGH = 2  # independent starts that must reach the best solution
SAME = 1e-6  # relative difference of chi-squares of the same solution
CLOSE = 1e-3  # relative difference of their parameters, but for rounding
ROUNDED = 64  # units of rounding by which sums of squares may differ
NUDGES = 1, -1  # units of rounding by which parameters are moved to see whether chi-square depends on it
ROUGH = 10  # ratio of the scatter of the best of many noisy chi-squares to that of two
GROUP = 16  # data sets searched at a time
BLOCK = 1024  # data sets whose rounding is looked at at a time


class Ends:
    """Ends to which the starts of one data set have led.

    Parameters
    ----------
    n : int
        Parameters.
    level : float
        Chi-square that the rounding of the data may explain.
    """

    popt: np.ndarray
    chi2: np.ndarray
    level: float
    converged: np.ndarray
    counts: np.ndarray

    def __init__(self, n: int, level: float) -> None:
        self.popt, self.chi2, self.level = np.zeros((0, n)), np.zeros(0), level
        self.converged, self.counts = np.zeros(0, bool), np.zeros(0, int)
        self.n_starts = self.nfev = 0

    def is_same(self, chi2: Any, other: Any) -> Any:
        """Tell whether chi-squares are equal but for rounding."""
        return np.abs(chi2 - other) <= SAME * np.abs(other) + self.level

    def add(self, fits: Fits, rough: np.ndarray, origin: np.ndarray) -> None:
        """Add ends of starts; those of the same chi-square become one.

        Parameters
        ----------
        fits : Fits
        rough : ndarray, shape (fits,)
            Differences of chi-square that one unit of rounding of the parameters makes.
        origin : ndarray, shape (fits,)
            Chi-squares of the solutions that the starts were made from, NaN of random starts.
        """
        converged = (fits.status == Status.SUCCESS) & _is_smooth(fits.chi2, rough, self.level)
        independent = converged & ~self.is_same(fits.chi2, origin)
        popt = np.concatenate([self.popt, fits.popt])
        chi2 = np.concatenate([self.chi2, fits.chi2])
        converged = np.concatenate([self.converged, converged])
        counts = np.concatenate([self.counts, independent])
        order = np.argsort(chi2, kind="stable")  # NaN comes last
        kept: list[int] = []
        sums: list[int] = []
        for i in order[np.isfinite(chi2[order])]:
            if kept and self.is_same(chi2[i], chi2[kept[-1]]):
                sums[-1] += counts[i]
                last = kept[-1]
                if converged[i] > converged[last] or (
                    converged[i] == converged[last] and _is_simpler(popt[i], popt[last])
                ):
                    kept[-1] = i
            else:
                kept.append(i)
                sums.append(counts[i])
        self.popt, self.chi2, self.converged = popt[kept], chi2[kept], converged[kept]
        self.counts = np.array(sums, int)

    def last(self) -> np.ndarray:
        """Return the numbers of the ends to be finished: half of them have converged, if so many have."""
        lowest = np.arange(self.chi2.size)
        return np.union1d(lowest[: LAST // 2], lowest[self.converged][:LAST])[:LAST]

    def minima(self) -> Minima:
        """Return those that have converged."""
        return Minima(*(array[self.converged] for array in (self.popt, self.chi2, self.counts)))


def _is_smooth(chi2: np.ndarray, rough: np.ndarray, level: float) -> np.ndarray:
    """Tell whether rounding makes no other solution of a chi-square."""
    return ROUGH * rough <= (SAME + ROUNDED * np.finfo(chi2.dtype).eps) * chi2 + level


def _is_simpler(p: np.ndarray, other: np.ndarray) -> bool:
    """Compare equal solutions: smaller absolute values are simpler, then positive ones."""
    for a, b in zip(p.tolist(), other.tolist(), strict=True):
        if abs(abs(a) - abs(b)) > CLOSE * max(abs(a), abs(b)):
            return abs(a) < abs(b)
        if (a < 0) != (b < 0):
            return b < 0
    return False


def fitted(sets: Any, plan: Plan, numbers: np.ndarray, work: Callable[[Problem, np.ndarray], Fits]) -> Fits:
    """Work on some data sets, each as often as its number is given; where the model raises, nothing is found.

    `work` returns the fits of the entries of `numbers` that it is given with their `Problem`.
    """
    n = plan.fixed.size
    selection: Any = Selection(sets, numbers)
    start = plan.start(numbers)
    lower, upper = (None, None) if plan.lower is None else bounds_of(plan, numbers, n)
    again = replace(plan, start=lambda chosen: start[chosen], lower=lower, upper=upper)
    fits = Fits.empty(numbers.size, n, plan.dtype)
    fits.clear(slice(None))

    def task(chosen: np.ndarray) -> None:
        for part in selection.parted(chosen, LONG):
            try:
                found = work(Problem(selection, again, part), part)
            except ModelError:
                fits.status[part] = Status.MODEL_ERROR
                for half in np.array_split(part, 2) if part.size > 1 else ():
                    task(half)
                continue
            if not is_called_off():
                fits[part] = found

    run(plan, selection, np.arange(numbers.size), task, "start")
    return fits


def explore(
    sets: Any, plan: Plan, numbers: np.ndarray, linear: np.ndarray, most: int | None = None
) -> tuple[Fits, list[Minima]]:
    """Search for the best fits of some data sets.

    Parameters
    ----------
    sets, plan
    numbers : ndarray of int
        The data sets.
    linear : ndarray of int
        Parameters in which the model is linear.
    most : int, optional
        Starts of a data set, by default at most `MOST`.

    Returns
    -------
    Fits
    list of Minima
    """
    fits = Fits.empty(numbers.size, plan.fixed.size, plan.dtype)
    minima: list[Minima] = []
    for first in range(0, numbers.size, GROUP):
        some = slice(first, first + GROUP)
        ends = _searched(sets, plan, numbers[some], linear, MOST if most is None else most)
        fits[np.arange(numbers.size)[some]] = _finished(sets, plan, numbers[some], ends)
        minima += [end.minima() for end in ends]
    return fits, minima


def _searched(sets: Any, plan: Plan, numbers: np.ndarray, linear: np.ndarray, most: int) -> list[Ends]:
    """Start until the best solution of each data set was reached often enough."""
    n = plan.fixed.size
    nonlinear = np.setdiff1d(np.flatnonzero(~plan.fixed), linear)
    size = min(STARTS, most) if nonlinear.size else 1
    low, high = bounds_of(plan, numbers, n)
    variables = [sets.one(number)[0] for number in numbers]
    ends = [Ends(n, level) for level in levels(sets, plan, numbers)]
    at_work = np.arange(numbers.size)
    for number in range(max(most // size, 1) if nonlinear.size else 1):
        seed = *plan.seed, number
        points = uniform_points(size * TRIALS, nonlinear.size, seed)
        trials = np.repeat(plan.start(numbers[at_work])[:, None, None], size, axis=1)
        trials = np.ascontiguousarray(np.repeat(trials, TRIALS, axis=2), plan.dtype)
        origin = np.full((at_work.size, size), np.nan)
        for row, i in enumerate(at_work):
            drawn = spread(points, variables[i], low[i, nonlinear], high[i, nonlinear])
            trials[row][..., nonlinear] = drawn.reshape(size, TRIALS, -1)
            if number and nonlinear.size > 1:
                _mutate(trials[row], origin[row], ends[i], nonlinear, seed)
        trials = trials.reshape(-1, TRIALS, n)

        def begin(problem: Problem, part: np.ndarray, trials: Any = trials) -> Fits:
            starts, _ = problem.screened(trials[part], linear, 1)
            return problem.fitted(np.ascontiguousarray(starts[:, 0]), min(FIRST, plan.max_nfev))

        begun = fitted(sets, plan, np.repeat(numbers[at_work], size), begin)
        rough = _roughness(sets, plan, np.repeat(numbers[at_work], size), begun)
        rows = [slice(row * size, (row + 1) * size) for row in range(at_work.size)]
        kept = np.array([_ranked(begun[row], rough[row], nonlinear)[:KEPT] for row in rows])
        places = (kept + size * np.arange(at_work.size)[:, None]).ravel()
        start = begun.popt[places]
        start = np.where(np.isnan(start), trials[places, 0], start)

        def go_on(problem: Problem, part: np.ndarray, start: Any = start) -> Fits:
            return problem.fitted(np.ascontiguousarray(start[part]), min(SECOND, plan.max_nfev))

        gone_on = fitted(sets, plan, np.repeat(numbers[at_work], kept.shape[1]), go_on)
        rough = _roughness(sets, plan, np.repeat(numbers[at_work], kept.shape[1]), gone_on)
        is_done = np.zeros(at_work.size, bool)
        for row, i in enumerate(at_work):
            best = ends[i].chi2[:1].copy()
            part = np.arange(row * kept.shape[1], (row + 1) * kept.shape[1])
            ends[i].add(gone_on[part], rough[part], origin[row, kept[row]])
            ends[i].n_starts += size
            ends[i].nfev += int(gone_on.nfev[part].sum() + begun.nfev[row * size : (row + 1) * size].sum())
            found = ends[i]
            reached = found.counts[found.converged][:1].sum() >= ENOUGH
            is_last = not found.chi2.size or (reached and found.is_same(best, found.chi2[:1]).any())
            is_done[row] = number > 0 and is_last
        at_work = at_work[~is_done]
        if not at_work.size:
            break
    return ends


def _ranked(fits: Fits, rough: np.ndarray, nonlinear: np.ndarray) -> np.ndarray:
    """Return the numbers of the fits of one data set: the lowest first, of equal ones the simplest."""
    chi2 = np.where(np.isnan(fits.chi2), np.inf, fits.chi2 + ROUGH * rough)
    with np.errstate(divide="ignore"):
        size = np.log(np.abs(fits.popt[:, nonlinear])).sum(axis=1)
        return np.lexsort((size, np.round(np.log(chi2) / SAME)))


def _roughness(sets: Any, plan: Plan, numbers: np.ndarray, fits: Fits) -> np.ndarray:
    """Return the differences of chi-square that one unit of rounding of the parameters makes.

    Of an alias of a frequency, whose phases are a billion turns, they are those of other noise: the best of
    many has a lower chi-square than the frequency itself.
    """
    rough = np.zeros(numbers.size)
    ended = np.flatnonzero(np.isfinite(fits.chi2))  # a model with its own iteration may not end at NaN
    low, high = bounds_of(plan, numbers[ended], plan.fixed.size)
    for nudge in NUDGES if ended.size else ():
        nudged = fits.popt[ended] * (1 + nudge * np.finfo(plan.dtype).eps)
        start = np.where(plan.fixed, fits.popt[ended], np.clip(nudged, low, high)).astype(plan.dtype)

        def look(problem: Problem, part: np.ndarray, start: Any = start) -> Fits:
            return problem.fitted(np.ascontiguousarray(start[part]), 1)

        there = fitted(sets, plan, numbers[ended], look).chi2
        rough[ended] = np.fmax(rough[ended], abs(there - fits.chi2[ended]))
    return rough


def levels(sets: Any, plan: Plan, numbers: np.ndarray) -> np.ndarray:
    """Return the chi-squares that the rounding of the data may explain, shape (numbers,)."""
    found = np.zeros(numbers.size)
    for first in range(0, numbers.size, BLOCK):
        part = slice(first, first + BLOCK)
        found[part] = sets.block(numbers[part], plan.dtype).chi2_of_rounding()
    return found


def _mutate(trials: np.ndarray, origin: np.ndarray, ends: Ends, nonlinear: np.ndarray, seed: Any) -> None:
    """Let every second start share some of its parameters with one of the best solutions."""
    parents = ends.chi2[:PARENTS].size
    if not parents:
        return
    changed = trials[::2]
    rng = np.random.default_rng((*seed, 1))
    mine = np.arange(len(changed)) % parents
    shares = rng.random((*changed.shape[:2], nonlinear.size)) < 0.5
    values = changed[..., nonlinear]
    parent = ends.popt[mine][:, None, nonlinear]
    changed[..., nonlinear] = np.where(shares, parent, values)
    origin[::2] = ends.chi2[mine]


def _finished(sets: Any, plan: Plan, numbers: np.ndarray, ends: list[Ends]) -> Fits:
    """Bring the best solutions to the end, and take the best of them."""
    last = [end.last() for end in ends]
    own = np.repeat(np.arange(numbers.size), [chosen.size or 1 for chosen in last])
    blank = plan.start(numbers)
    start = [
        end.popt[chosen] if chosen.size else blank[i : i + 1]
        for i, (end, chosen) in enumerate(zip(ends, last, strict=True))
    ]
    starts = np.concatenate(start).astype(plan.dtype)

    def end_of(problem: Problem, part: np.ndarray) -> Fits:
        return fit_and_finish(problem, part, np.ascontiguousarray(starts[part]))

    fits = fitted(sets, plan, numbers[own], end_of)
    rough = _roughness(sets, plan, numbers[own], fits)
    chosen = np.array([_best(fits, np.flatnonzero(own == i), rough, plan) for i in range(numbers.size)])
    best = fits[chosen]
    for i, end in enumerate(ends):
        best.nfev[i] += end.nfev
        best.n_starts[i] = end.n_starts
        same = end.is_same(end.chi2, best.chi2[i])
        best.n_reached[i] = end.counts[same].sum()
    return best


def _best(fits: Fits, which: np.ndarray, rough: np.ndarray, plan: Plan) -> int:
    """Return the number of the best fit: a proper minimum unless another is better by a standard error."""
    chi2 = np.where(np.isin(fits.status[which], ENDED), fits.chi2[which], np.inf)
    lowest = int(chi2.argmin())
    is_smooth = _is_smooth(chi2, rough[which], 0.0)
    proper = np.where((fits.status[which] == Status.SUCCESS) & (is_smooth | ~is_smooth.any()), chi2, np.inf)
    first = int(proper.argmin())
    dof = max(int(fits.n_points[which[lowest]]) - np.count_nonzero(~plan.fixed), 1)
    with np.errstate(invalid="ignore"):
        noise = max(chi2[lowest] / dof, SAME * chi2[lowest], ROUGH * rough[which[lowest]])
        close = proper[first] - chi2[lowest] <= noise
    return int(which[first if close else lowest])
