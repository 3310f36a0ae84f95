"""Intervals by profiles and by the bootstrap, against MINOS, lmfit and exact results."""

import pickle

import numpy as np
import pytest
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.optimize import OptimizeWarning

from nbadam import curve_fit

pytestmark = pytest.mark.one_point

PLAIN = bool(config.DISABLE_JIT)
DECAY = "a * exp(-k * x) + c"
X = np.arange(8.0)
Y = np.array([3.1, 1.6, 1.2, 0.6, 0.9, 0.4, 0.7, 0.5])
SIGMA = np.full(8, 0.3)


def half_widths(fit, **options):
    return fit.conf_int(**options) - fit.popt[..., None]


@pytest.fixture(scope="module")
def fit():
    return curve_fit(DECAY, X, Y, [3, 1, 0], SIGMA, absolute_sigma=True)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    y = 2 * np.exp(-0.8 * X) + 0.3 + 0.2 * rng.standard_normal((2, 3, X.size))
    y[1, 1] = np.nan
    return curve_fit(DECAY, X, y, [2, 1, 0.3], SIGMA, bounds={"k": (0.1, 1.2)})


# `merror` of iminuit 2.33.0: Minuit(LeastSquares(X, Y, 0.3, decay), a=3, k=0.5, c=0.3), strategy 2, tol 1e-6.
MINOS = {
    1: [[-0.3269485, 0.3269978], [-0.2337646, 0.3260913], [-0.1950139, 0.1663415]],
    2: [[-0.6538444, 0.6540982], [-0.4218645, 0.8752320], [-0.4654327, 0.3183613]],
}


@pytest.mark.parametrize("sigma", MINOS)
def test_profiles_agree_with_minos(fit, sigma):
    assert_allclose(half_widths(fit, sigma=sigma), MINOS[sigma], rtol=2e-4)


def test_counts_agree_with_minos():
    counts = np.array([12, 5, 7, 2, 3, 1, 0, 2])
    fit = curve_fit("a * exp(-k * x)", X, counts, [10, 0.3], loss="poisson")
    minos = [[-2.3711083, 2.8376818], [-0.0925029, 0.0983965]]  # of twice the log-likelihood ratio
    assert_allclose(half_widths(fit), minos, rtol=2e-5)
    sample = fit.bootstrap(400, kind="poisson", rng=0)
    assert sample.success.all()
    assert_allclose(sample.perr, fit.perr, rtol=0.15)


def test_profiles_agree_with_lmfit():
    # lmfit 1.3.4, conf_interval of the first example of its documentation; its data have this seed.
    x = np.linspace(0.3, 10, 100)
    y = 1 / (0.1 * x) + 2 + 0.1 * np.random.RandomState(0).randn(x.size)
    fit = curve_fit("1 / (a * x) + b", x, y, [0.1, 1])
    one = [[0.09924512631, 0.09963354637], [1.97247965570, 1.99705911452]]
    three = [[0.09884767998, 0.10003733864], [1.94712959825, 2.02240924197]]
    for sigma, ends in ((1, one), (3, three)):
        assert_allclose((fit.conf_int(sigma=sigma) - ends) / np.diff(ends), np.zeros((2, 2)), atol=1e-4)
    assert_allclose([fit.aic, fit.bic], [-463.11157061492486, -457.90123024294866], rtol=1e-12)


def test_profile_passes_through_the_ends(fit):
    ends = fit.conf_int()
    for i, name in enumerate(fit.parameters):
        values, chi2 = fit.profile(name, [*ends[i], fit.popt[i]])
        assert_array_equal(values, [*ends[i], fit.popt[i]])
        assert_allclose(chi2 - fit.chi2, [1, 1, 0], atol=1e-5)
    values, chi2 = fit.profile("k", points=9)
    assert_allclose(values, fit.popt[1] + np.linspace(-3, 3, 9) * fit.perr[1])
    assert (np.diff(chi2[:5]) < 0).all() and (np.diff(chi2[4:]) > 0).all()


def test_linear_models_have_exact_intervals():
    rng = np.random.default_rng(2)
    y = rng.standard_normal((20, X.size)) * 10.0 ** rng.uniform(-20, 20, (20, 1))
    fits = curve_fit("a * x + b", X, y, [1, 1])
    t = stats.t.ppf(0.975, 6)
    half = t * fits.perr
    assert_allclose(half_widths(fits, level=0.95), np.stack([-half, half], -1), rtol=1e-5)
    assert_allclose(
        fits.conf_int(0.95, method="normal"), fits.popt[..., None] + np.stack([-half, half], -1), rtol=1e-12
    )


def test_intervals_do_not_depend_on_units(fit):
    scaled = curve_fit(DECAY, X / 1e9, Y * 1e-6, [3e-6, 1e9, 0], SIGMA * 1e-6, absolute_sigma=True)
    units = np.array([1e-6, 1e9, 1e-6])[:, None]
    assert_allclose(half_widths(scaled) / units, half_widths(fit), rtol=1e-5)


def test_batch_agrees_with_single_fits(batch):
    ends = batch.conf_int()
    assert ends.shape == (2, 3, 3, 2)
    assert np.isnan(ends[1, 1]).all() and np.isfinite(np.delete(ends.reshape(6, -1), 4, 0)).all()
    assert_array_equal(batch[0, 2].conf_int(), ends[0, 2])
    assert_array_equal(batch[:, ::-1].conf_int(), ends[:, ::-1])


@pytest.mark.long
def test_a_bound_is_a_bound(batch):
    ends = batch.conf_int(sigma=4)[batch.success]
    assert (ends[:, 1] >= 0.1).all() and (ends[:, 1] <= 1.2).all()
    assert (ends[:, 1, 1] == 1.2).any()
    assert (ends[..., 0] <= batch.popt[batch.success]).all()


def test_an_interval_that_does_not_close_is_infinite():
    y = [3.0, 0.7, 0.4, 0.5, 0.5, 0.6, 0.4, 0.5]
    fit = curve_fit(DECAY, X, y, [3, 2, 0.5], SIGMA, absolute_sigma=True)
    ends = fit.conf_int(sigma=2)
    assert ends[1, 1] == np.inf and 0 < ends[1, 0] < fit.popt[1]
    # From k = 40 on nothing changes.
    _, chi2 = fit.profile("k", [40, 1e6])
    assert (chi2 - fit.chi2 < 4).all() and chi2[0] == pytest.approx(chi2[1])


@pytest.mark.long
def test_fixed_and_tied_parameters():
    alone = curve_fit(DECAY, X, Y, [3, 0.8, 0.5], SIGMA, absolute_sigma=True, fixed=["k", "c"])
    assert_allclose(half_widths(alone)[0], alone.perr[0] * np.array([-1, 1]), rtol=1e-5)
    assert_array_equal(alone.conf_int()[1:], [[0.8, 0.8], [0.5, 0.5]])
    tied = curve_fit(DECAY, X, Y, [3, 0.8, 0.5], SIGMA, absolute_sigma=True, tied={"c": "a / 5"})
    same = curve_fit("a * exp(-k * x) + a / 5", X, Y, [3, 0.8], SIGMA, absolute_sigma=True)
    assert_allclose(tied.conf_int()[:2], same.conf_int(), rtol=1e-5)
    assert np.isnan(tied.conf_int()[2]).all()
    assert_allclose(tied.derive("c").error, same.perr[0] / 5)
    assert_allclose(tied.derive("c * k + a").error, same.derive("a / 5 * k + a").error, rtol=1e-8)
    assert_allclose(tied.bootstrap(20, rng=0).popt[:, 2], tied.bootstrap(20, rng=0).popt[:, 0] / 5)
    assert_allclose(tied.band([0.5, 2]), same.band([0.5, 2]), rtol=1e-8)


def test_single_precision_is_refined(fit):
    single = curve_fit(DECAY, X, Y, [3, 1, 0], SIGMA, absolute_sigma=True, dtype=np.float32)
    assert_allclose(single.conf_int(), fit.conf_int(), rtol=1e-5)


def test_a_lower_minimum_is_told():
    x = np.linspace(0, 6, 40)
    wrong = curve_fit("a * sin(k * x)", x, np.sin(3 * x), [1, 8.6], 0.1 * np.ones(40), absolute_sigma=True)
    assert wrong.success and wrong.chi2 > 100  # of 0 at k = 3
    with pytest.warns(OptimizeWarning, match="search='all'"):
        ends = wrong.conf_int(sigma=7.5)
    assert np.isnan(ends).any()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["points"] if PLAIN else ["residuals", "parametric", "points"])
def test_bootstrap_of_a_line_has_its_standard_errors(kind):
    x = np.linspace(0, 1, 60)
    y = 2 * x + 1 + 0.1 * np.random.default_rng(0).standard_normal(60)
    fit = curve_fit("a * x + b", x, y, [1, 1])
    n = 500 if PLAIN else 4000
    sample = fit.bootstrap(n, kind=kind, rng=0)
    assert sample.success.all()
    tolerance = 0.15 if kind == "points" else 0.05  # whose errors do not suppose equal ones
    assert_allclose(sample.perr, fit.perr, rtol=tolerance)
    assert_allclose(sample.conf_int(), np.quantile(sample.popt, [0.158655, 0.841345], axis=0).T, rtol=1e-6)
    assert_allclose(fit.conf_int(method="bootstrap", n=n, kind=kind, rng=0), sample.conf_int())


@pytest.mark.lowest
@pytest.mark.parametrize("kind", ["residuals", "points", "parametric"])
def test_bootstrap_has_the_same_bits_in_any_company(batch, kind):
    whole = batch.bootstrap(12, kind=kind, rng=5)
    assert whole.popt.shape == (2, 3, 12, 3)
    assert not whole.success[1, 1].any() and np.isnan(whole.conf_int()[1, 1]).all()
    assert (whole.popt[..., 1][whole.success] <= 1.2).all()
    assert_array_equal(batch[1, 2].bootstrap(12, kind=kind, rng=5).popt, whole.popt[1, 2])
    assert_array_equal(batch[:, 2].bootstrap(12, kind=kind, rng=5).popt, whole.popt[:, 2])
    assert not np.array_equal(batch.bootstrap(12, kind=kind, rng=6).popt, whole.popt, equal_nan=True)


@pytest.mark.long
def test_bootstrap_draws_the_same_in_pieces(batch, monkeypatch):
    whole = batch.bootstrap(12, rng=5)
    monkeypatch.setattr("nbadam.fitting.result.bootstrap.NUMBERS", 5 * X.size)
    assert_array_equal(batch.bootstrap(12, rng=5).popt, whole.popt)


def test_points_that_are_left_out_stay_out():
    y = np.where(X == 3, np.nan, Y)
    without = curve_fit(DECAY, X[X != 3], Y[X != 3], [3, 1, 0], SIGMA[X != 3])
    fit = curve_fit(DECAY, X, y, [3, 1, 0], SIGMA)
    assert_allclose(fit.conf_int(), without.conf_int(), rtol=1e-6)
    assert_allclose(fit.bootstrap(20, rng=0).popt, without.bootstrap(20, rng=0).popt, rtol=1e-6)
    assert np.isnan(fit.residuals[3]) and np.isfinite(fit.residuals).sum() == 7
    ragged = curve_fit(DECAY, [X, X[:7]], [Y, Y[:7]], [3, 1, 0], [SIGMA, SIGMA[:7]])
    assert ragged.residuals.shape == (2, 8) and np.isnan(ragged.residuals[1, 7])
    assert_allclose(ragged[0].conf_int(), ragged.conf_int()[0])
    assert ragged.bootstrap(3, kind="points", rng=0).popt.shape == (2, 3, 3)


def test_correlated_data():
    covariance = 0.09 * np.exp(-np.abs(X[:, None] - X))
    fit = curve_fit("a * x + b", X, Y, [1, 1], covariance, absolute_sigma=True)
    assert_allclose(half_widths(fit), fit.perr[:, None] * [-1, 1], rtol=1e-5)
    assert_allclose(fit.bootstrap(4000, kind="parametric", rng=0).perr, fit.perr, rtol=0.05)
    assert np.isfinite(fit.bootstrap(20, rng=0).popt).all()
    with pytest.raises(ValueError, match="independent"):
        fit.bootstrap(kind="points")


def test_bad_input(fit, batch):
    for options, words in [
        ({"level": 0.9, "sigma": 1}, "say the same"),
        ({"level": 1}, "`level`"),
        ({"level": 0}, "`level`"),
        ({"sigma": -1}, "`sigma`"),
        ({"sigma": 9}, "less than 8"),
        ({"method": "minos"}, "`method`"),
    ]:
        with pytest.raises(ValueError, match=words):
            fit.conf_int(**options)
    with pytest.raises(TypeError, match="bootstrap"):
        fit.conf_int(n=5)
    for name in ("q", 1):
        with pytest.raises(ValueError, match="`parameter`"):
            fit.profile(name)
    with pytest.raises(ValueError, match="`values`"):
        batch.profile("k", np.ones((3, 4)))
    for options in ({"n": 1}, {"kind": "jackknife"}, {"rng": "a"}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
            fit.bootstrap(**options)
    counts = curve_fit("a * exp(-k * x)", X, [9, 5, 7, 2, 3, 1, 0, 2], [10, 0.3], loss="poisson")
    with pytest.raises(ValueError, match="'poisson' or 'points'"):
        counts.bootstrap()
    with pytest.raises(ValueError, match="pickled"):
        pickle.loads(pickle.dumps(fit)).conf_int()


def test_no_degrees_of_freedom_leave_intervals_open():
    with pytest.warns(OptimizeWarning):
        fit = curve_fit("a * x + b", X[:2], Y[:2], [1, 1])
    assert_array_equal(fit.conf_int(method="normal"), np.tile([-np.inf, np.inf], (2, 1)))
    assert fit.success
    assert_array_equal(fit.conf_int(), np.tile([-np.inf, np.inf], (2, 1)))
