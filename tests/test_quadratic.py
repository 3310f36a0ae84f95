"""Steps to the minimum of a quadratic that is fitted to noisy values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nbadam
from nbadam.methods import regression
from nbadam.methods.noise import step_of_output
from nbadam.methods.quadratic import LARGEST, Best, QuadraticModel
from nbadam.methods.regression import Fit, fit_quadratic, rounded_axes, step_within

INF = np.inf


def quadratic(n, seed):
    """Return a random convex quadratic as a Fit, and its function."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    curvature = root @ root.T / n + np.eye(n)
    fit = Fit(float(rng.standard_normal()), rng.standard_normal(n), curvature, 0.0, 0.0)
    return fit, lambda s: fit.value + fit.change(s)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000), st.integers(-6, 6), st.floats(-1e3, 1e3))
def test_a_quadratic_is_found_in_any_unit_and_with_any_constant(n, seed, power, constant):
    true, fun = quadratic(n, seed)
    s = np.random.default_rng(seed).standard_normal((4 * (n + 1) * (n + 2), n))
    height = 10.0**power
    fit = fit_quadratic(s, height * (np.array([fun(point) for point in s]) + constant))
    assert_allclose(fit.slope / height, true.slope, atol=1e-4)
    assert_allclose(fit.curvature / height, true.curvature, atol=2e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_noise_averages_out(n, seed):
    true, fun = quadratic(n, seed)
    rng = np.random.default_rng(seed)
    s = rng.standard_normal((4000, n)) / np.sqrt(n)
    fit = fit_quadratic(s, np.array([fun(point) for point in s]) + 0.1 * rng.standard_normal(4000))
    assert_allclose(fit.slope, true.slope, atol=0.05)
    assert 0.05 < fit.deviation < 0.15


def slopes(kind, seeds=12, m=400):
    """Return slopes at the center, in two variables, fitted to noisy values of a function."""
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        s = 1.5 * rng.standard_normal((m, 2))
        values, deviations = kind(s)
        found.append(fit_quadratic(s, values + deviations * rng.standard_normal(m)).slope)
    return np.array(found)


def test_noise_that_grows_with_the_value_hides_less_by_weights(monkeypatch):
    def steep(s):
        value = ((s - 0.3) ** 2).sum(axis=1)
        return value, 0.02 + value

    def error():
        return np.sqrt(np.mean((slopes(steep, seeds=30) + 0.6) ** 2))

    weighted = error()
    monkeypatch.setattr(regression, "GROWTHS", (0.0,))
    assert weighted < 0.85 * error()


def fits_with_outliers(outliers):
    """Return fits to values with normal noise of .1 and a given function's outliers."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        s = rng.standard_normal((400, 2))
        yield fit_quadratic(s, ((s - 0.3) ** 2).sum(axis=1) + 0.1 * rng.standard_normal(400) + outliers(rng))


@pytest.mark.parametrize(
    "outliers",
    [
        lambda rng: 0.1 * rng.standard_cauchy(400),
        lambda rng: 10 * rng.standard_normal(400) * (rng.random(400) < 0.04),
        lambda rng: 1e4 * rng.choice([-1, 1], 400) * (rng.random(400) < 0.04),
    ],
    ids=["Cauchy", "normal", "large"],
)
def test_outliers_on_both_sides_hide_little(outliers):
    def error(kind):
        return np.sqrt(np.mean([(fit.slope + 0.6) ** 2 for fit in fits_with_outliers(kind)]))

    assert error(outliers) < 3 * error(lambda rng: 0.0)


@pytest.mark.parametrize("size", [-10.0, 10.0])
def test_outliers_on_one_side_are_part_of_the_mean(size):
    found = [fit.value for fit in fits_with_outliers(lambda rng: size * (rng.random(400) < 0.04))]
    assert_allclose(np.mean(found), 0.18 + 0.04 * size, atol=0.15)


def test_normal_noise_is_seldom_taken_for_outliers():
    def tails(seed):
        residuals = np.random.default_rng(seed).standard_normal(300)
        return regression._tails(residuals, np.ones(300))

    assert sum((tails(seed) != 1).any() for seed in range(100)) <= 5
    few_digits = np.where(np.arange(300) < 290, 0.0, 1.0)
    assert np.isfinite(regression._tails(few_digits, np.ones(300))).all()


def test_terms_of_the_third_order_leave_the_slope_right():
    def bent(s):
        squares = (s * s).sum(axis=1)
        return s[:, 0] + squares + 0.3 * s[:, 0] * squares, 0.5

    assert_allclose(slopes(bent).mean(axis=0), [1.0, 0.0], atol=0.1)


def test_a_quadratic_is_seldom_taken_for_a_function_that_bends():
    bent = []
    for seed in range(40):
        _, fun = quadratic(3, seed)
        rng = np.random.default_rng(seed)
        s = rng.standard_normal((300, 3))
        values = np.array([fun(point) for point in s]) + rng.standard_normal(300)
        bent.append(fit_quadratic(s, values).is_bent)
    assert sum(bent) <= 4


def test_a_center_that_seemed_good_by_chance_is_not_gone_back_to():
    model = QuadraticModel(np.full(2, -INF), np.full(2, INF), np.ones(2), (0,))
    rng = np.random.default_rng(1)
    points = rng.standard_normal((200, 2))
    model.begin(list(points), list((points**2).sum(axis=1)), np.full(2, 0.5), 0.1)
    model.best = Best(np.ones(2), -5.0, 0.1, 0.5)
    model.value_and_gradient(noisy(lambda x: float(x @ x)), np.zeros(2))
    assert np.linalg.norm(model.proposal) < 0.2
    assert model.best is not None and model.best.value > -0.1


@pytest.mark.parametrize("n", [6, 30])
def test_fewer_values_than_coefficients_lower_the_value(n):
    center = np.linspace(-1, 1, n)
    s = np.random.default_rng(1).standard_normal((2 * n, n)) / np.sqrt(n)
    fit = fit_quadratic(s, ((s - center) ** 2).sum(axis=1))
    step, _ = step_within(fit)
    assert ((step - center) ** 2).sum() < 0.9 * (center**2).sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10_000), st.sampled_from([-2.0, 0.0, 1.0]))
def test_a_step_is_the_least_within_its_length(n, seed, shift):
    true, _ = quadratic(n, seed)
    fit = true._replace(curvature=true.curvature + shift * np.eye(n))
    step, is_short = step_within(fit)
    assert np.linalg.norm(step) <= 1 + 1e-9
    assert is_short or np.allclose(fit.slope + fit.curvature @ step, 0, atol=1e-8)
    others = np.random.default_rng(seed).standard_normal((200, n))
    others /= np.maximum(1, np.linalg.norm(others, axis=1))[:, None]
    assert fit.change(step) <= min(fit.change(other) for other in others) + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000), st.integers(-6, 6))
def test_axes_in_which_curvatures_are_equal_are_found(n, seed, power):
    true, _ = quadratic(n, seed)
    axes = np.eye(n)
    for _ in range(60):
        axes = rounded_axes(axes, 10.0**power * axes @ true.curvature @ axes)
        assert_allclose(axes, axes.T, atol=1e-12)
        assert_allclose(np.linalg.det(axes), 1.0)
    curvatures = np.linalg.eigvalsh(axes @ true.curvature @ axes)
    assert_allclose(curvatures, curvatures.mean(), rtol=1e-2)


def test_axes_are_not_rounded_by_a_quadratic_without_a_minimum():
    assert_array_equal(rounded_axes(np.eye(2), -np.eye(2)), np.eye(2))
    axes = np.eye(2)
    for _ in range(200):
        axes = rounded_axes(axes, np.diag([1.0, -1.0]))
    assert_allclose(np.linalg.cond(axes), regression.LONGEST)


def test_no_slope_is_no_step():
    step, is_short = step_within(Fit(0.0, np.zeros(3), np.zeros((3, 3)), 0.0, 0.0))
    assert_array_equal(step, 0)
    assert not is_short


def test_levels_of_values():
    assert step_of_output(np.array([1.0, 1, 6, 6, 11, 1])) == 5
    assert step_of_output(np.array([1.0, 2, 4])) == 0
    assert step_of_output(np.ones(3)) == 0


def noisy(fun, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    return lambda x: fun(x) + noise * rng.standard_normal()


def bowl(x):
    return float(((x - np.linspace(-1, 1, x.size)) ** 2).sum())


@pytest.mark.parametrize("n", [1, 2, 8, 40])
def test_few_evaluations_suffice(n):
    start = np.full(n, 2.0)
    result = nbadam.adam(noisy(bowl), start, maxfun=300)
    assert result.status == nbadam.Status.MAXFUN
    assert result.nfev < 300 + 2 + 2 * max(2, n // 4)
    assert bowl(result.x) < 0.01 * bowl(start)


@pytest.mark.parametrize("n", [2, 6, 12])
def test_noise_in_proportion_to_the_value_keeps_the_radius_short(n):
    """Until the radius knew it, it grew without end: an excess of .5, or of more in the last iterations."""

    def excess(seed):
        rng = np.random.default_rng(seed)
        scales = np.geomspace(1, 10, n)

        def value(x):
            return 1 + scales @ (x - np.linspace(-1, 1, n)) ** 2

        result = nbadam.adam(
            lambda x: value(x) * (1 + 0.1 * rng.standard_normal()), np.full(n, 2.0), maxfun=1000, rng=seed
        )
        return value(result.x) - 1

    assert np.median([excess(seed) for seed in range(5)]) < 0.01


@pytest.mark.parametrize("n", [2, 5])
def test_glitches_do_not_lead_astray(n):
    """The excess was .002 to .004."""

    def excess(seed):
        rng = np.random.default_rng(seed)
        fun = noisy(lambda x: bowl(x) + 2 * rng.standard_normal() * (rng.random() < 0.05), seed, noise=0.02)
        return bowl(nbadam.adam(fun, np.full(n, 3.0), maxfun=1000, rng=seed).x)

    assert np.median([excess(seed) for seed in range(7)]) < 7e-4


def test_a_narrow_valley_is_followed():
    def rosenbrock(x):
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    ends = [nbadam.adam(noisy(rosenbrock, seed), [-1.2, 1.0], maxfun=1000).x for seed in range(5)]
    assert np.median([rosenbrock(x) for x in ends]) < 0.08


def test_bounds_and_fixed_variables_hold():
    points = []

    def fun(x):
        points.append(x.copy())
        return noisy_bowl(x)

    noisy_bowl = noisy(bowl)
    bounds = [(0.0, 3.0), (0.5, 0.5), (-3.0, 3.0)]
    result = nbadam.adam(fun, [2.0, 0.5, 2.0], bounds=bounds, maxfun=400)
    seen = np.array(points)
    lower, upper = np.array(bounds).T
    assert (seen >= lower).all() and (seen <= upper).all()
    assert_allclose(result.x, [0.0, 0.5, 1.0], atol=0.2)
    assert result.jac[1] == 0
    assert nbadam.adam(noisy(bowl), [1.0], bounds=[(1.0, 1.0)]).success


def test_values_that_are_not_finite_are_avoided():
    def walled(x):
        return bowl(x) if x[0] < 2.1 else np.nan

    result = nbadam.adam(noisy(walled), [2.0, 2.0], maxfun=400)
    assert bowl(result.x) < 0.05


@pytest.mark.parametrize("power", [-20, 20])
def test_the_unit_of_all_variables_changes_no_bit(power):
    unit = 2.0**power

    def run(unit):
        fun = noisy(lambda x: bowl(x / unit))
        return nbadam.adam(fun, np.full(3, 2 * unit), x_scale=unit, maxfun=200).x / unit

    assert_array_equal(run(unit), run(1.0))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_resumed_run_equals_one_that_is_not(share):
    def fun(x, rng):
        return np.nan if rng.random() < share else bowl(x) + 0.1 * rng.standard_normal()

    def run(**options):
        return nbadam.adam(fun, [2.0, 2.0], (np.random.default_rng(3),), None, steps=40, **options)

    whole = run()
    rest = run(state=run(maxiter=15).state)
    assert_array_equal(rest.x, whole.x)
    assert rest.nfev == whole.nfev
    assert rest.message == whole.message


def error_counts(seed):
    """Return the share of errors of a linear classifier, and a list that takes all its values."""
    rng = np.random.default_rng(seed)
    z, values = rng.standard_normal((300, 3)), []
    y = np.sign(z @ [1.0, -1.0, 0.5] + 0.5 * rng.standard_normal(300))

    def errors(x):
        values.append(float((np.sign(z @ x) != y).mean()))
        return values[-1]

    return errors, values


@pytest.mark.parametrize("seed", range(4))
def test_values_that_are_not_random_end_at_the_lowest_point_met(seed):
    errors, values = error_counts(seed)
    result = nbadam.adam(errors, [1.0, 0.0, 0.0], maxfun=200)
    assert "quadratic" in result.message
    assert result.fun == min(values) == errors(result.x)


def test_the_lowest_point_met_is_near_the_minimum_below_the_roughness():
    def smooth(x):
        away = np.abs(x - np.linspace(-1, 1, x.size))
        return float((away**2 + away**3).sum())

    def rough(x):
        return (0.1 + smooth(x)) * (1 + 0.05 * float((1e6 * np.pi * x.sum()) % 1))

    for seed in range(3):
        result = nbadam.adam(rough, np.full(3, 2.0), maxfun=600, rng=seed)
        assert "quadratic" in result.message
        assert smooth(result.x) < 1e-4


def test_an_average_that_is_asked_for_is_returned():
    errors, values = error_counts(0)
    result = nbadam.adam(errors, [1.0, 0.0, 0.0], maxfun=200, average="tail")
    assert result.fun == errors(result.x) > min(values)


def test_a_resumed_run_remembers_the_lowest_point_met():
    errors, values = error_counts(0)
    first = nbadam.adam(errors, [1.0, 0.0, 0.0], maxfun=200)
    result = nbadam.adam(errors, first.x, state=first.state, maxfun=20)
    assert result.fun == min(values)


@pytest.mark.parametrize("options", [{"learning_rate": 0.01}, {"weight_decay": 0.1}, {"finite_diff": "spsa"}])
def test_other_steps_where_they_are_asked_for(options):
    result = nbadam.adam(noisy(bowl), [2.0, 2.0], steps=5, rng=0, **options)
    assert "quadratic" not in result.message
    many = nbadam.adam(noisy(bowl), np.full(LARGEST + 1, 2.0), steps=5)
    assert "quadratic" not in many.message


def test_oldest_values_are_forgotten():
    model = QuadraticModel(np.full(2, -INF), np.full(2, INF), np.ones(2), (0,))
    for k in range(5):
        model.take_in(np.full((model.most, 2), float(k)), np.full(model.most, float(k)))
    assert model.values.size == 2 * model.most
    assert model.values.min() == 3
