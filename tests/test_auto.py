"""Automatic learning rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit
from numpy.testing import assert_allclose, assert_array_equal
from runs import assert_same

import nbadam
from nbadam.methods.auto import (
    FASTEST,
    SHARPEST,
    SLOWEST_OF_SHORT,
    apply_dog,
    begin,
    damp,
    mean_size,
    scalars_of_adam,
    share,
)
from nbadam.methods.record import new_record, new_rule_state
from nbadam.rules import ADAM

pytestmark = pytest.mark.long

METHODS = {"adam": nbadam.adam, "adamw": nbadam.adamw}


@njit
def valley(x, scale, height):
    """Rosenbrock's function, in other units of x and of the value."""
    a, b = x[0] * scale, x[1] * scale
    f = 100 * (b - a * a) ** 2 + (1 - a) ** 2
    g = np.array([-400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)])
    return height * f, height * scale * g


def fit(method=nbadam.adam, start=(-1.2, 1.0), scale=1.0, height=1.0, **options):
    x0 = np.array(start) / scale
    return method(valley, x0, (scale, height), True, **{"learning_rate": "auto", "steps": 500} | options)


def by_python(**options):
    """Run with a callback after every step, which only Python can call."""
    return fit(callback=lambda x: None, **options)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize(
    "start", [(-1.2, 1.0), (0.0, 0.0), (3.0, 0.0)][: 1 if config.DISABLE_JIT else 3], ids=str
)
def test_powers_of_two_in_the_units_change_no_bit(method, start):
    one = fit(method, start, weight_decay=0.0)
    for scale, height in ((2.0**20, 1.0), (2.0**-20, 1.0), (1.0, 2.0**40), (2.0**-10, 2.0**-30)):
        other = fit(method, start, scale, height, weight_decay=0.0)
        assert_array_equal(other.x * scale, one.x)
        assert other.fun == one.fun * height


@pytest.mark.parametrize(("scale", "height"), [(1e6, 1.0), (1e-6, 1.0), (1.0, 1e6), (1.0, 1e-6)])
def test_other_units_change_nothing_but_rounding(scale, height):
    one, other = fit(steps=200), fit(steps=200, scale=scale, height=height)
    assert_allclose(other.x * scale, one.x, rtol=1e-9)


@pytest.mark.parametrize("height", [1e-6, 1.0, 1e6][: 1 if config.DISABLE_JIT else 3])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_rosenbrock_in_any_units(scale, height):
    result = fit(steps=2000, scale=scale, height=height)
    assert_allclose(result.x * scale, [1, 1], atol=1e-4)


def test_each_variable_may_have_its_own_unit():
    scale = np.array([1e-4, 1.0, 1e4])

    def bowl(x):
        d = x / scale - [1, 2, 3]
        return float(d @ d), 2 * d / scale

    result = nbadam.adam(bowl, 0.5 * scale, jac=True, learning_rate="auto", steps=500)
    assert_allclose(result.x / scale, [1, 2, 3], rtol=1e-4)


@pytest.mark.lowest
@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipnorm": 1.0, "clipvalue": 0.5, "weight_decay": 0.01, "x_scale": [2.0, 3.0]},
        {"amsgrad": True, "bounds": [(-2, 0.5), (0, 2)], "epsilon": 1e-8},
    ],
    ids=["plain", "clipped", "bounded"],
)
def test_compiled_runs_equal_those_from_python(options):
    options, bounds = dict(options), options.get("bounds")
    options.pop("bounds", None)
    assert_same(fit(bounds=bounds, **options), by_python(bounds=bounds, **options))


def test_a_run_that_is_continued_equals_one_that_is_not():
    steps = 0

    def enough(x):
        nonlocal steps
        steps += 1
        if steps == 130:
            raise StopIteration

    first = fit(callback=enough)
    assert (first.nit, first.status) == (130, 99)
    # The schedule counts on all of the 500 steps, so `steps` is that of the whole.
    assert_same(fit(state=first.state), fit(), but=["nfev", "njev"] if first.nfev > 131 else [])


def test_state_of_another_kind_of_rate_is_refused():
    given, auto = fit(steps=10, learning_rate=0.01).state, fit(steps=10).state
    with pytest.raises(ValueError, match="a run with `learning_rate` 'given', not 'auto': give the options"):
        fit(steps=20, state=given)
    with pytest.raises(ValueError, match="a run with `learning_rate` 'auto', not 'given'"):
        fit(steps=20, learning_rate=0.01, state=auto)


def test_rates_fall_to_zero_over_the_part_that_noise_asks_for():
    rates = fit(steps=500).history.learning_rate
    assert rates[-1] < rates[:-20].max() / 20
    rng = np.random.default_rng(0)

    def noisy(x):
        d = x - 1
        noise = rng.standard_normal(x.size)
        return float(d @ d + noise @ d), 2 * d + noise

    result = nbadam.adam(noisy, np.zeros(10), jac=True, learning_rate="auto", steps=500)
    falling = result.history.learning_rate
    assert falling[-1] < falling.max() / 50
    assert np.argmax(falling) < 250
    assert np.abs(result.x - 1).mean() < 0.15


@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0])
def test_the_point_of_a_noisy_run_is_the_mean_of_its_last_part(sigma):
    def run(seed, **options):
        rng = np.random.default_rng(seed)

        def noisy(x):
            d = x - 1
            noise = sigma * rng.standard_normal(x.size)
            return float(d @ d + noise @ d), 2 * d + noise

        return nbadam.adam(noisy, np.zeros(10), jac=True, steps=600, **options)

    assert_array_equal(run(0).x, run(0, average="tail").x)
    off = [[np.linalg.norm(run(k, average=kind).x - 1) for kind in ("tail", "last")] for k in range(5)]
    assert np.median([tail / last for tail, last in off]) < 0.8


def test_the_lowest_point_is_returned_where_gradients_alone_are_noisy():
    rng, values = np.random.default_rng(0), []

    def some_entry(x):
        d, k = x - 1, rng.integers(x.size)
        values.append(float(d @ d))
        return values[-1], 2 * x.size * d * (np.arange(x.size) == k)

    result = nbadam.adam(some_entry, np.full(8, 3.0), jac=True, steps=400)
    assert result.fun == min(values) < 1e-3 * values[0]
    assert_array_equal(np.sum((result.x - 1) ** 2), result.fun)


def test_the_last_point_is_returned_where_noise_vanishes_at_the_minimum():
    def run(seed, **options):
        rng = np.random.default_rng(seed)

        def some_rows(x):
            z = rng.standard_normal((2, x.size))
            error = z @ (x - 1)
            return float(error @ error), 2 * error @ z

        return nbadam.adam(some_rows, np.full(8, 3.0), jac=True, steps=600, **options)

    off = [[np.linalg.norm(run(k, average=kind).x - 1) for kind in ("auto", "tail")] for k in range(10)]
    assert np.median([auto / tail for auto, tail in off]) < 0.6
    assert max(auto / tail for auto, tail in off) < 2


def test_the_point_of_a_run_without_noise_is_its_lowest():
    assert_array_equal(fit().x, fit(average="best").x)
    values = []

    def kinks(x):
        values.append(float(np.abs(x - 0.3).sum()))
        return values[-1], np.sign(x - 0.3)

    result = nbadam.adam(kinks, np.ones(5), jac=True, steps=300)
    assert result.fun == min(values)
    assert_array_equal(result.jac, kinks(result.x)[1])


def test_a_lucky_value_is_not_the_lowest_of_a_batch():
    @njit
    def noisy(x, g):
        g[0] = 2 * x[0]
        return x[0] ** 2 + 0.01 * np.random.standard_normal()  # noqa: NPY002

    result = nbadam.minimize_batch(noisy, np.ones((20, 1)), learning_rate="auto", steps=300)
    assert np.abs(result.x).max() < 1e-3


def test_it_is_the_default_of_adam_alone():
    plain = nbadam.adam(valley, [-1.2, 1.0], (1.0, 1.0), True, steps=50)
    assert_same(plain, fit(steps=50))
    assert_same(plain, fit(steps=50, epsilon=0.0))
    decayed = nbadam.adamw(valley, [-1.2, 1.0], (1.0, 1.0), True, steps=50)
    assert_array_equal(decayed.history.learning_rate, 0.001)
    assert nbadam.Adam().learning_rate == 0.001


def test_batches_of_a_table():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2000, 5)) * [1, 10, 0.1, 1, 1]
    b = a @ [1, 0.2, 30, -1, 0] + rng.standard_normal(2000)

    def squares(x, a, b):
        residuals = a @ x - b
        return float(residuals @ residuals) / len(b), 2 * residuals @ a / len(b)

    objective = nbadam.Minibatch(squares, (a, b), batch_size=50, rng=0)
    options = {"learning_rate": "auto", "epochs": 25, "average": "tail"}
    result = nbadam.adam(objective, np.zeros(5), jac=True, **options)
    exact = np.linalg.lstsq(a, b)[0]
    errors = np.sqrt(np.diag(np.linalg.inv(a.T @ a)))
    assert np.abs((result.x - exact) / errors).max() < 1


@pytest.mark.parametrize("scheme", ["3-point", "spsa"])
def test_without_gradients(scheme):
    def value(x):
        return float(np.sum((x - [1, 2, 3]) ** 2))

    result = nbadam.adam(value, np.ones(3) / 2, finite_diff=scheme, rng=0, steps=1000)
    assert_allclose(result.x, [1, 2, 3], atol=0.02)


def test_bounds_hold():
    result = fit(bounds=[(-2, 0.5), (None, None)], steps=1000)
    assert_allclose(result.x, [0.5, 0.25], atol=1e-4)


def test_weight_decay_pulls_towards_zero():
    plain, decayed = fit(nbadam.adamw, weight_decay=0.0), fit(nbadam.adamw, weight_decay=0.5)
    assert np.linalg.norm(decayed.x) < np.linalg.norm(plain.x)


@pytest.mark.parametrize(
    "name", ["nadam", "radam", "adamax", "lion", "sgd", "rmsprop", "adagrad", "adadelta"]
)
def test_other_methods_refuse(name):
    with pytest.raises(ValueError, match=f"adam and adamw; {name} needs a number"):
        getattr(nbadam, name)(valley, [0.0, 0.0], (1.0, 1.0), True, learning_rate="auto")


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number >= 0, or 'auto'"):
        fit(learning_rate="fast")


def test_bad_starts_end_as_with_any_rate():
    with np.errstate(over="ignore", invalid="ignore"):
        assert fit(start=(1e200, 0.0)).status == 3
    flat = nbadam.adam(lambda x: (1.0, 0 * x), [1.0], jac=True, learning_rate="auto", steps=5)
    assert_array_equal(flat.x, [1.0])


# --- The pieces ----------------------------------------------------------------------------------

POSITIVE = st.floats(1e-100, 1e100)


def record_of(x, **limits):
    """Return the record of a run with automatic rates at a point."""
    record = new_record(len(x), float, limits | {"average": 0}, is_auto=True, has_fractions=False, rows=0)
    record.x[:] = x
    return record


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=4), st.sampled_from([0.0, 1e-3]))
def test_radii_are_positive_and_finite_but_for_a_start_at_0(x, first):
    run, x = record_of(x, radius=first), np.array(x)
    assert begin(run) == (first > 0 or x.all())
    assert_array_equal(run.start, x)
    assert np.isfinite(run.radius).all()
    assert_array_equal(run.radius > 0, (first > 0) | (x != 0))


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=4))
def test_shares_are_positive_and_lower_the_value_as_much(g):
    g = np.array(g)
    if g.any():
        mean = mean_size(g)
        shares = np.array([share(slope, mean) for slope in g])
        assert (np.isfinite(shares) & (shares > 0)).all()
        assert (shares <= 100 * (1 + 1e-9)).all()
        steep = np.abs(g) >= 0.01 * mean
        assert_allclose(shares[steep] * np.abs(g[steep]), mean)


@given(POSITIVE, POSITIVE, st.floats(-10, 10), st.floats(0, 1e300), st.integers(1, 99))
def test_a_step_is_finite_and_a_radius_grows_no_faster_than_it_may(radius, moved, g, noise, t):
    run = record_of([-1.0], horizon=100.0, clipvalue=np.inf)
    run.before[:], run.slope[:], run.radius[:], run.noise[:] = moved, g, radius, noise
    own = new_rule_state(ADAM, 1, float, (0.9, 0.999, 1e-7))
    own.slots[0][:], own.slots[1][:] = 0.1 * g, 0.001 * g * g
    rate = apply_dog(run, own, float(t), 1.0, 1000.0)
    x, radii, noises = run.x, run.radius, run.noise
    assert (
        radius <= radii[0] <= max(radius, min(moved, radius * (1 + SLOWEST_OF_SHORT + FASTEST)) * (1 + 1e-12))
    )
    assert 0 <= rate <= 2 * radii[0]
    assert np.isfinite(x).all()
    assert noises[0] >= 0


@pytest.mark.parametrize(
    ("noise", "late", "power"), [(0, 0, 3), (0.05, 0, 1.5), (0, 0.05, 1.5), (0.1, 0, 0), (0, 0.2, 0)]
)
def test_weights_of_squares_grow_by_a_power_of_the_step_number(noise, late, power):
    weights = np.zeros(0)
    for t in range(1, 10_001):
        newest = scalars_of_adam(float(t), noise * t, late, 0.9, 0.999999, 0.0)[2]
        weights = np.append(weights * (1 - newest), newest)
    assert_allclose(weights.sum(), 1)
    steps = np.arange(5_000, 10_001)
    assert_allclose(weights[4_999:], weights[-1] * (steps / 10_000) ** power, rtol=0.03)


@given(st.floats(1, 1e6), st.floats(0, 1), st.floats(0, 0.999), st.floats(0, 0.9999))
def test_squares_are_forgotten_no_faster_than_the_mean_but_for_beta_2(t, late, beta_1, beta_2):
    unbias_1, weight_1, newest, _ = scalars_of_adam(np.floor(t), 0.0, late, beta_1, beta_2, 0.0)
    own = (1 - beta_2) / (1 - beta_2 ** np.floor(t))
    assert own * (1 - 1e-12) <= newest <= max(own, weight_1 * unbias_1) * (1 + 1e-12)


@pytest.mark.parametrize("beta_1", [0.8, 0.9, 0.99])
@pytest.mark.parametrize(("sharpness", "is_damped"), [(0.99, False), (1.01, True)])
def test_rates_are_damped_from_the_largest_sharpness_on(beta_1, sharpness, is_damped):
    s = record_of([1.0]).numbers[0]
    s.length_2, s.secant = 1.0, sharpness * SHARPEST * 2 * (1 + beta_1) / (1 - beta_1)
    for _ in range(10):
        damp(s, beta_1)
    assert_allclose(s.damping, 1.01**-10 if is_damped else 1.0)
    s.secant = 0.0
    for _ in range(200):
        damp(s, beta_1)
    assert s.damping == 1.0


@pytest.mark.parametrize("method", ["run", "batch"])
@pytest.mark.parametrize("n", [5, 20, 50])
def test_a_quadratic_ends_long_before_the_budget(method, n):
    # A chain of springs of condition 13 to 1,053: steps at the edge of stability went on up to step 45,000,
    # from where on the rates fall.
    starts = np.random.default_rng(n).uniform(0.5, 1.5, (5, n))
    if method == "run":
        results = [nbadam.adam(chain, x0, jac=True) for x0 in starts]
        assert all(result.success for result in results)
        steps, values = [r.nit for r in results], [r.fun for r in results]
    else:
        results = nbadam.minimize_batch(chain, starts, learning_rate="auto")
        steps, values = results.nit, results.fun
    assert np.max(steps) <= 1_500
    assert np.max(values) < 1e-9


@njit
def chain(x):
    g = 2 * x
    g[1:] -= x[:-1]
    g[:-1] -= x[1:]
    return 0.5 * x @ g, g


def test_steep_gradients_of_the_first_steps_do_not_shorten_steps_to_the_end():
    def singular(x):  # Powell's function; the best of nine fixed rates leaves 1.1e-8 of the value
        a, b, c, d = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
        f = a**2 + 5 * b**2 + c**4 + 10 * d**4
        along = np.array([2 * a, 20 * a, 10 * b, -10 * b])
        return f, along + np.array([40 * d**3, 4 * c**3, -8 * c**3, -40 * d**3])

    start = np.array([3.0, -1.0, 0.0, 1.0])
    result = nbadam.adam(singular, start, jac=True, steps=500)
    assert result.fun <= 2.2e-8 * singular(start)[0]


@pytest.mark.parametrize("beta_1", [0.5, 0.9])
@pytest.mark.parametrize("n", [2, 10])
def test_noise_damps_no_rates(beta_1, n):
    rng = np.random.default_rng(0)

    def noisy(x):
        noise = rng.standard_normal(n)
        return float(x @ x / 2 + noise @ x), x + noise

    state = nbadam.adam(noisy, np.full(n, 3.0), jac=True, steps=1000, beta_1=beta_1).state
    assert state.arrays["number damping"] > 0.9


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_noise_does_not_hide_the_sizes_of_variables_that_start_at_0(sigma):
    def excess(seed):
        rng = np.random.default_rng(seed)

        def noisy(x):
            d = x - 1
            noise = sigma * rng.standard_normal(x.size)
            return float(d @ d / 2 + noise @ d), d + noise

        result = nbadam.adam(noisy, np.zeros(5), jac=True, steps=500)
        return np.sum((result.x - 1) ** 2) / 5

    assert max(excess(seed) for seed in range(20)) < 0.5


def test_radii_do_not_grow_by_chance_along_flat_directions():
    mirror = np.random.default_rng(1).standard_normal(20)
    mirror /= np.linalg.norm(mirror)
    rotation = np.eye(20) - 2 * np.outer(mirror, mirror)
    curvature = rotation @ np.diag(np.geomspace(1, 1e-5, 20)) @ rotation

    def share_left(seed):
        rng = np.random.default_rng(seed)

        def noisy(x):
            g, noise = curvature @ x, 0.1 * rng.standard_normal(20)
            return float(x @ g / 2 + noise @ x), g + noise

        x = nbadam.adam(noisy, np.ones(20), jac=True, steps=2000).x
        return (x @ curvature @ x) / curvature.sum()

    assert max(share_left(seed) for seed in range(10)) < 0.02
