"""Programs with loops, branches, helpers and tuples, random expressions, edges of functions, and fits."""

import ctypes
import math
import random

import numba
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from numba import njit
from numba.extending import get_cython_function_address
from test_dual import compiled, needs_dual_numbers, table

import nbadam
from nbadam.fitting.model.differences import differences

pytestmark = needs_dual_numbers

COEFFICIENTS = np.array([0.5, 0.25, 2.0])


@njit
def helper(u, v=2.0):
    if u > v:
        return u * v
    return 0


def program(x, a, b, c):
    s = 0  # an integer that becomes a number with derivatives
    for i in range(3):
        s += a * x**i / (i + 1)
    while abs(s) < 10:
        s = s + a if s < 5 else s + b * b
    for k in (a, 1.0, b * c):
        s = s * 0.5 + k
    t = (a, b, c)
    for i in range(3):
        s += t[i] * COEFFICIENTS[i]
    p, q = (a * b, c) if x > 0 else (c, a)
    for i, k in enumerate([a, b, 1.0]):
        s -= i * k
    for k, other in zip((a, b), (c, c * c)):  # noqa: B905
        s += other * k
    if not s:
        return 0
    s += helper(a * x) + helper(b * x, v=c) + helper(5) + sum((a, 1.0, b * c)) + min((a, b, c)) + max(a, 0, b)
    return (
        s * (x > 0.5) + p - q + float(a) + int(a) + a // b + np.where(x > 1, a, b * c) + np.clip(b, 0.2, None)
    )


def central(function, x, p):
    """Differences, right to nine digits where the function is smooth on the scale of 1."""
    h = 1e-3
    p = np.array(p)
    steps = h * np.eye(p.size)
    return [
        (
            function(x, *p - 2 * e)
            - 8 * function(x, *p - e)
            + 8 * function(x, *p + e)
            - function(x, *p + 2 * e)
        )
        / (12 * h)
        for e in steps
    ]


def test_loops_branches_helpers_tuples():
    both = compiled(program, 3)
    for p in [(2.3, 1.1, 0.7), (0.9, 2.4, 1.6)]:
        for x in (1.3, 0.4):
            value, *derivatives = both(x, np.array(p))
            assert value == pytest.approx(program(x, *p), rel=1e-14)
            assert derivatives == pytest.approx(central(program, x, p), rel=1e-8, abs=1e-8)


# --- Random expressions -----------------------------------------------------------------------------


def expression(rng, depth):
    """Text of a random expression in p0, p1, p2, smooth where they are about 1."""
    if depth == 0:
        return rng.choice(["p0", "p1", "p2", f"{rng.uniform(0.5, 2):.3f}"])
    u, v = expression(rng, depth - 1), expression(rng, rng.randrange(depth))
    forms = [
        f"({u} + {v})", f"({u} - {v})", f"({u} * {v})", f"({u} / (1.5 + ({v})**2))", f"sin({u})", f"cos({u})",
        f"exp(-({u})**2)", f"log(1 + ({u})**2)", f"sqrt(1 + ({u})**2)", f"tanh({u})", f"({u})**3",
        f"(-({u}))",
        f"(1 + ({u})**2)**(0.3 * tanh({v}))", f"(2 + sin({u}))**-1.5", f"atan2({u}, 2 + sin({v}))",
        f"hypot({u}, 1 + ({v})**2)", f"({u} if {v} > 0.6180339 else 2 * {v})", f"erf({u})", f"atan({u})",
        f"abs({u})", f"max({u}, {v})", f"min({v}, {u})", f"sinh(tanh({u}))",
        f"(3 + sin({u})) % (9 + cos({v}))",
    ]  # fmt: skip
    return rng.choice(forms)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_expressions(seed):
    mpmath = pytest.importorskip("mpmath")
    rng = random.Random(seed)
    calls = [expression(rng, rng.randint(2, 4)) for _ in range(40)]
    names = "sin cos exp log sqrt tanh atan2 hypot erf atan sinh".split()
    scope = {name: getattr(math, name) for name in names}
    results = table(calls, scope)
    exact = {name: getattr(mpmath, name) for name in names} | {"abs": abs, "max": max, "min": min}
    for _ in range(10):
        p = [rng.uniform(0.5, 1.5) for _ in range(3)]
        with mpmath.workdps(40):
            point = {f"p{i}": mpmath.mpf(number) for i, number in enumerate(p)}
            for call, (value, *derivatives) in zip(calls, results(p), strict=True):
                expected = mpmath.mpf(eval(call, exact | point))
                assert value == pytest.approx(float(expected), rel=1e-12, abs=1e-13), call
                for i, derivative in enumerate(derivatives):
                    moved = {f"p{i}": point[f"p{i}"] + mpmath.mpf(10) ** -20}
                    slope = float((eval(call, exact | point | moved) - expected) * mpmath.mpf(10) ** 20)
                    assert derivative == pytest.approx(slope, rel=1e-10, abs=1e-12), (call, p, i)


# --- Edges ------------------------------------------------------------------------------------------

INF = math.inf
EDGES = [  # expression at p0 = p1 = 0, value, derivatives by p0 and p1; None where there is none
    ("p0**2", 0, 0, 0), ("p0**1", 0, 1, 0), ("p0**0", 1, 0, 0), ("p0**0.5", 0, INF, 0), ("p0**1.5", 0, 0, 0),
    ("p0**2.7", 0, 0, 0), ("p0**0.3", 0, INF, 0), ("p0**(p1 + 2)", 0, 0, 0), ("p0**(p1 + 1)", 0, 1, 0),
    ("p0**p1", 1, 0, 0), ("0.0**(p1 + 1.5)", 0, 0, 0), ("(p0 - 2)**2", 4, -4, 0), ("(p0 - 2)**3", -8, 12, 0),
    ("(p0 - 2)**-1", -0.5, -0.25, 0), ("(p0 - 2)**3.0", -8, 12, 0), ("(p0 - 2)**(2 + 0 * p1)", 4, -4, 0),
    ("(p0 + 2)**(p1 + 3)", 8, 12, 8 * math.log(2)), ("2**p1", 1, 0, math.log(2)), ("1.0**p1", 1, 0, 0),
    ("math.pow(p0 + 3, 2)", 9, 6, 0), ("(p0 + 1e-200)**2", 0, 2e-200, 0),
    ("np.power(p0 + 2, 0.5)", 2**0.5, 0.5**1.5, 0),
    ("np.sqrt(p0)", 0, INF, 0), ("np.sqrt(p0 * 0.0)", 0, 0, 0), ("np.sqrt(p0**2)", 0, 0, 0),
    ("abs(p0)", 0, 0, 0),
    ("np.cbrt(p0)", 0, INF, 0), ("np.hypot(p0, p1)", 0, 0, 0), ("np.arctan2(p0, p1)", 0, 0, 0),
    ("np.sinc(p0)", 1, 0, 0), ("math.asin(1 + p0 * 0)", math.pi / 2, 0, 0),
    ("np.maximum(p0, p1)", 0, 0.5, 0.5),
    ("max(p0, 0)", 0, 0.5, 0), ("p0 % 3", 0, 1, 0), ("special.j1(p0)", 0, 0.5, 0),
    ("special.i1(p0)", 0, 0.5, 0),
    ("special.ellipk(p0)", math.pi / 2, math.pi / 8, 0), ("special.xlogy(p0 * 0, p1 + 2)", 0, 0, 0),
    ("(1 / p0 if p0 != 0 else p1)", 0, 0, 1), ("np.where(p0 == 0, p1, np.sqrt(p0))", 0, 0, 1),
    ("(p0 - 3) % 2", 1, 1, 0), ("np.copysign(p0 + 2, -1.0)", -2, -1, 0), ("p0 / (p1 + 4)", 0, 0.25, 0),
]  # fmt: skip


def test_edges():
    for name in ("j1", "i1", "ellipk", "xlogy"):
        nbadam.special.learn(getattr(scipy.special, name))
    calls = [edge[0] for edge in EDGES]
    results = table(calls, {"np": np, "math": math, "special": scipy.special})(np.zeros(3))
    for (call, *expected), found in zip(EDGES, results, strict=True):
        assert list(found[:3]) == pytest.approx(expected, rel=1e-13), call


# Functions that are finite where something within them is not, at ``u``, numbers up to 1e3 of either sign.
LEVEL = [
    "1 / (1 + exp(u))", "p2 / (exp(u) + 1)", "(1 + exp(u))**-1", "(1 + exp(u))**-0.5", "(1 + exp(u))**(-p2)",
    "(1 + p2 * exp(u))**(-1 / p2)", "exp(-exp(u))", "exp(-p2 * exp(u))", "1 / cosh(u)", "1 / cosh(u)**2",
    "1 / (exp(u) + exp(-u))", "tanh(exp(u))", "erf(sinh(u))", "atan(sinh(u))", "2**(-exp(u))",
    "1 / (1 + 3**u)", "u / expm1(u)", "p2 / (1 + (exp(u) + 2)**2)", "1 / (1 + exp(u) * exp(u))",
    "atan2(2 + p2, sinh(u))",
]  # fmt: skip


def test_functions_level_off_beyond_an_overflow():
    mpmath = pytest.importorskip("mpmath")
    names = "exp expm1 cosh sinh tanh atan atan2 erf erfc".split()
    calls = [call.replace("u", "(p0 * (p1 - 1.5))") for call in LEVEL]
    results = table(calls, {name: getattr(np, name, getattr(math, name, None)) for name in names})
    exact = {name: getattr(mpmath, name) for name in names}
    for size in (3.0, 40.0, 340.0, 354.7, 360.0, 706.0, 709.5, 710.2, 1000.0):
        for p in ([size / 2, 3.5, 1.3], [size / 2, -0.5, 1.3], [2.0, 1.5 + size / 2, 0.7]):
            found = results(p)
            with mpmath.workdps(400):
                h = mpmath.mpf(10) ** -100
                for call, (value, *derivatives) in zip(calls, found, strict=True):
                    numbers = [mpmath.mpf(number) for number in p]
                    expected = mpmath.mpf(eval(call, exact | {f"p{i}": x for i, x in enumerate(numbers)}))
                    assert value == pytest.approx(float(expected), rel=1e-12, abs=1e-150), (call, p)
                    for i, derivative in enumerate(derivatives):
                        moved = {f"p{k}": x + h * (k == i) for k, x in enumerate(numbers)}
                        slope = float((eval(call, exact | moved) - expected) / h)
                        assert derivative == pytest.approx(slope, rel=1e-9, abs=1e-14), (call, p, i)


def test_quotients_of_large_numbers_cancel_before_they_are_divided():
    """Hill's function up to where its powers overflow: the inverse of 1e308 has lost digits."""
    mpmath = pytest.importorskip("mpmath")
    call = "1e-12 * 7.3**p1 / (p0**p1 + 7.3**p1)"
    results = table([call], {})
    for p in ([3.1, 150.0, 0.0], [7.2, 340.0, 0.0], [7.3, 354.0, 0.0], [7.0, 355.0, 0.0]):
        ((value, *derivatives),) = results(p)
        with mpmath.workdps(400):
            numbers, h = [mpmath.mpf(number) for number in p], mpmath.mpf(10) ** -100
            expected = eval(call, {f"p{i}": x for i, x in enumerate(numbers)})
            assert value == pytest.approx(float(expected), rel=1e-12)
            for i in (0, 1):
                moved = {f"p{k}": x + h * (k == i) for k, x in enumerate(numbers)}
                slope = float((eval(call, moved) - expected) / h)
                assert derivatives[i] == pytest.approx(slope, rel=1e-9, abs=1e-26), (p, i)


@pytest.mark.parametrize(
    "call",
    ["1 / (1 / p0 + 1 / 3.0)", "np.exp(-1 / p0)", "np.exp(np.log(p0))", "1 / p0**-1", "np.tanh(np.log(p0))"],
)
def test_a_pole_is_no_overflow(call):
    """There the derivative is not 0, or not known."""
    ((_, derivative, *_),) = table([call], {"np": np})(np.zeros(3))
    assert not derivative == 0


FERMI = "height / (exp((x - level) / width) + 1)"


@pytest.mark.parametrize("kind", ["function", "formula"])
@pytest.mark.parametrize("width, start", [(0.02, 0.0012), (0.001, 0.0012), (0.0008, 0.0008)])
def test_fits_of_steps_that_overflow(kind, width, start):
    def fermi(x, height, level, width):
        return height / (np.exp((x - level) / width) + 1)

    x = np.linspace(-1, 1, 2001)
    with np.errstate(over="ignore"):
        y = fermi(x, 2.0, 0.03, width) + 0.01 * np.random.default_rng(0).standard_normal(x.size)
        popt, pcov = scipy.optimize.curve_fit(
            fermi,
            x,
            y,
            [1, 0.0301, start],
            method="trf",
            jac="3-point",
            x_scale="jac",
            xtol=1e-14,
            ftol=1e-14,
        )
    fit = nbadam.curve_fit(fermi if kind == "function" else FERMI, x, y, [1, 0.0301, start])
    assert fit.success and fit.derivatives == "exact"
    assert fit.popt == pytest.approx(popt, rel=1e-6)
    assert fit.perr == pytest.approx(np.sqrt(np.diag(pcov)), rel=1e-5)


# --- Nothing is lost silently -------------------------------------------------------------------------

j1_pointer = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(
    get_cython_function_address("scipy.special.cython_special", "j1")
)


def stored(x, a, b):
    buffer = np.zeros(3)
    buffer[0] = a
    buffer[1:] = np.array([b, 1.0])
    return buffer[0] * x + buffer[1] * buffer[2]


def pointer(x, a, b):
    return a * j1_pointer(b * x)


def order(x, a, b):
    return a * scipy.special.jv(b, x)


def complex_number(x, a, b):
    return abs(a / (1 + 1j * b * x))


def bisected(x, a, b):
    """The root of ``a * u + b * u**3 == x``, which depends on the parameters by comparisons only."""
    low, high = 0.0, 10.0
    for _ in range(60):
        u = 0.5 * (low + high)
        if a * u + b * u**3 > x:
            high = u
        else:
            low = u
    return 0.5 * (low + high)


def offset_bisected(x, a, b):
    return a + bisected(x, 1.0, b)


def bisected_by_number(x, *p):
    return bisected(x, p[0], p[1])


@pytest.mark.parametrize(
    "model", [stored, pointer, order, complex_number, bisected, offset_bisected, bisected_by_number]
)
def test_where_derivatives_would_be_lost_differences_take_their_place(model):
    x = np.linspace(0.5, 3, 12)
    y = np.array([model(point, 1.5, 1.1) for point in x])
    fit = nbadam.curve_fit(model, x, y, [1.2, 1.0])
    assert fit.derivatives == "differences"
    assert fit.popt == pytest.approx([1.5, 1.1], rel=1e-8)
    many = nbadam.curve_fit(model, x, y + np.zeros((40, 1)), [1.2, 1.0], workers=1)
    np.testing.assert_allclose(many.popt, np.broadcast_to(fit.popt, (40, 2)), rtol=1e-8)


# --- Fits -------------------------------------------------------------------------------------------


def peak(x, a, m, s, c):
    z = (x - m) / s
    return a * np.exp(-0.5 * z * z) + c


SCALES = [(2.46e6, 0.01), (4.7e14, 1e9), (1500.0, 0.005), (0.0, 1.0), (1e-16, 1e-20), (-1e5, 1.0)]


@pytest.mark.parametrize(("centre", "width"), SCALES)
def test_a_peak_far_from_0_has_the_errors_of_given_derivatives(centre, width):
    rng = np.random.default_rng(0)
    x = centre + width * np.linspace(-5, 5, 60)
    y = peak(x, 3.0, centre + 0.2 * width, width, 0.5) + 0.05 * rng.standard_normal((20, 60))
    p0 = [2, centre - 0.3 * width, 1.3 * width, 0.3]
    fit = nbadam.curve_fit(peak, x, y, p0)
    given = nbadam.curve_fit(nbadam.models.GAUSSIAN, x, y, p0)
    assert (fit.derivatives, given.derivatives) == ("exact", "given")
    assert fit.success.all()
    assert np.abs((fit.popt - given.popt) / given.perr).max() < 1e-5
    np.testing.assert_allclose(fit.perr, given.perr, rtol=1e-6)


def test_differences_find_the_scale_of_the_model():
    """At 41 points of peaks far from 0, on offsets, next to 0: within 1e-6 of the largest derivative."""
    value, slopes = differences(peak_in_numba, 4)
    limits = (-INF,) * 4, (INF,) * 4

    @njit(error_model="numpy")
    def both(x, p, low, high):
        return slopes(x, p, value(x, p), low, high)

    for p in [
        (2.0, 1.0, 0.7, 0.2), (2.0, 2.4e6, 0.01, 1e4), (1e-17, 4.7e14, 1e6, 0.0), (5.0, 1000.0, 1.5, 1e5),
        (1e-16, 0.0, 1.0, 0.0), (3.0, 5.0, 1.0, 1e-16),
    ]:  # fmt: skip
        x = p[1] + p[2] * np.linspace(-8, 8, 41)
        z = (x - p[1]) / p[2]
        e = np.exp(-0.5 * z * z)
        exact = np.stack([e, p[0] * e * z / p[2], p[0] * e * z * z / p[2], np.ones_like(e)])
        found = np.array([both(point, p, *limits) for point in x]).T
        np.testing.assert_array_less(np.abs(found - exact).max(axis=1), 1e-6 * exact.max(axis=1))


peak_in_numba = numba.extending.register_jitable(peak)


def test_differences_stay_inside_the_bounds():
    @numba.extending.register_jitable
    def root(x, b, t):
        return math.sqrt(b) + math.log(x - t)

    value, slopes = differences(root, 2)

    @njit(error_model="numpy")
    def both(x, p, low, high):
        return slopes(x, p, value(x, p), low, high)

    rng = np.random.default_rng(0)
    for _ in range(300):
        b, t = 10 ** rng.uniform(-8, 3), 1 - 10 ** rng.uniform(-8, 0)
        found = both(1.0, (b, t), (0.0, -INF), (INF, 1.0))  # NaN beyond the bounds
        assert found == pytest.approx((0.5 / math.sqrt(b), -1 / (1 - t)), rel=1e-4)
        free = both(1.0, (b, t), (-INF, -INF), (INF, INF))  # without bounds the other side is taken
        assert free == pytest.approx((0.5 / math.sqrt(b), -1 / (1 - t)), rel=1e-4)
    assert both(1.0, (0.0, 0.5), (0.0, -INF), (INF, 1.0))[0] == INF


@pytest.mark.parametrize("derivatives", ["exact", "differences"])
def test_a_start_at_a_bound_where_the_derivative_is_infinite(derivatives):
    if derivatives == "exact":

        def model(x, a, b):
            return a * math.sqrt(x) + math.sqrt(b)
    else:

        def model(x, a, b):
            return a * math.sqrt(x) + math.sqrt(np.array([b])[0])

    x = np.linspace(0.1, 5, 40)
    y = 2 * np.sqrt(x) + 0.7
    fit = nbadam.curve_fit(model, x, y, [1, 0], bounds=([0, 0], [9, 9]))
    assert fit.derivatives == derivatives
    assert fit.popt == pytest.approx([2, 0.49], rel=1e-6)


def bent(x, a, b):
    """Lose the derivatives, and bend at b = 0."""
    value = np.array([b])[0]
    return a * x + (value if value >= 0 else 100 * value)


def test_differences_in_rows_of_jacobians_stay_inside_the_bounds():
    """Errors of single precision, of derivatives across the bound: those by b were 0.02 of theirs."""
    x = np.linspace(0, 2, 30)
    y = 2 * x - 0.1 + 0.01 * np.random.default_rng(0).standard_normal(30)
    options = {"bounds": ([-np.inf, 0], np.inf)}
    double = nbadam.curve_fit(bent, x, y, [1, 0.5], **options)
    single = nbadam.curve_fit(bent, x, y, [1, 0.5], dtype=np.float32, **options)
    assert double.derivatives == "differences" and double.popt[1] == single.popt[1] == 0
    np.testing.assert_allclose(single.perr, double.perr, rtol=1e-5)


def test_differences_see_the_rounding_of_terms_that_cancel():
    """The derivative by `a` was up to 4 % off: the value, 2.7, does not tell the rounding errors of 50."""

    @numba.extending.register_jitable
    def decay(x, a, k, c):
        return a * math.exp(-k * x) + c

    value, slopes = differences(decay, 3)

    @njit(error_model="numpy")
    def both(x, p, low, high):
        return slopes(x, p, value(x, p), low, high)

    rng = np.random.default_rng(0)
    for _ in range(100):
        size, k, x = 10 ** rng.uniform(0, 8), 10 ** rng.uniform(-3, 0), rng.uniform(0, 4)
        p = (-size, k, size * math.exp(-k * x) + 2)
        found, e = both(x, p, (-INF,) * 3, (INF,) * 3), math.exp(-k * x)
        unit = size * np.finfo(float).eps
        assert found[0] == pytest.approx(e, rel=1e-9)
        assert found[1] == pytest.approx(size * x * e, abs=1e5 * unit + 1e-6 * size * x * e)
        assert found[2] == pytest.approx(1, rel=1e-9)
