"""Fuzzers: random arguments, and data of random size and layout.  Seeds are free, and part of the message."""

import datetime
import decimal
import fractions
import os
import random
import time
import traceback
import warnings

import numpy as np
import pytest
from numba import njit
from scipy.optimize import minimize
from subprocesses import needs_ordinary_kernels

import nbadam
from nbadam.checks import shown

SECONDS = float(os.environ.get("NBADAM_FUZZ", 3))  # of each fuzzer, of the processor


def free_seed() -> int:
    """Return a new seed if NBADAM_FUZZ asks for a search; otherwise the one by which CI repeats itself."""
    return random.randrange(2**32) if "NBADAM_FUZZ" in os.environ else 0


M = 12
X = np.linspace(0, 4, M)
Y = 2 * X + 1 + 0.1 * np.sin(9 * X)

pytestmark = [needs_ordinary_kernels, pytest.mark.filterwarnings("ignore")]


def line(x, a, b):
    return a * x + b


def bowl(x):
    return float((x - 1) @ (x - 1)), 2 * (x - 1)


@njit
def rows(p, y):
    return (p[0] - y[0]) ** 2, 2 * (p - y[0])


ODD = [
    None, 0, 1, -1, 3, 1.5, True, 1j, 10**400, 10**5000, "1", "a", "", b"x", [], (), {}, [1], [1, 2],
    [1, 2, 3], [[1, 2]], [[1], [2]], {"a": 1}, {"a": (0, 1)}, {"b": None}, {1: 2}, {"z": 3}, np.nan, np.inf,
    -0.0, 1e308, 1e-320, [np.nan, 1], np.zeros(0), np.zeros((0, M)), np.zeros((2, 0)), np.ones(M),
    np.ones((M, 1)),
    np.ones((1, M)), np.ones((2, M)), np.ones((M, 2)), np.ones((3, 4, M)), np.eye(M), X, Y, X.astype(object),
    np.array([None] * M), np.ma.array(X, mask=X > 2), np.ma.masked_all(M), np.ma.masked, X.astype(">f4"),
    X.astype("f2"), X.astype(np.longdouble), X > 2, np.datetime64("2020"), np.arange(M).astype("M8[D]"),
    ["a"] * M, [X, X], [X, X[:5]], [[1, 2], [3]], (X, X), object(), lambda *a: 1, line, bowl, np.sin, int,
    datetime.date(2020, 1, 1), decimal.Decimal("1.5"), fractions.Fraction(1, 3), range(M), {1, 2},
    np.float32(1), np.int8(1), np.array(1), np.str_("a"), "a*x+b", "lm", "adam", "linear", nbadam, slice(3),
    ..., NotImplemented, np.zeros(3, dtype=[("a", float)]), memoryview(b"abcd"), bytearray(b"ab"),
]  # fmt: skip


def method(fun=bowl, x0=(0.0, 0.0), jac=True, bounds=None, tol=None, args=(), callback=None, **options):
    arguments = {"jac": jac, "bounds": bounds, "tol": tol, "args": args, "callback": callback}
    limits = {"maxiter": 50, "max_time": 2}  # a run of 1e308 steps that has none is no fault
    return minimize(fun, x0, method=nbadam.adam, options=limits | options, **arguments)


def optimizer(rule=nbadam.Adam, value=X, gradient=Y, **settings):
    opt = rule(**settings)
    opt.apply_gradients([(gradient, np.array(value, float))])
    return opt


# By name: the function, arguments with which it works, and the names of all that are drawn.
TARGETS = {
    "curve_fit": (
        nbadam.curve_fit,
        {"f": line, "xdata": X, "ydata": Y, "p0": [1, 1], "max_nfev": 100},
        "f xdata ydata p0 sigma absolute_sigma check_finite bounds method jac loss f_scale mask fixed tied "
        "dtype ftol xtol max_nfev batch_size rng search workers nan_policy full_output weights",
    ),
    "minimize": (
        method,
        {},
        "fun x0 jac bounds tol args callback learning_rate steps maxiter gtol ftol xtol patience average "
        "clipnorm clipvalue weight_decay x_scale beta_1 beta_2 epsilon max_time disp progress",
    ),
    "minimize_batch": (
        nbadam.minimize_batch,
        {"fun": rows, "x0": np.zeros((3, 1)), "data": (np.ones((3, 1)),), "maxiter": 50},
        "fun x0 data args rule bounds x_scale learning_rate steps maxiter gtol ftol xtol average clipnorm "
        "clipvalue weight_decay workers out callback",
    ),
    "optimizer": (
        optimizer,
        {},
        "value gradient learning_rate beta_1 beta_2 epsilon amsgrad weight_decay clipnorm clipvalue "
        "global_clipnorm use_ema ema_momentum name",
    ),
}


@pytest.mark.parametrize("target", TARGETS)
def test_any_arguments_give_a_result_or_one_line(target):
    seed = free_seed()
    draw = random.Random(seed)
    function, good, names = TARGETS[target]
    end, number = time.process_time() + SECONDS, 0
    while time.process_time() < end:
        number += 1
        chosen = draw.sample(names.split(), draw.randint(1, 3))
        odd = {name: draw.choice(ODD) for name in chosen}
        try:
            function(**good | odd)
        except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
            told = str(error)
            last = traceback.extract_tb(error.__traceback__)[-1].filename
            is_ours = isinstance(error, ValueError | TypeError | RuntimeError)
            # An error of the user's own callable is the user's.
            is_users = any(callable(value) for value in odd.values()) or last == __file__
            is_clear = is_ours and "\n" not in told and len(told) < 450
            assert is_users or is_clear, (seed, number, list(map(shown, odd.items())), repr(error))
    assert number > 10


def test_data_of_any_size_and_layout():
    """Powers of two in the unit of y change nothing, or the fit says so; masks and views do as they mean."""
    seed = free_seed()
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        m = draw.randint(5, 30)
        base = rng.standard_normal(4 * m)
        x, y = base[:m].copy(), 2 * base[:m] + 1 + 0.1 * base[m : 2 * m]
        plain = nbadam.curve_fit(line, x, y, [1, 1])
        exponent = draw.randint(-1074, 1000)
        scaled = np.ldexp(y, exponent)
        note = seed, m, exponent
        start = np.ldexp([1.0, 1.0], max(exponent, -1022))
        fit = nbadam.curve_fit(line, [x, x], [scaled, scaled], start)  # of two: none raises
        rounding = max(1e-12, 8 * 5e-324 / np.abs(scaled).max()) if scaled.any() else 1
        if fit.success.all():
            found = np.ldexp(fit.popt[0], -exponent)
            np.testing.assert_allclose(found, plain.popt, rtol=rounding, atol=rounding, err_msg=str(note))
        else:  # squares of the residuals underflow or overflow
            assert exponent < -480 or exponent > 480, (note, fit.status)
        # Views of one memory, masks, and several data sets: the bits of plain copies.
        mask = rng.random(m) < 0.3
        expected = nbadam.curve_fit(line, x[~mask], y[~mask], [1, 1]).popt if (~mask).sum() > 2 else None
        for given in (
            {"ydata": np.ma.array(np.where(mask, 1e30, y), mask=mask), "xdata": x},
            {"ydata": y, "xdata": np.ma.array(np.where(mask, 1e30, x), mask=mask)},
            {"ydata": y, "xdata": x, "sigma": np.ma.array(np.where(mask, 1e-30, 1.0), mask=mask)},
            {"ydata": np.where(mask, np.nan, y), "xdata": x},
            {"ydata": y, "xdata": x, "mask": mask},
        ):
            if expected is not None:
                popt = nbadam.curve_fit(line, p0=[1, 1], **given).popt
                np.testing.assert_allclose(popt, expected, rtol=1e-9, atol=1e-9, err_msg=str(note))
        step = draw.choice([1, 2, 3, -1])
        view = base[::step][:m]
        other = np.frombuffer(base.data, count=m)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = nbadam.curve_fit(line, view, other, [1, 1])
            two = nbadam.curve_fit(line, view.copy(), other.copy(), [1, 1])
        np.testing.assert_array_equal(one.popt, two.popt, err_msg=str(note))
