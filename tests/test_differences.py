"""Finite differences and the count of evaluations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nbadam
from nbadam.methods.differences import Differences
from nbadam.methods.noise import noise_of
from nbadam.methods.objective import Objective
from nbadam.methods.perturbations import Perturbations


def cubic(x):
    return float(np.sum(x**3 - 2 * x))


def exact(x):
    return 3 * x**2 - 2


def differenced(scheme, x, lower=-np.inf, upper=np.inf, fun=cubic, **steps):
    x = np.asarray(x, float)
    box = np.broadcast_to(lower, x.shape).astype(float), np.broadcast_to(upper, x.shape).astype(float)
    objective = Objective(fun, None, (), Differences(scheme, *box, **steps))
    return objective.value_and_gradient(x)[1], objective


@pytest.mark.parametrize(("scheme", "rtol", "cost"), [("2-point", 1e-4, 1), ("3-point", 1e-8, 2)])
def test_differences_approximate_the_gradient(scheme, rtol, cost):
    x = np.array([0.5, -3.0, 2.0, 0.0])
    gradient, objective = differenced(scheme, x)
    assert_allclose(gradient, exact(x), rtol=rtol)
    assert (objective.nfev, objective.njev) == (1 + cost * 4, 1)


@pytest.mark.lowest
def test_schemes_are_exact_to_their_order():
    x, h = np.array([1.0]), 0.25
    forward, _ = differenced("2-point", x, absolute=h)
    central, _ = differenced("3-point", x, absolute=h)
    one_sided, _ = differenced("3-point", x, upper=1.0, absolute=h)
    assert_allclose(forward, (cubic(x + h) - cubic(x)) / h, rtol=1e-12)
    assert_allclose(central, exact(x) + h**2, rtol=1e-12)  # the cubic term of the central difference
    assert_allclose(one_sided, exact(x) - 2 * h**2, rtol=1e-12)


def test_step_sizes():
    seen = []

    def recorded(x):
        seen.append(x.copy())
        return cubic(x)

    differenced("2-point", [10.0, 0.1], fun=recorded, relative=1e-3)
    assert_allclose(seen[1] - seen[0], [1e-2, 0], rtol=1e-9)
    assert_allclose(seen[2] - seen[0], [0, 1e-3], rtol=1e-9)
    seen.clear()
    differenced("2-point", [10.0, 0.1], fun=recorded, relative=1.0, absolute=np.array([0.5, 0.25]))
    assert_allclose(seen[1] - seen[0], [0.5, 0])
    assert_allclose(seen[2] - seen[0], [0, 0.25])


@given(
    st.sampled_from(["2-point", "3-point"]),
    st.floats(-1e3, 1e3),
    st.floats(0, 1e-4),
    st.floats(0, 1e-4),
    st.sampled_from([None, 1e-2, 1e-7]),
)
def test_no_evaluation_leaves_the_bounds(scheme, x, below, above, absolute):
    lower, upper = x - below, x + above
    points = []

    def recorded(point):
        points.append(point[0])
        return float(point[0])

    gradient, _ = differenced(scheme, [x], lower, upper, recorded, absolute=absolute)
    assert lower <= min(points) <= max(points) <= upper
    spread = max(points) - min(points)
    if spread > 0:  # all that is lost is what rounding takes from the difference
        assert_allclose(gradient, 1, atol=16 * np.finfo(float).eps * abs(x) / spread)
    else:
        assert_array_equal(gradient, 0)


def test_counts_of_joint_and_separate_objectives():
    x = np.array([1.0, 2.0])
    joint = Objective(lambda x: (cubic(x), exact(x)), True, (), None)
    separate = Objective(cubic, exact, (), None)
    for objective in (joint, separate):
        f, g = objective.value_and_gradient(x)
        assert f == cubic(x)
        assert_array_equal(g, exact(x))
        assert objective.value(x) == f
    assert (joint.nfev, joint.njev) == (2, 2)
    assert (separate.nfev, separate.njev) == (2, 1)
    assert_array_equal(separate.gradient(x), exact(x))
    assert (separate.nfev, separate.njev) == (2, 2)


# --- Noise ---------------------------------------------------------------------------------------


def noisy(sigma, seed=0):
    rng = np.random.default_rng(seed)
    return lambda x: float(np.sum((x - 1) ** 2) + np.sum(np.exp(x / 5)) + sigma * rng.standard_normal())


@pytest.mark.parametrize("sigma", [1e-8, 1e-4, 1e-1])
def test_noise_is_found_and_the_step_suits_it(sigma):
    x = np.array([0.3, -1.0, 2.0, 0.0])
    true = 2 * (x - 1) + np.exp(x / 5) / 5
    noises, errors, naive = [], [], []
    for seed in range(20):
        gradient, objective = differenced("noise", x, fun=noisy(sigma, seed))
        noises.append(objective.differences.noise)
        errors.append(np.abs(gradient - true).max())
        naive.append(np.abs(differenced("2-point", x, fun=noisy(sigma, seed))[0] - true).max())
    assert sigma / 2 < np.median(noises) < 2 * sigma
    # The least error that any step leaves to be expected: 2 sqrt(noise curvature), Moré and Wild 2012.
    assert np.median(errors) < 2 * 2 * np.sqrt(2 * sigma)
    assert np.median(errors) < np.median(naive) / 5


def test_noise_of_a_smooth_function_is_its_rounding_error():
    x = np.array([0.5, -3.0, 2.0, 0.0])
    gradient, objective = differenced("noise", x)
    assert 0 < objective.differences.noise < 1e-13
    assert_allclose(gradient, exact(x), rtol=1e-5)
    first = objective.nfev
    objective.value_and_gradient(x)
    assert objective.nfev == first + 1 + 4  # the steps are kept


@pytest.mark.lowest
def test_noise_of_stays_out_of_what_it_cannot_tell():
    assert noise_of(np.ones(8)) is None
    assert noise_of(np.arange(8.0) ** 2) is None
    assert noise_of(np.array([1.0, np.nan, 2, 3, 4, 5, 6, 7])) is None
    white = np.random.default_rng(1).standard_normal((200, 8))
    estimates = [noise_of(row) for row in white]
    assert_allclose(np.median([e for e in estimates if e is not None]), 1, rtol=0.2)


WIDTHS = st.just(0.0) | st.floats(1e-12, 1.0)


@pytest.mark.lowest
@given(st.floats(-5, 5), WIDTHS, WIDTHS, st.floats(0, 1))
def test_noise_differences_stay_within_the_bounds(x, below, above, sigma):
    lower, upper = x - below, x + above
    points, fun = [], noisy(sigma)

    def recorded(point):
        points.append(point[0])
        return fun(point)

    gradient, _ = differenced("noise", [x], lower, upper, recorded)
    assert lower <= min(points) <= max(points) <= upper
    assert np.isfinite(gradient).all()


def perturbed(x, fun=cubic, lower=-np.inf, upper=np.inf, size=0.01, seed=(0,)):
    x = np.asarray(x, float)
    box = np.broadcast_to(lower, x.shape).astype(float), np.broadcast_to(upper, x.shape).astype(float)
    return Objective(fun, None, (), Perturbations(*box, np.broadcast_to(size, x.shape), seed))


def test_perturbation_estimates_the_gradient_from_two_values():
    x = np.array([0.5, -3.0, 2.0, 0.0])
    objective = perturbed(x, size=1e-4)
    pairs = [objective.value_and_gradient(x) for _ in range(1000)]
    assert objective.nfev == 2 * objective.njev == 2000
    gradients = np.array([g for _, g in pairs])
    error = gradients.std(axis=0) / np.sqrt(len(gradients))
    assert (np.abs(gradients.mean(axis=0) - exact(x)) < 4 * error).all()
    assert_allclose([f for f, _ in pairs], cubic(x), rtol=1e-6)


def test_perturbations_shrink_by_spalls_exponent_and_repeat_with_their_seed():
    points = []

    def recorded(x):
        points.append(x.copy())
        return cubic(x)

    x = np.zeros(3)
    objective = perturbed(x, recorded, size=np.array([1.0, 2.0, 4.0]))
    gradients = [objective.value_and_gradient(x)[1] for _ in range(5)]
    sizes = np.abs(points[::2])
    assert_allclose(sizes, [[1, 2, 4] / np.float64(k) ** 0.101 for k in (1, 1, 1, 4, 4)])
    assert_array_equal(points[::2], -np.array(points[1::2]))
    again = perturbed(x, size=np.array([1.0, 2.0, 4.0]))
    facts = objective.facts()
    facts["differences"]["count"] = 3
    again.restore(facts)
    assert facts["nfev"] == 10
    assert_array_equal(again.value_and_gradient(x)[1], gradients[3])
    other = perturbed(x, size=np.array([1.0, 2.0, 4.0]), seed=(1,))
    assert any((other.value_and_gradient(x)[1] != g).any() for g in gradients)


def test_perturbation_stays_within_the_bounds_and_leaves_fixed_variables():
    x = np.array([0.0, 1.0, 0.5])
    points = []

    def recorded(x):
        points.append(x.copy())
        return float(x @ [1.0, 2.0, 3.0])

    objective = perturbed(x, recorded, lower=[0.0, 1.0, 0.0], upper=[1.0, 1.0, 0.505], size=0.1)
    gradients = np.array([objective.value_and_gradient(x)[1] for _ in range(1000)])
    assert (np.min(points, axis=0) >= [0, 1, 0]).all()
    assert (np.max(points, axis=0) <= [1, 1, 0.505]).all()
    assert_array_equal(gradients[:, 1], 0)
    assert_allclose(gradients.mean(axis=0), [1, 0, 3], rtol=0.25)


@pytest.mark.lowest
def test_methods_take_both_and_report_what_they_found():
    fun = noisy(0.01)
    start = np.zeros(5)
    options = {"learning_rate": 0.03, "steps": 400}
    adapted = nbadam.adam(fun, start, finite_diff="noise", **options)
    assert 0.001 < adapted.fun_noise < 0.1
    assert "fun_noise" not in nbadam.adam(cubic, start, finite_diff="2-point", steps=1)
    calls = 0

    def counted(x):
        nonlocal calls
        calls += 1
        return fun(x)

    spsa = nbadam.adam(counted, start, finite_diff="spsa", rng=1, **options)
    assert spsa.nfev == calls
    assert calls <= 2 * 401 + 100  # two a step, and what the size at the start and the value at the end take
    optimum = np.full(5, 0.895)  # where 2 (x - 1) + exp(x / 5) / 5 is 0, rounded
    assert_allclose(adapted.x, optimum, atol=0.1)
    assert_allclose(spsa.x, optimum, atol=0.3)


@pytest.mark.lowest
def test_spsa_is_scaled_and_resumes():
    def fun(x):
        return float((x[0] / 1e-6 - 1) ** 2 + (x[1] / 1e3 - 1) ** 2)

    options = {"x_scale": [1e-6, 1e3], "finite_diff": "spsa", "rng": 3, "learning_rate": 0.05}
    whole = nbadam.adam(fun, [0.0, 0.0], steps=300, **options)
    assert_allclose(whole.x, [1e-6, 1e3], rtol=0.05)
    half = nbadam.adam(fun, [0.0, 0.0], steps=130, **options)
    rest = nbadam.adam(fun, [0.0, 0.0], steps=300, state=half.state, **options | {"rng": 9})
    assert_array_equal(rest.x, whole.x)
