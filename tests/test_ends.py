"""Ends of runs: the start, limits, tolerances, and what is not finite."""

import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from runs import fit, noisy, paraboloid, slope, value
from scipy.optimize import minimize

import nbadam


def test_start_at_the_optimum():
    result = fit(x0=[1.0, 2.0, 3.0])
    assert (result.success, result.nit) == (True, 0)
    assert result.nfev < 100  # values around are compared


MINIMA = {
    "bowl": lambda d: d @ d,
    "valley": lambda d: ((d[:-1] + d[1:]) ** 2).sum() * 1e4 + d @ d,
    "bend": lambda d: 100 * ((d[1:] + d[:-1] ** 2) ** 2).sum() + d @ d,
    "quartic": lambda d: (d**4).sum(),
    "sizes": lambda d: np.abs(d).sum(),
    "distance": lambda d: np.linalg.norm(d),
    "largest": lambda d: np.abs(d).max(),
    "lasso": lambda d: (d * d).sum() + np.abs(d).sum(),
    "cosh": lambda d: np.cosh(d).sum(),
    "float32": lambda d: np.float32(d @ d),
}


@pytest.mark.parametrize("fun", MINIMA.values(), ids=MINIMA)
@pytest.mark.parametrize("center", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("constant", [0.0, 10.0])
def test_a_start_at_the_minimum_is_a_success_by_values_alone(fun, center, n, constant):
    result = minimize(lambda x: constant + float(fun(x - center)), np.full(n, center), method=nbadam.adam)
    assert result.success, result.message
    assert result.fun == constant + fun(np.zeros(n))
    assert_allclose(result.x, center, atol=1e-4)


@pytest.mark.parametrize("center", [-3.0, 4.0])
@pytest.mark.parametrize("x1", [0.0, 2.0])
def test_a_start_at_a_minimum_on_a_bound_is_a_success_by_values_alone(center, x1):
    start = [np.clip(center, 0, 1), x1]
    result = minimize(
        lambda x: float((x[0] - center) ** 2 + 5 * (x[1] - x1) ** 2),
        start,
        method=nbadam.adam,
        bounds=[(0, 1), (-5, 5)],
    )
    assert result.success, result.message
    assert_allclose(result.x, start, atol=1e-6)


def wave(x):
    return float(np.cos(x).sum()), -np.sin(x)


def saddle(x):
    return float(x[0] ** 2 - x[1] ** 2 + x[1] ** 4), np.array([2 * x[0], -2 * x[1] + 4 * x[1] ** 3])


def product(x):
    return float(x[0] * x[1] + (x**4).sum()), x[::-1] + 4 * x**3


@pytest.mark.parametrize("constant", [0.0, 1e3, -1e6])
@pytest.mark.parametrize("fun", [wave, saddle, product])
@pytest.mark.parametrize("jac", [True, None])
def test_a_start_where_the_gradient_is_zero_is_no_success_unless_it_is_a_minimum(fun, jac, constant):
    def shifted(x):
        f, g = fun(x)
        return (f + constant, g) if jac else f + constant

    result = minimize(shifted, [0.0, 0.0], jac=jac, method=nbadam.adam)
    if result.success:
        assert fun(result.x)[0] < fun(np.zeros(2))[0] - 0.1
    else:
        assert result.status == 5
        assert jac is None or "saddle point or a maximum" in result.message
    assert minimize(lambda x: (fun(x)[0], 0 * x), [0.3, 0.1], jac=True, method=nbadam.adam).status == 5


BOWLS = {
    "parabola": (lambda x: float((x[0] - 1) ** 2 + 10 * (x[1] + 2) ** 2), [1.0, -2.0]),
    "log(cosh)": (lambda x: float(np.log(np.cosh(x - 1)).sum()), [1.0, 1.0, 1.0]),
    "growth": (lambda x: float((np.exp(x) - x).sum()), [0.0, 0.0]),
    "far": (lambda x: float((x[0] - 2459000.5) ** 2), [2459000.5]),
}


@pytest.mark.parametrize("constant", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("kind", BOWLS)
def test_a_minimum_at_the_start_is_found_by_values_alone(kind, constant):
    fun, start = BOWLS[kind]
    result = minimize(lambda x: fun(x) + constant, start, method=nbadam.adam)
    assert result.success, result.message
    assert fun(result.x) <= fun(np.array(start)) + 1e-12 * (1 + constant)


def test_start_at_a_constrained_optimum():
    result = fit(x0=[0.5, 2.0, 3.0], bounds=[(0, 0.5), (0, 9), (0, 9)])
    assert (result.success, result.nit) == (True, 0)


@pytest.mark.parametrize("jac", [True, None], ids=["gradient", "differences"])
def test_maxiter_is_respected_and_says_so(jac):
    result = fit(paraboloid if jac else value, jac=jac, maxiter=17)
    assert (result.success, result.status, result.nit) == (False, 1, 17)
    assert "Maximum number of iterations has been exceeded" in result.message
    assert "TOTAL NO. OF ITERATIONS REACHED LIMIT" in result.message
    assert "learning_rate" in result.message


def test_maxiter_zero_float_and_steps():
    result = fit(maxiter=0)
    assert (result.nit, result.nfev, result.status) == (0, 1, 1)
    assert fit(maxiter=7.0).nit == 7
    planned = fit(steps=17)
    assert (planned.success, planned.status, planned.nit) == (True, 0, 17)
    assert_array_equal(planned.x, fit(maxiter=17).x)
    assert fit(steps=17, maxiter=5).status == 1


@pytest.mark.long
def test_a_planned_run_goes_on_where_others_stop_unless_told_otherwise():
    assert fit(steps=2000).nit == 2000
    assert fit(steps=2000, gtol=1e-5).nit < 2000


def test_maxfun():
    result = fit(value, jac=None, maxfun=50)
    assert (result.success, result.status) == (False, 2)
    assert 50 <= result.nfev < 54
    assert "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" in result.message
    assert fit(maxfev=5).nfev == 5


HARDLY_CHANGING = {
    "constant": lambda x: 3.0,
    "integers": lambda x: float(np.rint(x) @ np.rint(x)),
    "float32": lambda x: float(np.float32(1e4 + x @ x)),
    "share of signs": lambda x: float(
        np.mean(np.random.default_rng(0).standard_normal((200, x.size)) @ x > 0)
    ),
}


@pytest.mark.parametrize("fun", HARDLY_CHANGING.values(), ids=HARDLY_CHANGING)
@pytest.mark.parametrize("n", [1, 3, 40, 120])
@pytest.mark.parametrize("maxfun", [40, 60, 100, 200])
def test_no_look_at_the_values_goes_beyond_the_budget(fun, n, maxfun):
    result = minimize(fun, np.linspace(-1, 1, n), method=nbadam.adam, options={"maxfun": maxfun})
    assert not result.success
    assert result.nfev <= maxfun + max(n, 5) + 1  # the first gradient, or iteration


def test_values_are_not_looked_at_where_no_variable_is_free():
    for start in ([], [1.0, 2.0]):
        calls = []
        result = minimize(
            lambda x, calls=calls: calls.append(x) or len(calls),
            start,
            method=nbadam.adam,
            bounds=[(each, each) for each in start],
        )
        assert (result.success, result.nfev, len(calls)) == (True, 1, 1)
        assert "no variable is free." in result.message


@pytest.mark.parametrize("n", [1, 2, 4, 10])
@pytest.mark.parametrize("maxfun", [1, 5, 12, 39, 60])
def test_small_budgets_are_not_spent_on_a_look_at_the_values(n, maxfun):
    result = minimize(lambda x: float(x @ x), np.ones(n), method=nbadam.adam, options={"maxfun": maxfun})
    assert result.status == nbadam.Status.MAXFUN
    assert result.nfev <= max(maxfun - 1, 0) + n + 1  # a gradient is not begun beyond the budget, but ended
    assert result.nit * (n + 1) >= maxfun / 2 - 2 * (n + 1)


def test_tolerances():
    assert "`gtol`" in fit(ftol=0, xtol=0).message
    assert "`ftol`" in fit(gtol=0, ftol=0.5, xtol=0).message
    assert "`xtol`" in fit(gtol=0, ftol=0, xtol=0.5).message
    assert fit(tol=1e-1).nit < fit(tol=1e-8).nit
    assert fit(tol=1e-1, gtol=1e-8, ftol=0, xtol=0).nit == fit(gtol=1e-8, ftol=0, xtol=0).nit


@pytest.mark.long
def test_noise_does_not_pass_for_convergence():
    result = fit(noisy(), maxiter=3000)
    assert result.status == 1
    assert_allclose(result.x, [1, 2, 3], atol=1.0)


def test_a_noisy_objective_can_meet_tolerances():
    result = fit(noisy(), gtol=0.3)
    assert result.success
    assert_allclose(result.x, [1, 2, 3], atol=0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["value", "gradient"])
def test_what_is_not_finite_ends_the_run_at_the_best_point(bad, where):
    def broken(x):
        f, g = paraboloid(x)
        if x[0] > 0.5:
            f, g[1] = (bad, g[1]) if where == "value" else (f, bad)
        return f, g

    result = fit(broken)
    assert (result.success, result.status) == (False, 3)
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.jac).all()
    assert 0 < result.fun < value(np.zeros(3))
    assert result.fun == value(result.x)
    assert f"at step {result.nit}" in result.message
    assert ("entry 1" in result.message) == (where == "gradient")
    assert "learning_rate" in result.message


def test_what_is_not_finite_with_a_separate_gradient():
    def broken(x):
        return slope(x) if x[0] < 0.5 else np.full_like(x, np.nan)

    result = fit(value, jac=broken)
    assert result.status == 3
    assert_array_equal(result.x, 0)  # the only point whose value was looked at
    assert result.fun == value(np.zeros(3))


def test_not_finite_at_x0():
    result = fit(lambda x: (np.nan, x))
    assert (result.success, result.status, result.nit) == (False, 3, 0)
    assert_array_equal(result.x, 0)
    assert "`x0`" in result.message


def now_and_then_not_finite(period, first=0):
    """Return a bowl one of whose evaluations in so many is not finite."""
    calls = iter(range(first, 10**9))

    def broken(x):
        f, g = paraboloid(x)
        return (f, g) if next(calls) % period else (f, g * [1.0, np.nan, 1.0])

    return broken


def test_evaluations_that_are_not_finite_are_skipped_as_by_the_classes():
    result = fit(now_and_then_not_finite(7), steps=30, on_nonfinite="skip", learning_rate=0.1)
    x, again = np.zeros(3), now_and_then_not_finite(7)
    optimizer = nbadam.Adam(0.1, on_nonfinite="skip")
    while optimizer.iterations < 30:
        optimizer.minimize(lambda: again(x), x)
    assert (result.success, result.nit, result.nfev) == (True, 30, 37)
    assert (optimizer.skipped_steps, result.skipped_steps) == (5, 6)  # the value at the end is one more
    assert_array_equal(result.x, x)
    whole = fit(steps=30)
    assert_array_equal(result.x, whole.x)
    assert "skipped_steps" not in whole


@njit(error_model="numpy")
def barrier(x, g):
    """Write the gradient of x - log x, which is NaN below 0, and return the value."""
    f = 0.0
    for i in range(x.size):
        f += x[i] - np.log(x[i]) if x[i] > 0 else np.nan
        g[i] = 1.0 - 1.0 / x[i] if x[i] > 0 else np.nan
    return f


def barrier_from_python(x):
    g = np.empty_like(x)
    return barrier(x, g), g


def test_automatic_rates_go_back_from_where_nothing_is_finite():
    start = [2459000.0, 0.2]
    shapes = [barrier_from_python] if numba.config.DISABLE_JIT else [barrier_from_python, barrier]
    batch = nbadam.minimize_batch(barrier, np.array([start]), learning_rate="auto")
    for fun in shapes:
        result = minimize(fun, start, jac=True, method=nbadam.adam)
        assert result.success and result.skipped_steps > 0
        assert_allclose(result.x, 1, atol=1e-4)
        assert_array_equal(result.x, batch.x[0])


@pytest.mark.parametrize("start", [[1.0, 10.0, 0.01], [30.0, 5.0, 1.0]])
def test_a_separate_gradient_that_is_finite_outside_of_the_domain_leads_back(start):
    def value_of_barrier(x):
        with np.errstate(invalid="ignore"):
            return float((5 * x - np.log(x)).sum())

    result = minimize(value_of_barrier, start, jac=lambda x: 5 - 1 / x, method=nbadam.adam)
    assert result.success
    assert_allclose(result.x, 0.2, rtol=1e-4)


def test_nothing_finite_but_the_start():
    def alone(x):
        return (1.0, np.ones_like(x)) if (x == 1).all() else (np.inf, np.ones_like(x))

    result = minimize(alone, [1.0, 1.0], jac=True, method=nbadam.adam)
    assert (result.success, result.status) == (False, 5)
    assert_array_equal(result.x, 1)


def test_steps_that_leave_the_domain_are_shortened():
    start, options = [3.0, 0.2], {"beta_1": 0.5, "steps": 400}
    options["learning_rate"] = lambda step: 4.0 * 0.97**step
    assert fit(barrier_from_python, start, **options).status == 3
    options["on_nonfinite"] = "skip"
    result = fit(barrier_from_python, start, **options)
    assert result.success
    assert result.skipped_steps > 0
    assert_allclose(result.x, 1, atol=1e-3)
    batch = nbadam.minimize_batch(barrier, np.array([start, [np.nan, 1.0]]), **options)
    assert_array_equal(batch.x[0], result.x)
    assert_array_equal(batch.status, [0, 3])


def test_evaluations_are_not_skipped_for_ever():
    result = fit(now_and_then_not_finite(1), on_nonfinite="skip")
    assert (result.status, result.nit, result.nfev, result.skipped_steps) == (3, 0, 21, 20)
    result = fit(now_and_then_not_finite(1), on_nonfinite="skip", maxfun=5)
    assert (result.status, result.nfev) == (2, 5)
    result = fit(now_and_then_not_finite(5), on_nonfinite="skip", maxfun=6)  # the last one is skipped
    assert (result.status, result.nit, result.nfev) == (2, 4, 6)
    assert_array_equal(result.jac, slope(result.x))


def test_what_is_not_finite_can_be_an_exception():
    with pytest.raises(FloatingPointError, match="entry 1 at step 3") as caught:
        fit(now_and_then_not_finite(7, first=4), on_nonfinite="raise")
    assert caught.value.result.nit == 3
    with pytest.raises(ValueError, match="`on_nonfinite` must be one of 'stop', 'skip', 'raise'"):
        fit(on_nonfinite="propagate")
    with pytest.raises(ValueError, match="`on_nonfinite` must be one of 'stop', 'skip', not 'raise'"):
        nbadam.minimize_batch(barrier, np.ones((2, 1)), on_nonfinite="raise")


def test_no_result_is_worse_than_the_start():
    def deceptive(x):  # the gradient points the wrong way
        return float(x @ x), -2 * x

    result = fit(deceptive, [1.0], maxiter=20)
    assert result.fun <= 1.0
    assert_array_equal(result.x, [1.0])


def test_a_cycle_of_large_steps_does_not_pass_for_convergence():
    # Steps of 0.25 to and fro: the mean of the gradients vanishes, the gradient at the mean point does not.
    def crooked(x):
        return abs(x[0] - 0.1), np.array([1.0 if x[0] > 0.1 else -1.0])

    result = minimize(
        crooked, [1.0], jac=True, method=nbadam.lion, options={"learning_rate": 0.25, "maxiter": 1000}
    )
    assert (result.success, result.status) == (False, 1)
    assert result.nfev > result.nit + 1  # the mean point was looked at


@pytest.mark.long
def test_without_noise_success_means_a_small_gradient():
    def powell(x):
        a, b, c, d = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
        g = np.array([2 * a + 40 * d**3, 20 * a + 4 * c**3, 10 * b - 8 * c**3, -10 * b - 40 * d**3])
        return a**2 + 5 * b**2 + c**4 + 10 * d**4, g

    result = fit(powell, [3.0, -1.0, 0.0, 1.0], ftol=0)
    assert result.success
    assert np.abs(result.jac).max() <= 1e-5
    assert_array_equal(result.jac, powell(result.x)[1])
    assert result.fun == powell(result.x)[0]


def test_clipping_by_norm_where_squares_overflow():
    def steep(x):
        return 0.0, np.full(x.shape, 1e200)

    # With a large epsilon the step is proportional to the clipped gradient.
    options = {"x0": [0.0, 0.0], "steps": 1, "learning_rate": 1e6, "epsilon": 1e6}
    reference = fit(lambda x: (0.0, np.full(2, 1e-3 / np.sqrt(2))), **options).x
    with np.errstate(over="ignore"):  # which plain Python sees
        assert_allclose(fit(steep, clipnorm=1e-3, **options).x, reference, rtol=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(3, 60), st.integers(0, 1000), st.sampled_from([1, 2]), st.sampled_from([0.0, 1.0, 1e3]))
def test_no_convex_chain_runs_away(n, seed, power, size):
    rng = np.random.default_rng(seed)
    matrix = np.linalg.matrix_power(2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1), power)
    load = rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4)
    least = -0.5 * load @ np.linalg.solve(matrix, load)
    values = []

    def fun(x):
        gradient = matrix @ x - load
        values.append(0.5 * x @ (gradient - load))
        return values[-1], gradient

    result = nbadam.adam(fun, size * rng.standard_normal(n), jac=True, steps=150)
    assert max(values) - least <= 10 * (values[0] - least)
    assert result.fun <= values[0]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(0, 1000),
    st.sampled_from([0, 1, 3]),
    st.booleans(),
)
def test_sizes_of_variables_that_start_at_0_are_found_without_a_large_rise(n, seed, columns, is_pair):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((2 * n, n)) * 10.0 ** rng.uniform(-columns, columns, n)
    y = rng.standard_normal(2 * n)
    least = y @ y - y @ a @ np.linalg.lstsq(a, y)[0]
    values = []

    def fun(x):
        values.append(float((a @ x - y) @ (a @ x - y)))
        return (values[-1], jac(x)) if is_pair else values[-1]

    def jac(x):
        return 2 * (a @ x - y) @ a

    assume(y @ y - least > 0.01 * y @ y)  # not at the minimum, beside which any step is a rise
    nbadam.adam(fun, np.zeros(n), jac=is_pair or jac, steps=150)
    assert max(values) - least <= 10 * (values[0] - least)
