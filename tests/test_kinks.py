"""Minima at kinks: success where gradients cancel, none where they only turn about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from numpy.testing import assert_allclose
from scipy.optimize import linprog, minimize, rosen, rosen_der

import nbadam
from nbadam.methods.kinks import least_combination


def sizes(n, seed):
    rng = np.random.default_rng(seed)
    center, weight = rng.standard_normal(n), 10.0 ** rng.uniform(-1, 1, n)
    return lambda x: (float(weight @ np.abs(x - center)), weight * np.sign(x - center)), 0.0


def deviations(n, seed):
    rng = np.random.default_rng(seed)
    a, y = rng.standard_normal((3 * n + 2, n)), rng.standard_t(2, 3 * n + 2)
    m = len(y)
    cost, one = np.r_[np.zeros(n), np.ones(m)], np.eye(m)
    bounds = [(None, None)] * n + [(0, None)] * m
    least = linprog(cost, np.block([[a, -one], [-a, -one]]), np.r_[y, -y], bounds=bounds).fun
    return lambda x: (float(np.abs(a @ x - y).sum()), a.T @ np.sign(a @ x - y)), least


def lasso(n, seed):
    rng = np.random.default_rng(seed)
    curvature, center = 10.0 ** rng.uniform(-1, 1, n), 3 * rng.standard_normal(n)
    at = np.sign(center) * np.maximum(np.abs(center) - 1 / curvature, 0)

    def fun(x):
        d = x - center
        return float((0.5 * curvature * d * d + np.abs(x)).sum()), curvature * d + np.sign(x)

    return fun, fun(at)[0]


def largest(n, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((3 * n + 2, n)), rng.standard_normal(3 * n + 2)
    a -= a.mean(axis=0)
    least = linprog(
        np.r_[np.zeros(n), 1], np.c_[a, -np.ones(len(b))], -b, bounds=[(None, None)] * (n + 1)
    ).fun

    def fun(x):
        k = int(np.argmax(a @ x + b))
        return float(a[k] @ x + b[k]), a[k].copy()

    return fun, least


KINKS = {kind.__name__: kind for kind in (sizes, deviations, lasso, largest)}


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="thousands of steps")
@pytest.mark.parametrize("kind", KINKS)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_minima_at_kinks_are_a_success(kind, n):
    fun, least = KINKS[kind](n, n)
    start = 5 * np.random.default_rng(n).choice([-1.0, 1.0], n)
    result = nbadam.adam(fun, start, jac=True, maxiter=10_000)
    assert result.success, result.message
    assert result.fun - least < 1e-4 * (fun(start)[0] - least)
    assert ("kink" in result.message) != ("L-BFGS-B" in result.message)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="thousands of steps")
@pytest.mark.parametrize("kind", KINKS)
def test_minima_at_kinks_are_a_success_with_a_separate_gradient(kind):
    fun, least = KINKS[kind](3, 0)
    result = minimize(lambda x: fun(x)[0], np.full(3, 3.0), jac=lambda x: fun(x)[1], method=nbadam.adam)
    assert result.success, result.message
    assert result.fun - least <= 1e-3 * (fun(np.full(3, 3.0))[0] - least)


def test_a_minimum_at_a_kink_is_a_success_by_values_alone():
    fun, _ = sizes(2, 3)
    result = minimize(lambda x: fun(x)[0], [5.0, -5.0], method=nbadam.adam, options={"maxiter": 2000})
    assert result.success
    assert "kink" in result.message
    assert result.fun < 1e-4 * fun(np.array([5.0, -5.0]))[0]


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="thousands of steps")
def test_gradients_at_bounds_need_not_cancel():
    center, upper = np.array([1.0, 2.0, -1.0]), np.array([np.inf, 0.5, np.inf])

    def fun(x):
        return float(np.abs(x - center).sum()), np.sign(x - center)

    bounds = list(zip([None] * 3, upper, strict=True))
    result = nbadam.adam(fun, [5.0, -5.0, -5.0], jac=True, bounds=bounds, maxiter=10_000)
    assert result.success and "kink" in result.message
    assert_allclose(result.x, np.minimum(center, upper), atol=1e-3)


def steep_valley(x):
    """Valley of kinks whose floor falls a thousand times less steeply than its walls."""
    across, along = np.sign(x[1] - x[0]), np.sign(x[0] + x[1])
    value = 1000 * abs(x[1] - x[0]) + abs(x[0] + x[1])
    return float(value), np.array([along - 1000 * across, along + 1000 * across])


def chain(x):
    force = np.diff(np.r_[0.0, x, 0.0])
    return float(0.5 * force @ force - x.sum()), -np.diff(force) - 1


def narrow(x):
    d = x @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * [1e3, 1.0]
    return float(0.5 * d @ d), np.array([[0.8, 0.6], [-0.6, 0.8]]) @ (d * [1e3, 1.0])


def rosenbrock(x):
    return float(rosen(x)), rosen_der(x)


SLOW = {
    "steep valley": (steep_valley, [30.0, 29.0], 0.0),
    "chain": (chain, [0.1] * 200, -200 * 201 * 202 / 24),
    "narrow": (narrow, [3.0, 4.0], 0.0),
    "Rosenbrock": (rosenbrock, [-50.0, 80.0] * 2, 0.0),
    "quartic": (lambda x: (float((x**4).sum()), 4 * x**3), [3.0, -50.0], 0.0),
}


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="thousands of steps")
@pytest.mark.parametrize("kind", SLOW)
@pytest.mark.parametrize("maxiter", [300, 1000, 3000])
def test_no_success_before_the_end(kind, maxiter):
    fun, start, least = SLOW[kind]
    result = nbadam.adam(fun, np.array(start), jac=True, maxiter=maxiter)
    left = (result.fun - least) / (fun(np.array(start))[0] - least)
    assert not result.success or left < 1e-4


@pytest.mark.lowest
@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000), st.floats(-100, 100), st.booleans())
def test_the_least_combination(n, seed, power, is_around_0):
    gradients = np.random.default_rng(seed).standard_normal((30 * n, n)) * 10.0**power
    shift = np.zeros(n)
    if not is_around_0:
        shift[0] = 10 * 10.0**power
    least = least_combination(gradients + shift)
    size = np.linalg.norm(least) / 10.0**power
    if is_around_0:
        assert size < (1e-9 if n < 4 else 0.3)
    else:  # no point of the hull is nearer: each lies beyond the plane through the least one
        assert ((gradients + shift) @ least >= (1 - 1e-9) * (least @ least)).all()


def test_a_single_gradient_is_its_own_combination():
    assert_allclose(least_combination(np.array([[3.0, -4.0]])), [3, -4])
