"""Stochastic gradient optimization for NumPy, SciPy and Numba."""

from . import rules, schedules
from .methods import adadelta, adagrad, adam, adamax, adamw, lion, nadam, radam, rmsprop, sgd
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
    "Ftrl",
    "IndexedSlices",
    "Lion",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "deserialize",
    "get",
    "lion",
    "nadam",
    "radam",
    "rmsprop",
    "rules",
    "schedules",
    "serialize",
    "sgd",
]
