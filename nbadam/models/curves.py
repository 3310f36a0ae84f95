"""The models that ship: each a function, its derivatives, and a guess from the data."""

from math import pi, sqrt

import numpy as np
from numba.extending import register_jitable

from ..vector_math import cos, exp, log, sin
from . import guesses
from .faddeeva import faddeeva
from .shipped import ShippedModel

# Exact in both precisions; as float32 they leave the precision of the others alone, which literals do not.
ZERO, HALF, ONE, TWO = map(np.float32, (0.0, 0.5, 1.0, 2.0))
_shared = register_jitable(error_model="numpy", forceinline=True)


# --- Peaks ----------------------------------------------------------------------------------------


@_shared
def gaussian(x, amplitude, center, sigma, offset):
    z = (x - center) / sigma
    return amplitude * exp(-HALF * z * z) + offset


@_shared
def gaussian_jacobian(x, amplitude, center, sigma, offset):
    z = (x - center) / sigma
    e = exp(-HALF * z * z)
    slope = amplitude * e * z / sigma
    return e, slope, slope * z, ONE


GAUSSIAN = ShippedModel(
    "GAUSSIAN",
    gaussian,
    jacobian=gaussian_jacobian,
    guess=guesses.Guess(
        guesses.searched(lambda x, p: gaussian(x, 1.0, p[0], p[1], 0.0), guesses.peak_candidates), 4
    ),
    doc="""Gaussian peak, ``amplitude * exp(-((x - center) / sigma)**2 / 2) + offset``.

`amplitude` is the height over the offset (units of y), negative for a dip; `sigma` the standard
deviation (units of x), the full width at half maximum divided by 2.3548.""",
)


@_shared
def lorentzian(x, amplitude, center, gamma, offset):
    z = (x - center) / gamma
    return amplitude / (ONE + z * z) + offset


@_shared
def lorentzian_jacobian(x, amplitude, center, gamma, offset):
    z = (x - center) / gamma
    e = ONE / (ONE + z * z)
    slope = TWO * amplitude * e * e * z / gamma
    return e, slope, slope * z, ONE


LORENTZIAN = ShippedModel(
    "LORENTZIAN",
    lorentzian,
    jacobian=lorentzian_jacobian,
    guess=guesses.Guess(
        guesses.searched(lambda x, p: lorentzian(x, 1.0, p[0], p[1], 0.0), guesses.peak_candidates), 4
    ),
    doc="""Lorentzian peak, ``amplitude / (1 + ((x - center) / gamma)**2) + offset``.

`amplitude` is the height over the offset (units of y); `gamma` the half width at half maximum (units
of x).""",
)

ROOT_2, ROOT_2_PI, TWO_OVER_ROOT_PI = sqrt(2), sqrt(2 * pi), 2 / sqrt(pi)


@_shared
def voigt(x, area, center, sigma, gamma, offset):
    width = abs(sigma) * ROOT_2
    re, _ = faddeeva((x - center) / width, abs(gamma) / width)
    return area * re / (abs(sigma) * ROOT_2_PI) + offset


@_shared
def voigt_jacobian(x, area, center, sigma, gamma, offset):
    width = abs(sigma) * ROOT_2
    u, v = (x - center) / width, abs(gamma) / width
    re, im = faddeeva(u, v)
    # w'(z) = -2 z w(z) + 2 i / sqrt(pi)
    by_u = -2.0 * (u * re - v * im)
    by_v = 2.0 * (u * im + v * re) - TWO_OVER_ROOT_PI
    unit = 1.0 / (abs(sigma) * ROOT_2_PI)
    by_sigma = -area * unit * (re + u * by_u + v * by_v) / sigma
    by_gamma = area * unit * by_v / width
    return unit * re, -area * unit * by_u / width, by_sigma, by_gamma if gamma >= 0 else -by_gamma, ONE


def voigt_guess(x, y, memory):
    """Guess a Gaussian, and give both parts the width that makes their profile as wide."""
    height, center, width, offset = gaussian_search(x, y, memory)
    sigma = 0.654 * width  # with gamma = sigma, the profile is 3.6 sigma wide
    return np.array([height * width * ROOT_2_PI * 1.2, center, sigma, sigma, offset])


gaussian_search = guesses.searched(lambda x, p: gaussian(x, 1.0, p[0], p[1], 0.0), guesses.peak_candidates)

VOIGT = ShippedModel(
    "VOIGT",
    voigt,
    jacobian=voigt_jacobian,
    guess=guesses.Guess(voigt_guess, 5),
    doc="""Voigt's profile: a Gaussian convolved with a Lorentzian, times `area`, plus `offset`.

``area * Re(w(z)) / (sigma * sqrt(2 pi)) + offset`` with ``z = (x - center + i gamma) / (sigma sqrt(2))``
and the Faddeeva function w.  `area` has the units of y times x; `sigma` is the standard deviation of the
Gaussian, `gamma` the half width at half maximum of the Lorentzian (units of x).  The profile is within
1e-14 of ``scipy.special.voigt_profile``, relative to its highest value at ``gamma = 0``; always computed
in double precision.""",
)


@_shared
def gaussian_2d(x, amplitude, center_x, center_y, sigma_x, sigma_y, offset):
    u, v = (x[0] - center_x) / sigma_x, (x[1] - center_y) / sigma_y
    return amplitude * exp(-HALF * (u * u + v * v)) + offset


@_shared
def gaussian_2d_jacobian(x, amplitude, center_x, center_y, sigma_x, sigma_y, offset):
    u, v = (x[0] - center_x) / sigma_x, (x[1] - center_y) / sigma_y
    e = exp(-HALF * (u * u + v * v))
    along_x, along_y = amplitude * e * u / sigma_x, amplitude * e * v / sigma_y
    return e, along_x, along_y, along_x * u, along_y * v, ONE


GAUSSIAN_2D = ShippedModel(
    "GAUSSIAN_2D",
    gaussian_2d,
    variables=("x", "y"),
    jacobian=gaussian_2d_jacobian,
    guess=guesses.Guess(
        guesses.searched(
            lambda x, p: gaussian_2d(x, 1.0, p[0], p[1], p[2], p[3], 0.0),
            guesses.image_candidates,
            variables=2,
        ),
        6,
        variables=2,
    ),
    doc="""Gaussian spot with axes along x and y, ``amplitude * exp(-(u**2 + v**2) / 2) + offset``.

``u = (x - center_x) / sigma_x`` and ``v = (y - center_y) / sigma_y``; `amplitude` is the height over the
offset (units of the data), the widths are standard deviations (units of x and of y).""",
)


# --- Decays ---------------------------------------------------------------------------------------


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


exponential_search = guesses.searched(
    lambda x, p: exponential(x - p[1], 1.0, p[0], 0.0), guesses.rate_candidates
)

EXPONENTIAL = ShippedModel(
    "EXPONENTIAL",
    exponential,
    jacobian=exponential_jacobian,
    guess=guesses.Guess(exponential_guess, 3),
    hint="`amplitude` is the height at x = 0: count x from its first value, as `x - x.min()`.",
    doc="""Exponential decay, ``amplitude * exp(-rate * x) + offset``.

`amplitude` is the height over the offset at x = 0 (units of y); `rate` (1 / units of x) is negative for
growth.""",
)


@_shared
def double_exponential(x, amplitude_1, rate_1, amplitude_2, rate_2, offset):
    return amplitude_1 * exp(-rate_1 * x) + amplitude_2 * exp(-rate_2 * x) + offset


@_shared
def double_exponential_jacobian(x, amplitude_1, rate_1, amplitude_2, rate_2, offset):
    e_1, e_2 = exp(-rate_1 * x), exp(-rate_2 * x)
    return e_1, -amplitude_1 * x * e_1, e_2, -amplitude_2 * x * e_2, ONE


DOUBLE_EXPONENTIAL = ShippedModel(
    "DOUBLE_EXPONENTIAL",
    double_exponential,
    jacobian=double_exponential_jacobian,
    guess=guesses.Guess(guesses.two_rates, 5),
    hint="The amplitudes are the heights at x = 0: count x from its first value, as `x - x.min()`.",
    doc="""Two decays, ``amplitude_1 * exp(-rate_1 * x) + amplitude_2 * exp(-rate_2 * x) + offset``.

Units as of `EXPONENTIAL`.  The guess has the faster one first.""",
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


STRETCHED_EXPONENTIAL = ShippedModel(
    "STRETCHED_EXPONENTIAL",
    stretched_exponential,
    jacobian=stretched_exponential_jacobian,
    guess=guesses.Guess(
        guesses.searched(
            lambda x, p: stretched_exponential(x, 1.0, p[0], p[1], 0.0), guesses.stretched_candidates
        ),
        4,
    ),
    hint="x must be >= 0: count it from the start of the decay.",
    doc="""Stretched exponential (Kohlrausch), ``amplitude * exp(-(x / tau)**beta) + offset``, for x >= 0.

`amplitude` is the height over the offset at x = 0 (units of y), `tau` a time (units of x, positive),
`beta` has no unit; both must stay positive.""",
)


# --- Curves that saturate, and powers --------------------------------------------------------------


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


dose_response_search = guesses.searched(
    lambda x, p: dose_response(x, 0.0, 1.0, p[0], p[1]), guesses.dose_candidates
)

DOSE_RESPONSE = ShippedModel(
    "DOSE_RESPONSE",
    dose_response,
    jacobian=dose_response_jacobian,
    guess=guesses.Guess(dose_response_guess, 4),
    hint="x must be doses >= 0, not their logarithms.",
    doc="""Dose-response curve (4PL), ``bottom + (top - bottom) / (1 + (x / ec50)**-hill)``.

For doses x >= 0.  `bottom` is the response to no dose and `top` that to a saturating one (units of y;
`top` may be the lower one), `ec50` the dose half-way (units of x, positive), `hill` the slope there, in
the logarithm of the dose (no unit).""",
)


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


power_law_search = guesses.searched(
    lambda x, p: power_law(x / p[1], 1.0, p[0]), guesses.exponent_candidates, offset=False
)

POWER_LAW = ShippedModel(
    "POWER_LAW",
    power_law,
    jacobian=power_law_jacobian,
    guess=guesses.Guess(power_law_guess, 2),
    hint="x must be > 0.",
    doc="""Power law, ``amplitude * x**exponent``, for x > 0 (x >= 0 if the exponent is positive).

`amplitude` is the value at x = 1 (units of y), `exponent` has no unit.  Where x is far from 1 the two are
strongly correlated: choose a unit of x that is typical of the data.""",
)


@_shared
def michaelis_menten(x, vmax, km):
    return vmax * x / (km + x)


@_shared
def michaelis_menten_jacobian(x, vmax, km):
    share = x / (km + x)
    return share, -vmax * share / (km + x)


MICHAELIS_MENTEN = ShippedModel(
    "MICHAELIS_MENTEN",
    michaelis_menten,
    jacobian=michaelis_menten_jacobian,
    guess=guesses.Guess(
        guesses.searched(
            lambda x, p: michaelis_menten(x, 1.0, p[0]), guesses.michaelis_candidates, offset=False
        ),
        2,
    ),
    hint="x must be concentrations >= 0.",
    doc="""Michaelis-Menten kinetics, ``vmax * x / (km + x)``, for concentrations x >= 0.

`vmax` is the limiting rate (units of y), `km` the concentration at half of it (units of x).""",
)


# --- Sine -----------------------------------------------------------------------------------------


@_shared
def sine(x, amplitude, frequency, phase, offset):
    return amplitude * sin(frequency * x + phase) + offset


@_shared
def sine_jacobian(x, amplitude, frequency, phase, offset):
    angle = frequency * x + phase
    slope = amplitude * cos(angle)
    return sin(angle), slope * x, slope, ONE


SINE = ShippedModel(
    "SINE",
    sine,
    jacobian=sine_jacobian,
    guess=guesses.Guess(guesses.sine_guess, 4),
    doc="""Sine, ``amplitude * sin(frequency * x + phase) + offset``.

`amplitude` and `offset` have the units of y, `frequency` is the angular one (radians per unit of x, 2 pi
over the period), `phase` is in radians.  The guess searches up to the frequency of which every half
period has a point.""",
)
