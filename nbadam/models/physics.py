"""Powers, thermal radiation, and backgrounds."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._jitable import register_jitable
from ..fitting.model.projection import Shapes, nothing
from ..vector_math import exp, log
from . import candidates, grids, guesses
from .shipped import ShippedModel

ZERO = np.float32(0.0)  # exact in both precisions
_shared = register_jitable(error_model="numpy", forceinline=True)
_law = partial(ShippedModel, group="Powers and radiation")
_background = partial(ShippedModel, group="Backgrounds", domain=(0, 10))


@_shared
def power_law(x, amplitude, exponent):
    return amplitude * exp(exponent * log(x))


@_shared
def power_law_jacobian(x, amplitude, exponent):
    logarithm = log(x)
    power = exp(exponent * logarithm)
    return power, amplitude * power * logarithm if x > ZERO else ZERO * x


def power_law_guess(x, y, memory):
    """Guess in units of a middle x, in which no power is out of range."""
    amplitude, exponent, unit = power_law_search(x, y, memory)
    return np.array([amplitude * unit**-exponent, exponent])


power_law_search: Callable[..., Any] = guesses.searched(
    lambda x, p: power_law(x / p[1], 1.0, p[0]), candidates.exponent_candidates, offset=False
)


def _power_columns(x, rows):
    return ((x / rows[:, 1:2]) ** rows[:, :1],)


def _power_parameters(coefficients, rows):
    return coefficients[0] * rows[1] ** -rows[0], rows[0]


POWER_LAW = _law(
    "POWER_LAW",
    "amplitude * x**exponent",
    summary="Power law, for x > 0, or x >= 0 if the exponent is positive.",
    means={"x": "positive", "amplitude": "value at x = 1 [y]", "exponent": "exponent [no unit]"},
    example=(8, -1.2),
    domain=(1, 10),
    function=power_law,
    jacobian=power_law_jacobian,
    guess=guesses.Guess(power_law_guess, 2),
    shapes=Shapes(grids.exponents, ("height",), columns=_power_columns, parameters=_power_parameters),
    notes="Where x is far from 1 both are strongly correlated: choose a unit that is typical of the data.",
    hint="x must be > 0.",
)


def _cutoff_columns(x, rows):
    exponent, middle, cutoff = rows.T[:, :, None]
    return ((x / middle) ** exponent * np.exp(-x / cutoff),)


def _cutoff_parameters(coefficients, rows):
    return coefficients[0] * rows[1] ** -rows[0], rows[0], rows[2]


POWER_LAW_CUTOFF = _law(
    "POWER_LAW_CUTOFF",
    "amplitude * x**exponent * exp(-x / cutoff)",
    summary="Power law with an exponential cut-off, for x > 0.",
    means={
        "x": "positive",
        "amplitude": "value of the power law at x = 1 [y]",
        "exponent": "exponent [no unit]",
        "cutoff": "x from which on the exponential dominates [x]",
    },
    example=(8, -0.8, 4),
    domain=(0.5, 12),
    shapes=Shapes(
        grids.exponents_and_cutoffs, ("height",), columns=_cutoff_columns, parameters=_cutoff_parameters
    ),
    hint="x must be > 0.",
)

PLANCK = _law(
    "PLANCK",
    """scale * 1.191042972e8 / x**5 * exp(-14387.76877 / (x * temperature))
    / (1 - exp(-14387.76877 / (x * temperature)))""",
    summary="Planck's law: the spectral radiance of a black body by wavelength.",
    means={
        "x": "wavelength [um]",
        "scale": "emissivity, or solid angle and the like [y / (W / (m**2 sr um))]",
        "temperature": "temperature [K]",
    },
    example=(1e-6, 5800),
    domain=(0.2, 3),
    shapes=Shapes(grids.temperatures, ("scale",)),
    notes="The constants are 2 h c**2 and h c / k of CODATA 2018.",
    hint="x must be wavelengths in micrometers.",
)

CONSTANT = _background(
    "CONSTANT",
    "offset",
    summary="Constant.",
    means={"x": "any", "offset": "value [y]"},
    example=(2,),
    shapes=Shapes(nothing, ("offset",)),
)

LINE = _background(
    "LINE",
    "slope * x + intercept",
    summary="Straight line.",
    means={"x": "any", "slope": "slope [y / x]", "intercept": "value at x = 0 [y]"},
    example=(0.5, 1),
    shapes=Shapes(nothing, ("slope", "intercept")),
)

QUADRATIC = _background(
    "QUADRATIC",
    "curvature * x**2 + slope * x + intercept",
    summary="Parabola.",
    means={
        "x": "any",
        "curvature": "half the second derivative [y / x**2]",
        "slope": "slope at x = 0 [y / x]",
        "intercept": "value at x = 0 [y]",
    },
    example=(0.1, -0.8, 3),
    shapes=Shapes(nothing, ("curvature", "slope", "intercept")),
)
