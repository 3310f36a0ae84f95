"""More problems on which learning rates are compared, of other kinds than those of `problems.py`.

Losses of machine learning and statistics, energies of physics, factorizations, and noise of other kinds
than that of mini-batches: added to the gradient, in proportion to it, heavy-tailed, or in which coordinate is
seen.
"""

# ruff: noqa: NPY002 (Numba's generator is the one that compiled code can draw from without an argument)
import numpy as np
from numba import cfunc
from problems import EVALUATE, Problem, generalized, least

# --- Without noise -------------------------------------------------------------------------------


@cfunc(EVALUATE)
def log_sum_exp(x, g, data, batch):
    """log of the sum of exp(a'x + b), smooth and flat far out."""
    m, n = data.shape[0], x.size
    z = np.empty(m)
    for i in range(m):
        z[i] = data[i, n]
        for j in range(n):
            z[i] += data[i, j] * x[j]
    top = z.max()
    total = 0.0
    g[:] = 0.0
    for i in range(m):
        z[i] = np.exp(z[i] - top)
        total += z[i]
    for i in range(m):
        for j in range(n):
            g[j] += z[i] / total * data[i, j]
    return top + np.log(total)


@cfunc(EVALUATE)
def chain(x, g, data, batch):
    """A chain of springs: 1/2 x'Tx - x_0 with T tridiagonal (-1, 2, -1)."""
    f = -x[0]
    for i in range(x.size):
        left = x[i - 1] if i > 0 else 0.0
        right = x[i + 1] if i + 1 < x.size else 0.0
        g[i] = 2 * x[i] - left - right
        f += 0.5 * x[i] * g[i]
    g[0] -= 1.0
    return f


@cfunc(EVALUATE)
def dixon_price(x, g, data, batch):
    g[:] = 0.0
    g[0] = 2 * (x[0] - 1)
    f = (x[0] - 1) ** 2
    for i in range(1, x.size):
        r = 2 * x[i] * x[i] - x[i - 1]
        f += (i + 1) * r * r
        g[i] += (i + 1) * 8 * r * x[i]
        g[i - 1] -= (i + 1) * 2 * r
    return f


@cfunc(EVALUATE)
def zakharov(x, g, data, batch):
    f = s = 0.0
    for i in range(x.size):
        f += x[i] * x[i]
        s += 0.5 * (i + 1) * x[i]
    for i in range(x.size):
        g[i] = 2 * x[i] + 0.5 * (i + 1) * (2 * s + 4 * s**3)
    return f + s**2 + s**4


@cfunc(EVALUATE)
def lennard_jones(x, g, data, batch):
    """Energy of five atoms in three dimensions."""
    f = 0.0
    g[:] = 0.0
    for a in range(x.size // 3):
        for b in range(a):
            r2 = 0.0
            for k in range(3):
                r2 += (x[3 * a + k] - x[3 * b + k]) ** 2
            s = 1 / r2**3
            f += 4 * (s * s - s)
            slope = 4 * (-12 * s * s + 6 * s) / r2
            for k in range(3):
                d = x[3 * a + k] - x[3 * b + k]
                g[3 * a + k] += slope * d
                g[3 * b + k] -= slope * d
    return f


@cfunc(EVALUATE)
def factors(x, g, data, batch):
    """Mean squared error of a matrix of rank 2, of all entries or of some drawn at random."""
    rows, columns = data.shape
    count = batch if batch else rows * columns
    f = 0.0
    g[:] = 0.0
    for k in range(count):
        e = np.random.randint(rows * columns) if batch else k
        i, j = e // columns, e % columns
        u, v = 2 * i, 2 * (rows + j)
        r = x[u] * x[v] + x[u + 1] * x[v + 1] - data[i, j]
        f += 0.5 * r * r
        for c in range(2):
            g[u + c] += r * x[v + c]
            g[v + c] += r * x[u + c]
    for j in range(x.size):
        g[j] /= count
    return f / count


@cfunc(EVALUATE)
def network(x, g, data, batch):
    """Mean squared error of a network of 6 hidden units with two inputs; `data` holds inputs and answer."""
    hidden = 6
    count = batch if batch else len(data)
    f = 0.0
    g[:] = 0.0
    h = np.empty(hidden)
    for k in range(count):
        i = np.random.randint(len(data)) if batch else k
        r = x[4 * hidden] - data[i, 2]
        for c in range(hidden):
            h[c] = np.tanh(x[3 * c] * data[i, 0] + x[3 * c + 1] * data[i, 1] + x[3 * c + 2])
            r += x[3 * hidden + c] * h[c]
        f += 0.5 * r * r
        g[4 * hidden] += r
        for c in range(hidden):
            g[3 * hidden + c] += r * h[c]
            d = r * x[3 * hidden + c] * (1 - h[c] * h[c])
            g[3 * c] += d * data[i, 0]
            g[3 * c + 1] += d * data[i, 1]
            g[3 * c + 2] += d
    for j in range(x.size):
        g[j] /= count
    return f / count


@cfunc(EVALUATE)
def geometric_median(x, g, data, batch):
    """Mean distance (smoothed at 0.01) from points."""
    count = batch if batch else len(data)
    f = 0.0
    g[:] = 0.0
    for k in range(count):
        i = np.random.randint(len(data)) if batch else k
        r2 = 1e-4
        for j in range(x.size):
            r2 += (x[j] - data[i, j]) ** 2
        r = np.sqrt(r2)
        f += r
        for j in range(x.size):
            g[j] += (x[j] - data[i, j]) / r
    for j in range(x.size):
        g[j] /= count
    return f / count


# --- Noise ---------------------------------------------------------------------------------------


@cfunc(EVALUATE)
def odd_quadratic(x, g, data, batch):
    """Half the sum of a_i x_i^2 with noise: heavy tails, in proportion, or one coordinate at a time.

    `data` holds a, and the kind.
    """
    f = 0.0
    kind = data[1, 0]
    common = np.random.standard_normal() if batch else 0.0
    seen = np.random.randint(x.size)
    for i in range(x.size):
        slope = data[0, i] * x[i]
        f += 0.5 * slope * x[i]
        if batch and kind == 0:  # Student's t with 3 degrees of freedom
            c = np.random.standard_normal() ** 2 + np.random.standard_normal() ** 2
            c += np.random.standard_normal() ** 2
            slope += 0.1 * np.random.standard_normal() / np.sqrt(c / 3)
        elif batch and kind == 1:
            slope *= 1 + 2 * common
        elif batch and kind == 2:
            slope = slope * x.size if i == seen else 0.0
        elif batch:
            slope += 0.3 * np.random.standard_normal()
        g[i] = slope
    return f


@cfunc(EVALUATE)
def noisy_rosenbrock(x, g, data, batch):
    """Rosenbrock's function in chains, and noise added to the gradient."""
    f = 0.0
    for i in range(x.size):
        g[i] = 2.0 * np.random.standard_normal() if batch else 0.0
    for i in range(x.size - 1):
        valley, slope = x[i + 1] - x[i] ** 2, 1 - x[i]
        f += 100 * valley**2 + slope**2
        g[i] += -400 * x[i] * valley - 2 * slope
        g[i + 1] += 200 * valley
    return f


@cfunc(EVALUATE)
def elbo(x, g, data, batch):
    """Negative evidence bound of a normal posterior: means and log deviations, draws by reparametrization.

    The posterior is normal with precisions in `data`'s first row and means in its second.
    """
    n = x.size // 2
    f = 0.0
    for i in range(n):
        deviation, a, mean = np.exp(x[n + i]), data[0, i], data[1, i]
        z = np.random.standard_normal() if batch else 0.0
        d = x[i] + deviation * z - mean
        if batch:
            f += 0.5 * a * d * d - x[n + i]
            g[i] = a * d
            g[n + i] = a * d * deviation * z - 1
        else:
            f += 0.5 * a * (d * d + deviation**2) - x[n + i]
            g[i] = a * d
            g[n + i] = a * deviation**2 - 1
    return f


@cfunc(EVALUATE)
def angles(x, g, data, batch):
    """A sum of cosines of neighbouring angles, whose gradients are means of so many shots of +-1."""
    f = 0.0
    n = x.size
    for i in range(n):
        g[i] = 0.0
    for i in range(n):
        before = x[i - 1] if i > 0 else 0.0
        f -= np.cos(x[i] - 0.5 * before - 0.3)
        s = np.sin(x[i] - 0.5 * before - 0.3)
        if batch:
            hits = 0
            for _ in range(batch):
                hits += np.random.random() < 0.5 * (1 + s)
            s = 2 * hits / batch - 1
        g[i] += s
        if i > 0:
            g[i - 1] -= 0.5 * s
    return f


def squared_loss(eta, y):
    return 0.5 * (eta - y) ** 2, eta - y


def pinball_loss(eta, y):
    return (0.8 * (y - eta), -0.8) if y > eta else (0.2 * (eta - y), 0.2)


def hinge_loss(eta, y):
    return (1 - y * eta, -y) if y * eta < 1 else (0.0, 0.0)


def exponential_loss(eta, y):  # negative log-likelihood of waiting times
    share = y * np.exp(-eta)
    return share + eta, 1 - share


def binomial_loss(eta, y):  # negative binomial of size 2, up to a constant
    mean = np.exp(eta)
    return (y + 2) * np.log(2 + mean) - y * eta, (y + 2) * mean / (2 + mean) - y


def logit_loss(eta, y):  # y is 0 or 1
    tail = np.exp(-abs(eta))
    return np.log1p(tail) + max(eta, 0.0) - y * eta, (1.0 if eta > 0 else tail) / (1 + tail) - y


def cauchy_loss(eta, y):
    r = eta - y
    return 0.5 * np.log1p(r * r), r / (1 + r * r)


def table(rng, n, k, spread=1.0, correlation=0.0):
    """Return normal columns whose sizes are from 1 to `spread`, and a constant before them."""
    z = rng.standard_normal((n, k))
    for j in range(1, k):
        z[:, j] = correlation * z[:, j - 1] + np.sqrt(1 - correlation**2) * z[:, j]
    return np.column_stack([np.ones(n), z * np.geomspace(1, spread, k)])


def regressed(name, evaluate, z, y, batch, ridge=0.0, optimum=None):
    """Return a regression, of all data if `batch` is 0."""
    data = np.ascontiguousarray(np.vstack([np.column_stack([z, y]), np.full(z.shape[1] + 1, ridge)]))
    x0 = np.zeros(z.shape[1])
    if optimum is None:
        optimum = least(evaluate, x0, data)
    return Problem(name, evaluate, x0, optimum, data, batch, batch > 0)


def regressions(rng) -> list[Problem]:
    squared, exponential, binomial, logit, cauchy = map(
        generalized, (squared_loss, exponential_loss, binomial_loss, logit_loss, cauchy_loss)
    )
    beta = np.array([0.5, 1, -1, 0.5, 0.0, 0.3])
    found = []
    for correlation, spread in ((0.0, 1.0), (0.95, 1.0), (0.0, 100.0)):
        z = table(rng, 2_000, 5, spread, correlation)
        u = z @ (beta / np.concatenate([[1], np.geomspace(1, spread, 5)]))
        name = f"correlation {correlation:g}, spread {spread:g}"
        y = (rng.random(2_000) < 1 / (1 + np.exp(-u))).astype(float)
        found.append(regressed(f"logistic, {name}", logit, z, y, 32))
        found.append(regressed(f"logistic, {name}, all data", logit, z, y, 0))
        found.append(regressed(f"squares, {name}", squared, z, u + rng.standard_normal(2_000), 16))
        found.append(regressed(f"waiting times, {name}", exponential, z, rng.exponential(np.exp(u)), 32))
        mean = np.exp(u)
        counts = rng.poisson(mean * rng.gamma(2, 0.5, 2_000)).astype(float)
        found.append(regressed(f"negative binomial, {name}", binomial, z, counts, 32))
        y = u + rng.standard_t(2, 2_000)
        found.append(regressed(f"Cauchy loss, {name}", cauchy, z, y, 16))
    return found


def nonsmooth(rng) -> list[Problem]:
    """Return quantile regression and a support vector machine; their minima by linear programming."""
    from scipy.optimize import linprog

    z = table(rng, 500, 4)
    n, k = z.shape
    y = z @ [1, 0.5, -0.5, 0, 1] + rng.standard_normal(n)
    eye = np.eye(n)
    lp = linprog(
        np.concatenate([np.zeros(k), np.full(n, 0.8 / n), np.full(n, 0.2 / n)]),
        A_eq=np.hstack([z, eye, -eye]), b_eq=y, bounds=[(None, None)] * k + [(0, None)] * (2 * n),
    )  # fmt: skip
    pinball, hinge = generalized(pinball_loss), generalized(hinge_loss)
    sign = np.where(z @ [0.2, 1, -1, 0.5, 0] + rng.standard_normal(n) > 0, 1.0, -1.0)
    machine = linprog(
        np.concatenate([np.zeros(k), np.full(n, 1 / n)]),
        A_ub=np.hstack([-z * sign[:, None], -eye]), b_ub=-np.ones(n),
        bounds=[(None, None)] * k + [(0, None)] * n,
    )  # fmt: skip
    return [
        regressed("quantile 0.8, batches", pinball, z, y, 16, optimum=lp.fun),
        regressed("quantile 0.8, all data", pinball, z, y, 0, optimum=lp.fun),
        regressed("support vectors, batches", hinge, z, sign, 16, optimum=machine.fun),
    ]


def polished(name, evaluate, x0, data=None, batch=0):
    """Return a problem whose minimum is found from the start by BFGS without noise."""
    data = np.empty((0, 0)) if data is None else np.ascontiguousarray(data, dtype=float)
    return Problem(name, evaluate, x0, least(evaluate, x0, data), data, batch, batch > 0)


def more_problems() -> list[Problem]:
    """Return the problems; the third of each is its number modulo 3."""
    rng = np.random.default_rng(7)
    a = rng.standard_normal((40, 10))
    matrix = rng.standard_normal((8, 2)) @ rng.standard_normal((2, 6)) + 0.1 * rng.standard_normal((8, 6))
    inputs = rng.uniform(-2, 2, (200, 2))
    answers = np.sin(inputs[:, 0]) * inputs[:, 1] + 0.1 * rng.standard_normal(200)
    points = rng.standard_t(2, (300, 4)) + np.array([1, 5, -3, 0])
    start = 0.5 * rng.standard_normal(28)
    weights = 0.7 * rng.standard_normal(25)
    atoms = 1.2 * np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1.0]) + 0.05 * rng.standard_normal(15)
    curvatures = np.geomspace(1, 0.01, 12)
    bayes = np.vstack([np.geomspace(1, 1e3, 8), rng.normal(0, 2, 8)])
    data = np.vstack([curvatures, np.zeros(12)])
    kinds = "heavy tails", "noise in proportion", "one coordinate at a time", "noise of one size"
    found = [
        polished("log-sum-exp", log_sum_exp, np.ones(10), np.column_stack([np.vstack([a, -a]), np.ones(80)])),
        Problem("chain of 100", chain, np.zeros(100), -0.5 * 100 / 101),
        Problem("Dixon and Price", dixon_price, np.full(6, 3.0), 0.0),
        Problem("Zakharov", zakharov, np.full(6, 2.0), 0.0),
        polished("five atoms", lennard_jones, atoms),
        polished("factors, all entries", factors, start, matrix),
        polished("factors, some entries", factors, start, matrix, 8),
        polished("network, all data", network, weights, np.column_stack([inputs, answers])),
        polished("network, batches", network, weights, np.column_stack([inputs, answers]), 16),
        polished("geometric median, all data", geometric_median, np.zeros(4), points),
        polished("geometric median, batches", geometric_median, np.zeros(4), points, 8),
        Problem("Rosenbrock with noise", noisy_rosenbrock, np.full(4, -1.0), 0.0, np.empty((0, 0)), 1, True),
        polished("evidence bound", elbo, np.zeros(16), bayes, 1),
        polished("evidence bound from 1", elbo, np.ones(16), bayes, 1),
        polished("angles, 10 shots", angles, np.full(8, 1.5), None, 10),
        polished("angles, 200 shots", angles, np.full(8, -1.0), None, 200),
    ]
    for kind, name in enumerate(kinds):
        x0 = np.full(12, 3.0) if kind % 2 else np.ones(12)
        found.append(
            Problem(f"quadratic, {name}", odd_quadratic, x0, 0.0, data + np.array([[0], [kind]]), 1, True)
        )
    return [*found, *regressions(rng), *nonsmooth(rng)]
