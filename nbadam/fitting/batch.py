"""Any number of fits, a block at a time."""

import time
import warnings
from collections.abc import Callable

import numpy as np

from ..blocks import Blocks, work_through
from ..status import Status
from . import search
from .compile import LANES
from .data import DataSets, RaggedSets
from .problem import Fits, Plan, Problem

FIRST = LEAST = 8 * LANES  # fits in the first block, and in any: at the end of each, lanes fall idle
BYTES = 1 << 25  # of data in a block, at most


def fit_all(sets: DataSets | RaggedSets, plan: Plan) -> Fits:
    """Fit every data set.

    Ctrl-C ends the run: what is finished is returned with a warning, the rest has the status `NOT_RUN`.
    """
    fits = Fits.empty(sets.fits, len(plan.model.parameters), plan.dtype)
    is_finished = run(plan, sets, sets.order(), lambda chosen: fit_block(sets, plan, fits, chosen), "fit")
    if is_finished and plan.search != "never":
        chosen = search.to_retry(fits, plan)
        retry = lambda chosen: search.retry_block(sets, plan, fits, chosen)  # noqa: E731
        is_finished = run(plan, sets, chosen, retry, "retry")
    if not is_finished:
        if sets.fits == 1:
            raise KeyboardInterrupt
        done = int((fits.status != Status.NOT_RUN).sum())
        warnings.warn(
            f"Interrupted: {done} of {sets.fits} fits are finished, the others have the status NOT_RUN.",
            RuntimeWarning,
            stacklevel=4,
        )
    return fits


def run(plan: Plan, sets: DataSets | RaggedSets, chosen: np.ndarray, task: Callable, unit: str) -> bool:
    """Do a task with all the data sets chosen, a block at a time; return whether all is done."""

    def work(start: int, stop: int) -> float:
        began = time.thread_time()  # not the time: waiting for another thread tells nothing
        task(chosen[start:stop])
        return time.thread_time() - began

    most = max(1, BYTES // max(24 * sets.longest, 1))
    blocks = Blocks(chosen.size, FIRST, most, plan.workers, LEAST)
    return work_through(blocks, work, plan.workers, unit=unit, progress=plan.progress)


def fit_block(sets: DataSets | RaggedSets, plan: Plan, fits: Fits, chosen: np.ndarray) -> None:
    """Fit the data sets with the given numbers."""
    for part in [chosen] if plan.batch_size is None else sets.of_one_length(chosen):
        problem = Problem(sets, plan, part)
        if plan.method == "adam":
            fits[part] = problem.descended(plan)
        else:
            fits[part] = problem.fitted(problem.p0, plan.max_nfev)
