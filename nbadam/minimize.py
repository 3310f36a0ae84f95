"""The run behind every SciPy method: step, evaluate, look, call back, stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from .compiled import descent, place_kernel
from .engine import State
from .gradients import clip_scale, norm_from
from .objective import Objective
from .rules import Rule
from .stopping import BAD_SHAPE, CODES, GTOL, NONFINITE, WINDOW, Stop, observe_kernel

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

CHUNK_SECONDS = 0.05  # a compiled run looks for Ctrl-C this often


@dataclass
class Plan:
    """Everything about a run that is not the objective: what a step is, and when to end.

    The run happens in scaled variables, ``x / x_scale``; clipping and tolerances see their gradients.
    """

    rule: Rule
    initial: dict[str, float]  # slots that do not start at 0
    learning_rate: Callable  # of the number of steps done before, an int or an array of them
    hyper: tuple[float, ...]  # the hyperparameters after the learning rate
    rates: np.ndarray  # each variable's learning rate as a fraction of `learning_rate`; empty if equal
    clipvalue: float
    clipnorm: float
    weight_decay: float
    x_scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    tolerances: tuple[float, float, float]  # gtol, ftol, xtol; negative is off
    maxiter: float
    maxfun: float
    at_end: Stop  # what reaching `maxiter` means


class Run:
    """Where a run is and what it has seen: arrays that Python or compiled code steps in place."""

    def __init__(self, objective: Objective, plan: Plan, x0: np.ndarray) -> None:
        n = x0.size
        self.objective, self.plan = objective, plan
        self.x = np.clip(x0, plan.lower, plan.upper)
        self.scaled = self.x / plan.x_scale
        lower, upper = plan.lower / plan.x_scale, plan.upper / plan.x_scale
        self.box = (lower, upper, plan.x_scale, plan.lower, plan.upper)
        self.state = State(plan.rule, [self.scaled])
        for name, value in plan.initial.items():
            self.state.slots[name].fill(value)
        self.window = (np.zeros(n), np.zeros(n), np.zeros(n), np.array([0.0, 0.0, np.nan]))
        self.nit = 0
        self.is_noisy: bool | None = None  # not known before two values at one point were compared
        self.f, g = objective.value_and_gradient(self.x)
        self.f_start = self.f
        self.g = g * plan.x_scale
        self.f_best, self.x_best, self.g_best = inf, self.x.copy(), self.g.copy()

    def start(self) -> Stop | None:
        """Return why the run need not begin, or None."""
        if not (isfinite(self.f) and np.isfinite(self.g).all()):
            return Stop.NONFINITE
        self._remember_best()
        lower, upper = self.box[:2]
        if (lower == upper).all():
            return Stop.FIXED
        return Stop.GTOL if self._is_flat(self.scaled, self.g) else self._limit()

    def step(self) -> None:
        """Make one step, to a point within the bounds."""
        plan = self.plan
        rate = float(plan.learning_rate(self.nit))
        scale = 1.0
        if plan.clipnorm < inf:
            (squares,) = self.state.sum_squares((self.g,), plan.clipvalue)
            scale = clip_scale(norm_from(squares, self.g, plan.clipvalue), plan.clipnorm)
        before = self.scaled.copy()
        self.state.step(
            (self.g,),
            self.nit + 1.0,
            (rate, *plan.hyper),
            clip=plan.clipvalue,
            scales=np.array([scale]),
            decays=np.array([rate * plan.weight_decay]),
        )
        place_kernel()(before, self.scaled, plan.rates, *self.box, self.x)
        self.nit += 1

    def look(self, value_wanted: bool) -> Stop | None:
        """Evaluate the new point, and return why the run ends there, or None."""
        fresh = value_wanted or self.objective.value_is_free or self.nit % WINDOW == 0
        if fresh:
            self.f, g = self.objective.value_and_gradient(self.x)
        else:
            g = self.objective.gradient(self.x)
        np.multiply(g, self.plan.x_scale, out=self.g)
        lower, upper = self.box[:2]
        code = observe_kernel()(self.f, self.g, self.scaled, lower, upper, self.plan.tolerances, *self.window)
        if fresh and code != NONFINITE:
            self._remember_best()
        return self._verdict(code)

    def compiled_steps(self, kernel: Callable, steps: int) -> Stop | None:
        """Make up to `steps` steps in compiled code; return why the run ends, or None."""
        plan, objective = self.plan, self.objective
        rates = np.empty(steps)
        rates[:] = plan.learning_rate(np.arange(self.nit, self.nit + steps))
        slots = tuple(self.state.slots.values())
        code, done, self.f, self.f_best = kernel(
            self.nit, rates, plan.hyper, plan.clipvalue, plan.clipnorm, plan.weight_decay, plan.tolerances,
            self.g, self.scaled, slots, plan.rates, self.box, self.x, self.window,
            self.f_best, self.x_best, self.g_best, objective.args,
        )  # fmt: skip
        self.nit += done
        objective.nfev += done
        objective.njev += done
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
            self.f = f
            self.x[:], self.g[:] = x, g
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
        if self.f < self.f_best:
            self.f_best = self.f
            self.x_best[:] = self.x
            self.g_best[:] = self.g

    def result(self, stop: Stop) -> "OptimizeResult":
        """Describe the end: the last point, or the best one where the last is worse than the start."""
        from scipy.optimize import OptimizeResult  # costs 0.2 s: not before somebody minimizes

        status, success, message = stop.value
        if stop is Stop.NONFINITE:
            message = self._where_not_finite()
        elif not self.objective.value_is_free:
            self.f = self.objective.value(self.x)
        x, f, g = self.x, self.f, self.g
        if self.f_best < inf and (stop is Stop.NONFINITE or not f <= self.f_start):
            x, f, g = self.x_best, self.f_best, self.g_best
        return OptimizeResult(
            x=x.copy(),
            fun=f,
            jac=g / self.plan.x_scale,
            nit=self.nit,
            nfev=self.objective.nfev,
            njev=self.objective.njev,
            status=status,
            success=success,
            message=message,
        )

    def _where_not_finite(self) -> str:
        where = f"at step {self.nit}" if self.nit else "at `x0`"
        bad = np.flatnonzero(~np.isfinite(self.g))
        if not isfinite(self.f):
            what = f"The value of `fun` is {self.f} {where}"
        else:
            i = bad[0]
            what = f"The gradient is {self.g[i]} in entry {i} {where}, where x[{i}] = {self.x[i]:g}"
        cure = "a smaller `learning_rate`, `clipnorm`, or `bounds` that keep x where `fun` is defined"
        kept = " The best point seen is returned." if self.nit else ""
        return f"{what}.{kept} Try {cure if self.nit else 'another `x0`'}."


def run(objective: Objective, plan: Plan, x0: np.ndarray, callback: Callable | None, wants_value: bool):
    """Run from `x0` to the end, driven from Python.

    Parameters
    ----------
    objective, plan : Objective, Plan
        What to minimize, and how.
    x0 : ndarray of float64, shape (n,)
        Where to start; moved into the bounds.
    callback : callable or None
        Called with this run after every iteration; ends it by StopIteration.
    wants_value : bool
        Whether the callback needs the value at every point.
    """
    state = Run(objective, plan, x0)
    stop = state.start()
    while stop is None:
        state.step()
        stop = state.look(wants_value)
        if callback is not None:
            try:
                callback(state)
            except StopIteration:
                stop = Stop.CALLBACK
    return state.result(stop)


def run_compiled(objective: Objective, plan: Plan, x0: np.ndarray):
    """Run from `x0` to the end inside compiled code, some hundredths of a second at a time."""
    state = Run(objective, plan, x0)
    stop = state.start()
    steps = WINDOW
    while stop is None:
        budget = min(steps, plan.maxiter - state.nit, plan.maxfun - objective.nfev)
        started = time.perf_counter()
        stop = state.compiled_steps(_descent(plan.rule, objective.fun), int(budget))
        seconds = time.perf_counter() - started
        steps = max(1, int(steps * min(10.0, CHUNK_SECONDS / max(seconds, 1e-9))))
    return state.result(stop)


@lru_cache(maxsize=64)
def _descent(rule: Rule, fun: Callable):
    return descent(rule, fun)
