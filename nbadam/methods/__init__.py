"""Methods for `scipy.optimize.minimize`, mini-batches, states, histories, and runs from many starts."""

from .factory import METHODS
from .functions import *  # noqa: F403
from .history import History, plot_history
from .minibatch import Minibatch
from .shgo import ShgoMethod
from .starts import multistart
from .state import RunState

__all__ = ["History", "Minibatch", "RunState", "ShgoMethod", "multistart", "plot_history", *METHODS]
