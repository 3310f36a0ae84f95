"""The algorithm of Levenberg-Marquardt fits: units, poor starts, and the ends of fits."""

import warnings
from math import exp

import numba
import numpy as np
import pytest
from boxes import MODELS, TRUTHS, T, three
from numpy.testing import assert_array_equal

import nbadam
from nbadam import Status, curve_fit, models

pytestmark = [pytest.mark.long, pytest.mark.one_point]

rng = np.random.default_rng(0)
PLAIN = numba.config.DISABLE_JIT

# Each shipped model: parameters, and the powers of the unit of x and of that of y in which they are measured.
UNITS = {
    "GAUSSIAN": ([3, 2, 0.7, 1], [0, 1, 1, 0], [1, 0, 0, 1]),
    "LORENTZIAN": ([3, 2, 0.7, 1], [0, 1, 1, 0], [1, 0, 0, 1]),
    "VOIGT": ([3, 2, 0.5, 0.4, 1], [1, 1, 1, 1, 0], [1, 0, 0, 0, 1]),
    "GAUSSIAN_2D": ([3, 2, 1.5, 0.7, 0.8, 1], [0, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 1]),
    "EXPONENTIAL": ([3, 1.1, 1], [0, -1, 0], [1, 0, 1]),
    "DOUBLE_EXPONENTIAL": ([3, 3, 2, 0.4, 1], [0, -1, 0, -1, 0], [1, 0, 1, 0, 1]),
    "STRETCHED_EXPONENTIAL": ([3, 1.5, 0.8, 1], [0, 1, 0, 0], [1, 0, 0, 1]),
    "DOSE_RESPONSE": ([0.5, 4, 1.4, 1.7], [0, 0, 1, 0], [1, 1, 0, 0]),
    "POWER_LAW": ([2, 0.7], None, [1, 0]),  # x has no unit there
    "MICHAELIS_MENTEN": ([3, 1.2], [0, 1], [1, 0]),
    "SINE": ([2, 0.6, 0.4, 1], [0, -1, 0, 0], [1, 0, 0, 1]),
}
EXPONENTS = [(120, 0), (-120, 0), (0, 120), (0, -120), (37, -63), (-41, 80)]
FEW = ["EXPONENTIAL", "POWER_LAW"]  # models that plain Python has time for
DTYPES = {"float64": [(120, -63), (-41, 120)], "float32": [(4, -7), (-3, 6), (12, -20), (-9, 16)]}
MODEST = 12  # powers of units in which single precision has room for whatever a fit may meet


def test_every_shipped_function_has_units():
    """Models that are no formulas, whose derivatives are written by hand."""
    shipped = {name: model for name, model in vars(models).items() if isinstance(model, nbadam.Model)}
    assert set(UNITS) == {name for name, model in shipped.items() if model.formula is None}


def rho(z):
    """Geman and McClure's loss."""
    return z / (1 + z), 1 / (1 + z) ** 2, -2 / (1 + z) ** 3


LOSSES = ["linear", "soft_l1", "huber", "cauchy", "arctan", "poisson", rho]
BOUNDS = [0.5, 0.8, 1.1] * 2, [0.9, np.inf, 4] * 2  # of the truth: some are active


def same_in_other_units(name, exponents, fits=6, points=25, bounds=None, loss="linear", **options):
    """Fit in several units; compare all numbers bit for bit."""
    truth, x_powers, y_powers = (None if a is None else np.array(a, float) for a in UNITS[name])
    model = getattr(models, name)
    draw = np.random.default_rng(1)
    x = np.sort(draw.uniform(0.1, 5, (len(model.variables), points)))
    y = model(x, *truth) + 0.05 * draw.standard_normal((fits, points))
    y = np.maximum(y, 0) if loss == "poisson" else y
    # Single precision has no room for derivatives of a peak that leaves the data: some units make them 0.
    is_single = options.get("dtype") == "float32"
    spread = (0.9, 1.1) if is_single else (0.6, 1.5)
    p0 = truth * draw.uniform(*spread, (fits, truth.size))
    results = []
    for by_x, by_y in [(0, 0), *exponents]:
        by_x, by_y = 0 if x_powers is None else by_x, 0 if loss == "poisson" else by_y  # counts have no unit
        powers = y_powers * by_y + (0 if x_powers is None else x_powers * by_x)
        unit = 2.0**powers
        if bounds is not None:
            low, high = (np.array(side[: truth.size]) for side in bounds)
            low, high = low * truth, high * truth
            p0 = np.clip(p0, low, high)
            options["bounds"] = low * unit, high * unit
        scale = {} if loss in ("linear", "poisson") else {"f_scale": 0.1 * 2.0**by_y}
        fit = curve_fit(model, x * 2.0**by_x, y * 2.0**by_y, p0 * unit, loss=loss, **scale, **options)
        results.append((fit.popt / unit, fit.perr / unit, fit.chi2 / 4.0**by_y, fit.status, fit.nfev))
    for (by_x, by_y), other in zip(exponents, results[1:], strict=True):
        # Further starts of fits at bounds may leave the data.
        is_far = bounds is not None and is_single and abs(by_x) + abs(by_y) > MODEST
        for one, value in zip(results[0][: 4 if is_far else 5], other, strict=not is_far):
            assert_array_equal(value, one)


@pytest.mark.filterwarnings("ignore:.*without success")
@pytest.mark.parametrize("name", FEW if PLAIN else UNITS)
def test_units_change_exponents_only(name):
    fits = 1 if PLAIN else 6
    same_in_other_units(name, EXPONENTS[:4:3] if PLAIN else EXPONENTS, fits)
    # Their texts know nothing of the model.
    others = {"method": "adam", "max_nfev": 5 if PLAIN else 50}, {"search": "all"}
    for options in others if name in FEW else ():
        same_in_other_units(name, EXPONENTS[1 : 2 if PLAIN else None : 2], fits, **options)


@pytest.mark.filterwarnings("ignore:.*without success")
@pytest.mark.parametrize("number", range(len(LOSSES)))
def test_units_with_losses_and_bounds_in_both_precisions(number):
    """Each loss in both precisions, with and without bounds: they change the same texts for all models.

    Squares of derivatives under- or overflowed on the way of an EXPONENTIAL between bounds, a POWER_LAW.
    """
    size = {"fits": 1, "points": 12, "max_nfev": 4} if PLAIN else {}
    other = "POWER_LAW" if LOSSES[number] == "arctan" else "EXPONENTIAL"
    for k, dtype in enumerate(DTYPES):
        for name in ["MICHAELIS_MENTEN"] if PLAIN else ["MICHAELIS_MENTEN", other]:
            bounds = (None, BOUNDS)[(number + k + (name == "MICHAELIS_MENTEN")) % 2]
            options = {"loss": LOSSES[number], "bounds": bounds, "dtype": dtype}
            same_in_other_units(name, DTYPES[dtype], **options, **size)


@pytest.mark.skipif(PLAIN, reason="hundreds of evaluations")
@pytest.mark.parametrize("kind", ["function", "formula"])
def test_units_of_quotients_of_powers_in_single_precision(kind):
    """The square of what is below overflowed, and derivatives were 0 where doses are numbers of 1e5."""

    def hill(x, a, b, c):
        return a * x**4 / (b**4 + x**4) + c

    model = hill if kind == "function" else nbadam.Model("a * x**4 / (b**4 + x**4) + c", ["a", "b", "c"])
    draw = np.random.default_rng(3)
    x = np.sort(draw.uniform(0.3, 10, 25)).astype(np.float32)
    y = hill(x, 3, 4, 1) + 0.05 * draw.standard_normal((2 if PLAIN else 20, 25)).astype(np.float32)
    fits = {}
    for power in (0, 8, 17, 24, -12):
        unit = np.float32(2.0**power)
        fits[power] = curve_fit(model, x * unit, y, [2, 3 * unit, 0.5], dtype=np.float32)
        assert_array_equal(fits[power].popt / [1, unit, 1], fits[0].popt)
        assert_array_equal(fits[power].perr / [1, unit, 1], fits[0].perr)
    assert fits[0].success.all()


def test_units_of_further_starts_that_see_no_data():
    """Peaks far from the data, of which squares of derivatives vanished on the way in some units only."""
    draw, x = np.random.default_rng(11), np.arange(48.0)
    truth = draw.uniform([1, 3, 1, -40], [3, 44, 6, 40], (40, 4))
    y = np.stack([models.GAUSSIAN(x, *p) for p in truth]) + 0.1 * draw.standard_normal((40, 48))
    ends = np.sort([truth * 0.5, truth * [0.9, 4, 0.9, 4]], axis=0)
    p0 = np.clip(truth * draw.uniform(0.7, 1.4, truth.shape), *ends)
    fits = []
    for by_x, by_y in (0, 0), (120, 0), (0, -120), (37, -63):
        unit = 2.0 ** np.array([by_y, by_x, by_x, by_y])
        fit = curve_fit(models.GAUSSIAN, x * 2.0**by_x, y * 2.0**by_y, p0 * unit, bounds=tuple(ends * unit))
        fits.append((fit.popt / unit, fit.perr / unit, fit.status, fit.nfev))
    for other in fits[1:]:
        for one, value in zip(fits[0], other, strict=True):
            assert_array_equal(value, one)


# --- Many models in one kernel: the first variable tells which ---------------------------------------


@pytest.fixture(scope="module", params=["exact", "differences"])
def many(request):
    """The models of `boxes` as one, with derivatives of either kind."""
    if request.param == "exact":
        return MODELS[3]

    def stored(x, a, b, c):
        p = np.array([a, b, c])  # the derivatives are lost here
        return three(x, p[0], p[1], p[2])

    return nbadam.Model(stored, variables=["kind", "t"])


def problems(per_kind, decades, seed=0):
    """Data sets of all kinds, their truth, and starts that are some decades off."""
    draw = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(TRUTHS[3])), per_kind)
    x = np.stack([np.stack([np.full(T.size, float(kind)), T]) for kind in kinds])
    truth = TRUTHS[3][kinds] * draw.uniform(0.8, 1.25, (kinds.size, 3))
    y = np.array([three((kind, T), *p) for kind, p in zip(kinds, truth, strict=True)])
    y += 0.02 * np.ptp(y, axis=1)[:, None] * draw.standard_normal(y.shape)
    return kinds, x, y, truth, truth * 10 ** draw.uniform(-decades, decades, truth.shape)


@pytest.mark.skipif(PLAIN, reason="thousands of evaluations")
@pytest.mark.parametrize("decades", [0.5, 1.5])
def test_no_success_where_a_restart_finds_better(many, decades):
    """630 problems of 21 models a time, with starts of which many lead astray."""
    _, x, y, truth, p0 = problems(30, decades)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(many, x, y, p0)
        again = curve_fit(many, x, y, np.where(fit.success[:, None], fit.popt, truth))
    assert fit.success.mean() > 0.6
    assert (again.chi2 >= fit.chi2 * (1 - 1e-8))[fit.success].all()


FORMULAS = {"a * exp(-b * x) + c": 0, "a * sin(b * x + c)": 6, "(a + b * x) / (1 + c * x)": 9}


@pytest.mark.parametrize("formula", [next(iter(FORMULAS))] if PLAIN else FORMULAS)
def test_no_success_of_formulas_where_a_restart_finds_better(formula):
    kinds, _, y, truth, p0 = problems(2 if PLAIN else 120, 1.0)
    some = kinds == FORMULAS[formula]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(formula, T, y[some], p0[some])
        again = curve_fit(formula, T, y[some], np.where(fit.success[:, None], fit.popt, truth[some]))
    assert fit.success.any()
    assert (again.chi2 >= fit.chi2 * (1 - 1e-8))[fit.success].all()


# --- Ends of fits ---------------------------------------------------------------------------------


X = np.linspace(0, 4, 40)


def decay(x, a, k, c):
    return a * exp(-k * x) + c


@pytest.mark.skipif(PLAIN, reason="hundreds of evaluations")
def test_fits_that_run_away_are_no_success():
    """Counts, started from ones as SciPy would: where k goes to 0 and a to minus infinity."""
    draw = np.random.default_rng(0)
    fits = 60
    truth = draw.uniform([500, 0.5, 0], [5000, 2, 1000], (fits, 3))
    y = truth[:, :1] * np.exp(-truth[:, 1:2] * X) + truth[:, 2:] + 20 * draw.standard_normal((fits, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(decay, X, y, [1, 1, 1])
        best = curve_fit(decay, X, y, truth)
    assert best.success.all()
    right = fit.chi2 <= best.chi2 * (1 + 1e-6)
    assert right.mean() > 0.25  # SciPy's are 0.23
    assert not (fit.success & ~right).any()
    assert set(fit.status[~right]) <= {Status.UNDETERMINED, Status.RUNAWAY}
    assert fit.nfev.max() <= 400


def odd(x):
    return np.sin(2 * x) + np.sin(9 * x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("formula", "names", "x", "y"),
    [
        ("a + b * x + c * x**2 + d * x**3", "abcd", np.linspace(-5, 5, 41), np.sin),
        ("a + b * cos(x) + c * sin(x)", "abc", np.arange(48) * np.pi / 24, lambda x: np.cos(3 * x)),
        ("a + b * cos(w * x) + c * sin(w * x)", "abcw", np.arange(-24, 25) * np.pi / 24, odd),
    ],
    ids=["symmetric", "orthogonal", "nonlinear"],
)
def test_parameters_of_0_are_determined(formula, names, x, y, dtype):
    """Two parameters of 1e-17 with errors of 0.1 were said to run away."""
    p0 = [1.0] * len(names) if "w" not in names else [1, 1, 1, 2.05]
    fit = curve_fit(nbadam.Model(formula, list(names)), x, y(x), p0, dtype=dtype)
    none = np.abs(fit.popt) < 1e-3 * fit.perr
    assert fit.status == Status.SUCCESS
    assert none.sum() >= 2
    assert (fit.perr[none] > 1e-3).all()


@pytest.mark.skipif(PLAIN, reason="hundreds of evaluations")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_success_where_two_errors_are_thousands_of_parameters(dtype):
    """Of peaks between points, errors grow by correlations: each parameter for itself has an effect."""
    model, fits = nbadam.Model("a / cosh((x - b) / c) ** 2"), 1000
    draw = np.random.default_rng(4)
    x = np.sort(draw.uniform(0.1, 10, 30))
    y = model(x, 3, 4, 0.9) + 0.05 * draw.standard_normal((fits, 30))
    p0 = [3, 4, 0.9] * np.exp(0.8 * draw.standard_normal((fits, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(model, x, y, p0, dtype=dtype)
    far = (fit.perr > 1000 * np.abs(fit.popt)).sum(axis=1) > 1
    assert not (fit.success & far).any()
    assert fit.success.mean() > 0.8


@pytest.mark.parametrize("formula", ["a * sqrt(x + b) + c", "a * (x + b) ** 0.3 + c"])
def test_the_edge_of_where_a_root_is_real_is_no_minimum(formula):
    """Chi-square may fall to the edge, where derivatives promise more: such fits had errors of rounding."""
    fits = 3 if PLAIN else 300
    draw = np.random.default_rng(5)
    model, x = nbadam.Model(formula), np.sort(draw.uniform(0.1, 10, 40))
    y = model(x, 2, 0.3, 1) + 2 * draw.standard_normal((fits, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(model, x, y, [2, 0.5, 1])
    a, b, c = fit.popt[fit.success].T[:, :, None]
    power = 0.5 if "sqrt" in formula else 0.3
    slope = a * power * (x + b) ** (power - 1)
    residuals = y[fit.success] - a * (x + b) ** power - c
    cosine = (slope * residuals).sum(axis=1) / np.sqrt((slope**2).sum(axis=1) * (residuals**2).sum(axis=1))
    assert (np.abs(cosine) < 1e-4).all()
    assert fit.success.mean() > 0.3
    assert PLAIN or (fit.status == Status.NOT_MOVED).any()


@pytest.mark.parametrize(
    ("truth", "p0", "is_found"),
    [
        ([1e-17, 1.3, 2e-18], [1, 1, 1], True),
        ([1e-9, 1.3, 2e-10], [1, 1, 1], True),
        ([1e12, 1.3, 2e11], [1, 1, 1], False),
        ([3, 0.8, 0.5], [1, -5, 1], False),
    ],
)
def test_starts_where_derivatives_are_of_another_size(truth, p0, is_found):
    """The minimum is found, or the fit says that it is not."""
    draw = np.random.default_rng(0)
    clean = truth[0] * np.exp(-truth[1] * X) + truth[2]
    y = clean + 0.01 * np.ptp(clean) * draw.standard_normal((1 if PLAIN else 50, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit, best = curve_fit(decay, X, y, p0), curve_fit(decay, X, y, truth)
    right = fit.chi2 <= best.chi2 * (1 + 1e-6)
    assert_array_equal(fit.success, right)
    assert right.all() or not is_found


NONLINEAR = {
    "decay": "a * exp(-b * x) + c",
    "peak": "a * exp(-((x - b) / c) ** 2 / 2) + d",
    "oscillation": "a * sin(b * x) + c * cos(b * x) + d",
    "edge": "a / (1 + exp(-b * (x - c)))",
    "two decays": "a * exp(-b * x) + c * exp(-d * x)",
}


@pytest.mark.parametrize("loss", ["linear"] if PLAIN else ["linear", "soft_l1", "cauchy", "poisson"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NONLINEAR)
def test_dead_pixels_are_no_success(name, dtype, loss):
    """Of zeros, amplitudes of 1e-160 had rates without errors; of constants, a peak of 1e-16 its centre.

    Of small residuals, losses of logarithms and roots were 0, and variances of counts next to none.
    """
    model = nbadam.Model(NONLINEAR[name])
    fits, x = (3, X[::4]) if PLAIN else (200, X)
    p0 = 0.3 + np.abs(np.random.default_rng(2).standard_normal((fits, len(model.parameters))))
    for level in (5, 0) if loss == "poisson" else (0, 5, -3e-7):
        y = np.full((fits, x.size), level, dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = curve_fit(model, x, y, p0, dtype=dtype, loss=loss, max_nfev=60 if PLAIN else None)
        assert not fit.success.any()


@pytest.mark.skipif(PLAIN, reason="hundreds of evaluations")
@pytest.mark.parametrize("loss", ["linear", "huber", "cauchy"])
@pytest.mark.parametrize("name", NONLINEAR)
def test_dead_pixels_are_no_success_in_any_units(name, loss):
    """Zeros have no size: chi-square fell to 1e-288 in some units, and passed for a minimum."""
    model = nbadam.Model(NONLINEAR[name])
    p0 = 0.3 + np.abs(np.random.default_rng(2).standard_normal((60, len(model.parameters))))
    slopes = {"decay": "b", "peak": "", "oscillation": "b", "edge": "b", "two decays": "bd"}[name]
    lengths = {"peak": "bc", "edge": "c"}.get(name, "")
    for by_y, by_x in (30, 0), (0, 35), (-100, 90), (110, -100):
        powers = [-by_x * (p in slopes) + by_x * (p in lengths) for p in model.parameters]
        units = [
            by_y * (p not in slopes + lengths) + power
            for p, power in zip(model.parameters, powers, strict=True)
        ]
        options = {"loss": loss, "f_scale": 0.125 * 2.0**by_y}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = curve_fit(
                model, X * 2.0**by_x, np.zeros((60, X.size)), p0 * 2.0 ** np.array(units), **options
            )
        assert not fit.success.any()
    fit = curve_fit("a * x + b", X, np.zeros((3, X.size)), [1, 1], loss=loss)
    assert fit.success.all()


@pytest.mark.skipif(PLAIN, reason="hundreds of evaluations")
@pytest.mark.parametrize(
    ("formula", "truth", "x", "noise", "dtype"),
    [
        ("a * exp(-((x - b) / c) ** 2)", [3, 1e5 + 25, 5], 1e5 + np.arange(50.0), 0.05, np.float32),
        ("a * exp(-((x - b) / c) ** 2) + d", [0.05, 5, 1, 1000], np.linspace(0, 10, 41), 2e-3, np.float32),
        ("a * exp(-b * x) + c", [0.05, 1, 1e11], np.linspace(0, 10, 41), 2e-3, np.float64),
    ],
    ids=["far from 0", "peak on a background", "decay on a background"],
)
def test_noise_is_no_rounding(formula, truth, x, noise, dtype):
    """Amplitudes of 40 errors, of noise that is tens of units of rounding, counted as none."""
    draw = np.random.default_rng(6)
    model = nbadam.Model(formula, ["a", "b", "c", "d"][: len(truth)])
    y = model(x, *truth) + noise * draw.standard_normal((50, x.size))
    fit = curve_fit(model, x, y.astype(dtype), truth, dtype=dtype)
    assert fit.success.all()
    assert (np.abs(fit["a"] - truth[0]) < 5 * fit.perr[:, 0]).all()
    assert (fit["a"] > 20 * fit.perr[:, 0]).all()


def test_live_pixels_are_a_success():
    y = np.stack([0 * X, 0 * X + 3, 2 * np.exp(-X)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(decay, X, y, [3, 1, 0.5], max_nfev=60 if PLAIN else None)
        line = curve_fit("a + b * x", X, y[:2], [1, 1])
    assert_array_equal(fit.status, [Status.UNDETERMINED, Status.UNDETERMINED, Status.SUCCESS])
    assert line.success.all()  # constants determine a line
    np.testing.assert_allclose(line.popt, [[0, 0], [3, 0]], atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_do_not_end_where_a_parameter_has_lost_its_effect(dtype):
    """Edges steeper than the points are apart: a step too long led to where no point was on the edge.

    So ended the fit to these data from this start (SciPy ends there, too), and 4 % of robust fits.
    """
    x = np.linspace(0, 100, 60)
    y = 3 / (1 + np.exp(-12 * np.clip(x - 50, -50, 50)))
    y = (y + 0.02 * np.random.default_rng(0).standard_normal(60)).astype(dtype)

    def edge(x, height, rate, middle):
        return height / (1 + exp(-rate * (x - middle)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(edge, x, y, [2, 10, 49], dtype=dtype)
    assert fit.chi2 < 0.02
    assert fit.success or PLAIN  # differences do not tell the errors there


@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_poor_starts_of_robust_fits(loss):
    """Of 4,000 starts, 96 % found the minimum as long as steps could end where the decay has no effect."""
    fits, x = 3 if PLAIN else 2000, np.linspace(0, 4, 12)
    draw = np.random.default_rng(1)
    y = 3 * np.exp(-1.5 * x) + 0.2 + 0.02 * draw.standard_normal(12)
    y[[3, 9]] += 2, -1
    p0 = [3, 1, 0.5] * np.exp(0.5 * draw.standard_normal((fits, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(decay, x, np.tile(y, (fits, 1)), p0, loss=loss, f_scale=0.1)
    right = fit.chi2 <= fit.chi2.min() * (1 + 1e-6)
    assert right.mean() > 0.99


def test_a_fit_that_never_moved_is_no_success():
    """A Jacobian of the wrong sign: no step lowers chi2."""

    def minus(x, a, b):
        return -x, -1.0

    y = 2 * X + 1 + 0.1 * rng.standard_normal((3, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(lambda x, a, b: a * x + b, X, y, [1, 1], jac=minus)
    assert (fit.status == Status.NOT_MOVED).all() and not fit.success.any()
    assert_array_equal(fit.popt, np.ones((3, 2)))


def picky(x, a, b):
    if a < 0.5:
        raise ValueError("a is below its bound")
    return a * x + b


@pytest.mark.parametrize("options", [{}, {"method": "adam", "max_nfev": 20}, {"search": "all"}], ids=str)
def test_lanes_without_a_fit_stay_within_the_bounds(options):
    for fits in (1, 2) if PLAIN else (1, 31, 33):  # one lane, and 32
        y = np.stack([2 * X + 1] * fits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = curve_fit(picky, X, y, [1, 1], bounds=([0.6, -9], [9, 9]), **options)
        assert (fit.status != Status.MODEL_ERROR).all()
        assert options.get("method") or np.allclose(fit.popt, [2, 1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_start_at_the_solution_of_exact_data_is_a_success(dtype):
    """Rounding is all that is left, and a step promises to lower it."""
    fits = 20 if PLAIN else 500
    p = rng.normal(size=(fits, 2)) * 10 ** rng.uniform(-3, 3, (fits, 2))
    x = X.astype(dtype)
    y = (p[:, :1] * x + p[:, 1:]).astype(dtype)
    fit = curve_fit(lambda x, a, b: a * x + b, x, y, p, dtype=dtype)
    assert fit.success.all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_residuals_of_exact_data_may_vanish(dtype):
    """Each power of ten of the points has its own residuals; chi-square falls by all of them."""
    fits = 20 if PLAIN else 500
    w = np.rint(10 ** rng.uniform(0, 4, (fits, 6)))
    x, p = np.arange(6) + 0.25, rng.integers(1, 20, (fits, 2)) / 4
    y = p[:, :1] * w + p[:, 1:] * x
    points = np.stack([w, np.broadcast_to(x, w.shape)], axis=1)
    model = nbadam.Model("a * w + b * x", variables=["w", "x"])
    fit = curve_fit(model, points, y, 0.9 * p, dtype=dtype)
    assert fit.success.all()
    np.testing.assert_allclose(fit.popt, p, rtol=1e-3)


def test_no_fit_ends_as_a_success_where_the_model_is_no_longer_finite():
    """The derivatives of Langevin's function overflow from 700 on: steps there are lost, not the minimum."""

    def langevin(x, m, a):
        return m * (np.cosh(a * x) / np.sinh(a * x) - 1 / (a * x))

    x = np.linspace(5, 500, 50)
    p0 = np.stack(np.meshgrid([0.5, 1, 2, 5], np.linspace(0.3, 1.38, 5 if PLAIN else 25)), axis=-1).reshape(
        -1, 2
    )
    fit = curve_fit(langevin, x, np.tile(langevin(x, 3, 1), (len(p0), 1)), p0)
    right = np.abs(fit.popt - [3, 1]).max(axis=1) < 1e-6
    assert right.mean() > 0.9
    assert not (fit.success & ~right).any()
