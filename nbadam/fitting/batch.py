"""Any number of fits, a block at a time."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..blocks import Blocks, work_through
from ..status import Status
from .data import DataSets, RaggedSets, as_slice
from .finish import finish, fit_and_finish
from .kernels.compile import LANES, LONG
from .kernels.kernels import ModelError
from .problem import Fits, Plan, Problem
from .search import retry as search

FIRST = LEAST = 8 * LANES  # fits in the first block, and in any: at the end of each, lanes fall idle
SHORTEST = 0.001  # seconds of a block
BYTES = 1 << 25  # data in a block, at most


def fit_all(sets: DataSets | RaggedSets, plan: Plan) -> tuple[Fits, BaseException | None]:
    """Fit every data set.

    Returns
    -------
    Fits
        Those that are not done have the status `NOT_RUN`.
    BaseException or None
        KeyboardInterrupt, if Ctrl-C ended the work; or the exception of the model if it raised one for the
        first data set.
    """
    fits = Fits.empty(sets.fits, len(plan.model.parameters), plan.dtype)
    errors: dict[int, BaseException | None] = {}
    try:
        run(plan, sets, sets.order(), lambda chosen: fit_block(sets, plan, fits, chosen, errors), "fit")
        if plan.search != "never":
            run(plan, sets, sets.order(), lambda chosen: retry_block(sets, plan, fits, chosen), "retry")
    except KeyboardInterrupt as interrupt:
        fits.clear(fits.status == Status.NOT_RUN)
        done = np.count_nonzero(fits.status != Status.NOT_RUN)
        interrupt.add_note(
            f"{done} of {sets.fits} fits are finished; the attribute `result` of this exception has them."
        )
        return fits, interrupt
    return fits, errors.get(0) if errors and fits.status[0] == Status.MODEL_ERROR.value else None


def run(
    plan: Plan, sets: DataSets | RaggedSets, chosen: np.ndarray, task: Callable[..., Any], unit: str
) -> None:
    """Do a task with all the data sets chosen, a block at a time."""

    def work(start: int, stop: int) -> float:
        began = time.thread_time()  # not the time: waiting for another thread tells nothing
        task(chosen[start:stop])
        return time.thread_time() - began

    most = max(1, BYTES // max(24 * sets.longest, 1))
    blocks = Blocks(chosen.size, FIRST, most, LEAST, SHORTEST)
    work_through(blocks, work, plan.workers, unit=unit, progress=plan.progress)


def fit_block(
    sets: Any, plan: Plan, fits: Fits, chosen: np.ndarray, errors: dict[int, BaseException | None]
) -> None:
    """Fit the data sets with the given numbers; keep the exceptions that the model raises."""
    for part in sets.of_one_length(chosen) if plan.batch_size is not None else sets.parted(chosen, LONG):
        problem = Problem(sets, plan, part)
        try:
            if plan.method == "adam":
                found = problem.descended(plan)
                finish(sets, plan, part, found, 0)
            else:
                where = as_slice(part)
                found = fit_and_finish(problem, part, problem.p0, fits[where])
                if isinstance(where, slice):  # all is in its place
                    continue
        except ModelError as error:
            if part.size > 1:  # Find out which data set it was.
                for half in np.array_split(part, 2):
                    fit_block(sets, plan, fits, half, errors)
                continue
            errors[int(part[0])] = error.__cause__
            found = Fits.empty(1, fits.popt.shape[1], plan.dtype)
            found.clear(slice(None))
            found.status[:], found.n_points[:] = Status.MODEL_ERROR, problem.points
        fits[part] = found


def retry_block(sets: Any, plan: Plan, fits: Fits, chosen: np.ndarray) -> None:
    """Try fits again that want it, but those for which the model then raises an exception."""
    for part in sets.parted(chosen, LONG):
        try:
            again = part[search.to_retry(sets, plan, fits, part)]
            if again.size:
                search.retry_block(sets, plan, fits, again)
        except ModelError:
            for half in np.array_split(part, 2) if part.size > 1 else ():
                retry_block(sets, plan, fits, half)
