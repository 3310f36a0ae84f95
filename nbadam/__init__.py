"""Stochastic gradient optimization for NumPy, SciPy and Numba."""

# The first two have locks that forks hold, the last one registered first.  Ours must be registered after
# them, or the import of a module would wait for a fork, and the fork for the import.
import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from .algorithms import METHODS, OPTIMIZERS

if TYPE_CHECKING:
    from . import models as models
    from . import rules as rules
    from . import schedules as schedules
    from . import vector_math as vector_math
    from ._cache import clear_cache as clear_cache
    from .batches import *  # noqa: F403
    from .fitting import *  # noqa: F403
    from .methods import *  # noqa: F403
    from .methods.functions import *  # noqa: F403
    from .optimizers import Optimizer as Optimizer
    from .optimizers import deserialize as deserialize
    from .optimizers import get as get
    from .optimizers import serialize as serialize
    from .optimizers.adam import *  # noqa: F403
    from .optimizers.descent import *  # noqa: F403
    from .sparse import *  # noqa: F403
    from .status import Status as Status
    from .tables import fit_table as fit_table


def _is_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        return interpreters.get_current() == interpreters.get_main()
    return True


if not _is_main_interpreter():
    raise ImportError(
        "nbadam runs in the main interpreter only: Numba, which compiles its kernels, does not support "
        "subinterpreters. Use a process instead."
    )

__version__ = "0.1.0"

# Where names are that are no packages themselves.  Each package is imported when something of it is first
# asked for: `import nbadam` itself does without Numba.
_NAMES = {
    "_cache": ["clear_cache"],
    "batches": ["BatchResult", "minimize_batch"],
    "fitting": [
        "Bootstrap",
        "Comparison",
        "FitResult",
        "LazyFit",
        "Model",
        "SharedResult",
        "compare",
        "curve_fit",
        "load_fit",
    ],
    "methods": ["History", "Minibatch", "RunState", "ShgoMethod", "multistart", "plot_history", *METHODS],
    "optimizers": ["Optimizer", "deserialize", "get", "serialize", *OPTIMIZERS],
    "sparse": ["IndexedSlices"],
    "status": ["Status"],
    "tables": ["fit_table"],
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = sorted(["models", "rules", "schedules", "vector_math", *_HOMES])


# Held by imports and by forks: a child that is forked while another thread imports a module would wait for
# that thread, which does not exist in it, when it comes to import the module itself.
_importing = threading.RLock()


def _release_imports() -> None:
    with suppress(RuntimeError):  # registered when the fork had begun
        _importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_release_imports, after_in_child=_release_imports
    )


if not TYPE_CHECKING:  # for which unknown names are errors

    def __getattr__(name: str):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with _importing:
            module = import_module(f".{_HOMES.get(name, name)}", __name__)
            value = globals()[name] = getattr(module, name) if name in _HOMES else module
            return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
