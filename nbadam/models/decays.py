"""Decays: exponentials, and sines that die out."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._jitable import register_jitable
from ..fitting.model.projection import Shapes
from ..vector_math import cos, exp, log, sin
from . import candidates, grids, guesses, sines
from .shipped import ShippedModel

ZERO, ONE = np.float32(0.0), np.float32(1.0)  # exact in both precisions
_shared = register_jitable(error_model="numpy", forceinline=True)
_decay = partial(ShippedModel, group="Decays and oscillations")

T = "time or place"
HEIGHT, OFFSET = "height over the offset at x = 0 [y]", "value far away [y]"
FROM_ZERO = "`amplitude` is the height at x = 0: count x from its first value, as `x - x.min()`."


@_shared
def exponential(x, amplitude, rate, offset):
    return amplitude * exp(-rate * x) + offset


@_shared
def exponential_jacobian(x, amplitude, rate, offset):
    e = exp(-rate * x)
    return e, -amplitude * x * e, ONE


def exponential_guess(x, y, memory):
    """Guess the amplitude at the lowest x, where it is not extrapolated."""
    amplitude, rate, low, offset = exponential_search(x, y, memory)
    return np.array([amplitude * np.exp(rate * low), rate, offset])


exponential_search: Callable[..., Any] = guesses.searched(
    lambda x, p: exponential(x - p[1], 1.0, p[0], 0.0), candidates.rate_candidates
)


def _exponential_columns(x, rows):
    rate, low = rows.T[:, :, None]
    return np.exp(-rate * (x - low)), np.ones_like(x)


def _exponential_parameters(coefficients, rows):
    (amplitude, offset), (rate, low) = coefficients, rows
    return amplitude * np.exp(rate * low), rate, offset


EXPONENTIAL = _decay(
    "EXPONENTIAL",
    "amplitude * exp(-rate * x) + offset",
    summary="Exponential decay.",
    means={"x": T, "amplitude": HEIGHT, "rate": "rate, negative for growth [1 / x]", "offset": OFFSET},
    example=(3, 0.5, 1),
    domain=(0, 10),
    function=exponential,
    jacobian=exponential_jacobian,
    guess=guesses.Guess(exponential_guess, 3),
    shapes=Shapes(
        grids.decays,
        ("amplitude", "offset"),
        columns=_exponential_columns,
        parameters=_exponential_parameters,
    ),
    hint=FROM_ZERO,
)


@_shared
def double_exponential(x, amplitude_1, rate_1, amplitude_2, rate_2, offset):
    return amplitude_1 * exp(-rate_1 * x) + amplitude_2 * exp(-rate_2 * x) + offset


@_shared
def double_exponential_jacobian(x, amplitude_1, rate_1, amplitude_2, rate_2, offset):
    e_1, e_2 = exp(-rate_1 * x), exp(-rate_2 * x)
    return e_1, -amplitude_1 * x * e_1, e_2, -amplitude_2 * x * e_2, ONE


def _double_columns(x, rows):
    fast, slow, low = rows.T[:, :, None]
    return np.exp(-fast * (x - low)), np.exp(-slow * (x - low)), np.ones_like(x)


def _double_parameters(coefficients, rows):
    (first, second, offset), (fast, slow, low) = coefficients, rows
    return first * np.exp(fast * low), fast, second * np.exp(slow * low), slow, offset


DOUBLE_EXPONENTIAL = _decay(
    "DOUBLE_EXPONENTIAL",
    "amplitude_1 * exp(-rate_1 * x) + amplitude_2 * exp(-rate_2 * x) + offset",
    summary="Two exponential decays with an offset.",
    means={
        "x": T,
        "amplitude_1": "height of the first at x = 0 [y]",
        "rate_1": "rate of the first, in guesses the faster one [1 / x]",
        "amplitude_2": "height of the second at x = 0 [y]",
        "rate_2": "rate of the second [1 / x]",
        "offset": OFFSET,
    },
    example=(2, 2, 2, 0.25, 0.5),
    domain=(0, 10),
    function=double_exponential,
    jacobian=double_exponential_jacobian,
    guess=guesses.Guess(candidates.two_rates, 5),
    shapes=Shapes(
        grids.two_decays,
        ("amplitude_1", "amplitude_2", "offset"),
        columns=_double_columns,
        parameters=_double_parameters,
    ),
    hint="The amplitudes are the heights at x = 0: count x from its first value, as `x - x.min()`.",
)


def _biexponential_columns(x, rows):
    short, long = rows.T[:, :, None]
    return np.exp(-x / short), np.exp(-x / long), np.ones_like(x)


def _biexponential_parameters(coefficients, rows):
    (first, second, offset), (short, long) = coefficients, rows
    total = first + second
    return total, first / np.where(total == 0, 1, total), short, long, offset


BIEXPONENTIAL = _decay(
    "BIEXPONENTIAL",
    "amplitude * (fraction * exp(-x / tau_1) + (1 - fraction) * exp(-x / tau_2)) + offset",
    summary="Two exponential decays by lifetimes and fraction, as of fluorescence, with an offset.",
    means={
        "x": "time",
        "amplitude": HEIGHT,
        "fraction": "share of the first decay at x = 0 [0 to 1]",
        "tau_1": "lifetime of the first, in guesses the shorter one [x]",
        "tau_2": "lifetime of the second [x]",
        "offset": OFFSET,
    },
    example=(4, 0.6, 0.5, 4, 0.5),
    domain=(0, 12),
    shapes=Shapes(
        grids.two_times,
        ("first", "second", "offset"),
        columns=_biexponential_columns,
        parameters=_biexponential_parameters,
    ),
    hint=FROM_ZERO,
)


@_shared
def stretched_exponential(x, amplitude, tau, beta, offset):
    power = exp(beta * log(x / tau))
    return amplitude * exp(-power) + offset


@_shared
def stretched_exponential_jacobian(x, amplitude, tau, beta, offset):
    logarithm = log(x / tau)
    power = exp(beta * logarithm)
    e = exp(-power)
    slope = amplitude * e * power
    by_beta = -slope * logarithm if x > ZERO and power < np.float32(1e30) else ZERO * x
    by_tau = slope * beta / tau if power < np.float32(1e30) else ZERO * x
    return e, by_tau, by_beta, ONE


STRETCHED_EXPONENTIAL = _decay(
    "STRETCHED_EXPONENTIAL",
    "amplitude * exp(-(x / tau)**beta) + offset",
    summary="Stretched exponential (Kohlrausch), for x >= 0.",
    means={
        "x": "time, not below 0",
        "amplitude": HEIGHT,
        "tau": "time after which 1 / e is left, positive [x]",
        "beta": "stretching exponent, positive [no unit]",
        "offset": OFFSET,
    },
    example=(3, 2, 0.6, 1),
    domain=(0, 10),
    function=stretched_exponential,
    jacobian=stretched_exponential_jacobian,
    guess=guesses.Guess(
        guesses.searched(
            lambda x, p: stretched_exponential(x, 1.0, p[0], p[1], 0.0), candidates.stretched_candidates
        ),
        4,
    ),
    shapes=Shapes(grids.stretched, ("amplitude", "offset")),
    hint="x must be >= 0: count it from the start of the decay.",
)


@_shared
def sine(x, amplitude, frequency, phase, offset):
    return amplitude * sin(frequency * x + phase) + offset


@_shared
def sine_jacobian(x, amplitude, frequency, phase, offset):
    angle = frequency * x + phase
    slope = amplitude * cos(angle)
    return sin(angle), slope * x, slope, ONE


def _sine_columns(x, rows):
    angle = rows[:, :1] * x
    return np.sin(angle), np.cos(angle), np.ones_like(x)


def _sine_parameters(coefficients, rows):
    (by_sin, by_cos, offset), (frequency,) = coefficients, rows
    return np.hypot(by_sin, by_cos), frequency, np.arctan2(by_cos, by_sin), offset


SINE = _decay(
    "SINE",
    "amplitude * sin(frequency * x + phase) + offset",
    summary="Sine.",
    means={
        "x": T,
        "amplitude": "half the height from trough to crest [y]",
        "frequency": "angular frequency, 2 pi over the period [rad / x]",
        "phase": "angle at x = 0 [rad]",
        "offset": "mean [y]",
    },
    example=(2, 1.8, 0.5, 1),
    domain=(0, 10),
    function=sine,
    jacobian=sine_jacobian,
    guess=guesses.Guess(sines.sine_guess, 4),
    shapes=Shapes(
        grids.frequencies, ("sin", "cos", "offset"), columns=_sine_columns, parameters=_sine_parameters
    ),
    notes="The guess searches up to the frequency of which every half period has a point.",
)


def _damped_columns(x, rows):
    frequency, damping, low = rows.T[:, :, None]
    envelope = np.exp(-damping * (x - low))
    return envelope * np.sin(frequency * x), envelope * np.cos(frequency * x), np.ones_like(x)


def _damped_parameters(coefficients, rows):
    (by_sin, by_cos, offset), (frequency, damping, low) = coefficients, rows
    height = np.hypot(by_sin, by_cos) * np.exp(damping * low)
    return height, damping, frequency, np.arctan2(by_cos, by_sin), offset


DAMPED_SINE = _decay(
    "DAMPED_SINE",
    "amplitude * exp(-damping * x) * sin(frequency * x + phase) + offset",
    summary="Damped sine, a ring-down.",
    means={
        "x": "time",
        "amplitude": "half the height from trough to crest at x = 0 [y]",
        "damping": "rate of decay of the amplitude [1 / x]",
        "frequency": "angular frequency, 2 pi over the period [rad / x]",
        "phase": "angle at x = 0 [rad]",
        "offset": "value after the ring-down [y]",
    },
    example=(3, 0.3, 4, 0.5, 1),
    domain=(0, 10),
    shapes=Shapes(
        grids.damped, ("sin", "cos", "offset"), columns=_damped_columns, parameters=_damped_parameters
    ),
    hint=FROM_ZERO,
)
