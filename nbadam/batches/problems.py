"""The problems of a batch: their arguments and options, checked, and the runs of a part of them."""

import inspect
import time
from collections.abc import Callable
from copy import copy
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from .._calls import address_of
from .._jit import reason
from .._threads import turn_of
from ..blocks import Pace, is_called_off
from ..checks import positive, shown
from ..hyperparameters import choice
from ..methods.block import Workspace
from ..methods.bounds import parse_bounds, parse_starts
from ..methods.evaluator import Evaluator, forms
from ..methods.loop import loop_kernel, solve
from ..methods.options import AUTOMATIC, DIVIDING, OPTIONS, implied, learning_rate_from
from ..methods.plan import Plan
from ..methods.record import TOLERANCES
from ..methods.step import fill_scalars
from ..methods.stopping import Stop
from ..rules import Rule
from ..status import Status
from .data import OF_PROBLEM, as_args, as_data, pieces
from .result import BatchResult

# Options that mean the same in runs and in batches.
SHARED = ["x_scale", "clipvalue", "clipnorm", "weight_decay", "average", "steps", "maxiter", "tol"]
SHARED += [*TOLERANCES, "patience", "reductions", "reduction", "on_nonfinite"]
TABULATED = 100_000  # number of steps at a time: Ctrl-C waits for 0.02 s
LONGEST = 10_000_000  # steps for which the learning rates are tabulated

# The status of a problem by the number of the `Stop` that ended it.
STATUS = np.zeros(max(Stop) + 1, np.int8)
STATUS[list(Stop)] = [stop.status for stop in Stop]


class Problems:
    """The problems of a batch, checked, and how to run some of them.

    Attributes
    ----------
    size, n : int
        How many there are, and in how many variables.
    dtype : numpy.dtype
        Precision of everything: float32 or float64.
    bytes_each : int
        Size of one of them in the arrays of a block.
    """

    n: Any
    data: tuple[Any, ...]
    size: int
    fun: Any
    writes: bool
    lower: np.ndarray
    upper: np.ndarray

    def __init__(
        self, fun: Any, x0: Any, args: Any, data: Any, rule: Any, bounds: Any, options: dict[str, Any]
    ) -> None:
        if not isinstance(rule, Rule):
            raise ValueError(f"`rule` must be a Rule, such as nbadam.rules.ADAM, not {shown(rule)}.")
        starts = parse_starts("x0", x0, {1: "(n,)", 2: "(n_problems, n)"})
        self.n = n = starts.shape[-1]
        if not n:
            raise ValueError(f"`x0` must have the shape (n,) or (n_problems, n), not {starts.shape}.")
        self.dtype: np.dtype = starts.dtype if starts.dtype == np.float32 else np.dtype(np.float64)
        self.data, self.size = as_data(data, starts.shape[0] if starts.ndim == 2 else None)
        self.args: tuple[Any, ...] = as_args(args)
        self.fun, self.writes = _compilable(fun), _writes(fun, 1 + len(self.data) + len(self.args))

        shape = (self.size, n)
        settings = _settings(rule, options)
        self.x0: np.ndarray = np.broadcast_to(starts, shape)
        self.scale: np.ndarray = positive("x_scale", settings["x_scale"], shape)
        self.lower, self.upper = (np.broadcast_to(b, shape) for b in parse_bounds(bounds, n, self.size))
        self.plan: Plan = Plan(rule, settings)
        if self.plan.is_auto and rule not in AUTOMATIC:
            raise ValueError("`learning_rate='auto'` is for nbadam.rules.ADAM and nbadam.rules.AMSGRAD.")
        limits = self.plan.limits
        if limits["maxiter"] > LONGEST:
            raise ValueError(f"`maxiter` and `steps` must be at most {LONGEST:,}, not {limits['maxiter']:g}.")
        limits |= {"maxiter": int(limits["maxiter"]), "keeps_before": limits["skips"]}
        limits["evaluates_average"] = settings["average"] in ("tail", "ema") or (
            settings["average"] == "auto" and self.plan.is_auto
        )
        self._schedule(1.0 if self.plan.is_auto else settings["learning_rate"], shape)
        self._pace = Pace(1)  # in evaluations
        self._work: Workspace | None = None  # arrays of the first block; all blocks have its kernels
        self._objective: Evaluator | None = None
        self._turn = turn_of(self.fun)
        self.bytes_each: Any = 6 * n * self.dtype.itemsize + 16

    def _schedule(self, learning_rate: Any, shape: tuple[int, int]) -> None:
        """Tabulate the scalars of the steps, unless rates differ between problems or depend on the run."""
        self.rates: np.ndarray | None = None
        self.schedule: np.ndarray = np.zeros(0)
        rule, hyper = self.plan.rule, self.plan.hyper
        if not callable(learning_rate) and np.ndim(learning_rate):
            divides = rule in DIVIDING
            self.rates = positive("learning_rate", learning_rate, shape, zero=not divides)
            if divides and np.shape(learning_rate)[-1] != 1:
                raise ValueError("`learning_rate` must be the same for all variables with this rule.")
        else:
            schedule, _ = learning_rate_from(learning_rate, rule, shape[1])
            maxiter = int(self.plan.limits["maxiter"])
            self.schedule = np.full(maxiter, schedule(np.arange(maxiter)), float)
        size = 0 if self.plan.limits["reductions"] or self.plan.is_auto else self.schedule.size
        self.table: tuple[np.ndarray, ...] = tuple(np.empty(size) for _ in range(rule.width))
        for first in range(0, size, TABULATED):
            last = min(first + TABULATED, size)
            fill_scalars(rule)(self.schedule, hyper, self.table, first, last)

    def compile(self, result: BatchResult) -> None:
        """Compile the kernel, by a block without problems."""
        try:
            self.run(result, 0, 0)
        except NumbaError as error:
            raise ValueError(
                f"`fun` cannot be compiled by Numba for these arguments: {reason(error)}"
            ) from error

    def run(self, result: BatchResult, start: int, stop: int) -> float:
        """Run the problems from `start` to before `stop`; return the seconds that their steps took."""
        seconds = 0.0
        dtype, count = self.dtype, stop - start
        here = slice(start, stop)
        arrays = self.x0, self.lower, self.upper, self.scale
        given = [np.array(array[here], dtype, order="C") for array in arrays]
        rates, fractions = self.schedule[None], np.empty((count, 0), dtype)
        if self.rates is not None:
            rates, fractions = _split(self.rates[here], dtype)
        first = rates[:, :1] if rates.size else 1.0
        work = Workspace(self.plan, (*given, fractions), first, self.table, rows=0, like=self._work)
        found = pieces(self.data, start, stop), self.args
        objective = self._objective_of(found)
        self._work = self._work or work
        begin, step, tell, end = map(address_of, (work.begin, work.step, work.tell, work.end))
        codes, place = np.empty(count, np.int64), np.zeros(2, np.int64)
        addresses = begin, step, tell, objective.address, end, *work.addresses, objective.context
        go_on = loop_kernel(solve, work.kinds[0])
        while place[0] < count and not is_called_off():
            evaluations = self._pace.amount
            with self._turn:
                began = time.thread_time()  # not the time: waiting for other threads tells nothing
                go_on(*addresses, rates, codes, place, evaluations)
                spent = time.thread_time() - began
            seconds += spent
            self._pace.learn(evaluations, spent, place[0] < count)
        done = int(place[0])
        here = slice(start, start + done)
        result.x[here], result.fun[here] = work.block.x_end[:done], work.block.f_end[:done]
        result.nit[here] = work.block.nit_end[:done]
        ended, codes = np.abs(codes[:done]), codes[:done]
        status = np.where(ended == Stop.MAXITER, self.plan.at_end.status, STATUS[ended])
        result.status[here] = np.where((codes < 0) & (status == 0), Status.NO_PROGRESS, status)
        return seconds

    def _objective_of(self, given: tuple[Any, ...]) -> Evaluator:
        """Return the compiled objective of a block; to find its kernel again takes a quarter of a block."""
        known = self._objective  # another thread may replace it meanwhile
        if known is not None:
            other = copy(known)
            other.give(given)
            if other.kind == known.kind:
                return other
        self._objective = new = Evaluator(self.fun, self.writes, OF_PROBLEM, given, self.dtype.name)
        return new


def _split(rates: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Largest rate of each problem, and each variable's fraction of it (empty if equal)."""
    if rates.strides[1] == 0 or rates.shape[1] == 1:
        return np.array(rates[:, :1]), np.empty((len(rates), 0), dtype)
    largest = rates.max(axis=1)
    fractions = np.divide(rates, largest[:, None], out=np.ones(rates.shape), where=largest[:, None] > 0)
    return largest[:, None], fractions.astype(dtype)


def _settings(rule: Rule, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of runs and the hyperparameters of a rule, with their defaults."""
    known = rule.hyperparameters | {name: OPTIONS[name] for name in SHARED}
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TypeError(
            f"minimize_batch() got an unexpected keyword argument {unknown[0]!r}; "
            f"the hyperparameters of this rule are {', '.join(list(rule.hyperparameters)[1:]) or 'none'}."
        )
    choice("stop", "skip")("on_nonfinite", options.get("on_nonfinite", "stop"))
    settings = known | {"epochs": None} | options
    return settings | implied(rule, settings, options, 0)


@lru_cache(maxsize=64)
def _compiled(fun: Callable[..., Any]) -> Callable[..., Any]:
    return njit(error_model="numpy")(fun)


def _compilable(fun: Any) -> Callable[..., Any]:
    if is_jitted(fun):
        return fun
    if not inspect.isfunction(fun):
        raise ValueError(f"`fun` must be a function that Numba can compile, not {shown(fun)}.")
    return _compiled(fun)


def _writes(fun: Callable[..., Any], least: int) -> bool:
    """Whether `fun` takes an array for the gradient beside its `least` arguments."""
    possible = forms(fun, least)
    if not possible:
        takes = len(inspect.signature(inspect.unwrap(fun)).parameters)
        raise ValueError(
            f"`fun` must take {least} arguments (x, *data, *args) and return (f, g), or {least + 1} "
            f"(x, g, *data, *args) and return f; it takes {takes}."
        )
    return possible == [True]
