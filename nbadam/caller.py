"""Warnings that name the user's line, through whichever door the user came in."""

import sys
import warnings
from contextvars import ContextVar
from types import FrameType

# Packages whose lines are not the user's: this one, and those that call it for the user.
PASSED = {"nbadam", "scipy", "numpy", "numba", "pandas", "xarray", "dask", "joblib"}

employer: ContextVar[FrameType | None] = ContextVar("employer", default=None)
"""The user's frame that a worker thread works for."""


def users_frame() -> FrameType:
    """Return the innermost frame of the user's code; without one, the employer's or the outermost."""
    frame = sys._getframe(1)
    while _is_passed(frame):
        if frame.f_back is None:
            return employer.get() or frame
        frame = frame.f_back
    return frame


def warn(message: str, category: type[Warning] | None = None) -> None:
    """Warn the user, by default with SciPy's `OptimizeWarning`, at the line of the user's frame.

    A fixed `stacklevel` would be right for one door only, and `skip_file_prefixes` needs Python 3.12.
    """
    frame = users_frame()
    module, registry = frame.f_globals.get("__name__"), frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        message, category or _optimize_warning(), frame.f_code.co_filename, frame.f_lineno, module, registry
    )


def _optimize_warning() -> type[Warning]:
    from scipy.optimize import OptimizeWarning  # costs 0.2 s: not before there is something to say

    return OptimizeWarning


def _is_passed(frame: FrameType) -> bool:
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    return package in PASSED or package in sys.stdlib_module_names
