"""The run behind every SciPy method: step, evaluate, look, call back, stop."""

import time
from collections.abc import Callable
from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np

from ..progress import progress_bar
from .compiled import compiled_run
from .interrupts import Interrupts
from .objective import Objective
from .plan import Plan
from .result import result_of
from .run import Run
from .state import Checkpoints, RunState
from .stopping import WINDOW, Stop

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

CHUNK_SECONDS = 0.05  # a compiled run looks for Ctrl-C this often


def drive(
    objective: Objective,
    plan: Plan,
    x0: np.ndarray,
    *,
    compiled: bool = False,
    resumed: RunState | None = None,
    callback: Callable | None = None,
    interval: int = 1,
    wants_value: bool = False,
) -> "OptimizeResult":
    """Make a run, to its end.

    Parameters
    ----------
    objective, plan : Objective, Plan
        What to minimize, and how.
    x0 : ndarray of float64, shape (n,)
        Where to start; moved into the bounds.
    compiled : bool
        Whether steps are made in compiled code, some hundredths of a second at a time, or from Python.
    resumed : RunState, optional
        Where to go on from, instead of `x0`.
    callback : callable, optional
        Called with this run after every `interval` iterations; ends it by StopIteration.
    interval : int
        See `callback`.
    wants_value : bool
        Whether the callback needs the value at the point.
    """
    with Interrupts() as interrupts:
        objective.interrupts = interrupts
        run = Run(objective, plan, x0, resumed)
        checkpoints = Checkpoints(plan.checkpoint, plan.checkpoint_every)
        advance = _in_compiled_code(run) if compiled else _from_python(run, interval if wants_value else 0)
        bar = progress_bar(plan.maxiter, run.nit, "step") if plan.progress else None
        begun = time.perf_counter()
        stop: Stop | None = None
        try:
            stop = run.start()
            while stop is None:
                until_callback = interval - run.nit % interval if callback else inf
                stop = advance(min(until_callback, checkpoints.until_due(run.nit)))
                if bar is not None:
                    bar.update(run.nit - bar.n)
                if callback is not None and run.nit % interval == 0:
                    interrupts.in_user_code = True
                    try:
                        callback(run)
                    except StopIteration:
                        stop = Stop.CALLBACK
                    interrupts.in_user_code = False
                if stop is None and interrupts.pending:
                    stop = Stop.INTERRUPTED
                if stop is None and time.perf_counter() - begun > plan.max_time:
                    stop = Stop.MAX_TIME
                if stop is None and checkpoints.is_due(run.nit):
                    checkpoints.save(run.snapshot())
        except KeyboardInterrupt:
            if not interrupts.armed:
                raise
            stop = Stop.INTERRUPTED
        finally:
            if bar is not None:
                bar.close()
        interrupts.in_user_code = False
        snapshot = run.snapshot()
        if stop is not Stop.NONFINITE:  # from which no run goes on
            checkpoints.save(snapshot)
        try:
            return result_of(run, stop, snapshot)
        except KeyboardInterrupt:  # in the last evaluations
            if not interrupts.armed or stop is Stop.INTERRUPTED:
                raise
            return result_of(run, Stop.INTERRUPTED, snapshot)


def _from_python(run: Run, interval: int) -> Callable[[float], Stop | None]:
    """Return what makes one step from Python; every `interval` steps the value is computed in any case."""

    def advance(most: float) -> Stop | None:
        run.step()
        return run.look(bool(interval) and run.nit % interval == 0)

    return advance


def _in_compiled_code(run: Run) -> Callable[[float], Stop | None]:
    """Return what makes up to `most` steps in compiled code, in about `CHUNK_SECONDS`."""
    plan, objective = run.plan, run.objective
    kernel = compiled_run(plan.rule, plan.is_auto, **objective.compiled_form())
    steps, is_first = WINDOW, True

    def advance(most: float) -> Stop | None:
        nonlocal steps, is_first
        started = time.perf_counter()
        before = run.nit
        stop = run.compiled_steps(
            kernel, ceil(min(steps, most, plan.maxiter - run.nit, plan.maxfun - objective.nfev))
        )
        seconds = time.perf_counter() - started
        if not is_first:  # that call may have compiled the kernel
            steps = max(1, int((run.nit - before) * min(10.0, CHUNK_SECONDS / max(seconds, 1e-9))))
        is_first = False
        return stop

    return advance
