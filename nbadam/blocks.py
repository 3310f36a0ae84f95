"""Work on many independent items, a block at a time: threads, progress, Ctrl-C.

Plain Python threads share the blocks out among themselves, as the kernels release the GIL: a thread
that got easy items takes more of them, there is no second, parallel kernel to compile, and neither a
fork nor another thread can do harm.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import numba

from .progress import progress_bar

SECONDS = 0.02  # that a block takes: Ctrl-C waits for it
WORTHWHILE = 0.01  # seconds of work left for which it pays to start threads
SHARES = 4  # blocks that each thread would still get of what is left: hard items come in clusters


class Blocks:
    """Deals `total` items out, to any number of threads.

    Parameters
    ----------
    total, first, most : int
        How many items there are, how many the first block has, and how many a block may have.
    workers : int
        How many threads will come for them.
    least : int
        How many items the blocks after it should have if `most` allows it.
    """

    def __init__(self, total: int, first: int, most: int, workers: int, least: int = 1) -> None:
        self.total, self.done = total, 0
        self._least, self._most, self._workers = least, most, workers
        self._lock = threading.Lock()
        self._next, self._size, self._seconds, self._stopped = 0, first, 0.0, False

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Go on with the next block that nobody has."""
        return self

    def __next__(self) -> tuple[int, int]:
        """Return where the block starts and ends."""
        with self._lock:
            start = self._next
            left = self.total - start
            if self._stopped or left <= 0:
                raise StopIteration
            share = -(-left // (SHARES * self._workers)) if self._workers > 1 else left
            self._next += min(left, self._size, self._most, max(share, self._least))
            return start, self._next

    def learn(self, items: int, seconds: float) -> None:
        """Count a block as done, and choose the size of the next ones by the time that it took."""
        with self._lock:
            self.done += items
            self._seconds = seconds / items
            # A block may have been an easy one: the next is at most ten times as long.
            self._size = max(self._least, int(min(SECONDS / max(self._seconds, 1e-9), 10 * items)))

    def seconds_left(self) -> float:
        """How long one thread will take for what is not dealt out yet."""
        return (self.total - self._next) * self._seconds

    def stop(self) -> None:
        """Deal no more."""
        self._stopped = True


def work_through(
    blocks: Blocks,
    work: Callable[[int, int], float],
    workers: int,
    *,
    unit: str,
    progress: bool = False,
    callback: Callable[[int], Any] | None = None,
) -> bool:
    """Do ``work(start, stop)`` for every block; return whether all is done.

    Parameters
    ----------
    blocks : Blocks
        What to do.
    work : callable
        It may run in several threads at once, and returns the seconds that it took.
    workers : int
        Largest number of threads.
    unit : str
        What the progress bar counts.
    progress : bool
        Whether to show one, which takes tqdm.
    callback : callable, optional
        ``callback(items done)``, called in this thread after each of its blocks, and at the end if
        another thread did the last one; StopIteration ends the work, as Ctrl-C does.
    """

    def labour(report: Callable[[], None] | None = None) -> None:
        try:
            for start, stop in blocks:
                blocks.learn(stop - start, work(start, stop))
                if report is not None:
                    report()
                    if workers > 1 and not others and blocks.seconds_left() > WORTHWHILE:
                        others.extend(pool.submit(labour) for _ in range(workers - 1))
        finally:
            blocks.stop()  # an error in one thread ends the work of all

    others: list = []
    reported = 0
    bar_of = partial(progress_bar, blocks.total, 0, unit) if progress else nullcontext
    with bar_of() as bar, ThreadPoolExecutor(max(1, workers - 1)) as pool:

        def report() -> None:
            nonlocal reported
            if bar is not None:
                bar.update(blocks.done - bar.n)
            if callback is not None and reported < blocks.done:
                reported = blocks.done
                callback(reported)

        with suppress(KeyboardInterrupt, StopIteration):
            labour(report)
        for future in others:
            future.result()
        with suppress(KeyboardInterrupt, StopIteration):
            report()
    return blocks.done == blocks.total


def default_workers() -> int:
    """Numba's number of threads; 1 in a thread that is not the main one: others may be busy like it."""
    is_main = threading.current_thread() is threading.main_thread()
    return numba.config.NUMBA_NUM_THREADS if is_main else 1
