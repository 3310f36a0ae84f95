"""Models that `nbadam.curve_fit` knows how to start: curves with their derivatives and first guesses.

Each is one definition: a function that Numba compiles, its Jacobian, and a guess from the data.  The
guess needs no units and no order of the points, and data without NaN.  Widths enter by their squares
or sizes: a fit may find a negative one, whose size counts; `bounds` exclude it.

>>> import numpy as np
>>> import nbadam
>>> from nbadam import models
>>> x = np.linspace(-5, 5, 50)
>>> models.GAUSSIAN.parameters
('amplitude', 'center', 'sigma', 'offset')
>>> y = models.GAUSSIAN(x, 3.0, 1.0, 0.5, 0.2)
>>> nbadam.curve_fit(models.GAUSSIAN, x, y).popt.round(6)
array([3. , 1. , 0.5, 0.2])
"""

from .curves import (
    DOSE_RESPONSE,
    DOUBLE_EXPONENTIAL,
    EXPONENTIAL,
    GAUSSIAN,
    GAUSSIAN_2D,
    LORENTZIAN,
    MICHAELIS_MENTEN,
    POWER_LAW,
    SINE,
    STRETCHED_EXPONENTIAL,
    VOIGT,
)

__all__ = [
    "DOSE_RESPONSE",
    "DOUBLE_EXPONENTIAL",
    "EXPONENTIAL",
    "GAUSSIAN",
    "GAUSSIAN_2D",
    "LORENTZIAN",
    "MICHAELIS_MENTEN",
    "POWER_LAW",
    "SINE",
    "STRETCHED_EXPONENTIAL",
    "VOIGT",
]
