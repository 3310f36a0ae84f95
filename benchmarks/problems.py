"""The problems on which learning rates are compared, all behind one compiled signature.

`MGH`: 32 of the 35 functions of Moré, Garbow and Hillstrom, "Testing unconstrained optimization
software", ACM TOMS 7, 1981, from their standard starts; the numbers beside them are the minima
printed there.  `others()`: noisy quadratics, mini-batch regressions on real tables, a mixture
likelihood and the fit of a differential equation.
"""

# ruff: noqa: NPY002 (Numba's generator is the one that compiled code can draw from without an argument)
import cmath
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files

import numpy as np
from numba import cfunc, njit, types
from scipy.optimize import least_squares, minimize

# value = evaluate(x, gradient, data, batch): writes the gradient; `batch` of the rows of `data` are
# drawn with replacement from Numba's generator (all of them if 0); noise comes from it as well.
EVALUATE = types.float64(
    types.float64[::1],
    types.float64[::1],
    types.Array(types.float64, 2, "C", readonly=True),
    types.int64,
)
TINY = 1e-30  # step of the complex-step derivative, which is exact to rounding


@dataclass(frozen=True)
class Problem:
    """An objective, where it starts, and its least value."""

    name: str
    evaluate: Callable  # a cfunc of type EVALUATE
    x0: np.ndarray
    optimum: float
    data: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    batch: int = 0
    noisy: bool = False
    scale: np.ndarray = field(default_factory=lambda: np.ones(1))  # the run's variables are x / scale

    def rescaled(self) -> "Problem":
        """Return the same problem with its variables in units that differ by decades."""
        scale = np.resize([0.1, 10.0, 1.0, 0.01, 100.0], self.x0.size)
        return replace(self, name=f"{self.name}, rescaled", scale=scale)


@njit
def objective(x, evaluate, scale, data, batch):
    """What nbadam minimizes: any of the problems, in scaled variables."""
    g = np.empty_like(x)
    f = evaluate(x * scale, g, data, batch)
    for i in range(x.size):
        g[i] *= scale[i]
    return f, g


def of_residuals(residuals: Callable, m: int):
    """Make a sum of squares and its gradient from ``residuals(x, r)`` in complex arithmetic."""
    compiled = njit(residuals)

    @cfunc(EVALUATE)
    def evaluate(x, g, data, batch):
        z, r = x.astype(np.complex128), np.empty(m, np.complex128)
        f = 0.0
        for i in range(x.size):
            z[i] = complex(x[i], TINY)
            compiled(z, r)
            z[i] = x[i]
            g[i] = f = 0.0
            for j in range(m):
                f += r[j].real ** 2
                g[i] += 2.0 * r[j].real * (r[j].imag / TINY)
        return f

    return evaluate


# --- Moré, Garbow and Hillstrom ------------------------------------------------------------------

MGH: list[tuple] = []  # (residuals, m, x0, printed minimum)


def standard(m, x0, minimum=0.0):
    def register(residuals):
        MGH.append((residuals, m, np.array(x0, dtype=float), minimum))
        return residuals

    return register


@standard(2, [-1.2, 1])
def rosenbrock(x, r):
    r[0] = 10 * (x[1] - x[0] * x[0])
    r[1] = 1 - x[0]


@standard(2, [0.5, -2])
def freudenstein_roth(x, r):
    r[0] = -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1]
    r[1] = -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]


@standard(2, [0, 1])
def powell_badly_scaled(x, r):
    r[0] = 1e4 * x[0] * x[1] - 1
    r[1] = cmath.exp(-x[0]) + cmath.exp(-x[1]) - 1.0001


@standard(3, [1, 1])
def brown_badly_scaled(x, r):
    r[0] = x[0] - 1e6
    r[1] = x[1] - 2e-6
    r[2] = x[0] * x[1] - 2


@standard(3, [1, 1])
def beale(x, r):
    r[0] = 1.5 - x[0] * (1 - x[1])
    r[1] = 2.25 - x[0] * (1 - x[1] * x[1])
    r[2] = 2.625 - x[0] * (1 - x[1] * x[1] * x[1])


@standard(10, [0.3, 0.4], 124.362)
def jennrich_sampson(x, r):
    for i in range(1, 11):
        r[i - 1] = 2 + 2 * i - (cmath.exp(i * x[0]) + cmath.exp(i * x[1]))


@standard(3, [-1, 0, 0])
def helical_valley(x, r):
    angle = cmath.atan(x[1] / x[0]) / (2 * np.pi)
    if x[0].real < 0:
        angle += 0.5
    r[0] = 10 * (x[2] - 10 * angle)
    r[1] = 10 * (cmath.sqrt(x[0] * x[0] + x[1] * x[1]) - 1)
    r[2] = x[2]


BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39])


@standard(15, [1, 1, 1], 8.21487e-3)
def bard(x, r):
    for i in range(15):
        u, v = i + 1.0, 15.0 - i
        r[i] = BARD[i] - (x[0] + u / (v * x[1] + min(u, v) * x[2]))


GAUSS = np.array([9, 44, 175, 540, 1295, 2420, 3521, 3989, 3521, 2420, 1295, 540, 175, 44, 9]) * 1e-4


@standard(15, [0.4, 1, 0], 1.12793e-8)
def gaussian(x, r):
    for i in range(15):
        d = (7 - i) / 2 - x[2]
        r[i] = x[0] * cmath.exp(-x[1] * d * d / 2) - GAUSS[i]


MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
)


@standard(16, [0.02, 4000, 250], 87.9458)
def meyer(x, r):
    for i in range(16):
        r[i] = x[0] * cmath.exp(x[1] / (50 + 5 * i + x[2])) - MEYER[i]


@standard(99, [5, 2.5, 0.15])
def gulf(x, r):
    for i in range(99):
        t = (i + 1) / 100
        d = 25 + (-50 * np.log(t)) ** (2 / 3) - x[1]
        r[i] = cmath.exp(-cmath.exp(x[2] * cmath.log(cmath.sqrt(d * d))) / x[0]) - t


@standard(10, [0, 10, 20])
def box(x, r):
    for i in range(10):
        t = 0.1 * (i + 1)
        r[i] = cmath.exp(-t * x[0]) - cmath.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


@standard(4, [3, -1, 0, 1])
def powell_singular(x, r):
    a, b = x[1] - 2 * x[2], x[0] - x[3]
    r[0] = x[0] + 10 * x[1]
    r[1] = np.sqrt(5) * (x[2] - x[3])
    r[2] = a * a
    r[3] = np.sqrt(10) * b * b


@standard(6, [-3, -1, -3, -1])
def wood(x, r):
    r[0] = 10 * (x[1] - x[0] * x[0])
    r[1] = 1 - x[0]
    r[2] = np.sqrt(90) * (x[3] - x[2] * x[2])
    r[3] = 1 - x[2]
    r[4] = np.sqrt(10) * (x[1] + x[3] - 2)
    r[5] = (x[1] - x[3]) / np.sqrt(10)


KOWALIK = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
DOSES = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


@standard(11, [0.25, 0.39, 0.415, 0.39], 3.07505e-4)
def kowalik_osborne(x, r):
    for i in range(11):
        u = DOSES[i]
        r[i] = KOWALIK[i] - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3])


@standard(20, [25, 5, -5, -1], 85822.2)
def brown_dennis(x, r):
    for i in range(20):
        t = (i + 1) / 5
        a = x[0] + t * x[1] - np.exp(t)
        b = x[2] + x[3] * np.sin(t) - np.cos(t)
        r[i] = a * a + b * b


OSBORNE_1 = 1e-3 * np.array(
    (
        "844 908 932 936 925 908 881 850 818 784 751 718 685 658 628 603 580 558 538 522 506 490 478 467 "
        "457 448 438 431 424 420 414 411 406"
    ).split(),
    dtype=float,
)


@standard(33, [0.5, 1.5, -1, 0.01, 0.02], 5.46489e-5)
def osborne_1(x, r):
    for i in range(33):
        t = 10.0 * i
        r[i] = OSBORNE_1[i] - (x[0] + x[1] * cmath.exp(-t * x[3]) + x[2] * cmath.exp(-t * x[4]))


@standard(13, [1, 2, 1, 1, 1, 1])
def biggs(x, r):
    for i in range(13):
        t = 0.1 * (i + 1)
        y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
        r[i] = x[2] * cmath.exp(-t * x[0]) - x[3] * cmath.exp(-t * x[1]) + x[5] * cmath.exp(-t * x[4]) - y


OSBORNE_2 = 1e-3 * np.array(
    (
        "1366 1191 1112 1013 991 885 831 847 786 725 746 679 608 655 616 606 602 626 651 724 649 649 694 "
        "644 624 661 612 558 533 495 500 423 395 375 372 391 396 405 428 429 523 562 607 653 672 708 633 "
        "668 645 632 591 559 597 625 739 710 729 720 636 581 428 292 162 98 54"
    ).split(),
    dtype=float,
)


@standard(65, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], 4.01377e-2)
def osborne_2(x, r):
    for i in range(65):
        t = 0.1 * i
        y = x[0] * cmath.exp(-t * x[4])
        for k in range(3):
            d = t - x[8 + k]
            y += x[1 + k] * cmath.exp(-d * d * x[5 + k])
        r[i] = OSBORNE_2[i] - y


@standard(31, np.zeros(6), 2.28767e-3)
def watson(x, r):
    for i in range(29):
        t = (i + 1) / 29
        slope, value, power = 0j, 0j, 1.0
        for j in range(x.size):
            value += x[j] * power
            if j + 1 < x.size:
                slope += (j + 1) * x[j + 1] * power
            power *= t
        r[i] = slope - value * value - 1
    r[29] = x[0]
    r[30] = x[1] - x[0] * x[0] - 1


@standard(10, np.tile([-1.2, 1], 5))
def extended_rosenbrock(x, r):
    for i in range(0, 10, 2):
        r[i] = 10 * (x[i + 1] - x[i] * x[i])
        r[i + 1] = 1 - x[i]


@standard(12, np.tile([3, -1, 0, 1], 3))
def extended_powell(x, r):
    for i in range(0, 12, 4):
        a, b = x[i + 1] - 2 * x[i + 2], x[i] - x[i + 3]
        r[i] = x[i] + 10 * x[i + 1]
        r[i + 1] = np.sqrt(5) * (x[i + 2] - x[i + 3])
        r[i + 2] = a * a
        r[i + 3] = np.sqrt(10) * b * b


@standard(11, np.arange(1, 11), 7.08765e-5)
def penalty_1(x, r):
    total = -0.25 + 0j
    for i in range(10):
        r[i] = np.sqrt(1e-5) * (x[i] - 1)
        total += x[i] * x[i]
    r[10] = total


@standard(20, np.full(10, 0.5), 2.93660e-4)
def penalty_2(x, r):
    root = np.sqrt(1e-5)
    total = -1 + 0j
    for i in range(10):
        total += (10 - i) * x[i] * x[i]
        if i > 0:
            y = np.exp((i + 1) / 10) + np.exp(i / 10)
            r[i] = root * (cmath.exp(x[i] / 10) + cmath.exp(x[i - 1] / 10) - y)
            r[9 + i] = root * (cmath.exp(x[i] / 10) - np.exp(-0.1))
    r[0] = x[0] - 0.2
    r[19] = total


@standard(12, 1 - np.arange(1, 11) / 10)
def variably_dimensioned(x, r):
    total = 0j
    for i in range(10):
        r[i] = x[i] - 1
        total += (i + 1) * (x[i] - 1)
    r[10] = total
    r[11] = total * total


@standard(10, np.full(10, 0.1))
def trigonometric(x, r):
    total = 10 + 0j
    for i in range(10):
        total -= cmath.cos(x[i])
    for i in range(10):
        r[i] = total + (i + 1) * (1 - cmath.cos(x[i])) - cmath.sin(x[i])


@standard(10, np.full(10, 0.5))
def brown_almost_linear(x, r):
    total, product = -11 + 0j, 1 + 0j
    for i in range(10):
        total += x[i]
        product *= x[i]
    for i in range(9):
        r[i] = x[i] + total
    r[9] = product - 1


GRID = np.arange(1, 11) / 11


@standard(10, GRID * (GRID - 1))
def discrete_boundary(x, r):
    for i in range(10):
        left = x[i - 1] if i > 0 else 0j
        right = x[i + 1] if i < 9 else 0j
        a = x[i] + (i + 1) / 11 + 1
        r[i] = 2 * x[i] - left - right + a * a * a / 242


@standard(10, GRID * (GRID - 1))
def discrete_integral(x, r):
    for i in range(10):
        t, total = (i + 1) / 11, 0j
        for j in range(10):
            s = (j + 1) / 11
            a = x[j] + s + 1
            total += (s * (1 - t) if j <= i else t * (1 - s)) * a * a * a
        r[i] = x[i] + total / 22


@standard(10, np.full(10, -1.0))
def broyden_tridiagonal(x, r):
    for i in range(10):
        left = x[i - 1] if i > 0 else 0j
        right = x[i + 1] if i < 9 else 0j
        r[i] = (3 - 2 * x[i]) * x[i] - left - 2 * right + 1


@standard(10, np.full(10, -1.0))
def broyden_banded(x, r):
    for i in range(10):
        r[i] = x[i] * (2 + 5 * x[i] * x[i]) + 1
        for j in range(max(0, i - 5), min(10, i + 2)):
            if j != i:
                r[i] -= x[j] * (1 + x[j])


@standard(8, np.arange(1, 9) / 9, 3.51687e-3)
def chebyquad(x, r):
    for i in range(8):
        r[i] = 1 / ((i + 1) ** 2 - 1) if i % 2 else 0
    for j in range(8):
        before, now = 1 + 0j, 2 * x[j] - 1
        for i in range(8):
            r[i] += now / 8
            before, now = now, 2 * (2 * x[j] - 1) * now - before


def more_garbow_hillstrom() -> list[Problem]:
    """Return the problems, with their minima to full precision."""
    problems = []
    for residuals, m, x0, printed in MGH:
        optimum = 0.0
        if printed > 0:
            optimum = smallest_sum(residuals, m, x0)
            assert abs(optimum - printed) <= 1e-5 * printed, (residuals.__name__, optimum)
        name = residuals.__name__.replace("_", " ")
        problems.append(Problem(name, of_residuals(residuals, m), x0, optimum))
    return problems


def smallest_sum(residuals, m, x0):
    def real(x):
        r = np.empty(m, np.complex128)
        residuals(x.astype(complex), r)
        return r.real

    return 2 * least_squares(real, x0, x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15).cost


# --- Noisy quadratics ----------------------------------------------------------------------------


@cfunc(EVALUATE)
def quadratic(x, g, data, batch):
    """x' A x / 2 + sigma z' x with fresh normal z (none if `batch` is 0); sigma is below A."""
    f = 0.0
    for i in range(x.size):
        g[i] = data[x.size, 0] * np.random.standard_normal() if batch else 0.0
        f += g[i] * x[i]
        for j in range(x.size):
            g[i] += data[i, j] * x[j]
            f += 0.5 * x[i] * data[i, j] * x[j]
    return f


def noisy_quadratics() -> list[Problem]:
    """Return quadratics of 20 variables, rotated, of three condition numbers and three levels of noise."""
    n = 20
    mirror = np.random.default_rng(1).standard_normal(n)
    mirror /= np.linalg.norm(mirror)
    rotation = np.eye(n) - 2 * np.outer(mirror, mirror)
    problems = []
    for condition in (10, 1_000, 100_000):
        for sigma in (0.01, 0.1, 1.0):
            a = rotation @ np.diag(np.geomspace(1, 1 / condition, n)) @ rotation
            data = np.vstack([a, np.full(n, sigma)])
            name = f"quadratic, condition {condition:,}, noise {sigma:g}"
            problems.append(Problem(name, quadratic, np.ones(n), 0.0, data, 1, True))
    return problems


# --- Regressions on real tables ------------------------------------------------------------------


def generalized(loss: Callable):
    """Make a mean loss from ``loss(eta, y) -> value, slope``; `data` holds covariates and, last, y.

    The last row holds, first, the weight of a ridge.
    """
    compiled = njit(loss)

    @cfunc(EVALUATE)
    def evaluate(x, g, data, batch):
        rows = len(data) - 1
        count = batch if batch else rows
        f = 0.0
        g[:] = 0.0
        for k in range(count):
            i = np.random.randint(rows) if batch else k
            eta = 0.0
            for j in range(x.size):
                eta += data[i, j] * x[j]
            value, slope = compiled(eta, data[i, x.size])
            f += value
            for j in range(x.size):
                g[j] += slope * data[i, j]
        f /= count
        for j in range(x.size):
            f += 0.5 * data[rows, 0] * x[j] * x[j]
            g[j] = g[j] / count + data[rows, 0] * x[j]
        return f

    return evaluate


def poisson_loss(eta, y):
    mean = np.exp(eta)
    return mean - y * eta, mean - y


def logistic_loss(eta, y):  # y is -1 or 1
    if y * eta > 0:
        tail = np.exp(-y * eta)
        return np.log1p(tail), -y * tail / (1 + tail)
    tail = np.exp(y * eta)
    return np.log1p(tail) - y * eta, -y / (1 + tail)


def huber_loss(eta, y):
    error = eta - y
    if abs(error) <= 0.5:
        return 0.5 * error * error, error
    return 0.5 * (abs(error) - 0.25), 0.5 * np.sign(error)


def standardized(table):
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1)


def regression(name, evaluate, covariates, y, batch=32, ridge=0.0):
    data = np.column_stack([np.ones(len(y)), covariates, y])
    data = np.vstack([data, np.full(data.shape[1], ridge)])
    x0 = np.zeros(data.shape[1] - 1)
    return Problem(name, evaluate, x0, least(evaluate, x0, data), data, batch, True)


def least(evaluate, x0, data):
    """Return the least value of a smooth convex function, or the local one near `x0`."""
    ones = np.ones_like(x0)

    def fun(x):
        return objective(x, evaluate, ones, data, 0)

    fits = [minimize(fun, x0, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 10_000})]
    for _ in range(3):
        fits.append(
            minimize(
                fun, fits[-1].x, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-12, "maxcor": 50}
            )
        )
    return min(fit.fun for fit in fits)


def regressions() -> list[Problem]:
    """Return Poisson, logistic and Huber regressions on mini-batches of real tables."""
    poisson, logistic, huber = map(generalized, (poisson_loss, logistic_loss, huber_loss))
    table = np.genfromtxt(str(files("nbadam") / "data" / "randhie.csv"), delimiter=",", skip_header=1)
    visits, covariates = table[:, 0], table[:, 1:]
    problems = [
        regression("RAND, Poisson, standardized", poisson, standardized(covariates), visits, 64),
        regression("RAND, Poisson, as it is", poisson, covariates, visits, 64),
        regression("RAND, logistic", logistic, standardized(covariates), np.where(visits > 0, 1.0, -1.0), 64),
    ]
    try:
        from sklearn import datasets
    except ModuleNotFoundError:
        print("scikit-learn is not installed: its tables are left out.")
        return problems
    cancer, digits = datasets.load_breast_cancer(), datasets.load_digits()
    sugar, wine = datasets.load_diabetes(), datasets.load_wine()
    x, y = standardized(sugar.data), standardized(sugar.target[:, None])[:, 0]
    return [
        *problems,
        regression(
            "breast cancer, logistic", logistic, standardized(cancer.data), 2.0 * cancer.target - 1, 32, 1e-3
        ),
        regression("digits, logistic", logistic, digits.data / 16, 2.0 * (digits.target % 2) - 1, 32, 1e-3),
        regression("diabetes, Huber", huber, x, y),
        regression("diabetes, Huber, raw", huber, sugar.data, y),
        regression(
            "wine, Huber", huber, standardized(wine.data[:, 1:]), standardized(wine.data[:, :1])[:, 0], 16
        ),
    ]


# --- A mixture and a differential equation -------------------------------------------------------


@cfunc(EVALUATE)
def mixture(x, g, data, batch):
    """Mean negative log-likelihood of two normals: logit of the share, means, log deviations."""
    count = batch if batch else len(data)
    f = 0.0
    g[:] = 0.0
    share = 1 / (1 + np.exp(-x[0]))
    for k in range(count):
        y = data[np.random.randint(len(data)) if batch else k, 0]
        z0, z1 = (y - x[1]) * np.exp(-x[3]), (y - x[2]) * np.exp(-x[4])
        log0 = np.log(share) - 0.5 * z0 * z0 - x[3]
        log1 = np.log(1 - share) - 0.5 * z1 * z1 - x[4]
        top = max(log0, log1)
        total = top + np.log(np.exp(log0 - top) + np.exp(log1 - top))
        first = np.exp(log0 - total)
        f -= total
        g[0] -= first - share
        g[1] -= first * z0 * np.exp(-x[3])
        g[2] -= (1 - first) * z1 * np.exp(-x[4])
        g[3] -= first * (z0 * z0 - 1)
        g[4] -= (1 - first) * (z1 * z1 - 1)
    for j in range(5):
        g[j] /= count
    return f / count


def mixtures() -> list[Problem]:
    rng = np.random.default_rng(2)
    y = np.where(rng.random(2_000) < 0.3, rng.normal(-1, 0.5, 2_000), rng.normal(2, 1, 2_000))
    data, x0 = np.ascontiguousarray(y[:, None]), np.array([0, -0.5, 0.5, 0, 0])
    optimum = least(mixture, x0, data)
    return [
        Problem("mixture, batches", mixture, x0, optimum, data, 32, True),
        Problem("mixture, all data", mixture, x0, optimum, data),
    ]


TRUE_RATES = np.array([1.0, 0.4, 0.9, 0.3])


def lotka_volterra(rates, out):
    """Predators and prey at 20 times (40 numbers), by Runge and Kutta's method."""
    a, b, c, d = rates[0], rates[1], rates[2], rates[3]
    u, v, h = 3 + 0j, 2 + 0j, 0.1
    for i in range(20):
        for _ in range(5):
            du, dv, su, sv = 0j, 0j, u, v
            for stage in range(4):
                ku, kv = su * (a - b * sv), sv * (d * su - c)
                weight = h / 6 if stage % 3 == 0 else h / 3
                du, dv = du + weight * ku, dv + weight * kv
                ahead = h if stage == 2 else h / 2
                su, sv = u + ahead * ku, v + ahead * kv
            u, v = u + du, v + dv
        out[2 * i], out[2 * i + 1] = u, v


def observed():
    populations = np.empty(40, np.complex128)
    lotka_volterra(TRUE_RATES.astype(complex), populations)
    return populations.real * np.exp(0.05 * np.random.default_rng(3).standard_normal(40))


OBSERVED = observed()
compiled_lotka_volterra = njit(lotka_volterra)


def predators(x, r):
    compiled_lotka_volterra(x, r)
    for i in range(40):
        r[i] -= OBSERVED[i]


def differential_equations() -> list[Problem]:
    x0 = np.array([0.7, 0.3, 0.6, 0.2])
    return [Problem("Lotka-Volterra fit", of_residuals(predators, 40), x0, smallest_sum(predators, 40, x0))]


def all_problems() -> list[Problem]:
    """Return every problem, as it is and rescaled."""
    families = [
        *more_garbow_hillstrom(),
        *noisy_quadratics(),
        *regressions(),
        *mixtures(),
        *differential_equations(),
    ]
    return [problem for family in families for problem in (family, family.rescaled())]
