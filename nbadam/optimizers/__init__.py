"""Optimizer objects with the contract of ``tf.keras.optimizers``, for NumPy arrays."""

from . import adam, descent
from .adam import *  # noqa: F403
from .descent import *  # noqa: F403
from .optimizer import Optimizer
from .serialization import deserialize, get, serialize

__all__ = ["Optimizer", "deserialize", "get", "serialize"]
__all__ += adam.__all__
__all__ += descent.__all__
