"""Update rules: each algorithm as a few lines of scalar arithmetic.

A rule has two halves.  Its *scalars* are formed once a step, in double precision, from the
step number `t` (1, 2, ...) and the hyperparameters.  Its *update* then takes, for every element,
the gradient `g`, the parameter `x` and the slots (the moments).  It returns the new `x` and slots in
the precision of the arrays.  Every loop of the package is made from these two; clipping
and decoupled weight decay belong to the loops, so no rule mentions them.

>>> from nbadam import rules
>>> rule = rules.SGD_MOMENTUM
>>> rule.hyperparameters, rule.slots
({'learning_rate': 0.01, 'momentum': 0.0}, ('momentum',))
>>> rule.update(2.0, 1.0, 0.0, *rule.scalars(1, learning_rate=0.1, momentum=0.9))  # g = 2, x = 1, no velocity
(0.8, -0.2)
"""

from . import adam, descent
from .adam import *  # noqa: F403
from .descent import *  # noqa: F403
from .rule import Rule, bias_correction, ratio

__all__ = ["Rule", "bias_correction", "ratio"]
__all__ += adam.__all__
__all__ += descent.__all__
