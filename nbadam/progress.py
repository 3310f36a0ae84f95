"""Progress bars, by tqdm."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from math import inf
from threading import Event, Thread
from typing import Any

from .extras import extra

TICK = 0.5  # seconds between two updates of the line of a compilation; loading a kernel takes less


def progress_bar(total: float, done: int, unit: str, is_shown: bool) -> Any:
    """Return a context of a bar of tqdm, or of None if no bar is to be shown.

    Parameters
    ----------
    total : float
        Last number; infinite if that is not known.
    done : int
        First number.
    unit : str
        Name of the things counted.
    is_shown : bool
        Whether to show it.

    Raises
    ------
    ModuleNotFoundError
        If tqdm is not installed.
    """
    if not is_shown:
        return nullcontext()
    return _tqdm()(total=total if total < inf else None, initial=done, unit=unit, unit_scale=True)


def _tqdm() -> Any:
    return extra("tqdm.auto", "progress", "`progress=True`").tqdm


class _Compilations:
    """A line with the seconds that one call has spent compiling, from the first tick on."""

    def __init__(self, subject: str) -> None:
        self._text = f"compiling {subject}, once: "
        self._seconds = 0.0
        self._is_running = False
        self._line: Any = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the seconds of this context."""
        if self._is_running:  # one kernel compiles another
            yield
            return
        self._is_running, begun, ended = True, time.perf_counter(), Event()
        ticker = Thread(target=self._tick, args=(begun, ended), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()
            self._seconds += time.perf_counter() - begun
            self._is_running = False

    def _tick(self, begun: float, ended: Event) -> None:
        while not ended.wait(TICK):
            self._show(self._seconds + time.perf_counter() - begun)

    def _show(self, seconds: float) -> None:
        if self._line is None:
            self._line = _tqdm()(total=1, bar_format="{desc}")
        self._line.set_description_str(f"{self._text}{seconds:.0f} s")

    def close(self) -> None:
        """Leave the line with the seconds of all kernels."""
        if self._line is not None:
            self._show(self._seconds)
            self._line.close()


_current: ContextVar[_Compilations | None] = ContextVar("_current", default=None)


@contextmanager
def compilations_shown(subject: str, progress: bool) -> Iterator[None]:
    """Show how long kernels compile in this context, if `progress` asks for it.

    Parameters
    ----------
    subject : str
        Name of the thing that is compiled.
    progress : bool
        Whether to show a line, which takes tqdm.  Kernels from the disk cache are too fast to be shown.

    Raises
    ------
    ModuleNotFoundError
        If tqdm is not installed.
    """
    if not progress:
        yield
        return
    _tqdm()  # an error now, not amid the compilation
    compilations = _Compilations(subject)
    token = _current.set(compilations)
    try:
        yield
    finally:
        _current.reset(token)
        compilations.close()


@contextmanager
def compiling() -> Iterator[None]:
    """Count the seconds of this context as those of a compilation."""
    compilations = _current.get()
    if compilations is None:
        yield
        return
    with compilations.running():
        yield
