"""Standard errors: equal to those of extended precision, or infinite; and what counts as success."""

from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbadam import Model, Status, curve_fit

mp = pytest.importorskip("mpmath").mp.clone()
mp.dps = 60
QUIET = pytest.mark.filterwarnings("ignore:.*(without success|could not be estimated)")
SLOW = numba.config.DISABLE_JIT


def exact(rows, residuals):
    """Errors and chi-square of least squares with the given rows, in 60 digits."""
    jacobian = mp.matrix(rows)
    inverse = (jacobian.T * jacobian) ** -1
    squares = mp.fsum(r * r for r in residuals)
    scale = squares / (len(rows) - len(rows[0]))
    return np.array([float(mp.sqrt(inverse[j, j] * scale)) for j in range(len(rows[0]))]), float(squares)


def numbers(values):
    return [mp.mpf(float(value)) for value in values]


# --- Families of models: the formula, rows and residuals of each point in extended precision --------


def polynomial(p, x):
    return [mp.mpf(1), x, x * x], p[0] + p[1] * x + p[2] * x * x


def decays(p, x):
    first, second = mp.exp(-p[1] * x), mp.exp(-p[3] * x)
    return [first, -p[0] * x * first, second, -p[2] * x * second], p[0] * first + p[2] * second


def wave(p, x):
    s, c = mp.sin(p[1] * x + p[2]), mp.cos(p[1] * x + p[2])
    return [s, p[0] * x * c, p[0] * c], p[0] * s


FAMILIES = {
    "polynomial": ("a + b * x + c * x * x", "abc", polynomial),
    "decays": ("a * exp(-k * x) + b * exp(-m * x)", "akbm", decays),
    "wave": ("a * sin(w * x + h)", "awh", wave),
}


@cache
def model_of(family):
    formula, parameters, _ = FAMILIES[family]
    return Model(formula, list(parameters))


def case(family, shift, rng):
    """Data and start; the greater `shift` is, from 0 to 1, the worse is the condition, up to 1e14."""
    if family == "polynomial":
        x = 10 ** (7.2 * shift) + np.sort(rng.uniform(0, 1, 24))
        t = x - x[0]
        return x, 1 + t - 2 * t * t + 0.1 * rng.standard_normal(x.size), [1, 1, 1]
    if family == "decays":
        x = np.linspace(0, 4, 40)
        rates = 1, 1 + 10 ** (-3.5 * shift)
        start = [2, rates[0], 1, rates[1]]
        return x, 2 * np.exp(-rates[0] * x) + np.exp(-rates[1] * x) + 1e-6 * rng.standard_normal(40), start
    x = 10 ** (13 * shift) + np.linspace(0, 20, 50)
    start = [2, 1.3, 0.4]
    return x, 2 * np.sin(1.3 * x + 0.4) + 0.1 * rng.standard_normal(50), start


def error_beside_exact(family, fit, x, y, weights=None):
    """Largest relative error of a standard error; None where they are infinite, as the status says."""
    if not np.isfinite(fit.perr).all():
        assert np.isinf(fit.perr).all() and fit.status != Status.SUCCESS
        return None
    p = numbers(fit.popt)
    points = [FAMILIES[family][2](p, value) for value in numbers(x)]
    w = numbers(np.ones(x.size) if weights is None else weights)
    rows = [[entry * k for entry in row] for (row, _), k in zip(points, w, strict=True)]
    residuals = [(v - f) * k for (_, f), k, v in zip(points, w, numbers(y), strict=True)]
    return np.abs(fit.perr / exact(rows, residuals)[0] - 1).max()


@QUIET
@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=3 if SLOW else 25)
@given(st.floats(0, 1), st.integers(0, 2**20))
def test_errors_are_exact_or_infinite(family, shift, seed):
    rng = np.random.default_rng(seed)
    x, y, start = case(family, shift, rng)
    fit = curve_fit(model_of(family), x, y[None], start)[0]
    error = error_beside_exact(family, fit, x, y)
    assert error is None or error < 1e-6
