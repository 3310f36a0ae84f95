"""Accuracy of the vectorisable functions over the whole range, against NumPy's extended precision."""

import math
import warnings
from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from nbadam import vector_math

PRECISE = np.finfo(np.longdouble).eps < 1e-18
FUNCTIONS = vector_math.__all__
DTYPES = [np.float32, np.float64]
# What the module promises; beyond LARGEST_ANGLE sine and cosine are NaN.
ULP = 2
REFERENCES = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos}
PLAIN = {name: getattr(math, name) for name in FUNCTIONS}
N = 400 if numba.config.DISABLE_JIT else 200_000  # of each kind of sample


@cache
def loop(name, fastmath=False):
    function = getattr(vector_math, name)

    @njit(error_model="numpy", fastmath=fastmath)
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return run


def applied(name, x, fastmath=False):
    out = np.empty_like(x)
    loop(name, fastmath)(x, out)
    return out


def every_kind(dtype, n=N):
    """Numbers of every exponent and both signs, and more of those that functions are mostly called with."""
    rng = np.random.default_rng(1)
    integer = np.dtype(f"u{np.dtype(dtype).itemsize}")
    anything = rng.integers(0, np.iinfo(integer).max, n, integer, endpoint=True).view(dtype)
    anything[np.isnan(anything)] = np.nan  # and no signalling one
    usual = [rng.uniform(-size, size, n).astype(dtype) for size in (1e-4, 1, 30, 110, 760, 2e6)]
    around_1 = np.exp(rng.uniform(-1, 1, n)).astype(dtype)
    info = np.finfo(dtype)
    ends = [0, np.inf, info.max, info.tiny, info.smallest_subnormal, info.tiny - info.smallest_subnormal, 1]
    ends = np.array(ends, dtype)
    return np.concatenate([anything, *usual, around_1, ends, -ends, np.array([np.nan], dtype)])


def reference(name, x):
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(np.longdouble))
    if name in ("sin", "cos"):
        exact[~(abs(x) <= vector_math.LARGEST_ANGLE)] = np.nan
    return exact


def errors(y, exact):
    """Distance in ulp; infinite where one of the two is not finite and the other is not the same."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        off = np.abs(y.astype(np.longdouble) - exact) / np.spacing(np.abs(rounded))
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    return np.where(np.isfinite(y) & np.isfinite(rounded), off, np.where(same, 0, np.inf)).astype(float)


@pytest.mark.skipif(not PRECISE, reason="needs a long double that is longer than double")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_2_ulp_everywhere(name, dtype):
    x = every_kind(dtype)
    y = applied(name, x)
    off = errors(y, reference(name, x))
    assert off.max() <= ULP, f"{name}({x[off.argmax()]!r})"
    zero = y == 0
    expected = np.signbit(x[zero]) if name in ("sin", "tanh") else np.zeros(zero.sum(), bool)
    np.testing.assert_array_equal(np.signbit(y[zero]), expected)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_next_to_multiples_of_a_quarter_turn(name):
    # What is left of these is down to 1e-17: its digits come from those of pi that double lacks.
    turns = np.arange(1, 2**20, 1 if N > 1000 else 2000)
    x = turns * (np.pi / 2)
    off = errors(applied(name, x), _near_quarter_turns(name, turns, x))
    assert off.max() <= ULP


def _near_quarter_turns(name, turns, x):
    """Exact to extended precision: sine or cosine of the small rest, from integers."""
    digits = 200
    half_pi = _half_pi(digits)
    rest = np.array(
        [
            float(_scaled(v, digits) - t * half_pi) / 2.0**digits
            for t, v in zip(turns.tolist(), x.tolist(), strict=True)
        ]
    ).astype(np.longdouble)
    sine, cosine = np.sin(rest), np.cos(rest)
    table = [sine, cosine, -sine, -cosine]
    return np.choose((turns + (name == "cos")) % 4, table)


def _scaled(value, digits):
    numerator, denominator = value.as_integer_ratio()
    return (numerator << digits) // denominator


def _half_pi(digits):
    """Return pi / 2 times 2**digits, by Machin's formula."""
    guard = digits + 20

    def arctan_of_inverse(k):
        term, total, n = (1 << guard) // k, 0, 1
        while term:
            total += term // n if n % 4 == 1 else -(term // n)
            term //= k * k
            n += 2
        return total

    return 2 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239)) >> 20


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_plain_python_and_fastmath_callers(name, dtype):
    x = every_kind(dtype, n=20)
    y = applied(name, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = np.array([getattr(vector_math, name)(value) for value in x], dtype)
    if PRECISE:
        assert errors(plain, reference(name, x)).max() <= ULP
    assert type(getattr(vector_math, name)(x[0])) in (dtype, float)
    finite = np.isfinite(x) & np.isfinite(y)  # fastmath may assume that there is nothing else
    np.testing.assert_array_equal(applied(name, x[finite], fastmath=True), y[finite])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_bits_in_every_loop(name):
    x = every_kind(np.float64, n=40)
    y = applied(name, x)
    for start, stop in [(0, 1), (1, 4), (3, 20), (5, x.size)]:
        np.testing.assert_array_equal(applied(name, x[start:stop].copy()), y[start:stop])


@given(st.floats(-700, 700), st.floats(1e-300, 1e300))
def test_identities(x, y):
    exp, log = vector_math.exp, vector_math.log
    assert exp(x) * exp(-x) == pytest.approx(1, rel=1e-15)
    assert exp(log(y)) == pytest.approx(y, rel=2e-13)  # the rounding of the logarithm
    assert vector_math.tanh(-x) == -vector_math.tanh(x)
    assert vector_math.sin(-x) == -vector_math.sin(x)
    assert vector_math.cos(-x) == vector_math.cos(x)
    assert vector_math.sin(x) ** 2 + vector_math.cos(x) ** 2 == pytest.approx(1, rel=1e-15)


def test_other_numbers_are_taken_as_float():
    assert vector_math.exp(1) == vector_math.exp(1.0)
    assert applied("exp", np.array([2])).dtype == np.int64  # the loop's own array

    @njit
    def of_integer(n):
        return vector_math.log(n)

    assert of_integer(3) == pytest.approx(math.log(3), rel=4e-16)
