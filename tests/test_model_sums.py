"""Sums of models: names, constants, guesses that work together, and copies."""

import pickle

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares

import nbadam
from nbadam import Model, models
from nbadam.fitting.model.expressions import constant_of, renamed, total, without
from nbadam.fitting.model.formula import function_of
from nbadam.models import CONSTANT, EXPONENTIAL, GAUSSIAN, GAUSSIAN_2D, LINE, LORENTZIAN, PLANE, QUADRATIC

JIT = not numba.config.DISABLE_JIT
SETS = 20 if JIT else 2
X = np.linspace(0, 100, 120)
TWO = GAUSSIAN.prefixed("a_") + GAUSSIAN.prefixed("b_") + LINE


def own(x, height, k):
    return height * k * x / (1 + k * k * x)


# --- Names and formulas ---------------------------------------------------------------------------


def test_parameters_of_a_sum():
    assert (GAUSSIAN + LINE).parameters == ("amplitude", "center", "sigma", "slope", "intercept")
    assert TWO.parameters[:4] == ("a_amplitude", "a_center", "a_sigma", "b_amplitude")
    assert TWO.parameters[-2:] == ("slope", "intercept")


@pytest.mark.parametrize(
    ("sum_", "kept"),
    [
        (GAUSSIAN + LINE, "intercept"),
        (LINE + GAUSSIAN, "intercept"),
        (QUADRATIC + GAUSSIAN, "intercept"),
        (GAUSSIAN + CONSTANT, "offset"),
        (CONSTANT + LORENTZIAN, "offset"),
        (GAUSSIAN.prefixed("a_") + LORENTZIAN.prefixed("b_"), "b_offset"),
        (GAUSSIAN + Model("m * x + q"), "q"),
        (Model("m * x + q") + Model("h / (1 + k * x) - base"), "q"),
        (GAUSSIAN + Model("a * exp(-x / t) + c"), "c"),
        (EXPONENTIAL + (GAUSSIAN.prefixed("g_") + LINE), "intercept"),
    ],
    ids=repr,
)
def test_a_sum_has_one_constant(sum_, kept):
    assert kept in sum_.parameters
    assert constant_of(sum_.expression, sum_.parameters) == kept
    # The derivatives at some points are linearly independent.
    values = function_of(sum_.expression, sum_.variables, sum_.parameters, arrays=True)
    p = np.linspace(1, 2, len(sum_.parameters))
    x = np.linspace(0.1, 5, 40)
    slopes = [values(x, *(p + 1e-6 * (np.arange(p.size) == k))) - values(x, *p) for k in range(p.size)]
    slopes = np.array(slopes) / np.linalg.norm(slopes, axis=1, keepdims=True)
    assert np.linalg.svd(slopes, compute_uv=False)[-1] > 1e-5


def test_brackets_do_not_matter():
    a, b = GAUSSIAN.prefixed("a_"), LORENTZIAN.prefixed("b_")
    assert ((a + b) + LINE).expression == (a + (b + LINE)).expression
    assert ((a + b) + LINE).terms == (a, b, LINE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GAUSSIAN + GAUSSIAN,
            r"both have a parameter `amplitude`: give one .* `model.prefixed\('a_'\)`",
        ),
        (lambda: GAUSSIAN + GAUSSIAN_2D, "as many variables"),
        (lambda: GAUSSIAN.prefixed("1"), "must be names"),
        (lambda: GAUSSIAN.prefixed(2), "`prefix` must be a string"),
        (lambda: (GAUSSIAN + LINE).prefixed("a_"), "goes with the terms"),
    ],
)
def test_bad_sums(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_and_something_else():
    with pytest.raises(TypeError):
        GAUSSIAN + 1


def test_expressions():
    assert renamed("gamma(a) * gamma + a", {"a": "b", "gamma": "g"}) == "gamma(b) * g + b"
    assert constant_of("a * x + b - c", ["a", "b", "c"]) == "c"
    assert constant_of("a * x + b * a", ["a", "b"]) is None
    assert constant_of("low + (high - low) * x", ["low", "high"]) is None
    assert constant_of("(a * x + c)", ["a", "c"]) == "c"
    assert without("c - a * x", "c") == "-(a * x)"
    assert without("a * x - (b - x) + c", "c") == "a * x - (b - x)"
    assert without("c", "c") is None
    assert total(["a * x", "b - c"]) == "a * x + b - c"


@pytest.mark.parametrize("make", [lambda: TWO, lambda: GAUSSIAN_2D + PLANE, lambda: Model(own) + GAUSSIAN])
def test_values_are_those_of_the_terms(make):
    model = make()
    x = X if len(model.variables) == 1 else np.stack([X, X[::-1]])
    p = np.linspace(1, 2, len(model.parameters))
    parts = model.components(x, *p)
    assert list(parts) == [term.name for term in model.terms]
    assert_allclose(model(x, *p), sum(parts.values()), rtol=1e-14)
    with pytest.raises(TypeError, match="parameters"):
        model.components(x, 1.0)


def test_copies():
    again = pickle.loads(pickle.dumps(TWO))
    assert again.parameters == TWO.parameters
    assert again.expression == TWO.expression
    p = np.linspace(1, 2, len(TWO.parameters))
    assert_array_equal(again.guess(X, TWO(X, *p)), TWO.guess(X, TWO(X, *p)))
    prefixed = pickle.loads(pickle.dumps(GAUSSIAN.prefixed("a_")))
    assert prefixed.parameters == ("a_amplitude", "a_center", "a_sigma", "a_offset")


# --- Guesses --------------------------------------------------------------------------------------

# Ranges of the parameters; the noise has a standard deviation of 0.3.
PEAK = [(5, 20), (15, 40), (2, 6)]
SUMS = {
    "two peaks, line": (TWO, [*PEAK, (5, 20), (55, 90), (2, 6), (-0.1, 0.1), (-5, 5)]),
    "close peaks": (
        GAUSSIAN.prefixed("a_") + GAUSSIAN.prefixed("b_") + CONSTANT,
        [(5, 20), (30, 40), (2, 4), (5, 20), (50, 60), (2, 4), (-5, 5)],
    ),
    "two kinds": (
        GAUSSIAN.prefixed("g_") + LORENTZIAN.prefixed("l_"),
        [*PEAK, (5, 20), (55, 90), (2, 6), (-5, 5)],
    ),
    "decay and dip": (
        EXPONENTIAL + LORENTZIAN.prefixed("l_"),
        [(20, 50), (0.02, 0.1), (-9, -5), (30, 70), (2, 5), (-5, 5)],
    ),
    "parabola": (GAUSSIAN + QUADRATIC, [(-20, -5), (30, 70), (2, 6), (-0.01, 0.01), (-0.5, 0.5), (-5, 5)]),
    "own background": (GAUSSIAN + Model("m * sqrt(x) + q"), [*PEAK, (-2, 2), (-5, 5)]),
    "sine and line": (models.SINE + LINE, [(3, 9), (0.2, 1.5), (-3, 3), (-0.2, 0.2), (-5, 5)]),
}


@pytest.mark.parametrize("name", SUMS)
def test_fits_from_the_guess_reach_the_best(name):
    model, ranges = SUMS[name]
    values = function_of(model.expression, model.variables, model.parameters, arrays=True)
    rng = np.random.default_rng(1)
    truth = rng.uniform(*np.transpose(ranges), (SETS, len(ranges)))
    y = np.stack([values(X, *p) for p in truth]) + 0.3 * rng.standard_normal((SETS, X.size))
    guesses = model.guess.of_all(X[None, None], y, np.ones(y.shape, bool))
    reached = []
    for f in range(SETS):
        costs = [
            least_squares(lambda p: np.nan_to_num(values(X, *p) - y[f], nan=1e30), p, x_scale="jac").cost  # noqa: B023
            for p in (guesses[f], truth[f])
        ]
        reached.append(costs[0] <= costs[1] * (1 + 1e-5))
    assert np.mean(reached) >= (0.95 if JIT else 1)
    some = [0, SETS - 1]
    assert_array_equal(model.guess.of_all(X[None, None], y[some], np.ones((2, X.size), bool)), guesses[some])


def test_like_peaks_come_from_left_to_right():
    rng = np.random.default_rng(2)
    y = TWO(X, 3, 70, 4, 15, 30, 5, 0.05, 1) + 0.1 * rng.standard_normal(X.size)
    guess = dict(zip(TWO.parameters, TWO.guess(X, y), strict=True))
    assert abs(guess["a_center"] - 30) < 5
    assert abs(guess["b_center"] - 70) < 5


def test_units_and_origins():
    rng = np.random.default_rng(3)
    y = TWO(X, 5, 30, 4, 15, 70, 5, 0.05, 1) + 0.1 * rng.standard_normal(X.size)
    curve = TWO(X, *TWO.guess(X, y))
    x = (X + 500) * 2.0**-20
    z = (y - 300) * 2.0**30
    assert_allclose(TWO(x, *TWO.guess(x, z)), (curve - 300) * 2.0**30, rtol=1e-6)


@pytest.mark.long
def test_spots_in_turn():
    model = GAUSSIAN_2D.prefixed("a_") + GAUSSIAN_2D.prefixed("b_") + PLANE
    x = np.array(np.meshgrid(np.arange(24.0), np.arange(24.0))).reshape(2, -1)
    truth = np.array([10, 6, 7, 2, 3, 8, 17, 16, 3, 2, 0.1, 0.05, 1])
    values = function_of(model.expression, model.variables, model.parameters, arrays=True)
    y = values(x, *truth) + 0.2 * np.random.default_rng(4).standard_normal(x.shape[1])
    found = least_squares(lambda p: values(x, *p) - y, model.guess(x, y), x_scale="jac").x
    assert_allclose(found, truth, rtol=0.2)


def test_terms_without_guesses_leave_the_start_to_the_search():
    assert (Model("a * exp(-k * x)") + GAUSSIAN).guess is None


# --- Fits ------------------------------------------------------------------------------------------


def test_a_fit_of_a_sum():
    """Also with an own function as a term, where dual numbers give the derivatives."""
    rng = np.random.default_rng(5)
    truth = [5, 30, 4, 15, 70, 5, 0.05, 1]
    y = TWO(X, *truth) + 0.1 * rng.standard_normal((3, X.size))
    fit = nbadam.curve_fit(TWO, X, y)
    assert fit.success.all()
    assert (np.abs((fit.popt - truth) / fit.perr) < 5).all()


@pytest.mark.skipif(not JIT, reason="plain Python takes differences")
def test_a_fit_with_an_own_function():
    model = Model(own) + GAUSSIAN
    y = model(X, 2, 0.5, 5, 50, 4, 1)
    fit = nbadam.curve_fit(model, X, y, p0=[2.1, 0.45, 4, 48, 3, 0])
    assert fit.derivatives == "exact"
    assert_allclose(fit.popt, [2, 0.5, 5, 50, 4, 1], rtol=1e-6)
