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

if TYPE_CHECKING:
    from . import models, rules, schedules, vector_math
    from ._cache import clear_cache
    from .batches import BatchResult, minimize_batch
    from .fitting import Bootstrap, Comparison, FitResult, Model, SharedResult, compare, curve_fit, load_fit
    from .methods import (
        History,
        Minibatch,
        RunState,
        ShgoMethod,
        adadelta,
        adagrad,
        adam,
        adamax,
        adamw,
        ftrl,
        lion,
        multistart,
        nadam,
        plot_history,
        radam,
        rmsprop,
        sgd,
    )
    from .optimizers import (
        SGD,
        Adadelta,
        Adagrad,
        Adam,
        Adamax,
        AdamW,
        Ftrl,
        Lion,
        Nadam,
        Optimizer,
        RAdam,
        RMSprop,
        deserialize,
        get,
        serialize,
    )
    from .sparse import IndexedSlices
    from .status import Status
    from .tables import fit_table


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

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BatchResult",
    "Bootstrap",
    "Comparison",
    "FitResult",
    "Ftrl",
    "History",
    "IndexedSlices",
    "Lion",
    "Minibatch",
    "Model",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "RunState",
    "SharedResult",
    "ShgoMethod",
    "Status",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "clear_cache",
    "compare",
    "curve_fit",
    "deserialize",
    "fit_table",
    "ftrl",
    "get",
    "lion",
    "load_fit",
    "minimize_batch",
    "models",
    "multistart",
    "nadam",
    "plot_history",
    "radam",
    "rmsprop",
    "rules",
    "schedules",
    "serialize",
    "sgd",
    "vector_math",
]

# Where names are that do not come from `methods`.  Each package is imported when something of it is
# first asked for: `import nbadam` itself does without Numba.
_MODULES = {"methods", "models", "optimizers", "rules", "schedules", "vector_math"}
_HOMES = {
    "BatchResult": "batches",
    "Bootstrap": "fitting",
    "Comparison": "fitting",
    "FitResult": "fitting",
    "IndexedSlices": "sparse",
    "Model": "fitting",
    "SharedResult": "fitting",
    "Status": "status",
    "clear_cache": "_cache",
    "compare": "fitting",
    "curve_fit": "fitting",
    "deserialize": "optimizers",
    "fit_table": "tables",
    "get": "optimizers",
    "load_fit": "fitting",
    "minimize_batch": "batches",
    "serialize": "optimizers",
}
_OPTIMIZERS = "Adadelta Adagrad Adam AdamW Adamax Ftrl Lion Nadam Optimizer RAdam RMSprop SGD"
_HOMES |= dict.fromkeys(_OPTIMIZERS.split(), "optimizers")


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


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _importing:
        if name in _MODULES:
            return import_module(f".{name}", __name__)
        return getattr(import_module(f".{_HOMES.get(name, 'methods')}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
