"""`curve_fit(method="adam", batch_size=...)`: each step of Adam sees a part of the points."""

import warnings

import numba
import numpy as np
import pytest
from decays import DECAY, assert_same_fit, decay
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeWarning

from nbadam import Model, Status, curve_fit
from nbadam.fitting.kernels.minibatch import batches

SLOW = numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK
FITS, POINTS, SIZE = (3, 60, 20) if SLOW else (40, 2000, 100)
STEPS = 150 if SLOW else 1000
NEAR = 0.5  # standard errors, root mean square

rng = np.random.default_rng(1)
X = np.linspace(0, 5, POINTS)
TRUTH = rng.uniform([1, 0.4, 0], [5, 2, 1], (FITS, 3))
P0 = np.array([2.0, 1.0, 0.5])


Y = decay(X, *TRUTH.T[:, :, None]) + 0.1 * rng.standard_normal((FITS, POINTS))


def sampled(y, x=X, p0=P0, **options):
    return curve_fit(
        DECAY, x, y, p0, **({"batch_size": SIZE, "max_nfev": STEPS, "rng": 0} | options), method="adam"
    )


def off(fit, expected):
    """Distance from the minimum in standard errors, root mean square."""
    return np.sqrt(np.mean(((fit.popt - expected.popt) / expected.perr)[..., fit.free] ** 2))


# --- Which points ---------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 50))
def test_an_epoch_takes_each_point_at_most_once_and_leaves_less_than_a_batch(points, size, steps):
    epochs = list(batches((3,), points, size, steps))
    size = min(size, points)
    assert sum(len(epoch) for epoch in epochs) == steps
    for epoch in epochs:
        assert epoch.shape[1] == size and epoch.flags.c_contiguous
        assert np.unique(epoch).size == epoch.size
        assert 0 <= epoch.min() and epoch.max() < points
    for epoch in epochs[:-1]:
        assert points - epoch.size < size


def test_every_point_is_as_likely_as_any_other():
    """Batches of 3 leave one of ten points over in each epoch, not always the same."""
    left = np.zeros(10)
    for epoch in batches((0,), 10, 3, 3000):
        left[np.setdiff1d(np.arange(10), epoch)] += 1
    assert_allclose(left, 100, atol=4.5 * np.sqrt(1000 * 0.1 * 0.9))


# --- What comes of it -----------------------------------------------------------------------------


def test_it_ends_near_the_minimum_and_says_that_it_is_not_there():
    fit, expected = sampled(Y), curve_fit(DECAY, X, Y, P0)
    assert (fit.status == Status.MAXITER).all() and not fit.success.any()
    assert (fit.nfev == STEPS + 2).all()
    assert off(fit, expected) < NEAR
    residuals = Y - decay(X, *fit.popt.T[:, :, None])
    assert_allclose(fit.chi2, (residuals**2).sum(axis=1), rtol=1e-10)  # of all points, not of a batch
    assert (fit.chi2 >= expected.chi2).all()
    if not SLOW:
        assert_allclose(fit.perr, expected.perr, rtol=0.05)


@pytest.mark.long
def test_more_steps_bring_it_nearer():
    expected = curve_fit(DECAY, X, Y, P0)
    few, many = (off(sampled(Y, max_nfev=steps), expected) for steps in (STEPS // 10, 2 * STEPS))
    assert many < few / 2


def test_one_data_set_is_returned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = sampled(Y[0])
    popt, pcov = fit
    assert popt.shape == (3,) and pcov.shape == (3, 3)
    assert fit.status == Status.MAXITER and not fit.success


@pytest.mark.long
def test_batches_of_all_points_are_plain_steps():
    """Whatever the seed, but for the rounding of sums in another order."""
    first, second = sampled(Y, batch_size=POINTS), sampled(Y, batch_size=10 * POINTS, rng=1)
    expected = curve_fit(DECAY, X, Y, P0)
    assert off(first, expected) < 0.05
    assert_allclose(first.popt, second.popt, rtol=1e-6)


OPTIONS = [
    {"loss": "cauchy", "f_scale": 0.3},
    {"sigma": np.linspace(0.5, 2, POINTS)},
    {"bounds": ([0, 0, 0.4], [3, 9, 9])},
    {"dtype": np.float32},
    {"fixed": ["c"]},
    {"tied": {"c": "a / 5"}},
]


@pytest.mark.lowest
@pytest.mark.long
@pytest.mark.parametrize("options", OPTIONS[: 3 if SLOW else None], ids=lambda o: next(iter(o)))
def test_it_goes_with(options):
    fit, expected = sampled(Y, **options), curve_fit(DECAY, X, Y, P0, **options)
    distance = (fit.popt - expected.popt) / np.where(expected.perr > 0, expected.perr, 1)
    assert np.sqrt((distance**2).mean()) < NEAR
    if "bounds" in options:
        lower, upper = options["bounds"]
        assert (lower <= fit.popt).all() and (fit.popt <= upper).all()
    if "fixed" in options:
        assert (fit.popt[:, 2] == P0[2]).all()
    if "tied" in options:
        assert_allclose(fit.popt[:, 2], fit.popt[:, 0] / 5)


@pytest.mark.long
@pytest.mark.skipif(SLOW, reason="takes many steps")
def test_counts():
    counts = np.random.default_rng(2).poisson(decay(X, *(10 * TRUTH.T)[:, :, None]))
    options = {"loss": "poisson", "p0": [20, 1, 5], "bounds": (1e-3, np.inf)}
    fit = sampled(counts, max_nfev=2 * STEPS, **options)
    expected = curve_fit(DECAY, X, counts, **options)
    assert off(fit, expected) < NEAR


def test_it_never_returns_a_worse_point_than_it_was_given():
    expected = curve_fit(DECAY, X, Y, P0)
    fit = sampled(Y, p0=expected.popt, batch_size=1, max_nfev=5)
    assert (fit.chi2 <= expected.chi2 * (1 + 1e-12)).all()


# --- Points that are left out ---------------------------------------------------------------------


def line(x, a, b):
    return a + b * (x - 2.5)


@pytest.mark.skipif(SLOW, reason="takes many steps")
def test_points_that_are_left_out_bring_no_bias():
    """Of one half of the points nine in ten are left out: some batches hold few points of a data set."""
    left_out = (np.random.default_rng(3).random(Y.shape) < 0.9) & (X < 2.5)
    y = line(X, 1, 0.5) + 0.1 * np.random.default_rng(4).standard_normal(Y.shape)
    y[left_out] = np.nan
    model = Model(line)
    expected = curve_fit(model, X, y, [1, 1])
    runs = []
    for seed in range(20):
        fit = curve_fit(model, X, y, [0, 0], method="adam", batch_size=20, rng=seed)
        runs.append((fit.popt - expected.popt) / expected.perr)
    error = np.std(runs, axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.sqrt(np.mean(np.square(runs))) < 1.5
    assert np.abs(np.mean(runs, axis=0) / error).mean() < 1.1  # 0.83 where there is no bias


def test_batches_without_a_point_do_no_harm():
    left_out = np.arange(POINTS) % 10 > 0
    fit = sampled(Y, mask=left_out, batch_size=1, max_nfev=STEPS)
    expected = curve_fit(DECAY, X[~left_out], Y[:, ~left_out], P0)
    assert (fit.n_points == (~left_out).sum()).all()
    assert np.isfinite(fit.popt).all()
    assert off(fit, expected) < 25


def test_bad_rows_are_marked_and_harm_no_other():
    y, p0 = Y[:3].copy(), np.tile(P0, (3, 1))
    y[0] = np.nan
    p0[1, 0] = np.nan
    with pytest.warns(OptimizeWarning, match="1 of 3 fits without success. 1 NONFINITE"):
        fit = sampled(y, p0=p0)
    assert_array_equal(fit.status, [Status.TOO_FEW_POINTS, Status.NONFINITE, Status.MAXITER])
    assert np.isnan(fit.popt[:2]).all()
    assert_array_equal(fit.popt[2], sampled(Y[2]).popt)
    with pytest.raises(TypeError, match="points, 0"):
        sampled(y[0])
    with pytest.raises(RuntimeError, match="not finite at the start"):
        sampled(Y[1], p0=p0[1])


# --- The same bits --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 3])
def test_alone_in_any_batch_and_on_any_number_of_threads(workers, monkeypatch):
    together = sampled(Y, workers=1)
    for i in (0, FITS - 1):
        assert_same_fit(sampled(Y[i]), together, i)
    for name, value in {"batch.FIRST": 7, "batch.LEAST": 5}.items():
        monkeypatch.setattr(f"nbadam.fitting.{name}", value)
    for name in ("SECONDS", "WORTHWHILE"):
        monkeypatch.setattr(f"nbadam.blocks.{name}", 0.0)
    order = np.random.default_rng(0).permutation(FITS)
    assert_same_fit(sampled(Y[order], workers=workers), together, order)


@pytest.mark.lowest
def test_data_sets_of_different_lengths():
    lengths = [POINTS, POINTS // 2, 2, POINTS // 2, SIZE // 2, 0]
    lists = [X[:m] for m in lengths], [Y[k % FITS, :m] for k, m in enumerate(lengths)]
    with pytest.warns(OptimizeWarning, match="1 of 6 fits without success. 1 TOO_FEW_POINTS"):
        fit = sampled(lists[1], x=lists[0], max_nfev=2 * STEPS)
    assert_array_equal(fit.n_points, lengths)
    assert (fit.status[[2, 5]] == Status.TOO_FEW_POINTS).all()
    for i in (0, 1, 3, 4):
        assert_same_fit(sampled(lists[1][i], x=lists[0][i], max_nfev=2 * STEPS), fit, i)
    full = [0, 1, 3]
    expected = curve_fit(DECAY, [lists[0][i] for i in full], [lists[1][i] for i in full], P0)
    distance = (fit.popt[full] - expected.popt) / expected.perr
    assert np.sqrt((distance**2).mean()) < NEAR


@pytest.mark.long
def test_a_seed_decides():
    first = sampled(Y[0], rng=7)
    assert_same_fit(sampled(Y[0], rng=np.random.SeedSequence(7).entropy), first, ())
    assert (sampled(Y[0], rng=8).popt != first.popt).all()
    assert (sampled(Y[0], rng=None).popt != first.popt).all()
    generators = [np.random.default_rng(5) for _ in range(2)]
    once = [sampled(Y[0], rng=generator) for generator in generators]
    assert_same_fit(once[0], once[1], ())
    assert (sampled(Y[0], rng=generators[0]).popt != once[0].popt).all()


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1, not 0"),
        ({"batch_size": 1.5}, "`batch_size` must be an integer >= 1, not 1.5"),
        ({"batch_size": True}, "`batch_size` must be an integer >= 1, not True"),
        ({"batch_size": 5, "method": "lm"}, "`batch_size` goes with method='adam', not 'lm'"),
        ({"batch_size": 5, "method": "lm"}, "`batch_size` goes with method='adam', not 'lm'"),
        ({"batch_size": 5, "search": "failed"}, "`search` goes with method='lm', not 'adam'"),
        ({"batch_size": 5, "rng": -1}, "`rng` must be None, a non-negative int, .* not -1"),
        ({"batch_size": 5, "rng": "seed"}, "`rng` must be None, a non-negative int, .* not 'seed'"),
        ({"rng": 1}, "`rng` goes with `batch_size`, or a search for starts: nothing else is random"),
        ({"rng": 1, "method": "lm"}, "`rng` goes with `batch_size`"),
    ],
    ids=str,
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        curve_fit(DECAY, X, Y, P0, **({"method": "adam"} | options))


def test_correlated_points_cannot_be_parted():
    with pytest.raises(ValueError, match="`batch_size` does not go with a covariance matrix"):
        sampled(Y[0, :20], x=X[:20], sigma=np.eye(20))
