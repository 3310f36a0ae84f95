"""Update rules: each algorithm as a few lines of scalar arithmetic.

A rule has two halves.  Its *scalars* are formed once a step, in double precision, from the
step number `t` (1, 2, ...) and the hyperparameters.  Its *update* then takes, for every element,
the gradient `g`, the parameter `x` and the slots (the moments).  It returns the new `x` and slots in
the precision of the arrays.  Every loop of the package is made from these two; clipping
and decoupled weight decay belong to the loops, so no rule mentions them.
"""

from .adam import (
    ADAM,
    ADAM_OPTAX,
    ADAM_TORCH,
    ADAMAX,
    ADAMAX_TORCH,
    AMSGRAD,
    AMSGRAD_OPTAX,
    AMSGRAD_TORCH,
    LION,
    NADAM,
    NADAM_OPTAX,
    RADAM,
    RADAM_OPTAX,
)
from .descent import (
    ACCUMULATOR,
    ADADELTA,
    ADAGRAD,
    ADAGRAD_INSIDE,
    FTRL,
    FTRL_POWER,
    RMSPROP,
    RMSPROP_CENTERED,
    RMSPROP_CENTERED_INSIDE,
    RMSPROP_INSIDE,
    RMSPROP_MOMENTUM,
    RMSPROP_MOMENTUM_CENTERED,
    RMSPROP_MOMENTUM_CENTERED_INSIDE,
    RMSPROP_MOMENTUM_INSIDE,
    SGD,
    SGD_MOMENTUM,
    SGD_NESTEROV,
    ftrl_start,
)
from .rule import Rule, bias_correction, ratio

__all__ = [
    "ACCUMULATOR",
    "ADADELTA",
    "ADAGRAD",
    "ADAGRAD_INSIDE",
    "ADAM",
    "ADAMAX",
    "ADAMAX_TORCH",
    "ADAM_OPTAX",
    "ADAM_TORCH",
    "AMSGRAD",
    "AMSGRAD_OPTAX",
    "AMSGRAD_TORCH",
    "FTRL",
    "FTRL_POWER",
    "LION",
    "NADAM",
    "NADAM_OPTAX",
    "RADAM",
    "RADAM_OPTAX",
    "RMSPROP",
    "RMSPROP_CENTERED",
    "RMSPROP_CENTERED_INSIDE",
    "RMSPROP_INSIDE",
    "RMSPROP_MOMENTUM",
    "RMSPROP_MOMENTUM_CENTERED",
    "RMSPROP_MOMENTUM_CENTERED_INSIDE",
    "RMSPROP_MOMENTUM_INSIDE",
    "SGD",
    "SGD_MOMENTUM",
    "SGD_NESTEROV",
    "Rule",
    "bias_correction",
    "ftrl_start",
    "ratio",
]
