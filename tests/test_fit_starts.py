"""Fits without starting values, and retries: what a fit becomes depends on its own data."""

import pickle
import warnings

import numba
import numpy as np
import pytest
from decays import decay
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeWarning

import nbadam
from nbadam import curve_fit, models
from nbadam.fitting.arguments import parse_model
from nbadam.fitting.kernels.losses import Loss
from nbadam.fitting.parsing import parse_data
from nbadam.fitting.problem import Plan, Problem
from nbadam.fitting.search import draws, explore, library
from nbadam.fitting.search.linear import independent, linear_parameters
from nbadam.fitting.shared import starts

pytestmark = pytest.mark.one_point

X = np.linspace(0.1, 6, 24)
RNG = np.random.default_rng(1)


TRUTH = RNG.uniform([2, 0.5, -1], [5, 2, 1], (40, 3))
Y = decay(X, *TRUTH.T[:, :, None]) + 0.02 * RNG.standard_normal((40, X.size))


@pytest.fixture(autouse=True)
def _few_starts(monkeypatch):
    """Search with few starts in plain Python, where one takes a thousand times as long."""
    if numba.config.DISABLE_JIT:
        few = {
            "STARTS": 8,
            "MOST": 16,
            "KEPT": 2,
            "TRIALS": 2,
            "FIRST": 6,
            "SECOND": 40,
            "LAST": 1,
            "ENOUGH": 1,
        }
        for name, value in few.items():
            monkeypatch.setattr(explore, name, value)
        few = {"OWN": 2, "SAMPLE": 1, "AGAIN": 1, "MORE": 2, "TRIES": 1, "ROUNDS": 1, "MOST": 16, "STARTS": 8}
        for name, value in few.items():
            monkeypatch.setattr(library, name, value)


compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="too few starts in plain Python")


def plan_of(f, x, y, sigma=None, **changes):
    sets, _, variables = parse_data(f, None, x, y, sigma, None)
    model = parse_model(f, None, None, variables)
    n = len(model.parameters)
    settings = {
        "method": "lm", "search": "never", "model": model, "loss": Loss("linear"), "f_scale": 1.0,
        "dtype": np.dtype(float), "start": lambda chosen: np.ones((len(chosen), n)), "lower": None,
        "upper": None, "fixed": np.zeros(n, bool), "ftol": 1e-15, "xtol": 1e-15, "max_nfev": 2000,
        "batch_size": None, "workers": 1, "progress": False, "seed": (0,),
    }  # fmt: skip
    return sets, Plan(**settings | changes)


def assert_same_fit(one, other):
    for name in ("popt", "chi2", "status", "n_starts", "n_reached"):
        assert_array_equal(getattr(one, name), getattr(other, name))


# --- The pieces ------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("function", "linear"),
    [
        (decay, [0, 2]),
        (lambda x, a, b, c: (a + b * x) / (1 + c * x), [0, 1]),
        (lambda x, a, b, c: a * b * np.exp(-c * x), [0]),
        (lambda x, a, b, c: (a + b * x) ** c, []),
    ],
)
def test_linear_parameters_are_found(function, linear):
    assert_array_equal(linear_parameters(*plan_of(function, X, Y[0]), 0), linear)


def test_most_parameters_without_conflict():
    conflicts = np.zeros((5, 5), bool)
    conflicts[0, [1, 2]] = conflicts[[1, 2], 0] = True
    assert_array_equal(independent(conflicts, np.array([True, True, True, False, True])), [1, 2, 4])


@pytest.mark.parametrize("bounded", [False, True])
def test_linear_parameters_are_solved_for(bounded):
    sigma = RNG.uniform(0.5, 2, X.size)
    box = {"lower": np.array([-1.0, 0, -9]), "upper": np.array([2.0, 9, 9])} if bounded else {}
    sets, plan = plan_of(decay, X, Y[:3], sigma, **box)
    rates = np.array([[[0.0, 0.3, 0], [0, 1, 0], [0, 4, 0], [0, -2, 0]]])
    best, chi2 = Problem(sets, plan, np.arange(3)).screened(rates, np.array([0, 2]), 4)
    assert (np.diff(chi2, axis=1) >= 0).all()
    for i in range(3):
        assert set(best[i, :, 1]) <= ({0.3, 1, 4, 0.0} if bounded else {0.3, 1, 4, -2})
        for p, value in zip(best[i], chi2[i], strict=True):
            assert_allclose(value, (((Y[i] - decay(X, *p)) / sigma) ** 2).sum(), rtol=1e-9)
            if not bounded:
                basis = np.stack([np.exp(-p[1] * X), np.ones_like(X)], axis=1) / sigma[:, None]
                solved = np.linalg.lstsq(basis, Y[i] / sigma, rcond=None)[0]
                assert_allclose(p[[0, 2]], solved, rtol=1e-8, atol=1e-9)


def test_draws_lie_within_bounds_and_take_all_roles():
    points = draws.uniform_points(1024, 3, (0,))
    lower, upper = np.array([-np.inf, 0.0, 2.0]), np.array([np.inf, np.inf, 3.0])
    values = draws.spread(points, np.array([[100.0, 110.0, 130.0]]), lower, upper)
    assert ((values >= lower) & (values <= upper)).all()
    free = values[:, 0]
    assert ((free > 97) & (free < 133)).mean() > 0.25  # positions
    assert (np.abs(free) < 0.01).any() and (free < -1000).any() and (free > 1000).any()
    low, high = np.histogram(values[:, 2], [2, 2.5, 3])[0]
    assert 0.8 < low / high < 1.25
    shifted = draws.spread(points, np.array([[1e3, 1.1e3, 1.3e3]]), lower, upper)
    assert ((shifted[:, 0] > 970) & (shifted[:, 0] < 1330)).mean() > 0.25
    assert np.isfinite(draws.spread(points, np.full((1, 1), 5.0), lower, upper)).all()


# --- One data set ----------------------------------------------------------------------------------


@compiled_only
def test_a_fit_without_start_is_that_from_the_truth_for_any_seed_and_thread_count():
    known = curve_fit(decay, X, Y[0], TRUTH[0])
    fits = [curve_fit(decay, X, Y[0], rng=seed, workers=workers) for seed, workers in
            [(0, 1), (0, 2), (None, 1), (7, 1)]]  # fmt: skip
    assert_same_fit(fits[0], fits[1])
    assert_same_fit(fits[0], fits[2])
    for fit in fits:
        assert fit.success
        assert_allclose(fit.popt, known.popt, rtol=1e-6)
        assert fit.n_reached >= explore.ENOUGH
        assert fit.n_starts >= 2 * explore.STARTS
        assert_allclose(fit.minima.chi2[0], fit.chi2)
        assert fit.minima.count(1.0) == 1
    assert known.n_starts == 0
    assert known.minima is None


@compiled_only
def test_results_of_searches_go_to_files_and_pickles(tmp_path):
    fit = curve_fit(decay, X, Y[0])
    fit.save(tmp_path / "fit.npz")
    for again in (nbadam.load_fit(tmp_path / "fit.npz"), pickle.loads(pickle.dumps(fit))):
        assert_same_fit(again, fit)
        assert_array_equal(again.minima.popt, fit.minima.popt)
        assert_array_equal(again.minima.n_reached, fit.minima.n_reached)


@compiled_only
def test_of_equal_solutions_the_simplest_is_returned():
    y = 3 * np.exp(-(((X - 2) / 0.5) ** 2)) + 0.01 * RNG.standard_normal(X.size)
    for seed in range(3):
        fit = curve_fit("a * exp(-((x - mu) / s)**2)", X, y, rng=seed)
        assert_allclose(fit.popt, [3, 2, 0.5], rtol=0.05)  # not -0.5
    t = np.arange(30.0)
    waves = np.sin(0.5 * t) + 0.1 * RNG.standard_normal(30)
    assert_allclose(abs(curve_fit("a * sin(w * x)", t, waves)["w"]), 0.5, rtol=0.05)  # not 2 pi - 0.5


@pytest.mark.long
@compiled_only
@pytest.mark.parametrize("kind", ["even", "offset", "uneven"])
def test_a_frequency_is_found_in_any_unit_of_x(kind):
    """Times in seconds led to aliases, 1e10 times the frequency, whose rounding is noise of its own."""
    rng = np.random.default_rng(0)
    t = {
        "even": np.arange(240.0),
        "offset": 470_000 + np.arange(240.0),
        "uneven": np.sort(240 * rng.random(240)),
    }
    for rate in 0.26, 0.07:
        y = 3 * np.sin(rate * t[kind] + rng.uniform(0, 6, (3, 1))) + 10 + 0.3 * rng.standard_normal((3, 240))
        for unit in 1.0, 3600.0, 1e-6, 2.0**20:
            fit = curve_fit("a * sin(w * x + p) + c", t[kind] * unit, y)
            assert fit.success.all()
            assert_allclose(np.abs(fit["w"]) * unit, rate, rtol=0.01)


OPTIONS = {
    "bounds": {"bounds": ([-9, 0, -0.5], [9, 9, 0.5])},
    "bound of the best": {"bounds": {"k": (0, 0.6)}},
    "fixed": {"fixed": {"c": TRUTH[0, 2]}},
    "tied": {"tied": {"c": f"a * {TRUTH[0, 2] / TRUTH[0, 0]}"}},
    "sigma": {"sigma": np.linspace(0.01, 0.1, X.size)},
    "covariance": {"sigma": 0.01 * (np.eye(X.size) + 0.5)},
    "loss": {"loss": "soft_l1", "f_scale": 0.03},
    "mask": {"mask": X > 5},
    "float32": {"dtype": np.float32},
}


@pytest.mark.long
@compiled_only
@pytest.mark.parametrize("kind", OPTIONS)
def test_a_search_respects_options(kind):
    options = OPTIONS[kind]
    start = TRUTH[0].copy()
    if "bounds" in options:
        start = np.clip(start, [-9, 0, -0.5], [9, 0.5, 0.5])
    known = curve_fit(decay, X, Y[0], start, **options)
    found = curve_fit(decay, X, Y[0], **options)
    assert found.success
    assert_allclose(found.chi2, known.chi2, rtol=1e-4 if kind == "float32" else 1e-7)
    assert_allclose(found.popt, known.popt, rtol=2e-3 if kind == "float32" else 1e-4)
    assert found.minima.popt.shape[1] == 3


@compiled_only
def test_counts_and_several_variables():
    counts = RNG.poisson(30 * np.exp(-0.7 * X) + 2)
    known = curve_fit(decay, X, counts, [30, 0.7, 2], loss="poisson")
    assert_allclose(curve_fit(decay, X, counts, loss="poisson").popt, known.popt, rtol=1e-5)
    u, v = (axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(50, 59.0)))
    spot = nbadam.Model("a * exp(-((u - m)**2 + (v - n)**2) / s) + c", variables=["u", "v"])
    z = spot(np.stack([u, v]), 5, 3, 54, 4, 1) + 0.1 * RNG.standard_normal(u.size)
    assert_allclose(curve_fit(spot, np.stack([u, v]), z).popt, [5, 3, 54, 4, 1], rtol=0.2)


@compiled_only
def test_ragged_data_sets():
    lengths = 14 + np.arange(20) % 9
    short = [X[:m] for m in lengths], [row[:m] for row, m in zip(Y, lengths, strict=False)]
    known = curve_fit(decay, *short, TRUTH[:20])
    assert_allclose(curve_fit(decay, *short).chi2, known.chi2, rtol=1e-6)


@pytest.mark.lowest
def test_a_small_library():
    fits = curve_fit(decay, X[::3], Y[:4, ::3], workers=1)
    assert (fits.n_starts > 0).all()
    known = curve_fit(decay, X[::3], Y[:4, ::3], TRUTH[:4])
    assert_allclose(fits.chi2, known.chi2, rtol=1e-6)


def test_a_linear_model_needs_one_start():
    fit = curve_fit(lambda x, a, b, c: a + b * x + c * x * x, X, Y[0])
    assert_allclose(fit.popt[::-1], np.polyfit(X, Y[0], 2), rtol=1e-8)
    assert fit.n_starts == 1


@pytest.mark.long
def test_a_minimum_that_was_reached_once_is_doubted(monkeypatch):
    for name, value in {"STARTS": 2, "MOST": 2, "ENOUGH": 2, "KEPT": 1}.items():
        monkeypatch.setattr(explore, name, value)
    with pytest.warns(OptimizeWarning, match="Of 2 starts"):
        curve_fit(decay, X, Y[0])


def test_bad_input():
    with pytest.raises(ValueError, match="`rng` goes with"):
        curve_fit(decay, X, Y[0], TRUTH[0], rng=1)
    with pytest.raises(ValueError, match="`rng` must be"):
        curve_fit(decay, X, Y[0], rng="seed")
    with pytest.raises(TypeError, match="must not exceed"):
        curve_fit(decay, X[:2], Y[0, :2])
    some = np.where(np.arange(2)[:, None] > 0, np.nan, Y[:2])
    few = curve_fit(decay, X, some)
    assert_array_equal(few.status, [nbadam.Status.SUCCESS, nbadam.Status.TOO_FEW_POINTS])


@compiled_only
def test_a_model_that_is_never_finite():
    with pytest.raises(RuntimeError, match="not finite"):
        curve_fit(lambda x, a, b, c: a * np.log(-1 - x * x) + b + c, X, Y[0])


def stubborn(x, a, k, c):
    if k < 0:
        raise ValueError("no growth")
    return a * np.exp(-k * x) + c


def refusing(x, a, k, c):
    if k > -1e9:
        raise ValueError("never")
    return a * np.exp(-k * x) + c


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="differences step to where it raises")
def test_models_that_raise():
    if tuple(map(int, numba.__version__.split(".")[:2])) < (0, 61):
        pytest.skip("exceptions are lost behind function pointers")
    assert_allclose(curve_fit(stubborn, X, Y[0]).popt, curve_fit(decay, X, Y[0]).popt, rtol=1e-6)
    with pytest.raises(ValueError, match="never"):
        curve_fit(refusing, X, Y[0])


# --- Batches ---------------------------------------------------------------------------------------


@compiled_only
def test_few_data_sets_and_those_of_search_all_do_not_see_each_other():
    alone = [curve_fit(decay, X, Y[i]) for i in (0, 3)]
    few = curve_fit(decay, X, Y[:4])
    many = curve_fit(decay, X, Y[16::-1], search="all", workers=2)
    for fit, i in zip(alone, (0, 3), strict=True):
        assert_same_fit(few[i], fit)
        assert_same_fit(many[16 - i], fit)


@compiled_only
def test_a_batch_without_starts():
    x = np.linspace(0, 12, 60)
    model = nbadam.Model("a * exp(-((x - m) / s)**2) + b * exp(-((x - n) / u)**2)")
    truth = np.array([3, 4, 1, 2, 7, 1.2]) * np.exp(RNG.uniform(-0.15, 0.15, (300, 6)))
    y = np.array([model(x, *p) for p in truth]) + 0.03 * RNG.standard_normal((300, 60))
    known = curve_fit(model, x, y, truth)
    found = curve_fit(model, x, y, workers=1)
    assert (found.chi2 <= known.chi2 * (1 + 1e-6)).mean() >= 0.98
    assert np.median(found.n_starts) == 1
    assert_same_fit(found, curve_fit(model, x, y, workers=2))


@compiled_only
def test_retries_depend_on_own_data():
    rng = np.random.default_rng(3)
    x = np.linspace(-10, 10, 48)
    truth = rng.uniform([3, -5, 1, 0], [5, 5, 2, 1], (30, 4))
    peaks = np.array([models.GAUSSIAN(x, *p) for p in truth]) + 0.1 * rng.standard_normal((30, 48))
    start = truth + [0, 3, 0, 0] * truth[:, 2:3]
    wild = 100 * rng.standard_normal((100, 48)) ** 3
    company, starts = np.concatenate([wild, peaks]), np.concatenate([np.tile(truth[:1], (100, 1)), start])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        together = curve_fit(models.GAUSSIAN, x, company, starts, search="failed")
        among_peaks = curve_fit(models.GAUSSIAN, x, peaks, start, search="failed")
        for i in range(0, 30, 10):
            some = slice(i, i + 1)
            alone = curve_fit(models.GAUSSIAN, x, peaks[some], start[some], search="failed")
            assert_same_fit(alone, among_peaks[some])
    assert_same_fit(together[100:], among_peaks)
    best = curve_fit(models.GAUSSIAN, x, peaks, truth).chi2 * (1 + 1e-6)
    assert (among_peaks.chi2 <= best).mean() >= 0.9


@compiled_only
def test_shared_parameters_without_a_start():
    truth = TRUTH[:12].copy()
    truth[:, 1] = np.repeat([0.7, 1.5, 1.1], 4)
    y = decay(X, *truth.T[:, :, None]) + 0.02 * np.random.default_rng(5).standard_normal((12, X.size))
    y[5, 2:] = np.nan  # by itself it determines nothing
    for shared in (["k"], {"k": np.repeat([0, 1, 2], 4)}):
        known = curve_fit(decay, X, y, truth, shared=shared)
        found = curve_fit(decay, X, y, shared=shared, workers=1)
        assert found.success.all() and (found.n_starts >= 2).all() and (found.n_reached >= 2).all()
        assert_allclose(found.total_chi2, known.total_chi2, rtol=1e-12)
        assert_allclose(found.popt, known.popt, rtol=1e-6)
        assert_allclose(found.perr, known.perr, rtol=1e-6)
        assert_same_fit(found, curve_fit(decay, X, y, shared=shared, workers=2))
    exact = curve_fit(decay, X, [decay(X, 2, 1.2, 0.5), decay(X, 3, 1.2, -0.5)], shared=["k"])
    assert (exact.n_reached >= 2).all()
    assert_allclose(exact.popt, [[2, 1.2, 0.5], [3, 1.2, -0.5]], rtol=1e-7)
    assert_allclose(curve_fit(decay, X, y, shared=["k"], rng=7).total_chi2, curve_fit(
        decay, X, y, truth, shared=["k"]).total_chi2, rtol=1e-12)  # fmt: skip


@compiled_only
def test_a_shared_minimum_that_was_reached_once_is_doubted(monkeypatch):
    monkeypatch.setattr(starts, "TRIALS", 1)
    with pytest.warns(OptimizeWarning, match="fewer than two led to the lowest"):
        curve_fit(decay, X, Y[:2], shared=["c"])


def test_shared_starts_need_one_model():
    with pytest.raises(ValueError, match="Different models need a start: pass `p0` by name"):
        curve_fit([decay, "a * x + c"], X, Y[:2], shared=["c"])
    with pytest.raises(ValueError, match="`rng` goes with a search"):
        curve_fit(decay, X, Y[:2], TRUTH[:2], shared=["c"], rng=0)


def drifting_peaks():
    """Peaks that move across the image, its data, and the fits from the truth."""
    rng = np.random.default_rng(3)
    x = np.linspace(-10, 10, 48)
    row, column = np.mgrid[:3, :7]
    truth = np.stack([3 + 0 * row, -6 + 2.0 * column + row, 0.8 + 0 * row, 0 * row], axis=2).astype(float)
    peaks = np.array([models.GAUSSIAN(x, *p) for p in truth.reshape(-1, 4)]).reshape(3, 7, 48)
    return x, truth, peaks + 0.1 * rng.standard_normal(peaks.shape)


@pytest.mark.long
@compiled_only
@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
def test_neighbours_help_each_other():
    x, truth, y = drifting_peaks()
    best = curve_fit(models.GAUSSIAN, x, y, truth)
    start = truth[0, 0]
    by_itself = curve_fit(models.GAUSSIAN, x, y, start)
    assert not (by_itself.chi2 <= best.chi2 * (1 + 1e-6))[:, 3:].any()
    helped = curve_fit(models.GAUSSIAN, x, y, start, search="neighbours", workers=1)
    assert helped.success.all() and (helped.nfev > by_itself.nfev).all()
    assert_allclose(helped.chi2, best.chi2, rtol=1e-9)
    assert_allclose(helped.popt, best.popt, atol=1e-5)
    assert_allclose(helped.perr, best.perr, rtol=1e-4)
    assert_same_fit(helped, curve_fit(models.GAUSSIAN, x, y, start, search="neighbours", workers=2))
    turned = curve_fit(models.GAUSSIAN, x, y.swapaxes(0, 1)[::-1], start, search="neighbours")
    assert_allclose(turned.chi2.T[:, ::-1], best.chi2, rtol=1e-9)


@pytest.mark.long
def test_fits_that_start_from_neighbours_keep_their_own_fixed_values():
    start, offset = [1, -3, 0], TRUTH[:20, 2]
    fit = curve_fit(decay, X, Y[:20], start, fixed={"c": offset}, search="neighbours")
    assert fit.success.all()
    assert_array_equal(fit["c"], offset)
    assert_allclose(fit.chi2, curve_fit(decay, X, Y[:20], TRUTH[:20], fixed={"c": offset}).chi2, rtol=1e-6)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
def test_a_solution_spreads_through_fits_but_not_through_gaps():
    x, truth, y = drifting_peaks()
    best = curve_fit(models.GAUSSIAN, x, y, truth).chi2 * (1 + 1e-6)
    y[:, 3] = np.nan
    offset = 0.01 * np.arange(21).reshape(3, 7)
    fit = curve_fit(models.GAUSSIAN, x, y, truth[0, 0], search="neighbours")
    assert (fit.chi2 <= best)[:, :3].all() and not (fit.chi2 <= best)[:, 4:].any()
    assert (fit.status[:, 3] == nbadam.Status.TOO_FEW_POINTS).all()
    held = curve_fit(models.GAUSSIAN, x, y, truth, fixed={"offset": offset}, search="neighbours")
    assert_array_equal(held["offset"][held.success], offset[held.success])
    assert held.success[:, :3].all()
    with pytest.raises(ValueError, match="no neighbours: use search='failed'"):
        curve_fit(models.GAUSSIAN, x, y[0, 0], search="neighbours")
