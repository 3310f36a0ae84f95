"""The models that ship: their formulas, derivatives and guesses."""

import re
from math import pi

import numba
import numpy as np
import pytest
from model_cases import CASES, drawn, units_of
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares
from scipy.special import wofz

from nbadam import curve_fit, models
from nbadam.fitting.kernels.compile import load
from nbadam.fitting.model.expressions import constant_of
from nbadam.fitting.model.formula import function_of
from nbadam.fitting.model.pointwise import pointwise
from nbadam.fitting.model.projection import Projection
from nbadam.models.guesses import Guess
from nbadam.vector_math.faddeeva import faddeeva, profile, profile_slopes

JIT = not numba.config.DISABLE_JIT
SETS = 60 if JIT else 4  # simulated data sets of each model with a compiled guess
FEW = 10 if JIT else 4  # and of each other model
WRITTEN = [name for name in CASES if getattr(models, name).formula is None]  # as functions, with derivatives
OF_NUMPY = [name for name in CASES if isinstance(getattr(models, name).guess, Projection)]
# Compiling with checks takes long: then only the models whose guesses share the least.  In plain Python
# those of NumPy run as ever: a few of them.
GUESSED = ["GAUSSIAN_2D", "DOUBLE_EXPONENTIAL", "SINE", "DOSE_RESPONSE"] if numba.config.BOUNDSCHECK else None
if not JIT:
    GUESSED = [name for name in CASES if name not in OF_NUMPY or name in OF_NUMPY[::5]]
# Share of the data sets, with noise of 5 % of their range, whose best chi-square a fit from the guess
# reaches; a fit from the truth does no better in the one that falls short.
TOLERANCES = {"TOFTS": 1e-8, "EXTENDED_TOFTS": 1e-8, "PLANCK": 1e-8}  # of sums, and of rounded constants
SHARES = {"DOUBLE_EXPONENTIAL": 0.93, "VOIGT": 0.95}


def at(x, i):
    return x[i] if x.ndim == 1 else tuple(x[:, i])


def formula(name):
    """Return the formula of a model as a function of arrays."""
    model = getattr(models, name)
    function = function_of(model.expression, model.variables, model.parameters, arrays=True)

    def values(x, *parameters):
        with np.errstate(all="ignore"):
            return function(x, *parameters) + np.zeros(
                np.shape(x)[1:] if len(model.variables) > 1 else np.shape(x)
            )

    return values


def at_a_point(model):
    """Return the value and the derivatives that kernels compute, as a function of numbers."""
    way = pointwise(model)
    if way.derivatives == "differences":  # dual numbers need the compiler
        pytest.skip("the formula has no derivatives without the compiler")
    variables, n = range(len(model.variables)), len(model.parameters)
    names = [f"x{i}" for i in variables] + [f"p{i}" for i in range(n)]
    lines = [f"q{i} = {text}" for i, text in enumerate(way.invariant)] + list(way.statements)
    lines.append(f"return f, ({', '.join(f'g{i}' for i in range(n))},)")
    text = f"def point({', '.join(names)}):\n" + "".join(f"    {line}\n" for line in lines)
    function = load("float64", text, dict(way.functions))["point"]
    return njit(error_model="numpy")(function) if "seeded" in text else function


def test_every_model_is_tested_and_documented():
    assert list(CASES) and set(CASES) == set(models.__all__)
    for name in CASES:
        model = getattr(models, name)
        assert len(model.parameters) == len(CASES[name][2]) == len(model.example)
        assert list(model.means) == [*model.variables, *model.parameters]
        for parameter in model.parameters:
            assert re.search(r"\[.+\]$", model.means[parameter]), (name, parameter)
            assert f"\n{parameter} : " in model.__doc__
        assert f"``{model.expression}``" in model.__doc__


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_formula_and_derivatives(name):
    model, (reference, x, _) = getattr(models, name), CASES[name]
    point, values = at_a_point(model), formula(name)
    for parameters in drawn(name, 3)[0]:
        expected = reference(x, *parameters)
        scale = np.ptp(expected) or abs(expected[0])
        tolerance = TOLERANCES.get(name, 1e-12)
        assert_allclose(values(x, *parameters), expected, rtol=tolerance, atol=tolerance * scale)
        for i in range(0, x.shape[-1], 5):
            with np.errstate(all="ignore"):
                value, derivatives = point(*np.atleast_1d(x[..., i]), *parameters)
            assert_allclose(value, expected[i], rtol=tolerance, atol=tolerance * scale)
            for k, derivative in enumerate(derivatives):
                step = 1e-5 * abs(parameters[k])
                moved = [parameters + f * step * (np.arange(parameters.size) == k) for f in (-2, -1, 1, 2)]
                f = [values(x[..., i], *p) for p in moved]
                numeric = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
                assert_allclose(float(derivative), numeric, rtol=1e-5, atol=1e-7 * scale / abs(parameters[k]))


@pytest.mark.skipif(JIT, reason="a kernel of each model takes long to compile: its text is the same")
@pytest.mark.filterwarnings("ignore:.*without success")
@pytest.mark.parametrize("name", CASES)
def test_units_change_exponents_only(name):
    """Fits of each model in other units, found from its derivatives: the same bits."""
    model, (reference, x, _) = getattr(models, name), CASES[name]
    if pointwise(model).derivatives == "differences":
        pytest.skip("the formula has no derivatives without the compiler")
    x = x[..., :: max(1, x.shape[-1] // 20)]
    truth, rng = drawn(name, 2)
    y = np.stack([reference(x, *p) for p in truth])
    y += 0.03 * np.ptp(y, axis=1, keepdims=True) * rng.standard_normal(y.shape)
    start = truth * rng.uniform(0.8, 1.25, truth.shape)
    fits = []
    units = units_of(name)
    for exponents in [(0, 0, 0), (120, 0, 40), (37, -63, 15), (-41, 80, -60)]:
        powers = sum(unit * (e // np.abs(unit).max()) for unit, e in zip(units, exponents, strict=False))
        factors = 2.0**powers
        of_x, of_p, of_y = np.split(factors, [np.atleast_2d(x).shape[0], -1])
        fit = curve_fit(
            model, x * (of_x[:, None] if x.ndim > 1 else of_x), y * of_y, start * of_p, max_nfev=60
        )
        fits.append((fit.popt / of_p, fit.perr / of_p, fit.chi2 / of_y**2, fit.status, fit.nfev))
    for other in fits[1:]:
        for one, value in zip(fits[0], other, strict=True):
            assert_array_equal(value, one)


@pytest.mark.parametrize("name", ["GAUSSIAN", "LORENTZIAN", "VOIGT"])
def test_widths_of_either_sign_are_the_same(name):
    model = getattr(models, name)
    parameters, _ = drawn(name, 1)
    flipped = parameters[0] * np.where([p in ("sigma", "gamma") for p in model.parameters], -1, 1)
    assert model.function(1.5, *flipped) == model.function(1.5, *parameters[0])
    for p, one, other in zip(
        model.parameters, model.jacobian(1.5, *parameters[0]), model.jacobian(1.5, *flipped), strict=True
    ):
        assert other == (-one if p in ("sigma", "gamma") else one)


AT_ZERO = "STRETCHED_EXPONENTIAL DOSE_RESPONSE DOSE_RESPONSE_5 HILL WEIBULL POWER_LAW MICHAELIS_MENTEN "
AT_ZERO += "SUBSTRATE_INHIBITION LANGMUIR FREUNDLICH"


@pytest.mark.parametrize("name", AT_ZERO.split())
def test_values_and_derivatives_at_zero_are_finite(name):
    parameters = np.abs(drawn(name, 1)[0][0])
    with np.errstate(all="ignore"):
        value, derivatives = at_a_point(getattr(models, name))(0.0, *parameters)
    assert value == CASES[name][0](np.zeros(1), *parameters)[0]
    assert np.isfinite(derivatives).all()


FAR = {  # parameters of curves that have long reached one of their levels at x = 1 or 2000
    "LOGISTIC_4": (1, 4, 5, 500),
    "LOGISTIC_5": (1, 4, 5, 500, 2),
    "GOMPERTZ": (4, 500, 50),
    "WEIBULL": (4, 0.1, 30),
    "DOSE_RESPONSE_5": (1, 4, 50, 400, 2),
    "PLANCK": (1, 10),
}


@pytest.mark.parametrize("name", FAR)
def test_far_from_the_step_derivatives_are_finite(name):
    point = at_a_point(getattr(models, name))
    for x in (1.0, 2000.0):
        with np.errstate(all="ignore"):
            value, derivatives = point(x, *map(float, FAR[name]))
        assert np.isfinite([value, *derivatives]).all()


def test_single_precision_stays_single():
    for name in set(WRITTEN) - {"VOIGT"}:
        model, x = getattr(models, name), CASES[name][1].astype(np.float32)
        parameters = drawn(name, 1)[0][0].astype(np.float32)
        assert type(model.function(at(x, 3), *parameters)) is np.float32
        assert {type(derivative) for derivative in model.jacobian(at(x, 3), *parameters)} == {np.float32}


def reaches(values, x, y, guess, truth):
    """Whether the fit from the guess is as good as that from the truth."""

    def residuals(p):
        with np.errstate(all="ignore"):
            return np.nan_to_num(values(x, *p) - y, nan=1e30, posinf=1e30, neginf=-1e30)

    own, best = (
        least_squares(residuals, p, jac="3-point", method="lm", x_scale="jac", xtol=1e-12, max_nfev=500).cost
        for p in (guess, truth)
    )
    return own <= best * (1 + 1e-6) + 1e-10 * (y @ y)


@pytest.mark.long
@pytest.mark.parametrize("name", GUESSED or CASES)
def test_guesses_reach_the_best_fit(name):
    """Half of the data sets without noise, half with 3 %, or all with 5 % for a compiled guess."""
    model, x, values = getattr(models, name), CASES[name][1], formula(name)
    is_compiled = isinstance(model.guess, Guess)
    truth, rng = drawn(name, SETS if is_compiled else FEW)
    reached = []
    for k, parameters in enumerate(truth):
        y = values(x, *parameters)
        noise = 0.05 if is_compiled else 0.03 * (k % 2)
        y = y + noise * np.ptp(y) * rng.standard_normal(y.size)
        guess = model.guess(x, y)
        assert guess.shape == parameters.shape
        reached.append(reaches(values, x, y, guess, parameters))
    assert np.mean(reached) >= (SHARES.get(name, 1.0) if JIT else 0.75)


# Models whose x has a fixed unit or origin, or whose curve knows none.
ABSOLUTE = {"PLANCK", "ARRHENIUS", "TOFTS", "EXTENDED_TOFTS", "T1_VFA"}
MOVABLE = "GAUSSIAN LORENTZIAN VOIGT PSEUDO_VOIGT GAUSSIAN_LINEAR LORENTZIAN_LINEAR DONIACH_SUNJIC FANO "
MOVABLE += "CONSTANT LINE QUADRATIC PLANE LOGISTIC_4 LOGISTIC_5 GOMPERTZ SINE EXPONENTIAL DAMPED_SINE"


@pytest.mark.long
@pytest.mark.parametrize("name", GUESSED or CASES)
def test_guesses_know_no_units_and_no_origin(name):
    """The guess of scaled and shifted data is the scaled and shifted curve."""
    model, x, values = getattr(models, name), CASES[name][1], formula(name)
    truth, rng = drawn(name, 3 if JIT else 1)
    for parameters in truth:
        y = values(x, *parameters)
        y = y + 0.03 * (np.ptp(y) or 1) * rng.standard_normal(y.size)
        scale_x = 1.0 if name in ABSOLUTE else 2.0 ** rng.integers(-20, 20)
        shift_x = np.ptp(x) * rng.uniform(-2, 2) if name in MOVABLE.split() else 0.0
        scale_y = 2.0 ** rng.integers(-30, 30)
        shift_y = np.ptp(y) * rng.uniform(-20, 20) if constant_of(model.expression, model.parameters) else 0.0
        moved = (x + shift_x) * scale_x
        curve = values(x, *model.guess(x, y))
        other = values(moved, *model.guess(moved, (y + shift_y) * scale_y)) / scale_y - shift_y
        assert_allclose(other, curve, atol=1e-6 * (np.ptp(y) + abs(shift_y)))


@pytest.mark.lowest
@pytest.mark.long
@pytest.mark.parametrize("name", GUESSED or CASES if JIT else [*OF_NUMPY[::5], "GAUSSIAN"])
def test_guesses_do_not_depend_on_the_company(name):
    guess, x = getattr(models, name).guess, CASES[name][1]
    truth, rng = drawn(name, 7)
    y = np.stack([CASES[name][0](x, *parameters) for parameters in truth])
    y += 0.05 * np.ptp(y, axis=1, keepdims=True) * rng.standard_normal(y.shape)
    if not hasattr(guess, "of_all"):
        pytest.skip("the guess takes one data set at a time")
    used = np.ones(y.shape, bool)
    used[2], used[4:6] = False, rng.random((2, y.shape[1])) > 0.3
    shared = x.reshape(1, guess.variables, -1)
    for points in (shared, shared * rng.uniform(0.5, 2, (7, 1, 1))):
        together = guess.of_all(points, y, used)
        for f in range(7):
            own = points[f : f + 1] if len(points) > 1 else points
            assert_array_equal(together[f], guess.of_all(own, y[f : f + 1], used[f : f + 1])[0])


@pytest.mark.lowest
@pytest.mark.parametrize("name", GUESSED or CASES if JIT else CASES)
def test_guesses_do_not_mind_odd_data(name):
    guess, x = getattr(models, name).guess, CASES[name][1]
    rng = np.random.default_rng(0)
    order = rng.permutation(x.shape[-1])
    y = CASES[name][0](x, *drawn(name, 1)[0][0])
    y = y + 0.01 * np.ptp(y) * rng.standard_normal(y.size)
    assert_allclose(guess(x[..., order], y[order]), guess(x, y), rtol=1e-9)
    assert np.isfinite(guess(x, np.ones(y.size))).all()
    for m in (1, 2, 3):
        assert np.isfinite(guess(x[..., 1 : m + 1], y[1 : m + 1])).all()
    assert np.isfinite(guess(np.ones_like(x), y)).all()


def test_faddeeva():
    rng = np.random.default_rng(0)
    n = 100_000 if JIT else 300
    x = np.concatenate([rng.uniform(-10, 10, n), 10 ** rng.uniform(-3, 8, n), np.zeros(n)])
    y = np.concatenate(
        [10 ** rng.uniform(-8, 2, n), 10 ** rng.uniform(-8, 8, n), 10 ** rng.uniform(-8, 8, n)]
    )
    y[: n // 10] = 0

    @njit(error_model="numpy")
    def run(x, y, re, im):
        for i in range(x.size):
            re[i], im[i] = faddeeva(x[i], y[i])

    re, im = np.empty_like(x), np.empty_like(x)
    run(x, y, re, im)
    exact = wofz(x + 1j * y)
    off = np.maximum(abs(re - exact.real), abs(im - exact.imag))
    assert off.max() < 1e-14
    assert (off / abs(exact)).max() < 1e-13


@pytest.mark.lowest
def test_voigts_profile_has_exact_slopes_in_any_shape():
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    parts = 10 ** rng.uniform([-2, -4], 6, (300, 2))
    with mpmath.workdps(80):
        for x, gamma in parts:
            value, by_x, by_sigma, by_gamma = profile_slopes(x, 1.0, gamma)
            z = mpmath.mpc(x, gamma) / mpmath.sqrt(2)
            w = mpmath.exp(-z * z) * mpmath.erfc(-1j * z)
            slope = (1j / mpmath.sqrt(mpmath.pi) - z * w) * mpmath.sqrt(2)
            unit = 1 / mpmath.sqrt(2 * mpmath.pi)
            # Either part of a complex number may be next to 0.
            assert complex(by_x, -by_gamma) == pytest.approx(complex(unit * slope), rel=1e-11)
            assert value == pytest.approx(profile(x, 1.0, gamma), rel=1e-15)
            response = unit * (w + z * slope * mpmath.sqrt(2))
            slack = 1e-13 * (abs(z) < 8)  # near 0 errors are relative to w(0) = 1
            assert abs(by_sigma + response.real) < 1e-9 * abs(response) + slack
    # Without a Gaussian it is Lorentz's.
    assert profile_slopes(1.0, 0.0, 0.5) == pytest.approx(
        [0.5 / pi / 1.25, -1 / pi / 1.25**2, 0, 0.75 / pi / 1.25**2], rel=1e-14
    )
    with np.errstate(all="ignore"):
        value, derivatives = at_a_point(models.VOIGT)(1.0, 2.0, 0.5, 0.0, 0.5, 0.1)
    assert value == pytest.approx(2 * 0.5 / pi / 0.5 + 0.1)
    assert np.isfinite(derivatives).all()
    assert derivatives[2] == 0
