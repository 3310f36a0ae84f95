"""Ctrl-C while locks are taken."""

import signal
import threading
from collections.abc import Callable
from typing import Any


class DeferredInterrupts:
    """A context at whose end Ctrl-C takes effect.

    The locks of Numba, llvmlite and `threading.Condition` are written in Python.  An exception that strikes
    within their methods leaves them taken for ever, and other threads, or the end of the process, wait.
    A handler of the program's own is put off in the same way.  Other threads than the main one get no
    signals.
    """

    def __enter__(self) -> None:
        """Take note of Ctrl-C only."""
        self._handler: Callable[..., Any] | None = None
        self._came: tuple[Any, ...] | None = None
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                signal.signal(signal.SIGINT, self._defer)
                self._handler = handler

    def __exit__(self, *exception: Any) -> None:
        """Let it take effect."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            if self._came is not None:
                self._handler(*self._came)

    def _defer(self, number: Any, frame: Any) -> None:
        self._came = number, frame
