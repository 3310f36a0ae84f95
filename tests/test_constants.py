"""Numbers and large arrays in models are data of kernels: models that differ in them alone share a kernel."""

import collections
import functools
import gc
import math
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numba
import numpy as np
import pytest

import nbadam
from nbadam.fitting.kernels import compile as compilation
from nbadam.fitting.model import constants

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
X = np.linspace(0.1, 3, 30)


def helper(u, k=1.5):
    return u * k


def function_in(text: str, k: float = 1.7, **scope):
    """Return a function of a text that may refer to a closure's `k`, and to globals."""
    scope = {"np": np, "math": math, "helper": helper, **scope}
    exec(f"def make(k):\n    return {text}\nf = make({k!r})", scope)
    return scope["f"]


LIFTED = {
    "lambda x, a: a * x + 2.5": [2.5],
    "lambda x, a: k * a * x - K": [1.7, 3.25],
    "lambda x, a: a * np.exp(-k * x) + math.sin(x - 0.7)": [1.7, 0.7],
    "lambda x, a: (x / 2.5) ** 2.0 * a": [2.5],
    "lambda x, a: helper(2.5 * x) * a": [2.5],
    "lambda x, a: (lambda u: u * 2.5)(a * x) + 2.5": [2.5],
    # LLVM computes with these, or has other instructions for them.
    "lambda x, a: a * x ** 2.5": [],
    "lambda x, a: a * 2.5 ** x": [],
    "lambda x, a: a * x ** (k + 1)": [],
    "lambda x, a: a * np.power(x, k)": [],
    "lambda x, a: a * np.exp(-k) * x": [],
    "lambda x, a: a * x if k > 1.5 else a": [],
    "lambda x, a: helper(a * x, k)": [],
    "lambda x, a: (lambda u: u * K)(a * x) + K": [],
    "lambda x, a: a * (k, 2.5)[int(x)]": [],
    "lambda x, a: a * x / 2.0 + 0.5 - 3": [],
    "lambda *p: p[0] * p[1] * 2.5": [],
}


@pytest.mark.parametrize("text", LIFTED)
def test_numbers_that_are_data(text):
    assert sorted(constants._lift(function_in(text, K=3.25))[1]) == sorted(LIFTED[text])


TEXT = "lambda x, a, b: a * np.exp(-k * b * x) + K * (x - {c!r}) ** 2 if x < 2.9 else a * {d!r} + b"


def made(k, K, c, d):
    return function_in(TEXT.format(c=c, d=d), k, K=K)


@pytest.fixture
def compiled(monkeypatch):
    """Names of the models that are compiled."""
    names = []
    compile_model = compilation._compiled_for
    monkeypatch.setattr(
        compilation,
        "_compiled_for",
        lambda model, *more: names.append(model.name) or compile_model(model, *more),
    )
    return names


def fit(f, dtype="float64"):
    noise = 0.01 * np.random.default_rng(0).standard_normal(X.size)
    y = np.array([f(x, 2.2, 0.9) for x in X]) + noise
    return nbadam.curve_fit(f, X, y, [1.0, 1.0], dtype=dtype)


def results(fit) -> list:
    return [array.tobytes() for array in (fit.popt, fit.perr, fit.chi2, fit.nfev, fit.predict())]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_kernel_serves_all_numbers_with_the_bits_of_their_own(dtype, compiled, monkeypatch):
    rng = np.random.default_rng()
    drawn = rng.uniform([0.6, -3, 0.1, 1.1], [1.9, 3, 2.9, 1.9], (6, 4)).tolist()
    functions = [made(*numbers) for numbers in [(1.7, 0.3, 0.7, 1.3), *drawn]]
    fits = [fit(f, dtype) for f in functions]
    assert len(compiled) <= 1
    assert all((abs(found.popt - [2.2, 0.9]) < 8 * found.perr).all() for found in fits), drawn
    alone = list(map(results, fits))
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda f: results(fit(f, dtype)), functions)) == alone
    monkeypatch.setattr(constants, "_lift", lambda function, *_: (function, ()))
    monkeypatch.setattr(compilation, "_kept", type(compilation._kept)())
    assert results(fit(functions[0], dtype)) == alone[0]
    assert len(compiled) >= 1


def test_numbers_of_jacobians_and_of_values(compiled):
    evaluated = []
    for k in (1.25, 1.5, 1.75):
        jacobian = function_in("lambda x, a, b: (math.exp(-k * b * x), -k * a * x * math.exp(-k * b * x))", k)
        function = function_in("lambda x, a, b: a * math.exp(-k * b * x) + 0.1", k)
        y = 2.2 * np.exp(-k * 0.9 * X) + 0.1
        found = nbadam.curve_fit(function, X, y, [1.0, 1.0], jac=jacobian)
        assert found.derivatives == "given"
        assert found.popt == pytest.approx([2.2, 0.9])
        evaluated.append(nbadam.Model(function)(X, 2.2, 0.9))  # `math` takes no arrays: a kernel
        assert evaluated[-1] == pytest.approx(y, rel=1e-14)
    assert len(compiled) <= 1


# --- Arrays ---------------------------------------------------------------------------------------

SIZE = constants.LARGE  # entries of a table, at least a byte each


def table_of(kind: str, rng) -> np.ndarray:
    """Return a table whose first index is that of the points."""
    values = rng.uniform(1, 2, SIZE)
    return {
        "C": lambda: values.reshape(64, -1),
        "F": lambda: np.asfortranarray(values.reshape(64, -1)),
        "axes": lambda: values.reshape(4, 64, -1).transpose(1, 2, 0).reshape(64, -1, 2, 2),
        "strided": lambda: values.repeat(2)[::-2].reshape(64, -1),
        "readonly": lambda: np.frombuffer(values.tobytes()).reshape(64, -1),
        "integers": lambda: (1000 * values).astype(np.int32).reshape(64, -1),
        "float32": lambda: values.astype(np.float32).reshape(64, -1),
    }[kind]()


def entry(table, i, j):
    """Return an entry of a table with any number of axes."""
    return table[(int(i), j) + (0,) * (table.ndim - 2)]


KINDS = ["C", "F", "axes", "strided", "readonly", "integers", "float32"]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_any_kind_are_data(kind, compiled):
    rng, x = np.random.default_rng(), np.arange(1.0, 31)
    for _ in range(3):
        table = table_of(kind, rng)
        zeros = ", 0" * (table.ndim - 2)
        function = function_in(f"lambda x, a, b: a * T[int(x), 3{zeros}] + b * T.shape[1] / len(T)", T=table)
        assert len(constants._lift(function, {})[1]) == 1
        entries = np.array([entry(table, i, 3) for i in x], float)
        y = 2.5 * entries + 0.5 * table.shape[1] / len(table)
        found = nbadam.curve_fit(function, x, y, [1.0, 1.0])
        assert found.popt == pytest.approx([2.5, 0.5])
        assert found.predict() == pytest.approx(y, rel=1e-14)
    assert len(compiled) <= 1


WAYS = {
    "global": "lambda x, a: a * x + T[int(x)]",
    "closure": "(lambda t: lambda x, a: a * x + t[int(x)])(T)",
    "argument": "lambda x, a: a * x + at(x, T)",
    "helper": "lambda x, a: a * x + look_up(x)",
    "helper of a helper": "lambda x, a: a * x + 0.5 * (twice(x) + 0 * x)",
    "compiled helper": "lambda x, a: a * x + numba.njit(look_up)(x)",
    "tuple": "lambda x, a: a * x + both[1][int(x)] + both[0] - 1.5",
    "tuple by number": "lambda x, a: a * x + three[int(x) % 2][int(x)]",
    "named tuple": "lambda x, a: a * x + named.table[int(x)] * named.one",
    "method": "Owner(T).model",
    "partial": "functools.partial(lambda x, a, t: a * x + t[int(x)], t=T)",
    # Kernels have these inside.
    "function inside": "lambda x, a: a * x + (lambda u: T[int(u)])(x)",
    "by name": "lambda x, a: a * x + look_up(u=x)",
    "no argument": "lambda x, a: a * x + first() + (look_up(x) - first())",
    "module": "lambda x, a: a * x + module.T[int(x)]",
}
INSIDE = ["function inside", "by name", "no argument", "module"]


class Owner:
    """An object with a table."""

    def __init__(self, table):
        self.table, self.scale = table, 1.0

    def model(self, x, a):
        """Return a line with the entries of the table."""
        return a * x + self.scale * self.table[int(x)]


def function_with(table, way):
    """Return a function of a way to refer to the table, made anew."""
    scope: dict = {"T": table, "numba": numba, "functools": functools, "Owner": Owner, "np": np}
    text = """
def at(u, t): return t[int(u)]
def look_up(u): return T[int(u)]
def twice(u, scale=2.0): return scale * look_up(u)
def first(): return T[0]
"""
    exec(text, scope)
    scope["both"], scope["module"] = (1.5, table), ModuleType("tables")
    scope["module"].T = table
    scope["three"] = table, table, np.arange(9.0)  # of one type, though one is small
    scope["named"] = collections.namedtuple("Pair", "table one")(table, 1)
    if way == "compiled helper":
        scope["look_up"] = numba.njit(scope["look_up"])
    exec(f"f = {WAYS[way].replace('numba.njit(look_up)', 'look_up')}", scope)
    return scope["f"]


@pytest.mark.parametrize("way", WAYS)
def test_tables_are_data_however_they_are_reached(way, compiled):
    """A change in place, another array, then the first values again: each fit takes the values of now."""
    rng, x = np.random.default_rng(), np.arange(0.0, 30)
    table = rng.uniform(1, 2, SIZE)
    first = table.copy()
    for change in range(4):
        if change == 1:
            table[:] = rng.uniform(1, 2, SIZE)
        elif change == 2:
            table = rng.uniform(1, 2, SIZE)
        elif change == 3:
            table = first
        y = 2.5 * x + table[:30]
        found = nbadam.curve_fit(function_with(table, way), x, y, [1.0])
        assert found.popt == pytest.approx([2.5], rel=1e-12)
        assert found.predict() == pytest.approx(y, rel=1e-14)
    assert len(compiled) <= (3 if way in INSIDE else 1)


def test_tables_of_jacobians(compiled):
    x = np.arange(0.0, 30)
    for k in range(3):
        table = np.linspace(1, 2 + k, SIZE)
        function = function_in("lambda x, a, b: a * T[int(x)] + 0.3 * b * x", T=table)
        jacobian = function_in("lambda x, a, b: (T[int(x)], 0.3 * x + 0 * S[int(x)])", T=table, S=2 * table)
        found = nbadam.curve_fit(function, x, 2.5 * table[:30] + 0.3 * x, [1.0, 0.5], jac=jacobian)
        assert found.derivatives == "given"
        assert found.popt == pytest.approx([2.5, 1])
    assert len(compiled) <= 1


def test_a_fit_keeps_the_table_that_it_was_made_with():
    table, x = np.linspace(1, 2, SIZE), np.arange(0.0, 30)
    function = function_with(table, "global")
    y = 2.5 * x + table[:30]
    found = nbadam.curve_fit(function, x, y, [1.0])
    before = found.predict(), found.predict(x + 1)
    table[:] = -1
    del function
    gc.collect()
    garbage = [np.full(SIZE, np.nan) for _ in range(100)]
    assert [array.tobytes() for array in (found.predict(), found.predict(x + 1))] == [
        array.tobytes() for array in before
    ]
    assert len(garbage) == 100


def test_threads_with_tables_of_their_own_share_a_kernel(compiled):
    x = np.arange(0.0, 30)

    def fit_one(k):
        table = np.full(SIZE, float(k))
        return nbadam.curve_fit(function_with(table, "helper"), x, 2.5 * x + k, [1.0]).popt[0]

    fit_one(0.5)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(fit_one, range(60))) == pytest.approx([2.5] * 60)
    assert len(compiled) <= 1


def test_tables_have_the_bits_of_those_inside(monkeypatch):
    rng = np.random.default_rng(3)
    table = rng.uniform(1, 2, SIZE)
    function = function_in("lambda x, a, b: a * np.exp(-b * T[int(10 * x)]) + T[5]", T=table)
    data = fit(function), fit(function, "float32")
    monkeypatch.setattr(constants, "LARGE", 1 << 30)
    monkeypatch.setattr(compilation, "_kept", type(compilation._kept)())
    inside = fit(function), fit(function, "float32")
    assert list(map(results, data)) == list(map(results, inside))
    assert constants._lift(function, {})[1] == ()


def test_tables_larger_than_all_that_is_kept(compiled, monkeypatch):
    monkeypatch.setattr(compilation, "_kept", type(compilation._kept)())
    monkeypatch.setattr(compilation, "KEPT_BYTES", 1 << 22)
    x = np.arange(0.0, 30)
    for k in range(3):
        table = np.full(1 << 19, float(k))
        found = nbadam.curve_fit(function_with(table, "global"), x, 2.5 * x + k, [1.0])
        assert found.popt == pytest.approx([2.5])
    assert len(compiled) == 1


def test_small_tables_are_inside():
    """LLVM computes with their entries, such as exponents, while it compiles."""
    function = function_in("lambda x, a: a * x ** T[1]", T=np.arange(4.0))
    assert constants._lift(function, {})[1] == ()
