"""Fits whose data sets share parameters: Levenberg-Marquardt on the whole.

Own parameters follow when the shared values change: chi-square is a function of the shared values alone.
Its Gauss-Newton matrix is the sum of the data sets' Schur complements.  Own parameters that do not follow
well enough are fitted in their lanes, each data set with its own trust region.  Golub and Pereyra (1973)
solve in the same way for parameters in which a model is linear.
"""

from typing import Any

import numpy as np

from ...status import Status
from ..data import DIGITS
from ..kernels.trust_region import EXACT
from ..problem import ENDED
from ..search.explore import levels
from .members import Members, Part, State
from .regions import RUNNING, Equations, Regions

EVALUATIONS = 20  # limit for a data set in one step of the shared values
LOOSE = 1e-3  # share of chi-square that own parameters may still promise when the shared ones move
STEPS = 1000  # limit of steps of the shared values
LAST_STEPS = 3  # steps after convergence: chi-square hides them, but not its gradient


class Whole(Members):
    """A fit of all data sets together.

    Parameters
    ----------
    sets, parts, lower, upper
        As `Members` takes them.
    problem, slot, members
        As `sharing.independent` returns them.

    Attributes
    ----------
    values : ndarray, shape (values,)
        The shared values.
    included : list of ndarray of bool
        For each part the data sets that take part.
    used : ndarray of bool, shape (values,)
        The values of data sets that do.
    code, chi2 : ndarray, shape (problems,)
        Status and chi-square of each problem.
    """

    problem: Any
    slot: Any
    members: Any

    def __init__(
        self,
        sets: Any,
        parts: list[Part],
        problem: Any,
        slot: Any,
        members: Any,
        lower: np.ndarray,
        upper: np.ndarray,
    ) -> None:
        super().__init__(sets, parts, lower, upper)
        self.problem, self.slot, self.members = problem, slot, members
        self.values: np.ndarray = np.full(problem.size, np.nan)
        self.used: np.ndarray = np.zeros(problem.size, bool)
        self.included: list[np.ndarray] = [np.zeros(len(part.numbers), bool) for part in parts]
        self.count: int = int(problem.max()) + 1
        self.code: np.ndarray = np.full(self.count, RUNNING)
        self.chi2: np.ndarray = np.full(self.count, np.nan)

    def problem_of(self, k: int) -> np.ndarray:
        """Return the number of each data set's problem."""
        return self.problem[self.parts[k].values[:, 0]]

    def sums(self, entries: list[np.ndarray]) -> np.ndarray:
        """Add numbers of the included data sets for each problem, in the order of the data sets."""
        total = np.zeros(self.count)
        for k, entry in enumerate(entries):
            which = self.included[k]
            total += np.bincount(self.problem_of(k)[which], entry[which], self.count)
        return total

    def equations(self, index: int, states: list[State]) -> Equations:
        """Assemble the normal equations of the problems of one size."""
        members = self.members[index]
        count, n = members.shape
        first = self.problem[members[0, 0]]
        matrix, force, diagonal = np.zeros(count * n * n), np.zeros(count * n), np.zeros(count * n)
        for k, (part, state) in enumerate(zip(self.parts, states, strict=True)):
            row = self.problem_of(k) - first
            which = self.included[k] & (row >= 0) & (row < count)
            row, slot = row[which], self.slot[part.values[which]]
            for a, j in enumerate(part.shared):
                entry = row * n + slot[:, a]
                force += np.bincount(entry, state.reduced[which, a], force.size)
                square = state.information[which, j * (j + 3) // 2]
                diagonal += np.bincount(entry, square, diagonal.size)
                for b in range(part.shared.size):
                    pair = entry * n + slot[:, b]
                    matrix += np.bincount(pair, state.schur[which, a, b], matrix.size)
        point = np.nan_to_num(self.values[members])
        shape = count, n
        return Equations(
            point,
            self.chi2[first : first + count],
            self.own_promise[first : first + count],
            matrix.reshape(*shape, n),
            force.reshape(shape),
            diagonal.reshape(shape),
        )

    def begin(self) -> None:
        """Prepare the data, find the starts of the shared values, and fit the own parameters."""
        self.prepare()
        known = [state.n_points > 0 for state in self.states]
        self.values = _medians(
            np.concatenate([part.values[w].ravel() for part, w in zip(self.parts, known, strict=True)]),
            np.concatenate(
                [
                    state.p[w][:, part.shared].ravel()
                    for part, state, w in zip(self.parts, self.states, known, strict=True)
                ]
            ),
            self.values.size,
        )
        self.values = np.clip(self.values, self.lower, self.upper).astype(self.plan.dtype).astype(float)
        starts = [self._start(k, state.p) for k, state in enumerate(self.states)]
        points = [state.n_points for state in self.states]
        everything = [np.ones(len(part.numbers), bool) for part in self.parts]
        self.states: list[State] = self.fitted(starts, everything, min(EVALUATIONS, self.plan.max_nfev), -1)
        for k, state in enumerate(self.states):
            state.status[points[k] == 0] = Status.TOO_FEW_POINTS
            state.n_points = points[k]
            self.included[k] = np.isin(state.status, ENDED)
        own = [np.full(len(part.numbers), part.own.size, float) for part in self.parts]
        self.points: np.ndarray = self.sums([n.astype(float) for n in points])
        for part, included in zip(self.parts, self.included, strict=True):
            self.used[part.values[included]] = True
        sizes = np.bincount(self.problem[self.used], minlength=self.count)
        self.dof: np.ndarray = self.points - self.sums(own) - sizes
        self.members_included: np.ndarray = self.sums([np.ones(len(part.numbers)) for part in self.parts])
        self.code[self.members_included == 0] = Status.TOO_FEW_POINTS
        self.code[self.dof < 0] = Status.TOO_FEW_POINTS
        self.chi2 = np.where(self.members_included > 0, self.sums([s.chi2 for s in self.states]), np.nan)

    def _start(self, k: int, p: np.ndarray) -> np.ndarray:
        """Return parameters with the shared values of now."""
        start = np.array(p)
        start[:, self.parts[k].shared] = self.values[self.parts[k].values]
        return start

    def run(self) -> None:
        """Fit; the states are those of the lowest chi-square even where Ctrl-C ends it."""
        with np.errstate(all="ignore"):
            self.begin()
            regions = self._regions()
            for _ in range(STEPS):
                step = np.zeros(self.values.size)
                self.own_promise: np.ndarray = self.sums([state.promise for state in self.states])
                for index, one in enumerate(regions):
                    step[self.members[index]] = one.propose(self.equations(index, self.states))
                if not (self.code == RUNNING).any():
                    break
                self._advance(step, regions)
            self.code[self.code == RUNNING] = Status.MAXITER
            self._check_exact_data()
            self._polish(regions)
            self._settle()

    def _regions(self) -> list[Regions]:
        """Return the trust regions of the problems of each size."""
        single, double = float(np.finfo(self.plan.dtype).eps), float(np.finfo(float).eps)
        fits = np.maximum(self.members_included, 1)
        own_rounding = 4 * single * np.sqrt(self.points / fits)
        rounding = own_rounding / np.sqrt(fits) + 4 * double * np.sqrt(fits)
        regions = []
        for members in self.members:
            some = self.numbers_of(members)
            one = Regions(
                self.lower[members], self.upper[members], self.plan.ftol, self.plan.xtol, single,
                rounding[some], own_rounding[some], self.dof[some],
            )  # fmt: skip
            one.code = self.code[some]  # a view
            regions.append(one)
        return regions

    def numbers_of(self, members: np.ndarray) -> slice:
        """Return the numbers of the problems of one size."""
        return slice(self.problem[members[0, 0]], self.problem[members[-1, 0]] + 1)

    def _advance(self, step: np.ndarray, regions: list[Regions]) -> None:
        """Try a step of the shared values, and keep it where chi-square is lower."""
        running = self.code == RUNNING
        trial, states = self._at(step, running, EVALUATIONS)
        chi2 = np.where(running, self.sums([state.chi2 for state in states]), np.inf)
        better = np.zeros(self.count, bool)
        for members, one in zip(self.members, regions, strict=True):
            some = self.numbers_of(members)
            better[some] = one.accept_step(chi2[some])
        most = self._keep(better, trial, states, chi2)
        self.code[running & (self.code == RUNNING) & (most >= self.plan.max_nfev)] = Status.MAXITER

    def _at(self, step: np.ndarray, which: np.ndarray, max_nfev: int) -> tuple[np.ndarray, list[State]]:
        """Let some problems make a step, their own parameters following; return values and states there."""
        before = self.values
        trial = np.clip(before + step, self.lower, self.upper).astype(self.plan.dtype).astype(float)
        active = [included & which[self.problem_of(k)] for k, included in enumerate(self.included)]
        starts = []
        for k, (part, state) in enumerate(zip(self.parts, self.states, strict=True)):
            start = (state.p + self.following(k, (trial - before)[part.values])).astype(part.plan.dtype)
            start[:, part.shared] = trial[part.values]
            starts.append(start)
        return trial, self.fitted(starts, active, max_nfev, LOOSE)

    def _keep(
        self, better: np.ndarray, trial: np.ndarray, states: list[State], chi2: np.ndarray
    ) -> np.ndarray:
        """Take over the problems that are better; return the largest number of evaluations of each."""
        most = np.zeros(self.count, np.int64)
        for k, (state, new) in enumerate(zip(self.states, states, strict=True)):
            nfev = state.nfev + new.nfev
            state.take(self.included[k] & better[self.problem_of(k)], new)
            state.nfev = nfev
            np.maximum.at(most, self.problem_of(k), nfev)
        self.chi2 = np.where(better, chi2, self.chi2)
        self.values = np.where(better[self.problem], trial, self.values)
        return most

    def _polish(self, regions: list[Regions]) -> None:
        """Make full steps as long as they promise less and less."""
        last = np.full(self.count, np.inf)
        for _ in range(LAST_STEPS):
            step, promised = np.zeros(self.values.size), np.zeros(self.count)
            own_promise = self.own_promise = self.sums([state.promise for state in self.states])
            for index, (members, one) in enumerate(zip(self.members, regions, strict=True)):
                _, step[members], promised[self.numbers_of(members)] = one.solve(
                    self.equations(index, self.states)
                )
            promised += own_promise
            goes_on = (self.code == Status.SUCCESS) & (promised > self.plan.ftol**2 * self.chi2)
            goes_on &= promised < last / 4
            if not goes_on.any():
                return
            last = np.where(goes_on, promised, 0)
            trial, states = self._at(np.where(goes_on[self.problem], step, 0), goes_on, 1)
            chi2 = self.sums([state.chi2 for state in states])
            rounding = np.concatenate([one.rounding for one in regions])
            self._keep(goes_on & (chi2 <= self.chi2 * (1 + rounding)), trial, states, chi2)

    def _check_exact_data(self) -> None:
        """Let fits that have not moved succeed where residuals, and so all promises, are only rounding."""
        stalled = [state.status == Status.NOT_MOVED for state in self.states]
        if not ((self.code == Status.NOT_MOVED).any() or any(which.any() for which in stalled)):
            return
        none = [levels(self.sets, part.plan, part.numbers) * (EXACT / DIGITS) ** 2 for part in self.parts]
        for state, which, level in zip(self.states, stalled, none, strict=True):
            state.status[which & (state.chi2 <= level)] = Status.SUCCESS
        self.code[(self.code == Status.NOT_MOVED) & (self.chi2 <= self.sums(none))] = Status.SUCCESS

    def _settle(self) -> None:
        """Let own parameters that are not at their minimum take all evaluations that are left."""
        late = [
            included
            & (state.promise > self.plan.ftol * state.chi2)
            & (self.code == Status.SUCCESS)[self.problem_of(k)]
            for k, (included, state) in enumerate(zip(self.included, self.states, strict=True))
        ]
        if any(which.any() for which in late):
            starts = [state.p for state in self.states]
            states = self.fitted(starts, late, self.plan.max_nfev, self.plan.ftol)
            for state, new, which in zip(self.states, states, late, strict=True):
                new.nfev += state.nfev
                lower = which & (new.chi2 <= state.chi2)
                kept = which & ~lower & np.isin(new.status, ENDED)
                state.status[kept] = new.status[kept]
                state.take(lower, new)
            self.chi2 = np.where(
                self.members_included > 0, self.sums([state.chi2 for state in self.states]), np.nan
            )
        for k, state in enumerate(self.states):
            code = self.code[self.problem_of(k)]
            state.status = np.where(self.included[k] & (code != Status.SUCCESS), code, state.status).astype(
                np.int8
            )

    def has_parameters(self, k: int) -> np.ndarray:
        """Tell which data sets of a part took part and have parameters."""
        return self.included[k] & np.isin(self.states[k].status, (*ENDED, Status.INTERRUPTED))

    def interrupt(self) -> None:
        """Mark data sets whose fit Ctrl-C has ended."""
        for k, state in enumerate(self.states):
            state.status[self.included[k]] = Status.INTERRUPTED


def _medians(numbers: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Return the median of the finite values of each number; NaN where there is none."""
    finite = np.isfinite(values)
    numbers, values = numbers[finite], values[finite].astype(float)
    order = np.lexsort((values, numbers))
    numbers, values = numbers[order], values[order]
    begin, end = (np.searchsorted(numbers, np.arange(count), side) for side in ("left", "right"))
    medians = np.full(count, np.nan)
    some = end > begin
    middle = values[(begin + end - 1)[some] // 2] + values[(begin + end)[some] // 2]
    medians[some] = middle / 2
    return medians
