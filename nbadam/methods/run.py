"""A run as Python has it: its record, the kernels that change it, and its way into a checkpoint and back."""

from math import ceil, inf
from time import perf_counter
from typing import Any

import numpy as np

from .._calls import address_of
from .._jit import entry_point
from ..blocks import Pace
from ..checks import shown
from ..engine import PARALLEL_SIZE, mode
from .block import Workspace
from .loop import loop, loop_kernel
from .objective import Objective
from .plan import RunPlan
from .record import EVALUATE, NUMBERS, STEP, Phase, Record
from .state import Checkpoints, RunState, generator_states, restore_generators
from .stopping import WINDOW, Stop

# Fields of the record that a checkpoint leaves out: the last gradient, and those that the options give again.
# It has the numbers by their own names.
GIVEN = "g lower upper x_lower x_upper fractions numbers limits".split()
CONVERGED = Stop.GTOL, Stop.FTOL, Stop.XTOL, Stop.PATIENCE  # reasons to end that an evolution may overrule
NOISY_SCHEMES = "noise", "spsa", "quadratic"  # kinds of differences for noisy values: a run keeps its own


class Run:
    """A run that Python or compiled code takes further.

    Attributes
    ----------
    record : Record
        All that steps and evaluations change.
    s : record
        Its numbers.
    checkpoints : Checkpoints
        File that holds the state of the run, if one was asked for.
    x_start : ndarray, shape (n,)
        Where the run started.
    """

    def __init__(self, objective: Objective, plan: RunPlan, x0: np.ndarray, resumed: RunState | None) -> None:
        self.objective: Objective = objective
        self.plan: RunPlan = plan
        self.checkpoints: Checkpoints = Checkpoints(plan.settings)
        rate = float(plan.learning_rate(0)) if plan.rule.start else 1.0  # a user's schedule has side effects
        given = [array[None] for array in (x0, plan.lower, plan.upper, plan.x_scale, plan.fractions)]
        how = "uncounted" if x0.size < PARALLEL_SIZE else mode(x0.size)
        work = Workspace(plan, given, rate, how=how)
        self._workspace, self.record, self._addresses = work, work.record, work.addresses[:2]
        self._step, self._tell = entry_point(work.step), entry_point(work.tell)
        if objective.is_compiled:
            self._loop, self._pace = loop_kernel(loop, work.kinds[0]), Pace(1)
            self._calls = address_of(work.step), address_of(work.tell)
        self.s: Any = self.record.numbers[0]
        self._nit, self._next, self._phase = (self.record.numbers[name] for name in ("nit", "next", "phase"))
        entry_point(work.begin)(*work.addresses, 0)
        if objective.is_noisy is not None:
            self.s.is_noisy = objective.is_noisy
        self.x_start: np.ndarray = self.record.here.copy()
        if resumed is not None:
            self._restore(resumed)

    # --- Steps and evaluations -----------------------------------------------------------------------

    @property
    def nit(self) -> int:
        """Steps made."""
        return int(self._nit[0])

    @property
    def is_pending(self) -> bool:
        """Whether the last step was made, but not evaluated."""
        return bool(self._next[0] == EVALUATE) and int(self._phase[0]) == Phase.STEP

    @property
    def stop(self) -> Stop | None:
        """Reason why the run has ended, or None."""
        if self._next[0] > EVALUATE:
            stop = Stop(self._next[0])
            return self.plan.at_end if stop is Stop.MAXITER else stop
        is_first = self._next[0] == EVALUATE and int(self._phase[0]) == Phase.START and not self.s.skipped
        if is_first or self.objective.nfev < self.plan.maxfun:
            return None
        evolution = self.objective.evolution  # alone, it goes on up to the limit of a run that has settled
        return Stop.PATIENCE if evolution is not None and evolution.is_alone else Stop.MAXFUN

    def advance(self, most: float, needs_value: bool) -> None:
        """Make a step, if that comes next, and one evaluation from Python, whatever `most` is."""
        record, objective = self.record, self.objective
        if self._next[0] == STEP:
            self._step(*self._addresses, float(self.plan.learning_rate(self.nit)))
            if objective.proposal is not None:
                record.here[:] = record.point[:] = objective.proposal
                record.x[:] = record.here / self.plan.x_scale
        phase = int(self._phase[0])  # NumPy's integers take 30 us to compare with a member of an enumeration
        is_fresh = phase != Phase.STEP or needs_value or objective.value_is_free
        is_fresh |= self.plan.limits["part"] < inf or self.s.points >= WINDOW - 1  # stop tests need values
        # Where the value is not defined, a separate gradient may be finite, and lead further away.
        is_fresh |= self.plan.is_auto and self.s.skipped > 0
        if is_fresh:
            f, record.g[:] = objective.value_and_gradient(record.point)
        else:
            f, record.g[:] = float(self.s.f), objective.gradient(record.point)
        if phase == Phase.START:
            objective.check_gradient(record.here, record.g)
        self._tell(self._addresses[0], f, int(is_fresh))
        evolution, code = objective.evolution, self._next[0]
        if evolution is not None and (code in CONVERGED or (evolution.is_alone and code == STEP)):
            was_alone = evolution.is_alone
            if evolution.goes_on(self.plan.maxfun < inf):
                self._next[0] = STEP
            elif was_alone:
                self._next[0] = Stop.PATIENCE

    def advance_compiled(self, most: float, needs_value: bool) -> None:
        """Go on for up to `most` evaluations in compiled code, which have values in any case."""
        nit, phase = self.nit, int(self._phase[0])
        most = max(1, min(self._pace.amount, most, self.plan.maxfun - self.objective.nfev))
        began = perf_counter()
        most, evaluator = self.objective.compiled_for(ceil(most))
        rates = np.full(most, self.plan.learning_rate(np.arange(nit, nit + most)), float)
        with self.objective.turn:
            context = evaluator.context
            made = self._loop(*self._calls, evaluator.address, *self._addresses, context, rates, most)
        if phase == Phase.START:
            self.objective.check_gradient(self.record.here, self.record.g)
        self.objective.count(made)
        self._pace.learn(made, perf_counter() - began)

    # --- To be continued ---------------------------------------------------------------------------

    def _arrays(self) -> dict[str, np.ndarray]:
        """All that changes and is an array, by name."""
        slots = zip(self.plan.rule.slots, self._workspace.own.slots, strict=True)
        named = {f"slot {name}": slot for name, slot in slots}
        named |= {name: getattr(self.record, name) for name in Record._fields if name not in GIVEN}
        # Whether there are bounds is known from those of this run.
        numbers = (name for name in NUMBERS.names or () if name != "is_free")
        named |= {f"number {name}": self.record.numbers[name] for name in numbers}
        return named | {"x_start": self.x_start}

    def _identity(self) -> dict[str, str | float]:
        """Return the options that a continued run must share."""
        plan, differences = self.plan, self.objective.differences
        scheme = None if differences is None else differences.scheme
        return {
            "rule": plan.rule.name,
            "average": plan.settings["average"],
            "learning_rate": "auto" if plan.is_auto else "given",
            "finite_diff": scheme if scheme in NOISY_SCHEMES else "another one, or a gradient",
            **dict(zip(list(plan.rule.hyperparameters)[1:], plan.hyper, strict=True)),
            **{name: plan.limits[name] for name in ("clipvalue", "clipnorm", "weight_decay")},
        }

    def snapshot(self) -> RunState:
        """Return the state of the run; the arrays are the run's own."""
        if not self.is_pending:
            self.record.before[:] = self.record.x
        if self.s.next == Stop.MAXITER:  # the limit is no part of the state
            self.s.next = STEP
        facts: dict[str, Any] = self._identity() | {
            "nit": self.nit,
            "objective": self.objective.facts(),
            "generators": generator_states(self.objective.args),
        }
        return RunState(facts, self._arrays())

    def _restore(self, resumed: RunState) -> None:
        facts = resumed.facts
        for name, here in self._identity().items():
            if facts[name] != here:
                raise ValueError(
                    f"`state` belongs to a run with `{name}` {facts[name]!r}, not {shown(here)}: "
                    "give the options of that run."
                )
        for name, array in self._arrays().items():
            saved = resumed.arrays[name]
            if saved.shape != array.shape:
                raise ValueError(f"`state` has {name} of shape {saved.shape}, and this run {array.shape}.")
            if name == "x_scale" and not np.array_equal(saved, array):
                raise ValueError(f"`x_scale` must be that of the run that `state` continues, {saved}.")
            array[...] = saved
        point = self.record.here
        if ((point < self.plan.lower) | (point > self.plan.upper)).any():
            raise ValueError(f"`bounds` must hold the point of the run that `state` continues, {point}.")
        if self.s.next > EVALUATE and self.s.next != Stop.NONFINITE and self.nit:
            self.s.is_at_mean, self.s.next = 0, STEP
        self.objective.restore(facts["objective"])
        restore_generators(self.objective.args, facts["generators"])
        if self.s.next == STEP and self.nit >= self.plan.limits["maxiter"]:
            self.s.next = Stop.MAXITER
