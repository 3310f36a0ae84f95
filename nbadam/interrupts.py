"""Ctrl-C during a run."""

import _signal  # type: ignore[import-not-found]  # `signal` makes enumerations of handlers: a tenth of a fit
import signal
import threading
from contextvars import ContextVar
from typing import Any

# Set in a thread by whoever may call off the runs in it.
called_off: ContextVar[threading.Event | None] = ContextVar("called_off", default=None)


class Interrupts:
    """A context in which Ctrl-C waits for the end of a step, so that the run can go on from there.

    Inside the user's function it takes effect at once, as KeyboardInterrupt: the step is made then, and
    only the evaluation is missing.  In other threads, and where the program has its own handler of
    SIGINT, nothing changes.

    Attributes
    ----------
    armed : bool
        Whether this context handles Ctrl-C.
    has_come : bool
        Whether it has come.
    pending : bool
        Whether it has come, or the run was called off: the run has to end.
    in_user_code : bool
        Set by whoever calls the user's code, while it runs.
    """

    armed: bool
    has_come: bool

    def __init__(self) -> None:
        self.armed = self.in_user_code = self.has_come = False
        self._called_off = called_off.get()

    @property
    def pending(self) -> bool:
        """Whether the run has to end."""
        return self.has_come or (self._called_off is not None and self._called_off.is_set())

    def __enter__(self) -> "Interrupts":
        """Take over from Python's own handler."""
        main = threading.current_thread() is threading.main_thread()
        if main and _signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _signal.signal(signal.SIGINT, self._handle)
            self.armed = True
        return self

    def __exit__(self, *exception: Any) -> None:
        """Give it back."""
        if self.armed:
            _signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: Any, frame: Any) -> None:
        self.has_come = True
        if self.in_user_code:
            raise KeyboardInterrupt
