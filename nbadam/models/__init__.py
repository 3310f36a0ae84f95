"""Models that `nbadam.curve_fit` knows how to start: curves with first guesses, and sums of them.

Each is one definition, a formula, with the names of its parameters and a guess from the data.  The
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

Models can be added; of several constants only one is kept:

>>> (models.GAUSSIAN + models.LINE).parameters
('amplitude', 'center', 'sigma', 'slope', 'intercept')
"""

from .decays import (
    BIEXPONENTIAL,
    DAMPED_SINE,
    DOUBLE_EXPONENTIAL,
    EXPONENTIAL,
    SINE,
    STRETCHED_EXPONENTIAL,
)
from .growth import DOSE_RESPONSE, DOSE_RESPONSE_5, GOMPERTZ, HILL, LOGISTIC_4, LOGISTIC_5, WEIBULL
from .images import GAUSSIAN_2D, GAUSSIAN_2D_ROTATED, GAUSSIAN_2D_ROUND, PLANE
from .kinetics import (
    ARRHENIUS,
    COMPETITIVE_INHIBITION,
    FREUNDLICH,
    LANGMUIR,
    MICHAELIS_MENTEN,
    SUBSTRATE_INHIBITION,
)
from .magnetic_resonance import (
    EXTENDED_TOFTS,
    IVIM,
    T1_INVERSION_RECOVERY,
    T1_INVERSION_RECOVERY_MAGNITUDE,
    T1_SATURATION_RECOVERY,
    T1_VFA,
    T2_DECAY,
    TOFTS,
)
from .peaks import (
    DONIACH_SUNJIC,
    FANO,
    GAUSSIAN,
    GAUSSIAN_LINEAR,
    LORENTZIAN,
    LORENTZIAN_LINEAR,
    PSEUDO_VOIGT,
    VOIGT,
)
from .physics import CONSTANT, LINE, PLANCK, POWER_LAW, POWER_LAW_CUTOFF, QUADRATIC

# By theme, in which lists and pages show them.
__all__ = [
    "ARRHENIUS",
    "BIEXPONENTIAL",
    "COMPETITIVE_INHIBITION",
    "CONSTANT",
    "DAMPED_SINE",
    "DONIACH_SUNJIC",
    "DOSE_RESPONSE",
    "DOSE_RESPONSE_5",
    "DOUBLE_EXPONENTIAL",
    "EXPONENTIAL",
    "EXTENDED_TOFTS",
    "FANO",
    "FREUNDLICH",
    "GAUSSIAN",
    "GAUSSIAN_2D",
    "GAUSSIAN_2D_ROTATED",
    "GAUSSIAN_2D_ROUND",
    "GAUSSIAN_LINEAR",
    "GOMPERTZ",
    "HILL",
    "IVIM",
    "LANGMUIR",
    "LINE",
    "LOGISTIC_4",
    "LOGISTIC_5",
    "LORENTZIAN",
    "LORENTZIAN_LINEAR",
    "MICHAELIS_MENTEN",
    "PLANCK",
    "PLANE",
    "POWER_LAW",
    "POWER_LAW_CUTOFF",
    "PSEUDO_VOIGT",
    "QUADRATIC",
    "SINE",
    "STRETCHED_EXPONENTIAL",
    "SUBSTRATE_INHIBITION",
    "T1_INVERSION_RECOVERY",
    "T1_INVERSION_RECOVERY_MAGNITUDE",
    "T1_SATURATION_RECOVERY",
    "T1_VFA",
    "T2_DECAY",
    "TOFTS",
    "VOIGT",
    "WEIBULL",
]  # fmt: skip
