"""The digamma function, the derivative of the logarithm of the gamma function."""

import math

from numba.extending import register_jitable

LARGE = 10.0  # from here on the asymptotic series has all digits


@register_jitable(error_model="numpy")
def digamma(x):
    """Digamma function.

    NIST Digital Library of Mathematical Functions, equations 5.5.2 (recurrence), 5.5.4 (reflection) and
    5.11.2 (asymptotic series).
    """
    if x <= 0:
        if x == math.floor(x):
            return math.nan
        part = x - math.floor(x)
        return digamma_of_positive(1 - x) - math.pi / math.tan(math.pi * part)
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
