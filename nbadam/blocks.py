"""Work on many independent items, a block at a time: threads, progress, Ctrl-C.

Plain Python threads share the blocks out among themselves, as the kernels release the GIL: a thread
that got easy items takes more of them.  There is no second, parallel kernel to compile, and neither a
fork nor another thread can do harm.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import numba

from .interrupts import Interrupts
from .progress import progress_bar

SECONDS = 0.02  # duration of a block, and of a call of a kernel: Ctrl-C waits for it
WORTHWHILE = 0.005  # seconds of work left for which it pays to start threads
SHARES = 4  # blocks that each thread would still get of the rest: hard items come in clusters

_current: ContextVar["Blocks | None"] = ContextVar("blocks", default=None)


class Blocks:
    """Deals `total` items out, to any number of threads.

    Parameters
    ----------
    total, first, most : int
        How many items there are, how many the first block has, and how many a block may have.
    least : int
        How many items the blocks after it should have if `most` allows it.
    shortest : float
        Seconds that blocks should last: some times as long as what Python does for each.

    Attributes
    ----------
    workers : int
        How many threads come for them; change it before others do.
    """

    total: int
    done: int
    workers: int

    def __init__(self, total: int, first: int, most: int, least: int = 1, shortest: float = 0.0) -> None:
        self.total, self.done, self.workers = total, 0, 1
        self.interrupts: Interrupts = Interrupts()
        self._least, self._most, self._shortest = least, most, shortest
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
            if self.is_stopped or left <= 0:
                raise StopIteration
            share = left
            if self.workers > 1:
                enough = int(self._shortest / max(self._seconds, 1e-9))
                share = max(-(-left // (SHARES * self.workers)), enough, self._least)
            self._next += min(left, self._size, self._most, share)
            return start, self._next

    def learn(self, items: int, seconds: float) -> None:
        """Count a block as done, and choose the size of the next ones by the time that it took."""
        with self._lock:
            self.done += items
            self._seconds = seconds / items
            # A block may have been an easy one: the next is at most ten times as long.
            self._size = max(self._least, int(min(SECONDS / max(self._seconds, 1e-9), 10 * items)))

    def seconds_left(self) -> float:
        """Time that one thread will take for the items not dealt out yet."""
        return (self.total - self._next) * self._seconds

    @property
    def is_stopped(self) -> bool:
        """Whether the work ends before all is done."""
        return self._stopped or self.interrupts.pending

    def stop(self) -> None:
        """Deal no more."""
        self._stopped = True


class Pace:
    """Amount of a long piece of work to do at a time, so that it takes `SECONDS`.

    Attributes
    ----------
    amount : int
        Of the next part.
    """

    def __init__(self, first: int) -> None:
        self.amount: int = first

    def learn(self, amount: int, seconds: float, was_all: bool = True) -> None:
        """Learn from the time that a part took, of which perhaps not all was needed."""
        if was_all or seconds > SECONDS:
            self.amount = max(1, int(min(SECONDS / max(seconds, 1e-9), 10) * amount))


def is_called_off() -> bool:
    """Whether the work that this thread takes part in ends: kernels are not called again."""
    blocks = _current.get()
    return blocks is not None and blocks.is_stopped


@contextmanager
def user_code() -> Iterator[None]:
    """Let Ctrl-C strike at once in this context, which runs a user's Python code."""
    blocks = _current.get()
    if blocks is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    blocks.interrupts.in_user_code = True
    try:
        yield
    finally:
        blocks.interrupts.in_user_code = False


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
        The items.
    work : callable
        It may run in several threads at once, and returns the seconds that it took.  It ends early where
        `is_called_off`.
    workers : int
        Largest number of threads.
    unit : str
        Name of the items for the progress bar.
    progress : bool
        Whether to show one, which takes tqdm.
    callback : callable, optional
        ``callback(items done)``, called in this thread after each of its blocks, and at the end if
        another thread did the last one; StopIteration ends the work.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C came, after all threads have ended; it is never lost, even if all was done by then.
    """

    def worker(after_each: Any = None) -> None:
        token = _current.set(blocks)
        try:
            for start, stop in blocks:
                blocks.learn(stop - start, work(start, stop))
                if after_each is not None:
                    after_each()
        except BaseException:
            blocks.stop()  # an error in one thread ends the work of all
            raise
        finally:
            _current.reset(token)

    others: list[Any] = []
    reported = 0
    with blocks.interrupts, progress_bar(blocks.total, 0, unit, progress) as bar, ExitStack() as threads:

        def report() -> None:
            nonlocal reported
            if bar is not None:
                bar.update(blocks.done - bar.n)
            if callback is not None and reported < blocks.done:
                reported = blocks.done
                with user_code():
                    callback(reported)

        def look_around() -> None:
            report()
            if workers > 1 and not others and blocks.seconds_left() > WORTHWHILE:
                blocks.workers = workers
                pool = threads.enter_context(ThreadPoolExecutor(workers - 1))
                others.extend(pool.submit(worker) for _ in range(workers - 1))

        with suppress(StopIteration):
            worker(look_around)  # a function that referred to itself would keep the data in memory
        for future in others:
            future.result()
        if not blocks.interrupts.pending:
            with suppress(StopIteration):
                report()
    if blocks.interrupts.pending:
        raise KeyboardInterrupt
    return blocks.done == blocks.total


def default_workers() -> int:
    """Numba's number of threads; 1 in a thread that is not the main one: others may be busy like it."""
    is_main = threading.current_thread() is threading.main_thread()
    return numba.config.NUMBA_NUM_THREADS if is_main else 1
