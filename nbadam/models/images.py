"""Spots in images: two variables."""

from functools import partial

import numpy as np

from .. import _linalg as linalg
from .._jitable import register_jitable
from ..fitting.model.projection import Shapes, nothing
from ..vector_math import exp
from . import candidates, guesses
from .shipped import ShippedModel

HALF, ONE = np.float32(0.5), np.float32(1.0)  # exact in both precisions
_shared = register_jitable(error_model="numpy", forceinline=True)
_spot = partial(ShippedModel, group="Images", variables=("x", "y"))

PLACE = {
    "x": "column",
    "y": "row",
    "amplitude": "height over the offset, negative for a dip [data]",
    "center_x": "position along x [x]",
    "center_y": "position along y [y]",
}
OFFSET = {"offset": "value far from the spot [data]"}
DOMAIN = ((0, 20), (0, 20))


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


ellipse: guesses.Guess = guesses.Guess(
    guesses.searched(
        lambda x, p: gaussian_2d(x, 1.0, p[0], p[1], p[2], p[3], 0.0),
        candidates.image_candidates,
        variables=2,
    ),
    6,
    variables=2,
)

GAUSSIAN_2D = _spot(
    "GAUSSIAN_2D",
    "amplitude * exp(-(((x - center_x) / sigma_x)**2 + ((y - center_y) / sigma_y)**2) / 2) + offset",
    summary="Elliptic Gaussian spot with axes along x and y.",
    means=PLACE
    | {"sigma_x": "standard deviation along x [x]", "sigma_y": "standard deviation along y [y]"}
    | OFFSET,
    example=(3, 9, 11, 4, 2, 1),
    domain=DOMAIN,
    function=gaussian_2d,
    jacobian=gaussian_2d_jacobian,
    guess=ellipse,
)


def round_guess(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Guess an ellipse, and take the geometric mean of its widths."""
    amplitude, center_x, center_y, sigma_x, sigma_y, offset = ellipse(x, y)
    return np.array([amplitude, center_x, center_y, np.sqrt(sigma_x * sigma_y), offset])


GAUSSIAN_2D_ROUND = _spot(
    "GAUSSIAN_2D_ROUND",
    "amplitude * exp(-((x - center_x)**2 + (y - center_y)**2) / (2 * sigma**2)) + offset",
    summary="Round Gaussian spot.",
    means=PLACE | {"sigma": "standard deviation in all directions [x]"} | OFFSET,
    example=(3, 9, 11, 3, 1),
    domain=DOMAIN,
    guess=round_guess,
)


def rotated_guess(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Guess an ellipse with axes along x and y, and try widths and angles around its center."""
    amplitude, center_x, center_y, sigma_x, sigma_y, offset = ellipse(x, y)
    found = np.array([amplitude, center_x, center_y, sigma_x, sigma_y, 0.0, offset])
    size = np.sqrt(sigma_x * sigma_y)
    u, v = x[0] - center_x, x[1] - center_y
    least = np.inf
    for theta in np.arange(-4, 4) * np.pi / 8:
        along, across = np.cos(theta) * u + np.sin(theta) * v, np.cos(theta) * v - np.sin(theta) * u
        for factor in (0.6, 0.85, 1.2):
            for ratio in (1.2, 1.7, 2.5, 4.0):
                a, b = factor * size * np.sqrt(ratio), factor * size / np.sqrt(ratio)
                shape = np.exp(-((along / a) ** 2 + (across / b) ** 2) / 2)
                design = np.stack([shape, np.ones_like(shape)], axis=1)
                (height, rest), squares, *_ = linalg.lstsq(design, y, rcond=None)
                if squares.size and squares[0] < least:
                    least = squares[0]
                    found[:] = height, center_x, center_y, a, b, theta, rest
    return found


GAUSSIAN_2D_ROTATED = _spot(
    "GAUSSIAN_2D_ROTATED",
    """amplitude * exp(-((cos(theta) * (x - center_x) + sin(theta) * (y - center_y))**2 / sigma_1**2
    + (cos(theta) * (y - center_y) - sin(theta) * (x - center_x))**2 / sigma_2**2) / 2) + offset""",
    summary="Elliptic Gaussian spot with axes in any direction.",
    means=PLACE
    | {
        "sigma_1": "standard deviation along the first axis [x]",
        "sigma_2": "standard deviation across it [x]",
        "theta": "angle from x to the first axis [rad]",
    }
    | OFFSET,
    example=(3, 9, 11, 5, 2, 0.6, 1),
    domain=DOMAIN,
    guess=rotated_guess,
    notes="x and y must have the same unit.  The guess has the longer axis first.",
)

PLANE = _spot(
    "PLANE",
    "slope_x * x + slope_y * y + intercept",
    summary="Plane, the background of spots.",
    means={
        "x": "column",
        "y": "row",
        "slope_x": "slope along x [data / x]",
        "slope_y": "slope along y [data / y]",
        "intercept": "value at x = y = 0 [data]",
    },
    example=(0.1, 0.05, 1),
    domain=DOMAIN,
    shapes=Shapes(nothing, ("slope_x", "slope_y", "intercept")),
)
