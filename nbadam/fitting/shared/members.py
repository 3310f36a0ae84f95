"""Data sets with their own parameters in lanes, at given values of the parameters that they share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ...blocks import Blocks, is_called_off, work_through
from ...status import Status
from ..finish import bounds_of_fits
from ..kernels.bordered import eliminate_kernel, substitute_kernel
from ..kernels.compile import LONG
from ..kernels.kernels import ModelError
from ..kernels.trust_region import FIRST_RADIUS
from ..problem import ENDED, Plan, Problem

SETS, NUMBERS = 8192, 1 << 21  # data sets and points of a block, at most


@dataclass
class Part:
    """The data sets of one model.

    Attributes
    ----------
    plan : Plan
        In which the shared parameters are fixed.
    numbers : ndarray of int, shape (fits,)
        The data sets.
    shared : ndarray of int, shape (k,)
        The shared ones among the model's parameters.
    values : ndarray of int, shape (fits, k)
        The numbers of their values.
    """

    plan: Plan
    numbers: np.ndarray
    shared: np.ndarray
    values: np.ndarray
    blocks: list[slice] = field(default_factory=list)
    problems: dict[int, Problem] = field(default_factory=dict)

    @property
    def own(self) -> np.ndarray:
        """The parameters of each data set by itself, those that are fixed left out."""
        return np.flatnonzero(~self.plan.fixed)


@dataclass
class State:
    """All data sets of a part at some values of the parameters; arrays of one row for each."""

    p: np.ndarray
    chi2: np.ndarray
    gradient: np.ndarray
    information: np.ndarray
    schur: np.ndarray
    reduced: np.ndarray
    promise: np.ndarray  # by how much the own parameters alone would lower chi-square
    status: np.ndarray
    nfev: np.ndarray
    n_points: np.ndarray

    @classmethod
    def empty(cls, part: Part) -> "State":
        """Make room."""
        fits, n, k = len(part.numbers), part.plan.fixed.size, part.shared.size
        return cls(
            p=np.empty((fits, n), part.plan.dtype),
            chi2=np.full(fits, np.inf),
            gradient=np.zeros((fits, n)),
            information=np.zeros((fits, n * (n + 1) // 2)),
            schur=np.zeros((fits, k, k)),
            reduced=np.zeros((fits, k)),
            promise=np.full(fits, np.inf),
            status=np.full(fits, Status.NOT_RUN, np.int8),
            nfev=np.zeros(fits, np.int64),
            n_points=np.zeros(fits, np.int64),
        )

    def take(self, which: np.ndarray, other: "State") -> None:
        """Take the other state of some data sets."""
        if which.all():
            vars(self).update(vars(other))
            return
        for name, array in vars(self).items():
            array[which] = getattr(other, name)[which]


class Members:
    """The data sets of a fit with shared parameters.

    Parameters
    ----------
    sets : DataSets or RaggedSets
    parts : list of Part
        Of the same data type and tolerances.
    lower, upper : ndarray, shape (values,)
        Bounds of the shared values.
    """

    sets: Any
    parts: list[Part]
    plan: Plan
    lower: np.ndarray
    upper: np.ndarray

    def __init__(self, sets: Any, parts: list[Part], lower: np.ndarray, upper: np.ndarray) -> None:
        self.sets, self.parts, self.plan = sets, parts, parts[0].plan
        self.lower, self.upper = lower, upper
        self.states: list[State] = [State.empty(part) for part in parts]
        size = max(1, min(SETS, NUMBERS // max(sets.longest, 1)))
        lengths = getattr(sets, "lengths", None)
        for part in parts:
            ends = {len(part.numbers), *range(0, len(part.numbers), size)}
            if lengths is not None:  # neighbours of about the same length need the least filling
                order = np.argsort(lengths[part.numbers], kind="stable")
                part.numbers, part.values = part.numbers[order], part.values[order]
                ends.add(int(np.searchsorted(lengths[part.numbers], LONG)))
            part.blocks = [slice(a, b) for a, b in pairwise(sorted(ends))]

    def prepare(self) -> None:
        """Prepare the data; the states then have the starts."""

        def work(k: int, block: slice, number: int) -> None:
            part, state = self.parts[k], self.states[k]
            problem = Problem(self.sets, part.plan, part.numbers[block])
            part.problems[number] = problem
            state.p[block], state.n_points[block] = problem.p0, problem.points

        self.work_through([np.ones(len(part.numbers), bool) for part in self.parts], work)

    def work_through(self, active: list[np.ndarray], work: Callable[[int, slice, int], None]) -> None:
        """Do a work with every block in which a data set is active."""
        tasks = [
            (k, block, number)
            for k, part in enumerate(self.parts)
            for number, block in enumerate(part.blocks)
            if active[k][block].any()
        ]

        def some(start: int, stop: int) -> float:
            began = time.thread_time()
            with np.errstate(all="ignore"):  # data sets that fail have parameters that are not finite
                for task in tasks[start:stop]:
                    if not is_called_off():
                        work(*task)
            return time.thread_time() - began

        if tasks:
            blocks = Blocks(len(tasks), 1, len(tasks))
            work_through(blocks, some, self.plan.workers, unit="block", progress=self.plan.progress)

    def fitted(
        self, starts: list[np.ndarray], active: list[np.ndarray], max_nfev: int, loose: float
    ) -> list[State]:
        """Evaluate, and fit own parameters that promise more than `loose` of chi-square.

        Returns
        -------
        list of State
            Data sets that cannot be evaluated have an infinite chi-square.
        """
        states = [State.empty(part) for part in self.parts]

        def work(k: int, block: slice, number: int) -> None:
            problem = self.parts[k].problems[number]
            which = active[k][block]
            if which.all():
                self._fit(k, block, problem, starts[k][block], max_nfev, loose, states[k])
            else:
                rows = np.flatnonzero(which) + block.start
                self.fit_again(k, rows, starts[k][rows], max_nfev, loose, states[k])

        self.work_through(active, work)
        return states

    def fit_again(self, k: int, rows: np.ndarray, start: np.ndarray, *arguments: Any) -> None:
        """Do `_fit` for some data sets, with a problem of their own."""
        self._fit(k, rows, self._problem(k, rows, start), start, *arguments)

    def _problem(self, k: int, rows: np.ndarray, start: np.ndarray) -> Problem:
        part = self.parts[k]
        return Problem(self.sets, replace(part.plan, start=lambda chosen: start), part.numbers[rows])

    def _fit(
        self, k: int, rows: Any, problem: Problem, start: Any, max_nfev: int, loose: float, state: State
    ) -> None:
        """Evaluate the data sets of a problem, rows of `state`, and fit them as far as they are loose."""
        part = self.parts[k]
        try:
            self._evaluate(k, rows, problem, start, state)
            chi2, promise = state.chi2[rows], state.promise[rows]
            which = np.flatnonzero(~(promise <= loose * chi2))
            if which.size and part.own.size and max_nfev > 1:
                start = start[which]
                rows = (np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)[which]
                if which.size < len(chi2):
                    problem = self._problem(k, rows, start)
                problem.bound(part.shared, start[:, part.shared], start[:, part.shared])
                found = problem.fitted(start, max_nfev)
                ended = np.isin(found.status, ENDED)
                self._evaluate(k, rows, problem, np.where(ended[:, None], found.popt, start), state)
                state.chi2[rows[~ended]] = np.inf
                well = state.status[rows] == Status.SUCCESS
                state.status[rows] = np.where(ended & ~well, state.status[rows], found.status)
                state.nfev[rows] += found.nfev
        except ModelError:
            if len(start) == 1:
                state.p[rows], state.status[rows], state.chi2[rows] = start, Status.MODEL_ERROR, np.inf
                return
            every = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            for half in np.array_split(np.arange(len(start)), 2):
                self.fit_again(k, every[half], start[half], max_nfev, loose, state)

    def _evaluate(self, k: int, rows: Any, problem: Problem, p: np.ndarray, state: State) -> None:
        """Evaluate at `p`, and eliminate the own parameters."""
        part = self.parts[k]
        values = part.values[rows]
        # Differences by the shared ones need their true bounds.
        problem.bound(part.shared, self.lower[values], self.upper[values])
        chi2, gradient, information = problem.evaluated(p)
        schur = np.empty((len(p), *state.schur.shape[1:]))
        reduced, promise = np.empty((len(p), part.shared.size)), np.empty(len(p))
        eliminate_kernel()(
            chi2, information, gradient, self._may_move(part, part.numbers[rows], p, gradient), part.own,
            part.shared, schur, reduced, promise,
        )  # fmt: skip
        failed = np.isinf(promise)
        chi2[failed] = np.inf
        state.p[rows], state.chi2[rows], state.gradient[rows], state.information[rows] = (
            p, chi2, gradient, information,
        )  # fmt: skip
        state.schur[rows], state.reduced[rows], state.promise[rows] = schur, reduced, promise
        state.status[rows] = np.where(failed, Status.NONFINITE, Status.SUCCESS)
        state.nfev[rows] += 1
        state.n_points[rows] = problem.points

    def _may_move(self, part: Part, numbers: np.ndarray, p: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Tell which own parameters are not at a bound that they would leave."""
        may = np.repeat(~part.plan.fixed[None], len(p), axis=0)
        if part.plan.lower is not None:
            low, high = bounds_of_fits(part.plan, numbers, np.array(p))
            may &= ~((p <= low) & (gradient <= 0)) & ~((p >= high) & (gradient >= 0))
        return may

    def following(self, k: int, moves: np.ndarray) -> np.ndarray:
        """Return the steps of own parameters that go with steps of the shared ones."""
        part, state = self.parts[k], self.states[k]
        may = self._may_move(part, part.numbers, state.p, state.gradient)
        step, size = np.zeros(state.p.shape), np.empty(len(state.p))
        substitute_kernel()(state.information, state.gradient, may, part.own, part.shared, moves, step, size)
        squares = state.information[:, [j * (j + 3) // 2 for j in part.own]]
        length = np.sqrt((squares * state.p[:, part.own].astype(float) ** 2).sum(axis=1))
        with np.errstate(all="ignore"):
            most = np.where(length > 0, FIRST_RADIUS * length, np.sqrt(state.chi2))
            step *= np.where(size > most, most / size, 1)[:, None]
        if part.plan.lower is not None:
            low, high = bounds_of_fits(part.plan, part.numbers, state.p)
            step = np.clip(step, low - state.p, high - state.p)
        return step
