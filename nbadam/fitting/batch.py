"""Any number of fits, a block at a time: threads, progress, Ctrl-C, bounded memory.

The kernels release the GIL, so plain Python threads share the blocks out among themselves: a thread
that got easy fits takes more of them, there is no second, parallel kernel to compile, and neither a
fork nor another thread can do harm.
"""

import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from typing import Any

import numba
import numpy as np

from . import rescue
from .compile import LANES
from .data import DataSets, RaggedSets
from .problem import Fits, Plan, Problem
from .result import FitStatus, extra

FIRST, LEAST = (
    8 * LANES,
    8 * LANES,
)  # fits in the first block, and in any: at the end of each, lanes fall idle
SECONDS = 0.02  # that a block takes: Ctrl-C waits for it
BYTES = 1 << 25  # of data in a block, at most
WORTHWHILE = 0.03  # seconds of work left for which it pays to start threads


def fit_all(sets: DataSets | RaggedSets, plan: Plan) -> Fits:
    """Fit every data set.

    Ctrl-C ends the run: what is finished is returned with a warning, the rest has the status `NOT_RUN`.
    """
    fits = Fits.empty(sets.fits, len(plan.model.parameters), plan.dtype)
    try:
        run(plan, sets, sets.order(), lambda chosen: fit_block(sets, plan, fits, chosen), "fit")
        if plan.method == "robust":
            astray = rescue.astray(fits, plan)
            run(plan, sets, astray, lambda chosen: rescue.rescue_block(sets, plan, fits, chosen), "rescue")
    except KeyboardInterrupt:
        if sets.fits == 1:
            raise
        done = int((fits.status != FitStatus.NOT_RUN).sum())
        warnings.warn(
            f"Interrupted: {done} of {sets.fits} fits are finished, the others have the status NOT_RUN.",
            RuntimeWarning,
            stacklevel=4,
        )
    return fits


def run(plan: Plan, sets: DataSets | RaggedSets, chosen: np.ndarray, task: Callable, unit: str) -> None:
    """Do a task with all the data sets chosen, a block at a time."""
    deal = _Dealer(sets, chosen)
    with _progress_bar(chosen.size, unit, plan.progress) as bar:

        def work(blocks: int | None = None) -> None:
            for block in islice(deal, blocks):
                began = time.thread_time()  # not the time: waiting for another thread tells nothing
                task(block)
                deal.learn(block.size, time.thread_time() - began)
                if bar is not None:
                    bar.update(block.size)

        work(1)  # compiles, and tells how long the rest takes
        if plan.workers > 1 and deal.seconds_left() > WORTHWHILE:
            _share(work, deal, plan.workers)
        else:
            work()


def fit_block(sets: DataSets | RaggedSets, plan: Plan, fits: Fits, chosen: np.ndarray) -> None:
    """Fit the data sets with the given numbers."""
    problem = Problem(sets, plan, chosen)
    if plan.method == "adam":
        fits[chosen] = problem.descended(plan)
    else:
        fits[chosen] = problem.fitted(problem.p0, plan.maxiter)


class _Dealer:
    """Deals data sets out in blocks, to any number of threads."""

    def __init__(self, sets: DataSets | RaggedSets, chosen: np.ndarray) -> None:
        self._sets, self._chosen = sets, chosen
        self._lock = threading.Lock()
        self._next, self._size, self._seconds, self._stopped = 0, FIRST, 0.0, False

    def __iter__(self):
        return self

    def __next__(self) -> np.ndarray:
        with self._lock:
            start = self._next
            if self._stopped or start >= self._chosen.size:
                raise StopIteration
            last = self._chosen[min(start + self._size, self._chosen.size) - 1]
            bytes_each = 24 * self._sets.size(last)  # the last one of a block is its largest
            size = max(1, min(self._size, BYTES // max(bytes_each, 1)))
            self._next = min(start + size, self._chosen.size)
            return self._chosen[start : self._next]

    def learn(self, fits: int, seconds: float) -> None:
        """Choose the size of the next blocks by the time that one took."""
        self._seconds = max(seconds / fits, 1e-9)
        self._size = max(LEAST, int(SECONDS / self._seconds))

    def seconds_left(self) -> float:
        """How long one thread will take for what is not dealt out yet."""
        return (self._chosen.size - self._next) * self._seconds

    def stop(self) -> None:
        """Deal no more."""
        self._stopped = True


def _share(work: Callable, deal: _Dealer, workers: int) -> None:
    """Let this thread and others work until nothing is left; an error in one ends all."""
    with ThreadPoolExecutor(workers - 1) as pool:
        futures = [pool.submit(work) for _ in range(workers - 1)]
        try:
            work()
        finally:
            deal.stop()
        for future in futures:
            future.result()


def default_workers() -> int:
    """Numba's number of threads; 1 in a thread that is not the main one: others may be busy like it."""
    is_main = threading.current_thread() is threading.main_thread()
    return numba.config.NUMBA_NUM_THREADS if is_main else 1


def _progress_bar(total: int, unit: str, wanted: bool) -> Any:
    if not wanted:
        return nullcontext()
    return extra("tqdm.auto", "progress").tqdm(total=total, unit=unit, unit_scale=True)
