"""Faint noise: differences with steps for it, wherever zero lies and in any units."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import nbadam
from nbadam.methods.differences import Differences
from nbadam.methods.noise import noise_near
from nbadam.methods.perturbations import Perturbations

KINDS = {
    "parabola": (lambda u: (u - 0.3) ** 2, lambda u: 2 * (u - 0.3)),
    "growth": (lambda u: np.exp(0.5 * u), lambda u: 0.5 * np.exp(0.5 * u)),
    "wave": (np.sin, np.cos),
}


def noisy(kind, level, seed, unit=1.0, height=1.0, shift=0.0, constant=0.0):
    """Return a function of u, in other units and shifted; each call has noise from the same draws."""
    rng = np.random.default_rng(seed)
    of_one = KINDS[kind][0]

    def value(x):
        u = x / unit - shift
        with np.errstate(over="ignore", invalid="ignore"):
            f = float(of_one(u).sum())
        return height * (f + level * rng.standard_normal() + constant)

    return value


def differenced(u, unit=1.0, height=1.0, shift=0.0, **of_function):
    """Return the differences that are noticed, and the mean of four gradients, in the old units."""
    box = np.full(u.size, -np.inf), np.full(u.size, np.inf)
    estimate = Differences("2-point", *box, x_scale=unit)
    value = noisy(unit=unit, height=height, shift=shift, **of_function)
    x = unit * (u + shift)
    found = estimate.notice(value, x, (0,))
    gradients = [found.value_and_gradient(value, x)[1] for _ in range(4)]
    return found, np.mean(gradients, axis=0) * unit / height


# Units are powers of 2, and shifts leave the last 19 bits of `u`, so that hardly anything but `u` is rounded.
PLACES = st.lists(st.integers(-300, 300).map(lambda k: k / 128), min_size=1, max_size=3).map(np.array)
CHANGES = st.fixed_dictionaries(
    {
        "unit": st.integers(-50, 50).map(lambda p: 2.0**p),
        "height": st.integers(-50, 50).map(lambda p: 2.0**p),
        "shift": st.integers(-(10**7), 10**7).map(float),
    }
)


# Far from here the wave levels off, and the step was 0.8, the first one tried.
@example("wave", -6.0, 0, np.array([0.3515625, 1.78125, 0.0]), {"unit": 1.0, "height": 1.0, "shift": 0.0})
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.floats(-12, -6), st.integers(0, 1000), PLACES, CHANGES)
def test_gradients_are_as_exact_as_the_noise_allows_and_equal_but_for_rounding(kind, power, seed, u, changes):
    level = 10.0**power
    of_function = {"kind": kind, "level": level, "seed": seed}
    found, gradient = differenced(u, **of_function)
    if isinstance(found, Perturbations):  # a point that happens to respond little to perturbations
        return
    # The least error of a forward difference is 2 sqrt(noise curvature): Moré and Wild 2012.
    assert_allclose(gradient, KINDS[kind][1](u), atol=10 * np.sqrt(4 * level) + 1e-7)
    other, again = differenced(u, **of_function, **changes)
    assert other.scheme == found.scheme == "noise"
    assert_allclose(again, gradient, atol=0.05 * np.sqrt(level) + 1e-7)
    assert_allclose(other.noise / changes["height"], found.noise, rtol=0.02)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.floats(-9, -6),
    st.integers(0, 1000),
    PLACES,
    st.floats(-1e3, 1e3),
)
def test_a_constant_far_above_the_noise_changes_nothing_but_rounding(kind, power, seed, u, constant):
    of_function = {"kind": kind, "level": 10.0**power, "seed": seed}
    found, gradient = differenced(u, **of_function)
    other, again = differenced(u, **of_function, constant=constant)
    assert type(other) is type(found)
    if not isinstance(found, Perturbations):
        assert_allclose(again, gradient, atol=0.05 * np.sqrt(10.0**power))


@pytest.mark.parametrize("unit", [1e-17, 1e-9, 1.0, 1e9, 1e17])
@pytest.mark.parametrize("constant", [0.0, 1.0, -1e6])
@pytest.mark.parametrize("fun", [np.sin, np.cosh, lambda u: u**4])
def test_smooth_values_in_small_and_large_units_are_no_noise(fun, unit, constant):
    x, ones = unit * np.array([0.7, 1.1]), np.ones(2)

    def value(x):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(fun(x / unit).sum()) + constant

    noise = noise_near(value, x, value(x), np.maximum(ones, 1.5e-8 * x), -np.inf * ones, np.inf * ones)
    assert noise < 1e-15 * (10 + abs(constant))


@pytest.mark.parametrize(("shift", "constant", "power"), [(1e7, 0.0, 0), (0.0, 1e3, 0), (0.0, 0.0, 50)])
def test_runs_are_equal_but_for_rounding(shift, constant, power):
    def end(shift=0.0, constant=0.0, power=0):
        unit = 2.0**power
        value = noisy("parabola", 1e-6, 1, unit, 1 / unit, shift, constant)
        start = unit * (np.array([2.0, -1.0]) + shift)
        result = nbadam.adam(value, start, x_scale=unit, maxiter=60)
        return result.x / unit - shift, result.nfev

    (one, evaluations), (other, others) = end(), end(shift, constant, power)
    assert_allclose(other, one, atol=1e-6)
    assert others == evaluations
