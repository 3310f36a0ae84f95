"""Models: formulas, functions, their derivatives, and what is compiled of them."""

import json
import math
from types import ModuleType

import numba
import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, special
from scipy.special import wofz

from nbadam import Model, Status, curve_fit
from nbadam.fitting.arguments import parse_model
from nbadam.fitting.kernels.compile import kernels
from nbadam.fitting.kernels.losses import Loss
from nbadam.fitting.model.evaluate import evaluate
from nbadam.fitting.model.inline import inlined
from nbadam.fitting.model.pointwise import pointwise

X = np.linspace(0.5, 4, 15)
SCALE = 2.0


def power(x, a, b):
    return a * x**b


def test_names_come_from_the_function_or_the_formula():
    assert Model(power).parameters == ("a", "b")
    assert Model("amp * exp(-x / tau) + c0*pi").parameters == ("amp", "tau", "c0")
    assert Model("u + a*v", variables=["u", "v"]).parameters == ("a",)
    assert Model(power, ["p", "q"]).parameters == ("p", "q")
    assert "amp" in repr(Model("amp * x"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formula": 3}, "`formula` must be a function, a method"),
        ({"formula": "x"}, "at least one parameter"),
        ({"formula": "a*x", "parameters": ["a", "a"]}, "differ from each other"),
        ({"formula": "a*x", "parameters": ["1a"]}, "must be names"),
        ({"formula": "a*x", "parameters": ["lambda"]}, "must be names"),
        ({"formula": "a*x", "parameters": ["a", "x"]}, "is among the `parameters` and the `variables`"),
        ({"formula": "EXPONENTIAL"}, "does not depend on x: .*`nbadam.models`"),
        ({"formula": "a*exp(-k*t)"}, "does not depend on x: name its variable so"),
        ({"formula": power, "parameters": ["a"]}, "must name the 2 arguments"),
        ({"formula": "a*x", "jacobian": power}, "goes with a function"),
        ({"formula": power, "guess": 1}, "`guess` must be a function"),
        ({"formula": power, "name": 3}, "`name` must be a string"),
        ({"formula": power, "doc": b"text"}, "`doc` must be a string"),
        ({"formula": "a*x", "parameters": ["ﬁ"]}, "must be names"),
    ],
)
def test_bad_models(arguments, message):
    with pytest.raises(ValueError, match=message):
        Model(**arguments)


def test_a_model_can_be_evaluated():
    assert_allclose(Model(power)(X, 2, 1.5), 2 * X**1.5)
    plane = Model(lambda p, a, b: a * p[0] - b * p[1], variables=["u", "v"])
    assert_allclose(plane(np.stack([X, X**2]), 2, 3), 2 * X - 3 * X**2)
    with pytest.raises(TypeError, match="takes 2 parameters, not 1"):
        Model(power)(X, 2)
    with pytest.raises(ValueError, match="must have 2 rows"):
        plane(X, 1, 2)


# --- Functions ------------------------------------------------------------------------------------


def helper(u):
    return math.exp(-u) + np.sin(u)


def test_functions_are_compiled_with_all_that_they_call():
    offset = 0.25

    def model(x, a, b):
        return a * helper(b * x) + offset * SCALE

    y = 1.5 * np.array([helper(0.7 * x) for x in X]) + 0.5
    assert_allclose(curve_fit(model, X, y, [1, 1]).popt, [1.5, 0.7], rtol=1e-8)


def test_a_function_that_numba_compiled_already():
    assert_allclose(curve_fit(njit(power), X, 3 * X**1.2, [1, 1]).popt, [3, 1.2], rtol=1e-8)


def test_exp_of_numpy_becomes_one_that_vectorises():
    copy = inlined(helper)
    assert copy is not helper
    assert copy.__globals__["math"].exp is not math.exp
    assert helper.__globals__["math"] is math
    assert copy(0.3) == pytest.approx(helper(0.3), rel=1e-15)


def test_functions_that_do_the_same_are_compiled_once():
    def make(offset):
        return lambda x, a, b: a * x + b + offset

    def kernels_of(offset):
        model = parse_model(make(offset), None, None, 1)
        return kernels(model, "float64", False, False, False, Loss("linear"), False, False)

    first, again, other = map(kernels_of, (1.0, 1.0, 2.0))
    assert first is again
    assert first is not other


def test_a_global_that_changes_is_seen():
    global SCALE
    y = 2 * X

    def model(x, a):
        return a * SCALE * x

    assert_allclose(curve_fit(model, X, y, [1]).popt, [1])
    SCALE = 4.0
    try:
        assert_allclose(curve_fit(model, X, y, [1]).popt, [0.5])
    finally:
        SCALE = 2.0


TABLE = np.linspace(1, 2, 5)
CONSTANTS = ModuleType("constants")
CONSTANTS.scale, CONSTANTS.doubled = 1.0, njit(lambda u: 2 * u)


def summed(x, a):
    """A model that looks beyond its point, also into a module and from a function inside it."""
    return a * CONSTANTS.scale * CONSTANTS.doubled(sum([TABLE[i] for i in range(int(x))]))


@pytest.mark.parametrize("what", [summed, Model(summed)], ids=["function", "Model"])
def test_arrays_and_modules_that_change_are_seen(what):
    x = np.arange(6.0)
    y = 2 * np.concatenate([[0], TABLE.cumsum()])
    assert_allclose(curve_fit(what, x, y, [1.0]).popt, [1])
    saved = TABLE.copy()
    try:
        TABLE[:] *= 2
        assert_allclose(curve_fit(what, x, y, [1.0]).popt, [0.5])
        CONSTANTS.scale = 2.0
        assert_allclose(curve_fit(what, x, y, [1.0]).popt, [0.25])
    finally:
        TABLE[:], CONSTANTS.scale = saved, 1.0
    assert_allclose(curve_fit(what, x, y, [1.0]).popt, [1])


def test_as_many_parameters_as_p0_where_the_function_does_not_tell():
    def polynomial(x, *c):
        return c[0] + c[1] * x + c[2] * x * x

    fit = curve_fit(polynomial, X, 1 + 2 * X + 3 * X**2, [0, 0, 1])
    assert_allclose(fit.popt, [1, 2, 3], rtol=1e-8)
    assert fit.parameters == ("p0", "p1", "p2")
    with pytest.raises(ValueError, match="Unable to determine the number of parameters"):
        curve_fit(polynomial, X, X)


def with_function(shape):
    return lambda x, a: a * shape(x)


def with_module(module):
    return lambda x, a: a * module.FACTOR * x


def with_inner_function(factor):
    def model(x, a):
        def scaled(u):
            return factor * u

        return scaled(a * x)

    return model


def test_functions_of_the_same_text_are_told_apart_by_what_they_refer_to():
    for shape in (np.sinh, np.arctan):
        assert_allclose(curve_fit(with_function(shape), X, 2 * shape(X)).popt, [2])
    for factor in (1.0, 2.0):
        module = ModuleType("constants")
        module.FACTOR = factor
        assert_allclose(curve_fit(with_module(module), X, 2 * X).popt, [2 / factor])
        assert_allclose(curve_fit(with_inner_function(factor), X, 2 * X).popt, [2 / factor])


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Python can run it")
def test_a_function_that_numba_cannot_compile():
    def model(x, a):
        return a * len(json.dumps(x))

    with pytest.raises(ValueError, match=r"Numba cannot compile the model `model`") as info:
        curve_fit(model, X, X, [1])
    assert "dumps" in str(info.value)  # Numba's reason, and not all of its report
    assert len(str(info.value)) < 400


def without_return(x, a):
    a * x


def with_a_branch_without_return(x, a):
    if x > 2:
        return a * x


def always_raises(x, a):
    raise ArithmeticError("of the user")


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Python can run it")
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (without_return, "not nothing: a `return` is missing"),
        (with_a_branch_without_return, "a branch has no `return`"),
        (always_raises, "every call raises"),
        (lambda x, a: (a, x), "not an array or a tuple"),
        (lambda x, a: "a", "not a value of type"),
    ],
)
def test_a_function_that_returns_no_number(model, message):
    with pytest.raises(ValueError, match=message) as info:
        curve_fit(model, np.arange(5.0), np.arange(5.0), [1])
    assert "\n" not in str(info.value) and "signature" not in str(info.value)


def test_complex_numbers_and_arrays_within_a_model():
    def model(x, a, b):
        table = np.exp(np.array([0.0, 0.0]))
        return (a * np.exp(1j * b * x) * table[0]).real

    y = model(X, 2.0, 0.3) + 1e-3 * np.cos(9 * X)
    fit = curve_fit(model, X, y, [1.5, 0.35])
    expected, _ = optimize.curve_fit(model, X, y, [1.5, 0.35])
    assert fit.derivatives == "differences"
    assert_allclose(fit.popt, expected, rtol=1e-6)


SHORT, LARGE = np.linspace(0, 1, 20), np.linspace(0, 1, 20_000).reshape(20, 1000)


def in_a_table(x, a, b):
    return a * SHORT[int(x * b)]


def in_a_large_table(x, a, b):
    return a * LARGE[int(x * b), 7]


def in_an_array(x, a, b):
    counts = np.zeros(20)
    counts[int(x * b)] = a
    return counts.sum() + b


def in_a_helper(x, a, b):
    return b + in_a_table(x, a, b)


@pytest.mark.parametrize("model", [in_a_table, in_a_large_table, in_an_array, in_a_helper])
def test_an_index_beyond_the_end_is_an_error(model):
    """It read what lay there, with success, or wrote there, which ended the process."""
    x = np.linspace(0.0, 9.5, 30)
    with pytest.raises(IndexError, match="out of"):
        curve_fit(model, x, x, [1, 1e4])
    starts = np.array([[1, 1.5], [1, 3000.0]] * 20)
    with pytest.warns(optimize.OptimizeWarning):
        fit = curve_fit(model, x, np.tile(x, (40, 1)), starts, fixed=["b"])
    assert (fit.status[1::2] == Status.MODEL_ERROR).all()
    assert not (fit.status[::2] == Status.MODEL_ERROR).any()


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Python can run it")
@pytest.mark.parametrize(
    ("model", "hint"),
    [
        (lambda x, a, s: a * wofz(x + 1j * s).real, "`wofz` has no compiled form .*voigt_profile"),
        (lambda x, a, s: a * special.wofz(x + 1j * s).real, "`wofz` has no compiled form .*voigt_profile"),
        (lambda x, a, s: a * special.sici(s * x)[0], "`sici` has no compiled form for real numbers"),
        (lambda x, a, s: a * np.exp(1j * s * x), "its values are complex numbers: take `.real`"),
        (lambda x, a, s: np.select([x < s], [a], 0.0), r"select\(list\(bool"),
        (lambda x, a, s: np.piecewise(x, [x < s], [lambda t: a]), "'a' in a function that may escape"),
    ],
)
def test_the_message_names_the_call_that_cannot_be_compiled(model, hint):
    with pytest.raises(ValueError, match=hint):
        curve_fit(model, X, X, [1, 1])


# --- Formulas -------------------------------------------------------------------------------------

FORMULAS = {
    "a*exp(-(x - mu)**2 / (2*s**2)) + c": [3, 2, 0.7, 0.4],
    "gamma*exp(-beta*x) + S*x": [2, 0.6, 0.3],  # names that mean something else to SymPy
    "a*x**b": [1.5, 0.8],
    "a*sqrt(x) + 1/(1 + b*x**(3/2)) + tanh(c*x)": [2, 0.4, 0.3],
    "a*sin(w*x) + b*cos(w*x) + log(1 + c*x)": [1, 2, 0.5, 0.7],
    "a*atan(b*x) + abs(c - x)": [1, 2, 0.3],
    "pi*a + E*x": [1, 2],
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_derivatives_of_formulas(formula):
    pytest.importorskip("sympy")
    model = Model(formula)
    p = np.array(FORMULAS[formula], float)
    text = pointwise(model)
    from nbadam.fitting.kernels import functions

    for x in X:
        scope = {name: getattr(functions, name) for name in functions.__all__} | {"np": np, "T": np.float64}
        scope |= {"x0": x} | {f"p{i}": value for i, value in enumerate(p)}
        for i, expression in enumerate(text.invariant):
            scope[f"q{i}"] = eval(expression, scope)
        exec("\n".join(text.statements), scope)
        for i, value in enumerate(p):
            h = 1e-5 * value
            above, below = (evaluate(model, [x], [*p[:i], value + s * h, *p[i + 1 :]])[0] for s in (1, -1))
            assert_allclose(scope[f"g{i}"], (above - below) / (2 * h), rtol=1e-7, atol=1e-8)


def test_what_does_not_depend_on_x_is_computed_once():
    pytest.importorskip("sympy")
    text = pointwise(Model("a*exp(-(x - mu)**2 / (2*s**2)) + c"))
    assert len(text.invariant) >= 2
    assert not any("T(1.0) / " in statement for statement in text.statements)


def test_the_gradient_of_a_power_at_zero():
    pytest.importorskip("sympy")
    x = np.arange(6.0)
    assert_allclose(curve_fit("a*x**b", x, 2 * x**1.5, [1, 1]).popt, [2, 1.5], rtol=1e-10)


def test_formula_and_function_agree():
    pytest.importorskip("sympy")
    y = 3 * X**0.7 + 0.01 * np.sin(9 * X)
    assert_allclose(curve_fit("a*x**b", X, y, [1, 1]).popt, curve_fit(power, X, y, [1, 1]).popt, rtol=1e-7)
    assert_array_equal(curve_fit("a*x**b", X, y, [1, 1]).popt, curve_fit(Model("a*x**b"), X, y, [1, 1]).popt)
