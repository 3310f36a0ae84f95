"""The run behind every SciPy method: advance, call back, stop."""

import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..interrupts import Interrupts
from ..progress import progress_bar
from .result import result_of
from .run import Run
from .stopping import Stop

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


def run_loop(run: Run, callback: Callable[..., Any] | None, wants_value: bool) -> "OptimizeResult":
    """Make a run, to its end, and return its result.

    Ctrl-C raises KeyboardInterrupt, after a checkpoint; its attribute `result` has the result so far.

    Parameters
    ----------
    run : Run
        Its steps are made in compiled code if its objective is compiled.
    callback : callable, optional
        Called with this run after every `callback_interval` iterations; ends it by StopIteration.
    wants_value : bool
        Whether the callback needs the value at the point.
    """
    error: BaseException | None = None
    with Interrupts() as interrupts:
        run.objective.interrupts = interrupts
        try:
            stop = _run_to_end(run, interrupts, callback, wants_value)
        except KeyboardInterrupt as interrupt:
            error, stop = interrupt, Stop.INTERRUPTED
        interrupts.in_user_code = False
        snapshot = run.snapshot()
        if stop is not Stop.NONFINITE:  # from which no run goes on
            run.checkpoints.save(snapshot)
        try:
            result = result_of(run, stop, snapshot)
        except KeyboardInterrupt as interrupt:  # in the last evaluations
            error, result = interrupt, result_of(run, Stop.INTERRUPTED, snapshot)
    if error is None and interrupts.has_come:
        error = KeyboardInterrupt()
    note = f"The run was interrupted after {run.nit} steps. The attribute `result` of this exception has the "
    note += "result so far, whose `state` continues the run."
    if error is None and stop is Stop.NONFINITE and run.plan.settings["on_nonfinite"] == "raise":
        error, note = FloatingPointError(result.message), "Its attribute `result` has the result so far."
    if error is None:
        return result
    error.result = result  # type: ignore[attr-defined]
    error.add_note(note)
    raise error


def _run_to_end(run: Run, interrupts: Interrupts, callback: Any, wants_value: bool) -> Stop:
    """Advance, call back and look for reasons to stop, until there is one; return it."""
    plan, checkpoints, interval = run.plan, run.checkpoints, run.plan.interval
    begun = time.perf_counter()
    advance = run.advance_compiled if run.objective.is_compiled else run.advance
    stop = run.stop
    with progress_bar(plan.limits["maxiter"], run.nit, "step", plan.settings["progress"]) as bar:
        while stop is None:
            seen = run.nit
            until_callback = interval - seen % interval if callback else inf
            needs_value = wants_value and (seen + 1) % interval == 0
            advance(min(until_callback, checkpoints.until_due(seen)), needs_value)
            is_new = run.nit > seen
            stop = run.stop
            if bar is not None:
                bar.update(run.nit - bar.n)
            if callback is not None and is_new and run.nit % interval == 0:
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
            if stop is None and is_new and checkpoints.is_due(run.nit):
                checkpoints.save(run.snapshot())
    return stop
