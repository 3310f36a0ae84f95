"""The contract of a callable method of scipy.optimize.minimize."""

import inspect

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from runs import assert_same
from scipy.optimize import (
    Bounds,
    LinearConstraint,
    OptimizeResult,
    OptimizeWarning,
    minimize,
    rosen,
    rosen_der,
)

import nbadam

FAST = {"learning_rate": 0.1}


def paraboloid(x, a=1.0):
    """Value and gradient of a bowl whose minimum is at (a, 2 a, ..., n a)."""
    centre = a * np.arange(1, x.size + 1)
    return float(np.sum((x - centre) ** 2)), 2 * (x - centre)


def value(x, a=1.0):
    return paraboloid(x, a)[0]


def slope(x, a=1.0):
    return paraboloid(x, a)[1]


def fit(fun=paraboloid, x0=(0.0, 0.0, 0.0), jac=True, **options):
    arguments = {k: options.pop(k) for k in ("args", "bounds", "callback", "method", "tol") if k in options}
    return minimize(fun, x0, jac=jac, options=FAST | options, **{"method": nbadam.adam, **arguments})


def test_signature_is_the_one_that_scipy_calls():
    parameters = inspect.signature(nbadam.adam).parameters
    assert list(parameters) == [
        "fun", "x0", "args", "jac", "hess", "hessp", "bounds", "constraints", "callback", "options",
    ]  # fmt: skip
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    assert defaults == {
        "args": (), "jac": None, "hess": None, "hessp": None, "bounds": None, "constraints": (),
        "callback": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fun", "jac"),
    [(paraboloid, True), (value, slope), (value, None)],
    ids=["joint", "separate", "differences"],
)
def test_every_kind_of_gradient_finds_the_minimum(fun, jac):
    result = fit(fun, jac=jac)
    assert result.success
    assert result.status == 0
    assert_allclose(result.x, [1, 2, 3], atol=1e-4)
    assert_allclose(result.fun, 0, atol=1e-8)
    assert_allclose(result.jac, 0, atol=1e-4)


def test_result_has_every_field_and_none_that_clients_misread():
    result = fit(steps=250)
    assert isinstance(result, OptimizeResult)
    fields = {"x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message", "state", "history"}
    assert set(result) == fields
    assert type(result.fun) is float
    assert type(result.success) is bool
    assert result.nfev == result.njev == result.nit + 2  # one more call shows that there is no noise
    assert result.fun == paraboloid(result.x)[0]
    assert_array_equal(result.jac, paraboloid(result.x)[1])


def test_separate_gradient_needs_the_value_for_monitoring_only():
    result = fit(value, jac=slope, steps=1000)
    assert result.njev == 1001
    assert result.nfev == 1 + 10 + 2  # the start, each window, the end, and whether there is noise
    assert result.fun == value(result.x)


def test_args_reach_fun_and_jac():
    for jac, fun in ((True, paraboloid), (slope, value), (None, value)):
        assert_allclose(fit(fun, jac=jac, args=(-1.0,)).x, [-1, -2, -3], atol=1e-4)
    assert_allclose(fit(args=-1.0).x, [-1, -2, -3], atol=1e-4)  # SciPy wraps a lone argument
    assert_allclose(nbadam.adam(paraboloid, [0.0], -1.0, True, **FAST).x, [-1], atol=1e-4)


def test_direct_call_equals_the_call_through_minimize():
    assert_array_equal(nbadam.adam(paraboloid, [0.0, 0.0], jac=True, **FAST).x, fit(x0=[0.0, 0.0]).x)
    assert_array_equal(
        nbadam.adam(value, [0.0], jac="3-point", **FAST).x, fit(value, [0.0], None, finite_diff="3-point").x
    )


def test_noisy_objective_gets_a_new_sample_at_the_same_point():
    samples = []

    def noisy(x):
        samples.append(x.copy())
        return float(len(samples)), np.zeros_like(x) + 1e-3

    fit(noisy, [0.0], steps=20, learning_rate=0.0)
    assert len(samples) == 21
    assert_array_equal(np.ptp(samples, axis=0), [0.0])


def test_x0_is_never_modified():
    x0 = np.zeros(3)
    result = fit(x0=x0, steps=5)
    assert_array_equal(x0, 0)
    assert not np.shares_memory(result.x, x0)


def test_what_fun_does_to_its_argument_or_buffer_does_no_harm():
    buffer = np.empty(3)

    def vandal(x):
        f, buffer[:] = paraboloid(x)
        x[:] = np.nan
        return f, buffer

    def separate_vandal(x):
        f = value(x)
        x[:] = np.nan
        buffer[:] = np.nan
        return f

    def slope_in_buffer(x):
        buffer[:] = slope(x)
        return buffer

    for fun, jac in ((vandal, True), (separate_vandal, slope_in_buffer)):
        result = fit(fun, jac=jac, steps=250)
        assert_array_equal(result.x, fit(steps=250).x)
        assert_array_equal(result.jac, paraboloid(result.x)[1])


@pytest.mark.parametrize("returned", [lambda f: np.float32(f), np.array, lambda f: np.array([[f]]), int])
def test_value_may_come_as_any_scalar(returned):
    result = fit(lambda x: (returned(value(x)), slope(x)), steps=3)
    assert type(result.fun) is float


@pytest.mark.parametrize(
    "returned", [list, np.float32, lambda g: g.astype(int), lambda g: g[::-1].copy()[::-1]]
)
def test_gradient_may_come_in_any_form(returned):
    assert np.isfinite(fit(lambda x: (value(x), returned(slope(x))), steps=3).x).all()


def test_one_variable_may_have_a_scalar_gradient():
    assert_allclose(fit(lambda x: ((x[0] - 1) ** 2, 2 * (x[0] - 1)), [0.0]).x, [1], atol=1e-4)


# --- Bounds ------------------------------------------------------------------------------------

BOX = [(None, 0.5), (1.0, np.nan), (-np.inf, np.inf)]


@pytest.mark.parametrize(
    "bounds",
    [
        BOX,
        tuple(BOX),
        np.array([(-np.inf, 0.5), (1.0, np.inf), (np.nan, np.nan)]),
        Bounds([-np.inf, 1.0, -np.inf], [0.5, np.inf, np.inf], keep_feasible=True),
    ],
    ids=["list", "tuple", "array", "Bounds"],
)
@pytest.mark.parametrize("jac", [True, None], ids=["gradient", "differences"])
def test_bounds_in_every_form(bounds, jac):
    seen = []

    def recorded(x):
        seen.append(x)
        return paraboloid(x) if jac else value(x)

    result = fit(recorded, [0.0, 1.0, 0.0], jac=jac, bounds=bounds)
    assert result.success
    assert_allclose(result.x, [0.5, 2, 3], atol=1e-4)
    assert result.x[0] == 0.5
    assert max(x[0] for x in seen) <= 0.5
    assert min(x[1] for x in seen) >= 1.0


def test_bounds_zip_and_scalar_bounds():
    result = minimize(
        paraboloid,
        [0.0, 0.0],
        jac=True,
        method=nbadam.adam,
        bounds=zip([0, 0], [0.5, 9], strict=True),
        options=FAST,
    )
    assert_allclose(result.x, [0.5, 2], atol=1e-4)
    bounds = Bounds(0, 1)
    assert_allclose(fit(bounds=bounds).x, [1, 1, 1])
    assert bounds.ub == 1  # the user's object is left alone


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_fixed_variables_stay_exactly_fixed(scheme):
    bounds = [(0.3, 0.3), (None, None), (0.1, 0.1)]
    for x_scale in (1.0, [0.7, 1.0, 3.0]):
        result = fit(value, [0.3, 0.0, 0.1], None, bounds=bounds, finite_diff=scheme, x_scale=x_scale)
        assert result.success
        assert_array_equal(result.x[[0, 2]], [0.3, 0.1])
        assert_allclose(result.x[1], 2, atol=1e-4)


def test_all_variables_fixed_or_none_at_all():
    result = fit(bounds=[(0, 0), (1, 1), (2, 2)], x0=[0, 1, 2])
    assert (result.success, result.nit, result.nfev, result.status) == (True, 0, 1, 0)
    assert_array_equal(result.x, [0, 1, 2])
    assert fit(lambda x: (1.0, x), np.empty(0)).success


def test_x0_outside_bounds_is_moved_into_them_with_a_warning():
    with pytest.warns(OptimizeWarning, match="Initial guess is not within"):
        result = fit(bounds=[(0.5, 1), (0, 1), (0, 1)], x0=[-5, 0, 0], maxiter=0)
    assert_array_equal(result.x, [0.5, 0, 0])


# --- Ends --------------------------------------------------------------------------------------


def test_start_at_the_optimum():
    result = fit(x0=[1.0, 2.0, 3.0])
    assert (result.success, result.nit, result.nfev) == (True, 0, 1)


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


def test_a_planned_run_goes_on_where_others_stop_unless_told_otherwise():
    assert fit(steps=2000).nit == 2000
    assert fit(steps=2000, gtol=1e-5).nit < 2000


def test_maxfun():
    result = fit(value, jac=None, maxfun=50)
    assert (result.success, result.status) == (False, 2)
    assert 50 <= result.nfev < 54
    assert "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" in result.message
    assert fit(maxfev=5).nfev == 5


def test_tolerances():
    assert "`gtol`" in fit(ftol=0, xtol=0).message
    assert "`ftol`" in fit(gtol=0, ftol=0.5, xtol=0).message
    assert "`xtol`" in fit(gtol=0, ftol=0, xtol=0.5).message
    assert fit(tol=1e-1).nit < fit(tol=1e-8).nit
    assert fit(tol=1e-1, gtol=1e-8, ftol=0, xtol=0).nit == fit(gtol=1e-8, ftol=0, xtol=0).nit


def test_noise_does_not_pass_for_convergence():
    rng = np.random.default_rng(0)

    def noisy(x):
        f, g = paraboloid(x)
        return f + rng.normal(), g + rng.normal(size=x.size)

    result = fit(noisy, maxiter=3000)
    assert result.status == 1
    assert_allclose(result.x, [1, 2, 3], atol=1.0)


def test_a_noisy_objective_can_meet_tolerances():
    rng = np.random.default_rng(0)

    def noisy(x):
        f, g = paraboloid(x)
        return f + rng.normal(), g + rng.normal(size=x.size)

    result = fit(noisy, gtol=0.3)
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


# --- Callbacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", [True, slope, None], ids=["joint", "separate", "differences"])
def test_callbacks_come_once_an_iteration_with_copies(jac):
    points, results = [], []
    fun = paraboloid if jac is True else value

    def old_style(x):
        points.append(x.copy())
        x[:] = np.nan

    def new_style(intermediate_result):
        results.append(intermediate_result)

    first = fit(fun, jac=jac, steps=12, callback=old_style)
    second = fit(fun, jac=jac, steps=12, callback=new_style)
    assert len(points) == len(results) == first.nit == 12
    assert_array_equal(first.x, second.x)
    assert_array_equal(points, [r.x for r in results])
    assert_array_equal(points[-1], first.x)
    assert [r.fun for r in results] == [value(x) for x in points]


@pytest.mark.parametrize("jac", [True, slope], ids=["joint", "separate"])
def test_stop_iteration(jac):
    seen = []

    def enough(x):
        seen.append(x)
        if len(seen) == 5:
            raise StopIteration

    result = fit(paraboloid if jac is True else value, jac=jac, callback=enough)
    assert (result.success, result.status, result.nit) == (False, 99, 5)
    assert result.message == "`callback` raised `StopIteration`."
    assert_array_equal(result.x, fit(steps=5).x)


def test_other_exceptions_pass_through():
    class Abort(BaseException):
        pass

    def abort(x):
        raise Abort

    for arguments in ({"callback": abort}, {"fun": abort}):
        with pytest.raises(Abort):
            fit(**arguments)


def test_a_callback_that_minimizes():
    inner = []
    fit(steps=3, callback=lambda x: inner.append(fit(x0=x, steps=4).x))
    assert len(inner) == 3


def test_return_all_and_disp(capsys):
    result = fit(steps=4, return_all=True, disp=True)
    assert len(result.allvecs) == 5
    assert_array_equal(result.allvecs[0], 0)
    assert_array_equal(result.allvecs[-1], result.x)
    out = capsys.readouterr().out
    assert "planned number of `steps`" in out
    assert "Iterations: 4" in out
    with pytest.warns(OptimizeWarning, match="Maximum number of iterations"):
        fit(maxiter=4, disp=True)
    capsys.readouterr()
    fit(steps=4, disp=None)
    assert capsys.readouterr().out == ""


# --- Hyperparameters ---------------------------------------------------------------------------


def test_the_first_steps_are_adams():
    x, m, v = 0.0, 0.0, 0.0
    for t in range(1, 6):
        g = 2 * (x - 1)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        x -= 0.01 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (np.sqrt(v) + 0.5)
    result = fit(x0=[0.0], steps=5, learning_rate=0.01, beta_1=0.8, beta_2=0.9, epsilon=0.5)
    assert_allclose(result.x, x, rtol=1e-14)


def test_array_learning_rate_broadcasts():
    result = fit(steps=1, learning_rate=[0.1, 0.2, 0.0], epsilon=0)
    assert_allclose(result.x, [0.1, 0.2, 0.0], rtol=1e-14)
    assert_array_equal(fit(steps=9, learning_rate=[0.1] * 3).x, fit(steps=9, learning_rate=0.1).x)
    assert_array_equal(fit(steps=9, learning_rate=np.zeros(3)).x, np.zeros(3))


def test_schedule_and_callable_learning_rate():
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.1 / (1 + step)

    result = fit(steps=3, learning_rate=schedule)
    assert seen == [0, 1, 2]
    assert 0.1 < result.x[2] < 0.1 * (1 + 1 / 2 + 1 / 3)
    rates = iter([0.1, 0.0, 0.0])
    assert_allclose(fit(steps=3, learning_rate=lambda: next(rates), epsilon=0).x, 0.1, rtol=1e-14)


def test_x_scale_sets_the_unit_of_a_step():
    scale = np.array([1e-6, 1.0, 1e6])

    def badly_scaled(x):
        f, g = paraboloid(x / scale)
        return f, g / scale

    result = fit(badly_scaled, x_scale=scale)
    assert result.success
    assert_allclose(result.x, [1e-6, 2, 3e6], rtol=1e-4)
    assert_allclose(result.jac, badly_scaled(result.x)[1])


def test_clipping_amsgrad_and_weight_decay_take_effect():
    plain = fit(steps=30).x
    for options in (
        {"clipnorm": 0.5, "epsilon": 1.0},
        {"clipvalue": 0.5, "epsilon": 1.0},
        {"weight_decay": 0.3},
    ):
        assert not np.allclose(plain, fit(steps=30, **options).x, rtol=1e-3)
    assert not np.allclose(fit(steps=200).x, fit(steps=200, amsgrad=True).x, rtol=1e-6, atol=0)
    # One step of x <- x - rate * decay * x - rate * sign(g)
    assert_allclose(
        fit(x0=[5.0], steps=1, weight_decay=0.5, epsilon=0).x, 5 - 0.1 * 0.5 * 5 - 0.1, rtol=1e-14
    )


def test_clipping_by_norm_scales_the_gradient():
    # With a large epsilon a step is proportional to the gradient.
    free = fit(steps=1, epsilon=1e6, learning_rate=1e6).x
    clipped = fit(steps=1, epsilon=1e6, learning_rate=1e6, clipnorm=0.5).x
    assert_allclose(clipped / free, 0.5 / np.linalg.norm(slope(np.zeros(3))), rtol=1e-4)


# --- Compiled objectives -----------------------------------------------------------------------


@njit
def compiled_rosenbrock(x, b):
    g = np.empty_like(x)
    a = x[1] - x[0] * x[0]
    g[0] = -4 * b * x[0] * a - 2 * (1 - x[0])
    g[1] = 2 * b * a
    return b * a * a + (1 - x[0]) * (1 - x[0]), g


def ignore(x):
    """Call back, and so keep the run in Python."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipnorm": 1.0, "clipvalue": 3.0, "weight_decay": 0.01, "x_scale": [1.0, 2.0], "steps": 1500},
        {"learning_rate": [0.05, 0.03], "amsgrad": True, "maxiter": 1234},
        {"learning_rate": lambda step: 0.1 * 0.999**step, "steps": 700},
        {"maxfun": 321},
        {"bounds": [(None, 0.9), (-5, 3)]},
        {"method": nbadam.adagrad, "steps": 300},
        {"average": "tail", "patience": 300},
        {"average": "ema", "steps": 600},
    ],
    ids=["plain", "clipped", "array rate", "schedule", "maxfun", "bounds", "adagrad", "tail", "ema"],
)
def test_a_run_in_compiled_code_equals_the_run_from_python(options, monkeypatch):
    # With the compiler switched off, the compiled run's text runs all the same.
    monkeypatch.setattr("nbadam.methods.minimize.is_jitted", lambda fun: True)
    arguments = {"fun": compiled_rosenbrock, "x0": [-1.2, 1.0], "args": (50.0,), **options}
    assert_same(fit(**arguments), fit(**arguments, callback=ignore))


@njit
def compiled_log(x):
    return x[0] - np.log(x[0]) if x[0] < 2 else np.nan, 1 - 1 / x


def test_compiled_run_that_leaves_the_domain():
    result = fit(compiled_log, [3.0e-3])
    driven = fit(compiled_log, [3.0e-3], callback=ignore)
    assert result.message == driven.message
    away = fit(compiled_log, [1.9], learning_rate=-0.0 + 1.0, beta_1=0.0, steps=3)
    assert np.isfinite(away.x).all()


@njit
def wrong_shape_later(x):
    return x[0] * x[0], np.ones(2) if x[0] < 0.5 else 2 * x


def test_compiled_gradient_of_the_wrong_shape():
    with pytest.raises(ValueError, match="shape"):
        fit(wrong_shape_later, [1.0])


@njit
def returns_a_tuple_gradient(x):
    return x[0] * x[0], (2 * x[0],)


def test_compiled_function_that_only_python_can_use():
    from numba import config

    if config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    with pytest.warns(OptimizeWarning, match="driven from Python"):
        result = fit(returns_a_tuple_gradient, [1.0])
    assert_allclose(result.x, 0, atol=1e-4)


# --- What is refused, and what warns ---------------------------------------------------------------


def test_constraints_are_refused_and_empty_ones_are_not():
    for empty in ((), [], None):
        assert minimize(
            paraboloid, [0.0], jac=True, method=nbadam.adam, constraints=empty, options=FAST
        ).success
    for constraint in (
        {"type": "eq", "fun": value},
        [{"type": "eq", "fun": value}],
        LinearConstraint([[1.0]], 0, 1),
    ):
        with pytest.raises(ValueError, match=r"`constraints`.*bounds"):
            minimize(paraboloid, [0.0], jac=True, method=nbadam.adam, constraints=constraint)


def test_hessians_and_unknown_options_warn():
    with pytest.warns(RuntimeWarning, match="Hessian"):
        minimize(value, [0.0], jac=slope, hess=lambda x: np.eye(1), method=nbadam.adam, options=FAST)
    with pytest.warns(OptimizeWarning, match="Unknown solver options: frobnicate"):
        fit(steps=1, frobnicate=3)
    options = {"learning_rate": 0.1, "steps": 2}
    minimize(paraboloid, [0.0], jac=True, method=nbadam.adam, options=options)
    assert options == {"learning_rate": 0.1, "steps": 2}


METHODS = "adam adamw adamax nadam radam lion sgd rmsprop adagrad adadelta ftrl".split()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_descends(name):
    rate = {"sgd": 0.01, "adadelta": 10.0, "adagrad": 0.3, "ftrl": 0.3}.get(name, 0.02)
    method = getattr(nbadam, name)
    options = {"learning_rate": rate, "steps": 600}
    result = minimize(paraboloid, [0.0, 0.0], jac=True, method=method, options=options)
    assert result.success
    assert result.fun < 0.01
    assert method.__name__ == name
    assert f"method=nbadam.{name}" in method.__doc__


def test_rosenbrock_with_the_defaults():
    result = minimize(rosen, [0.9, 0.9], jac=rosen_der, method=nbadam.adam)
    assert result.success
    assert_allclose(result.x, [1, 1], atol=1e-3)


def test_ftrl_without_penalties_is_adagrad():
    options = {"learning_rate": 0.3, "steps": 50, "x_scale": [1.0, 2.0]}
    ends = [
        minimize(paraboloid, [3.0, -1.0], jac=True, method=method, options=options | more).x
        for method, more in ((nbadam.ftrl, {}), (nbadam.adagrad, {"epsilon": 0.0}))
    ]
    assert_allclose(*ends, rtol=1e-12)


def test_ftrl_with_a_penalty_sets_variables_to_zero():
    def fun(x):
        return np.sum((x - [1.0, 0.2]) ** 2), 2 * (x - [1.0, 0.2])

    # At 0 the gradients are -2 and -0.4: 2,000 of them add up to more and to less than the penalty.
    options = {"learning_rate": 1.0, "l1_regularization_strength": 1000.0, "steps": 2000}
    x = minimize(fun, [2.0, 2.0], jac=True, method=nbadam.ftrl, options=options).x
    assert_allclose(x[0], 1.0, atol=1e-6)
    assert x[1] == 0


@pytest.mark.parametrize("rate", [0, lambda step: 0.0, [0.1, 0.2], -1.0])
def test_ftrl_needs_one_learning_rate_above_zero(rate):
    with pytest.raises(ValueError, match=r"`learning_rate` must .*> 0"):
        minimize(paraboloid, [1.0, 1.0], jac=True, method=nbadam.ftrl, options={"learning_rate": rate})
    with pytest.raises(ValueError, match=r"`learning_rate_power` must .*<= 0"):
        minimize(paraboloid, [1.0], jac=True, method=nbadam.ftrl, options={"learning_rate_power": 1})
