"""Runs of objectives that Numba compiled, which happen in compiled code."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config, njit
from numpy.testing import assert_allclose, assert_array_equal
from runs import assert_same, compiled_bowl, fit
from scipy.optimize import OptimizeWarning

import nbadam
from nbadam.methods import evaluator

pytestmark = pytest.mark.long


@njit
def compiled_rosenbrock(x, b):
    g = np.empty_like(x)
    a = x[1] - x[0] * x[0]
    g[0] = -4 * b * x[0] * a - 2 * (1 - x[0])
    g[1] = 2 * b * a
    return b * a * a + (1 - x[0]) * (1 - x[0]), g


def ignore(x):
    """Call back, and so keep the run in Python."""


@pytest.mark.lowest
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
    away = fit(compiled_log, [1.9], learning_rate=1.0, beta_1=0.0, steps=3)
    assert np.isfinite(away.x).all()


@njit
def wrong_shape_later(x):
    return x[0] * x[0], np.ones(2) if x[0] < 0.5 else 2 * x


def test_compiled_gradient_of_the_wrong_shape():
    with pytest.raises(ValueError, match="shape"):
        fit(wrong_shape_later, [1.0])


def returns_a_tuple_gradient(x, rng):
    noise = rng.standard_normal()
    return x[0] * x[0] + noise * x[0], (2 * x[0] + noise,)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_compiled_function_that_only_python_can_use():
    def run(fun):
        return fit(fun, [1.0], args=(np.random.default_rng(0),), steps=20)

    with pytest.warns(OptimizeWarning, match="Python drives the run"):
        result = run(njit(returns_a_tuple_gradient))
    assert_same(result, run(returns_a_tuple_gradient))  # the attempt to compile draws no number


TARGET = 2.0


@njit
def bowl_at_the_target(x):
    return np.sum((x - TARGET) ** 2), 2 * (x - TARGET)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_functions_that_were_compiled_again(monkeypatch):
    def run():
        batch = nbadam.minimize_batch(bowl_at_the_target, [[0.0]], learning_rate=0.1, steps=300)
        return [fit(bowl_at_the_target, [0.0], steps=300).x[0], batch.x[0, 0]]

    assert_allclose(run(), 2, atol=1e-3)
    monkeypatch.setitem(globals(), "TARGET", 5.0)
    assert_allclose(run(), 2, atol=1e-3)  # Numba freezes globals
    bowl_at_the_target.recompile()
    assert_allclose(run(), 5, atol=1e-3)


@njit
def bowl_in_place(x, g, center):
    f = 0.0
    for i in range(x.size):
        g[i] = 2 * (x[i] - center)
        f += (x[i] - center) ** 2
    return f


def test_callbacks_at_intervals():
    def watched(fun):
        seen = []
        result = fit(
            fun, args=(1.0,), steps=35, callback_interval=10,
            callback=lambda intermediate_result: seen.append(intermediate_result),
        )  # fmt: skip
        assert [r.fun for r in seen] == [compiled_bowl(r.x, 1.0)[0] for r in seen]
        assert_array_equal([r.x for r in seen], [fit(fun, args=(1.0,), steps=k).x for k in (10, 20, 30)])
        return result

    assert_same(watched(compiled_bowl), watched(lambda x, center: compiled_bowl(x, center)))


def test_a_callback_at_intervals_can_stop_the_run():
    def enough(x):
        raise StopIteration

    result = fit(compiled_bowl, args=(1.0,), callback=enough, callback_interval=10)
    assert (result.status, result.nit) == (99, 10)


@pytest.mark.skipif(not hasattr(bowl_in_place, "py_func"), reason="plain functions return the gradient")
def test_a_function_that_writes_the_gradient():
    returning = fit(compiled_bowl, args=(0.5,), steps=300)
    assert_same(fit(bowl_in_place, args=(0.5,), steps=300), returning)
    assert_same(fit(bowl_in_place, args=(0.5,), steps=300, callback=lambda x: None), returning)


def adapted(fun, args=()):
    return evaluator.Evaluator(fun, False, evaluator.ALONE, args, "float64")


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_a_function_is_compiled_once_for_each_type():
    address = adapted(compiled_bowl, (1.0,)).address
    for center in (2.0, 3.0):
        fit(compiled_bowl, [0.0, 1.0], args=(center,), steps=5, clipnorm=1.0, average="tail")
        assert adapted(compiled_bowl, (center,)).address == address


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_threads_that_come_at_once_share_one_compilation():
    fun = njit(lambda x: (x[0], x))
    with ThreadPoolExecutor(4) as pool:
        addresses = list(pool.map(lambda _: adapted(fun).address, range(8)))
    assert len(set(addresses)) == len(fun.overloads) == 1


@njit
def with_more(x, a, b=2.0, *more):
    return a * x[0] * x[0] + b + len(more), 2.0 * a * x


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    "args", [(3,), (3.0, 1), (np.float32(3), 1.0, 5, 6.0)], ids=["default", "int", "more"]
)
def test_defaults_and_any_number_of_arguments(args):
    result = fit(with_more, [2.0], args=args, steps=40)
    assert_same(result, fit(with_more.py_func, [2.0], args=args, steps=40))


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_functions_with_a_signature_get_what_it_says():
    narrow = njit("Tuple((float32, float64[:]))(float64[:], float32)")(lambda x, a: (a * x[0], 0 * x + a))
    result = fit(narrow, [1.0], args=(0.1,), steps=3)
    assert result.jac[0] == np.float32(0.1)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_values_in_single_precision_are_read_as_such():
    def narrow(x):
        return np.float32(x[0] + 1), np.ones(1)

    def in_place(x, g):
        g[0] = 1
        return np.float32(x[0] + 1)

    for function in (narrow, in_place):
        result = fit(njit(function), [2.0], steps=3)
        assert result.fun == np.float32(result.x[0] + 1)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_functions_made_in_a_loop_do_not_pile_up_without_a_word():
    def make(k):
        return adapted(njit(lambda x: (x[0] * k, x)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(evaluator.MANY - 1):
            make(k)
    with pytest.warns(RuntimeWarning, match="Define it once.* pass what changes through `args`"):
        make(evaluator.MANY)
