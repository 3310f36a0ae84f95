"""The Faddeeva function, by which Voigt's profile is computed: arithmetic that LLVM vectorises."""

from math import pi, sqrt

import numpy as np

from .._jitable import register_jitable

TERMS = 40


def _coefficients(terms: int) -> tuple[float, tuple[float, ...]]:
    """Return Weideman's length L and his coefficients a_n, the highest first."""
    m = 2 * terms
    k = np.arange(-m + 1, m)
    length = sqrt(terms / sqrt(2))
    t = length * np.tan(k * pi / (2 * m))
    f = np.concatenate([[0], np.exp(-(t**2)) * (length**2 + t**2)])
    a = np.real(np.fft.fft(np.fft.fftshift(f))) / (2 * m)
    return length, tuple(float(value) for value in a[1 : terms + 1][::-1])


LENGTH, COEFFICIENTS = _coefficients(TERMS)
INVERSE_ROOT_PI, ROOT_2 = 1 / sqrt(pi), sqrt(2)
NARROW = 1e-12  # a Gaussian that is narrower, relative to the rest, changes no digit of Voigt's profile
FAR = 64.0  # smallest square of |z| at which the 14 terms of the asymptotic series have all digits
# 2 n (2 n - 1)!! / 2**n, the highest n first: -i / (sqrt(pi) z) times their sum in z**-2 is d(z w) / dz.
ASYMPTOTIC = tuple(2 * n * float(np.prod(np.arange(1, 2 * n, 2) / 2)) for n in range(14, 0, -1))


@register_jitable(error_model="numpy")
def faddeeva(x, y):
    """Real and imaginary part of ``w(x + i y) = exp(-z**2) erfc(-i z)``, for y >= 0.

    Both are off by less than 1e-14, where w(0) is 1, and by less than 1e-13 of the absolute value of w.
    The relative error of the real part alone grows where that is small: close to the real axis, far
    from 0.  Always in double precision.

    J. A. C. Weideman, "Computation of the complex error function", SIAM J. Numer. Anal. 31, 1994, eq. (38).
    """
    # L - i z = (L + y) - i x, and Z = (L + i z) / (L - i z)
    below = LENGTH + y
    size = 1.0 / (below * below + x * x)
    inverse_re, inverse_im = below * size, x * size
    above = LENGTH - y
    z_re = above * inverse_re - x * inverse_im
    z_im = above * inverse_im + x * inverse_re
    re, im = COEFFICIENTS[0], 0.0
    for n in range(1, TERMS):
        re, im = re * z_re - im * z_im + COEFFICIENTS[n], re * z_im + im * z_re
    # 2 p / (L - i z)**2 + 1 / (sqrt(pi) (L - i z))
    re, im = 2.0 * (re * inverse_re - im * inverse_im), 2.0 * (re * inverse_im + im * inverse_re)
    re += INVERSE_ROOT_PI
    return re * inverse_re - im * inverse_im, re * inverse_im + im * inverse_re


@register_jitable(error_model="numpy")
def faddeeva_slopes(x, y):
    """Real and imaginary part of w, the derivatives of the real part by x and y, and its response to both.

    The last is the real part of ``d(z w) / dz = w + z w'``.  Near 0, derivatives follow from
    ``w' = -2 z w + 2 i / sqrt(pi)``.  Far from 0 the terms of both cancel, ``z**2`` and ``z**4`` times
    as large as the result: there the asymptotic series of ``d(z w) / dz`` is summed (7.12.1 of the NIST
    Digital Library of Mathematical Functions), and w' follows from it.
    """
    re, im = faddeeva(x, y)
    by_x, by_y = -2.0 * (x * re - y * im), 2.0 * (x * im + y * re) - 2.0 * INVERSE_ROOT_PI
    response = re + x * by_x + y * by_y
    square = x * x + y * y
    inverse_re, inverse_im = x / square, -y / square
    t_re = (inverse_re - inverse_im) * (inverse_re + inverse_im)
    t_im = 2.0 * inverse_re * inverse_im
    p_re, p_im = 0.0, 0.0
    for n in range(len(ASYMPTOTIC)):
        p_re += ASYMPTOTIC[n]
        p_re, p_im = p_re * t_re - p_im * t_im, p_re * t_im + p_im * t_re
    q_re = INVERSE_ROOT_PI * (p_re * inverse_im + p_im * inverse_re)
    q_im = INVERSE_ROOT_PI * (p_im * inverse_im - p_re * inverse_re)
    if square >= FAR:
        by_x = (q_re - re) * inverse_re - (q_im - im) * inverse_im
        by_y = (im - q_im) * inverse_re + (re - q_re) * inverse_im
        response = q_re
    return re, by_x, by_y, response


@register_jitable(error_model="numpy")
def profile(x, sigma, gamma):
    """Voigt's profile, ``Re w(z) / (sigma sqrt(2 pi))`` with ``z = (x + i gamma) / (sigma sqrt(2))``."""
    width = broadened(x, sigma * ROOT_2, gamma)
    re, _ = faddeeva(x / width, gamma / width)
    return re * INVERSE_ROOT_PI / width


@register_jitable(error_model="numpy")
def profile_slopes(x, sigma, gamma):
    """Voigt's profile and its derivatives by x, sigma and gamma."""
    given = sigma * ROOT_2
    width = broadened(x, given, gamma)
    re, by_u, by_v, response = faddeeva_slopes(x / width, gamma / width)
    unit = INVERSE_ROOT_PI / width
    by_sigma = -ROOT_2 * unit * response / width * (given / width)  # in proportion to sigma near 0
    return unit * re, unit * by_u / width, by_sigma, unit * by_v / width


@register_jitable(error_model="numpy")
def broadened(x, width, gamma):
    """Return a width that is not 0, where Voigt's profile is Lorentz's."""
    least = NARROW * (abs(x) + abs(gamma))
    return least if 0 <= width < least else width
