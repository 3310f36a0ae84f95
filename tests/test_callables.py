"""Methods, partials, callable objects and ufuncs as models; attributes that change are never stale."""

import functools
import math
import re

import numba
import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose
from scipy import special

from nbadam import Model, curve_fit
from nbadam.fitting.arguments import parse_model
from nbadam.fitting.model.callables import as_function

X = np.linspace(0.5, 4, 15)
P0 = [1.0, 1.0]


class Instrument:
    """Numbers, an array, a list, a helper and a nested function as attributes."""

    offset = 0.25

    def __init__(self, power=2):
        self.power, self._scale = power, 1.5
        self.table = np.array([1.0, 2.0])
        self.coefficients = [1, 0.5]
        self.shape = np.sin

    def smeared(self, u):
        return self._scale * self.shape(u)

    def response(self, x, a, b):
        return a * x**self.power + b * self.table[1] + self.smeared(x) * self.coefficients[1] + self.offset

    def __call__(self, x, a, b):
        return a * x**self.power + b

    @classmethod
    def of_class(cls, x, a, b):
        return a * x + b * cls.offset

    @staticmethod
    def of_none(x, a, b):
        return a * x + b

    @property
    def doubled(self):
        return 2 * self._scale

    def with_property(self, x, a, b):
        return a * x * self.doubled + b


def line(x, a, b, n=1, m=2):
    return a * x**n + b * m


def line_by_name(x, a, b, *, n=1, m=2):
    return a * x**n + b * m


def times(u, v, *, scale, power=1):
    return u * v**power * scale


def calls_by_name(x, a, b):
    return times(a, x, scale=1.0) + times(scale=b, u=1.0, v=2.0, power=2)


@functools.lru_cache
def remembered(x, a, b):
    return a * x + b


@functools.wraps(line)
def decorated(*args, **kwargs):
    return line(*args, **kwargs)


THING = Instrument()
CALLABLES = {
    "method": THING.response,
    "object": THING,
    "class method": Instrument.of_class,
    "static method": THING.of_none,
    "property": THING.with_property,
    "partial": functools.partial(line, n=2, m=3.0),
    "partial by default": functools.partial(line, n=2),
    "partial by keyword": functools.partial(line_by_name, m=0.5),
    "keyword-only": line_by_name,
    "keyword-only within": calls_by_name,
    "cache": remembered,
    "partial of a method": functools.partial(functools.partial(line, m=0.5), n=3),
    "vectorize": np.vectorize(lambda x, a, b: a * x + b if x > 1 else a + b),
    "lambda": lambda x, a, b: a * x + b,
}


@pytest.mark.parametrize("name", CALLABLES)
def test_they_become_functions(name):
    given = CALLABLES[name]
    function = as_function("f", given)
    for x in (0.5, 2.0):
        assert function(x, 2.0, 3.0) == pytest.approx(float(given(x, 2.0, 3.0)), rel=1e-15)
    assert Model(given).parameters == ("a", "b")


@pytest.mark.lowest
@pytest.mark.parametrize(
    "name",
    ["method", "object", "partial", "partial by keyword", "keyword-only", "keyword-only within", "cache"],
)
def test_they_are_fitted(name):
    given = CALLABLES[name]
    y = np.array([given(x, 2.0, 3.0) for x in X])
    for model in (given, Model(given)):
        assert_allclose(curve_fit(model, X, y, P0).popt, [2, 3], rtol=1e-7)


@pytest.mark.lowest
def test_ufuncs():
    function = as_function("f", np.power)
    assert function(2.0, 3.0) == 8
    assert_allclose(curve_fit(np.power, X, X**1.5, [1.0]).popt, [1.5], rtol=1e-9)
    assert_allclose(Model(special.xlogy, ["a"])(X, 2.0), special.xlogy(X, 2.0))


def test_attributes_that_change_are_seen():
    thing = Instrument()
    y = 2 * X**2 + 3
    model = Model(thing)
    for power in (2, 3, 2):
        thing.power = power
        y = 2 * X**power + 3
        assert_allclose(curve_fit(thing, X, y, P0).popt, [2, 3], rtol=1e-7)
        assert_allclose(curve_fit(model, X, y, P0).popt, [2, 3], rtol=1e-7)
        assert_allclose(model(X, 2.0, 3.0), y)


CHANGES = {
    "number": lambda thing: setattr(thing, "power", 3),
    "private": lambda thing: setattr(thing, "_scale", 2.5),
    "array": lambda thing: thing.table.__setitem__(1, 7.0),
    "list": lambda thing: thing.coefficients.append(2) or thing.coefficients.__setitem__(1, 4.0),
    "function": lambda thing: setattr(thing, "shape", np.cos),
    "class": lambda thing: setattr(thing, "offset", 9.0),
    "helper": lambda thing: setattr(thing, "smeared", lambda u: u),
    "type": lambda thing: setattr(thing, "power", 2.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_changed_attribute_is_another_model(change):
    """The kernels of the one before are not taken; a result keeps the model that it was fitted with."""
    thing = Instrument()
    first = parse_model(thing.response, None, None, 1)
    value = first.function(1.2, 2.0, 3.0)
    assert parse_model(thing.response, None, None, 1).identity == first.identity
    CHANGES[change](thing)
    second = parse_model(thing.response, None, None, 1)
    assert first.identity != second.identity
    assert second.function(1.2, 2.0, 3.0) == pytest.approx(float(thing.response(1.2, 2.0, 3.0)))
    assert first.function(1.2, 2.0, 3.0) == value


def test_equal_objects_share_what_is_compiled():
    def identity(given):
        return parse_model(given, None, None, 1).identity

    assert identity(Instrument(2)) == identity(Instrument(2)) != identity(Instrument(3))
    partials = [identity(functools.partial(line, n=n)) for n in (1, 2, 1)]
    assert partials[0] == partials[2] != partials[1]


class Hidden:
    def __init__(self):
        self.nested = object()
        self.data = {"a": 1}

    def nested_object(self, x, a):
        return a * x * self.nested

    def in_a_dict(self, x, a):
        return a * x * self.data["a"]

    def recursive(self, x, a):
        return a * x if x < 1 else self.recursive(x - 1, a)


def curve(x, a, b):
    return a * np.exp(-b * x)


class Counting:
    calls = 0

    def __call__(self, x, a, b):
        self.calls += 1
        return a * np.exp(-b * x)


def generator(x, a, b):
    yield a * np.exp(-b * x)


async def coroutine(x, a, b):
    return a * np.exp(-b * x)


def imports_inside(x, a, b):
    from math import exp

    return a * exp(-b * x)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Hidden().nested_object, "the attribute `nested`, a object"),
        (Hidden().in_a_dict, "the attribute `data`, a dict"),
        (Hidden().recursive, "which Numba cannot read"),
        (imports_inside, "import inside the function `imports_inside`"),
        (functools.partial(imports_inside, b=1.0), "import inside the function"),
        (functools.partial(line, a=1.0), "leaves `b` open"),
        (functools.partial(line, n="x"), None),
        (decorated, "pass its `__wrapped__`"),
        (Counting(), "sets the attribute `calls`"),
        (generator, "must return numbers"),
        (coroutine, "must return numbers"),
        (functools.partial(times, v=2.0), "leaves `scale` open"),
        (Hidden, "must be a function, a method"),
        (math.exp, "must be a function, a method"),
        ("".join, "must be a function, a method"),
        (np.modf, "must be a function, a method"),
        (3, "must be a function, a method"),
    ],
    ids=range(17),
)
def test_what_cannot_be_compiled_is_refused_in_one_line(given, message):
    if message is None:
        as_function("f", given)  # Numba says what is wrong
        return
    for call in (lambda: curve_fit(given, X, X, P0), lambda: Model(given)):
        with pytest.raises(ValueError, match=re.escape(message)) as info:
            call()
        assert "\n" not in str(info.value) and len(str(info.value)) < 300
    with pytest.raises(ValueError, match="`jac`"):
        curve_fit(line, X, X, P0, jac=given)


@pytest.mark.parametrize("signatures", [None, ["float64(float64, float64, float64)"]])
def test_functions_that_numba_vectorizes(signatures):
    vectorized = numba.vectorize(signatures)(curve) if signatures else numba.vectorize(curve)
    fit = curve_fit(vectorized, X, curve(X, 2.0, 3.0), P0)
    assert fit.derivatives == "exact" or numba.config.DISABLE_JIT
    assert_allclose(fit.popt, [2, 3], rtol=1e-7)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Python can run it")
def test_a_decorator_that_numba_cannot_compile():
    calls = []

    def counted(function):
        @functools.wraps(function)
        def wrapper(x, a, b):
            calls.append(x)
            return function(x, a, b)

        return wrapper

    with pytest.raises(ValueError, match=r"decorated: pass its `__wrapped__`"):
        curve_fit(counted(curve), X, X, P0)
    assert_allclose(curve_fit(counted(curve).__wrapped__, X, curve(X, 2.0, 3.0), P0).popt, [2, 3], rtol=1e-7)


@pytest.mark.lowest
@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there are no dispatchers")
def test_compiled_functions_within():
    doubled = njit(lambda u: 2 * u)
    thing = Instrument()
    thing.shape = doubled
    y = np.array([thing.response(x, 2.0, 3.0) for x in X])
    assert_allclose(curve_fit(thing.response, X, y, P0).popt, [2, 3], rtol=1e-7)
