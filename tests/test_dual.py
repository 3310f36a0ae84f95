"""Derivatives of functions as Numba compiles them, by dual numbers, against differences in high precision."""

import math

import numba
import numpy as np
import pytest
from numba import njit
from numba.extending import register_jitable

from nbadam import dual

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="plain Python has no dual numbers: differences take their place"
)
mpmath = pytest.importorskip("mpmath")
mpmath.mp.dps = 40


def compiled(function, n):
    """Compile ``x, p -> value, derivatives`` of ``function(x, *p)``."""
    parameters = ", ".join(f"seeded(p[{i}], {i})" for i in range(n))
    derivatives = ", ".join(f"derivative_of(y, {i})" for i in range(n))
    scope = {name: getattr(dual, name) for name in dual.__all__}
    scope["function"] = register_jitable(error_model="numpy")(function)
    text = f"def both(x, p):\n    y = function(x, {parameters})\n    return value_of(y), {derivatives}"
    exec(text, scope)
    return njit(error_model="numpy")(scope["both"])


def gaussian(x, a, m, s, c):
    z = (x - m) / s
    return a * np.exp(-0.5 * z * z) + c


def test_derivatives_and_value_are_those_of_the_function():
    both = compiled(gaussian, 4)
    p = np.array([2.0, 1.0, 0.7, 0.2])
    value, *derivatives = both(1.3, p)
    assert value == pytest.approx(gaussian(1.3, *p), rel=1e-15)
    e = math.exp(-0.5 * (0.3 / 0.7) ** 2)
    slope = 2 * e * 0.3 / 0.7**2
    assert derivatives == pytest.approx([e, slope, slope * 0.3 / 0.7, 1], rel=1e-14)


def test_derivatives_in_a_float32_model_stay_float32():
    both = compiled(gaussian, 4)
    both(np.float32(1), np.ones(4, np.float32))
    assert both.nopython_signatures[0].return_type == numba.types.UniTuple(numba.types.float32, 5)
