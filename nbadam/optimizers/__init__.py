"""Optimizer objects with the contract of ``tf.keras.optimizers``, for NumPy arrays."""

from .adam import Adam, Adamax, AdamW, Lion, Nadam, RAdam
from .descent import SGD, Adadelta, Adagrad, Ftrl, RMSprop
from .optimizer import Optimizer
from .serialization import deserialize, get, serialize

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "deserialize",
    "get",
    "serialize",
]
