"""The contract of a callable method of scipy.optimize.minimize."""

import inspect
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from runs import FAST, fit, paraboloid, slope, value
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


def test_signature_is_the_one_that_scipy_calls():
    parameters = inspect.signature(nbadam.adam).parameters
    positional = {name: p for name, p in parameters.items() if p.kind == p.POSITIONAL_OR_KEYWORD}
    assert list(positional) == [
        "fun", "x0", "args", "jac", "hess", "hessp", "bounds", "constraints", "callback",
    ]  # fmt: skip
    assert {p.kind for name, p in parameters.items() if name not in positional} == {
        inspect.Parameter.KEYWORD_ONLY
    }
    defaults = {name: p.default for name, p in positional.items() if p.default is not p.empty}
    assert defaults == {
        "args": (), "jac": None, "hess": None, "hessp": None, "bounds": None, "constraints": (),
        "callback": None,
    }  # fmt: skip


@pytest.mark.lowest
@pytest.mark.parametrize("method", [nbadam.Adam, nbadam.Adam(), nbadam.SGD, nbadam.rules.ADAM])
def test_optimizers_and_rules_are_no_methods(method):
    for options in ({}, {"learning_rate": 0.1}):
        with pytest.raises(TypeError, match=r"method=nbadam\.adam, with the settings as options"):
            minimize(paraboloid, np.zeros(3), jac=True, method=method, options=options)
    with pytest.raises((TypeError, ValueError), match=r"method(=| such as )nbadam\.adam"):
        nbadam.multistart(paraboloid, np.zeros((2, 3)), jac=True, method=method, workers=1)


@pytest.mark.long
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
    assert result.nfev == 1 + 10 + 1  # the start, each window, and whether there is noise
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


@pytest.mark.parametrize(
    "returned",
    [
        lambda f: np.float32(f), np.array, lambda f: np.array([[f]]), int, Fraction, Decimal,
        lambda f: [Decimal(f)], lambda f: int(f * 1e30), lambda f: int(1e9 * f) * 10**400,
    ],
)  # fmt: skip
@pytest.mark.parametrize("jac", [True, None])
def test_value_may_come_as_any_scalar(returned, jac):
    def fun(x):
        return (returned(value(x)), slope(x)) if jac else returned(value(x))

    result = fit(fun, jac=jac, steps=3)
    assert type(result.fun) is float


@pytest.mark.parametrize(
    "returned",
    [
        list, np.float32, lambda g: g.astype(int), lambda g: g[::-1].copy()[::-1],
        lambda g: [Decimal(each) for each in g],
    ],
)  # fmt: skip
def test_gradient_may_come_in_any_form(returned):
    assert np.isfinite(fit(lambda x: (value(x), returned(slope(x))), steps=3).x).all()


def test_one_variable_may_have_a_scalar_gradient():
    assert_allclose(fit(lambda x: ((x[0] - 1) ** 2, 2 * (x[0] - 1)), [0.0]).x, [1], atol=1e-4)


# --- Bounds ------------------------------------------------------------------------------------

BOX = [(None, 0.5), (1.0, None), (-np.inf, np.inf)]


@pytest.mark.long
@pytest.mark.parametrize(
    "bounds",
    [
        BOX,
        tuple(BOX),
        np.array([(-np.inf, 0.5), (1.0, np.inf), (-np.inf, np.inf)]),
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


@pytest.mark.lowest
def test_all_variables_fixed_or_none_at_all():
    result = fit(bounds=[(0, 0), (1, 1), (2, 2)], x0=[0, 1, 2])
    assert (result.success, result.nit, result.nfev, result.status) == (True, 0, 1, 0)
    assert_array_equal(result.x, [0, 1, 2])
    assert fit(lambda x: (1.0, x), np.empty(0)).success


def test_x0_outside_bounds_is_moved_into_them_with_a_warning():
    with pytest.warns(OptimizeWarning, match="Initial guess is not within"):
        result = fit(bounds=[(0.5, 1), (0, 1), (0, 1)], x0=[-5, 0, 0], maxiter=0)
    assert_array_equal(result.x, [0.5, 0, 0])


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


@pytest.mark.lowest
@pytest.mark.long
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
