"""Values of models outside of fits: those of the compiled function, also where plain Python raises."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from nbadam import Model, curve_fit, models

X = np.linspace(0, 100, 60)


def logistic(x, height, rate, middle):
    return height / (1 + math.exp(-rate * (x - middle)))


def logistic_of_arrays(x, height, rate, middle):
    return height / (1 + np.exp(-rate * (x - middle)))


def test_a_model_that_overflows_is_evaluated_and_plotted():
    """`math.exp` raises in plain Python."""
    x = np.concatenate([np.linspace(0, 100, 20), np.linspace(49.5, 50.5, 40)])
    y = 3 / (1 + np.exp(-np.clip(15 * (x - 50), -700, 700))) + 0.02 * np.sin(X**2)
    fit = curve_fit(logistic, x, y, [2, 12, 50])
    with np.errstate(over="ignore"):
        expected = logistic_of_arrays(X, *fit.popt)
    assert_allclose(fit.model(X, *fit.popt), expected, rtol=1e-12, atol=1e-300)
    pytest.importorskip("matplotlib").use("Agg")
    assert np.isfinite(fit.plot().lines[-1].get_ydata()).all()


EDGES = {
    "exp": (lambda x, a: a * math.exp(x), [710.0, 800.0, -800.0, 1.0]),
    "log": (lambda x, a: a * math.log(x), [-1.0, 0.0, 2.0]),
    "sqrt": (lambda x, a: a * math.sqrt(x), [-1.0, 0.0, 4.0]),
    "divide": (lambda x, a: a / x, [0.0, -0.0, 2.0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_have_the_values_of_numpy(name):
    function, x = EDGES[name]
    numpy_function = {"divide": lambda x: 1 / x}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        expected = 2 * numpy_function(np.array(x))
    if not numba.config.DISABLE_JIT or name in ("exp", "log", "divide"):
        assert_allclose(Model(function)(x, 2.0), expected, rtol=1e-14)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Python's `math.pow` raises")
def test_a_power_of_a_negative_number():
    assert_array_equal(np.isnan(Model(lambda x, a: a * math.pow(x, 1.5))([-1.0, 2.0], 1.0)), [True, False])


@given(st.lists(st.floats(-1e3, 1e3), min_size=0, max_size=20), st.booleans())
def test_any_points(x, together):
    model = MODELS[together]
    values = model(x, 2.0, 0.5)
    assert values.shape == (len(x),)
    with np.errstate(all="ignore"):
        assert_allclose(values, 2.0 * np.exp(0.5 * np.array(x)), rtol=1e-13)


MODELS = {
    False: Model(lambda x, a, b: a * math.exp(b * x) if x == x else x),
    True: Model(lambda x, a, b: a * np.exp(b * x)),
}


def test_functions_of_arrays_are_not_compiled(monkeypatch):
    monkeypatch.setattr("nbadam.fitting.model.evaluate._kernel", None)
    assert_allclose(Model(lambda x, a: a * np.sin(x))(X, 2.0), 2 * np.sin(X))
    assert_allclose(Model(njit(lambda x, a: a * np.sin(x)))(X, 2.0), 2 * np.sin(X))
    assert_allclose(Model("a*sin(x)")(X, 2.0), 2 * np.sin(X))


def test_a_model_of_the_whole_array_has_no_values():
    with pytest.raises(ValueError, match="more of its first argument than one point"):
        Model(lambda x, a: a * x / np.max(x))(X, 2.0)
    if not numba.config.DISABLE_JIT:
        with pytest.raises(ValueError, match="cannot compile the model"):
            Model(lambda x, a: a * x[0] if x > 3 else a)(X, 2.0)


@pytest.mark.lowest
def test_several_variables_and_shipped_models():
    plane = Model(lambda p, a: a * p[0] if p[1] > 1 else a * p[1], variables=["u", "v"])
    assert_allclose(plane([[1.0, 2.0], [0.5, 3.0]], 2.0), [1.0, 4.0])
    expected = 3 * np.exp(-((X - 40) ** 2) / 200) + 1
    assert_allclose(models.GAUSSIAN(X, 3, 40, 10, 1), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="must have 2 rows"):
        plane(X, 1)
    with pytest.raises(ValueError, match="one number each"):
        models.GAUSSIAN(X, 3, [40, 41], 10, 1)
    with pytest.raises(ValueError, match="`x` must be an array of real numbers"):
        models.GAUSSIAN(X + 1j, 3, 40, 10, 1)


def test_changed_globals_are_seen():
    assert_allclose(SCALED(X, 2.0), 2 * SCALE[0] * np.maximum(X, 0))
    SCALE[0] = 5.0
    assert_allclose(SCALED(X, 2.0), 10 * X)


SCALE = np.array([3.0])
SCALED = Model(lambda x, a: a * SCALE[0] * x if x > 0 else 0.0)
