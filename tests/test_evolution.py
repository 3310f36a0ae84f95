"""Values that are steps and not random: an evolution strategy beside the quadratic, and lines across."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import nbadam
from nbadam.methods.evolution import Evolution
from nbadam.methods.noise import noise_near


def rules(seed, n=4):
    """Return the cost of decisions by the number of thresholds that a record exceeds, and a start."""
    rng = np.random.default_rng(700 + seed)
    z = rng.standard_normal((400, n))
    is_bad = (z > rng.uniform(-0.8, 0.8, n)).sum(axis=1) + 0.6 * rng.standard_normal(400) > n / 2

    def cost(x):
        acts = (z > x).sum(axis=1) > n / 2
        return float(np.where(acts & ~is_bad, 1.0, np.where(~acts & is_bad, 3.0, 0.0)).mean())

    return cost, np.full(n, 1.5)


def ranks(seed, n=4):
    """Return the share of pairs of records in the wrong order by a linear score, and a start."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((150, n))
    score = z @ rng.standard_normal(n)
    is_high = score + 0.3 * rng.standard_normal(150) > 0.5
    high, low = z[is_high], z[~is_high]

    def wrong(x):
        return 1 - float(np.searchsorted(np.sort(low @ x), high @ x).mean()) / len(low)

    return wrong, np.ones(n)


def levels(center, width):
    """Return a bowl whose values are integers, the lowest one at a center and around it."""
    return lambda x: float(np.floor(((x - center) ** 2).sum() / width))


def evolved(fun, start, radius, generations, seed=(0,)):
    """Return the strategy after some generations."""
    evolution = Evolution(seed)
    evolution.note(start, fun(start))
    for _ in range(generations):
        points = evolution.ask(evolution.latest, radius, radius)
        values = np.array([fun(point) for point in points])
        for point, value in zip(points, values, strict=True):
            evolution.note(point, value)
        evolution.tell(points, values)
    return evolution


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_the_lowest_plateau_is_found(n):
    fun = levels(np.linspace(-1, 1, n), 0.02)
    evolution = evolved(fun, np.full(n, 2.0), 1.0, 60 + 20 * n)
    assert evolution.lowest.value == 0.0


def test_covariances_follow_a_narrow_valley():
    curvatures = np.array([1.0, 1e4])
    evolution = evolved(lambda x: float(curvatures @ (x - 3.0) ** 2), np.zeros(2), 1.0, 150)
    long, short = np.sqrt(np.linalg.eigvalsh(evolution.covariance)[::-1])
    assert 10 < long / short < 1000
    assert evolution.lowest.value < 1e-3


@pytest.mark.parametrize("power", [-20, 20])
def test_the_unit_of_the_variables_changes_no_bit(power):
    unit = 2.0**power
    wide = evolved(lambda x: levels(1.0, 0.1)(x / unit), np.full(3, 4 * unit), unit, 30).lowest.x / unit
    assert_array_equal(wide, evolved(levels(1.0, 0.1), np.full(3, 4.0), 1.0, 30).lowest.x)


def test_a_generation_on_one_plateau_is_followed_by_a_new_one_at_the_lowest_point():
    evolution = evolved(lambda x: 1.0, np.zeros(2), 1.0, 3)
    assert evolution.generation == 0
    assert evolution.generations == 3
    assert np.isfinite(evolution.ask(evolution.latest, 1.0, 1.0)).all()


def test_values_that_are_not_finite_are_never_the_lowest():
    evolution = evolved(lambda x: levels(0.0, 0.1)(x) if x[0] > -0.1 else np.nan, np.full(2, 3.0), 1.0, 40)
    assert evolution.lowest.value == 0.0
    assert evolution.lowest.x[0] > -0.1


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 18))
def test_steps_that_mislead_a_quadratic_are_descended(seed):
    cost, start = rules(seed)
    result = nbadam.adam(cost, start, maxfun=1500, rng=0)
    assert result.fun < 0.5 * cost(start)
    assert result.fun == cost(result.x)


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_not_constant_where_the_diagonal_is(seed):
    wrong, start = ranks(seed)
    result = nbadam.adam(wrong, start, maxfun=600, rng=0)
    assert result.fun < 0.5 * wrong(start)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_noise_is_found_across_a_line_without_a_change(start):
    x, ones = np.full(3, start), np.ones(3)

    def shifted(x):  # a shift of all variables changes nothing
        return float(np.round(10 * ((x - x.mean() - np.array([1.0, 0.0, -1.0])) ** 2).sum()))

    noise = noise_near(shifted, x, shifted(x), ones, -np.inf * ones, np.inf * ones)
    assert 0.1 < noise < 1


def test_a_run_ends_some_time_after_the_lowest_value():
    cost, start = rules(0)
    values = []

    def noted(x):
        values.append(cost(x))
        return values[-1]

    result = nbadam.adam(noted, start)
    assert result.success
    found = 1 + int(np.argmin(values))
    assert 2.5 * found < result.nfev < 4 * found + 1000


def test_a_run_that_has_settled_is_a_success_at_its_limit():
    result = nbadam.adam(levels(np.array([0.3, -0.4]), 0.05), [3.0, 2.0], maxfun=1500, rng=0)
    assert result.fun == 0
    assert result.success
    assert result.nfev > 1000


def test_a_resumed_run_equals_one_that_is_not():
    cost, start = rules(1)
    whole = nbadam.adam(cost, start, steps=250)
    first = nbadam.adam(cost, start, steps=250, maxiter=120)
    rest = nbadam.adam(cost, start, steps=250, state=first.state)
    assert first.state.facts["objective"]["differences"]["evolution"]["generations"] > 0
    assert_array_equal(rest.x, whole.x)
    assert rest.nfev == whole.nfev


def test_points_stay_within_the_bounds():
    cost, start = rules(2)
    points = []

    def noted(x):
        points.append(x.copy())
        return cost(x)

    nbadam.adam(noted, start, bounds=[(-0.5, 2.0)] * 3 + [(1.5, 1.5)], maxfun=900)
    seen = np.array(points)
    assert (seen[:, :3] >= -0.5).all()
    assert (seen[:, :3] <= 2.0).all()
    assert (seen[:, 3] == 1.5).all()


@pytest.mark.parametrize("digits", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_values_of_a_few_digits_do_not_fall_for_ever(n, digits):
    """They did: by less than 1e-9 of the first fall, over 300,000 evaluations."""
    rng = np.random.default_rng(n)
    center, weights = rng.uniform(-2, 2, n), rng.uniform(0.5, 5, n)

    def printed(x):
        return float(f"{float(weights @ (x - center) ** 2):.{digits}g}")

    for x0 in (np.full(n, 0.5), np.full(n, 3.0)):
        result = minimize(printed, x0, method=nbadam.adam)
        assert result.success and result.nfev < 6000
        assert_allclose(result.x, center, atol=0.01)


def test_printed_values_end():
    """The example of the page on values without gradients, which took 300,021 evaluations."""
    result = minimize(
        lambda x: float(f"{(x[0] - 1) ** 2 + 10 * (x[1] + 2) ** 2:.3g}"), [0.5, 0.5], method=nbadam.adam
    )
    assert result.success and result.nfev < 6000
