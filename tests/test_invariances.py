"""Runs with automatic rates in other units: of the value, of the variables, and with a constant added."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from numpy.testing import assert_allclose, assert_array_equal

import nbadam

pytestmark = pytest.mark.long


def bowl(n, seed):
    """Return a quadratic with a random minimum and curvatures over a factor of 100, and that minimum."""
    rng = np.random.default_rng(seed)
    center, curvature = rng.standard_normal(n), 10.0 ** rng.uniform(-1, 1, n)

    def fun(x):
        return float(0.5 * curvature @ (x - center) ** 2), curvature * (x - center)

    return fun, center


def run(fun, x0, constant=0.0, height=1.0, scale=1.0, shift=0.0, **options):
    """Return the result with another value and other variables, and its point in the old ones."""

    def other(x):
        f, g = fun((x - shift) * scale)
        return height * f + constant, height * scale * g

    result = nbadam.adam(other, np.asarray(x0) / scale + shift, jac=True, **options)
    return result, (result.x - shift) * scale


STARTS = st.sampled_from(["elsewhere", "zero", "mixed"])


def start(kind, n, seed):
    x0 = 2.0 + np.random.default_rng(seed + 1).random(n)
    return x0 * {"elsewhere": 1.0, "zero": 0.0, "mixed": np.arange(n) % 2}[kind]


@settings(max_examples=25)
@given(
    st.integers(1, 4),
    st.integers(0, 1000),
    STARTS,
    st.sampled_from([-1, 1]),
    st.integers(-3, 8),
)
def test_a_constant_added_to_the_value_changes_nothing_but_rounding(n, seed, kind, sign, power):
    fun, _ = bowl(n, seed)
    x0 = start(kind, n, seed)
    _, one = run(fun, x0, steps=60)
    _, other = run(fun, x0, constant=sign * 10.0**power, steps=60)
    assert_array_equal(one, other)  # the values decide nothing but ends


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 1000), STARTS, st.floats(-30, 30))
def test_the_unit_of_the_value_changes_nothing_but_rounding(n, seed, kind, power):
    fun, _ = bowl(n, seed)
    x0 = start(kind, n, seed)
    _, one = run(fun, x0, steps=60)
    _, other = run(fun, x0, height=10.0**power, steps=60)
    assert_allclose(other, one, rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 1000), st.data())
def test_units_of_variables_change_nothing_but_rounding(n, seed, data):
    fun, _ = bowl(n, seed)
    scale = 10.0 ** np.array(data.draw(st.lists(st.floats(-12, 12), min_size=n, max_size=n)))
    x0 = start("elsewhere", n, seed)
    _, one = run(fun, x0, steps=60)
    _, other = run(fun, x0, scale=scale, steps=60)
    assert_allclose(other, one, rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 1000), STARTS, st.integers(-10, 10))
def test_a_power_of_4_in_the_unit_of_all_variables_changes_no_bit(n, seed, kind, power):
    fun, _ = bowl(n, seed)
    x0 = start(kind, n, seed)
    _, one = run(fun, x0, steps=60)
    _, other = run(fun, x0, scale=4.0**power, steps=60)
    assert_array_equal(other, one)


@pytest.mark.parametrize("kind", ["elsewhere", "zero", "mixed"])
@pytest.mark.parametrize(
    "units",
    [
        {},
        {"constant": -1e8},
        {"constant": 1e8},
        {"height": 1e-12},
        {"height": 1e12},
        {"scale": 1e-6},
        {"scale": 1e6},
        {"shift": 100.0},
    ],
    ids=str,
)
def test_runs_to_their_end_find_the_minimum_in_any_units(units, kind):
    fun, center = bowl(3, 7)
    result, x = run(fun, start(kind, 3, 7), **units)
    assert result.success
    # Rounding of a value of 1e8 hides excesses below 1e-8.
    assert_allclose(x, center, atol=2e-3 if "constant" in units else 1e-4)


def test_a_value_of_0_at_a_start_of_0_in_small_units():
    def fun(x):
        return float(1e12 * x @ x - 2e6 * x.sum()), 2e12 * x - 2e6  # least at 1e-6

    seen = []

    def noted(x):
        seen.append(np.abs(x).max())
        return fun(x)

    result = nbadam.adam(noted, np.zeros(2), jac=True)
    assert result.success
    assert_allclose(result.x, 1e-6, rtol=1e-3)
    assert max(seen[-result.nit :]) < 1e-5  # but for the probes


def test_probes_of_what_overflows_come_back():
    def fun(x):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(np.exp(1e4 * x) - 2e4 * x)), 1e4 * np.exp(1e4 * x) - 2e4

    result = nbadam.adam(fun, np.zeros(2), jac=True)
    assert result.success
    assert_allclose(result.x, np.log(2) / 1e4, rtol=1e-3)


def test_probes_stay_within_the_bounds_and_end_where_there_is_no_room_or_no_curvature():
    points = []

    def fun(x):
        points.append(x.copy())
        return float(x.sum()), np.ones(2)

    result = nbadam.adam(fun, np.zeros(2), jac=True, bounds=[(-1, 1), (0, 1)])
    assert_allclose(result.x, [-1, 0])
    assert np.min(points, axis=0).min() >= -1
    line = nbadam.adam(fun, np.zeros(2), jac=True, steps=10)
    assert line.nfev < 10 + 30
    assert np.isfinite(line.x).all()
    assert (line.x < 0).all()


# --- Values without gradients --------------------------------------------------------------------

NOISES = {
    "random": lambda f, rng: f + 0.1 * rng.standard_normal(),
    "stepped": lambda f, rng: round(2 * f) / 2,  # to which an integer is added without rounding
    "counted": lambda f, rng: float(rng.poisson(20 + 10 * min(f, 1e9))),
}
SCHEMES = st.sampled_from([{}, {"finite_diff": "spsa"}])


def run_values(noise, n, seed, constant=0.0, height=1.0, scale=1.0, shift=0.0, **options):
    """Return the result for noisy values of a bowl in other units, and its point in the old ones."""
    fun, center = bowl(n, seed)
    rng = np.random.default_rng(seed)

    def other(x):
        return height * NOISES[noise](fun((x - shift) * scale)[0], rng) + constant

    x0 = center + 2.0 * rng.choice([-1, 1], n)
    result = nbadam.adam(other, x0 / scale + shift, **options)
    return result, (result.x - shift) * scale


@settings(max_examples=8 if config.DISABLE_JIT else 25, deadline=None)
@given(st.sampled_from(["random", "counted"]), st.integers(1, 4), st.integers(0, 1000), SCHEMES, st.data())
def test_noisy_values_in_other_units_change_nothing_but_rounding(noise, n, seed, scheme, data):
    options = scheme | {"maxfun": 80, "rng": 0}
    scale = 10.0 ** np.array(data.draw(st.lists(st.floats(-12, 12), min_size=n, max_size=n)))
    changes = {
        "shift": st.integers(-1000, 1000).map(lambda k: {"shift": float(k)}),
        "constant": st.integers(-10_000, 10_000).map(lambda c: {"constant": c}),
        "height": st.floats(-30, 30).map(lambda power: {"height": 10.0**power}),
        "scale": st.just({"scale": scale, "x_scale": 1 / scale}),
    }
    change = data.draw(st.sampled_from(list(changes)).flatmap(changes.__getitem__))
    _, one = run_values(noise, n, seed, **options)
    _, other = run_values(noise, n, seed, **options, **change)
    assert_allclose(other, one, atol=1e-3)  # fits to values of little noise amplify rounding


@settings(max_examples=5 if config.DISABLE_JIT else 10, deadline=None)
@given(st.integers(1, 4), st.integers(0, 1000), SCHEMES, st.integers(-10_000, 10_000), st.integers(-60, 60))
def test_constants_and_units_that_round_nothing_change_nothing_on_steps(n, seed, scheme, constant, power):
    options = scheme | {"maxfun": 80, "rng": 0}
    _, one = run_values("stepped", n, seed, **options)
    _, other = run_values("stepped", n, seed, **options, constant=constant)
    assert_allclose(other, one, atol=1e-3)
    _, other = run_values("stepped", n, seed, **options, height=2.0**power)
    assert_allclose(other, one, atol=1e-3)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_the_unit_of_all_variables_is_found_by_the_response(noise, scale):
    fun, center = bowl(3, 7)
    for seed in (7, 8):
        _, x = run_values(noise, 3, seed, scale=scale, maxfun=400)
        fun, center = bowl(3, seed)
        assert fun(x)[0] < 0.02 * fun(center + 2)[0]


# --- Tolerances ----------------------------------------------------------------------------------


def test_ftol_is_not_met_by_chance_on_counts():
    ends = []
    for seed in range(3 if config.DISABLE_JIT else 10):
        rng = np.random.default_rng(seed)

        def counts(x, rng=rng):
            mean = 20 + (x[0] - 30) ** 2
            return float(rng.poisson(mean)), np.array([2 * (x[0] - 30) + rng.standard_normal()])

        options = {"learning_rate": 0.001, "maxiter": 1500}
        ends.append(nbadam.adam(counts, [0.0], jac=True, ftol=1e-3, **options))
    assert not any(end.success for end in ends)


def test_ftol_is_met_by_noisy_values_that_are_exact_enough():
    rng = np.random.default_rng(0)

    def noisy(x):
        return float((x[0] - 3) ** 2 + 1e-3 * rng.standard_normal()), 2 * (x - 3)

    result = nbadam.adam(noisy, [0.0], jac=True, ftol=1e-2, gtol=0)
    assert result.success
    assert "`ftol`" in result.message
    assert_allclose(result.x, 3, atol=0.1)


def test_patience_sees_new_values_where_the_gradient_comes_alone():
    values = 0

    def value(x):
        nonlocal values
        values += 1
        return float(x @ x)

    nbadam.adam(value, [1.0], jac=lambda x: 2 * x, patience=20, steps=200, learning_rate=0.001)
    assert values > 100
