"""Derivatives of functions as Numba compiles them, by dual numbers, against those in 40 digits."""

import itertools
import math
import operator

import numba
import numpy as np
import pytest
import scipy.special
from numba import njit, types, version_info

import nbadam
from nbadam import dual
from nbadam.fitting.model.inline import inlined
from nbadam.special import RULES

needs_dual_numbers = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="plain Python has no dual numbers: differences take their place"
)
pytestmark = needs_dual_numbers
WAYS = {name: getattr(dual, name) for name in dual.__all__}


def compiled(function, n):
    """Compile ``x, p -> value, derivatives`` of ``function(x, *p)``."""
    parameters = ", ".join(f"seeded(p[{i}], {i})" for i in range(n))
    derivatives = ", ".join(f"derivative_of(y, {i})" for i in range(n))
    scope = WAYS | {"function": inlined(function)}
    text = f"def both(x, p):\n    y = function(x, {parameters})\n    return value_of(y), {derivatives}"
    exec(text, scope)
    return njit(error_model="numpy")(scope["both"])


def table(calls, scope, n=3, points=None):
    """Compile values and derivatives of many calls, texts in ``p0``, ``p1`` ..., as rows of an array.

    Where each has some `points`, the texts call its coordinates ``x`` and ``y``; each has a row.
    """
    lines = [*(f"p{i} = seeded(p[{i}], {i})" for i in range(n)), "for i in range(out.shape[1]):"]
    for k, call in enumerate(calls):
        if points is not None:
            lines.append(f"    x, y = points[{k}, i, 0], points[{k}, i, 1]")
        lines += [f"    y{k} = {call}", f"    out[{k}, i, 0] = value_of(y{k})"]
        lines += [f"    out[{k}, i, {1 + d}] = derivative_of(y{k}, {d})" for d in range(n)]
    scope = WAYS | scope
    exec("def rows(p, points, out):\n    " + "\n    ".join(lines), scope)
    kernel = njit(error_model="numpy")(scope["rows"])

    def evaluate(p, dtype=float):
        data = np.zeros((len(calls), 1, 2)) if points is None else np.asarray(points)
        out = np.full((*data.shape[:2], 1 + n), np.nan, dtype)
        kernel(np.array(p, dtype), data, out)
        return out[:, 0].astype(float) if points is None else out.astype(float)

    return evaluate


def gaussian(x, a, m, s, c):
    z = (x - m) / s
    return a * np.exp(-0.5 * z * z) + c


@pytest.mark.lowest
def test_derivatives_in_a_float32_model_stay_float32():
    both = compiled(gaussian, 4)
    p = np.array([2.0, 1.0, 0.7, 0.2], np.float32)
    value, *derivatives = both(np.float32(1.3), p)
    assert both.nopython_signatures[0].return_type == types.UniTuple(types.float32, 5)
    e = math.exp(-0.5 * (0.3 / 0.7) ** 2)
    slope = 2 * e * 0.3 / 0.7**2
    assert value == pytest.approx(2 * e + 0.2, rel=1e-6)
    assert derivatives == pytest.approx([e, slope, slope * 0.3 / 0.7, 1], rel=2e-6)


# --- Every function -------------------------------------------------------------------------------

EVERYWHERE = 0.7, -1.3, 3.1
POSITIVE = 0.7, 1.3, 3.1
INSIDE = 0.7, -0.3, 0.01
# Names of a function, where it is tried, and mpmath's expression of it.
ELEMENTARY = {
    ("math.exp", "np.exp"): (EVERYWHERE, "exp(x)"),
    ("math.expm1", "np.expm1"): (EVERYWHERE, "expm1(x)"),
    ("math.exp2", "np.exp2"): (EVERYWHERE, "2**x"),
    ("math.log", "np.log"): (POSITIVE, "log(x)"),
    ("math.log2", "np.log2"): (POSITIVE, "log(x) / log(2)"),
    ("math.log10", "np.log10"): (POSITIVE, "log10(x)"),
    ("math.log1p", "np.log1p"): (POSITIVE, "log1p(x)"),
    ("math.sqrt", "np.sqrt"): (POSITIVE, "sqrt(x)"),
    ("np.cbrt",): (POSITIVE, "cbrt(x)"),
    ("np.square",): (EVERYWHERE, "x**2"),
    ("np.reciprocal",): (EVERYWHERE, "1 / x"),
    ("math.sin", "np.sin"): (EVERYWHERE, "sin(x)"),
    ("math.cos", "np.cos"): (EVERYWHERE, "cos(x)"),
    ("math.tan", "np.tan"): (EVERYWHERE, "tan(x)"),
    ("math.asin", "np.arcsin"): (INSIDE, "asin(x)"),
    ("math.acos", "np.arccos"): (INSIDE, "acos(x)"),
    ("math.atan", "np.arctan"): (EVERYWHERE, "atan(x)"),
    ("math.sinh", "np.sinh"): (EVERYWHERE, "sinh(x)"),
    ("math.cosh", "np.cosh"): (EVERYWHERE, "cosh(x)"),
    ("math.tanh", "np.tanh"): ((0.7, -1.3, 12.0), "tanh(x)"),
    ("math.asinh", "np.arcsinh"): (EVERYWHERE, "asinh(x)"),
    ("math.acosh", "np.arccosh"): ((1.2, 2.3, 9.0), "acosh(x)"),
    ("math.atanh", "np.arctanh"): (INSIDE, "atanh(x)"),
    ("math.radians", "np.radians", "np.deg2rad"): (EVERYWHERE, "x * pi / 180"),
    ("math.degrees", "np.degrees", "np.rad2deg"): (EVERYWHERE, "x * 180 / pi"),
    ("abs", "math.fabs", "np.fabs", "np.absolute"): (EVERYWHERE, "fabs(x)"),
    ("math.erf",): (EVERYWHERE, "erf(x)"),
    ("math.erfc",): (EVERYWHERE, "erfc(x)"),
    ("np.sinc",): ((0.7, -1.3, 1e-3), "sinc(pi * x)"),
    ("math.gamma",): ((0.7, -1.3, 3.1), "gamma(x)"),
    ("math.lgamma",): ((0.7, 12.3, 3.1), "loggamma(x)"),
    ("float", "np.positive", "operator.pos"): (EVERYWHERE, "x"),
    ("np.negative", "operator.neg"): (EVERYWHERE, "-x"),
    ("math.floor", "math.ceil", "int", "round"): (EVERYWHERE, None),
    ("np.floor", "np.ceil", "np.sign", "np.rint", "np.trunc"): (EVERYWHERE, None),
}  # fmt: skip
if version_info.short < (0, 61):  # where Numba has no math.exp2
    ELEMENTARY[("np.exp2",)] = ELEMENTARY.pop(("math.exp2", "np.exp2"))
TWO = {  # in x and y
    ("np.logaddexp",): "log(exp(x) + exp(y))",
    ("np.logaddexp2",): "log(2**x + 2**y) / log(2)",
    ("math.atan2", "np.arctan2"): "atan2(x, y)",
    ("math.hypot", "np.hypot"): "sqrt(x**2 + y**2)",
    ("math.copysign", "np.copysign"): "fabs(x) * sign(y)",
    ("np.maximum", "np.fmax", "max"): "max(x, y)",
    ("np.minimum", "np.fmin", "min"): "min(x, y)",
    ("operator.add", "operator.iadd", "np.add"): "x + y",
    ("operator.sub", "operator.isub", "np.subtract"): "x - y",
    ("operator.mul", "operator.imul", "np.multiply"): "x * y",
    ("operator.truediv", "operator.itruediv", "np.divide"): "x / y",
    ("operator.mod", "operator.imod", "np.remainder"): "x - y * floor(x / y)",
    ("np.fmod",): "x - y * int(x / y)",
}


SCOPE = {"math": math, "np": np, "operator": operator, "special": scipy.special}


def truth(text, *point):
    """Value and derivatives of an expression in x, y and z in mpmath's functions, at a point."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        scope = vars(mpmath) | {"max": max, "min": min, "int": int}
        function = eval(f"lambda {', '.join('xyz'[: len(point)])}: {text}", scope)
        numbers = tuple(mpmath.mpf(float(number)) for number in point)
        orders = itertools.product(range(2), repeat=len(point))
        slopes = [mpmath.diff(function, numbers, order) for order in orders if sum(order) == 1]
        return [float(function(*numbers)), *map(float, reversed(slopes))]


@pytest.mark.parametrize("dtype", [pytest.param(float, marks=pytest.mark.lowest), np.float32])
def test_every_elementary_function_of_one_number(dtype):
    cases = [(name, places, text) for names, (places, text) in ELEMENTARY.items() for name in names]
    points = [[(place, 0.0) for place in places] for _, places, _ in cases]
    results = table([f"{name}(p0 + x)" for name, *_ in cases], SCOPE, points=points)(np.zeros(3), dtype)
    eps = float(np.finfo(dtype).eps)
    for (name, places, text), rows in zip(cases, results, strict=True):
        for place, (value, slope, *others) in zip(places, rows, strict=True):
            assert others == [0, 0]
            if text is None:  # a staircase
                assert (value, slope) == (eval(name, SCOPE)(place), 0), name
                continue
            expected = truth(text, dtype(place))
            assert value == pytest.approx(expected[0], rel=32 * eps), (name, place)
            assert slope == pytest.approx(expected[1], rel=64 * eps), (name, place)


@pytest.mark.parametrize("dtype", [pytest.param(float, marks=pytest.mark.lowest), np.float32])
def test_every_elementary_function_of_two_numbers(dtype):
    points = [(0.7, 1.3), (-1.3, 0.6), (3.1, -0.9)]
    arguments = {"both": "p0 + x, p1 + y", "first": "p0 + x, y", "second": "x, p1 + y"}
    cases = [(name, text, which) for names, text in TWO.items() for name in names for which in arguments]
    calls = [f"{name}({arguments[which]})" for name, _, which in cases]
    results = table(calls, SCOPE, points=[points] * len(calls))(np.zeros(3), dtype)
    eps = float(np.finfo(dtype).eps)
    for (name, text, which), rows in zip(cases, results, strict=True):
        for point, (value, *slopes) in zip(points, rows, strict=True):
            expected, by_x, by_y = truth(text, *map(dtype, point))
            by_x, by_y = by_x * (which != "second"), by_y * (which != "first")
            assert value == pytest.approx(expected, rel=32 * eps), (name, point)
            assert slopes == pytest.approx([by_x, by_y, 0], rel=64 * eps, abs=8 * eps), (name, point, which)


SPECIAL = {  # mpmath's expressions
    "erf": "erf(x)", "erfc": "erfc(x)", "erfi": "erfi(x)", "erfcx": "exp(x**2) * erfc(x)",
    "dawsn": "sqrt(pi) / 2 * exp(-x**2) * erfi(x)", "erfinv": "erfinv(x)", "erfcinv": "erfinv(1 - x)",
    "ndtr": "erfc(-x / sqrt(2)) / 2", "log_ndtr": "log(erfc(-x / sqrt(2)) / 2)",
    "ndtri": "sqrt(2) * erfinv(2 * x - 1)", "gamma": "gamma(x)", "rgamma": "rgamma(x)",
    "gammaln": "log(fabs(gamma(x)))", "loggamma": "loggamma(x)", "psi": "psi(0, x)",
    "expi": "ei(x)", "exp1": "e1(x)", "j0": "besselj(0, x)", "j1": "besselj(1, x)",
    "y0": "bessely(0, x)", "y1": "bessely(1, x)",
    "i0": "besseli(0, x)", "i1": "besseli(1, x)", "k0": "besselk(0, x)", "k1": "besselk(1, x)",
    "i0e": "exp(-x) * besseli(0, x)", "i1e": "exp(-x) * besseli(1, x)", "k0e": "exp(x) * besselk(0, x)",
    "k1e": "exp(x) * besselk(1, x)", "ellipk": "ellipk(x)", "ellipe": "ellipe(x)",
    "ellipkm1": "ellipk(1 - x)", "expit": "1 / (1 + exp(-x))", "logit": "log(x / (1 - x))",
    "log_expit": "-log(1 + exp(-x))", "expm1": "expm1(x)", "log1p": "log1p(x)", "exp2": "2**x",
    "exp10": "10**x", "cbrt": "cbrt(x)", "cosm1": "cos(x) - 1",
    "expn": "expint(x, y)", "gammainc": "gammainc(x, 0, y, regularized=True)",
    "gammaincc": "gammainc(x, y, inf, regularized=True)", "betainc": "betainc(x, y, 0, z, regularized=True)",
    "jv": "besselj(x, y)", "yv": "bessely(x, y)", "yn": "bessely(x, y)", "iv": "besseli(x, y)",
    "kv": "besselk(x, y)", "kn": "besselk(x, y)", "beta": "beta(x, y)", "betaln": "log(beta(x, y))",
    "xlogy": "x * log(y)", "xlog1py": "x * log1p(y)",
    "voigt_profile": "re(exp(-((x + 1j*z)/y)**2/2) * erfc(-1j*(x + 1j*z)/y/sqrt(2))) / y / sqrt(2*pi)",
}  # fmt: skip
POINTS = {  # where they are tried; the first number of those of two may be an order
    1: [(0.3,), (0.9,)], 2: [(1, 0.8), (3, 4.2)], 3: [(0.7, 1.3, 0.4), (2.5, 0.8, 0.9)],
}  # fmt: skip
FAR = {  # where terms of the slope cancel or its limit is reached
    "erfcx": [80.0], "dawsn": [-70.0], "log_ndtr": [-1e4, 12.0], "ellipk": [2e-4], "ellipe": [-3e-4],
    "ellipkm1": [1 - 2e-4], "j0": [30.0], "i0e": [2e4], "i1e": [2e4], "k0e": [2e4], "k1e": [2e4],
    "gamma": [-1e-9, -3 + 1e-9], "gammaln": [-1e-9], "psi": [-1e-9, -4 - 1e-9], "expn": [(0, 0.7)],
    "voigt_profile": [(0, 1, 1e3), (3, 1e-3, 2), (0.2, 1e-7, 2), (9, 1, 0.1), (1e4, 1, 0.5), (2, 1e-4, 1)],
}  # fmt: skip


@pytest.mark.lowest
def test_every_special_function():
    assert set(SPECIAL) == set(RULES)
    inlined_ufuncs = [getattr(scipy.special, name) for name in SPECIAL]
    assert all(nbadam.special.learn(function) for function in inlined_ufuncs)
    cases = [
        (name, np.atleast_1d(point).tolist())
        for name in SPECIAL
        for point in [*POINTS[getattr(scipy.special, name).nin], *FAR.get(name, ())]
    ]
    calls = []
    for name, point in cases:
        orders = RULES[name][1]
        arguments = (repr(x) if k in orders else f"p{k} + {x}" for k, x in enumerate(point))
        calls.append(f"special.{name}({', '.join(arguments)})")
    for (name, point), (value, *slopes) in zip(cases, table(calls, SCOPE)(np.zeros(3)), strict=True):
        expected, *by = truth(SPECIAL[name], *point)
        by = [0 if k in RULES[name][1] else slope for k, slope in enumerate(by)]
        assert value == pytest.approx(expected, rel=1e-12), (name, point)
        assert slopes[: len(by)] == pytest.approx(by, rel=1e-11), (name, point)
        assert not any(slopes[len(by) :])
