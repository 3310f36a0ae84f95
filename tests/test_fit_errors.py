"""Standard errors: equal to those of extended precision, or infinite; and what counts as success."""

from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeWarning

from nbadam import Model, Status, curve_fit, models
from nbadam.fitting import finish, jacobians
from nbadam.fitting.kernels import lm

pytestmark = [pytest.mark.long, pytest.mark.one_point]

mp = pytest.importorskip("mpmath").mp.clone()
mp.dps = 60
QUIET = pytest.mark.filterwarnings("ignore:.*(without success|could not be estimated)")
SLOW = numba.config.DISABLE_JIT


def exact(rows, residuals):
    """Errors and chi-square of least squares with the given rows, in 60 digits."""
    jacobian = mp.matrix(rows)
    inverse = (jacobian.T * jacobian) ** -1
    squares = mp.fsum(r * r for r in residuals)
    scale = squares / (len(rows) - len(rows[0]))
    return np.array([float(mp.sqrt(inverse[j, j] * scale)) for j in range(len(rows[0]))]), float(squares)


def solved(lower, column):
    """Solve a lower triangular system."""
    x = []
    for i, value in enumerate(column):
        x.append((value - mp.fsum(lower[i, j] * x[j] for j in range(i))) / lower[i, i])
    return x


def numbers(values):
    return [mp.mpf(float(value)) for value in values]


# --- Families of models: the formula, rows and residuals of each point in extended precision --------


def polynomial(p, x):
    return [mp.mpf(1), x, x * x], p[0] + p[1] * x + p[2] * x * x


def decays(p, x):
    first, second = mp.exp(-p[1] * x), mp.exp(-p[3] * x)
    return [first, -p[0] * x * first, second, -p[2] * x * second], p[0] * first + p[2] * second


def wave(p, x):
    s, c = mp.sin(p[1] * x + p[2]), mp.cos(p[1] * x + p[2])
    return [s, p[0] * x * c, p[0] * c], p[0] * s


def rational(p, x):
    d = 1 + p[1] * x
    return [1 / d, -p[0] * x / d**2, mp.mpf(1)], p[0] / d + p[2]


def peaks(p, x):
    first, second = mp.exp(-((x - p[1]) ** 2)), mp.exp(-((x - p[3]) ** 2))
    slopes = 2 * p[0] * (x - p[1]) * first, 2 * p[2] * (x - p[3]) * second
    return [first, slopes[0], second, slopes[1]], p[0] * first + p[2] * second


def tail(p, x):
    s = 1 / (1 + mp.exp(-p[1] * (x - p[2])))
    slope = p[0] * s * (1 - s)
    return [s, (x - p[2]) * slope, -p[1] * slope], p[0] * s


FAMILIES = {
    "polynomial": ("a + b * x + c * x * x", "abc", polynomial),
    "decays": ("a * exp(-k * x) + b * exp(-m * x)", "akbm", decays),
    "wave": ("a * sin(w * x + h)", "awh", wave),
    # The limits of `finish` were chosen without these.
    "rational": ("a / (1 + b * x) + c", "abc", rational),
    "peaks": ("a * exp(-((x - m) ** 2)) + b * exp(-((x - n) ** 2))", "ambn", peaks),
    "tail": ("a / (1 + exp(-k * (x - m)))", "akm", tail),
}


@cache
def model_of(family):
    formula, parameters, _ = FAMILIES[family]
    return Model(formula, list(parameters))


def case(family, shift, rng):
    """Data and start; the greater `shift` is, from 0 to 1, the worse is the condition, up to 1e14."""
    if family == "polynomial":
        x = 10 ** (7.2 * shift) + np.sort(rng.uniform(0, 1, 24))
        t = x - x[0]
        return x, 1 + t - 2 * t * t + 0.1 * rng.standard_normal(x.size), [1, 1, 1]
    if family == "decays":
        x = np.linspace(0, 4, 40)
        rates = 1, 1 + 10 ** (-3.5 * shift)
        start = [2, rates[0], 1, rates[1]]
        return x, 2 * np.exp(-rates[0] * x) + np.exp(-rates[1] * x) + 1e-6 * rng.standard_normal(40), start
    if family == "rational":
        x, b = np.linspace(0, 1, 30), 10 ** (-7 * shift)
        return x, 2 / (1 + b * x) + 1 + 1e-6 * rng.standard_normal(30), [2, b, 1]
    if family == "peaks":
        x, n = np.linspace(-2, 3, 40), 0.5 + 10 ** (-3.5 * shift)
        y = 2 * np.exp(-((x - 0.5) ** 2)) + np.exp(-((x - n) ** 2))
        return x, y + 1e-6 * rng.standard_normal(40), [2, 0.5, 1, n]
    if family == "tail":
        x, m = np.linspace(0, 2, 30), 30 * shift
        y = 3 / (1 + np.exp(m - x))
        return x, y * (1 + 1e-6 * rng.standard_normal(30)), [3, 1, m]
    x = 10 ** (13 * shift) + np.linspace(0, 20, 50)
    start = [2, 1.3, 0.4]
    return x, 2 * np.sin(1.3 * x + 0.4) + 0.1 * rng.standard_normal(50), start


def cauchy(z):
    return mp.log(1 + z), 1 / (1 + z), -1 / (1 + z) ** 2


def soft_l1(z):
    root = mp.sqrt(1 + z)
    return 2 * (root - 1), 1 / root, -1 / (2 * root**3)


def error_beside_exact(family, fit, x, y, weights=None, covariance=None, loss=None, f_scale=1.0):
    """Largest relative error of a standard error; None where they are infinite, as the status says."""
    if not np.isfinite(fit.perr).all():
        assert np.isinf(fit.perr).all() and fit.status != Status.SUCCESS
        return None
    p = numbers(fit.popt)
    points = [FAMILIES[family][2](p, value) for value in numbers(x)]
    w = numbers(np.ones(x.size) if weights is None else weights)
    rows = [[entry * k for entry in row] for (row, _), k in zip(points, w, strict=True)]
    residuals = [(v - f) * k for (_, f), k, v in zip(points, w, numbers(y), strict=True)]
    if covariance is not None:
        factor = mp.cholesky(mp.matrix(covariance.tolist()))
        *rows, residuals = [solved(factor, column) for column in [*zip(*rows, strict=True), residuals]]
        rows = list(zip(*rows, strict=True))
    if loss is not None:
        scale = mp.mpf(f_scale) ** 2
        values = [loss(r * r / scale) for r in residuals]
        curvatures = [
            first + 2 * second * r * r / scale
            for (_, first, second), r in zip(values, residuals, strict=True)
        ]
        eps = mp.mpf(float(np.finfo(float).eps))
        roots = [mp.sqrt(max(u, eps)) for u in curvatures]
        rows = [[entry * root for entry in row] for row, root in zip(rows, roots, strict=True)]
        residuals = [mp.sqrt(value * scale) for value, _, _ in values]  # their squares are the loss
    return np.abs(fit.perr / exact(rows, residuals)[0] - 1).max()


@QUIET
@pytest.mark.parametrize("family", ["polynomial", "rational"] if SLOW else FAMILIES)
@settings(deadline=None, max_examples=3 if SLOW else 25)
@given(st.floats(0, 1), st.integers(0, 2**20))
def test_errors_are_exact_or_infinite(family, shift, seed):
    rng = np.random.default_rng(seed)
    x, y, start = case(family, shift, rng)
    fit = curve_fit(model_of(family), x, y[None], start)[0]
    error = error_beside_exact(family, fit, x, y)
    assert error is None or error < 1e-6


WAYS = ["linear", "weights", "cauchy", "soft_l1", "correlated"]
PAIRS = [*zip(["rational", "peaks", "tail"] * 2, WAYS, strict=False)]


@QUIET
@pytest.mark.parametrize(("family", "way"), PAIRS[::3] if SLOW else PAIRS)
@settings(deadline=None, max_examples=2 if SLOW else 10)
@given(st.floats(0, 1), st.integers(0, 2**20))
def test_errors_of_all_losses_and_weights_are_exact_or_infinite(family, way, shift, seed):
    rng = np.random.default_rng(seed)
    x, y, start = case(family, shift, rng)
    size = 1e-6 * (np.abs(y).max() if family == "tail" else 1)
    weights = covariance = loss = None
    options, sigma = {}, None
    if way == "weights":
        sigma = size * rng.uniform(0.5, 2, x.size)
        weights = 1 / sigma
    elif way == "correlated":
        sigma = covariance = size**2 * 0.6 ** np.abs(np.subtract.outer(np.arange(x.size), np.arange(x.size)))
    elif way != "linear":
        loss = {"cauchy": cauchy, "soft_l1": soft_l1}[way]
        y[::7] += 8 * size
        options = {"loss": way, "f_scale": 2 * size}
    try:
        fit = curve_fit(model_of(family), x, y, start, sigma, **options)
    except RuntimeError:
        return  # said to be wrong
    error = error_beside_exact(family, fit, x, y, weights, covariance, loss, options.get("f_scale", 1.0))
    assert error is None or error < 1e-6


@QUIET
@pytest.mark.parametrize("shift", [0.2, 0.45, 0.9])
def test_errors_with_weights_fixed_and_tied_parameters(shift):
    rng = np.random.default_rng(1)
    x, y, start = case("polynomial", shift, rng)
    sigma = rng.uniform(0.5, 2, x.size)
    model = model_of("polynomial")
    fit = curve_fit(model, x, y[None], start, sigma)[0]
    error = error_beside_exact("polynomial", fit, x, y, 1 / sigma)
    assert error is None or error < 1e-6
    fixed = curve_fit(model, x, y[None], [1, 1, fit.popt[2]], sigma, fixed=["c"])[0]
    line = Model("a + b * x + known", ["a", "b"], ["x", "known"])
    plain = curve_fit(line, np.stack([x, fit.popt[2] * x * x]), y[None], [1, 1], sigma)[0]
    assert fixed.perr[2] == 0 and fixed.status == plain.status
    assert_allclose(fixed.perr[:2], plain.perr, rtol=1e-5)
    # The value at the first point: a combination that is known much better than its terms.
    first = {"first": float(x[0])}
    wide = Model("a + b * x + c * x * x + 0 * v + 0 * first", ["a", "b", "c", "v", "first"])
    ties = {"a": "v - b * first - c * first * first"}
    tied = curve_fit(wide, x, y[None], [1, 1, 1, 1, 1], sigma, tied=ties, fixed=first)[0]
    if tied.success and fit.success:
        assert_allclose(tied.perr[:3], fit.perr, rtol=1e-5)


@QUIET
def test_single_precision_has_errors_in_double():
    rng = np.random.default_rng(2)
    x = np.linspace(0, 4, 40, dtype=np.float32).astype(float)
    y = (2 * np.exp(-x) + np.exp(-3 * x) + 0.01 * rng.standard_normal((8, 40))).astype(np.float32)
    fit = curve_fit(model_of("decays"), x, y, [2, 1, 1, 3], dtype=np.float32)
    assert fit.success.any()
    for i in np.flatnonzero(fit.success):
        assert error_beside_exact("decays", fit[i], x, y[i]) < 1e-6


@QUIET
def test_ill_conditioned_fits_have_the_same_bits_alone_and_in_a_batch():
    rng = np.random.default_rng(3)
    x, y, start = case("polynomial", 0.5, rng)
    ys = y + 0.1 * rng.standard_normal((9, x.size))
    together = curve_fit(model_of("polynomial"), x, ys, start)
    assert together.success.all()
    for i in (0, 5):
        alone = curve_fit(model_of("polynomial"), x, ys[i], start)
        for name in ("popt", "perr", "chi2", "nfev", "status"):
            assert_array_equal(getattr(alone, name), getattr(together, name)[i])


@QUIET
def test_units_change_nothing_but_exponents():
    rng = np.random.default_rng(4)
    x, y, start = case("polynomial", 0.5, rng)
    fit = curve_fit(model_of("polynomial"), x, y[None], start)[0]
    for of_x, of_y in ((2.0**-30, 2.0**20), (2.0**10, 2.0**-40)):
        units = np.array([of_y, of_y / of_x, of_y / of_x**2])
        other = curve_fit(model_of("polynomial"), of_x * x, of_y * y[None], start * units)[0]
        assert_array_equal(other.popt, fit.popt * units)
        assert_array_equal(other.perr, fit.perr * units)
        assert (other.status, other.nfev) == (fit.status, fit.nfev)


# --- What counts as success -------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 5.0, -7.3e-5, 1e12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_constant_data_do_not_determine_a_decay(level, dtype):
    """A dead pixel; its fit had infinite or zero errors and "success"."""
    x = np.linspace(0, 4, 30)
    with pytest.warns(OptimizeWarning, match="1 of 1 fits without success. 1 (UNDETERMINED|MAXITER)"):
        fit = curve_fit(models.EXPONENTIAL, x, np.full((1, 30), level), dtype=dtype)
    assert not fit.success.any()
    if fit.status[0] == Status.UNDETERMINED:
        assert np.isinf(fit.pcov).all()
    line = curve_fit("a + b * x", x, np.full((1, 30), level), [1, 1], dtype=dtype)
    assert line.success.all() and np.isfinite(line.perr).all()  # constant data determine a line


@pytest.mark.parametrize("points", [25, 34, 46])
def test_exact_lines_through_the_origin_are_found(points):
    """The intercept went towards 0 by 2,000 evaluations, as no step was too small to lower chi-square."""
    x = np.arange(float(points))
    fit = curve_fit("a + b * x", x, [x, 6 * x, 0.1 * x], [0.3, 5])
    assert fit.success.all()
    assert_allclose(fit.popt, [[0, 1], [0, 6], [0, 0.1]], atol=1e-12)
    assert (fit.nfev <= 30).all()


def test_parameters_without_effect_are_not_determined():
    x = np.linspace(0, 3, 20)
    y = 1 + 2 * x + np.sin(9 * x)
    for formula in ("a + b * x + 0 * c", "a + b * c * x"):
        model = Model(formula, ["a", "b", "c"])
        with pytest.warns(OptimizeWarning, match="1 of 2 fits without success. 1 UNDETERMINED"):
            fit = curve_fit(model, x, np.stack([y, np.full(20, np.nan)]), [1, 1, 1])
        assert fit.status[0] == Status.UNDETERMINED and np.isinf(fit.pcov[0]).all()
    with pytest.warns(OptimizeWarning, match="could not be estimated. Not determined"):
        assert np.isinf(curve_fit(model, x, y, [1, 1, 1]).pcov).all()
    assert curve_fit(model, x, y, [1, 1, 1], fixed=["c"]).success


@pytest.mark.parametrize("model", [models.EXPONENTIAL, models.POWER_LAW, models.DOSE_RESPONSE])
def test_a_guess_that_is_not_finite_says_so(model):
    x = 1.7e9 + 60 * np.arange(30) if model is models.EXPONENTIAL else np.linspace(-1, 5, 30)
    with pytest.raises(RuntimeError, match=r"not finite at its own guess, as no `p0` is given\. .*x"):
        curve_fit(model, x, np.linspace(5, 1, 30) ** 2)


@QUIET
@pytest.mark.parametrize("limits", ["none", "bounds", "fixed"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_pass_over_no_fit_that_has_to_be_looked_at_again(monkeypatch, dtype, limits):
    """They tell by the factors of their last step, `covariance.unsure` by the normal matrix itself."""
    looked_at, original = [], finish.finish

    def watched(sets, plan, chosen, fits, max_nfev):
        looked_at.append((fits.unsure.copy(), finish._unsure(plan, fits, max_nfev)))
        original(sets, plan, chosen, fits, max_nfev)

    monkeypatch.setattr(finish, "finish", watched)
    rng = np.random.default_rng(4)
    fits = 20 if SLOW else 4000
    x = 10 ** rng.uniform(-1, 5, (fits, 1)) + np.linspace(0, 3, 20)  # far from 0, parameters are correlated
    p = rng.uniform(0.5, 2, (fits, 3))
    y = p[:, :1] + p[:, 1:2] * x + p[:, 2:] * np.exp(-((x - x[:, :1]) ** 2))
    y += (
        np.ptp(y, axis=1, keepdims=True)
        * rng.choice([0, 1e-6, 0.01], (fits, 1))
        * rng.standard_normal(y.shape)
    )

    def line_and_peak(x, x0, a, b, h):
        return a + b * x + h * np.exp(-((x - x0) ** 2))

    p0 = np.column_stack([x[:, 0], p])
    lower = np.where(rng.random(p0.shape) < 0.1, p0, 0.1 * p0)
    options = {"none": {}, "fixed": {"fixed": ["b"]}, "bounds": {"bounds": (lower, 1e6)}}[limits]
    curve_fit(line_and_peak, x, y, p0, dtype=dtype, workers=1, **options)
    unsure, wanted = map(np.concatenate, zip(*looked_at, strict=True))
    assert len(unsure) == fits and not (wanted & ~unsure).any()
    assert SLOW or (0.1 < wanted.mean() < 0.9 and (unsure & ~wanted).sum() < 0.1 * fits)


@QUIET
def test_fits_that_run_away_are_soon_left_alone(monkeypatch):
    """Noise alone has no peak: to follow each fit to the last of its evaluations took a millisecond."""
    evaluate, evaluations = jacobians.Jacobians.of, []

    def counted(*arguments):
        evaluations.append(len(arguments[1]))
        return evaluate(*arguments)

    monkeypatch.setattr(jacobians.Jacobians, "of", counted)
    noise = 100 + np.random.default_rng(0).standard_normal((30 if SLOW else 250, 48))
    fit = curve_fit(models.GAUSSIAN, np.arange(48.0), noise, [90, 30, 6, 40], workers=1)
    assert (fit.status == Status.RUNAWAY).any()
    assert len(evaluations) < lm.PATIENCE + 10
