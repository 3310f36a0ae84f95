"""One run, driven from Python, in compiled code and as a problem of a batch: equal for every objective.

The objective reads its values and gradients off a table, whatever the point is.
"""

import os
import warnings

import numpy as np
import pytest
from numba import config, njit
from numpy.testing import assert_array_equal
from runs import assert_same
from scipy.optimize import Bounds, minimize

import nbadam

METHODS = {"adam": nbadam.rules.ADAM, "sgd": nbadam.rules.SGD_MOMENTUM}
# Tables of each kind of record, of which there are five; many more by `NBADAM_TABLES=2000 pytest ...`.
TABLES = int(os.environ.get("NBADAM_TABLES", "40" if not config.DISABLE_JIT else "1"))
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1e-308, 5e-324])


@njit(error_model="numpy")
def lookup(x, g, values, gradients, count):
    """Return the next value of a table, from whose beginning it goes on after its end."""
    k = count[0] % values.size
    count[0] += 1
    for i in range(x.size):
        g[i] = gradients[k, i]
    return values[k]


@njit(error_model="numpy")
def by_place(x, g, values, gradients):
    """Return the entry of a table that the place of a point decides, the same at every call."""
    total = 0.0
    for i in range(x.size):
        total += 0.37 * (i + 1) * x[i]
    k = 0
    if abs(total) < 1e15:
        k = int(np.floor(total * 8.0)) % values.size
    for i in range(x.size):
        g[i] = gradients[k, i]
    return values[k]


def python(fun):
    """Return a function that Python calls, and that returns value and gradient."""

    def both(x, *args):
        g = np.zeros_like(x)
        f = fun(x, g, *args)
        return f, g

    return both


# With Numba disabled, plain functions return the gradient.
COMPILED = {fun: python(fun) if config.DISABLE_JIT else fun for fun in (lookup, by_place)}


def draw_table(rng, n):
    """Draw a table of values and gradients, a few of which are special."""
    rows = int(rng.integers(1, 400))
    scale = 10.0 ** rng.uniform(-6, 3, 2)
    values = scale[0] * rng.standard_normal(rows) * rng.choice([0.0, 1.0], p=[0.2, 0.8])
    gradients = scale[1] * rng.standard_normal((rows, n))
    if rng.random() < 0.4:
        gradients *= (-1.0) ** np.arange(rows)[:, None]  # a cycle, whose mean vanishes
    if rng.random() < 0.3:
        gradients *= rng.choice([0.0, 1.0], (rows, n))
    if rng.random() < 0.4:
        values[rng.integers(rows)] = rng.choice(SPECIAL)
    if rng.random() < 0.3:
        gradients[rng.integers(rows), rng.integers(n)] = rng.choice(SPECIAL)
    return values, gradients


def draw_bounds(rng, x0):
    """Draw bounds, infinite and equal ones among them, or none."""
    if rng.random() < 0.4:
        return None
    lower, upper = x0 - rng.exponential(0.2, x0.size), x0 + rng.exponential(0.2, x0.size)
    lower[rng.random(x0.size) < 0.3] = -np.inf
    upper[rng.random(x0.size) < 0.3] = np.inf
    fixed = rng.random(x0.size) < rng.choice([0.0, 0.2, 1.0], p=[0.7, 0.2, 0.1])
    lower[fixed] = upper[fixed] = x0[fixed]
    return Bounds(lower, upper)


def draw_options(rng, n, is_auto, has_fractions, average):
    """Draw options that a run and a batch share."""
    rate = 10.0 ** rng.uniform(-4, 0)
    rates = [rate, rate, lambda step: rate / (1 + 0.01 * step), 1e308]
    options = {"average": average, "learning_rate": rates[rng.integers(len(rates))]}
    if has_fractions:
        options["learning_rate"] = rate * rng.choice([0.0, 0.5, 1.0], n) + 1e-5
    if is_auto:
        options["learning_rate"] = "auto"
    options["steps" if rng.random() < 0.3 else "maxiter"] = int(rng.integers(0, 450))
    for name, draw in {
        "clipvalue": lambda: 10.0 ** rng.uniform(-3, 2),
        "clipnorm": lambda: 10.0 ** rng.uniform(-3, 2),
        "weight_decay": lambda: 10.0 ** rng.uniform(-4, -1),
        "x_scale": lambda: 10.0 ** rng.uniform(-2, 2, n),
        "gtol": lambda: 10.0 ** rng.uniform(-6, 3),
        "ftol": lambda: 10.0 ** rng.uniform(-9, 0),
        "xtol": lambda: 10.0 ** rng.uniform(-9, 0),
        "patience": lambda: int(rng.integers(10, 200)),
    }.items():
        if rng.random() < 0.35:
            options[name] = draw()
    return options


def draw_more_options(rng, options, is_auto):
    """Draw further options, from another generator: the tables of a seed stay."""
    if rng.random() < 0.3:
        options["on_nonfinite"] = "skip"
    if not is_auto and "patience" in options and rng.random() < 0.5:
        options |= {"reductions": int(rng.integers(1, 4)), "reduction": float(rng.uniform(0.0, 0.9))}


def assert_agreement(seed, method, is_auto, has_fractions, average):
    """Assert that a problem drawn by a seed has one result in all ways to run it."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 3, 17]))
    x0 = rng.standard_normal(n) * rng.choice([0.0, 1.0], n)
    table, bounds = draw_table(rng, n), draw_bounds(rng, x0)
    options = draw_options(rng, n, is_auto, has_fractions, average)
    draw_more_options(np.random.default_rng([seed, 1]), options, is_auto)
    call = {"x0": x0, "bounds": bounds, "jac": True, "method": getattr(nbadam, method), "options": options}

    def counted():
        return *table, np.zeros(1, np.int64)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", UserWarning)
        for fun, args in ((lookup, counted), (by_place, lambda: table)):
            driven = minimize(python(fun), args=args(), **call)
            assert_same(minimize(COMPILED[fun], args=args(), **call), driven)
        row = nbadam.minimize_batch(
            fun, x0[None], args=table, rule=METHODS[method], bounds=bounds, workers=1, **options
        )
    assert_array_equal(row.x[0], driven.x)
    assert_array_equal(row.fun[0], driven.fun)
    assert (row.nit[0], row.status[0]) == (driven.nit, driven.status)


KINDS = [
    ("adam", False, False, "last"),
    ("adam", True, False, "tail"),
    ("adam", False, True, "ema"),
    ("adam", True, True, "best"),
    ("sgd", False, False, "tail"),
]


@pytest.mark.parametrize(("method", "is_auto", "has_fractions", "average"), KINDS)
def test_every_table_gives_one_result(method, is_auto, has_fractions, average, monkeypatch):
    monkeypatch.setattr("nbadam.methods.minimize.is_jitted", lambda fun: fun in COMPILED.values())
    for seed in (*range(TABLES), 115, 207):  # the last two are those of errors that there were
        try:
            assert_agreement(seed, method, is_auto, has_fractions, average)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
