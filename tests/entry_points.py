"""Short calls of everything that runs compiled code, for programs in processes of their own.

Each returns a digest of the bits of its results.
"""

import numpy as np
from numba import njit
from probes import bits, large_fit, large_steps
from scipy.optimize import minimize

import nbadam


@njit
def bowl(x):
    """Return value and gradient, compiled."""
    return ((x - 1.0) ** 2).sum(), 2 * (x - 1.0)


@njit
def rows(p, g, y):
    """Return the value of one problem of a batch."""
    g[0] = 2 * (p[0] - y[0])
    return (p[0] - y[0]) ** 2


def plain(x):
    """Return value and gradient."""
    return float((x - 1) @ (x - 1)), 2 * (x - 1)


def value(x):
    """Return the value alone."""
    return plain(x)[0]


def decay(x, a, k, c):
    """Return the values of a model."""
    return a * np.exp(-k * x) + c


P0 = [2, 1, 0.3]
X = np.linspace(0, 4, 24)
Y = decay(X, *np.array([[3, 1, 0.5], [2, 0.5, 1], [1, 2, 0.2]]).T[:, :, None])
Y = np.tile(Y + 0.05 * np.sin(40 * X), (20, 1))
DATA = (np.random.default_rng(0).random((64, 1)),)
ONE = nbadam.curve_fit(decay, X, Y[0], P0)


def method(fun, **options):
    """Run a method from three zeros."""
    options = {"learning_rate": 0.05, "steps": 200} | options
    return bits(minimize(fun, np.zeros(3), jac=True, method=nbadam.adam, options=options).x)


def starts(fun, workers=2, **options):
    """Run a method from three starts."""
    options = {"learning_rate": 0.05, "steps": 200} | options
    return bits(nbadam.multistart(fun, np.eye(3), jac=True, options=options, workers=workers).x)


def batch(steps=50):
    """Run the problems of a batch."""
    return bits(nbadam.minimize_batch(rows, np.zeros((64, 1)), data=DATA, steps=steps).x)


def fit(f=decay, p0=P0, **more):
    """Fit all data sets."""
    result = nbadam.curve_fit(f, X, Y, p0, **more)
    return bits(result.popt, result.pcov, result.nfev)


def step():
    """Make steps of an optimizer."""
    opt, v = nbadam.Adam(0.1), np.ones(5)
    for _ in range(3):
        opt.apply_gradients([(v.copy(), v)])
    return bits(v)


CALLS = {
    "minimize": lambda: method(plain),
    "minimize, compiled": lambda: method(bowl),
    "minimize, values": lambda: bits(minimize(value, np.ones(2), method=nbadam.adam).x),
    "minimize_batch": batch,
    "multistart": lambda: starts(bowl),
    "curve_fit": fit,
    "formula": lambda: fit("a * exp(-k * x) + c"),
    "model": lambda: fit(nbadam.models.EXPONENTIAL, p0=None),
    "float32": lambda: fit(dtype=np.float32),
    "bounds": lambda: fit(bounds=(0, [2.5, 9, 9])),
    "loss": lambda: fit(loss="huber", f_scale=0.1),
    "adam": lambda: fit(method="adam", max_nfev=50),
    "search": lambda: fit(search="all"),
    "bootstrap": lambda: bits(ONE.bootstrap(200, rng=0).popt),
    "profile": lambda: bits(ONE.conf_int(method="profile")),
    "predict": lambda: bits(np.asarray(ONE.predict(X))),
    "step": step,
    "large step": large_steps,
    "large fit": large_fit,
}
