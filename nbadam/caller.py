"""Warnings that name the user's line, through whichever door the user came in."""

import sys
import warnings

# Packages whose lines are not the user's: this one, and those that call it for the user.
PASSED = {"nbadam", "scipy", "numpy", "numba", "pandas", "xarray", "dask", "joblib"}


def warn(message: str, category: type[Warning] | None = None) -> None:
    """Warn the user, by default with SciPy's `OptimizeWarning`, at the innermost line that is the user's.

    A fixed `stacklevel` would be right for one door only, and `skip_file_prefixes` needs Python 3.12.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_passed(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category or _optimize_warning(), stacklevel=level)


def _optimize_warning() -> type[Warning]:
    from scipy.optimize import OptimizeWarning  # costs 0.2 s: not before there is something to say

    return OptimizeWarning


def _is_passed(module: str) -> bool:
    package = module.partition(".")[0]
    return package in PASSED or package in sys.stdlib_module_names
