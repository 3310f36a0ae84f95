"""`curve_fit`: against SciPy's for one data set, and each fit of a batch against the fit alone."""

import gc
import warnings
import weakref
from collections import OrderedDict

import numba
import numpy as np
import pytest
from decays import assert_same_fit, decay, decay_jacobian
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import Bounds, OptimizeWarning, least_squares
from scipy.optimize import curve_fit as scipy_curve_fit

from nbadam import Model, Status, curve_fit
from nbadam.fitting.kernels import compile as compilation
from nbadam.fitting.kernels.layout import Layout

SLOW = numba.config.DISABLE_JIT
FITS = 12 if SLOW else 200
LOSSES = ["cauchy"] if numba.config.BOUNDSCHECK else ["soft_l1", "huber", "cauchy", "arctan"]

rng = np.random.default_rng(1)
X = np.linspace(0, 5, 20)
TRUTH = rng.uniform([1, 0.4, 0], [5, 2, 1], (FITS, 3))
P0 = np.array([3.0, 1.0, 0.5])


def decay_guess(x, y):
    return [y[0] - y[-1], 1 / x.mean(), y[-1]]


DECAY = Model(decay, jacobian=decay_jacobian, guess=decay_guess)
Y = decay(X, *(TRUTH.T[:, :, None])) + 0.05 * rng.standard_normal((FITS, X.size))


def relative(covariance, expected):
    """Largest difference in units of the standard errors."""
    errors = np.sqrt(np.diag(expected))
    return np.abs((covariance - expected) / np.outer(errors, errors)).max()


@pytest.mark.skipif(SLOW, reason="takes many fits")
@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_errors_cover_the_truth_as_often_as_they_should(noise):
    """The standard error of a share of 20,000 is 0.33 %; the million of benchmarks/truth.py say more."""
    draw = np.random.default_rng(7)
    truth, sigma = np.array([3000.0, 0.7, 500.0]), 30.0
    clean = np.tile(decay(X, *truth), (20_000, 1))
    if noise == "gaussian":
        y = clean + sigma * draw.standard_normal(clean.shape)
        fit = curve_fit(DECAY, X, y, truth, sigma, absolute_sigma=True)
    else:
        fit = curve_fit(DECAY, X, draw.poisson(clean).astype(float), truth, loss="poisson")
    assert fit.success.all()
    off = (fit.popt - truth) / fit.perr
    assert_allclose((np.abs(off) < 1).mean(axis=0), 0.6827, atol=0.012)
    assert_allclose(off.mean(axis=0), 0, atol=0.05)


# --- One data set: SciPy's ------------------------------------------------------------------------


@pytest.mark.parametrize("absolute_sigma", [False, True])
@pytest.mark.parametrize("sigma", [None, 0.2, rng.uniform(0.5, 2, X.size)], ids=["none", "number", "array"])
def test_one_data_set_is_fitted_as_by_scipy(sigma, absolute_sigma):
    popt, pcov = curve_fit(DECAY, X, Y[0], P0, sigma, absolute_sigma)
    expected, covariance = scipy_curve_fit(
        decay, X, Y[0], P0, sigma if sigma is None else sigma * np.ones(X.size), absolute_sigma,
        ftol=1e-13, xtol=1e-13, gtol=0,
        jac=lambda x, *p: np.stack(np.broadcast_arrays(*decay_jacobian(x, *p)), axis=1),
    )  # fmt: skip
    assert_allclose(popt, expected, rtol=1e-7)
    assert relative(pcov, covariance) < 1e-6


def test_differences_are_as_good_as_derivatives():
    popt, pcov = curve_fit(decay, X, Y[0], P0)
    expected, covariance = curve_fit(decay, X, Y[0], P0, jac=decay_jacobian)
    assert_allclose(popt, expected, rtol=1e-8)
    assert relative(pcov, covariance) < 1e-7


def test_positional_arguments_are_those_of_scipy():
    sigma = np.full(X.size, 0.1)
    ours = curve_fit(decay, X, Y[0], P0, sigma, True, True, ([0, 0, 0], 10), "lm", decay_jacobian)
    theirs = scipy_curve_fit(
        decay, X, Y[0], P0, sigma, True, True, ([0, 0, 0], 10), "trf", ftol=1e-13, xtol=1e-13
    )
    assert_allclose(ours.popt, theirs[0], rtol=1e-6)


@pytest.mark.lowest
@pytest.mark.long
@pytest.mark.parametrize("upper", [2.0, 2.5])
def test_bounds_that_are_met(upper):
    y = decay(X, 3.0, 1.0, 0.5) + 0.05 * np.sin(7 * X)
    for bounds in (([0, 0, 0], [upper, 9, 9]), Bounds([0, 0, 0], [upper, 9, 9])):
        fit = curve_fit(DECAY, X, y, [1, 1, 1], bounds=bounds)
        expected, _ = scipy_curve_fit(
            decay, X, y, [1, 1, 1], bounds=bounds, ftol=1e-14, xtol=1e-14, gtol=1e-14
        )
        assert fit.popt[0] == upper
        assert_allclose(fit.popt, expected, rtol=1e-6)


@given(st.integers(0, FITS - 1), st.lists(st.floats(0.3, 3), min_size=3, max_size=3), st.integers(0, 7))
@example(114 % FITS, [3.0, 3.0, 2.0], 0)  # went to and fro between two points, one of them worse
def test_bounds_hold_and_no_better_point_lies_within(i, widths, side):
    """At the solution every gradient is zero or pushes against a bound."""
    lower = TRUTH[i] * np.where([side & 1, side & 2, side & 4], 1.2, 0.2)
    upper = lower * (1 + np.array(widths)) + 0.01
    fit = curve_fit(DECAY, X, Y[i], (lower + upper) / 2, bounds=(lower, upper))
    assert (lower <= fit.popt).all() and (fit.popt <= upper).all()
    jacobian = np.stack(np.broadcast_arrays(*decay_jacobian(X, *fit.popt)), axis=1)
    cosine = jacobian.T @ (Y[i] - decay(X, *fit.popt)) / np.sqrt((jacobian**2).sum(axis=0) * fit.chi2)
    inside = np.clip(cosine, np.where(fit.popt > lower, -1, 0), np.where(fit.popt < upper, 1, 0))
    assert np.abs(inside).max() < 1e-6


@pytest.mark.lowest
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_those_of_least_squares(loss):
    y = Y[0].copy()
    y[[3, 11]] += 2, -1
    start = curve_fit(DECAY, X, Y[0], P0).popt  # of several minima, that nearby
    fit = curve_fit(DECAY, X, y, start, loss=loss, f_scale=0.1)
    expected = least_squares(
        lambda p: decay(X, *p) - y, start, loss=loss, f_scale=0.1, ftol=1e-14, xtol=1e-14, gtol=1e-14,
        jac=lambda p: np.stack(np.broadcast_arrays(*decay_jacobian(X, *p)), axis=1),
    )  # fmt: skip
    assert_allclose(fit.chi2, 2 * expected.cost, rtol=1e-12)
    assert_allclose(fit.popt, expected.x, rtol=1e-6)
    covariance = np.linalg.inv(expected.jac.T @ expected.jac) * 2 * expected.cost / (X.size - 3)
    assert relative(fit.pcov, covariance) < 1e-5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-11])
def test_losses_of_small_residuals_are_their_squares(loss, size):
    """The logarithm of 1 + 1e-18 is 0."""
    y = size * np.sin(9 * X)
    fit, least = curve_fit("a * x + b", X, y, [1, 1], loss=loss), curve_fit("a * x + b", X, y, [1, 1])
    assert_allclose(fit.chi2, least.chi2, rtol=max(1e-12, size**2))
    assert (np.abs(fit.popt - least.popt) < 1e-6 * least.perr).all()


@pytest.mark.lowest
def test_loss_of_the_user():
    def loss(z):
        return np.log(1 + z), 1 / (1 + z), -1 / (1 + z) ** 2

    mine = curve_fit(DECAY, X, Y[:5], P0, loss=loss, f_scale=0.1)
    cauchy = curve_fit(DECAY, X, Y[:5], P0, loss="cauchy", f_scale=0.1)
    assert_allclose(mine.popt, cauchy.popt, rtol=1e-7)


@pytest.mark.lowest
def test_poisson_is_the_likelihood_of_counts():
    counts = np.random.default_rng(3).poisson(decay(X, 20, 1, 2))
    fit = curve_fit(DECAY, X, counts, [10, 1, 1], loss="poisson")
    f = decay(X, *fit.popt)
    jacobian = np.stack(np.broadcast_arrays(*decay_jacobian(X, *fit.popt)), axis=1)
    assert_allclose(jacobian.T @ (counts / f - 1), 0, atol=1e-6)
    assert_allclose(fit.pcov, np.linalg.inv(jacobian.T @ (jacobian / f[:, None])), rtol=1e-8)
    logs = np.where(counts > 0, counts * np.log(np.maximum(counts, 1) / f), 0)
    assert_allclose(fit.chi2, 2 * (f - counts + logs).sum(), rtol=1e-12)
    # No counts, and the logarithm of next to nothing.
    with pytest.warns(OptimizeWarning, match="1 of 1 fits without success. 1 MAXITER"):
        far = curve_fit(DECAY, X, 0 * counts[None], [1e17, 1, 1e17], loss="poisson", max_nfev=1)
    assert_allclose(far.chi2, 2 * decay(X, 1e17, 1, 1e17).sum())
    with pytest.raises(ValueError, match="`ydata` must be >= 0 with loss='poisson', not -2"):
        curve_fit(DECAY, X, np.where(counts == counts.max(), -2, counts), [10, 1, 1], loss="poisson")


def test_counts_from_where_the_model_is_negative():
    """Below zero the likelihood goes on, so that the fit finds back; it once stayed and said "converged"."""
    counts = np.random.default_rng(3).poisson(decay(X, 20, 1, 2))
    expected = curve_fit(DECAY, X, counts, [10, 1, 1], loss="poisson")
    for start in ([15, 0.5, -3], [15, 1, -1], [30, 2, -5]):
        assert_allclose(curve_fit(DECAY, X, counts, start, loss="poisson").popt, expected.popt, rtol=1e-6)


def test_several_variables():
    def plane(point, a, b, c):
        u, v = point
        return a * u + b * v + c

    u, v = np.meshgrid(np.arange(4.0), np.arange(3.0))
    xy = np.stack([u.ravel(), v.ravel()])
    z = 2 * xy[0] - 3 * xy[1] + 0.5
    fit = curve_fit(plane, xy, np.array([z, 2 * z]), [1, 1, 1])
    assert_allclose(fit.popt, [[2, -3, 0.5], [4, -6, 1]], rtol=1e-9)


def test_a_failed_single_fit_raises_as_with_scipy():
    with pytest.raises(RuntimeError, match=r"Optimal parameters not found.*max_nfev"):
        curve_fit(DECAY, X, Y[0], P0, max_nfev=2)
    with pytest.raises(RuntimeError, match="not finite at the start"):
        curve_fit(DECAY, X, Y[0], [np.nan, 1, 1])
    with pytest.raises(TypeError, match=r"fitted parameters, 3, must not exceed .* points, 2"):
        curve_fit(DECAY, X[:2], Y[0, :2], P0)
    with pytest.warns(OptimizeWarning, match="Covariance"):
        curve_fit(DECAY, X[:3], Y[0, :3], P0)


# --- Batches --------------------------------------------------------------------------------------


def test_a_fit_has_the_same_bits_alone_and_in_any_batch():
    batch = curve_fit(DECAY, X, Y, P0)
    assert batch.success.all()
    for i in (0, FITS // 2, FITS - 1):
        assert_same_fit(curve_fit(DECAY, X, Y[i], P0), batch, i)
    order = np.random.default_rng(0).permutation(FITS)
    assert_same_fit(curve_fit(DECAY, X, Y[order], P0), batch, order)


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_threads_does_not_matter(workers, monkeypatch):
    monkeypatch.setattr("nbadam.fitting.batch.FIRST", 7)
    monkeypatch.setattr("nbadam.fitting.batch.LEAST", 5)
    monkeypatch.setattr("nbadam.blocks.SECONDS", 0.0)
    monkeypatch.setattr("nbadam.blocks.WORTHWHILE", 0.0)
    assert_same_fit(curve_fit(DECAY, X, Y, P0, workers=workers), REFERENCE())


def REFERENCE():
    return curve_fit(DECAY, X, Y, P0, workers=1)


@pytest.mark.lowest
def test_variants_of_a_kernel_give_the_same_bits():
    """With weights, its own x, in ragged sets: the arithmetic is the same."""
    expected = REFERENCE()
    assert_same_fit(curve_fit(DECAY, X, Y, P0, sigma=1.0), expected)
    assert_same_fit(curve_fit(DECAY, np.broadcast_to(X, Y.shape), Y, P0), expected)
    y = Y.copy()
    y[1, 3] = np.nan
    others = np.delete(np.arange(FITS), 1)
    assert_array_equal(curve_fit(DECAY, X, y, P0).popt[others], expected.popt[others])


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "cauchy", "f_scale": 0.05, "sigma": np.linspace(0.5, 2, X.size - 1)},
        {"bounds": ([0, 0, -1], [5, 2, 1]), "dtype": np.float32},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.filterwarnings("ignore:.* without success:scipy.optimize.OptimizeWarning")
def test_the_number_of_points_a_turn_changes_no_bit(options, monkeypatch):
    """Tests with the marker `one_point` rely on it."""
    found = []
    for points in (4, 2, 1):
        monkeypatch.setattr(Layout, "unroll", points)
        monkeypatch.setattr(compilation, "_kept", OrderedDict())
        found.append(curve_fit(DECAY, X[1:], Y[:, 1:], P0, **options))
    assert_same_fit(found[1], found[0])
    assert_same_fit(found[2], found[0])


def test_shape_of_the_batch():
    shaped = Y[:12].reshape(2, 3, 2, -1)
    fit = curve_fit(DECAY, X, shaped, P0)
    assert fit.popt.shape == (2, 3, 2, 3) and fit.pcov.shape == (2, 3, 2, 3, 3)
    assert fit.chi2.shape == fit.status.shape == fit.reduced_chi2.shape == (2, 3, 2)
    assert_array_equal(fit.popt.reshape(12, 3), curve_fit(DECAY, X, Y[:12], P0).popt)


def test_starts_bounds_and_sigma_of_each_fit():
    p0 = TRUTH * 1.1
    lower, upper = TRUTH * 0.5, TRUTH * 1.02 + 1e-3
    p0 = np.clip(p0, lower, upper)
    sigma = 0.05 * np.random.default_rng(2).uniform(0.5, 2, Y.shape)
    batch = curve_fit(DECAY, X, Y, p0, sigma, True, bounds=(lower, upper))
    for i in (0, FITS - 1):
        alone = curve_fit(DECAY, X, Y[i], p0[i], sigma[i], True, bounds=(lower[i], upper[i]))
        assert_same_fit(alone, batch, i)
    assert (lower <= batch.popt).all() and (batch.popt <= upper).all()


@pytest.mark.long
@pytest.mark.parametrize("how", ["nan", "inf", "mask", "masked array", "sigma"])
def test_points_that_are_left_out_do_not_matter(how):
    left_out = np.random.default_rng(5).random(Y.shape) < 0.2
    options, y = {}, np.where(left_out, {"nan": np.nan, "inf": np.inf}.get(how, 1e6), Y)
    if how == "mask":
        options["mask"] = left_out
    elif how == "masked array":
        y = np.ma.array(y, mask=left_out)
    elif how == "sigma":
        options["sigma"] = np.where(left_out, np.nan, 1.0)
    fit = curve_fit(DECAY, X, y, P0, **options)
    for i in (0, 1):
        used = ~left_out[i]
        alone = curve_fit(DECAY, X[used], Y[i, used], P0)
        assert fit.n_points[i] == used.sum()
        assert_allclose(fit.popt[i], alone.popt, rtol=1e-9)
        assert_allclose(fit.perr[i], alone.perr, rtol=1e-7)


def test_a_pole_at_a_point_that_is_left_out():
    def inverse(x, a, b):
        return a / x + b

    x = np.array([0.0, 1, 2, 3, 4])
    y = np.array([np.nan, 3.0, 2, 5 / 3, 1.5])
    fit = curve_fit(inverse, x, y, [1, 1])
    assert_allclose(fit.popt, [2, 1], rtol=1e-9)


def test_bad_rows_are_marked_and_harm_no_other():
    y, p0 = Y[:8].copy(), np.tile(P0, (8, 1))
    y[1] = np.nan
    y[2, 2:] = np.nan
    p0[3, 0] = np.nan
    p0[4, 1] = -1e6  # exp overflows
    with pytest.warns(OptimizeWarning, match=r"3 of 8 fits without success. 2 NONFINITE: .*; 1 TOO_FEW"):
        fit = curve_fit(DECAY, X, y, p0)  # one data set has no points: it was masked whole
    expected = {
        1: Status.TOO_FEW_POINTS,
        2: Status.TOO_FEW_POINTS,
        3: Status.NONFINITE,
        4: Status.NONFINITE,
    }
    for i, status in expected.items():
        assert fit.status[i] == status and not fit.success[i]
        assert np.isnan(fit.popt[i]).all() and np.isnan(fit.perr[i]).all() and np.isnan(fit.chi2[i])
    good = [0, 5, 6, 7]
    assert_array_equal(fit.popt[good], REFERENCE().popt[good])
    assert "not finite" in fit.message(3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_out_of_the_range_of_numbers_are_no_success(dtype):
    """Where they are 0 for every model, any is the best; where they are infinite, none."""
    tiny, huge = float(np.finfo(dtype).tiny) ** 0.6, float(np.finfo(dtype).max) ** 0.6
    small = float(np.finfo(dtype).tiny) ** 0.52  # whose squares are partly there
    y = np.stack([Y[0], tiny * Y[0], huge * Y[0], 0 * Y[0], small * Y[0], small * Y[0]])
    p0 = P0 * np.array([[1, 1, 1], [tiny, 1, tiny], [huge, 1, huge], [1, 1, 1], [small, 1, small], [1, 1, 1]])
    with pytest.warns(OptimizeWarning, match="5 of 6 fits without success"):
        fit = curve_fit(DECAY, X, y, p0, dtype=dtype)
    assert (fit.status[[1, 4, 5]] == Status.UNDERFLOW).all() and "Use other units" in fit.message(1)
    assert (fit.nfev[[1, 4, 5]] < 100).all()  # without a thousand steps that chi-square cannot tell apart
    assert fit.status[2] == Status.NONFINITE
    assert np.isnan(fit.popt[1:3]).all()
    assert fit.success[0]
    assert fit.status[3] == Status.UNDETERMINED  # data that are all 0 are fitted by 0, with any rate
    assert fit.chi2[3] < np.finfo(dtype).tiny and np.isinf(fit.perr[3]).all()


@pytest.mark.lowest
def test_data_sets_of_different_lengths():
    lengths = [20, 7, 2, 13, 20]
    xs, ys = [X[:m] for m in lengths], [Y[i, :m] for i, m in enumerate(lengths)]
    sigma = [np.linspace(1, 2, m) for m in lengths]
    with pytest.warns(OptimizeWarning, match="1 of 5 fits without success. 1 TOO_FEW_POINTS"):
        fit = curve_fit(DECAY, xs, ys, P0, sigma)
    assert fit.status[2] == Status.TOO_FEW_POINTS
    assert_array_equal(fit.n_points, lengths)
    for i in (0, 1, 3):
        assert_same_fit(curve_fit(DECAY, xs[i], ys[i], P0, sigma[i]), fit, i)


def test_fixed_parameters_stay_and_have_no_error():
    fit = curve_fit(DECAY, X, Y[:5], P0, fixed=["c"])
    assert (fit.popt[:, 2] == 0.5).all() and (fit.perr[:, 2] == 0).all()
    assert_array_equal(fit.dof, X.size - 2)
    half = Model(lambda x, a, k: a * np.exp(-k * x) + 0.5)
    expected = curve_fit(half, X, Y[:5], P0[:2])
    assert_allclose(fit.popt[:, :2], expected.popt, rtol=1e-7)
    assert_allclose(fit.pcov[:, :2, :2], expected.pcov, rtol=1e-6)
    assert_array_equal(curve_fit(DECAY, X, Y[:5], P0, fixed=[2]).popt, fit.popt)


def test_guesses_from_the_data():
    assert_allclose(curve_fit(DECAY, X, Y).popt, REFERENCE().popt, rtol=1e-6)
    seen = []

    def guess(x, y):
        seen.append((x.shape, y.shape))
        return P0

    y = Y[:2].copy()
    y[0, 0] = np.nan
    curve_fit(DECAY, X, y, guess)
    assert seen[-2:] == [((19,), (19,)), ((20,), (20,))]


def test_single_precision_is_as_good_as_its_rounding():
    fit = curve_fit(DECAY, X, Y, P0, dtype=np.float32)
    expected = REFERENCE()
    assert fit.popt.dtype == np.float32
    assert fit.success.all()
    assert_allclose(fit.chi2, expected.chi2, rtol=1e-4)
    assert np.abs((fit.popt - expected.popt) / expected.perr).max() < 0.02
    assert_allclose(fit.perr, expected.perr, rtol=1e-2)


# --- The methods ----------------------------------------------------------------------------------


def poor_starts(fits):
    """From where a third and more of the fits end in another minimum, or nowhere."""
    generator = np.random.default_rng(8)
    wide = [
        generator.uniform(0.1, 30, fits),
        np.exp(generator.uniform(-4, 3, fits)),
        generator.uniform(-5, 5, fits),
    ]
    return np.stack(wide, axis=1)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.* without success:scipy.optimize.OptimizeWarning")
def test_a_search_is_never_worse_and_finds_what_plain_fits_miss():
    starts = poor_starts(FITS)
    plain = curve_fit(DECAY, X, Y, starts)
    all_again = curve_fit(DECAY, X, Y, starts, search="all")
    assert not (all_again.chi2 > plain.chi2).any()
    best = REFERENCE().chi2 * (1 + 1e-6)
    assert (all_again.chi2 <= best).mean() >= (plain.chi2 <= best).mean()
    assert (all_again.chi2 <= best).all()
    outliers = curve_fit(DECAY, X, Y, starts, search="failed")
    assert not (outliers.chi2 > plain.chi2).any()
    assert (outliers.chi2 <= best).mean() >= (plain.chi2 <= best).mean()
    assert_same_fit(curve_fit(DECAY, X, Y[3], starts[3], search="failed"), outliers, 3)


@pytest.mark.long
def test_adam_does_not_run_away_where_all_points_are_outliers_at_the_start():
    """There a robust loss is flat, and steps in its own scale went far beyond the data."""
    options = {"loss": "cauchy", "f_scale": 0.05}
    count = 2 if SLOW else 40
    fit = curve_fit(DECAY, X, Y[:count], P0, method="adam", **options)
    best = curve_fit(DECAY, X, Y[:count], TRUTH[:count], **options)
    assert_allclose(fit.popt, best.popt, rtol=1e-3)


@pytest.mark.long
def test_adam_alone_comes_near_and_says_that_it_is_not_there():
    fit = curve_fit(DECAY, X, Y[:5], P0, method="adam", max_nfev=300)
    assert (fit.status == Status.MAXITER).any()
    assert_allclose(fit.chi2, REFERENCE().chi2[:5], rtol=1e-3)
    assert "method='lm'" in fit.message(int(np.argmax(fit.status)))
    with pytest.raises(RuntimeError, match=r"Not converged.*continues Adam"):
        curve_fit(DECAY, X, Y[0], P0, method="adam", max_nfev=3)


@pytest.mark.lowest
def test_ctrl_c_raises_with_the_fits_that_are_finished(monkeypatch):
    monkeypatch.setattr("nbadam.fitting.batch.FIRST", 3)
    calls = []

    def guess(x, y):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return P0

    with pytest.raises(KeyboardInterrupt) as raised:
        curve_fit(DECAY, X, Y, guess, workers=1)
    assert raised.value.__notes__[0].startswith(f"3 of {FITS} fits are finished")
    fit = raised.value.result
    assert_array_equal(fit.status[:3], 0)
    assert (fit.status[3:] == Status.NOT_RUN).all()
    assert np.isnan(fit.popt[3:]).all()


@pytest.mark.parametrize("rows", [0, slice(0, 12)])
def test_data_are_freed_with_the_result(rows):
    """No part of a call refers to itself: that would keep the data until Python looks for such parts."""
    y = Y[rows].copy()
    reference = weakref.ref(y)
    gc.collect()
    gc.disable()
    try:
        fit = curve_fit(DECAY, X, y, P0)
        assert np.isfinite(fit.pcov).all()
        del fit, y
        assert reference() is None
    finally:
        gc.enable()


def test_progress_is_shown(capsys):
    pytest.importorskip("tqdm")
    curve_fit(DECAY, X, Y, P0, progress=True)
    shown = capsys.readouterr().err
    assert "100%" in shown and "fit/s" in shown


def test_an_empty_batch():
    fit = curve_fit(DECAY, X, np.empty((0, X.size)), P0)
    assert fit.popt.shape == (0, 3) and fit.perr.shape == (0, 3)


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr("nbadam.fitting.batch.FIRST", 3)
    monkeypatch.setattr("nbadam.blocks.WORTHWHILE", 0.0)
    count = iter(range(10**6))

    def guess(x, y):
        if next(count) > 5:
            raise ZeroDivisionError
        return P0

    with pytest.raises(ZeroDivisionError):
        curve_fit(DECAY, X, Y, guess, workers=3)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p0": [1, 2]}, r"`p0` of shape \(2,\) must end in the number of parameters, 3"),
        ({"p0": "start"}, "`p0` must be an array of numbers or a function"),
        ({"p0": np.ones((7, 3))}, r"`p0` of shape \(7, 3\)"),
        ({"p0": [9, 1, 1], "bounds": (0, 5)}, "`p0` must lie within the `bounds`"),
        ({"bounds": (2, 1)}, "less than its upper bound; those of parameter 0 are 2 and 1"),
        ({"bounds": ([0, 0, 0], [1, 0, 1])}, "parameter 1 are 0 and 0. Use `fixed`"),
        ({"bounds": (np.nan, 1)}, "`bounds` must not be NaN"),
        ({"bounds": 3}, "`bounds` must be a pair"),
        ({"bounds": ([0, 0], 1)}, r"`bounds` of shape \(2,\)"),
        ({"sigma": -1.0}, "`sigma` must be > 0, not -1"),
        ({"sigma": np.ones(3)}, r"`sigma` of shape \(3,\)"),
        ({"sigma": 1.0, "loss": "poisson"}, "`sigma` does not go with loss='poisson'"),
        ({"loss": "tukey"}, "`loss` must be one of 'linear', .* not 'tukey'"),
        ({"f_scale": 0}, "`f_scale` must be a finite number > 0"),
        ({"method": "bfgs"}, "`method` must be one of 'lm', 'adam', not 'bfgs'"),
        ({"fixed": ["d"]}, "`fixed` must list names"),
        ({"fixed": ["a", "k", "c"]}, "leaves no parameter"),
        ({"dtype": int}, "`dtype` must be float64 or float32"),
        ({"ftol": -1}, "`ftol`"),
        ({"xtol": np.nan}, "`xtol`"),
        ({"max_nfev": 0}, "`max_nfev` must be an integer >= 1"),
        ({"workers": 0}, "`workers`"),
        ({"search": "some"}, "`search` must be one of 'never', 'failed', 'all'"),
        ({"mask": np.zeros(4, bool)}, "`mask` of shape"),
        ({"jac": decay_jacobian}, "a Model has a `jacobian`"),
        ({"p0": lambda x, y: [1.0]}, "The guess must return 3 numbers"),
        ({"absolute_sigma": "yes"}, "`absolute_sigma` must be True or False"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        curve_fit(DECAY, X, Y[:3], **({"p0": P0} | options))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:5], Y[0], r"`xdata` must have the shape \(20,\)"),
        (X, Y[0] * 1j, "`ydata` must be an array of real numbers, not of complex ones"),
        (X, ["a"] * 20, "`ydata` must be an array of real numbers"),
        (X, 1.0, "`ydata` must not be empty"),
        (X, np.empty((3, 0)), "`ydata` must not be empty"),
        ([X, X], [Y[0], Y[0, :5]], r"`ydata\[1\]` of shape \(5,\)"),
    ],
)
def test_bad_data(x, y, message):
    with pytest.raises(ValueError, match=message):
        curve_fit(DECAY, x, y, P0)


def test_check_finite_is_that_of_scipy():
    y = Y[0].copy()
    y[2] = np.nan
    with pytest.raises(ValueError, match="infs or NaNs"):
        curve_fit(DECAY, X, y, P0, check_finite=True)
    curve_fit(DECAY, X, y, P0)


def test_input_is_not_changed():
    x, y, p0 = X.copy(), Y[:4].copy(), np.tile(P0, (4, 1))
    bounds = (np.zeros(3), np.full(3, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve_fit(DECAY, x, y, np.minimum(p0, 1.0), bounds=bounds)
    assert_array_equal(x, X)
    assert_array_equal(y, Y[:4])


# --- Ties -----------------------------------------------------------------------------------------


@pytest.mark.lowest
@pytest.mark.long
@pytest.mark.parametrize("kind", ["function", "formula"])
def test_tied_parameters_follow_others(kind):
    if kind == "formula":
        pytest.importorskip("sympy")
    model = Model(decay) if kind == "function" else Model("a * exp(-k * x) + c", ["a", "k", "c"])
    fit = curve_fit(model, X, Y[:5], P0, tied={"c": "0.1 * a + exp(-k)"})
    by_hand = Model(lambda x, a, k: a * np.exp(-k * x) + 0.1 * a + np.exp(-k))
    expected = curve_fit(by_hand, X, Y[:5], P0[:2])
    a, k = expected.popt.T
    assert_allclose(fit.popt, np.stack([a, k, 0.1 * a + np.exp(-k)], axis=1), rtol=1e-7)
    assert_allclose(fit.pcov[:, :2, :2], expected.pcov, rtol=1e-5)
    slope = np.stack([np.full(5, 0.1), -np.exp(-k)], axis=1)
    assert_allclose(fit.perr[:, 2] ** 2, np.einsum("fi,fij,fj->f", slope, expected.pcov, slope), rtol=1e-5)
    assert_array_equal(fit.dof, X.size - 2)
    assert fit.parameters == ("a", "k", "c")


@pytest.mark.lowest
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tied": {"d": "a"}}, "`tied` must give a formula for names"),
        ({"tied": {"c": "k +"}}, "cannot be read"),
        ({"tied": {"c": "__import__('os')"}}, "no known function"),
        ({"tied": {"c": "c + 1"}}, "neither among the parameters that are not tied"),
        ({"tied": {"c": "a.real"}}, "write `real` without"),
        ({"tied": {"a": "1.0", "k": "1.0", "c": "1.0"}}, "leaves no parameter"),
        ({"tied": {"c": "a"}, "fixed": ["c"]}, "`c` is tied: it cannot be fixed"),
        ({"tied": {"c": "a"}, "bounds": (0, 9)}, "`c` is tied: it cannot be bounded"),
        ({"tied": {"c": "a"}, "fixed": ["a", "k"]}, "leave no parameter"),
    ],
    ids=str,
)
def test_bad_ties(options, message):
    with pytest.raises(ValueError, match=message):
        curve_fit(DECAY, X, Y[:3], P0, **options)
