"""Update rules: each algorithm as a few lines of scalar arithmetic.

A rule has two halves.  Its *scalars* are formed once a step, in double precision, from the
step number `t` (1, 2, ...) and the hyperparameters.  Its *update* then takes, for every element,
the gradient `g`, the parameter `x` and the slots (the moments).  It returns the new `x` and slots in
the precision of the arrays.  Every loop of the package is made from these two; clipping
and decoupled weight decay belong to the loops, so no rule mentions them.
"""

from . import adam, descent
from .adam import *  # noqa: F403
from .descent import *  # noqa: F403
from .rule import Rule, bias_correction, ratio

__all__ = ["Rule", "bias_correction", "ratio"]
__all__ += adam.__all__
__all__ += descent.__all__
