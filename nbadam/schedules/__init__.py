"""Learning rates that depend on the step.

A schedule is a value: a frozen dataclass.  It is called with the number of steps made so far, 0 at
the first step, or with an array of such numbers.  Formulas and names are those of
``tf.keras.optimizers.schedules``; everything is computed in double precision, and ``schedule(steps)``
gives the same bits as ``schedule(step)`` step by step.

>>> import nbadam
>>> nbadam.schedules.CosineDecay(0.1, decay_steps=100)([0, 50, 100])
array([0.1 , 0.05, 0.  ])
"""

from .composed import Joined, OneCycle, PiecewiseLinear
from .cosine import CosineDecay, CosineDecayRestarts
from .decay import ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay
from .plotting import plot
from .schedule import LearningRateSchedule, deserialize, serialize

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "Joined",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PiecewiseLinear",
    "PolynomialDecay",
    "deserialize",
    "plot",
    "serialize",
]
