"""Stochastic gradient optimization for NumPy, SciPy and Numba."""

from typing import TYPE_CHECKING

from . import rules, schedules
from .history import History, plot_history
from .methods import adadelta, adagrad, adam, adamax, adamw, ftrl, lion, nadam, radam, rmsprop, sgd
from .minibatch import Minibatch
from .run_state import RunState
from .shgo import ShgoMethod

if TYPE_CHECKING:
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
    from .starts import multistart

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "History",
    "IndexedSlices",
    "Lion",
    "Minibatch",
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
    "deserialize",
    "ftrl",
    "get",
    "lion",
    "multistart",
    "nadam",
    "plot_history",
    "radam",
    "rmsprop",
    "rules",
    "schedules",
    "serialize",
    "sgd",
]


def __getattr__(name: str):
    # What not every run needs is imported when it is asked for: it keeps `import nbadam` 10 ms shorter.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import optimizers, sparse, starts

    homes = {"IndexedSlices": sparse, "multistart": starts}
    return getattr(homes.get(name, optimizers), name)
