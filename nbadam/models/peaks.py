"""Peaks: lines of spectra, spots of images."""

from collections.abc import Callable
from functools import partial
from math import pi, sqrt
from typing import Any

import numpy as np

from .._jitable import register_jitable
from ..fitting.model.projection import Shapes
from ..vector_math import exp
from ..vector_math.faddeeva import profile, profile_slopes
from . import candidates, grids, guesses
from .shipped import ShippedModel

# Exact in both precisions; as float32 they leave the precision of the others alone, which literals do not.
HALF, ONE, TWO = map(np.float32, (0.5, 1.0, 2.0))
_shared = register_jitable(error_model="numpy", forceinline=True)
_peak = partial(ShippedModel, group="Peaks")

HEIGHT = "height over the offset, negative for a dip [y]"
CENTER, OFFSET = "position [x]", "value far from the peak [y]"
X = "independent variable"


@_shared
def gaussian(x, amplitude, center, sigma, offset):
    z = (x - center) * (ONE / sigma)
    return amplitude * exp(-HALF * z * z) + offset


@_shared
def gaussian_jacobian(x, amplitude, center, sigma, offset):
    unit = ONE / sigma
    z = (x - center) * unit
    e = exp(-HALF * z * z)
    slope = amplitude * e * z * unit
    return e, slope, slope * z, ONE


GAUSSIAN = _peak(
    "GAUSSIAN",
    "amplitude * exp(-((x - center) / sigma)**2 / 2) + offset",
    summary="Gaussian peak.",
    means={
        "x": X,
        "amplitude": HEIGHT,
        "center": CENTER,
        "sigma": "standard deviation, full width at half maximum / 2.3548 [x]",
        "offset": OFFSET,
    },
    example=(3, 4, 0.8, 1),
    domain=(0, 10),
    function=gaussian,
    jacobian=gaussian_jacobian,
    guess=guesses.Guess(
        guesses.searched(lambda x, p: gaussian(x, 1.0, p[0], p[1], 0.0), candidates.peak_candidates), 4
    ),
    shapes=Shapes(grids.peaks, ("amplitude", "offset")),
)


@_shared
def lorentzian(x, amplitude, center, gamma, offset):
    z = (x - center) * (ONE / gamma)
    return amplitude / (ONE + z * z) + offset


@_shared
def lorentzian_jacobian(x, amplitude, center, gamma, offset):
    unit = ONE / gamma
    z = (x - center) * unit
    e = ONE / (ONE + z * z)
    slope = TWO * amplitude * e * e * z * unit
    return e, slope, slope * z, ONE


LORENTZIAN = _peak(
    "LORENTZIAN",
    "amplitude / (1 + ((x - center) / gamma)**2) + offset",
    summary="Lorentzian (Cauchy, Breit-Wigner) peak.",
    means={
        "x": X,
        "amplitude": HEIGHT,
        "center": CENTER,
        "gamma": "half width at half maximum [x]",
        "offset": OFFSET,
    },
    example=(3, 4, 0.8, 1),
    domain=(0, 10),
    function=lorentzian,
    jacobian=lorentzian_jacobian,
    guess=guesses.Guess(
        guesses.searched(lambda x, p: lorentzian(x, 1.0, p[0], p[1], 0.0), candidates.peak_candidates), 4
    ),
    shapes=Shapes(grids.half_widths, ("amplitude", "offset")),
)

ROOT_2_PI = sqrt(2 * pi)


@_shared
def voigt(x, area, center, sigma, gamma, offset):
    return area * profile(x - center, abs(sigma), abs(gamma)) + offset


@_shared
def voigt_jacobian(x, area, center, sigma, gamma, offset):
    value, by_x, by_sigma, by_gamma = profile_slopes(x - center, abs(sigma), abs(gamma))
    return (
        value,
        -area * by_x,
        area * by_sigma if sigma >= 0 else -area * by_sigma,
        area * by_gamma if gamma >= 0 else -area * by_gamma,
        ONE,
    )


def voigt_guess(x, y, memory):
    """Guess a Gaussian, and give both parts the width that makes their profile as wide."""
    height, center, width, offset = gaussian_search(x, y, memory)
    sigma = 0.654 * width  # with gamma = sigma, the profile is 3.6 sigma wide
    return np.array([height * width * ROOT_2_PI * 1.2, center, sigma, sigma, offset])


gaussian_search: Callable[..., Any] = guesses.searched(
    lambda x, p: gaussian(x, 1.0, p[0], p[1], 0.0), candidates.peak_candidates
)

VOIGT = _peak(
    "VOIGT",
    "area * voigt_profile(x - center, abs(sigma), abs(gamma)) + offset",
    summary="Voigt's profile, a Gaussian convolved with a Lorentzian.",
    means={
        "x": X,
        "area": "area over the offset [x y]",
        "center": CENTER,
        "sigma": "standard deviation of the Gaussian [x]",
        "gamma": "half width at half maximum of the Lorentzian [x]",
        "offset": OFFSET,
    },
    example=(6, 4, 0.5, 0.5, 1),
    domain=(0, 10),
    function=voigt,
    jacobian=voigt_jacobian,
    guess=guesses.Guess(voigt_guess, 5),
    shapes=Shapes(grids.two_widths, ("area", "offset")),
    notes="""The profile has the area 1 and is Re w(z) / (sigma sqrt(2 pi)) with z = (x - center + i gamma) /
(sigma sqrt(2)).  The Faddeeva function w is within 1e-14 of SciPy's, relative to w(0), and always computed in
double precision.""",
)

LINEAR = {"slope": "slope of the background [y / x]", "intercept": "value of the background at x = 0 [y]"}

GAUSSIAN_LINEAR = _peak(
    "GAUSSIAN_LINEAR",
    "amplitude * exp(-((x - center) / sigma)**2 / 2) + slope * x + intercept",
    summary="Gaussian peak on a linear background, `GAUSSIAN + LINE`.",
    means={
        "x": X,
        "amplitude": "height over the background, negative for a dip [y]",
        "center": CENTER,
        "sigma": "standard deviation, full width at half maximum / 2.3548 [x]",
    }
    | LINEAR,
    example=(3, 4, 0.8, 0.2, 1),
    domain=(0, 10),
    shapes=Shapes(grids.peaks, ("amplitude", "slope", "intercept")),
)

LORENTZIAN_LINEAR = _peak(
    "LORENTZIAN_LINEAR",
    "amplitude / (1 + ((x - center) / gamma)**2) + slope * x + intercept",
    summary="Lorentzian peak on a linear background, `LORENTZIAN + LINE`.",
    means={
        "x": X,
        "amplitude": "height over the background, negative for a dip [y]",
        "center": CENTER,
        "gamma": "half width at half maximum [x]",
    }
    | LINEAR,
    example=(3, 4, 0.8, 0.2, 1),
    domain=(0, 10),
    shapes=Shapes(grids.half_widths, ("amplitude", "slope", "intercept")),
)

PSEUDO_VOIGT = _peak(
    "PSEUDO_VOIGT",
    """amplitude * (eta / (1 + 4 * ((x - center) / fwhm)**2)
    + (1 - eta) * exp(-2.772588722239781 * ((x - center) / fwhm)**2)) + offset""",
    summary="Pseudo-Voigt peak, the mean of a Lorentzian and a Gaussian of equal width.",
    means={
        "x": X,
        "amplitude": HEIGHT,
        "center": CENTER,
        "fwhm": "full width at half maximum of both [x]",
        "eta": "share of the Lorentzian [0 to 1]",
        "offset": OFFSET,
    },
    example=(3, 4, 1.6, 0.4, 1),
    domain=(0, 10),
    shapes=Shapes(grids.full_widths_and_shares, ("amplitude", "offset")),
    notes="2.7726 is 4 log 2.",
)

DONIACH_SUNJIC = _peak(
    "DONIACH_SUNJIC",
    """amplitude * cos(pi * alpha / 2 + (1 - alpha) * atan((x - center) / gamma))
    / (1 + ((x - center) / gamma)**2)**((1 - alpha) / 2) + offset""",
    summary="Doniach-Sunjic profile, the asymmetric line of metals.",
    means={
        "x": "kinetic energy",
        "amplitude": "height over the offset if alpha is 0 [y]",
        "center": "energy of the state; the maximum is beside it [x]",
        "gamma": "half width at half maximum if alpha is 0 [x]",
        "alpha": "asymmetry [0 to 1]",
        "offset": OFFSET,
    },
    example=(3, 6, 0.5, 0.2, 1),
    domain=(0, 10),
    shapes=Shapes(grids.half_widths_and_asymmetries, ("amplitude", "offset")),
    notes="""The tail is on the side of low x; a negative gamma mirrors the line, for binding energies.
S. Doniach and M. Sunjic, J. Phys. C 3, 1970.""",
)


def _fano_parameters(coefficients, rows):
    """Prefer a positive amplitude: q and -1 / q are the same curve with another sign and offset."""
    (amplitude, offset), (center, width, q) = coefficients, rows
    is_negative = (amplitude < 0) & (offset != 0)  # 0 if the constant of a sum belongs to another term
    return (
        np.where(is_negative, -amplitude * q * q, amplitude),
        center,
        width,
        np.where(is_negative, -1 / q, q),
        np.where(is_negative, offset + amplitude * (1 + q * q), offset),
    )


FANO = _peak(
    "FANO",
    """amplitude * (q + 2 * (x - center) / width)**2 / (1 + (2 * (x - center) / width)**2) + offset""",
    summary="Fano profile of a resonance that interferes with a continuum.",
    means={
        "x": "energy or frequency",
        "amplitude": "height of the continuum that interferes [y]",
        "center": "position of the resonance [x]",
        "width": "full width of the resonance [x]",
        "q": "asymmetry; 0 is a dip, large values are a peak [no unit]",
        "offset": "the other continuum [y]",
    },
    example=(1, 4, 1.2, 1.5, 0.5),
    domain=(0, 10),
    shapes=Shapes(grids.full_widths_and_fano, ("amplitude", "offset"), parameters=_fano_parameters),
    notes="""A negative amplitude with -1 / q in place of q is the same curve.  The height of the maximum is
amplitude (1 + q**2).  U. Fano, Phys. Rev. 124, 1961.""",
)
