"""Formulas: the grammar, values and derivatives of all its functions, and whatever else may be typed."""

import math
import sys
import time

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from scipy.optimize import OptimizeWarning

from nbadam import Model, curve_fit
from nbadam.fitting.arguments import parse_model
from nbadam.fitting.model.formula import Lines
from nbadam.fitting.model.grammar import FUNCTIONS, LONGEST, SYNONYMS, parse
from nbadam.fitting.model.symbolic import derive
from nbadam.fitting.ties import Ties

X = np.linspace(0.5, 4, 15)
rng = np.random.default_rng(0)


def numpy_function(name):
    """The function of a name as NumPy and SciPy have it, independent of nbadam's table."""
    by_hand = {
        "min": lambda *values: np.minimum.reduce(np.broadcast_arrays(*values)),
        "max": lambda *values: np.maximum.reduce(np.broadcast_arrays(*values)),
        "heaviside": lambda x, middle=0.5: np.heaviside(x, middle),
        "lgamma": special.gammaln,
    }
    plain = name.replace("atan", "arctan").replace("asin", "arcsin").replace("acos", "arccos")
    return by_hand.get(name) or getattr(np, plain, None) or getattr(special, name)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"where", "piecewise"}))
def test_functions_are_those_of_numpy_and_scipy(name):
    for count in FUNCTIONS[name][:2]:
        arguments = ["x", "0.4", "0.6"][:count] if name != "betainc" else ["0.4", "0.6", "x"]
        x = np.linspace(-0.9, 2, 30) if name != "acosh" else X + 1
        with np.errstate(all="ignore"):
            expected = numpy_function(name)(*(x if a == "x" else float(a) for a in arguments))
        values = Model(f"a * {name}({', '.join(arguments)})", ["a"])(x, 2.0)
        assert_allclose(values, 2 * expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", SYNONYMS)
def test_other_spellings(name):
    arguments = ", ".join(["x", "0.4"][: FUNCTIONS[SYNONYMS[name]][0]])
    assert parse(f"{name}({arguments})") == parse(f"{SYNONYMS[name]}({arguments})")


names = st.sampled_from(["x", "a", "b"])
numbers = st.floats(0.25, 3).map(lambda value: f"{value:.3g}")


def operations(parts):
    conditions = st.builds("{} {} {}".format, parts, st.sampled_from(["<", "<=", ">", ">="]), parts)
    conditions |= st.builds("({}) {} not ({})".format, conditions, st.sampled_from(["and", "or"]), conditions)
    return (
        st.builds("({} {} {})".format, parts, st.sampled_from(["+", "-", "*", "/"]), parts)
        | st.builds("{}({})".format, st.sampled_from(["tanh", "atan", "abs", "-", "cos"]), parts)
        | st.builds("({})**{}".format, parts, st.sampled_from(["2", "3", "-1", "0.5", "-2", "0"]))
        | st.builds("({} if {} else {})".format, parts, conditions, parts)
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), parts, parts)
    )


FORMULAS = st.recursive(names | numbers, operations, max_leaves=12)


@given(FORMULAS)
def test_a_formula_means_as_much_as_in_python(formula):
    """Value of scalar and array form against Python's own evaluation of the text, which the tests may use."""
    model = _model(formula)
    a, b = np.float64(1.3), np.float64(0.7)
    scope = {"tanh": np.tanh, "atan": np.arctan, "cos": np.cos, "min": np.minimum, "max": np.maximum}
    with np.errstate(all="ignore"):
        try:
            values = [eval(formula, scope | {"x": x, "a": a, "b": b}) for x in X]
        except ZeroDivisionError:
            return  # between constants
        expected = [np.nan if isinstance(value, complex) else float(value) for value in values]
        scalars = [float(model.function(x, a, b)) for x in X]
    if np.isfinite(expected).all():
        assert_allclose(scalars, expected, rtol=1e-12, atol=1e-12)
        assert_allclose(model(X, a, b), expected, rtol=1e-12, atol=1e-12)


def _model(formula):
    try:
        return Model(f"({formula}) + 0*a*b", ["a", "b"])
    except ValueError as error:
        assert "constant is no finite number" in str(error)
        return Model("a + b", ["a", "b"])


LEGAL = "0123456789.abxe+-*/()<>=,! \n_ifelsandortwhrmpq"


@given(st.text(LEGAL, max_size=60) | st.text(max_size=60))
@example("9**9**9")
@example("9**9**9**9")
@example("x**9**9**9")
@example("-" * 9000 + "x")
@example("(" * 5000)
@example("(" * 190 + "x" + ")" * 190)
@example("*".join(["x"] * 3000))
@example("1" * 9999)
@example("1e99999")
@example("a\x00b")
@example("\ud800")
@example("x" * (LONGEST + 1))
@example("__import__('os').system('true')")
@example("().__class__.__base__.__subclasses__()")
@example("[c for c in ().__class__.__mro__]")
@example("(lambda: a)()")
@example("(a := 3)")
@example('f"{a}"')
@example("exp.__globals__")
@example("x\\\n+ a")
def test_any_text_is_read_or_refused_at_once(text):
    """A tree of the grammar, whose lines hold nothing of the text, or a ValueError of one line."""
    began = time.process_time()
    try:
        tree = parse(text)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 400
    else:
        lines = Lines(dict.fromkeys(names_of(tree), "p0"))
        lines.value(tree)
        assert all(
            set(line) <= set("0123456789 abcdefghijklmnopqrstuvwxyzT_.()<>=!+-*/&|^,e")
            for line in lines.lines
        )
    assert time.process_time() - began < 1


def names_of(tree):
    from nbadam.fitting.model.grammar import names_in

    return names_in(tree)


@pytest.mark.long
@pytest.mark.parametrize("wrap", ["({0})**8", "exp({0})", "(x + a)**({0})", "a/(x + ({0}))", "atan2({0}, a)"])
def test_derivatives_of_any_formula_come_at_once(wrap):
    """Twelve powers within each other once went on for ever: 2**(8**12)."""
    formula = "x + x + a"
    for _ in range(12):
        formula = wrap.format(formula)
    began = time.process_time()
    derive(formula, ("x",), ("a",))
    assert time.process_time() - began < 5


def test_quotients_of_variables_have_derivatives_far_out_in_single_precision():
    """SymPy's derivative by k has the square of the divisor, 1e40 and more."""
    x = np.geomspace(1e4, 1e6, 60)
    y = 3 * x**4 / (1e5**4 + x**4) + 0.01 * np.random.default_rng(0).standard_normal(60)
    fit = curve_fit("a * x**4 / (k**4 + x**4)", x, y, [2, 8e4], dtype="float32")
    assert fit.success and np.isfinite(fit.perr).all()
    assert (abs(fit.popt - [3, 1e5]) < 5 * fit.perr).all()


def test_a_formula_does_not_run_as_python(tmp_path):
    """The text once went to SymPy, which evaluates it."""
    target = tmp_path / "touched"
    for formula in (
        f"open({str(target)!r}, 'w')",
        f"a*x + __import__('pathlib').Path({str(target)!r}).touch()",
    ):
        with pytest.raises(ValueError, match="cannot be read at position"):
            curve_fit(Model(formula, ["a"]), X, X, [1])
        with pytest.raises(ValueError, match="cannot be read at position"):
            curve_fit("a*x + b", X, X, [1, 1], tied={"b": formula})
    assert not target.exists()


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("a*x + ", "position 6: it ends too early"),
        ("a*x^2", r"`\^` is no power: write `\*\*`"),
        ("2x + a", r"a product needs its `\*`"),
        ("a x", r"position 3: a product needs its `\*`"),
        ("2(x + a)", r"a product needs its `\*`"),
        ("a(x + 1)", r"`a` is no known function, and a product needs its `\*`: `a \* \(...\)`"),
        ("a*x + expp(x)", "position 7: `expp` is no known function; did you mean `exp`"),
        ("np.exp(a*x)", "write `exp` without a module before it"),
        ("wofz(a*x)", "did you mean `voigt_profile`"),
        ("y = a*x", "write the right-hand side alone, without `=`"),
        ("exp(a, x)", "`exp` takes 1 arguments, not 2"),
        ("where(x, a, 1)", "`where` needs a condition such as `x > 0`"),
        ("a*x + 1/0", "this constant is no finite number"),
        ("(a, x)", "only numbers, names"),
        ("a*x + b", r"`b` .* neither among the `variables` \('x',\) nor among the `parameters` \('a',\)"),
        ("a*x + 'b'", "position 7: only numbers, names"),
        ("é + ^a", "position 5"),
    ],
)
def test_errors_name_the_position_and_a_remedy(formula, message):
    with pytest.raises(ValueError, match=message):
        Model(formula, ["a", "é"] if "é" in formula else ["a"])


def test_names_and_constants():
    assert Model("a*x + e").parameters == ("a", "e")
    assert_allclose(Model("a*e**x + pi", ["a"])(X, 2.0), 2 * np.exp(X) + math.pi)
    assert_allclose(Model("a*pi", ["a", "pi"])(X, 2.0, 3.0), 6)
    assert Model("gamma*exp(-beta*x) + gamma(beta)").parameters == ("gamma", "beta")
    assert_allclose(Model("u + a*v", variables=["u", "v"])([X, X**2], 2.0), X + 2 * X**2)


CONDITIONAL = {
    "where(x < t, a, a + b*(x - t)) + c*max(x - 3, 0) + c*0": {"a": 2.0, "b": 0.5, "t": 1.9, "c": 1.5},
    "piecewise(x < 1, a, x < 2, a + b*(x - 1), a + b + c*heaviside(x - 3))": {"a": 1.0, "b": 2.0, "c": 3.0},
}


@pytest.mark.parametrize("formula", CONDITIONAL)
def test_conditions_in_fits(formula):
    model, truth = Model(formula), CONDITIONAL[formula]
    truth = np.array([truth[name] for name in model.parameters])
    fit = curve_fit(model, X, model(X, *truth)[None], truth * 1.01)
    assert_allclose(fit.popt[0], truth, rtol=1e-6)


def test_a_formula_without_sympy(monkeypatch):
    y = 2 * X + 0.1 * X**3
    expected = curve_fit("a*x + b*x**3", X, y, [1, 1]).popt
    monkeypatch.setitem(sys.modules, "sympy", None)
    assert_allclose(curve_fit("1*a*x + b*x**3", X, y, [1, 1]).popt, expected, rtol=1e-8)


@given(st.text(max_size=30), st.text(max_size=30))
@example('"""\nraise SystemExit\n"""', "'''")
@example("$\\xi$", "\\N{x}")
@example("\\", "\r\n")
@example("{what}", "\x00\ud800")
def test_names_of_models_decide_nothing(name, doc):
    """They once were pasted into a docstring of the kernels' text."""
    model = parse_model(Model(_line, name=name, doc=doc), None, None, 1)
    assert model.identity == parse_model(_line, None, None, 1).identity
    assert repr(model).startswith(f"Model({name or '_line'}, ")


def _line(x, a):
    return a * x


def test_a_model_with_an_odd_name_is_fitted():
    name = '"""\nraise SystemExit(3)\n"""\\xi é'
    assert_allclose(curve_fit(Model(_line, name=name), X, 2 * X, [1.0]).popt, [2.0])


def test_equal_parts_are_computed_once():
    lines = Lines({"x": "x0", "a": "p0"})
    lines.value(parse("exp(-a*x) + a*x*exp(-a*x)"))
    assert sum("exp" in line for line in lines.lines) == 1


def test_ties_share_the_grammar():
    tied = {"c": "where(a > 1, max(a, k), 0)"}
    y = np.array([3 * X + 2 * X**2 + 3])
    fit = curve_fit("a*x + k*x**2 + c", X, y, [2, 1, 0], tied=tied)
    assert_allclose(fit.popt, [[3, 2, 3]], rtol=1e-8)
    with pytest.raises(ValueError, match="no finite number"):
        curve_fit("a*x + b", X, X, [1, 1], tied={"b": "a*9**9**9"})


def test_derivatives_of_ties_are_exact():
    """They were differences."""
    tied = {"c": "exp(-k) + a**2.5 * erf(k)", "d": "max(a, k) / lgamma(a + k)", "e": "a*k"}
    ties = Ties(Model("a + k*x + c*x**2 + d*x**3 + e*x**4"), tied)
    a, k = rng.uniform(1, 3, (2, 50))
    popt = ties.all_of(np.stack([a, k], axis=1))
    jacobian = np.zeros((50, 5, 2))
    digamma, bell = special.digamma(a + k), 2 / np.sqrt(np.pi) * np.exp(-(k**2))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = 1
    jacobian[:, 2, 0], jacobian[:, 2, 1] = 2.5 * a**1.5 * special.erf(k), -np.exp(-k) + a**2.5 * bell
    logarithm = special.gammaln(a + k)
    common = -np.maximum(a, k) * digamma / logarithm**2
    jacobian[:, 3] = np.stack([a > k, k > a], axis=1) / logarithm[:, None] + common[:, None]
    jacobian[:, 4] = np.stack([k, a], axis=1)
    covariance = np.array([[2.0, 0.3], [0.3, 1.0]])
    expected = jacobian @ covariance @ np.swapaxes(jacobian, 1, 2)
    tolerance = 1e-5 if numba.config.DISABLE_JIT else 1e-12
    slopes = ties.slopes(popt)
    assert_allclose(slopes @ covariance @ np.swapaxes(slopes, 1, 2), expected, rtol=tolerance)


@pytest.mark.filterwarnings("ignore")  # that the fit is not determined
def test_undetermined_ties_have_infinite_errors():
    """They were NaN."""

    def useless(x, a, b, c):
        return a + b * x + 0 * c

    y = 1 + 2 * X + np.sin(9 * X)
    with pytest.warns(OptimizeWarning, match="1 UNDETERMINED"):
        fit = curve_fit(useless, X, y[None], [1, 1, 1], tied={"a": "b / 2"})
    assert not np.isnan(fit.pcov).any()
    assert_array_equal(fit.perr[0, 2], np.inf)
