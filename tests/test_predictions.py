"""Predictions, bands, derived quantities, criteria, and the comparison of models."""

import pickle

import numpy as np
import pytest
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import nbadam
from nbadam import compare, curve_fit

X = np.arange(8.0)
DECAY = "a * exp(-k * x) + c"
RNG = np.random.default_rng(3)
BATCH = 2 * np.exp(-0.8 * X) + 0.3 + 0.05 * RNG.standard_normal((2, 3, X.size))


def line(x, slope, offset):
    return slope * x + offset


@pytest.fixture(scope="module")
def lines():
    return curve_fit(line, X, BATCH, [1, 1])


@pytest.fixture(scope="module")
def decays():
    return curve_fit(DECAY, X, BATCH, [2, 1, 0.3])


@pytest.mark.lowest
def test_predictions_have_the_batch_shape_first(lines, decays):
    x = np.array([0.5, 10, -3])
    for fits in (lines, decays):
        values = fits.predict(x)
        assert values.shape == (2, 3, 3)
        for index in np.ndindex(2, 3):
            assert_allclose(values[index], fits.model(x, *fits.popt[index]), rtol=1e-12)
            assert_allclose(fits[index].predict(x), values[index], rtol=1e-15)
        assert_array_equal(fits.predict(10), values[..., 1])
        own = np.broadcast_to(x, (2, 3, 3))
        assert_allclose(fits.predict(own), values, rtol=1e-12)
        assert_allclose(fits.residuals, BATCH - fits.predict(X), atol=1e-12)
        assert_allclose((fits.residuals**2).sum(axis=-1), fits.chi2)


def test_two_variables():
    x = np.array([X, X**2])
    fit = curve_fit(lambda x, a, b: a * x[0] + b * x[1], x, 2 * X + 3 * X**2, [1, 1])
    assert_allclose(fit.predict([[1, 2], [0, 1]]), [2, 7])
    with pytest.raises(ValueError, match=r"\(2, m\)"):
        fit.predict([1, 2])


def test_r_squared_is_that_of_linear_regression(lines):
    for index in np.ndindex(2, 3):
        assert_allclose(lines.r_squared[index], stats.linregress(X, BATCH[index]).rvalue ** 2)


def test_bands_of_lines_are_those_of_textbooks(lines):
    fit, x = lines[0, 0], np.array([1.0, 20.0])
    t, s2 = stats.t.ppf(0.95, 6), fit.reduced_chi2
    square = s2 * (1 / 8 + (x - X.mean()) ** 2 / ((X - X.mean()) ** 2).sum())
    values, lower, upper = fit.band(x, level=0.9)
    assert_allclose(upper - values, t * np.sqrt(square))
    assert_allclose(values - lower, t * np.sqrt(square))
    values, lower, upper = fit.band(x, "prediction", level=0.9)
    assert_allclose(upper - values, t * np.sqrt(square + s2))
    assert lines.band().lower.shape == (2, 3, 8) and lines.band(1.0).lower.shape == (2, 3)


def test_bands_keep_their_digits_far_from_zero():
    days = 738_000 + np.arange(0, 365, 7.0)
    y = 3 + 0.01 * (days - 738_000) + 0.1 * np.random.default_rng(0).standard_normal(days.size)
    far, near = (curve_fit("a * x + b", x, y, [1, 1]).band(x) for x in (days, days - 738_000))
    assert_allclose(far.upper - far.lower, near.upper - near.lower, rtol=1e-5)


def test_derived_quantities(lines, decays):
    value, error = lines.derive("-offset / slope")
    slope, offset = lines.popt[..., 0], lines.popt[..., 1]
    gradient = np.stack([offset / slope**2, -1 / slope], axis=-1)
    assert_allclose(value, -offset / slope)
    assert_allclose(error, np.sqrt(np.einsum("...i,...ij,...j", gradient, lines.pcov, gradient)))
    assert_allclose(decays.derive("k").error, decays.perr[..., 1])
    for formula, words in ((1, "`formula`"), ("q * k", "`q`"), ("k +", "read")):
        with pytest.raises(ValueError, match=words):
            decays.derive(formula)


@pytest.mark.lowest
def test_failed_fits_are_nan():
    y = BATCH[0].copy()
    y[1] = np.nan
    fits = curve_fit(line, X, y, [1, 1])
    everything = (
        fits.predict(),
        fits.residuals,
        fits.r_squared,
        fits.aic,
        fits.band().upper,
        *fits.derive("slope"),
    )
    for values in everything:
        assert np.isnan(values[1]).all() and np.isfinite(values[[0, 2]]).all()
    empty = fits[[]]
    assert empty.predict().shape == (0, 8) and empty.conf_int().shape == (0, 2, 2)
    assert empty.residuals.shape == (0, 8) and empty.bootstrap(3).popt.shape == (0, 3, 2)


@pytest.mark.lowest
def test_comparison(lines, decays):
    found = compare([lines, decays], nested=True)
    assert found.best.shape == (2, 3) and (found.best == 1).all()
    assert_allclose(found.weights.sum(axis=-1), 1)
    difference = decays.aic - lines.aic
    assert_allclose(found.weights[..., 0], 1 / (1 + np.exp(-difference / 2)), rtol=1e-9)
    statistic = (lines.chi2 - decays.chi2) / (decays.chi2 / 5)
    assert_allclose(found.statistic[..., 0], statistic)
    assert_allclose(found.pvalue[..., 0], stats.f.sf(statistic, 1, 5))
    assert "best for 6" in repr(found)
    assert_array_equal(compare([decays, lines], criterion="bic").best, 0)


@pytest.mark.long
def test_pvalues_of_the_true_smaller_model_are_uniform():
    rng = np.random.default_rng(5)
    y = 1 + rng.standard_normal((200 if config.DISABLE_JIT else 2000, X.size))
    small, large = (curve_fit(line, X, y, [0, 1], fixed=fixed) for fixed in (["slope"], ()))
    known = [curve_fit(line, X, y, [0, 1], np.ones(8), True, fixed=fixed) for fixed in (["slope"], ())]
    for pair in ([small, large], known):
        pvalue = compare(pair, nested=True).pvalue[:, 0]
        assert stats.kstest(pvalue, "uniform").pvalue > 0.01


def test_comparison_of_failed_fits(lines):
    y = BATCH.copy()
    y[0, 0] = np.nan
    found = compare([curve_fit(line, X, y, [1, 1], fixed=fixed) for fixed in (["slope"], ())], nested=True)
    assert found.best[0, 0] == -1 and np.isnan(found.weights[0, 0]).all() and np.isnan(found.pvalue[0, 0])
    with pytest.raises(ValueError, match="different points"):
        compare([lines, curve_fit(line, X, y, [1, 1])])


def test_bad_comparisons(lines, decays):
    for fits, words in [
        (lines, "two or more"),
        ([lines], "two or more"),
        ([lines, 1], "results of curve_fit"),
        ([lines, lines[0]], "shapes"),
        ([lines, curve_fit(line, X, BATCH, [1, 1], absolute_sigma=True)], "`absolute_sigma`"),
        ([lines, curve_fit(line, X, BATCH, [1, 1], loss="huber")], "losses"),
    ]:
        with pytest.raises(ValueError, match=words):
            compare(fits)
    with pytest.raises(ValueError, match="more fitted parameters"):
        compare([decays, lines], nested=True)
    with pytest.raises(ValueError, match="`criterion`"):
        compare([decays, lines], criterion="aicc")


def test_bad_input(lines, decays):
    with pytest.raises(ValueError, match="`x` must have the shape"):
        lines.predict(np.ones((4, 5)))
    with pytest.raises(ValueError, match="`kind`"):
        lines.band(kind="both")
    weighted = curve_fit(DECAY, X, BATCH, [2, 1, 0.3], np.ones(8))
    with pytest.raises(ValueError, match="in quadrature"):
        weighted.band(kind="prediction")
    copy = pickle.loads(pickle.dumps(decays))
    with pytest.raises(ValueError, match="pickled"):
        copy.predict(X)
    assert_array_equal(compare([copy, lines]).best, 0)
    assert nbadam.Comparison is type(compare([copy, lines]))
