"""Steps of differences by their effect: in any units, wherever zero lies."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import nbadam
from nbadam.methods.differences import Differences

# Functions of variables whose scale is about 1, and their derivatives.
SMOOTH = {
    "parabola": (lambda u: (u - 0.3) ** 2 + 1, lambda u: 2 * (u - 0.3)),
    "growth": (np.exp, np.exp),
    "wave": (lambda u: 2 + np.sin(u), np.cos),
    "line": (lambda u: 3 * u + 1, lambda u: 3 + 0 * u),
    "quartic": (lambda u: (u - 2) ** 4, lambda u: 4 * (u - 2) ** 3),
    "kink": (lambda u: np.abs(u - 4), lambda u: np.sign(u - 4)),
}


def differences(n, lower=-np.inf, upper=np.inf):
    return Differences("2-point", np.full(n, lower, float), np.full(n, upper, float))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(SMOOTH)),
    st.integers(-50, 50),
    st.floats(-1e7, 1e7),
    st.lists(st.floats(-3, 3), min_size=1, max_size=3),
)
def test_gradients_in_any_unit_and_from_any_zero(kind, power, shift, u):
    of_one, slope = SMOOTH[kind]
    unit = 2.0**power
    x = unit * (np.array(u) + shift)
    here = x / unit - shift  # as rounding allows

    def value(x):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(of_one(x / unit - shift).sum())

    estimate = differences(x.size)
    estimate.count = 0
    estimate._suit(value, x, value(x), 2.0**-52 * abs(value(x)))
    gradient = estimate.gradient(value, x, value(x)) * unit
    size = 1 + abs(value(x))
    # Functions of a large x have the rounding error of x, with which they are evaluated.
    assert_allclose(gradient, slope(here), atol=3e-6 * size * (1 + 1e-4 * abs(shift) ** 0.5))


def bowl(u):
    return float((u[0] - 3) ** 2 + np.exp(0.3 * u[1]) - u[1] + 0.1 * (u[0] - u[1]) ** 2)


LOWEST = minimize(bowl, [1, 2], method="Nelder-Mead", options={"xatol": 1e-12, "fatol": 1e-15})


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("unit", [1e-17, 1e-6, 1.0, 1e6, 1e17])
@pytest.mark.parametrize("shift", [0.0, 1e3, 2459000.0])
def test_minima_in_any_unit_and_from_any_zero(unit, shift):
    start = unit * (np.array([1.0, 2.0]) + shift)
    result = minimize(lambda x: bowl(x / unit - shift), start, method=nbadam.adam)
    assert result.success
    assert_allclose(result.x / unit - shift, LOWEST.x, atol=1e-5)


def test_no_evaluation_leaves_the_bounds():
    lower, upper = np.array([0.0, -1.0, 2.0]), np.array([1.0, 1e-3, 2.0])

    def value(x):
        assert (lower <= x).all() and (x <= upper).all()
        return float(np.sqrt(x[0]) + np.exp(x[1]) + x[2])

    result = minimize(value, [0.5, 0.0, 2.0], method=nbadam.adam, bounds=list(zip(lower, upper, strict=True)))
    assert_allclose(result.x, [0, -1, 2], atol=1e-6)


def test_a_continued_run_takes_the_same_steps():
    options = {"method": nbadam.adam, "tol": None}
    whole = minimize(bowl, [1, 2], options={"maxiter": 40, "steps": 40}, **options)
    part = minimize(bowl, [1, 2], options={"maxiter": 15, "steps": 40}, **options)
    rest = minimize(bowl, [1, 2], options={"maxiter": 40, "steps": 40, "state": part.state}, **options)
    assert_array_equal(rest.x, whole.x)
    assert rest.nfev == whole.nfev


def test_given_steps_and_schemes_are_kept():
    seen = []

    def value(x):
        seen.append(float(x[0]))
        return float(x[0] ** 2)

    minimize(value, [2459000.0], jac="2-point", method=nbadam.adam, options={"maxiter": 1})
    assert seen[0] + 2459000.0 * 2**-26 in seen


UNBOUNDED = {
    "saddle": lambda u: float(u[0] * u[1] - u[1]),
    "line": lambda u: float(u.sum()),
    "mixed": lambda u: float((u[0] - 3) ** 2 + np.exp(0.3 * u[1]) + 0.1 * u[0] * u[1]),
}


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="10,000 steps and more")
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("kind", UNBOUNDED)
def test_values_without_a_minimum_are_no_success(kind):
    result = minimize(UNBOUNDED[kind], [1.0, 2.0], method=nbadam.adam)
    assert not result.success


# Functions whose terms cancel near their minimum at 1, by variable, and their derivatives.
CANCELLING = {
    "log(cosh)": (lambda d: np.log(np.cosh(d)), np.tanh),
    "1 - cos": (lambda d: 1 - np.cos(d), np.sin),
    "expanded": (lambda d: (1 + d) ** 2 - 2 * (1 + d) + 1, lambda d: 2 * d),
    "deviance": (lambda d: d - np.log(1 + d), lambda d: d / (1 + d)),
}


@pytest.mark.parametrize("kind", CANCELLING)
@pytest.mark.parametrize("power", [-3, -5, -7])
def test_terms_that_cancel_are_no_more_exact_than_they_are(kind, power):
    """Near the minimum the value is far less than the terms whose rounding it has."""
    of_one, slope = CANCELLING[kind]
    d = 10.0**power * np.array([1.0, -0.7, 0.3])

    def value(x):
        return float(of_one(x - 1).sum())

    estimate, x = differences(3), 1 + d
    estimate._suit(value, x, value(x), 2.0**-52 * abs(value(x)))
    assert_allclose(estimate.gradient(value, x, value(x)), slope(d), atol=1e-6)
    result = minimize(value, [0.5, 1.4, 1.9], method=nbadam.adam)
    assert result.success
    assert result.nfev < 5000
    assert_allclose(result.x, 1, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-17, 1.0, 1e6])
def test_a_variable_without_effect_at_the_start(unit):
    """Where the value does not depend on a variable, no step suits it: longer ones are found later."""

    def value(x):
        a, b = x / unit
        return float(((np.array([1.5, 2.25, 2.625]) - a * (1 - b ** np.arange(1, 4))) ** 2).sum())

    result = minimize(value, [unit, unit], method=nbadam.adam)
    assert result.success
    assert result.nfev < 5000
    assert_allclose(result.x / unit, [3, 0.5], rtol=1e-4)


@pytest.mark.parametrize("start", [[0.0, 0.0], [1.0, -1.0], [0.5, 0.0]])
def test_a_kink_far_off_is_not_taken_for_noise(start):
    """Up to there the value does not depend on one of the variables."""

    def value(x):
        return float(np.abs(x - [0.0, 2.0]).max())

    estimate, x = differences(2), np.array(start)
    estimate._suit(value, x, value(x), 2.0**-52 * abs(value(x)))
    assert (estimate.absolute < 1e-6).all()
    result = minimize(value, start, method=nbadam.adam)
    assert not result.success or value(result.x) < 1e-3 * value(x)


EDGES = {
    "arcsin": (1.0, lambda x: (np.arcsin(x) - 0.3) ** 2, np.sin(0.3)),
    "sqrt": (0.0, lambda x: (np.sqrt(x) - 1) ** 2, 1.0),
    "x log(x)": (1e-3, lambda x: x * np.log(x) - x if x > 0 else np.nan, 1.0),
    "from above": (2.0, lambda x: (x - 0.5) ** 2 if x <= 2 else np.inf, 0.5),
    "from below": (-1.0, lambda x: (x - 0.5) ** 2 if x >= -1 else np.inf, 0.5),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("kind", EDGES)
def test_a_start_where_the_domain_ends(kind):
    start, fun, least = EDGES[kind]
    result = minimize(lambda x: float(fun(x[0]) + (x[1] - 1) ** 2), [start, 0.0], method=nbadam.adam)
    assert result.success
    assert_allclose(result.x, [least, 1], atol=1e-3)


def test_steps_are_not_those_of_probes_far_off():
    """Variables that start at 0 get their sizes by probes, whose steps would be too long."""

    def value(x):
        u = 1e17 * x
        return float((100 * (u[1:] - u[:-1] ** 2) ** 2 + (1 - u[:-1]) ** 2).sum())

    result = minimize(value, np.zeros(4), method=nbadam.adam)
    assert result.success
    assert value(result.x) < 1e-6


def test_smooth_values_that_overflow_do_not_warn():
    estimate = differences(1)
    estimate._suit(lambda x: float(np.float64(1e300) * x[0] ** 4), np.array([1e3]), np.inf, 1.0)
    x = np.array([1e1])
    estimate._suit(lambda x: float(1e300 * x[0] ** 2) if x[0] < 20 else np.inf, x, np.float64(1e302), 1.0)
    assert np.isfinite(estimate.absolute).all()


@pytest.mark.parametrize("power", [1 / 3, 1 / 2, 0.6])
@pytest.mark.parametrize("start", [0.0, 2.0, -3e5])
@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_an_infinite_slope_does_not_shrink_the_step(power, start, constant):
    """Second differences fall with the step as those of no smooth function: shorter ones see no curvature."""
    estimate = differences(1)
    estimate._suit(lambda x: constant + abs(x[0] - start) ** power, np.array([start]), constant, 2.0**-52)
    assert_allclose(estimate.absolute, 2.0**-26 * (abs(start) or 1.0))
