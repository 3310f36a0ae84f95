"""Sigmoid curves: responses to doses, growth."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._jitable import register_jitable
from ..fitting.model.projection import Shapes
from ..vector_math import exp, log
from . import candidates, grids, guesses
from .shipped import ShippedModel

ZERO, ONE = np.float32(0.0), np.float32(1.0)  # exact in both precisions
_shared = register_jitable(error_model="numpy", forceinline=True)
_sigmoid = partial(ShippedModel, group="Dose-response and growth")

ENDS = {"bottom": "response to no dose [y]", "top": "response to a saturating dose, may be the lower one [y]"}
DOSES = "x must be doses >= 0, not their logarithms."
LEVELS = {"bottom": "value far to the left if the rate is positive [y]", "top": "value far to the right [y]"}


@_shared
def dose_response(x, bottom, top, ec50, hill):
    return bottom + (top - bottom) / (ONE + exp(-hill * log(x / ec50)))


@_shared
def dose_response_jacobian(x, bottom, top, ec50, hill):
    logarithm = log(x / ec50)
    share = ONE / (ONE + exp(-hill * logarithm))
    slope = (top - bottom) * share * (ONE - share)
    return ONE - share, share, -slope * hill / ec50, slope * logarithm if x > ZERO else ZERO * x


def dose_response_guess(x, y, memory):
    """Guess with a slope above 0; the bottom is then the response to no dose."""
    amplitude, ec50, hill, bottom = dose_response_search(x, y, memory)
    return np.array([bottom, bottom + amplitude, ec50, hill])


dose_response_search: Callable[..., Any] = guesses.searched(
    lambda x, p: dose_response(x, 0.0, 1.0, p[0], p[1]), candidates.dose_candidates
)


def _of_levels(coefficients, rows):
    """Turn the height of a step and the level below it into both levels."""
    height, bottom = coefficients
    return bottom, bottom + height, *rows


def _dose_columns(x, rows):
    dose, hill = rows.T[:, :, None]
    return 1 / (1 + (dose / x) ** hill), np.ones_like(x)


DOSE_RESPONSE = _sigmoid(
    "DOSE_RESPONSE",
    "bottom + (top - bottom) * where(x > 0, 1 / (1 + exp(-hill * log(x / ec50))), 0)",
    summary="Dose-response curve of four parameters (4PL, Hill's equation), for doses >= 0.",
    means={"x": "dose or concentration, not below 0"}
    | ENDS
    | {"ec50": "dose half-way, positive [x]", "hill": "slope there, in the logarithm of the dose [no unit]"},
    example=(1, 4, 1, 1.5),
    domain=(0, 8),
    function=dose_response,
    jacobian=dose_response_jacobian,
    guess=guesses.Guess(dose_response_guess, 4),
    shapes=Shapes(
        grids.scales_and_exponents, ("height", "bottom"), columns=_dose_columns, parameters=_of_levels
    ),
    notes="The same as bottom + (top - bottom) / (1 + (x / ec50)**-hill), finite at x = 0, too.",
    hint=DOSES,
)


def _dose_5_columns(x, rows):
    dose, hill, asymmetry = rows.T[:, :, None]
    return (1 + (dose / x) ** hill) ** -asymmetry, np.ones_like(x)


DOSE_RESPONSE_5 = _sigmoid(
    "DOSE_RESPONSE_5",
    """bottom + (top - bottom) * where(x > 0, exp(-asymmetry * (log1p(exp(-abs(hill * log(x / scale))))
    + max(-hill * log(x / scale), 0))), 0)""",
    summary="Dose-response curve of five parameters (5PL), for doses >= 0.",
    means={"x": "dose or concentration, not below 0"}
    | ENDS
    | {
        "scale": "dose half-way if the asymmetry is 1, positive [x]",
        "hill": "slope if the asymmetry is 1, in the logarithm of the dose [no unit]",
        "asymmetry": "asymmetry, positive; 1 is the 4PL curve [no unit]",
    },
    example=(1, 4, 1, 1.5, 2),
    domain=(0, 8),
    shapes=Shapes(
        grids.scales_exponents_and_asymmetries,
        ("height", "bottom"),
        columns=_dose_5_columns,
        parameters=_of_levels,
    ),
    notes="The same as bottom + (top - bottom) / (1 + (x / scale)**-hill)**asymmetry, without overflow.",
    hint=DOSES,
)

HILL = _sigmoid(
    "HILL",
    "vmax * (x / k)**n / (1 + (x / k)**n)",
    summary="Hill's equation of cooperative binding, for concentrations >= 0.",
    means={
        "x": "concentration, not below 0",
        "vmax": "limit at saturation [y]",
        "k": "concentration at half of it, positive [x]",
        "n": "Hill coefficient [no unit]",
    },
    example=(4, 2, 2.5),
    domain=(0, 8),
    shapes=Shapes(grids.scales_and_exponents, ("vmax",)),
    notes="The same as vmax x**n / (k**n + x**n).",
    hint="x must be concentrations >= 0.",
)

LOGISTIC_4 = _sigmoid(
    "LOGISTIC_4",
    "bottom + (top - bottom) * (1 + tanh(rate * (x - midpoint) / 2)) / 2",
    summary="Logistic curve of four parameters, of a time or of the logarithm of a dose.",
    means={"x": "time, or logarithm of a dose"}
    | LEVELS
    | {"midpoint": "place half-way [x]", "rate": "steepness, in guesses positive [1 / x]"},
    example=(1, 4, 5, 1.5),
    domain=(0, 10),
    shapes=Shapes(
        grids.steps,
        ("height", "bottom"),
        columns=lambda x, rows: (_share(x, *rows.T), np.ones_like(x)),
        parameters=_of_levels,
    ),
    notes="The same as bottom + (top - bottom) / (1 + exp(-rate (x - midpoint))), without overflow.",
)


def _share(x, midpoint, rate, asymmetry=1.0):
    """Return the height of a step of 1, to the power of the asymmetry."""
    share = (1 + np.tanh(rate[:, None] * (x - midpoint[:, None]) / 2)) / 2
    return share ** np.reshape(asymmetry, (-1, 1))


LOGISTIC_5 = _sigmoid(
    "LOGISTIC_5",
    """bottom + (top - bottom) * exp(-asymmetry * (log1p(exp(-abs(rate * (x - midpoint))))
    + max(-rate * (x - midpoint), 0)))""",
    summary="Logistic curve of five parameters (Richards), with an asymmetry.",
    means={"x": "time, or logarithm of a dose"}
    | LEVELS
    | {
        "midpoint": "place half-way if the asymmetry is 1 [x]",
        "rate": "steepness, in guesses positive [1 / x]",
        "asymmetry": "asymmetry, positive; 1 is the curve of four parameters [no unit]",
    },
    example=(1, 4, 4, 1.5, 2),
    domain=(0, 10),
    shapes=Shapes(
        grids.steps_and_asymmetries,
        ("height", "bottom"),
        columns=lambda x, rows: (_share(x, *rows.T), np.ones_like(x)),
        parameters=_of_levels,
    ),
    notes="The same as bottom + (top - bottom) / (1 + exp(-rate (x - midpoint)))**asymmetry, but finite.",
)

GOMPERTZ = _sigmoid(
    "GOMPERTZ",
    "asymptote * exp(-exp(min(rate * (inflection - x), 80)))",
    summary="Gompertz growth.",
    means={
        "x": "time",
        "asymptote": "limit of the growth [y]",
        "rate": "rate of growth [1 / x]",
        "inflection": "time of the fastest growth, at asymptote / e [x]",
    },
    example=(4, 0.8, 4),
    domain=(0, 12),
    shapes=Shapes(
        grids.steps,
        ("asymptote",),
        columns=lambda x, rows: (np.exp(-np.exp(rows[:, 1:] * (rows[:, :1] - x))),),
        parameters=lambda coefficients, rows: (*coefficients, rows[1], rows[0]),
    ),
    notes="The bound of 80 on the inner exponent keeps derivatives finite where the curve is 0.",
)

WEIBULL = _sigmoid(
    "WEIBULL",
    "asymptote * (1 - exp(-min((x / scale)**shape, 80)))",
    summary="Weibull's cumulative curve: growth, dissolution, failures; for x >= 0.",
    means={
        "x": "time or size, not below 0",
        "asymptote": "limit [y]",
        "scale": "x at which 63.2 % of it are reached, positive [x]",
        "shape": "exponent, positive [no unit]",
    },
    example=(4, 3, 1.8),
    domain=(0, 10),
    shapes=Shapes(grids.scales_and_exponents, ("asymptote",)),
    notes="The bound of 80 on the exponent keeps derivatives finite where the limit is reached.",
    hint="x must be >= 0.",
)
