"""`curve_fit` with parameters that data sets share, against SciPy's `least_squares` on all data together."""

import copy
import pickle

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeWarning, least_squares

import nbadam
from nbadam import Model, SharedResult, Status, archives, curve_fit, load_fit

pytestmark = pytest.mark.one_point

M = 24
X = np.linspace(0, 5, M)
SLOW = numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK
TAU = 1.7


def decay(x, a, tau, c):
    return a * np.exp(-x / tau) + c


def decay_jacobian(x, a, tau, c):
    e = np.exp(-x / tau)
    return e, a * e * x / tau**2, 1.0


DECAY = Model(decay, jacobian=decay_jacobian)
NAMES = DECAY.parameters


def decays(fits, seed=0, noise=0.05, tau=TAU):
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.uniform(1, 5, fits), np.broadcast_to(tau, fits), rng.uniform(0, 1, fits)], axis=1)
    return truth, decay(X, *truth.T[:, :, None]) + noise * rng.standard_normal((fits, M))


def stacked(y, groups, shared=("tau",), x=X, sigma=1.0, start=(1.0, 1.0, 0.5), used=None, **options):
    """SciPy's fit: parameters of shape (fits, 3), errors of residuals in units of sigma, and 2 * cost."""
    fits = len(y)
    used = np.ones(np.shape(y), bool) if used is None else used
    index = np.zeros((fits, 3), int)
    count = 0
    for j, name in enumerate(NAMES):
        numbers = np.unique(groups, return_inverse=True)[1] if name in shared else np.arange(fits)
        index[:, j] = count + numbers
        count += numbers.max() + 1
    sigma = np.broadcast_to(sigma, np.shape(y))

    def residuals(t):
        return ((decay(x, *t[index].T[:, :, None]) - y) / sigma)[used]

    def jacobian(t):
        full = np.zeros((*np.shape(y), count))
        for j, column in enumerate(decay_jacobian(x, *t[index].T[:, :, None])):
            full[np.arange(fits), :, index[:, j]] = np.broadcast_to(column, np.shape(y)) / sigma
        return full[used]

    t0 = np.empty(count)
    t0[index] = start
    bounds = options.pop("bounds", None)
    if bounds is not None:
        limits = np.empty((2, count))
        limits[0][index], limits[1][index] = bounds
        options["bounds"] = limits
    tolerances = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    found = least_squares(residuals, t0, jacobian, x_scale="jac", max_nfev=5000, **(tolerances | options))
    if not options:  # SciPy ends where chi-square hides further steps
        for _ in range(5):
            found.x += np.linalg.lstsq(jacobian(found.x), -residuals(found.x), rcond=None)[0]
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    dof = used.sum() - count
    return found.x[index], np.sqrt(np.diag(covariance))[index], 2 * found.cost, dof, covariance, index


def assert_same(fit, expected, absolute_sigma=False, rtol=1e-8):
    popt, errors, cost, dof, covariance, index = expected
    assert fit.success.all()
    assert_allclose(fit.total_chi2, cost, rtol=1e-12)
    assert_allclose(fit.chi2.sum(), cost, rtol=1e-12)
    assert (fit.dof == dof).all()
    scale = 1 if absolute_sigma else np.sqrt(cost / dof)
    assert_allclose(fit.popt.reshape(popt.shape), popt, rtol=rtol, atol=1e-4 * rtol * scale)
    assert_allclose(fit.perr.reshape(popt.shape), errors * scale, rtol=1e-6)
    whole = scale**2 * covariance[index[:, :, None], index[:, None, :]]
    sizes = scale**2 * errors[:, :, None] * errors[:, None, :]
    assert_allclose(fit.pcov.reshape(whole.shape) / sizes, whole / sizes, atol=1e-6)


@pytest.mark.lowest
@pytest.mark.parametrize("absolute_sigma", [False, True])
def test_one_value_for_all(absolute_sigma):
    _, y = decays(7)
    sigma = np.linspace(0.03, 0.09, M)
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], sigma, absolute_sigma, shared=["tau"])
    expected = stacked(y, np.zeros(7), sigma=sigma)
    assert_same(fit, expected, absolute_sigma)
    groups, value, error = fit.shared["tau"]
    assert groups is None and (fit["tau"] == value).all()
    assert_allclose(fit.perr[:, 1], error, rtol=1e-12)
    assert abs(value - TAU) < 4 * error
    assert_allclose(fit.reduced_chi2, expected[2] / expected[3])


@pytest.mark.long
def test_exact_data():
    """Rounding is all that is left, and a step promises to lower it."""
    truth, _ = decays(30)
    y = decay(X, *truth.T[:, :, None])
    for start in ([1, 1, 0.5], truth):
        fit = curve_fit(DECAY, X, y, start, shared=["tau"])
        assert fit.success.all()
        assert_allclose(fit.popt, truth, rtol=1e-9)


@pytest.mark.parametrize("shared", [["tau", "c"], "c", ["a", "tau", "c"]])
def test_several_shared_parameters(shared):
    truth, y = decays(5)
    y += 0.5 - truth[:, 2:]
    y = y if len(shared) < 3 else decay(X, 2, TAU, 0.5) + y - decay(X, *truth.T[:, :, None])
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=shared)
    assert_same(fit, stacked(y, np.zeros(5), [shared] if isinstance(shared, str) else shared))


def test_groups():
    labels = np.array(["hot", "cold", "hot", "warm", "cold", "hot", "warm"])
    tau = {"hot": 0.8, "warm": 1.5, "cold": 2.5}
    _, y = decays(7, tau=[tau[label] for label in labels])
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], shared={"tau": labels})
    assert_same(fit, stacked(y, labels))
    groups, values, errors = fit.shared["tau"]
    assert groups.tolist() == ["cold", "hot", "warm"]
    assert (np.abs(values - [2.5, 0.8, 1.5]) < 4 * errors).all()
    assert_array_equal(fit["tau"], values[[1, 0, 1, 2, 0, 1, 2]])


@pytest.mark.lowest
def test_groups_that_cross():
    rows, columns = np.divmod(np.arange(12).reshape(3, 4), 4)
    truth, y = decays(12, tau=np.repeat([1.0, 1.7, 2.4], 4))
    truth[:, 2] = np.tile([0.1, 0.3, 0.5, 0.7], 3)
    rng = np.random.default_rng(3)
    y = decay(X, *truth.T[:, :, None]) + 0.05 * rng.standard_normal((12, M))
    fit = curve_fit(DECAY, X, y.reshape(3, 4, M), [1, 1, 0.5], shared={"tau": rows, "c": columns})

    def residuals(t):
        return (
            decay(X, *np.stack([t[:12], t[12 + rows.ravel()], t[15 + columns.ravel()]])[:, :, None]) - y
        ).ravel()

    found = least_squares(
        residuals, np.repeat([1, 1, 0.5], [12, 3, 4]), "3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert_allclose(fit.total_chi2, 2 * found.cost, rtol=1e-12)
    assert_allclose(fit.shared["tau"].values, found.x[12:15], rtol=1e-7)
    assert_allclose(fit.shared["c"].values, found.x[15:], rtol=1e-7)
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)) * 2 * found.cost / (y.size - 19))
    assert_allclose(fit.shared["tau"].errors, errors[12:15], rtol=1e-5)
    assert_allclose(fit.perr[..., 0].ravel(), errors[:12], rtol=1e-5)
    assert_allclose(fit.perr[..., 2], np.broadcast_to(errors[15:], (3, 4)), rtol=1e-5)


@pytest.mark.parametrize("upper", [1.2, 1.69, 5.0])
def test_bounds(upper):
    _, y = decays(4)
    bounds = [0, 0.1, 0.2], [9, upper, 9]
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], bounds=bounds, shared=["tau"])
    popt, _, cost, *_ = stacked(y, np.zeros(4), bounds=bounds)
    assert fit.success.all()
    assert_allclose(fit.total_chi2, cost, rtol=1e-9)
    assert_allclose(fit.popt, popt, rtol=1e-6)
    assert (fit.popt <= bounds[1]).all() and (fit.popt >= bounds[0]).all()
    if upper < 1.5:
        assert (fit["tau"] == upper).all()


@pytest.mark.long
def test_fixed_and_tied():
    _, y = decays(5)
    fixed = curve_fit(DECAY, X, y, [1, 1, 0.5], fixed={"c": 0.4}, shared=["tau"])
    other = curve_fit("a * exp(-x / tau) + 0.4", X, y, [1, 1], shared=["tau"])
    assert_allclose(fixed.popt[:, :2], other.popt, rtol=1e-8)
    assert_allclose(fixed.perr[:, :2], other.perr, rtol=1e-7)
    assert (fixed.perr[:, 2] == 0).all() and fixed.dof[0] == 5 * M - 6
    tied = curve_fit(DECAY, X, y, [1, 1, 0.5], tied={"c": "a / 10 + tau / 20"}, shared=["tau"])
    other = curve_fit("a * exp(-x / tau) + a / 10 + tau / 20", X, y, [1, 1], shared=["tau"])
    assert_allclose(tied.total_chi2, other.total_chi2, rtol=1e-12)
    assert_allclose(tied.popt[:, :2], other.popt, rtol=1e-7)
    assert_allclose(tied.perr[:, :2], other.perr, rtol=1e-6)
    assert_allclose(tied["c"], tied["a"] / 10 + tied["tau"] / 20)
    error = other.derive("a / 10 + tau / 20").error
    assert_allclose(tied.perr[:, 2], error, rtol=1e-6)


@pytest.mark.long
@pytest.mark.lowest
@pytest.mark.parametrize("loss", ["soft_l1", "cauchy"])
def test_losses(loss):
    _, y = decays(4)
    y[1, 3] += 3
    y[2, 9] -= 2
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], loss=loss, f_scale=0.1, shared=["tau"])
    popt, _, cost, *_ = stacked(y, np.zeros(4), loss=loss, f_scale=0.1)
    assert fit.success.all()
    assert_allclose(fit.total_chi2, cost, rtol=1e-9)
    assert_allclose(fit.popt, popt, rtol=1e-6)


def test_poisson_counts_have_the_likelihoods_gradient():
    truth, _ = decays(6)
    counts = np.random.default_rng(1).poisson(20 * decay(X, *truth.T[:, :, None])).astype(float)
    fit = curve_fit(DECAY, X, counts, [20, 1, 5], loss="poisson", shared=["tau"])
    mean = decay(X, *fit.popt.T[:, :, None])
    columns = decay_jacobian(X, *fit.popt.T[:, :, None])
    gradients = [(column * (counts / mean - 1)).sum(axis=1) for column in columns]
    curvature = [np.sqrt((column**2 / mean * np.ones(M)).sum(axis=1)) for column in columns]
    assert_allclose(gradients[0] / curvature[0], 0, atol=1e-5)
    assert_allclose(gradients[2] / curvature[2], 0, atol=1e-5)
    assert abs(gradients[1].sum() / np.linalg.norm(curvature[1])) < 1e-5
    assert fit.success.all() and fit._is_absolute


@pytest.mark.lowest
def test_points_and_data_sets_left_out():
    _, y = decays(6)
    y[0, 3:5] = np.nan
    y[4] = np.nan
    with_nan = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"])
    assert with_nan.status[4] == Status.TOO_FEW_POINTS and np.isnan(with_nan.popt[4]).all()
    rest = np.arange(6) != 4
    used = np.isfinite(y[rest])
    expected = stacked(np.where(used, y[rest], 0), np.zeros(5), used=used)
    assert_same(with_nan[rest], expected)
    lists = [X[np.isfinite(row)] for row in y[rest]], [row[np.isfinite(row)] for row in y[rest]]
    ragged = curve_fit(DECAY, *lists, [1, 1, 0.5], shared=["tau"])
    assert_same(ragged, expected)


def test_own_x_for_each_data_set():
    _, y = decays(3)
    x = np.stack([X, X + 0.1, X * 1.1])
    fit = curve_fit(DECAY, x, y, [1, 1, 0.5], shared=["tau"])
    assert_same(fit, stacked(y, np.zeros(3), x=x))


@pytest.mark.lowest
def test_different_models(tmp_path):
    rng = np.random.default_rng(5)
    rise = "b * (1 - exp(-x / tau))"
    models = [DECAY, rise, DECAY, rise]
    y = np.stack(
        [decay(X, 3, TAU, 0.3), 2 * (1 - np.exp(-X / TAU)), decay(X, 1, TAU, 0.1), 4 - 4 * np.exp(-X / TAU)]
    )
    y += 0.03 * rng.standard_normal(y.shape)
    fit = curve_fit(models, X, y, {"a": 1, "tau": 1, "c": 0, "b": 1}, shared=["tau"])

    def residuals(t):
        rows = [decay(X, t[0], t[6], t[1]), t[2] * (1 - np.exp(-X / t[6])), decay(X, t[3], t[6], t[4])]
        return np.concatenate([*rows, t[5] * (1 - np.exp(-X / t[6]))]) - y.ravel()

    found = least_squares(residuals, np.ones(7), "3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)) * 2 * found.cost / (y.size - 7))
    assert fit.parameters == ("a", "tau", "c", "b")
    assert_allclose(fit.total_chi2, 2 * found.cost, rtol=1e-12)
    expected = np.full((4, 4), np.nan)
    expected[:, 1] = found.x[6]
    expected[[0, 0, 1, 2, 2, 3], [0, 2, 3, 0, 2, 3]] = found.x[:6]
    assert_allclose(fit.popt, expected, rtol=1e-7)
    expected[:, 1] = errors[6]
    expected[[0, 0, 1, 2, 2, 3], [0, 2, 3, 0, 2, 3]] = errors[:6]
    assert_allclose(fit.perr, expected, rtol=1e-5)
    one = fit[1]
    assert one.parameters == ("b", "tau") and one.popt.shape == (2,)
    assert_allclose(one.predict(X), one.popt[0] * (1 - np.exp(-X / one.popt[1])))
    with pytest.raises(ValueError, match="different models"):
        fit.predict()
    assert "different models" in repr(fit) and "formula" in repr(one)
    assert_survives(fit, tmp_path)
    assert_survives(one, tmp_path)


def test_single_precision():
    _, y = decays(12 if SLOW else 40)
    double = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"])
    single = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"], dtype=np.float32)
    assert single.success.all() and single.popt.dtype == np.float32
    assert (np.abs(single.popt - double.popt) < 2e-3 * double.perr).all()
    assert_allclose(single.perr, double.perr, rtol=1e-4)


def test_any_number_of_threads_and_any_order_of_the_parameters():
    _, y = decays(10 if SLOW else 300)
    one = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"], workers=1)
    two = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"], workers=2)
    assert one.popt.tobytes() == two.popt.tobytes() and one.pcov.tobytes() == two.pcov.tobytes()
    assert_array_equal(one.nfev, two.nfev)


@pytest.mark.long
@pytest.mark.parametrize("power", [-60, 40])
def test_units_are_a_symmetry(power):
    _, y = decays(5)
    plain = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"])
    factor, unit = 2.0**power, 2.0 ** (power // 2)
    p0 = np.array([factor, unit, 0.5 * factor])
    other = curve_fit(DECAY, X * unit, y * factor, p0, shared=["tau"])
    assert_array_equal(other.popt, plain.popt * [factor, unit, factor])
    assert_array_equal(other.nfev, plain.nfev)


def test_groups_by_themselves_are_the_fits_alone():
    groups = np.arange(6) % 2
    _, y = decays(6, tau=np.where(groups, 0.7, 2.0))
    both = curve_fit(DECAY, X, y, [1, 1, 0.5], shared={"tau": groups})
    for group in (0, 1):
        alone = curve_fit(DECAY, X, y[groups == group], [1, 1, 0.5], shared=["tau"])
        assert_array_equal(both.popt[groups == group], alone.popt)
        assert_array_equal(both.chi2[groups == group], alone.chi2)


def test_a_data_set_that_fails_harms_no_other_and_is_told():
    _, y = decays(5)
    p0 = np.tile([1, 1, 0.5], (5, 1))
    p0[2, 0] = np.inf
    with pytest.warns(OptimizeWarning, match="1 of 5"):
        fit = curve_fit(DECAY, X, y, p0, shared=["tau"])
    rest = np.arange(5) != 2
    assert fit.status[2] == Status.NONFINITE and np.isnan(fit.popt[2]).all() and np.isnan(fit.perr[2]).all()
    assert_same(fit[rest], stacked(y[rest], np.zeros(4)))


def test_parameters_that_nothing_determines():
    _, y = decays(4)
    with pytest.warns(OptimizeWarning):
        fit = curve_fit("a * exp(-x / tau) + c + d", X, y, [1, 1, 0.5, 0.1], shared=["c", "d", "tau"])
    assert (fit.status == Status.UNDETERMINED).all() and np.isinf(fit.perr).all()
    with pytest.warns(OptimizeWarning):
        fit = curve_fit("a * exp(-x / tau) + c + d", X, y, [1, 1, 0.5, 0.1], shared=["tau"])
    assert (fit.status == Status.UNDETERMINED).all()
    assert np.isfinite(fit.shared["tau"].errors)


def test_evaluations_are_limited():
    _, y = decays(4)
    with pytest.warns(OptimizeWarning):
        fit = curve_fit(DECAY, X, y, [1, 30, 0.5], shared=["tau"], max_nfev=3)
    assert (fit.status == Status.MAXITER).all() and np.isfinite(fit.popt).all()


def test_what_a_result_can_do():
    _, y = decays(6)
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"])
    assert_allclose(fit.predict(), decay(X, *fit.popt.T[:, :, None]))
    assert_allclose(fit.residuals, y - fit.predict())
    assert_allclose((fit.residuals**2).sum(axis=1), fit.chi2)
    slopes = np.stack(np.broadcast_arrays(*decay_jacobian(2.0, *fit.popt.T)), axis=1)
    _, lower, upper = fit.band(2.0)
    error = np.sqrt(np.einsum("fi,fij,fj->f", slopes, fit.pcov, slopes))
    assert_allclose((upper - lower) / (2 * error), (upper - lower)[0] / (2 * error[0]))
    assert 1 < (upper - lower)[0] / (2 * error[0]) < 1.01
    assert_allclose(fit.derive("a * tau").value, fit["a"] * fit["tau"])
    ends = fit.conf_int(method="normal")
    assert ((ends[..., 0] < fit.popt) & (ends[..., 1] > fit.popt)).all()
    assert_allclose(fit.aic, fit.aic[0])
    assert_allclose(fit.bic - fit.aic, 13 * (np.log(6 * M) - 2))
    again = pickle.loads(pickle.dumps(fit))
    assert_array_equal(again.pcov, fit.pcov)
    assert again.shared["tau"] == fit.shared["tau"] and again.total_chi2 == fit.total_chi2
    assert_array_equal(copy.deepcopy(fit).popt, fit.popt)
    assert len(fit.to_structured()) == 6 and "tau" in repr(fit) and "6 fits" in repr(fit)
    for refused in (
        fit.bootstrap,
        fit.conf_int,
        lambda: fit.profile("a"),
        lambda: nbadam.compare([fit, fit]),
    ):
        with pytest.raises(ValueError, match="`shared`"):
            refused()


def test_many_decays_have_the_truth_within_their_errors():
    fits = 30 if SLOW else 20_000
    truth, y = decays(fits, seed=2)
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"])
    assert fit.success.all()
    pulls = (fit.popt - truth) / fit.perr
    assert abs(pulls[0, 1]) < 4
    assert abs(pulls[:, 0].std() - 1) < (0.4 if SLOW else 0.02) and abs(pulls[:, 2].std() - 1) < (
        0.4 if SLOW else 0.02
    )
    assert abs(fit.reduced_chi2[0] / 0.05**2 - 1) < 5 * np.sqrt(2 / fit.dof[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shared": ["k"]}, "`shared` must list some of the parameters"),
        ({"shared": []}, "`shared` must list some"),
        ({"shared": 3}, "`shared` must list some"),
        ({"shared": ["tau", "tau"]}, "each once"),
        ({"shared": {"tau": [1, 2]}}, "one label for each data set"),
        ({"shared": {"tau": "temperature"}}, "one label for each data set"),
        ({"shared": {"tau": [1, 2, np.nan]}}, "finite"),
        ({"shared": ["tau"], "fixed": ["tau"]}, "is fixed"),
        ({"shared": ["tau"], "tied": {"tau": "c"}}, "is tied"),
        ({"shared": ["tau"], "method": "adam"}, "`shared` goes with method='lm'"),
        ({"shared": ["tau"], "search": "all"}, "`shared` goes with search='never'"),
        ({"shared": ["tau"], "batch_size": 3, "rng": 0}, "`batch_size` does not go with `shared`"),
        ({"shared": ["tau"], "loss": "poisson", "sigma": np.ones(M)}, "`sigma` does not go"),
        (
            {
                "shared": ["tau"],
                "bounds": {"tau": ([0, 2, 0], [1, 3, 3])},
                "p0": [[1, 0.5, 0], [1, 2.5, 0], [1, 1, 0]],
            },
            "leave nothing between",
        ),
        ({"f": [DECAY, DECAY], "shared": ["tau"]}, "one for each data set"),
        ({"f": [DECAY] * 3}, "goes with `shared`"),
        (
            {"f": [DECAY, DECAY, "b * x"], "shared": ["tau"], "p0": {"a": 1, "tau": 1, "c": 1, "b": 1}},
            "has none of",
        ),
        (
            {"f": [DECAY, DECAY, "tau * x"], "shared": ["tau"], "p0": {"a": 1, "tau": 1, "c": 1, "b": 1}},
            "names of",
        ),
        ({"f": [DECAY, DECAY, "tau * x"], "shared": ["tau"], "p0": [1, 1]}, "parameters of all models, 3"),
        ({"f": [DECAY, DECAY, "tau * x"], "shared": ["tau"], "tied": {"a": "c"}}, "different models"),
    ],
)
def test_bad_input(arguments, message):
    _, y = decays(3)
    with pytest.raises(ValueError, match=message):
        curve_fit(**({"f": DECAY, "xdata": X, "ydata": y, "p0": [1, 1, 0.5]} | arguments))


def test_one_data_set_shares_nothing():
    _, y = decays(1)
    with pytest.raises(ValueError, match="several data sets"):
        curve_fit(DECAY, X, y[0], [1, 1, 0.5], shared=["tau"])


def test_ill_conditioned_shared_parameters_have_all_digits():
    """A common slope over Julian days, whose normal matrix tells nothing about it."""
    days = 2.46e6 + np.arange(30.0)
    rng = np.random.default_rng(4)
    y = rng.uniform(-5, 5, (4, 1)) + 0.02 * (days - 2.46e6) + 0.1 * rng.standard_normal((4, 30))
    fit = curve_fit("a + b * x", days, y, [0, 0], shared=["b"])
    centred = days - days.mean()
    slope = (y @ centred).sum() / (4 * centred @ centred)
    rest = y - y.mean(axis=1, keepdims=True) - slope * centred
    assert fit.success.all()
    assert_allclose(fit.total_chi2, (rest**2).sum(), rtol=1e-6)
    assert_allclose(fit.shared["b"].values, slope, rtol=1e-6)
    error = np.sqrt((rest**2).sum() / (120 - 5) / (4 * centred @ centred))
    assert_allclose(fit.shared["b"].errors, error, rtol=1e-6)
    assert_allclose(fit.perr[:, 1], error, rtol=1e-6)
    own = np.hypot(error * days.mean(), np.sqrt((rest**2).sum() / 115 / 30))
    assert_allclose(fit.perr[:, 0], own, rtol=1e-6)


def test_a_group_without_data_harms_no_other():
    _, y = decays(6)
    rows, columns = np.divmod(np.arange(6), 3)
    y[columns == 1] = np.nan
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], shared={"tau": rows, "c": columns})
    rest = columns != 1
    other = curve_fit(DECAY, X, y[rest], [1, 1, 0.5], shared={"tau": rows[rest], "c": columns[rest]})
    assert_array_equal(fit.success, rest)
    assert_allclose(fit.popt[rest], other.popt, rtol=1e-9)
    assert_allclose(fit.perr[rest], other.perr, rtol=1e-9)
    assert_array_equal(np.isnan(fit.shared["c"].errors), [False, True, False])


def test_too_many_values_that_groups_couple_are_refused():
    y = np.ones((2001, 3))
    groups = {"a": np.arange(2001), "b": np.arange(2001) // 2, "c": (np.arange(2001) + 1) // 2}
    with pytest.raises(ValueError, match="at most 2,000"):
        curve_fit("a + b * x + c", np.arange(3.0), y, [1, 1, 1], shared=groups)


def assert_survives(fit, folder):
    """Compare a result with what a file, and a pickle, keep of it."""
    fit.save(folder / "fit.npz")
    for again in (load_fit(folder / "fit.npz"), pickle.loads(pickle.dumps(fit))):
        assert type(again) is SharedResult and repr(again) == repr(fit)
        for name in ("popt", "pcov", "chi2", "dof", "reduced_chi2", "total_chi2", "aic", "status"):
            assert_array_equal(getattr(again, name), getattr(fit, name))
        assert again.shared.keys() == fit.shared.keys()
        for name, values in fit.shared.items():
            for mine, own in zip(again.shared[name], values, strict=True):
                assert_array_equal(mine, own)
                assert np.asarray(mine).dtype == np.asarray(own).dtype
        if fit.popt.ndim > 1:
            assert repr(again[1]) == repr(fit[1]) and again[1].parameters == fit[1].parameters
        with pytest.raises(ValueError, match=r"call `curve_fit` again|different models"):
            again.predict()
        again.save(folder / "again.npz")
        assert repr(load_fit(folder / "again.npz")) == repr(fit)


@pytest.mark.parametrize(
    "labels", [None, ["u", "v"] * 2, [1.5, 2.5] * 2, np.array(["2020-02-29", "2020-03-01"] * 2, "M8[D]")]
)
def test_a_table_says_what_is_shared_and_files_keep_it(labels, tmp_path):
    _, y = decays(4)
    fit = curve_fit(DECAY, X, y, [1, 1, 0.5], shared={"tau": labels})
    assert ("tau, shared: 1." if labels is None else "2 shared values") in repr(fit)
    assert "of the whole" in repr(fit[0])
    assert_survives(fit, tmp_path)
    header, arrays = archives.read(tmp_path / "fit.npz", "fit")
    archives.write(tmp_path / "fit.npz", "fit", header | {"shared": {"groups": {}}}, arrays)
    with pytest.raises(ValueError, match="no saved state"):
        load_fit(tmp_path / "fit.npz")


def test_starts_of_a_group_are_its_median():
    _, y = decays(5)
    p0 = np.tile([1, 1, 0.5], (5, 1))
    p0[:, 1] = [0.5, 1, 0.9, 30, 2]
    assert_array_equal(
        curve_fit(DECAY, X, y, p0, shared=["tau"]).popt,
        curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"]).popt,
    )


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to be interrupted")
def test_interrupted_fits_have_the_best_point_so_far(monkeypatch):
    from nbadam.fitting.shared.whole import Whole

    def interrupted(self, step, regions):
        raise KeyboardInterrupt

    monkeypatch.setattr(Whole, "_advance", interrupted)
    _, y = decays(4)
    with pytest.raises(KeyboardInterrupt) as caught:
        curve_fit(DECAY, X, y, [1, 1, 0.5], shared=["tau"])
    result = caught.value.result
    assert (result.status == Status.INTERRUPTED).all() and (result["tau"] == 1).all()
    assert np.isfinite(result.popt).all() and not result.success.any()
