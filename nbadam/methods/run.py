"""Where a run is and what it has seen: one step, one look at the new point, and why to end there."""

from collections.abc import Callable
from math import inf, isfinite

import numpy as np

from ..engine import State
from ..gradients import clip_scale, norm_from
from . import averaging, history
from .auto import begin, new_auto, stretch_kernel
from .compiled import place_kernel
from .objective import Objective
from .plan import Plan
from .state import RunState, generator_states, restore_generators
from .stopping import BAD_SHAPE, CODES, GTOL, NONFINITE, PATIENCE, WINDOW, Stop, new_window, observe_kernel


class Run:
    """Where a run is and what it has seen: arrays that Python or compiled code steps in place."""

    def __init__(self, objective: Objective, plan: Plan, x0: np.ndarray, resumed: RunState | None) -> None:
        n = x0.size
        self.objective, self.plan = objective, plan
        self.x = np.clip(x0, plan.lower, plan.upper)
        self.x_start = self.x.copy()
        self.scaled = self.x / plan.x_scale
        lower, upper = plan.lower / plan.x_scale, plan.upper / plan.x_scale
        self.box = (lower, upper, plan.x_scale, plan.lower, plan.upper)
        self.state = State(plan.rule, [self.scaled])
        for name, value in plan.initial.items():
            if callable(value):
                value = value(self.scaled, *plan.rule.scalars(1.0, float(plan.learning_rate(0)), *plan.hyper))
            self.state.slots[name][:] = value
        self.window = new_window(n)
        self.best = np.array([inf]), self.x.copy(), np.zeros(n)
        self.average_kind = averaging.KINDS[plan.average]
        self.average = np.zeros(0 if self.average_kind == averaging.LAST else n)
        self.table, self.trace = history.new_history()
        self.auto = new_auto(n if plan.is_auto else 0)
        self.nit = 0
        self.rate = 0.0  # of the last step
        self.is_noisy = objective.is_noisy  # None: not known before two values at one point were compared
        # The mean point with value and gradient, if the run ends there.
        self.settled: tuple[np.ndarray, float, np.ndarray] | None = None
        self.is_pending = False  # whether the last step was made but not evaluated,
        self.x_before = self.x.copy()  # so that `f` and `g` belong to the point before it
        self.f, self.f_start, self.g = np.nan, np.nan, np.zeros(n)
        if resumed is not None:
            self._restore(resumed)
        else:
            self.f, g = objective.value_and_gradient(self.x)
            self.f_start = self.f
            self.g[:] = g * plan.x_scale
            if plan.is_auto:
                begin(self.scaled, self.f, self.g, *self.auto[:2])
                if plan.radius is not None:
                    self.auto[1].fill(plan.radius)

    def start(self) -> Stop | None:
        """Return why the run need not begin, or None."""
        if self.is_pending:
            return self.look(False)
        if not (isfinite(self.f) and np.isfinite(self.g).all()):
            return Stop.NONFINITE
        if self.nit:
            return self._limit()
        self._remember_best()
        lower, upper = self.box[:2]
        if (lower == upper).all():
            return Stop.FIXED
        return Stop.GTOL if self._is_flat(self.scaled, self.g) else self._limit()

    def step(self) -> None:
        """Make one step, to a point within the bounds."""
        plan = self.plan
        self.rate = rate = float(plan.learning_rate(self.nit))
        scale = 1.0
        if plan.clipnorm < inf:
            (squares,) = self.state.sum_squares((self.g,), plan.clipvalue)
            scale = clip_scale(norm_from(squares, self.g, plan.clipvalue), plan.clipnorm)
        self.x_before[:] = self.x
        before = self.scaled.copy()
        if plan.is_auto:
            self.scaled.fill(0.0)
        self.state.step(
            (self.g,),
            self.nit + 1.0,
            (rate, *plan.hyper),
            clip=plan.clipvalue,
            scales=np.array([scale]),
            decays=np.array([0.0 if plan.is_auto else rate * plan.weight_decay]),
        )
        if plan.is_auto:
            m, v = list(self.state.slots.values())[:2]
            limits, betas = (plan.clipvalue, plan.weight_decay), plan.hyper[:2]
            self.rate = stretch_kernel()(
                self.nit + 1.0,
                plan.horizon,
                self.g,
                scale,
                limits,
                betas,
                before,
                self.scaled,
                m,
                v,
                *self.auto,
            )
        place_kernel()(before, self.scaled, plan.rates, *self.box, self.x)
        self.nit += 1
        self.is_pending = True

    def look(self, value_wanted: bool) -> Stop | None:
        """Evaluate the new point, and return why the run ends there, or None."""
        fresh = value_wanted or self.objective.value_is_free or self.nit % WINDOW == 0
        if fresh:
            self.f, self.g[:] = self.objective.value_and_gradient(self.x)
        else:
            self.g[:] = self.objective.gradient(self.x)
        self.is_pending = False
        lower, upper, x_scale = self.box[:3]
        tolerances = self.plan.tolerances
        code = observe_kernel()(self.f, self.g, self.scaled, x_scale, lower, upper, tolerances, *self.window)
        if code != NONFINITE:
            if fresh:
                self._remember_best()
            if self.average.size:
                self.average += averaging.weight(self.average_kind, float(self.nit)) * (self.x - self.average)
            self._record()
        return self._verdict(code)

    def compiled_steps(self, kernel: Callable, steps: int) -> Stop | None:
        """Make up to `steps` steps in compiled code; return why the run ends, or None."""
        plan, objective = self.plan, self.objective
        steps, args = objective.compiled_args(steps)
        rates = np.empty(steps)
        rates[:] = plan.learning_rate(np.arange(self.nit, self.nit + steps))
        slots = tuple(self.state.slots.values())
        limits = plan.clipvalue, plan.clipnorm, plan.weight_decay, plan.horizon
        code, done, self.f = kernel(
            self.nit, rates, plan.hyper, limits, plan.tolerances, self.average_kind,
            self.g, self.scaled, slots, self.auto, plan.rates, self.box, self.x, self.window,
            self.best, self.average, self.table, self.trace, args,
        )  # fmt: skip
        self.nit += done
        self.rate = float(self.auto[3][1] if plan.is_auto else rates[done - 1])
        objective.count(done)
        if code == BAD_SHAPE:
            raise ValueError(f"The gradient must have the shape of `x0`, {self.x.shape}, at every point.")
        return self._verdict(code)

    def _verdict(self, code: int) -> Stop | None:
        """Return why the run ends, or None, given what the last look at the window found."""
        if code and (code == NONFINITE or self._has_settled(code)):
            return CODES[code]
        return self._limit()

    def _has_settled(self, code: int) -> bool:
        """Whether small means over a window stand for convergence, and not for a cycle of large steps.

        If the objective is not noisy, the mean point of the window tells: at the centre of a cycle the
        gradient is not what it was on the average, or the value is lower.  Where the mean point is the
        better one, the run ends there.
        """
        if self.is_noisy:
            return True
        if code == PATIENCE and self.nit < WINDOW:
            return False  # no window is full yet that a mean point would come from
        scaled = self.window[2].copy()
        x = np.clip(scaled * self.plan.x_scale, self.plan.lower, self.plan.upper)
        f, g = self.objective.value_and_gradient(x)
        if self.is_noisy is None:
            again, g_again = self.objective.value_and_gradient(x)
            self.is_noisy = f != again or not np.array_equal(g, g_again)
            if self.is_noisy:
                return True
        if not self.objective.value_is_free:
            self.f = self.objective.value(self.x)
        g *= self.plan.x_scale
        better = f < self.f
        if code == GTOL:
            flat = self._is_flat(self.scaled, self.g)
            mean_is_flat = self._is_flat(scaled, g)
            settled = flat or mean_is_flat
            better = mean_is_flat and (better or not flat)
        else:
            settled = self.f - f <= max(self.plan.tolerances[1], 0.0) * max(abs(f), abs(self.f))
        if settled and better:
            self.settled = x, f, g
        return settled

    def _is_flat(self, scaled: np.ndarray, g: np.ndarray) -> bool:
        """Whether `gtol` is met by the gradient at a point, as far as the bounds leave room to follow it."""
        lower, upper = self.box[:2]
        slopes = np.clip(g, scaled - upper, scaled - lower)
        return bool(np.abs(slopes).max() <= self.plan.tolerances[0])

    def _limit(self) -> Stop | None:
        if self.nit >= self.plan.maxiter:
            return self.plan.at_end
        return Stop.MAXFUN if self.objective.nfev >= self.plan.maxfun else None

    def _remember_best(self) -> None:
        f_best, x_best, g_best = self.best
        if self.f < f_best[0]:
            f_best[0] = self.f
            x_best[:] = self.x
            g_best[:] = self.g

    def _record(self) -> None:
        trace = self.trace
        trace[0] += self.f
        trace[1] += 1.0
        if trace[1] >= trace[2]:
            (squares,) = self.state.sum_squares((self.g,))
            history.push(self.nit, self.rate, norm_from(squares, self.g, inf), self.table, trace)

    # --- To be continued ---------------------------------------------------------------------------

    def _arrays(self) -> dict[str, np.ndarray]:
        """Everything that a step changes and is an array, by name."""
        g_sum, x_sum, x_mean, tally = self.window
        f_best, x_best, g_best = self.best
        slots = {f"slot {name}": slot for name, slot in self.state.slots.items()}
        start, radius, noise, auto_tally = self.auto
        return slots | {
            "auto_start": start,
            "auto_radius": radius,
            "auto_noise": noise,
            "auto_tally": auto_tally,
            "x": self.x,
            "x_start": self.x_start,
            "x_before": self.x_before,
            "x_scale": self.plan.x_scale,
            "scaled": self.scaled,
            "g": self.g,
            "g_sum": g_sum,
            "x_sum": x_sum,
            "x_mean": x_mean,
            "tally": tally,
            "f_best": f_best,
            "x_best": x_best,
            "g_best": g_best,
            "average": self.average,
            "table": self.table,
            "trace": self.trace,
        }

    def snapshot(self) -> RunState:
        """Return where the run is; the arrays are the run's own."""
        if not self.is_pending:
            self.x_before[:] = self.x
        facts = {
            "rule": self.plan.rule.name,
            "average": self.plan.average,
            "nit": self.nit,
            "f": self.f,
            "f_start": self.f_start,
            "rate": self.rate,
            "is_noisy": self.is_noisy,
            "is_pending": self.is_pending,
            "objective": self.objective.facts(),
            "generators": generator_states(self.objective.args),
        }
        return RunState(facts, self._arrays())

    def _restore(self, resumed: RunState) -> None:
        facts, plan = resumed.facts, self.plan
        for name, here in (("rule", plan.rule.name), ("average", plan.average)):
            if facts[name] != here:
                raise ValueError(f"`state` belongs to a run with {name} {facts[name]!r}, not {here!r}.")
        for name, array in self._arrays().items():
            saved = resumed.arrays[name]
            if saved.shape != array.shape:
                raise ValueError(f"`state` has {name} of shape {saved.shape}, and this run {array.shape}.")
            if name == "x_scale" and not np.array_equal(saved, array):
                raise ValueError(f"`x_scale` must be that of the run that `state` continues, {saved}.")
            array[...] = saved
        self.nit, self.f, self.f_start = facts["nit"], facts["f"], facts["f_start"]
        self.rate, self.is_noisy, self.is_pending = facts["rate"], facts["is_noisy"], facts["is_pending"]
        self.objective.restore(facts["objective"])
        restore_generators(self.objective.args, facts["generators"])
