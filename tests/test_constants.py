"""Numbers in models are data of kernels: functions that differ in them alone share a kernel, bit for bit."""

import math
from concurrent.futures import ThreadPoolExecutor

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
    monkeypatch.setattr(constants, "_lift", lambda function: (function, ()))
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
