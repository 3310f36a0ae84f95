"""`curve_fit` with a covariance matrix of the data, against SciPy's."""

import numba
import numpy as np
import pytest
from decays import DECAY, decay, decay_jacobian
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeWarning
from scipy.optimize import curve_fit as scipy_curve_fit

from nbadam import Status, curve_fit

pytestmark = pytest.mark.one_point

M = 16
X = np.linspace(0, 5, M)
P0 = np.array([2.0, 1.5, 0.3])
TRUTH = np.array([3.0, 1.0, 0.5])
SLOW = numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK
LOSSES = ["cauchy"] if numba.config.BOUNDSCHECK else ["soft_l1", "cauchy"]


def columns(x, a, k, c):
    return np.stack(np.broadcast_arrays(*decay_jacobian(x, a, k, c)), axis=1)


def problem(seed, m=M):
    """Random covariance with a condition number below 1,000, and data that have it."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((m, m)))[0]
    covariance = directions * np.exp(rng.uniform(-7, 0, m)) @ directions.T * 0.05**2
    covariance = (covariance + covariance.T) / 2
    y = decay(X[:m], *TRUTH) + np.linalg.cholesky(covariance) @ rng.standard_normal(m)
    return y, covariance


Y, COVARIANCE = problem(0)


def of_scipy(x, y, covariance, **options):
    """SciPy's fit, to as many digits as it reaches."""
    tolerances = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14}
    return scipy_curve_fit(decay, x, y, P0, covariance, jac=columns, **(tolerances | options))


def assert_same(fit, expected):
    popt, pcov = expected
    assert_allclose(fit.popt, popt, rtol=1e-6)
    errors = np.sqrt(np.diag(pcov))
    assert_allclose(fit.pcov / np.outer(errors, errors), pcov / np.outer(errors, errors), atol=1e-6)


# --- SciPy's --------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.booleans())
def test_popt_and_pcov_are_those_of_scipy(seed, absolute_sigma):
    y, covariance = problem(seed)
    fit = curve_fit(DECAY, X, y, P0, covariance, absolute_sigma)
    assert_same(fit, of_scipy(X, y, covariance, absolute_sigma=absolute_sigma))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_those_of_the_whitened_residuals(loss):
    y = Y + np.linalg.cholesky(COVARIANCE) @ np.where(np.arange(M) == 5, 20, 0)
    fit = curve_fit(DECAY, X, y, P0, COVARIANCE, loss=loss, f_scale=1.5)
    popt, pcov = of_scipy(X, y, COVARIANCE, method="trf", loss=loss, f_scale=1.5)
    assert_allclose(fit.popt, popt, rtol=1e-6)
    assert_allclose(fit.pcov, pcov, rtol=1e-4, atol=1e-4 * pcov.max())


@pytest.mark.lowest
@pytest.mark.parametrize("upper", [2.5, 2.9])
def test_bounds_that_are_met(upper):
    bounds = [0, 0, 0], [upper, 9, 9]
    fit = curve_fit(DECAY, X, Y, P0, COVARIANCE, bounds=bounds)
    assert fit.popt[0] == upper
    assert_allclose(fit.popt, of_scipy(X, Y, COVARIANCE, bounds=bounds)[0], rtol=1e-6)


@pytest.mark.lowest
@pytest.mark.parametrize("how", ["nan", "mask", "masked array", "x", "sigma"])
def test_points_left_out_take_their_rows_and_columns_with_them(how):
    left_out = np.zeros(M, bool)
    left_out[[2, 7, 8]] = True
    used = ~left_out
    x, y, covariance, options = X.copy(), Y.copy(), COVARIANCE.copy(), {}
    if how == "mask":
        y[left_out], options["mask"] = 1e6, left_out
    elif how == "masked array":
        y = np.ma.array(np.where(left_out, 1e6, y), mask=left_out)
    else:
        {"nan": y, "x": x, "sigma": covariance}[how][left_out] = np.nan
    if how == "nan":  # whatever the matrix says about such points
        covariance[left_out] = covariance[:, left_out] = -1
    fit = curve_fit(DECAY, x, y, P0, covariance, **options)
    assert fit.n_points == used.sum() and fit.dof == used.sum() - 3
    assert_same(fit, of_scipy(X[used], Y[used], COVARIANCE[np.ix_(used, used)]))


def test_several_variables():
    def plane(point, a, b, c):
        u, v = point
        return a * u + b * v + c

    xy = np.stack([X, np.cos(X)])
    y = plane(xy, 2, -3, 0.5) + Y
    fit = curve_fit(plane, xy, y, [1, 1, 1], COVARIANCE)
    popt, pcov = scipy_curve_fit(plane, xy, y, [1, 1, 1], COVARIANCE)
    assert_allclose(fit.popt, popt, rtol=1e-6)
    assert_allclose(fit.pcov, pcov, rtol=1e-5)  # SciPy's are of forward differences


# --- What else there is ---------------------------------------------------------------------------


def test_a_diagonal_matrix_is_the_squares_of_standard_errors():
    sigma = np.linspace(0.01, 0.1, M)
    matrix = curve_fit(DECAY, X, Y, P0, np.diag(sigma**2), True)
    errors = curve_fit(DECAY, X, Y, P0, sigma, True)
    assert_allclose(matrix.popt, errors.popt, rtol=1e-9)
    assert_allclose(matrix.chi2, errors.chi2, rtol=1e-12)
    assert_allclose(matrix.perr, errors.perr, rtol=1e-9)


def test_reduced_chi2_and_errors():
    fit = curve_fit(DECAY, X, Y, P0, COVARIANCE, True)
    residuals = Y - decay(X, *fit.popt)
    assert_allclose(fit.chi2, residuals @ np.linalg.solve(COVARIANCE, residuals), rtol=1e-9)
    assert_allclose(fit.reduced_chi2, fit.chi2 / (M - 3))
    jacobian = columns(X, *fit.popt)
    pcov = np.linalg.inv(jacobian.T @ np.linalg.solve(COVARIANCE, jacobian))
    assert_allclose(fit.pcov, pcov, rtol=1e-8)
    assert_allclose(fit.perr, np.sqrt(np.diag(pcov)), rtol=1e-8)


def test_standard_errors_cover_the_truth_and_those_that_know_no_covariance_do_not():
    """A drifting baseline: neighbours agree with each other, and not with the truth."""
    rng = np.random.default_rng(1)
    covariance = 0.05**2 * np.exp(-np.abs(X[:, None] - X) / 2)
    factor = np.linalg.cholesky(covariance)
    pulls = {"covariance": [], "variances": []}
    for _ in range(12 if SLOW else 400):
        y = decay(X, *TRUTH) + factor @ rng.standard_normal(M)
        for name, sigma in (("covariance", covariance), ("variances", np.sqrt(np.diag(covariance)))):
            fit = curve_fit(DECAY, X, y, TRUTH, sigma, True)
            pulls[name].append((fit.popt - TRUTH) / fit.perr)
    if not SLOW:
        assert_allclose(np.std(pulls["covariance"], axis=0), 1, atol=0.12)
        assert np.std(pulls["variances"], axis=0)[2] > 1.5


def test_fixed_and_tied_parameters():
    fixed = curve_fit(DECAY, X, Y, [1, 1, 0.5], COVARIANCE, fixed=["c"])
    tied = curve_fit(DECAY, X, Y, [1, 1, 9], COVARIANCE, tied={"c": "a / 6"})
    for fit, model in (
        (fixed, lambda x, a, k: a * np.exp(-k * x) + 0.5),
        (tied, lambda x, a, k: a * np.exp(-k * x) + a / 6),
    ):
        popt, pcov = scipy_curve_fit(model, X, Y, [1, 1], COVARIANCE, ftol=1e-13, xtol=1e-13, gtol=0)
        assert_allclose(fit.popt[:2], popt, rtol=1e-6)
        assert_allclose(fit.pcov[:2, :2], pcov, rtol=1e-5)  # SciPy's are of forward differences
        assert fit.dof == M - 2
    assert fixed.popt[2] == 0.5 and fixed.perr[2] == 0
    assert_allclose(tied.perr[2], tied.perr[0] / 6, rtol=1e-6)


def test_single_precision_is_as_good_as_its_rounding():
    fit = curve_fit(DECAY, X, Y, P0, COVARIANCE, dtype=np.float32)
    expected = curve_fit(DECAY, X, Y, P0, COVARIANCE)
    assert fit.popt.dtype == np.float32
    assert np.abs((fit.popt - expected.popt) / expected.perr).max() < 0.01
    assert_allclose(fit.perr, expected.perr, rtol=1e-3)
    assert_allclose(fit.chi2, expected.chi2, rtol=1e-3)


def test_the_other_methods():
    plain = curve_fit(DECAY, X, Y, P0, COVARIANCE)
    found = curve_fit(DECAY, X, Y, [30, 9, -5], COVARIANCE, search="failed")
    assert_allclose(found.popt, plain.popt, rtol=1e-6)
    with pytest.raises(RuntimeError, match=r"Not converged.*continues Adam"):
        curve_fit(DECAY, X, Y, P0, COVARIANCE, method="adam", max_nfev=3)


def test_guesses_see_the_points_that_take_part():
    seen = []

    def guess(x, y):
        seen.append((x.shape, y.shape))
        return P0

    y = Y.copy()
    y[3] = np.nan
    curve_fit(DECAY, X, y, guess, COVARIANCE)
    assert seen == [((M - 1,), (M - 1,))]


def test_no_points_and_too_few():
    with pytest.raises(TypeError, match=r"fitted parameters, 3, must not exceed .* points, 0"):
        curve_fit(DECAY, X, Y * np.nan, P0, COVARIANCE)
    with pytest.raises(TypeError, match=r"points, 2"):
        curve_fit(DECAY, X[:2], Y[:2], P0, COVARIANCE[:2, :2])
    with pytest.warns(OptimizeWarning, match="Covariance"):
        curve_fit(DECAY, X[:3], Y[:3], P0, COVARIANCE[:3, :3])


def test_the_plot_shows_the_roots_of_the_diagonal():
    pytest.importorskip("matplotlib").use("Agg")
    fit = curve_fit(DECAY, X, Y, P0, COVARIANCE)
    assert fit.status == Status.SUCCESS
    bars = fit.plot().containers[0].lines[2][0].get_segments()
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars]
    assert_allclose(lengths, 2 * np.sqrt(np.diag(COVARIANCE)), rtol=1e-9)


def test_input_is_not_changed():
    y, covariance = Y.copy(), COVARIANCE.copy()
    y[0] = np.nan
    curve_fit(DECAY, X, y, P0, covariance)
    assert_array_equal(y[1:], Y[1:])
    assert_array_equal(covariance, COVARIANCE)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({(1, 2): 1.0}, r"symmetric and finite; its entries \[1, 2\] and \[2, 1\] are 1 and"),
        ({(1, 2): np.nan, (2, 1): np.nan}, r"symmetric and finite; .* are nan and nan"),
        ({(1, 2): np.inf, (2, 1): np.inf}, r"symmetric and finite; .* are inf and inf"),
        ({(1, 2): 1.0, (2, 1): 1.0}, "symmetric and positive definite; its least eigenvalue is -"),
        ({(3, 3): -1.0}, "symmetric and positive definite; its least eigenvalue is -1"),
    ],
    ids=["not symmetric", "nan", "inf", "not positive", "negative variance"],
)
def test_what_is_no_covariance(entries, message):
    covariance = COVARIANCE.copy()
    for where, value in entries.items():
        covariance[where] = value
    with pytest.raises(
        ValueError, match=rf"`sigma` of shape \(16, 16\) must be a covariance matrix, {message}"
    ):
        curve_fit(DECAY, X, Y, P0, covariance)


@pytest.mark.parametrize("sigma", [COVARIANCE, np.stack([COVARIANCE] * 2)], ids=["one", "each"])
@pytest.mark.parametrize("kind", ["array", "lists"])
def test_a_batch_takes_no_matrix(sigma, kind):
    y = np.stack([Y, Y])
    x = X if kind == "array" else [X, X]
    y, sigma = (
        (y, sigma) if kind == "array" else (list(y), list(sigma[:2]) if sigma.ndim == 3 else [sigma] * 2)
    )
    with pytest.raises(ValueError, match=r"covariance matrix as `sigma` goes with one data set.* for each"):
        curve_fit(DECAY, x, y, P0, sigma)


def test_a_square_array_of_standard_errors_is_no_matrix():
    y = np.stack([Y + 0.01 * np.cos(k * X) for k in range(M)])
    sigma = np.random.default_rng(0).uniform(0.5, 2, (M, M))
    square, stack = curve_fit(DECAY, X, y, P0, sigma), curve_fit(DECAY, X, np.stack([y, y]), P0, sigma)
    assert_array_equal(square.popt[3], curve_fit(DECAY, X, y[3], P0, sigma[3]).popt)
    assert_array_equal(stack.popt[1], square.popt)


def test_counts_take_no_covariance():
    with pytest.raises(ValueError, match="`sigma` does not go with loss='poisson'"):
        curve_fit(DECAY, X, Y, P0, COVARIANCE, loss="poisson")
