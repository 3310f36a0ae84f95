"""The functions that generated kernels call by name."""

from math import acos, asin, atan, atan2, cosh, erf, erfc, sinh, tan

from ..._jitable import register_jitable
from ...vector_math import cos, exp, log, sin, tanh
from ...vector_math.intrinsics import muladd
from .sums import add, add_products, datum

__all__ = [
    "acos", "add", "add_products", "asin", "atan", "atan2", "cos", "cosh", "datum", "erf", "erfc", "exp",
    "log", "log_of_base", "muladd", "sign", "sin", "sinh", "tan", "tanh", "where",
]  # fmt: skip


@register_jitable(error_model="numpy")
def sign(x):
    """Sign of a number, 0 for 0; NaN stays NaN."""
    return x / abs(x) if x != 0 else x


@register_jitable(error_model="numpy")
def log_of_base(x):
    """Logarithm, but 0 for 0: the derivative of ``x**p`` by p is 0 there."""
    return log(x) if x != 0 else x


@register_jitable
def where(condition, value, otherwise):
    """Choose one of two numbers."""
    return value if condition else otherwise
