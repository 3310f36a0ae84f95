"""Nine threads that call everything at once under each threading layer: the bits are those of one thread."""

import pytest
from subprocesses import finish, needs_ordinary_kernels, share_cache, start

pytestmark = needs_ordinary_kernels

PROGRAM = """
import threading, warnings
import numpy as np
from numba import njit
from scipy.optimize import minimize
import nbadam
from nbadam import models
from probes import bits, large_fit, large_steps, say

warnings.simplefilter("ignore")

@njit
def bowl(x):
    return ((x - 1.0) ** 2).sum(), 2 * (x - 1.0)

@njit
def rows(p, g, y):
    g[0] = 2 * (p[0] - y[0])
    return (p[0] - y[0]) ** 2

def plain(x):
    return float((x - 1) @ (x - 1)), 2 * (x - 1)

def decay(x, a, k, c):
    return a * np.exp(-k * x) + c

x = np.linspace(0, 4, 24)
y = decay(x, *np.array([[3, 1, 0.5], [2, 0.5, 1], [1, 2, 0.2]]).T[:, :, None])
y = np.tile(y + 0.05 * np.sin(40 * x), (20, 1))
P0 = [2, 1, 0.3]
options = {"learning_rate": 0.05, "steps": 200}
data = (np.random.default_rng(0).random((64, 1)),)
one = nbadam.curve_fit(decay, x, y[0], P0)

def method(fun, **more):
    return bits(minimize(fun, np.zeros(3), jac=True, method=nbadam.adam, options=options | more).x)

def fit(f=decay, data=y, p0=P0, **more):
    result = nbadam.curve_fit(f, x, data, p0, **more)
    return bits(result.popt, result.pcov, result.nfev)

def step():
    opt, v = nbadam.Adam(0.1), np.ones(5)
    for _ in range(3):
        opt.apply_gradients([(v.copy(), v)])
    return bits(v)

calls = {
    "minimize": lambda: method(plain),
    "minimize, compiled": lambda: method(bowl),
    "minimize, values": lambda: bits(minimize(lambda x: plain(x)[0], np.ones(2), method=nbadam.adam).x),
    "minimize_batch": lambda: bits(nbadam.minimize_batch(rows, np.zeros((64, 1)), data=data, steps=50).x),
    "multistart": lambda: bits(
        nbadam.multistart(bowl, np.eye(3), jac=True, options=options, workers=2).x
    ),
    "curve_fit": fit,
    "formula": lambda: fit("a * exp(-k * x) + c"),
    "model": lambda: fit(models.EXPONENTIAL, p0=None),
    "float32": lambda: fit(dtype=np.float32),
    "bounds": lambda: fit(bounds=(0, [2.5, 9, 9])),
    "loss": lambda: fit(loss="huber", f_scale=0.1),
    "adam": lambda: fit(method="adam", max_nfev=50),
    "search": lambda: fit(search="all"),
    "bootstrap": lambda: bits(one.bootstrap(200, rng=0).popt),
    "profile": lambda: bits(one.conf_int(method="profile")),
    "predict": lambda: bits(np.asarray(one.predict(x))),
    "step": step,
    "large step": large_steps,
    "large fit": large_fit,
}
expected = {name: call() for name, call in calls.items()}
names = list(calls)
barrier = threading.Barrier(9)
wrong = []

def all_of_them(first):
    order = names[first * 2 :] + names[: first * 2]
    barrier.wait()
    for name in order:
        try:
            if calls[name]() != expected[name]:
                wrong.append([name, "other bits"])
        except BaseException as error:
            wrong.append([name, repr(error)])

threads = [threading.Thread(target=all_of_them, args=(k,)) for k in range(8)]
for thread in threads:
    thread.start()
all_of_them(8)
for thread in threads:
    thread.join()
say(wrong=wrong, calls=len(names))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_nine_threads_call_everything_at_once(layer, tmp_path):
    process = start(PROGRAM, share_cache(tmp_path), NUMBA_THREADING_LAYER=layer)
    assert finish(process, timeout=400) == {"wrong": [], "calls": 19}
