"""Black boxes of other kinds, which no constant was chosen on: see `blackboxes.py`."""

from math import erf, sqrt

import numpy as np


def facilities():
    """Places of 4 stations in a square: mean distance of 60 random calls, which come from three towns."""
    towns, shares = np.array([[0.0, 0.0], [3.0, 1.0], [1.0, 4.0]]), [0.5, 0.3, 0.2]

    def calls(rng, number):
        town = rng.choice(3, number, p=shares)
        return towns[town] + np.array([0.5, 1.0, 0.7])[town, None] * rng.standard_normal((number, 2))

    def cost(x, where):
        apart = np.linalg.norm(where[:, None] - x.reshape(4, 2), axis=2)
        return float(apart.min(axis=1).mean())

    fixed = calls(np.random.default_rng(31), 4_000)
    x0 = np.array([1.0, 1.0, 1.5, 1.0, 1.0, 1.5, 1.5, 1.5])
    return "stations, 8 coordinates", lambda x, rng: cost(x, calls(rng, 60)), lambda x: cost(x, fixed), x0


def network():
    """Values of a network with 6 hidden units, 19 weights, on 100 of 2,000 records."""
    rng0 = np.random.default_rng(32)
    z = rng0.uniform(-2, 2, 2000)
    y = np.sin(2 * z) + 0.1 * rng0.standard_normal(2000)

    def value(x, rows):
        a, b, c = x[:6], x[6:12], x[12:18]
        return float(np.mean((np.tanh(np.outer(z[rows], a) + b) @ c + x[18] - y[rows]) ** 2))

    every = np.arange(2000)
    x0 = 0.7 * np.random.default_rng(33).standard_normal(19)
    return (
        "network, 19 weights",
        lambda x, rng: value(x, rng.integers(2000, size=100)),
        lambda x: value(x, every),
        x0,
    )


def heavy_tails(n=30):
    """Bowl whose noise is heavy-tailed."""
    center = np.cos(np.arange(n))

    def exact(x):
        return float(((x - center) ** 2 * np.linspace(0.5, 2, n)).sum())

    return f"heavy tails, {n}", lambda x, rng: exact(x) + 0.1 * rng.standard_t(2), exact, np.zeros(n)


def portfolio():
    """Shares of 10 papers by a softmax: risk (mean of the worst tenth) less gain, of 200 draws."""
    rng0 = np.random.default_rng(34)
    factors, gains = 0.1 * rng0.standard_normal((10, 3)), 0.02 + 0.03 * rng0.random(10)

    def cost(x, draws, own):
        share = np.exp(x - x.max())
        share /= share.sum()
        returns = (draws @ factors.T + 0.1 * own + gains) @ share
        worst = np.sort(returns)[: len(returns) // 10]
        return float(-worst.mean() - 2 * returns.mean())

    def draws(rng, number):
        return rng.standard_normal((number, 3)), rng.standard_normal((number, 10))

    fixed = draws(np.random.default_rng(35), 2_000)
    return (
        "portfolio, 10 shares",
        lambda x, rng: cost(x, *draws(rng, 200)),
        lambda x: cost(x, *fixed),
        np.zeros(10),
    )


def decay():
    """Two exponential decays in ten Poisson counts that are drawn anew at each evaluation."""
    t = np.linspace(0.1, 4, 10)

    def mean(x):
        return np.exp(x[0] - np.exp(x[1]) * t) + np.exp(x[2] - np.exp(x[3]) * t)

    true = mean(np.array([4.0, 0.8, 3.0, -1.0]))

    def cost(x, counts):
        with np.errstate(over="ignore"):
            expected = np.minimum(mean(np.clip(x, -20, 20)), 1e6)
        return float(np.sum(expected - counts * np.log(expected + 1e-12)))

    x0 = np.array([3.0, 0.0, 2.0, 0.0])
    return "decays, 4 numbers", lambda x, rng: cost(x, rng.poisson(true)), lambda x: cost(x, true), x0


def trace(n=4):
    """Gaussian process of 60 points: likelihood of 4 logarithms, with a trace from 3 random vectors."""
    rng0 = np.random.default_rng(36)
    z = rng0.uniform(0, 3, (60, 2))
    apart = [(z[:, None, k] - z[None, :, k]) ** 2 for k in range(2)]
    y = np.sin(2 * z[:, 0]) + 0.3 * z[:, 1] + 0.2 * rng0.standard_normal(60)

    def parts(x):
        height, one, other, noise = np.exp(np.clip(x, -6, 4))
        return height * np.exp(-0.5 * (apart[0] / one**2 + apart[1] / other**2)) + noise * np.eye(60)

    def exact(x):
        matrix = parts(x)
        return float(0.5 * y @ np.linalg.solve(matrix, y) + 0.5 * np.linalg.slogdet(matrix)[1])

    def noisy(x, rng):
        matrix = parts(x)
        values, vectors = np.linalg.eigh(matrix)
        probes = vectors.T @ rng.choice([-1.0, 1.0], (60, 3))
        logarithm = np.mean(np.log(np.maximum(values, 1e-12)) @ probes**2)
        return float(0.5 * y @ np.linalg.solve(matrix, y) + 0.5 * logarithm)

    return "Gaussian process, 4 logarithms", noisy, exact, np.array([0.0, 1.0, 1.0, 0.0])


def threshold():
    """Staffing of 7 shifts: share of calls answered late, from counts, plus wages."""
    load = np.array([3.0, 5.0, 9.0, 14.0, 11.0, 6.0, 4.0])
    calls = np.array([20, 40, 80, 120, 90, 50, 30])

    def late(x):
        spare = (np.abs(x) - load) / np.sqrt(load)
        return np.array([0.5 * (1 - erf(s / sqrt(2))) for s in spare])

    def noisy(x, rng):
        return float(10 * (rng.binomial(calls, late(x)) / calls).sum() + np.abs(x).sum())

    return (
        "shifts, 7 numbers",
        noisy,
        lambda x: float(10 * late(x).sum() + np.abs(x).sum()),
        np.full(7, 8.0),
    )


def solver():
    """Oscillator of 3 parameters fitted through a solver of coarse steps: rough, but not random."""
    t = np.linspace(0, 6, 40)

    def curve(x, stiffness):
        decay, frequency, height = np.exp(np.clip(x, -5, 3))
        step = 0.02 * stiffness(frequency)
        number = int(6 / step) + 2
        phase, position, speed = np.arange(number) * step, height, 0.0
        path = np.empty(number)
        for k in range(number):
            path[k] = position
            speed += step * (-(frequency**2) * position - 2 * decay * speed)
            position += step * speed
        return np.interp(t, phase, path)

    data = np.exp(-0.3 * t) * np.cos(2 * t)

    def rough(frequency):
        return 1 + 0.5 * ((1e4 * frequency) % 1)  # the step depends on the last digits

    def value(x, stiffness):
        with np.errstate(all="ignore"):
            return float(min(np.sum((curve(x, stiffness) - data) ** 2), 1e3))

    return (
        "solver, 3 logarithms",
        lambda x, rng: value(x, rough),
        lambda x: value(x, lambda frequency: 1.25),
        np.log([0.5, 1.5, 0.7]),
    )


def more_boxes():
    """Return the parts of all boxes: name, noisy, exact, x0."""
    makers = facilities, network, heavy_tails, portfolio, decay, trace, threshold, solver
    return [make() for make in makers]
