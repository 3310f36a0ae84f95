"""Fits reach the minimum: from poor starts, of low counts, and on real data beside SciPy's."""

import numba
import numpy as np
import pytest
from scipy.optimize import curve_fit as scipy_curve_fit

from nbadam import curve_fit, models
from nbadam.demo import kurtosis, kurtosis_guess, load_voxels

# Fits from poor starts that end without success are counted here.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.* without success:scipy.optimize.OptimizeWarning"),
]

SLOW = numba.config.DISABLE_JIT
FITS = 1000

needs_many_fits = pytest.mark.skipif(
    bool(SLOW or numba.config.BOUNDSCHECK), reason="a share of many fits takes long in slow code"
)


def peaks(light):
    """Gaussian peaks over an offset, with the noise of counts; `light` scales their number."""
    rng = np.random.default_rng(21)
    x = np.arange(48.0)
    truth = rng.uniform([50, 16, 2.5, 5], [500, 32, 7, 20], (FITS, 4)) * [light, 1, 1, light]
    height, center, sigma, offset = truth.T[:, :, None]
    mean = height * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset
    return x, rng.poisson(mean).astype(float), truth, rng


def falls():
    """Exponential decays over an offset, with Gaussian noise."""
    rng = np.random.default_rng(22)
    x = np.linspace(0, 10, 32)
    rate = np.exp(rng.uniform(np.log(0.2), np.log(2), FITS))
    truth = np.stack([rng.uniform(1, 10, FITS), rate, rng.uniform(0, 2, FITS)], axis=1)
    height, rate, offset = truth.T[:, :, None]
    noise = 0.05 * height * rng.standard_normal((FITS, x.size))
    return x, height * np.exp(-rate * x) + offset + noise, truth, rng


def from_data(y):
    offset = np.quantile(y, 0.2, axis=1)
    height = y.max(axis=1) - offset
    width = np.clip((y - offset[:, None]).sum(axis=1) / (height * np.sqrt(2 * np.pi)), 1, 15)
    return np.stack([height, y.argmax(axis=1), width, offset], axis=1)


def off_centre(y, truth, rng):
    """From the data, but for the centre, which is 2 to 3 sigma off."""
    start = from_data(y)
    start[:, 1] = truth[:, 1] + rng.choice([-1, 1], FITS) * rng.uniform(2, 3, FITS) * truth[:, 2]
    return start


def ones(y, truth, rng):
    return np.ones_like(truth)


def wide(y, truth, rng):
    rate = np.exp(rng.uniform(np.log(0.02), np.log(20), FITS))
    return np.stack([rng.uniform(0.1, 30, FITS), rate, rng.uniform(-5, 5, FITS)], axis=1)


@needs_many_fits
@pytest.mark.parametrize(
    ("kind", "start", "least"), [("peaks", off_centre, 0.92), ("peaks", ones, 0.999), ("falls", wide, 0.999)]
)
def test_share_at_the_global_minimum_from_poor_starts(kind, start, least):
    model = models.GAUSSIAN if kind == "peaks" else models.EXPONENTIAL
    x, y, truth, rng = peaks(1) if kind == "peaks" else falls()
    fit = curve_fit(model, x, y, start(y, truth, rng), search="all")
    best = np.fmin(fit.chi2, curve_fit(model, x, y, truth).chi2)
    assert (fit.chi2 <= best * (1 + 1e-6)).mean() >= least


@needs_many_fits
@pytest.mark.parametrize("search", ["never", "failed"])
def test_share_at_the_highest_likelihood_of_low_counts(search):
    """Also from the model's own guess, which is negative at some points of every sixth data set."""
    x, y, truth, _ = peaks(0.1)
    p0 = from_data(y) if search == "never" else None
    fit = curve_fit(models.GAUSSIAN, x, y, p0, search=search, loss="poisson")
    best = np.fmin(fit.chi2, curve_fit(models.GAUSSIAN, x, y, truth, loss="poisson").chi2)
    assert (fit.chi2 <= best + 1e-4).mean() >= 0.99


def test_no_voxel_is_fitted_worse_than_by_scipy():
    b, signals = load_voxels()
    voxels = signals.reshape(-1, b.size)
    chosen = np.random.default_rng(3).choice(len(voxels), 20 if SLOW else 100, replace=False)
    fit = curve_fit(kurtosis, b, voxels[chosen], p0=kurtosis_guess)
    assert fit.success.all()
    for chi2, voxel in zip(fit.chi2, voxels[chosen], strict=True):
        popt, _ = scipy_curve_fit(kurtosis, b, voxel, kurtosis_guess(b, voxel))
        assert chi2 <= ((kurtosis(b, *popt) - voxel) ** 2).sum() * (1 + 1e-6)
