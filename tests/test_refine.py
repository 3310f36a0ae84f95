"""Epochs and nothing else: the last passes over the data, and the distance from their minimum."""

import warnings

import numpy as np
import pytest
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeWarning, minimize

import nbadam
from nbadam.methods.objective import Objective
from nbadam.methods.refine import refine

pytestmark = pytest.mark.long


def squares(p, z, y):
    slope = z @ p - y
    return slope @ slope / 2 / y.size, slope @ z / y.size


def logistic(p, z, y):
    u = z @ p
    return np.mean(np.logaddexp(0, u) - y * u), (1 / (1 + np.exp(-u)) - y) @ z / y.size


def poisson(p, z, y):
    u = z @ p
    return np.mean(np.exp(u) - y * u), (np.exp(u) - y) @ z / y.size


def data(loss, n=800, p=(0.2, 0.5, -0.4)):
    """Return covariates with a constant, and responses of a regression."""
    rng = np.random.default_rng(11)
    z = np.column_stack([np.ones(n), rng.standard_normal((n, len(p) - 1))])
    u = z @ p
    if loss is squares:
        return z, u + rng.standard_normal(n)
    if loss is poisson:
        return z, rng.poisson(np.exp(u)).astype(float)
    return z, (rng.random(n) < 1 / (1 + np.exp(-u))).astype(float)


def newton(loss, z, y):
    """Return the exact answer and its standard errors."""
    p = np.zeros(z.shape[1])
    for _ in range(25):
        u = z @ p
        mean = {squares: u, logistic: 1 / (1 + np.exp(-u)), poisson: np.exp(u)}[loss]
        weight = {squares: np.ones_like(u), logistic: mean * (1 - mean), poisson: mean}[loss]
        information = (z.T * weight) @ z
        p = p - np.linalg.solve(information, (mean - y) @ z)
    factor = np.mean((y - z @ p) ** 2) if loss is squares else 1.0
    return p, np.sqrt(factor * np.diag(np.linalg.inv(information)))


def fit(loss, z, y, epochs, seed=0, **options):
    objective = nbadam.Minibatch(loss, (z, y), batch_size=32, rng=seed)
    options = {"epochs": epochs} | options
    start = np.zeros(z.shape[1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = minimize(objective, start, jac=True, method=nbadam.adam, options=options)
    return result, [str(warning.message) for warning in caught]


# Changes of the columns: none, units, columns far from 0, nearly equal columns.
CHANGES = {
    "plain": np.eye(3),
    "units": np.diag([1.0, 1e6, 1e-4]),
    "offset": np.array([[1, 1e3, 0], [0, 1, 0], [0, 0, 1]]),
    "correlated": np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0.01]]),
}


@pytest.mark.parametrize("loss", [squares, logistic, poisson], ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("change", CHANGES)
def test_within_a_standard_error_or_a_warning_says_how_far(loss, change):
    z, y = data(loss)
    # Without the last passes the errors are up to 5 standard errors for columns far from 0.
    exact, errors = newton(loss, z, y)
    transform = CHANGES[change]
    result, messages = fit(loss, z @ transform, y, 30)
    assert result.success
    off = result.x - np.linalg.solve(transform, exact)
    assert messages or (np.abs(transform @ off) < errors).all()
    assert (np.abs(off) <= 3 * result.x_stderr + 1e-9 * np.abs(result.x)).all()


@pytest.mark.skipif(config.DISABLE_JIT, reason="200 runs")
def test_the_distance_covers_the_error():
    z, y = data(squares, 320)
    exact = newton(squares, z, y)[0]
    inside = []
    for seed in range(200):
        result, _ = fit(squares, z, y, 2, seed)
        inside.append(np.abs(result.x - exact) <= result.x_stderr)
    assert (np.mean(inside, axis=0) >= 0.93).all()  # 95 % less two standard deviations


def test_units_change_nothing_but_rounding():
    z, y = data(logistic)

    def scaled(p, z, y):
        f, g = logistic(p, z, y)
        return 1e5 * f, 1e5 * g

    units = np.array([1e3, 1e-5, 1e6])
    plain, _ = fit(logistic, z, y, 5)
    other, _ = fit(scaled, z * units, y, 5)
    assert_allclose(other.x * units, plain.x, rtol=1e-6)
    assert_allclose(other.x_stderr * units, plain.x_stderr, rtol=1e-4)


def test_separable_classes_have_no_minimum():
    z, _ = data(squares)
    result, messages = fit(logistic, z, (z @ [0.3, 1, -1] > 0) * 1.0, 100)
    ours = [message for message in messages if "overflow" not in message]  # of the loss, far out
    assert len(ours) == 1
    assert "there may be no minimum" in ours[0]
    assert ours[0] in result.message


def test_separable_classes_are_noticed_however_far_a_run_gets():
    rng = np.random.default_rng(5)
    for _ in range(25):
        n, p = rng.integers(100, 400), rng.integers(2, 6)
        z = np.column_stack([np.ones(n), rng.standard_normal((n, p - 1))])
        edge = z @ rng.standard_normal(p)
        clear = np.abs(edge) > rng.uniform(0, 0.5)
        z, edge = z[clear], edge[clear]
        epochs = int(np.exp(rng.uniform(0, np.log(300))))
        result, messages = fit(logistic, z, (edge > 0) * 1.0, epochs)
        ours = [message for message in messages if "overflow" not in message]
        assert len(ours) == 1 and ours[0] in result.message


@pytest.mark.parametrize("distance", [1e3, 1e4, 1e6])
def test_separable_classes_are_noticed_where_all_residuals_vanish(distance):
    z, _ = data(squares)
    z = z[np.abs(z @ [0.3, 1, -1]) > 0.8]
    objective = Objective(
        nbadam.Minibatch(logistic, (z, (z @ [0.3, 1, -1] > 0) * 1.0), batch_size=32, rng=0), True, (), None
    )
    x, free = distance * np.array([0.3, 1, -1]), np.full(3, np.inf)
    with np.errstate(over="ignore"):
        assert not objective.full(x)[1].any()
        refined = refine(objective, x, np.zeros(3), -free, free, 5)
    assert refined.distance == np.inf
    assert np.isinf(refined.stderr).all()
    assert not refined.is_negligible


def test_too_few_epochs_are_noticed():
    z, y = data(poisson, p=(5.0, 0.5, -0.4))
    objective = nbadam.Minibatch(poisson, (z, y), batch_size=100, rng=0)
    with pytest.warns(OptimizeWarning, match="up to .* standard errors .* give more `epochs`"):
        minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 1})


def test_data_without_noise_need_no_warning():
    z, _ = data(squares)
    exact = np.array([1.0, -2.0, 3.0])
    result, messages = fit(squares, z, z @ exact, 100)
    assert messages == []
    assert_allclose(result.x, exact, rtol=1e-9)


def test_bounds_hold():
    z, y = data(squares)
    exact = newton(squares, z, y)[0]
    objective = nbadam.Minibatch(squares, (z, y), batch_size=32, rng=0)
    bounds = [(-10, 10), (-10, exact[1] - 0.3), (-10, 10)]
    result = minimize(
        objective, np.zeros(3), jac=True, bounds=bounds, method=nbadam.adam, options={"epochs": 40}
    )
    assert result.x[1] == bounds[1][1]
    assert result.jac[1] < 0
    _, errors = newton(squares, z, y)
    assert_allclose(result.jac[[0, 2]], 0, atol=4e-4)  # a hundredth of its standard error: 0.01 / sqrt(800)
    assert result.x_stderr[1] == 0
    assert (result.x_stderr[[0, 2]] < errors[[0, 2]]).all()


def test_where_nothing_can_be_told():
    z, y = data(squares, 40)  # 16 blocks a variable are more than there are samples
    result, messages = fit(squares, z, y, 10)
    assert "x_stderr" not in result
    assert messages == []
    z, y = data(squares)
    for options in ({"learning_rate": 0.01}, {"average": "last"}, {"weight_decay": 0.1}):
        assert "x_stderr" not in fit(squares, z, y, 2, **options)[0]


def test_a_whole_run_is_its_two_halves():
    z, y = data(squares)
    whole, _ = fit(squares, z, y, 9)
    half, _ = fit(squares, z, y, 9, maxiter=100)
    rest, _ = fit(squares, z, y, 9, state=half.state)
    assert half.status == nbadam.Status.MAXITER
    assert_array_equal(rest.x, whole.x)
    assert_array_equal(rest.x_stderr, whole.x_stderr)


def test_the_unit_of_the_data_changes_no_error():
    """Data far from 1 are no likelihood: the curvature is looked for over more than rounding."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2000, 3))
    y = z @ [1.0, 2.0, 3.0] + rng.standard_normal(2000)
    plain = fit(squares, z, y, 20)[0]
    for unit in (2.0**-56, 2.0**27, 2.0**56):
        other = fit(squares, z, unit * y, 20)[0]
        assert_allclose(other.x / unit, plain.x, atol=1e-3)
        assert_allclose(other.x_stderr / unit, plain.x_stderr, rtol=0.5)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_variable_of_a_separate_class_is_noticed(rows):
    """A binary variable whose rows are all of one class has no estimate, though all others do."""
    rng = np.random.default_rng(0)
    is_rare = np.arange(2000) < rows
    z = np.column_stack([np.ones(2000), rng.standard_normal((2000, 2)), is_rare])
    y = ((rng.random(2000) < 0.3) | is_rare).astype(float)
    result, messages = fit(logistic, z, y, 20)
    assert result.x_stderr[3] > 1
    assert messages


def test_a_distance_that_is_not_estimated_is_told():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1000, 400))
    result, _ = fit(squares, z, z @ np.ones(400) + rng.standard_normal(1000), 5)
    assert "not estimated" in result.message
    assert "x_stderr" not in result


def test_a_start_that_is_very_far_leaves_a_word():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2000, 3))
    y = z @ [1.0, 2.0, 3.0] + rng.standard_normal(2000)
    batches = nbadam.Minibatch(squares, (z, y), batch_size=64, rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which says the same
        result = minimize(batches, np.full(3, 1e12), jac=True, method=nbadam.adam, options={"epochs": 20})
    errors = 1 / np.sqrt(2000)
    assert np.abs(result.x - [1, 2, 3]).max() < 5 * errors or "standard errors" in result.message


def test_a_value_of_one_entry_will_do_everywhere():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400, 2))
    y = z @ [1.0, 2.0] + 0.1 * rng.standard_normal(400)

    def loss(p, z, y):
        f, g = squares(p, z, y)
        return np.array([f]), g

    batches = nbadam.Minibatch(loss, (z, y), batch_size=20, rng=0)
    assert isinstance(batches.full(np.zeros(2))[0], float)
    result = minimize(batches, np.zeros(2), jac=True, method=nbadam.adam, options={"epochs": 20})
    assert_allclose(result.x, [1, 2], atol=0.03)


LINKS = {
    # Slope of the loss by the linear predictor u, the loss, and random responses.
    "poisson": (lambda u, y: (np.exp(u) - y * u, np.exp(u) - y), lambda rng, u: rng.poisson(np.exp(u))),
    "gamma": (
        lambda u, y: (u + y * np.exp(-u), 1 - y * np.exp(-u)),
        lambda rng, u: rng.gamma(2, np.exp(u + 3) / 2),
    ),
    "hazard": (
        lambda u, y: (y * np.exp(u) - u, y * np.exp(u) - 1),
        lambda rng, u: rng.exponential(np.exp(3 - u)),
    ),
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("distance", [-5.0, -3.0, 4.0])
@pytest.mark.parametrize("bounds", [None, [(-30, 30)] * 4], ids=["free", "bounded"])
@pytest.mark.parametrize("unit", [1.0, 1e-4])
def test_starts_where_a_few_samples_outweigh_all_others(link, distance, bounds, unit):
    terms, draw = LINKS[link]
    rng = np.random.default_rng(11)
    z = np.column_stack([np.ones(2000), rng.standard_normal((2000, 3))])
    y = draw(rng, z @ [0.5, 0.5, -0.3, 0.0]).astype(float)

    def loss(p, z, y):
        value, slope = terms(z @ (p / unit), y)
        return np.mean(value), slope @ z / y.size / unit

    objective = nbadam.Minibatch(loss, (z, y), batch_size=64, rng=0)
    start = unit * np.array([0.0, distance, distance, distance])
    bounds = bounds and [(unit * low, unit * high) for low, high in bounds]
    result = minimize(objective, start, jac=True, bounds=bounds, method=nbadam.adam, options={"epochs": 100})
    exact = minimize(lambda p: loss(p * unit, z, y)[0], result.x / unit, method="BFGS")
    errors = np.sqrt(np.diag(exact.hess_inv) / len(y))
    assert result.success
    assert (np.abs(result.x / unit - exact.x) < 0.1 * errors).all()
    assert "standard errors" not in result.message
