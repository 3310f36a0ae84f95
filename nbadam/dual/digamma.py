"""Digamma and trigamma: the derivatives of the logarithm of the gamma function.

NIST Digital Library of Mathematical Functions, equations 5.5.2 and 5.15.5 (recurrence), 5.5.4 and 5.15.6
(reflection), 5.11.2 and 5.15.8 (asymptotic series).
"""

import math

from .._jitable import register_jitable

LARGE = 10.0  # smallest argument at which the asymptotic series has all digits


@register_jitable(error_model="numpy")
def digamma(x):
    """Digamma function."""
    if x <= 0:
        if x == math.floor(x):
            return math.nan
        return digamma_of_positive(1 - x) - math.pi / math.tan(math.pi * from_integer(x))
    return digamma_of_positive(x)


@register_jitable(error_model="numpy")
def digamma_of_positive(x):
    """Digamma function of a positive number."""
    result = 0.0
    while x < LARGE:
        result -= 1 / x
        x += 1
    z = 1 / (x * x)
    series = 1 / 240 - z * (1 / 132 - z * (691 / 32760 - z * (1 / 12)))
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * series)))
    return result + math.log(x) - 0.5 / x - series


@register_jitable(error_model="numpy")
def trigamma(x):
    """Trigamma function, the derivative of the digamma function."""
    if x <= 0:
        if x == math.floor(x):
            return math.inf
        sine = math.sin(math.pi * from_integer(x))
        return math.pi * math.pi / (sine * sine) - trigamma_of_positive(1 - x)
    return trigamma_of_positive(x)


@register_jitable(error_model="numpy")
def trigamma_of_positive(x):
    """Trigamma function of a positive number."""
    result = 0.0
    while x < LARGE:
        result += 1 / (x * x)
        x += 1
    z = 1 / (x * x)
    series = 1 / 30 - z * (5 / 66 - z * (691 / 2730 - z * (7 / 6)))
    series = 1 / 6 - z * (1 / 30 - z * (1 / 42 - z * series))
    return result + 1 / x + z / 2 + z / x * series


@register_jitable(error_model="numpy")
def from_integer(x):
    """Return the distance from the nearest integer, with its sign: exact on either side of a pole."""
    return x - math.floor(x + 0.5)
