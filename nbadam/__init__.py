"""Stochastic gradient optimization for NumPy, SciPy and Numba."""

from typing import TYPE_CHECKING

from . import rules, schedules, vector_math
from .batch import BatchResult, minimize_batch
from .history import History, plot_history
from .methods import adadelta, adagrad, adam, adamax, adamw, ftrl, lion, nadam, radam, rmsprop, sgd
from .minibatch import Minibatch
from .run_state import RunState
from .shgo import ShgoMethod
from .status import BatchStatus

if TYPE_CHECKING:
    from .fitting import FitResult, FitStatus, Model, curve_fit
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

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BatchResult",
    "BatchStatus",
    "FitResult",
    "FitStatus",
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
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "curve_fit",
    "deserialize",
    "ftrl",
    "get",
    "lion",
    "minimize_batch",
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


def __getattr__(name: str):
    # The optimizer objects are imported when they are asked for: it keeps `import nbadam` 10 ms shorter.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("FitResult", "FitStatus", "Model", "curve_fit"):
        from . import fitting

        return getattr(fitting, name)
    from . import optimizers, sparse

    return getattr(sparse if name == "IndexedSlices" else optimizers, name)
