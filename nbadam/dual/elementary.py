"""Derivatives of the functions of `math` and NumPy, as rules ``f, x -> value, derivative``."""

import math

import numpy as np

from .. import vector_math
from .digamma import digamma
from .registry import register_rule
from .trace import absolute, call, cos, either, exp, finite, pole, sin, square_root, where

LN_2, LN_10 = math.log(2), math.log(10)
TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
DEGREE = math.pi / 180


def hypotenuse(x, y):
    """Root of the sum of two squares, without overflow."""
    return call(math.hypot, x, y)


# --- Exponentials, logarithms, roots --------------------------------------------------------------


def exponential(f, x):
    y = f(x)
    return y, finite(y)


def exponential_less_1(f, x):
    return f(x), finite(exp(x))


def exponential_of_2(f, x):
    y = f(x)
    return y, LN_2 * finite(y)


def root(f, x):
    y = f(x)
    return y, 0.5 / y


def cube_root(f, x):
    y = f(x)
    return y, 1.0 / (3.0 * y * y)


def log_sum(f, x, y):
    z = f(x, y)
    return z, lambda: exp(x - z), lambda: exp(y - z)


def log_sum_2(f, x, y):
    z = f(x, y)
    return z, lambda: exp(LN_2 * (x - z)), lambda: exp(LN_2 * (y - z))


register_rule(exponential, math.exp, np.exp, vector_math.exp, has_limits=True, may_overflow=True)
register_rule(exponential_less_1, math.expm1, np.expm1, has_limits=True, may_overflow=True)
register_rule(exponential_of_2, math.exp2, np.exp2, has_limits=True, may_overflow=True)
register_rule(lambda f, x: (f(x), pole(1.0 / x)), math.log, np.log, vector_math.log)
register_rule(lambda f, x: (f(x), pole(1.0 / (LN_2 * x))), math.log2, np.log2)
register_rule(lambda f, x: (f(x), pole(1.0 / (LN_10 * x))), math.log10, np.log10)
register_rule(lambda f, x: (f(x), pole(1.0 / (1.0 + x))), math.log1p, np.log1p)
register_rule(log_sum, np.logaddexp, arity=2, has_limits=True)
register_rule(log_sum_2, np.logaddexp2, arity=2, has_limits=True)
register_rule(root, math.sqrt, np.sqrt, is_singular=True)
register_rule(cube_root, np.cbrt, is_singular=True)
register_rule(lambda f, x: (x * x, 2.0 * x), np.square)
register_rule(lambda f, x: (y := 1.0 / x, pole(-y * y)), np.reciprocal, has_limits=True, may_overflow=True)

# --- Circles and hyperbolas -----------------------------------------------------------------------


def tangent(f, x):
    y = f(x)
    return y, 1.0 + y * y


def hyperbolic_tangent(f, x):
    e = exp(-2.0 * absolute(x))
    return f(x), 4.0 * e / ((1.0 + e) * (1.0 + e))  # 1 - tanh(x)**2 has lost its digits at x = 10


def arc_sine_slope(x):
    """Return the derivative of the arc sine."""
    return 1.0 / square_root((1.0 - x) * (1.0 + x))


def angle(f, y, x):
    """Angle of a vector: the derivative is that of the unit circle, divided by the length."""
    length = hypotenuse(x, y)

    def slope(part):
        return lambda: where((length == 0) | (length == math.inf), 0.0, part / length / length)

    return f(y, x), slope(x), slope(-y)


def length(f, x, y):
    z = f(x, y)
    return z, lambda: where(z == 0, 0.0, x / z), lambda: where(z == 0, 0.0, y / z)


register_rule(lambda f, x: (f(x), cos(x)), math.sin, np.sin, vector_math.sin)
register_rule(lambda f, x: (f(x), -sin(x)), math.cos, np.cos, vector_math.cos)
register_rule(tangent, math.tan, np.tan)
register_rule(lambda f, x: (f(x), arc_sine_slope(x)), math.asin, np.arcsin, is_singular=True)
register_rule(lambda f, x: (f(x), -arc_sine_slope(x)), math.acos, np.arccos, is_singular=True)
register_rule(lambda f, x: (f(x), 1.0 / (1.0 + x * x)), math.atan, np.arctan, has_limits=True)
register_rule(angle, math.atan2, np.arctan2, arity=2, has_limits=True)
register_rule(length, math.hypot, np.hypot, arity=2)
register_rule(lambda f, x: (f(x), finite(call(math.cosh, x))), math.sinh, np.sinh, may_overflow=True)
register_rule(lambda f, x: (f(x), call(math.sinh, x)), math.cosh, np.cosh, may_overflow=True)
register_rule(hyperbolic_tangent, math.tanh, np.tanh, vector_math.tanh, has_limits=True)
register_rule(lambda f, x: (f(x), 1.0 / hypotenuse(x, 1.0)), math.asinh, np.arcsinh)
register_rule(
    lambda f, x: (f(x), 1.0 / (square_root(x - 1.0) * square_root(x + 1.0))),
    math.acosh,
    np.arccosh,
    is_singular=True,
)
register_rule(lambda f, x: (f(x), 1.0 / ((1.0 - x) * (1.0 + x))), math.atanh, np.arctanh)
register_rule(lambda f, x: (DEGREE * x, DEGREE), math.radians, np.radians, np.deg2rad)
register_rule(lambda f, x: (x / DEGREE, 1 / DEGREE), math.degrees, np.degrees, np.rad2deg)

# --- Signs, error functions, gamma functions ------------------------------------------------------


def sign(x):
    """Return the sign, 0 for 0."""
    return where(x > 0, 1.0, where(x < 0, -1.0, 0.0 * x))


def sign_copied(f, x, y):
    return f(x, y), lambda: sign(x) * f(1.0, y), None


def bell(x):
    """Return the derivative of the error function."""
    return TWO_OVER_ROOT_PI * exp(-x * x)


def cardinal_sine(f, x):
    u = math.pi * x
    z = u * u
    series = -(1 / 3) + z * (1 / 30 - z * (1 / 840 - z * (1 / 45360 - z * (1 / 3991680))))
    slope = either(absolute(u) < 0.5, lambda: series * u, lambda: (cos(u) - sin(u) / u) / u)
    return f(x), math.pi * slope


def gamma(f, x):
    y = f(x)
    return y, y * call(digamma, x)


register_rule(lambda f, x: (f(x), sign(x)), abs, math.fabs, np.fabs, np.absolute)
register_rule(sign_copied, math.copysign, np.copysign, arity=2)
register_rule(lambda f, x: (f(x), bell(x)), math.erf, has_limits=True)
register_rule(lambda f, x: (f(x), -bell(x)), math.erfc, has_limits=True)
register_rule(cardinal_sine, np.sinc)
register_rule(gamma, math.gamma, may_overflow=True)
register_rule(lambda f, x: (f(x), call(digamma, x)), math.lgamma)
