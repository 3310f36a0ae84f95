"""What the tests of methods share: problems, calls, and the comparison of two results."""

import numpy as np
from numba import njit
from numpy.testing import assert_array_equal
from scipy.optimize import minimize

import nbadam

FAST = {"learning_rate": 0.1}


def paraboloid(x, a=1.0):
    """Value and gradient of a bowl whose minimum is at (a, 2 a, ..., n a)."""
    centre = a * np.arange(1, x.size + 1)
    return float(np.sum((x - centre) ** 2)), 2 * (x - centre)


def value(x, a=1.0):
    return paraboloid(x, a)[0]


def slope(x, a=1.0):
    return paraboloid(x, a)[1]


def noisy(seed=0):
    """Return the bowl with noise of its own in the value and the gradient."""
    rng = np.random.default_rng(seed)

    def fun(x):
        f, g = paraboloid(x)
        return f + rng.normal(), g + rng.normal(size=x.size)

    return fun


@njit
def compiled_bowl(x, center):
    """Value and gradient of a bowl whose minimum is at (center, center, ...)."""
    g = np.empty_like(x)
    f = 0.0
    for i in range(x.size):
        g[i] = 2 * (x[i] - center)
        f += (x[i] - center) ** 2
    return f, g


def fit(fun=paraboloid, x0=(0.0, 0.0, 0.0), jac=True, **options):
    """Minimize by `nbadam.adam`, or another method; what is no argument of `minimize` is an option."""
    arguments = {k: options.pop(k) for k in ("args", "bounds", "callback", "method", "tol") if k in options}
    return minimize(fun, x0, jac=jac, options=FAST | options, **{"method": nbadam.adam, **arguments})


def assert_same(first, second, *, but=()) -> None:
    """Assert that two results have the same bits, state and history included."""
    assert first.keys() == second.keys()
    for name in first.keys() - {"state", "history", *but}:
        assert_array_equal(first[name], second[name], err_msg=name)
    for name in ("step", "fun", "grad_norm", "learning_rate"):
        assert_array_equal(getattr(first.history, name), getattr(second.history, name), err_msg=name)
    assert_same_state(first.state, second.state)


def assert_same_state(first, second) -> None:
    """Assert that two states have the same bits."""
    assert first.facts == second.facts
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        assert_array_equal(array, second.arrays[name], err_msg=name)
