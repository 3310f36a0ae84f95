"""Stochastic gradient optimization for NumPy, SciPy and Numba."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import models, rules, schedules, vector_math
    from ._cache import clear_cache
    from .batches import BatchResult, minimize_batch
    from .fitting import FitResult, Model, curve_fit
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

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BatchResult",
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
    "ShgoMethod",
    "Status",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "clear_cache",
    "curve_fit",
    "deserialize",
    "ftrl",
    "get",
    "lion",
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
    "FitResult": "fitting",
    "IndexedSlices": "sparse",
    "Model": "fitting",
    "Status": "status",
    "clear_cache": "_cache",
    "curve_fit": "fitting",
    "deserialize": "optimizers",
    "get": "optimizers",
    "minimize_batch": "batches",
    "serialize": "optimizers",
}
_OPTIMIZERS = "Adadelta Adagrad Adam AdamW Adamax Ftrl Lion Nadam Optimizer RAdam RMSprop SGD"
_HOMES |= dict.fromkeys(_OPTIMIZERS.split(), "optimizers")


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'methods')}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
