"""Methods for `scipy.optimize.minimize`, and what belongs to their runs."""

from .factory import adadelta, adagrad, adam, adamax, adamw, ftrl, lion, nadam, radam, rmsprop, sgd
from .history import History, plot_history
from .minibatch import Minibatch
from .shgo import ShgoMethod
from .starts import multistart
from .state import RunState

__all__ = [
    "History",
    "Minibatch",
    "RunState",
    "ShgoMethod",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "multistart",
    "nadam",
    "plot_history",
    "radam",
    "rmsprop",
    "sgd",
]
