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
