"""Runs that would rise above their start, or end there: they go back, and never say success."""

import numpy as np
import pytest
from numba import config
from numpy.testing import assert_array_equal
from runs import assert_same
from scipy.optimize import minimize

import nbadam

pytestmark = pytest.mark.long


class Chain:
    """The energy of a chain of springs under a constant force, and the values met."""

    def __init__(self, n, noise=0.0):
        self.force, self.values, self.noise, self.rng = 100 / n**2, [], noise, np.random.default_rng(0)

    def __call__(self, x):
        g = -np.diff(x, 2, prepend=0.0, append=0.0) - self.force
        f = 0.5 * float(x @ (g - self.force)) + self.noise * float(self.rng.standard_normal())
        self.values.append(f)
        return f, g

    def first_excess(self, n):
        """Return the value at the first point less the least value."""
        matrix = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
        return self.values[0] + 0.5 * self.force**2 * float(np.linalg.solve(matrix, np.ones(n)).sum())


def run(fun, n, start, **options):
    return minimize(fun, np.full(n, start), jac=True, method=nbadam.adam, options={"steps": 1500} | options)


@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize("n", [100, 300] if not config.DISABLE_JIT else [50])
def test_no_run_rises_far_above_its_start(n, start):
    chain = Chain(n)
    result = run(chain, n, start)
    first = chain.first_excess(n)
    assert max(chain.values) - chain.values[0] < 2 * first  # it was 1e3 to 1e20 times as much
    assert result.fun - chain.values[0] < -0.8 * first


@pytest.mark.parametrize("shift", [-1e8, 1e4] if config.DISABLE_JIT else [-1e8, -1e4, 1e4, 1e8])
def test_a_first_step_that_is_far_too_long_is_taken_back(shift):
    n, chain = 100, Chain(100)

    def shifted(x):  # whose value promises a fall as large as itself
        f, g = chain(x)
        return f + shift, g

    run(shifted, n, 0.0, steps=600)
    assert min(chain.values) - chain.values[0] < -0.95 * chain.first_excess(n)


def test_a_rise_by_noise_is_told_from_one_by_long_steps():
    chain = Chain(10, noise=1.0)
    result = run(chain, 10, 0.5, steps=200)
    assert result.state.arrays["number is_noisy"][0] == 1
    # One evaluation to tell, those at the end, and as many at another point.
    assert len(chain.values) <= 201 + 1 + 2 * 20


def test_a_run_that_is_interrupted_before_it_goes_back():
    n, chain = 100, Chain(100)
    whole = run(chain, n, 0.0, steps=400)
    values = np.array(chain.values)
    is_high = values - values[0] > values[0] - np.minimum.accumulate(values)
    steps = int(np.argmax(is_high))
    assert 0 < steps < 390

    def stop(intermediate_result):
        nonlocal left
        left -= 1
        if left == 0:
            raise StopIteration

    left, options = steps, {"steps": 400}
    call = {"jac": True, "method": nbadam.adam}
    half = minimize(Chain(n), np.zeros(n), callback=stop, options=options, **call)
    assert half.nit == steps
    continued = minimize(Chain(n), np.zeros(n), options=options | {"state": half.state}, **call)
    assert_same(continued, whole, but=["nfev", "njev"])


@pytest.mark.parametrize("average", ["last", "best", "tail"])
def test_a_run_that_ends_at_its_start_is_no_success(average):
    def wrong_gradient(x):
        return float(x @ x), -2 * x

    start = np.array([1.0, -2.0])
    options = {"steps": 150, "average": average}
    for rate in ("auto", 0.01):
        result = minimize(
            wrong_gradient, start, jac=True, method=nbadam.adam, options=options | {"learning_rate": rate}
        )
        assert_array_equal(result.x, start)
        assert result.status == nbadam.Status.NO_PROGRESS
        assert not result.success
        assert "no lower than it began" in result.message


@pytest.mark.parametrize("log_mean", [0, 3, 6, 9])
def test_epochs_alone_with_counts_of_any_mean(log_mean):
    rng = np.random.default_rng(3)
    z = np.column_stack([np.ones(2000), rng.standard_normal((2000, 3))])
    y = rng.poisson(np.exp(log_mean + 0.5 * z[:, 1])).astype(float)

    def poisson(p, z, y):
        u = z @ p
        return np.mean(np.exp(u) - y * u), (np.exp(u) - y) @ z / y.size

    exact = np.array([np.log(y.mean()), 0, 0, 0])
    for _ in range(50):
        mean = np.exp(z @ exact)
        information = (z.T * mean) @ z
        exact = exact + np.linalg.solve(information, (y - mean) @ z)
    objective = nbadam.Minibatch(poisson, (z, y), batch_size=64, rng=0)
    result = minimize(objective, np.zeros(4), jac=True, method=nbadam.adam, options={"epochs": 20})
    assert result.success
    off = (result.x - exact) * np.sqrt(np.diag(information))  # no more than standard errors
    assert np.abs(off).max() < 3  # from 3 on, they were 500 to 5,000


# --- Values alone, and no option ------------------------------------------------------------------


@pytest.mark.parametrize("n", [2] if config.DISABLE_JIT else [1, 2, 5])
@pytest.mark.parametrize("noise", [1e-6, 1e-2, 1.0])
def test_noise_is_noticed_and_the_run_ends_by_itself(noise, n):
    rng = np.random.default_rng(n)
    center, weight = rng.normal(0, 2, n), 10.0 ** rng.uniform(0, 1, n)

    def exact(x):
        return float(weight @ (x - center) ** 2)

    def fun(x):
        return exact(x) + noise * float(rng.standard_normal())

    start = center + 3
    result = minimize(fun, start, method=nbadam.adam)
    assert result.success
    assert "noise of" in result.message
    assert result.nfev < 4000 * (n + 1)  # it was 50,000 (n + 1)
    assert exact(result.x) < 1e-3 * exact(start) + 2 * noise
    assert noise / 4 < result.fun_noise < 4 * noise


@pytest.mark.parametrize("digits", [3, 4, 5, 6, "float32"])
@pytest.mark.parametrize("n", [1, 3])
def test_rounded_values_are_no_end_at_the_start(digits, n):
    center = np.linspace(-1, 2, n) + 0.3

    def fun(x):
        f = 1.0 + float(np.sum((x - center) ** 2))
        return float(np.float32(f)) if digits == "float32" else float(f"{f:.{digits - 1}e}")

    start = center + 1.5
    result = minimize(fun, start, method=nbadam.adam)
    assert fun(result.x) - 1 < 0.02 * (fun(start) - 1)


@pytest.mark.parametrize("start", [[0.0, 0.0], [-1.2, 1.0], [3.0, -40.0]])
def test_smooth_values_are_differenced_with_few_evaluations_more(start):
    def fun(x):
        return float(np.exp(0.1 * x[0]) + (x[0] - 1) ** 2 + 10 * (x[1] + x[0]) ** 2)

    options = {"steps": 200}
    noticed = minimize(fun, start, method=nbadam.adam, options=options)
    plain = minimize(fun, start, method=nbadam.adam, options=options | {"finite_diff": "2-point"})
    assert noticed.fun <= plain.fun + 1e-6 * fun(np.array(start))
    assert (noticed.nit, noticed.status) == (plain.nit, plain.status)
    assert noticed.message.removeprefix(plain.message).startswith(" The values are free of noise")
    assert abs(noticed.njev - plain.njev) < 20  # probes of the size of variables that start at 0
    # To notice that they are smooth, and for the steps at gradients number 0, 4, 16 and 64.
    assert 0 < noticed.nfev - 3 * noticed.njev <= 20 + 4 * 2 * 20
