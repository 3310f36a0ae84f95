"""Fits between bounds: at least as good as SciPy's, and never trapped at a bound."""

import warnings
from math import sqrt

import numba
import numpy as np
import pytest
from boxes import by_nbadam, by_scipy, count_right, draw_problem
from numpy.testing import assert_array_equal

from nbadam import curve_fit
from nbadam.fitting.kernels import restarts

pytestmark = pytest.mark.long

PLAIN = numba.config.DISABLE_JIT
X = np.linspace(0, 4, 40)


@pytest.mark.parametrize("n", [3] if PLAIN else [3, 5])
def test_at_least_as_good_as_scipy(n):
    """As many right fits as trf and dogbox on each problem."""
    draw = np.random.default_rng(n)
    count, starts = (2, 1) if PLAIN else (24, 8)
    problems = [draw_problem(draw, n, starts) for _ in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = by_nbadam(problems)
    right = np.array([
        count_right(fit.chi2[i * starts : (i + 1) * starts], *(by_scipy(p, m) for m in ("trf", "dogbox")))
        for i, p in enumerate(problems)
    ])  # fmt: skip
    ours, *theirs = right.T
    for other in theirs:
        assert ours.sum() >= other.sum()
        assert PLAIN or (ours >= other).all()


def test_optima_at_bounds_are_reached_exactly():
    """Sums of squares of lines, of which non-negative least squares knows the minimum."""
    from scipy.optimize import nnls

    draw, fits = np.random.default_rng(3), 4 if PLAIN else 40
    y = draw.uniform(-1, 1, (fits, 3)) @ np.stack([X**0, X, X**2]) + 0.1 * draw.standard_normal((fits, 40))
    fit = curve_fit(lambda x, a, b, c: a + b * x + c * x * x, X, y, [1, 1, 1], bounds=(0, np.inf))
    for popt, row in zip(fit.popt, y, strict=True):
        expected = nnls(np.stack([X**0, X, X**2], axis=1), row)[0]
        assert_array_equal(popt == 0, expected == 0)
        np.testing.assert_allclose(popt, expected, rtol=1e-6)
    assert (fit.popt == 0).any() and fit.success.all()


def hyperbola(x, a, c):
    return sqrt(a * a * x * x + c * c)


def test_a_bound_on_which_derivatives_vanish_is_no_trap():
    """The hyperbola is even in c: at c = 0 no gradient leads away."""
    draw = np.random.default_rng(4)
    fits = 5 if PLAIN else 300
    truth = draw.uniform(0.5, 2, (fits, 2))
    x = np.linspace(-5, 5, 40)
    y = np.sqrt(truth[:, :1] ** 2 * x * x + truth[:, 1:] ** 2) + 0.02 * draw.standard_normal((fits, 40))
    p0 = 10 ** draw.uniform(-1.3, 1.3, (fits, 2))
    p0[::5, 1] = 0  # at the bound, where no derivative tells that the model depends on c
    fit = curve_fit(hyperbola, x, y, p0, bounds=(0, np.inf))
    best = curve_fit(hyperbola, x, y, truth, bounds=(0, np.inf))
    assert (fit.success & (fit.chi2 <= best.chi2 * (1 + 1e-6))).all()


def test_a_fit_that_ends_off_its_bounds_or_has_none_makes_no_further_start(monkeypatch):
    tried = []
    monkeypatch.setattr(restarts, "another_start", lambda *arguments: bool(tried.append(arguments)))
    p0, popt = np.array([[1.0, 2.0]]), np.array([[1.5, 2.0]])
    lower, upper = np.array([[0.0, 2.0]]), np.array([[np.inf, 2.0]])  # the second is fixed
    given = p0, lower, upper, popt, np.zeros(4), 0
    assert restarts.next_start(0, True, False, restarts.SUCCESS, 0, *given) == restarts.STARTS + 1
    assert not tried
    popt[0, 0] = 0.0
    assert restarts.next_start(0, True, False, restarts.SUCCESS, 0, *given) == restarts.STARTS + 1
    assert len(tried) == restarts.STARTS
    lower[0, 0] = -np.inf  # a fixed parameter is no bound
    tried.clear()
    assert restarts.next_start(0, True, False, restarts.MAXITER, 0, *given) == restarts.STARTS + 1
    assert not tried
