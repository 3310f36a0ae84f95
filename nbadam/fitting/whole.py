"""Fits whose data sets share parameters: Levenberg-Marquardt on the whole.

For given shared values each data set's own parameters are fitted in its lane, with its own trust region.
They follow when the shared values change, so that chi-square is a function of the shared values alone;
its Gauss-Newton matrix is the sum of the data sets' Schur complements.  Golub and Pereyra (1973) did so for
own parameters in which a model is linear; here they may be any.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ..blocks import Blocks, is_called_off, work_through
from ..status import Status
from .bordered import eliminate_kernel, substitute_kernel
from .compile import LONG, ModelError
from .factored import refine
from .finish import LEAST_PIVOT, bounds_of_fits, finish
from .problem import ENDED, Fits, Plan, Problem
from .regions import RUNNING, Equations, Regions
from .trust_region import FIRST_RADIUS

SETS, NUMBERS = 8192, 1 << 21  # data sets and points of a block, at most: the same for any number of threads
EVALUATIONS = 20  # of a data set for one step of the shared values, at most
LOOSE = 1e-3  # share of chi-square that own parameters may still promise when the shared ones move
STEPS = 1000  # of the shared values
LAST_STEPS = 3  # after convergence: chi-square hides them, but not its gradient


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


class Whole:
    """A fit of all data sets together.

    Parameters
    ----------
    sets : DataSets or RaggedSets
    parts : list of Part
        Of the same data type and tolerances.
    problem, slot, members
        As `sharing.independent` returns them.
    lower, upper : ndarray, shape (values,)
        Bounds of the shared values.
    """

    def __init__(self, sets, parts: list[Part], problem, slot, members, lower, upper) -> None:
        self.sets, self.parts, self.plan = sets, parts, parts[0].plan
        self.problem, self.slot, self.members = problem, slot, members
        self.lower, self.upper = lower, upper
        self.errors: dict[int, BaseException | None] = {}
        self.roots: list[np.ndarray] = [np.full((*m.shape, m.shape[1]), np.inf) for m in members]
        self.refined: set[int] = set()  # problems whose roots are from QR factors
        self._inverses: list[dict[int, np.ndarray]] = [{} for _ in parts]
        self.values = np.full(problem.size, np.nan)
        self.states = [State.empty(part) for part in parts]
        self.included = [np.zeros(len(part.numbers), bool) for part in parts]
        self.count = int(problem.max()) + 1
        self.code = np.full(self.count, RUNNING)
        self.chi2 = np.full(self.count, np.nan)
        size = max(1, min(SETS, NUMBERS // max(sets.longest, 1)))
        for part in parts:
            lengths = getattr(sets, "lengths", None)
            order = np.arange(len(part.numbers))
            if lengths is not None:  # neighbours of about the same length need the least filling
                order = np.argsort(lengths[part.numbers], kind="stable")
            part.numbers, part.values = part.numbers[order], part.values[order]
            ends = {len(order), *range(0, len(order), size)}
            if lengths is not None:
                ends.add(int(np.searchsorted(lengths[part.numbers], LONG)))
            cuts = sorted(ends)
            part.blocks = [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    # --- Passes over the data sets ----------------------------------------------------------------

    def problem_of(self, k: int) -> np.ndarray:
        """Return the number of each data set's problem."""
        return self.problem[self.parts[k].values[:, 0]]

    def _pass(self, work: Callable[[int, slice, int], None], active: list[np.ndarray]) -> None:
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
            blocks = Blocks(len(tasks), 1, len(tasks), self.plan.workers)
            work_through(blocks, some, self.plan.workers, unit="block", progress=self.plan.progress)

    def _prepare(self, k: int, block: slice, number: int) -> None:
        part, state = self.parts[k], self.states[k]
        problem = Problem(self.sets, part.plan, part.numbers[block])
        part.problems[number] = problem
        state.p[block], state.n_points[block] = problem.p0, problem.points

    def fitted(self, starts: list[np.ndarray], active: list[np.ndarray], max_nfev: int, loose: float):
        """Evaluate, and fit own parameters that promise more than `loose` of chi-square, the shared ones held.

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
                self._fit_again(k, rows, starts[k][rows], max_nfev, loose, states[k])

        self._pass(work, active)
        return states

    def _fit_again(self, k: int, rows: np.ndarray, start: np.ndarray, *arguments) -> None:
        """Do `_fit` for some data sets, with a problem of their own."""
        part = self.parts[k]
        plan = replace(part.plan, start=lambda chosen: start)
        self._fit(k, rows, Problem(self.sets, plan, part.numbers[rows]), start, *arguments)

    def _fit(self, k: int, rows, problem: Problem, start, max_nfev: int, loose: float, state: State) -> None:
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
                    plan = replace(part.plan, start=lambda chosen: start)
                    problem = Problem(self.sets, plan, part.numbers[rows])
                problem.bound(part.shared, start[:, part.shared], start[:, part.shared])
                found = problem.fitted(start, max_nfev)
                ended = np.isin(found.status, ENDED)
                self._evaluate(k, rows, problem, np.where(ended[:, None], found.popt, start), state)
                state.chi2[rows[~ended]] = np.inf
                well = state.status[rows] == Status.SUCCESS
                state.status[rows] = np.where(ended & ~well, state.status[rows], found.status)
                state.nfev[rows] += found.nfev
        except ModelError as error:
            if len(start) == 1:
                self.errors[int(part.numbers[rows][0])] = error.__cause__
                state.p[rows], state.status[rows], state.chi2[rows] = start, Status.MODEL_ERROR, np.inf
                return
            every = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            for half in np.array_split(np.arange(len(start)), 2):
                self._fit_again(k, every[half], start[half], max_nfev, loose, state)

    def _evaluate(self, k: int, rows, problem: Problem, p: np.ndarray, state: State) -> None:
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

    # --- The shared values ------------------------------------------------------------------------

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
        everything = [np.ones(len(part.numbers), bool) for part in self.parts]
        self._pass(self._prepare, everything)
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
        self.states = self.fitted(starts, everything, min(EVALUATIONS, self.plan.max_nfev), -1)
        for k, (part, state) in enumerate(zip(self.parts, self.states, strict=True)):
            state.status[points[k] == 0] = Status.TOO_FEW_POINTS
            state.n_points = points[k]
            self.included[k] = np.isin(state.status, ENDED)
        own = [np.full(len(part.numbers), part.own.size, float) for part in self.parts]
        self.points = self.sums([n.astype(float) for n in points])
        sizes = np.bincount(self.problem, minlength=self.count)
        self.dof = self.points - self.sums(own) - sizes
        self.members_included = self.sums([np.ones(len(part.numbers)) for part in self.parts])
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
                self.own_promise = self.sums([state.promise for state in self.states])
                for index, one in enumerate(regions):
                    step[self.members[index]] = one.propose(self.equations(index, self.states))
                if not (self.code == RUNNING).any():
                    break
                self._advance(step, regions)
            self.code[self.code == RUNNING] = Status.MAXITER
            self._polish(regions)
            self._settle()
            self._finish()

    def _regions(self) -> list[Regions]:
        """Return the trust regions of the problems of each size."""
        single, double = float(np.finfo(self.plan.dtype).eps), float(np.finfo(float).eps)
        fits = np.maximum(self.members_included, 1)
        own_rounding = 4 * single * np.sqrt(self.points / fits)
        rounding = own_rounding / np.sqrt(fits) + 4 * double * np.sqrt(fits)
        regions = []
        for members in self.members:
            some = self._numbers_of(members)
            one = Regions(
                self.lower[members], self.upper[members], self.plan.ftol, self.plan.xtol, single,
                rounding[some], own_rounding[some], self.dof[some],
            )  # fmt: skip
            one.code = self.code[some]  # a view
            regions.append(one)
        return regions

    def _numbers_of(self, members: np.ndarray) -> slice:
        """Return the numbers of the problems of one size."""
        return slice(self.problem[members[0, 0]], self.problem[members[-1, 0]] + 1)

    def _advance(self, step: np.ndarray, regions: list[Regions]) -> None:
        """Try a step of the shared values, and keep it where chi-square is lower."""
        running = self.code == RUNNING
        trial, states = self._at(step, running, EVALUATIONS)
        chi2 = np.where(running, self.sums([state.chi2 for state in states]), np.inf)
        better = np.zeros(self.count, bool)
        for members, one in zip(self.members, regions, strict=True):
            some = self._numbers_of(members)
            better[some] = one.judge(chi2[some])
        most = self._keep(better, trial, states, chi2)
        self.code[running & (self.code == RUNNING) & (most >= self.plan.max_nfev)] = Status.MAXITER

    def _at(self, step: np.ndarray, which: np.ndarray, max_nfev: int) -> tuple[np.ndarray, list[State]]:
        """Let some problems make a step, their own parameters following; return values and states there."""
        before = self.values
        trial = np.clip(before + step, self.lower, self.upper).astype(self.plan.dtype).astype(float)
        active = [included & which[self.problem_of(k)] for k, included in enumerate(self.included)]
        starts = []
        for k, (part, state) in enumerate(zip(self.parts, self.states, strict=True)):
            start = (state.p + self._following(k, (trial - before)[part.values])).astype(part.plan.dtype)
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
                _, step[members], promised[self._numbers_of(members)] = one.solve(
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

    def _following(self, k: int, moves: np.ndarray) -> np.ndarray:
        """Return the steps of own parameters that go with steps of the shared ones, no larger than first ones."""
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
                state.status[which & ~lower & (new.status == Status.SUCCESS)] = Status.SUCCESS
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

    # --- Errors -----------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Look again at own parameters that are ill-conditioned, and at shared ones."""

        def work(k: int, block: slice, number: int) -> None:
            part, state = self.parts[k], self.states[k]
            which = np.flatnonzero(self.included[k][block]) + block.start
            if not which.size or not part.own.size:
                return
            fits = Fits.empty(which.size, state.p.shape[1], part.plan.dtype)
            fits.popt[:], fits.information[:] = state.p[which], state.information[which]
            fits.chi2[:], fits.nfev[:], fits.status[:] = (
                state.chi2[which],
                state.nfev[which],
                state.status[which],
            )
            finish(self.sets, part.plan, part.numbers[which], fits, 0)
            state.p[which], state.chi2[which], state.status[which] = fits.popt, fits.chi2, fits.status
            rows, columns = np.triu_indices(state.p.shape[1])
            for i in np.flatnonzero(fits.is_inverse):
                inverse = np.zeros((state.p.shape[1],) * 2)
                inverse[rows, columns] = fits.information[i]
                self._inverses[k][int(which[i])] = inverse

        self._pass(work, self.included)
        self._common()

    def inverses(self, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which of some data sets have known inverses of their own Jacobian's factor, and these."""
        known = [i for i, row in enumerate(rows) if int(row) in self._inverses[k]]
        n = self.states[k].p.shape[1]
        found = [self._inverses[k][int(rows[i])] for i in known]
        return np.array(known, int), np.array(found).reshape(len(found), n, n)

    def _common(self) -> None:
        """Find the roots of the covariances of the shared values, for the problems of each size."""
        self.roots = []
        for index, members in enumerate(self.members):
            roots, least = of_equations(self.equations(index, self.states))
            first = self._numbers_of(members).start
            for row in np.flatnonzero(~(least > LEAST_PIVOT[self.plan.dtype.name])):
                number = first + int(row)
                if self.members_included[number] and self.code[number] != Status.TOO_FEW_POINTS:
                    roots[row] = refine(self, number)
                    self.refined.add(number)
                    self._evaluate_again(number)
                    if np.isinf(roots[row]).any():
                        self._mark(number, Status.UNDETERMINED)
            self.roots.append(roots)

    def _mark(self, number: int, status: Status) -> None:
        for k, state in enumerate(self.states):
            state.status[self.included[k] & (self.problem_of(k) == number)] = status

    def _evaluate_again(self, number: int) -> None:
        """Evaluate a problem where `refine` has left it."""
        which = [included & (self.problem_of(k) == number) for k, included in enumerate(self.included)]
        states = self.fitted([state.p for state in self.states], which, 1, np.inf)
        for state, new, some in zip(self.states, states, which, strict=True):
            new.status, new.nfev = state.status, state.nfev
            state.take(some & np.isfinite(new.chi2), new)

    def make_precise(self) -> None:
        """Evaluate fits in single precision again, in double precision, for the sake of the covariances."""
        with np.errstate(all="ignore"):
            for k, (part, state) in enumerate(zip(self.parts, self.states, strict=True)):
                part.plan = replace(part.plan, dtype=np.dtype(float))
                which = np.flatnonzero(self.included[k])
                new = State.empty(part)
                new.p[:] = state.p
                if which.size:
                    self._fit_again(k, which, new.p[which], 1, np.inf, new)
                state.information, state.schur, state.reduced = new.information, new.schur, new.reduced
            for index, members in enumerate(self.members):
                roots, _ = of_equations(self.equations(index, self.states))
                first = self._numbers_of(members).start
                for row in range(len(members)):
                    if first + row not in self.refined:
                        self.roots[index][row] = roots[row]


def of_equations(at: Equations) -> tuple[np.ndarray, np.ndarray]:
    """Return roots of the inverses of the matrices, and their least eigenvalues by the diagonals."""
    unit = np.where(at.diagonal > 0, 1 / np.sqrt(at.diagonal), 0)
    values, vectors = np.linalg.eigh(unit[:, :, None] * at.matrix * unit[:, None, :])
    roots = unit[:, :, None] * vectors / np.sqrt(values)[:, None, :]
    least = np.where((unit > 0).all(axis=1), values[:, 0], 0)
    roots[~(least > at.matrix.shape[1] * float(np.finfo(float).eps))] = np.inf
    return roots, least


def _medians(numbers: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Return the median of the finite values of each number; NaN where there is none."""
    finite = np.isfinite(values)
    numbers, values = numbers[finite], values[finite].astype(float)
    order = np.lexsort((values, numbers))
    numbers, values = numbers[order], values[order]
    begin, end = (
        np.searchsorted(numbers, np.arange(count)),
        np.searchsorted(numbers, np.arange(count), "right"),
    )
    medians = np.full(count, np.nan)
    some = end > begin
    middle = values[(begin + end - 1)[some] // 2] + values[(begin + end)[some] // 2]
    medians[some] = middle / 2
    return medians
