"""Arrays of Dask: the same bits as those of NumPy, when they are asked for."""

import threading

import numba
import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal
from scipy.optimize import Bounds

import nbadam.dask
from nbadam import LazyFit, curve_fit, minimize_batch
from nbadam.models import GAUSSIAN

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")

PLAIN = numba.config.DISABLE_JIT
SHAPE = (4, 2) if PLAIN else (10, 6)
FORMULA = "a * exp(-k * x)"
FIELDS = "popt", "perr", "pcov", "chi2", "nfev", "status", "n_points"
x = np.linspace(0, 3, 12)
k = np.linspace(0.5, 2, np.prod(SHAPE)).reshape(SHAPE)
rng = np.random.default_rng(0)
y = 2 * np.exp(-k[..., None] * x) + 0.01 * rng.standard_normal((*SHAPE, 12))
lazy_y = da.from_array(y, chunks=(3, SHAPE[1] // 2, 5))
sigma = 0.01 + 0.01 * rng.random((*SHAPE, 12))


def same(lazy, fit):
    assert isinstance(lazy, LazyFit)
    with dask.config.set(scheduler="threads"):
        found = lazy.compute()
    for name in FIELDS:
        assert_array_equal(getattr(found, name), getattr(fit, name))
        assert getattr(lazy, name).dtype == getattr(fit, name).dtype
    assert found.parameters == fit.parameters


@pytest.mark.parametrize(
    "options",
    [
        {"p0": [1, 1]},
        {"p0": {"a": 1, "k": da.from_array(k, chunks=5)}, "dtype": np.float32},
        {
            "p0": np.stack([k, np.minimum(k, 1)], -1),
            "bounds": {"k": (0, np.where(k > 1, 1.2, 9))},
            "loss": "cauchy",
        },
        {"p0": [1, 1], "sigma": da.from_array(sigma), "absolute_sigma": True, "mask": k < 0.6},
        {"p0": [1, 1], "sigma": sigma[0, 0], "mask": da.from_array(sigma > 0.018)},
        {"p0": [1, 1], "fixed": {"a": da.from_array(k)}, "bounds": Bounds([0, 0], [np.inf, 3])},
        pytest.param({"search": "all"}, marks=pytest.mark.skipif(PLAIN, reason="thousands of fits")),
    ],
)
def test_the_bits_are_those_of_arrays_in_memory(options):
    def computed(value):
        if isinstance(value, dict):
            return {name: computed(entry) for name, entry in value.items()}
        return value.compute() if isinstance(value, da.Array) else value

    lazy = curve_fit(FORMULA, x, lazy_y, **options)
    same(lazy, curve_fit(FORMULA, x, y, **computed(options)))


def test_variables_of_each_data_set():
    xs = x + 0.1 * k[..., None]
    same(curve_fit(FORMULA, da.from_array(xs), y, [1, 1]), curve_fit(FORMULA, xs, y, [1, 1]))
    same(curve_fit(FORMULA, xs, lazy_y, [1, 1]), curve_fit(FORMULA, xs, y, [1, 1]))


def test_a_guess_is_a_start_and_one_data_set_a_batch():
    peaks = 1 + 3 * np.exp(-0.5 * ((x - 1.5) / (0.4 + 0.1 * k[:4, :1])) ** 2)
    same(curve_fit(GAUSSIAN, x, da.from_array(peaks, chunks=(2, 12))), curve_fit(GAUSSIAN, x, peaks))
    same(curve_fit(FORMULA, x, lazy_y[0, 0], [1, 1]), curve_fit(FORMULA, x, y[0, 0], [1, 1]))


def test_nothing_is_fitted_before_it_is_asked_for():
    def broken(block):
        raise RuntimeError("computed")

    lazy = curve_fit(FORMULA, x, lazy_y.map_blocks(broken, dtype=float), [1, 1])
    popt, pcov = lazy
    assert popt is lazy.popt and pcov is lazy.pcov
    assert lazy["k"].shape == lazy.success.shape == SHAPE
    with pytest.raises(RuntimeError, match="computed"):
        lazy.compute()
    with pytest.raises(KeyError, match="there are"):
        lazy["b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "need a start"),
        ({"p0": [1, 1, 1]}, "must end in the number of parameters"),
        ({"p0": [1, 1], "shared": ["k"]}, "`shared` does not go with arrays of Dask"),
        ({"p0": [1, 1], "progress": True}, "`progress` does not go with arrays of Dask"),
        ({"p0": [1, 1], "method": "adam", "batch_size": 5}, "`batch_size` does not go"),
        ({"p0": [1, 1], "search": "neighbours"}, "looks across their blocks"),
        ({"p0": [1, 1], "loss": "none"}, "`loss`"),
    ],
)
def test_bad_input_raises_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        curve_fit(FORMULA, x, lazy_y, **options)


@njit
def misfit(p, g, y, scale, t):
    f = g[0] = g[1] = 0.0
    for i in range(t.size):
        decay = np.exp(-p[1] * t[i])
        error = p[0] * decay - y[i]
        f += scale * error**2
        g[0] += 2 * scale * error * decay
        g[1] -= 2 * scale * error * p[0] * t[i] * decay
    return f


def test_batches_of_problems():
    n = k.size
    rows, scale = y.reshape(n, 12), np.linspace(0.5, 1, n)
    x0 = np.stack([np.full(n, 1.5), k.ravel()], -1)
    options = {
        "learning_rate": np.linspace(0.05, 0.1, n)[:, None],
        "maxiter": 50 if PLAIN else 300,
        "clipnorm": 3.0,
    }
    bounds = Bounds(np.zeros((n, 2)), np.tile([3.0, 1.8], (n, 1)))
    expected = minimize_batch(misfit, x0, (x,), (rows, scale), bounds=bounds, **options)
    columns = da.from_array(rows, chunks=(5, 12)), scale
    lazy = minimize_batch(misfit, x0, (x,), columns, bounds=bounds, **options)
    with dask.config.set(scheduler="threads"):
        for name in ("x", "fun", "nit", "status", "success"):
            array = getattr(lazy, name)
            assert isinstance(array, da.Array)
            assert_array_equal(array.compute(), getattr(expected, name))
    assert lazy.message(0) == expected.message(0)
    with pytest.raises(ValueError, match="`out` does not go with arrays of Dask"):
        minimize_batch(misfit, x0, (x,), columns, out={"x": x0})
    with pytest.raises(ValueError, match=r"`data\[1\]` must be an array"):
        minimize_batch(misfit, x0, (x,), (columns[0], list(scale)))
    with pytest.raises(TypeError, match="wrong"):
        minimize_batch(misfit, x0, (x,), columns, wrong=1)


def test_the_first_block_of_a_call_waits_for_another_process_that_compiles(monkeypatch, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(nbadam.dask, "folders", lambda: iter([tmp_path]))
    order = []
    with (tmp_path / "first_block.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=nbadam.dask.in_turn, args=("a call", lambda: order.append("first")))
        thread.start()
        thread.join(0.2)
        order.append("other")
    thread.join()
    with (tmp_path / "first_block.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the one that waited does not hold it
        nbadam.dask.in_turn("a call", lambda: order.append("second"))
    assert order == ["other", "first", "second"]
