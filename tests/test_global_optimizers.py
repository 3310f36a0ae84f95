"""SciPy's global optimizers with nbadam's methods as their local search."""

from functools import partial

import numpy as np
import pytest
import scipy
from numpy.testing import assert_allclose
from scipy.optimize import basinhopping, brute, differential_evolution, dual_annealing, shgo

import nbadam

FAST = {"learning_rate": 0.1}
BOX = [(-2, 3), (-2, 3)]


def bumpy(x):
    """Many valleys, the lowest one at 0."""
    return float(np.sum(x**2 + 0.3 * (1 - np.cos(5 * x))))


@pytest.mark.lowest
@pytest.mark.long
def test_basinhopping():
    local = {"method": nbadam.adam, "options": FAST}
    assert_allclose(basinhopping(bumpy, [1.5, 1.5], niter=10, minimizer_kwargs=local).x, 0, atol=1e-3)


def test_dual_annealing():
    local = {"method": nbadam.adam, "options": FAST, "bounds": BOX}
    assert_allclose(dual_annealing(bumpy, BOX, maxiter=10, minimizer_kwargs=local).x, 0, atol=1e-3)


@pytest.mark.lowest
def test_brute():
    assert_allclose(brute(bumpy, BOX, Ns=6, finish=partial(nbadam.adam, **FAST)), 0, atol=1e-3)


@pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17),
    reason="`polish` is no callable before SciPy 1.17",
)
def test_differential_evolution():
    polish = partial(nbadam.adam, **FAST)
    found = differential_evolution(bumpy, BOX, maxiter=5, popsize=5, polish=polish, rng=0)
    assert found.success or found.nit == 5
    assert_allclose(found.x, 0, atol=1e-3)


def test_shgo():
    method = nbadam.ShgoMethod(nbadam.adam, **FAST)
    found = shgo(bumpy, BOX, minimizer_kwargs={"method": method})
    assert found.success
    assert_allclose(found.x, 0, atol=1e-3)
    assert method.options == FAST


def test_shgo_needs_a_method():
    with pytest.raises(ValueError, match=r"`method` must be a method such as nbadam\.adam, not 'adam'"):
        nbadam.ShgoMethod("adam")
