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
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numba
import numpy as np

from .compile import LANES, kernels
from .data import DataSets, RaggedSets
from .losses import Loss
from .model import Model
from .result import FitStatus

FIRST, LEAST = 8 * LANES, 8 * LANES  # fits in the first block, and in any: at the end of each, lanes fall idle
SECONDS = 0.02  # that a block takes: Ctrl-C waits for it
BYTES = 1 << 25  # of data in a block, at most
WORTHWHILE = 0.01  # seconds of work left for which it pays to start threads


@dataclass
class Plan:
    """Everything about the fits that is not data."""

    model: Model
    loss: Loss
    f_scale: float
    dtype: np.dtype
    start: Callable[[Any], np.ndarray]  # p0 of the data sets with some indices, shape (fits, n)
    lower: np.ndarray | None  # shape (n,) or (fits, n)
    upper: np.ndarray | None
    fixed: np.ndarray  # bool, shape (n,)
    ftol: float
    xtol: float
    maxiter: int
    workers: int
    progress: bool

    @property
    def bounded(self) -> bool:
        """Whether the kernel must look after bounds; a fixed parameter lies between equal ones."""
        return self.lower is not None or bool(self.fixed.any())


@dataclass
class Fits:
    """What the fits have come to, in the order of the data sets."""

    popt: np.ndarray
    information: np.ndarray
    chi2: np.ndarray
    nit: np.ndarray
    status: np.ndarray
    points: np.ndarray

    @classmethod
    def empty(cls, fits: int, n: int, dtype) -> "Fits":
        """Room for `fits` results, none of which is there yet."""
        return cls(
            popt=np.full((fits, n), np.nan, dtype),
            information=np.full((fits, n * (n + 1) // 2), np.nan, dtype),
            chi2=np.full(fits, np.nan, dtype),
            nit=np.zeros(fits, np.int32),
            status=np.full(fits, FitStatus.NOT_RUN, np.int8),
            points=np.zeros(fits, np.int64),
        )

    def __getitem__(self, which) -> "Fits":
        return Fits(**{name: array[which] for name, array in vars(self).items()})

    def __setitem__(self, which, fits: "Fits") -> None:
        for name, array in vars(self).items():
            array[which] = getattr(fits, name)


def fit_all(sets: DataSets | RaggedSets, plan: Plan) -> Fits:
    """Fit every data set.

    Ctrl-C ends the run: what is finished is returned with a warning, the rest has the status `NOT_RUN`.
    """
    fits = Fits.empty(sets.fits, len(plan.model.parameters), plan.dtype)
    deal = _Dealer(sets)
    with _progress_bar(sets.fits, plan.progress) as bar:

        def work(blocks: int | None = None) -> None:
            for start, stop in islice(deal, blocks):
                deal.learn(stop - start, fit_block(sets, plan, fits, start, stop))
                if bar is not None:
                    bar.update(stop - start)

        try:
            work(1)  # compiles, and tells how long the rest takes
            if plan.workers > 1 and deal.seconds_left() > WORTHWHILE:
                _share(work, deal, plan.workers)
            else:
                work()
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


def fit_block(sets: DataSets | RaggedSets, plan: Plan, fits: Fits, start: int, stop: int) -> float:
    """Fit the data sets from `start` to before `stop`; return the seconds that it took, without compiling."""
    block = sets.block(start, stop, plan.dtype)
    compiled = kernels(plan.model, plan.dtype.name, block.weighted, block.own_x, plan.bounded, plan.loss)
    began = time.perf_counter()
    where = slice(start, stop) if sets.order is None else sets.order[start:stop]
    n = plan.fixed.size
    p0 = np.ascontiguousarray(plan.start(where), dtype=plan.dtype)
    lower, upper = _box(plan, where, p0)
    part = Fits.empty(stop - start, n, plan.dtype)
    compiled.fit(
        block.x, block.data, p0, lower, upper,
        np.array([plan.ftol, plan.xtol], plan.dtype), plan.maxiter, plan.dtype.type(plan.f_scale),
        part.popt, part.information, part.chi2, part.nit, part.status,
    )  # fmt: skip
    part.points[:] = block.points
    part.status[block.points < n - np.count_nonzero(plan.fixed)] = FitStatus.TOO_FEW_POINTS
    failed = part.status > FitStatus.MAXITER
    part.popt[failed], part.chi2[failed], part.information[failed] = np.nan, np.nan, np.nan
    fits[where] = part
    return time.perf_counter() - began


def _box(plan: Plan, where, p0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of some fits, those of fixed parameters equal; `p0` is moved into them."""
    if not plan.bounded:
        return np.empty((0, 0), plan.dtype), np.empty((0, 0), plan.dtype)
    bounds = []
    for bound, unlimited in ((plan.lower, -np.inf), (plan.upper, np.inf)):
        chosen = unlimited if bound is None else bound if bound.ndim == 1 else bound[where]
        bounds.append(np.array(np.broadcast_to(chosen, p0.shape), dtype=plan.dtype))
        bounds[-1][:, plan.fixed] = p0[:, plan.fixed]
    np.clip(p0, *bounds, out=p0)
    return bounds[0], bounds[1]


class _Dealer:
    """Deals the data sets out in blocks, to any number of threads."""

    def __init__(self, sets: DataSets | RaggedSets) -> None:
        self._sets = sets
        self._lock = threading.Lock()
        self._next, self._size, self._seconds, self._stopped = 0, FIRST, 0.0, False

    def __iter__(self):
        return self

    def __next__(self) -> tuple[int, int]:
        with self._lock:
            start = self._next
            if self._stopped or start >= self._sets.fits:
                raise StopIteration
            bytes_each = 8 * 3 * self._sets.size(start + self._size)
            size = max(1, min(self._size, BYTES // max(bytes_each, 1)))
            self._next = min(start + size, self._sets.fits)
            return start, self._next

    def learn(self, fits: int, seconds: float) -> None:
        """Choose the size of the next blocks by the time that one took."""
        self._seconds = seconds / fits
        self._size = max(LEAST, int(min(SECONDS / self._seconds, 1 << 20)))

    def seconds_left(self) -> float:
        """How long one thread will take for what is not dealt out yet."""
        return (self._sets.fits - self._next) * self._seconds

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


def _progress_bar(total: int, wanted: bool) -> Any:
    if not wanted:
        return nullcontext()
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "`progress=True` needs tqdm: install `nbadam[progress]`.", name="tqdm"
        ) from error
    return tqdm(total=total, unit="fit", unit_scale=True)
