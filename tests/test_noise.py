"""Values that are noisy, rounded or stepped, with all defaults: noticed before the first step."""

from itertools import pairwise

import numpy as np
import pytest
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import nbadam
from nbadam.methods.calibration import calibrate
from nbadam.methods.differences import Differences
from nbadam.methods.failures import Failures
from nbadam.methods.noise import noise_near
from nbadam.methods.record import new_numbers
from nbadam.methods.stopping import close_part

pytestmark = pytest.mark.long

LEAST = np.array([1.1, -0.7])


def smooth(x):
    """Quadratic whose minimum is 13.7 / 5 + 1 at `LEAST`."""
    return float((x[0] - 2) ** 2 + 3 * (x[1] + 1) ** 2 + 0.5 * (x[0] - x[1]) ** 2 + 1)


def printed(digits):
    return lambda x: float(f"{smooth(x):.{digits}g}")


def in_float32(x):
    return float(np.float32(smooth(x.astype(np.float32))))


def shots(x):
    """Counts of draws with a fixed seed: steps without a slope."""
    p = 1 / (1 + np.exp(-np.array([x[0] - 0.5, x[1] + 1.0])))
    rng = np.random.default_rng(5)
    return float(-rng.binomial(1000, 3.99 * p * (1 - p)).sum() / 1000)


STEPPED = {
    "float32": in_float32,
    "3 digits": printed(3),
    "4 digits": printed(4),
    "6 digits": printed(6),
    "integers": lambda x: int(smooth(x)),
    "steps of 0.01": lambda x: round(smooth(x) / 0.01) * 0.01,
    "steps of 5": lambda x: 5.0 * round(smooth(x) / 5),
}
START = [-3.0, 4.0]


def run(fun, start=START, jac=None, **options):
    return minimize(fun, start, jac=jac, method=nbadam.adam, options=options)


@pytest.mark.parametrize("fun", STEPPED.values(), ids=STEPPED.keys())
def test_stepped_values_are_minimized_with_all_defaults(fun):
    result = run(fun)
    assert result.success
    assert smooth(result.x) - smooth(LEAST) < 1e-3 * (smooth(START) - smooth(LEAST))
    assert result.nfev < 20_000


def test_simulations_with_a_fixed_seed():
    result = run(shots)
    assert result.success
    assert_allclose(result.x, [0.5, -1.0], atol=0.25)


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "noise"])
@pytest.mark.parametrize("fun", [*STEPPED.values(), shots, lambda x: 1.0])
def test_no_success_where_it_began(fun, scheme):
    result = run(fun, finite_diff=scheme, maxiter=600)
    if result.success:
        f, f_start = (smooth(x) if fun in STEPPED.values() else fun(x) for x in (result.x, START))
        assert f < f_start - 0.1 * abs(f_start)
    else:
        assert "exactly zero" in result.message or "no lower" in result.message or result.status == 1


def test_a_constant_is_no_success():
    result = run(lambda x: 1.0)
    assert not result.success
    assert_array_equal(result.x, START)


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_no_success_far_from_the_start(seed):
    rng = np.random.default_rng(seed)
    result = run(lambda x: rng.normal())
    assert np.abs(result.x - START).max() < (1000 if result.success else 1e-12)


def test_noise_around_a_minimum_at_the_start_is_one():
    rng = np.random.default_rng(1)
    result = run(lambda x: float(x @ x) + 0.1 * rng.normal(), start=[0.0, 0.0])
    assert result.success
    assert_allclose(result.x, 0, atol=0.2)


def test_a_start_at_the_minimum_is_one():
    assert run(lambda x: float(x @ x), start=[0.0, 0.0], finite_diff="3-point").success
    assert run(lambda x: (float(x @ x), 2 * x), start=[0.0, 0.0], jac=True).success


@pytest.mark.parametrize("digits", [2, 3, 4, 5, 6])
def test_the_noise_of_rounding_is_its_size(digits):
    resolution = 10.0 ** (3 - digits)  # of values from 100 to 1000
    x, ones = np.array([-3.0, 4.0]), np.ones(2)
    fun = printed(digits)
    noise = noise_near(fun, x, fun(x), 4 * ones, -np.inf * ones, np.inf * ones)
    assert resolution / 10 < noise < 2 * resolution


@pytest.mark.parametrize("power", [-3, 0, 3])
def test_perturbations_grow_to_what_the_function_allows(power):
    scale = np.full(4, 10.0**power)  # units of the variables

    def bowl(x):
        return float(((x / scale - 1) ** 2).sum())

    x = np.zeros(4)
    box = np.full(4, -np.inf), np.full(4, np.inf)
    size, change, is_cut = calibrate(bowl, x, bowl(x), 0.1, scale, *box, (0,))
    assert 0.1 <= size <= 1.0
    assert change > 0.1
    assert not is_cut


def test_perturbations_shrink_where_values_are_not_finite_or_bend():
    def walled(x):
        return float(x.sum()) if np.abs(x).max() < 0.02 else np.nan

    box = np.full(4, -np.inf), np.full(4, np.inf)
    assert calibrate(walled, np.zeros(4), 0.0, 0.0, np.ones(4), *box, (0,))[0] < 0.02
    sharp = calibrate(lambda x: float(1e6 * (x - 1e-2) @ (x - 1e-2)), np.zeros(1), 100.0, 0.0, *_one(), (0,))
    assert 0.001 < sharp[0] < 0.1


def test_perturbations_stop_short_of_a_sudden_penalty():
    """It is as large on both sides, with opposite signs: no curvature between two points tells of it."""

    def value(x):
        return float(x.sum() + 1e4 * (np.maximum(np.abs(x) - 0.3, 0) * np.sign(x)).sum())

    box = np.full(2, -np.inf), np.full(2, np.inf)
    size, _, is_cut = calibrate(value, np.zeros(2), 0.0, 0.1, np.ones(2), *box, (0,))
    assert size < 0.3 and not is_cut


def _one():
    return np.ones(1), np.full(1, -np.inf), np.full(1, np.inf)


KINDS = ["bowl", "kinks", "counts", "in proportion", "with gradient"]


@pytest.mark.parametrize("kind", KINDS)
def test_noisy_runs_end_by_themselves_near_the_minimum(kind):
    for seed in range(1 if config.DISABLE_JIT else 3):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 6))
        center, curvature = rng.standard_normal(n), 10.0 ** rng.uniform(-1, 1, n)
        start = center + rng.choice([-2.0, 2.0], n)

        def exact(x, center=center, curvature=curvature):
            d = x - center
            return float((curvature * (np.abs(d) if kind == "kinks" else d * d)).sum())

        def fun(x, rng=rng, exact=exact, center=center, curvature=curvature):
            f = exact(x)
            if kind == "counts":
                return float(rng.poisson(5 + 20 * min(f, 1e9)))
            if kind == "in proportion":
                return (f + 0.1) * (1 + 0.1 * rng.standard_normal())
            if kind == "with gradient":
                noise = rng.standard_normal(x.size)
                return f + 0.1 * rng.standard_normal(), 2 * curvature * (x - center) + 0.1 * noise
            return f + 0.1 * rng.standard_normal()

        result = run(fun, start, jac=kind == "with gradient" or None)
        assert result.success, (seed, result.message)
        assert exact(result.x) < 0.05 * exact(start)
        assert result.nfev < 30_000


def test_the_message_tells_what_was_found():
    rng = np.random.default_rng(0)
    noisy = run(lambda x: smooth(x) + 0.1 * rng.standard_normal())
    assert "noise of" in noisy.message
    assert "minimum of a quadratic" in noisy.message
    assert 0.02 < noisy.fun_noise < 0.5
    exact = run(smooth)
    assert "L-BFGS-B" in exact.message
    assert "fun_noise" not in exact


def test_runs_on_noticed_noise_resume():
    def noisy(x, rng):
        return smooth(x) + 0.1 * rng.standard_normal()

    def fit(**options):
        return nbadam.adam(noisy, START, (np.random.default_rng(3),), None, **options)

    whole, half = fit(steps=80), fit(steps=80, maxiter=30)
    rest = fit(steps=80, state=half.state)
    assert_array_equal(rest.x, whole.x)
    assert rest.fun_noise == whole.fun_noise
    assert rest.message == whole.message


def test_a_lucky_value_at_the_start_is_no_rise():
    """Noise in proportion to the distance from the minimum: single values at the start tell little."""
    for seed in range(4):
        rng = np.random.default_rng(seed)

        def fun(x, rng=rng):
            z = rng.standard_normal(x.size)
            return float(x @ x + 10 * z @ x), 2 * x + z

        result = run(fun, np.full(3, 2.0), jac=True, steps=600)
        assert result.success, (seed, result.message)
        assert result.x @ result.x < 0.5


def test_noise_that_hides_all_is_no_success():
    """Gradients that are noise lead to where values are known a hundred times less well than at the start."""
    a = np.geomspace(1e-5, 1e-8, 10)
    for seed in range(2):
        rng = np.random.default_rng(seed)

        def fun(x, rng=rng):
            z = rng.standard_normal(x.size)
            return float(0.5 * a @ x**2 + (1e-3 + x @ x) * z[0]), a * x + z

        result = run(fun, np.full(10, 0.01), jac=True)
        assert (result.status, result.success) == (5, False)
        assert_array_equal(result.x, 0.01)


def valley(u):
    return float((100 * (u[1:] - u[:-1] ** 2) ** 2 + (1 - u[:-1]) ** 2).sum())


def decay(u):
    t = np.linspace(0, 4, 25)
    with np.errstate(over="ignore"):
        return float(((np.exp(u[0] - np.exp(u[1]) * t) + u[2] - 2 * np.exp(-1.3 * t) - 0.3) ** 2).sum())


@pytest.mark.parametrize("size", [1e-6, 1e-2])
@pytest.mark.parametrize("options", [{}, {"finite_diff": "noise"}], ids=["model", "differences"])
@pytest.mark.parametrize("exact", [valley, decay])
def test_rough_values_that_are_not_random_never_end_above_the_start(exact, options, size):
    """Differences whose steps change in between are no noise: the run goes back from a rise."""
    for seed in range(2):
        start = np.array([0.0, -1.0, 1.0]) + 0.01 * np.random.default_rng(seed).standard_normal(3)

        def rough(x):
            return exact(x) + size * np.sin(1e9 * x.sum())

        result = run(rough, start, maxfun=1000, **options)
        assert exact(result.x) <= (1.0 if options else 0.2) * exact(start)


@pytest.mark.parametrize("amplitude", [1e-2, 1e-4])
@pytest.mark.parametrize("wavenumber", [1e4, 3e5, 1e6, 1e8])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_ripples_that_look_smooth_nearby_are_noise(n, wavenumber, amplitude):
    """Their slope hides that of the function, and all minima are theirs."""
    center, curvature = np.linspace(3, -1, n), np.geomspace(1, 5, n)

    def exact(x):
        return float((curvature * (x - center) ** 2).sum())

    start = np.zeros(n)
    size = amplitude * exact(start)
    if size * wavenumber * n < 20 * np.abs(2 * curvature * center).max():
        pytest.skip("the ripples have no minima of their own")
    result = run(lambda x: exact(x) + size * float(np.sin(wavenumber * x.sum() + 0.3)), start)
    assert result.success
    assert "noise of" in result.message
    assert exact(result.x) < 3 * size
    assert result.nfev < 5000


@pytest.mark.parametrize("error", [StopIteration, KeyError, ZeroDivisionError])
def test_exceptions_of_simulations_are_their_own_at_every_evaluation(error):
    rng = np.random.default_rng(0)

    def failing(x, calls, last):
        calls.append(x)
        if len(calls) == last:
            raise error("of the user")
        return smooth(x) + 0.1 * rng.standard_normal()

    for last in range(1, 50):
        with pytest.raises(error, match="of the user"):
            minimize(failing, START, args=([], last), method=nbadam.adam)


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("failure", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 3])
def test_simulations_that_fail_now_and_then(n, failure, share):
    for seed in range(4):
        rng = np.random.default_rng(seed)

        def fun(x, rng=rng):
            if rng.random() < share:
                return failure
            return float(((x - 1) ** 2).sum()) + 0.01 * rng.standard_normal()

        result = run(fun, np.full(n, 3.0))
        assert not result.success or ((result.x - 1) ** 2).sum() < 0.1 * 4 * n
        assert result.success or result.status in (1, 3, 5)


def tries(failures, values):
    """Return how many of the values were asked for at each of 8 points."""
    left, counts = iter(values), []
    for _ in range(8):
        before = len(values) - sum(counts)
        failures.finite(lambda _: next(left), np.zeros(1))
        counts.append(before - left.__length_hint__())
    return counts


def test_points_are_tried_again_until_that_has_been_in_vain_at_some():
    nan = np.nan
    assert tries(Failures(), [nan] * 40) == [4, 4, 4, 4, 4, 1, 1, 1]
    assert tries(Failures(), [1.0] * 40) == [1] * 8
    assert tries(Failures(), [nan, nan, 1.0] + [nan] * 40) == [3] + [4] * 7


def test_few_points_beyond_the_domain_are_tried_again():
    """A start at the end of the domain: half of the points around it have no value, whatever the try."""
    rng, points = np.random.default_rng(0), []

    def fun(x):
        points.append(x.copy())
        return float(x @ x) + 0.01 * rng.standard_normal() if x[0] <= 3 else np.nan

    start = np.array([3.0] + [0.0] * 11)  # many variables: no two perturbations are the same
    Differences("2-point", np.full(12, -np.inf), np.full(12, np.inf)).notice(fun, start, (0,))
    again = [np.array_equal(first, second) for first, second in pairwise(points) if second[0] > 3]
    assert len(again) > 30 and sum(again) == 15


@pytest.mark.parametrize("size", [1e2, 1e6])
def test_rare_values_far_off_are_no_rise(size):
    """A mean over some values at the end is far off where one of them is."""
    for seed in range(5):
        rng = np.random.default_rng(seed)

        def fun(x, rng=rng):
            outlier = size if rng.random() < 0.02 else 0.0
            return smooth(x) + 0.1 * rng.standard_normal() + outlier

        result = run(fun)
        assert result.success, (seed, result.message)
        assert smooth(result.x) - smooth(LEAST) < 0.1 * (smooth(START) - smooth(LEAST))


def patience_is_met(values):
    """Return the number of parts at which `patience` is met, if it is."""
    s, met = new_numbers()[0], []
    for k, value in enumerate(values):
        s.part_sum = value
        if close_part(s, 1.0, np.zeros(0)):
            met.append(k + 1)
    return met


@pytest.mark.parametrize("first", [0.0, 1e6, -1e6])
@pytest.mark.parametrize("fall", ["steady", "slowing"])
def test_patience_waits_while_values_fall(fall, first):
    """The first values of a run may be far off, or those of a first model: their scatter hides no fall."""
    k = np.arange(200.0)
    values = 100 - k if fall == "steady" else 100 / (1 + 0.1 * k)
    values[0] += first
    assert patience_is_met(values + 0.01 * np.random.default_rng(0).standard_normal(k.size)) == []


def test_patience_ends_where_values_do_not_fall():
    met = [patience_is_met(np.random.default_rng(seed).standard_normal(60))[:1] for seed in range(50)]
    assert sum(bool(first) for first in met) >= 48
    assert np.median([first[0] for first in met if first]) <= 30


def beale(x):
    return float(((np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.arange(1, 4))) ** 2).sum())


@pytest.mark.parametrize("constant", [1e10, -1e11, 1e12, 1e13])
@pytest.mark.parametrize(
    ("fun", "start"),
    [(beale, [1.0, 1.0]), (valley, np.zeros(4)), (valley, [-1.2, 1.0])],
    ids=["beale", "4 at 0", "valley"],
)
def test_a_large_constant_leads_nowhere_else(fun, start, constant):
    """The rounding of all values is far above that of their differences."""
    result = run(lambda x: fun(x) + constant, start)
    assert result.success
    rounding = 2.0**-52 * abs(constant)
    assert fun(result.x) < 1e-3 * fun(np.array(start)) + 3 * rounding
    assert result.nfev < 10_000
