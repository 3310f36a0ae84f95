"""Tables of data whose best coefficients are known exactly: regressions as people have them.

Nobody has scaled a column.  Each table is a generalized linear model, whose exact optimum is found by
iteratively reweighted least squares in float64, with the standard errors that the data leave it with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

SQUARES, LOGISTIC, POISSON, GAMMA = range(4)


@njit(error_model="numpy")
def loss(p, gradient, z, y, kind):
    """Mean negative log-likelihood of a generalized linear model with its usual link (GAMMA: logarithm)."""
    value = 0.0
    gradient[:] = 0.0
    for i in range(y.size):
        eta = 0.0
        for j in range(p.size):
            eta += z[i, j] * p[j]
        if kind == SQUARES:
            slope = eta - y[i]
            value += 0.5 * slope * slope
        elif kind == LOGISTIC:
            tail = np.exp(-abs(eta))
            value += np.log1p(tail) + max(eta, 0.0) - y[i] * eta
            slope = (1.0 if eta > 0 else tail) / (1 + tail) - y[i]
        elif kind == POISSON:
            mean = np.exp(eta)
            value += mean - y[i] * eta
            slope = mean - y[i]
        else:
            share = y[i] * np.exp(-eta)
            value += share + eta
            slope = 1 - share
        for j in range(p.size):
            gradient[j] += slope * z[i, j]
    gradient /= y.size
    return value / y.size


@dataclass(frozen=True)
class Table:
    """A regression, and its exact answer.

    `exact` and `errors` are None where there is no best answer (separable classes).
    """

    name: str
    kind: int
    z: np.ndarray
    y: np.ndarray
    batch_size: int
    third: int  # 0: looked at while choosing constants; 1: looked at once; 2: not looked at
    exact: np.ndarray | None
    errors: np.ndarray | None


TABLES: list[tuple[str, Callable, int, int]] = []


def table(name: str, third: int, batch_size: int = 256):
    """Register a function of a generator that returns kind, covariates without a constant, and y."""

    def register(make):
        TABLES.append((name, make, batch_size, third))
        return make

    return register


def all_tables(thirds=(0, 1, 2)) -> list[Table]:
    """Return the tables of some thirds, with their exact answers."""
    found = []
    for k, (name, make, batch_size, third) in enumerate(TABLES):
        if third in thirds:
            kind, z, y = make(np.random.default_rng(1000 + k))
            z = np.ascontiguousarray(np.column_stack([np.ones(len(y)), z]), dtype=float)
            y = np.asarray(y, dtype=float)
            exact, errors = optimum(kind, z, y)
            found.append(Table(name, kind, z, y, batch_size, third, exact, errors))
    return found


def optimum(kind, z, y) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the exact coefficients and their standard errors, or None twice where the iteration runs off."""
    size = np.sqrt((z * z).mean(axis=0))
    center = z.mean(axis=0) * (np.arange(z.shape[1]) > 0)
    spread = (z - center).std(axis=0)
    spread = np.where(spread > 0, spread, size)
    columns = (z - center) / spread
    p = np.zeros(z.shape[1])
    p[0] = {SQUARES: 0.0, LOGISTIC: 0.0}.get(kind, np.log(max(y.mean(), 1e-3)))
    for _ in range(60):
        eta = columns @ p
        if kind == SQUARES:
            slope, weight = eta - y, np.ones_like(y)
        elif kind == LOGISTIC:
            share = 1 / (1 + np.exp(-eta))
            slope, weight = share - y, share * (1 - share)
        elif kind == POISSON:
            weight = np.exp(eta)
            slope = weight - y
        else:
            weight = y * np.exp(-eta)
            slope = 1 - weight
        root = np.sqrt(weight)
        q, r = np.linalg.qr(root[:, None] * columns)
        step = np.linalg.solve(r, q.T @ (slope / np.where(root > 0, root, 1)))
        p -= step
        if not np.isfinite(p).all() or (kind == LOGISTIC and np.abs(columns @ p).max() > 30):
            return None, None
        if np.abs(step).max() < 1e-12 * max(1.0, np.abs(p).max()):
            break
    # Back to the raw columns: the constant takes up the centers.
    inverse = np.linalg.inv(r)
    back = np.diag(1 / spread)
    back[0] -= center / spread
    scale = 1.0
    if kind in (SQUARES, GAMMA):  # dispersion
        scale = (slope**2).mean()
    covariance = scale * (back @ inverse) @ (back @ inverse).T
    return back @ p, np.sqrt(np.diag(covariance))


def normal(rng, n, k):
    return rng.standard_normal((n, k))


def binary(rng, eta):
    return (rng.random(eta.size) < 1 / (1 + np.exp(-eta))).astype(float)


# --- Tuning --------------------------------------------------------------------------------------


@table("raw squares: incomes, ages, prices", 0)
def _(rng):
    n = 5_000
    income, age, price = rng.lognormal(10.5, 0.6, n), rng.normal(45, 12, n), rng.gamma(2, 150, n)
    y = 1e-3 * income + 12 * age - 0.05 * price + rng.normal(0, 200, n)
    return SQUARES, np.column_stack([income, age, price]), y


@table("affairs: logistic, scales of survey answers", 0)
def _(rng):
    n = 6_366
    rate, age = rng.integers(1, 6, n), rng.choice([17.5, 22, 27, 32, 37, 42], n)
    years = np.clip(age - 17 - rng.gamma(2, 2, n), 0.5, 23)
    children, religious = rng.choice([0, 1, 2, 3, 4, 5.5], n), rng.integers(1, 5, n)
    education, job, his = rng.choice([9, 12, 14, 16, 17, 20], n), rng.integers(1, 7, n), rng.integers(1, 7, n)
    z = np.column_stack([rate, age, years, children, religious, education, job, his])
    return (
        LOGISTIC,
        z,
        binary(rng, 3.7 - 0.7 * rate - 0.06 * age + 0.11 * years - 0.37 * religious + 0.16 * job),
    )


@table("50 uneven dummies: logistic", 0)
def _(rng):
    n, k = 100_000, 50
    share = np.geomspace(1, 1e-3, k + 1)
    level = rng.choice(k + 1, n, p=share / share.sum())
    z = (level[:, None] == np.arange(1, k + 1)).astype(float)
    return LOGISTIC, z, binary(rng, -0.5 + z @ rng.normal(0, 0.7, k))


@table("counts, log-mean 3", 0)
def _(rng):
    z = normal(rng, 10_000, 4)
    return POISSON, z, rng.poisson(np.exp(3 + z @ [0.3, -0.2, 0.1, 0.0]))


@table("intercept beside a column of mean 1e6: squares", 0)
def _(rng):
    n = 10_000
    column = rng.normal(1e6, 1e3, n)
    z = np.column_stack([column, normal(rng, n, 2)])
    return SQUARES, z, 2 + 1e-3 * (column - 1e6) + z[:, 1] + rng.normal(0, 1, n)


@table("rare binaries: logistic", 0)
def _(rng):
    n = 30_000
    z = (rng.random((n, 8)) < np.geomspace(0.3, 0.002, 8)).astype(float)
    return LOGISTIC, z, binary(rng, -1.5 + z @ [0.5, -0.5, 1, -1, 0.7, 1.2, -0.8, 1.5])


@table("separable classes: logistic", 0)
def _(rng):
    z = normal(rng, 2_000, 3)
    return LOGISTIC, z, (z @ [1.0, -2.0, 0.5] > 0.3).astype(float)


@table("correlated columns: squares", 0)
def _(rng):
    n = 20_000
    z = normal(rng, n, 10)
    for j in range(1, 10):
        z[:, j] = 0.99 * z[:, j - 1] + np.sqrt(1 - 0.99**2) * z[:, j]
    return SQUARES, z, z @ np.arange(10) / 5 + rng.normal(0, 2, n)


# --- Testing -------------------------------------------------------------------------------------


@table("clinical trial: logistic, 600 patients", 1, 32)
def _(rng):
    n = 600
    treated, age, male = rng.integers(0, 2, n), rng.normal(62, 9, n), rng.integers(0, 2, n)
    pressure, creatinine = rng.normal(140, 18, n), rng.lognormal(0, 0.4, n)
    sites = rng.choice(6, n)[:, None] == np.arange(1, 6)
    z = np.column_stack([treated, age, male, pressure, creatinine, sites])
    return LOGISTIC, z, binary(rng, -7 - 0.5 * treated + 0.05 * age + 0.02 * pressure + 0.5 * creatinine)


@table("counts, log-mean 6, and an exposure in thousands", 1)
def _(rng):
    n = 8_000
    z = np.column_stack([rng.gamma(3, 1_000, n), rng.integers(0, 2, n), rng.normal(20, 5, n)])
    return POISSON, z, rng.poisson(np.exp(5 + 1e-4 * z[:, 0] - 0.3 * z[:, 1] + 0.03 * z[:, 2]))


@table("intercept beside a column of mean 1e6: logistic", 1)
def _(rng):
    n = 20_000
    column = rng.normal(1e6, 1e4, n)
    z = np.column_stack([column, rng.integers(0, 2, n)])
    return LOGISTIC, z, binary(rng, 0.3 + 1e-4 * (column - 1e6) - 0.5 * z[:, 1])


@table("powers of age: logistic", 1)
def _(rng):
    n = 15_000
    age = rng.uniform(20, 80, n)
    z = np.column_stack([age, age**2, age**3, rng.integers(0, 2, n)])
    t = (age - 50) / 15
    return LOGISTIC, z, binary(rng, -0.5 + t - 0.4 * t**2 + 0.1 * t**3 + 0.3 * z[:, 3])


@table("overdispersed counts, heavy-tailed columns", 1)
def _(rng):
    n = 12_000
    z = rng.lognormal(0, 0.8, (n, 5)).clip(0, 12)
    mean = np.exp(0.5 + z @ [0.1, -0.1, 0.05, 0.02, 0.0])
    return POISSON, z, rng.poisson(mean * rng.gamma(0.7, 1 / 0.7, n))


@table("costs: gamma, logarithmic link", 1)
def _(rng):
    n = 10_000
    z = np.column_stack(
        [rng.normal(50, 15, n), rng.integers(0, 2, n), rng.poisson(2, n), rng.lognormal(3, 1, n)]
    )
    return GAMMA, z, rng.gamma(1.5, np.exp(7 + 0.01 * z[:, 0] + 0.3 * z[:, 1] + 0.1 * z[:, 2]) / 1.5)


@table("RAND: visits, Poisson", 1)
def _(rng):
    from nbadam.demo import load

    z, y = load()
    return POISSON, z[:, 1:], y


# --- Untouched -----------------------------------------------------------------------------------


@table("RAND: any visit, logistic *", 2)
def _(rng):
    from nbadam.demo import load

    z, y = load()
    return LOGISTIC, z[:, 1:], y > 0


@table("120 rows, 4 columns: squares *", 2, 16)
def _(rng):
    z = np.column_stack(
        [rng.normal(1e3, 50, 120), rng.normal(0, 1e-3, 120), rng.integers(0, 2, 120), rng.gamma(2, 2, 120)]
    )
    return SQUARES, z, 0.02 * z[:, 0] + 300 * z[:, 1] + z[:, 2] + rng.normal(0, 3, 120)


@table("years, months and weekdays: counts *", 2)
def _(rng):
    n = 4_000
    year, month, day = rng.integers(1990, 2021, n), rng.integers(1, 12, n), rng.integers(1, 7, n)
    z = np.column_stack([year, month[:, None] == np.arange(2, 12), day[:, None] == np.arange(2, 7)])
    return (
        POISSON,
        z,
        rng.poisson(np.exp(4 + 0.02 * (year - 2005) + 0.2 * np.cos(month / 2) + 0.1 * (day > 5))),
    )


@table("nearly separable, 1 case in 200 *", 2)
def _(rng):
    z = np.column_stack([normal(rng, 20_000, 3), rng.random(20_000) < 0.02])
    return LOGISTIC, z, binary(rng, -7 + z @ [1.5, 1.0, 0.5, 2.0])


@table("spectra: 20 smooth columns, squares *", 2)
def _(rng):
    n = 5_000
    t = np.linspace(0, 1, 20)
    z = 100 + np.cumsum(normal(rng, n, 20), axis=1)
    return SQUARES, z, z @ np.sin(6 * t) + rng.normal(0, 5, n)


@table("waiting times: gamma, units of seconds *", 2)
def _(rng):
    n = 6_000
    z = np.column_stack([rng.uniform(0, 86_400, n), rng.integers(0, 2, (n, 3)), rng.exponential(1e-6, n)])
    return GAMMA, z, rng.gamma(0.8, np.exp(5 + 2e-5 * z[:, 0] - 0.2 * z[:, 1] + 3e5 * z[:, 4]))
