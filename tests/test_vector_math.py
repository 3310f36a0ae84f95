"""Accuracy of the vectorisable functions over the whole range, against NumPy's extended precision."""

import math
import warnings
from fractions import Fraction
from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from nbadam import vector_math
from nbadam.vector_math.angles import BITS, TABLE
from nbadam.vector_math.intrinsics import fma

PRECISE = np.finfo(np.longdouble).eps < 1e-18
FUNCTIONS = vector_math.__all__
DTYPES = [np.float32, np.float64]
ULP = 2  # what the module promises
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
    if name in ("sin", "cos"):  # of large angles, a C library may know less
        large = np.isfinite(x) & (abs(x) > 1e6)
        exact[large] = exact_of_angles(name, x[large])
    return exact


def errors(y, exact):
    """Distance in ulp; infinite where one of the two is not finite and the other is not the same."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        off = np.abs(y.astype(np.longdouble) - exact) / np.spacing(np.abs(rounded))
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    return np.where(np.isfinite(y) & np.isfinite(rounded), off, np.where(same, 0, np.inf)).astype(float)


@pytest.mark.long
@pytest.mark.skipif(not PRECISE, reason="needs a long double that is longer than double")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_2_ulp_everywhere(name, dtype):
    x = every_kind(dtype, N // 4 if name in ("sin", "cos") else N)  # their references take longer
    y = applied(name, x)
    off = errors(y, reference(name, x))
    assert off.max() <= ULP, f"{name}({x[off.argmax()]!r})"
    zero = y == 0
    expected = np.signbit(x[zero]) if name in ("sin", "tanh") else np.zeros(zero.sum(), bool)
    np.testing.assert_array_equal(np.signbit(y[zero]), expected)


DIGITS = 1400  # binary ones of pi / 2 after the point: 300 are left of the largest angle


@cache
def half_pi():
    """Return pi / 2 times 2**DIGITS, by a formula of Gauss."""
    guard = DIGITS + 20

    def arctan_of_inverse(k):
        term, total, n = (1 << guard) // k, 0, 1
        while term:
            total += term // n if n % 4 == 1 else -(term // n)
            term //= k * k
            n += 2
        return total

    quarter = 12 * arctan_of_inverse(18) + 8 * arctan_of_inverse(57) - 5 * arctan_of_inverse(239)
    return 2 * quarter >> 20


def exact_of_angles(name, x):
    """Sine or cosine to extended precision: the angle is reduced in integers."""
    turns, rests = [], []
    for value in x.astype(float).tolist():
        numerator, denominator = value.as_integer_ratio()
        turn, rest = divmod((numerator << DIGITS) // denominator + half_pi() // 2, half_pi())
        rest -= half_pi() // 2
        high = rest / (1 << DIGITS)
        low = float(Fraction(rest, 1 << DIGITS) - Fraction(high))
        turns.append((turn + (name == "cos")) % 4)
        rests.append(np.longdouble(high) + np.longdouble(low))
    rest = np.array(rests, np.longdouble)
    sine, cosine = np.sin(rest), np.cos(rest)
    return np.choose(turns, [sine, cosine, -sine, -cosine])


def nearest_to_quarter_turns(dtype):
    """Of numbers up to 2**e the nearest to a multiple of pi / 2, for each e: from continued fractions."""
    info = np.finfo(dtype)
    angles = []
    for exponent in range(info.maxexp - info.nmant):
        a, b = half_pi(), 1 << DIGITS + exponent  # pi / 2 in units of 2**exponent
        last, this = 1, 0  # denominators of the convergents to units in a quarter turn: multiples of the unit
        while last + (b // a) * this < 2 ** (info.nmant + 1):
            quotient, (a, b) = b // a, (b % a, a)
            last, this = this, last + quotient * this
        angles.append(math.ldexp(this, exponent))
    return np.array(angles, dtype)


@pytest.mark.lowest
@pytest.mark.long
@pytest.mark.skipif(not PRECISE, reason="needs a long double that is longer than double")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_next_to_multiples_of_a_quarter_turn(name, dtype):
    # What is left of these is down to 1e-19 turns: its digits come from those of pi that double lacks.
    rng = np.random.default_rng(2)
    largest = np.finfo(dtype).maxexp - 2
    turns = [*range(1, 1000), *(int(2**e * (1 + rng.random())) for e in rng.uniform(0, largest, N // 20))]
    rounded = [float(Fraction(turn * half_pi(), 1 << DIGITS)) for turn in turns]
    known = [6381956970095103 * 2.0**797] if dtype is np.float64 else [16367173 * 2.0**72]
    nearest = nearest_to_quarter_turns(dtype)
    assert known[0] in nearest
    x = np.concatenate([np.array([*rounded, 1e22], dtype), nearest])
    x = np.concatenate([x, -x])
    off = errors(applied(name, x), exact_of_angles(name, x))
    assert off.max() <= ULP, f"{name}({x[off.argmax()]!r})"


def test_windows_of_the_table_add_up():
    turn = 4 * half_pi()
    for k in range(1024 + 1):
        parts = [Fraction(TABLE[k + BITS * j]) / 2 ** (BITS * j) for j in range(4)]
        assert max(abs(TABLE[k + BITS * j]) for j in range(4)) <= 0.5
        off = sum(parts) - Fraction(1 << (DIGITS + k), turn << BITS)
        off -= round(off)
        assert abs(off) <= Fraction(1, 2 ** (4 * BITS + 1)) + Fraction(1, 2**330)


def test_fma_is_rounded_once():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 100))
    c = -a * b * rng.choice([1, 1 + 1e-9], 100)

    @njit
    def compiled(a, b, c, out):
        for i in range(a.size):
            out[i] = fma(a[i], b[i], c[i])

    out = np.empty_like(a)
    compiled(a, b, c, out)
    assert (out != 0).all()
    for x, y, z, result in zip(a, b, c, out, strict=True):
        assert result == fma(x, y, z) == float(Fraction(x) * Fraction(y) + Fraction(z))


@pytest.mark.lowest
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


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_bits_in_every_loop(name, dtype):
    x = every_kind(dtype, n=40)
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_complex_numbers_and_arrays_are_numpys(name):
    function, expected = getattr(vector_math, name), getattr(np, name)

    @njit
    def compiled(z, x):
        return function(z), function(x)

    z, x = 0.3 + 0.2j, np.array([0.5, 2.0])
    for results in (compiled(z, x), (function(z), function(x))):
        assert results[0] == pytest.approx(expected(z), rel=1e-15)
        np.testing.assert_allclose(results[1], expected(x), rtol=1e-15)
