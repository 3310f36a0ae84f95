"""Whatever is wrong with the arguments of a method is said by name, or it works."""

import numpy as np
import pytest
from numba import config, njit
from numpy.testing import assert_allclose, assert_array_equal
from runs import paraboloid
from scipy.optimize import Bounds, minimize

import nbadam


def bowl(x):
    return float(x @ x), 2 * x


def fit(fun=bowl, x0=(1.0, 2.0), jac=True, bounds=None, **options):
    return minimize(
        fun, x0, jac=jac, method=nbadam.adam, bounds=bounds, options={"learning_rate": 0.1} | options
    )


@pytest.mark.parametrize(
    ("x0", "message"),
    [
        ([np.nan, 1.0], "`x0` must be finite"),
        ([np.inf, 1.0], "`x0` must be finite"),
        (["a", "b"], "`x0` must be"),
        (["1", "2"], "`x0` must be"),
        (np.array([1.0, None], dtype=object), "`x0` must be"),
        (np.array([{}, []], dtype=object), "`x0` must be"),
        ([1j, 2.0], "`x0` must be real"),
        ([[1.0, 2.0]], r"'x0' must only have one dimension|`x0` must have the shape \(n,\), not \(1, 2\)"),
    ],
)
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "minimize"])
def test_x0_that_cannot_be_used(x0, message, direct):
    with pytest.raises(ValueError, match=message):
        nbadam.adam(bowl, x0, jac=True) if direct else fit(x0=x0)


READ_ONLY = np.array([1.0, 2.0])
READ_ONLY.flags.writeable = False


@pytest.mark.long
@pytest.mark.parametrize(
    "x0",
    [
        READ_ONLY,
        np.arange(1.0, 5.0)[::2][::-1][::-1] / [1, 1.5],
        np.array([1.0, 2.0], dtype=">f8"),
        np.array([1, 2]),
        np.array([1, 2], dtype=np.uint8),
        np.array([1, 2], dtype=np.float32),
        np.array([1, 2], dtype=np.float16),
        np.array([1, 2], dtype=np.longdouble),
        np.array([1.0, 2], dtype=object),
        np.ma.array([1.0, 2.0]),
        (1, 2),
    ],
    ids=[
        "read-only",
        "strided",
        "big-endian",
        "int",
        "uint8",
        "float32",
        "float16",
        "longdouble",
        "object",
        "masked",
        "tuple",
    ],
)
@pytest.mark.parametrize("jac", [True, None], ids=["gradient", "differences"])
def test_x0_in_unusual_forms_works_in_double_precision(x0, jac):
    fun = bowl if jac else (lambda x: bowl(x)[0])
    result = fit(fun, x0, jac, steps=20)
    assert result.x.dtype == np.float64
    assert_array_equal(result.x, fit(fun, [1.0, 2.0], jac, steps=20).x)


def test_masked_x0_is_refused():
    with pytest.raises(ValueError, match=r"`x0`.*mask"):
        nbadam.adam(bowl, np.ma.array([1.0, 2.0], mask=[True, False]), jac=True)


def test_scalar_x0():
    assert_allclose(fit(x0=3.0).x, [0], atol=1e-4)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.ones(2), "scalar value.*shape"),
        (None, "scalar value.*None"),
        (1 + 2j, "scalar value.*complex"),
        ("3.0", "scalar value.*'3.0'"),
        ([], "scalar value"),
    ],
)
@pytest.mark.parametrize("kind", ["joint", "separate", "differences"])
def test_fun_that_returns_no_number(returned, message, kind):
    with pytest.raises(ValueError, match=message):
        if kind == "joint":
            fit(lambda x: (returned, x))
        else:
            fit(lambda x: returned, jac=(lambda x: x) if kind == "separate" else None)


@pytest.mark.parametrize("returned", [1.0, None, (1.0,), (1.0, np.zeros(2), 3)])
def test_joint_fun_that_returns_no_pair(returned):
    with pytest.raises(ValueError, match=r"`fun` must return the value and the gradient as \(f, g\)"):
        fit(lambda x: returned)


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (np.ones(3), r"shape of `x0`, \(2,\); its shape is \(3,\)"),
        (1.0, r"its shape is \(\)"),
        (np.ones((2, 1)), r"its shape is \(2, 1\)"),
        (np.ones((1, 2)), r"its shape is \(1, 2\)"),
        ([1j, 1], "real numbers"),
        (None, "real numbers"),
        (["a", "b"], "real numbers"),
    ],
)
@pytest.mark.parametrize("separate", [True, False])
def test_gradient_of_the_wrong_kind(gradient, message, separate):
    with pytest.raises(ValueError, match=message):
        if separate:
            fit(lambda x: 1.0, jac=lambda x: gradient)
        else:
            fit(lambda x: (1.0, gradient))


NUMBERS = (
    "learning_rate beta_1 beta_2 epsilon clipnorm clipvalue weight_decay "
    "maxiter maxfun maxfev steps gtol ftol xtol tol"
)


@pytest.mark.parametrize("name", NUMBERS.split())
@pytest.mark.parametrize("value", [-1, np.nan, "fast", [], True, 1j], ids=str)
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be"):
        fit(**{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta_1": 1}, r"`beta_1` must be .*\[0, 1\), not 1"),
        ({"beta_2": 1.0}, r"`beta_2` must be .*\[0, 1\), not 1.0"),
        ({"learning_rate": None}, "`learning_rate` must be"),
        ({"learning_rate": [0.1, 0.1, 0.1]}, r"`learning_rate` must be .* shape \(2,\)"),
        ({"learning_rate": [0.1, -0.1]}, "`learning_rate` must be .*>= 0"),
        ({"learning_rate": lambda step: -1.0}, "`learning_rate` must"),
        ({"learning_rate": lambda step: np.nan}, "`learning_rate` must"),
        ({"x_scale": 0}, "`x_scale` must be"),
        ({"x_scale": "jac"}, "`x_scale` must be"),
        ({"x_scale": [1, 2, 3]}, "`x_scale` must be"),
        ({"amsgrad": "yes"}, "`amsgrad` must be True or False"),
        ({"return_all": 2}, "`return_all` must be True or False"),
    ],
)
def test_options_of_the_wrong_kind(options, message):
    with pytest.raises(ValueError, match=message):
        fit(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finite_diff": "cs"}, "`finite_diff` must be one of"),
        ({"eps": 0}, "`eps` must be"),
        ({"eps": [1, 1, 1]}, "`eps` must be"),
        ({"finite_diff_rel_step": -1}, "`finite_diff_rel_step` must be"),
    ],
)
def test_difference_options(options, message):
    with pytest.raises(ValueError, match=message):
        fit(lambda x: float(x @ x), jac=None, **options)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1)], "number of bounds.*2 elements.*1 pairs"),
        ([(0, 1)] * 3, "number of bounds"),
        ([(0, 1), (2, 1)], "variable 1 cross: an upper bound is less than"),
        (Bounds([0, 0, 0], 1), "number of bounds"),
        (Bounds([0, 2], [1, 1]), "upper bound is less than"),
        ([(0, 1), 2], "`bounds` must be"),
        (7, "`bounds` must be"),
        ([(0, "a"), (0, 1)], "`bounds`"),
        ([(np.inf, np.inf), (0, 1)], "`bounds` of variable 0"),
    ],
)
def test_bounds(bounds, message):
    with pytest.raises(ValueError, match=message):
        nbadam.adam(bowl, [0.5, 0.5], jac=True, bounds=bounds)


@pytest.mark.parametrize("arguments", [{"fun": None}, {"fun": 3}, {"callback": 3}, {"jac": 3}, {"jac": "cs"}])
def test_what_is_not_callable(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=r"`(fun|callback|jac|finite_diff)` must"):
        nbadam.adam(**({"fun": bowl, "x0": [1.0], "jac": True} | arguments))
    assert name in arguments


def test_a_refused_call_does_not_call_fun():
    calls = []

    def counted(x):
        calls.append(x)
        return bowl(x)

    for arguments in ({"beta_1": 2}, {"bounds": [(0, 1)]}, {"x_scale": -1}):
        with pytest.raises(ValueError, match=r"`|bounds"):
            fit(counted, **arguments)
    assert not calls


# --- Slips with objectives -----------------------------------------------------------------------


class Penalized:
    """An objective with a penalty, and with an attribute `fun`, as SciPy's own wrapper has."""

    def fun(self, x):
        return float((x - 3) @ (x - 3)), 2 * (x - 3)

    def __call__(self, x):
        return self.fun(x)[0] + 10 * float(x @ x)

    def gradient(self, x):
        return self.fun(x)[1] + 20 * x


def test_an_object_with_an_attribute_fun_is_no_wrapper_of_scipy():
    objective = Penalized()
    np.testing.assert_allclose(fit(objective, jac=objective.gradient).x, 3 / 11, atol=1e-4)


def test_a_forgotten_jac_is_told():
    with pytest.raises(ValueError, match=r"returned a pair.* pass `jac=True`"):
        fit(jac=None)


@njit
def value_about(x, center):
    return ((x - center) ** 2).sum()


@njit
def adds_to_gradient(x, gradient, center):
    for i in range(x.size):
        gradient[i] += 2 * (x[i] - center)
    return ((x - center) ** 2).sum()


@njit
def writes_with_a_default(x, gradient, center, scale=1.0):
    gradient[:] = 2 * scale * scale * (x - center)
    return (scale * scale * (x - center) ** 2).sum()


needs_compiler = pytest.mark.skipif(config.DISABLE_JIT, reason="plain functions return the gradient")


@needs_compiler
def test_a_forgotten_argument_is_told():
    with pytest.raises(ValueError, match=r"one argument more than the 1 .* missing in `args`"):
        fit(value_about)
    with pytest.raises(ValueError, match=r"one argument more than the 2 .* missing in `args`"):
        fit(nbadam.Minibatch(njit(lambda x, a, b: (x[0] - a).sum()), np.ones(10), batch_size=2), steps=5)


@needs_compiler
@pytest.mark.parametrize("callback", [None, lambda x: None], ids=["loop", "steps"])
def test_a_function_may_add_to_its_gradient(callback):
    options = {"jac": True, "method": nbadam.adam, "callback": callback, "options": {"learning_rate": 0.1}}
    for start in ([0.0, 0.0], [3.0, 3.0]):
        result = minimize(adds_to_gradient, start, (3.0,), **options)
        np.testing.assert_allclose(result.x, 3, atol=1e-5)


@needs_compiler
def test_defaults_leave_open_which_form_a_function_has():
    for args in ((3.0,), (3.0, 2.0)):
        result = minimize(
            writes_with_a_default, [0.0], args, jac=True, method=nbadam.adam, options={"learning_rate": 0.1}
        )
        np.testing.assert_allclose(result.x, 3, atol=1e-4)


class Warm(nbadam.schedules.LearningRateSchedule):
    """A schedule of one step at a time."""

    def __call__(self, step):
        return 0.1 * min((step + 1) ** -0.5, (step + 1) * 10**-1.5)


@njit
def compiled_bowl(x):
    return (x * x).sum(), 2 * x


@pytest.mark.parametrize("fun", [bowl, compiled_bowl], ids=["python", "compiled"])
def test_schedules_of_one_step_at_a_time(fun):
    result = fit(fun, learning_rate=Warm(), steps=30)
    np.testing.assert_allclose(result.history.learning_rate, [Warm()(k) for k in range(30)])
    same = fit(fun, learning_rate=lambda step: np.array([0.1]), steps=5)
    np.testing.assert_array_equal(same.x, fit(fun, learning_rate=0.1, steps=5).x)
    with pytest.raises(ValueError, match="must give one number for a step; it gave"):
        fit(fun, learning_rate=lambda step: np.ones(2), steps=5)


def test_infinite_limits():
    assert fit(maxiter=np.inf, maxfun=np.inf, max_time=np.inf).success
    with pytest.raises(ValueError, match="needs a finite `maxiter`"):
        fit(learning_rate="auto", maxiter=np.inf)


HUGE = 10**400  # and a number with more digits than Python prints


@pytest.mark.parametrize("value", [HUGE, HUGE**20, [HUGE]], ids=["400 digits", "8,000 digits", "in a list"])
def test_integers_beyond_the_range_of_numbers(value):
    """They raised OverflowError, or an error about the digits of the message."""
    with pytest.raises(ValueError, match="`x0`"):
        minimize(paraboloid, value, jac=True, method=nbadam.adam)
    for name in ("learning_rate", "x_scale", "patience"):
        with pytest.raises(ValueError, match=f"`{name}`"):
            minimize(paraboloid, [1.0], jac=True, method=nbadam.adam, options={name: value})


def test_arrays_in_messages_take_one_line():
    for options in ({"x_scale": np.ones((2, 12))}, {"bounds": np.linspace(0, 1, 30)}):
        with pytest.raises(ValueError, match="must be") as info:
            fit(**options)
        assert "\n" not in str(info.value)
