"""Simulated data of each model that ships: an independent definition, points, and ranges of parameters."""

from fractions import Fraction

import numpy as np
from scipy.constants import c, h, k
from scipy.special import expit, voigt_profile

U, LOG = "uniform", "logarithmic"
PIXELS = np.array(np.meshgrid(np.arange(12.0), np.arange(12.0))).reshape(2, -1)
WIDE = np.array(np.meshgrid(np.arange(20.0), np.arange(20.0))).reshape(2, -1)
DOSES = np.concatenate([[0], np.geomspace(1e-3, 1e3, 24)])
HEIGHT, LEVEL = (LOG, 1, 1000), (U, -100, 100)


def gaussian(z):
    return np.exp(-z * z / 2)


def line(z):
    return 1 / (1 + z * z)


def rotated(x, a, p, q, s, t, angle, o):
    u, v = x[0] - p, x[1] - q
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ [u, v]
    return a * gaussian(turned[0] / s) * gaussian(turned[1] / t) + o


def doniach(x, a, e, g, alpha, o):
    z = (x - e) / g
    shape = np.cos(np.pi * alpha / 2 + (1 - alpha) * np.arctan(z)) / (1 + z * z) ** ((1 - alpha) / 2)
    return a * shape + o


def fano(x, a, e, w, q, o):
    z = (x - e) / (w / 2)
    return a * (q + z) ** 2 / (1 + z * z) + o


def planck(x, scale, t):
    metres = x * 1e-6
    return scale * 1e-6 * 2 * h * c**2 / metres**5 / np.expm1(h * c / (metres * k * t))


def tofts(x, ktrans, ve, vp=0.0):
    """The convolution as a sum over fine steps, independent of the closed form."""
    fine = np.linspace(0, x.max(), 60_001)
    plasma = 0.1 * (3.99 * np.exp(-0.144 * fine) + 4.78 * np.exp(-0.0111 * fine))
    grown = plasma * np.exp(ktrans / ve * fine)
    total = np.concatenate([[0], np.cumsum((grown[1:] + grown[:-1]) / 2)]) * fine[1]
    return np.interp(x, fine, ktrans * np.exp(-ktrans / ve * fine) * total + vp * plasma)


def flash(x, s0, t1):
    e = np.exp(-x[1] / t1)
    return s0 * np.sin(x[0]) * (1 - e) / (1 - np.cos(x[0]) * e)


# The formula in NumPy, the points, and the range of each parameter.
CASES = {
    "GAUSSIAN": (
        lambda x, a, c, s, o: a * gaussian((x - c) / s) + o,
        np.arange(48.0),
        [HEIGHT, (U, 3, 44), (LOG, 1, 12), LEVEL],
    ),
    "LORENTZIAN": (
        lambda x, a, c, g, o: a * line((x - c) / g) + o,
        np.arange(48.0),
        [HEIGHT, (U, 3, 44), (LOG, 1, 12), LEVEL],
    ),
    "VOIGT": (
        lambda x, a, c, s, g, o: a * voigt_profile(x - c, abs(s), abs(g)) + o,
        np.linspace(-20, 20, 80),
        [HEIGHT, (U, -12, 12), (LOG, 0.5, 4), (LOG, 0.5, 4), (U, -5, 5)],
    ),
    "PSEUDO_VOIGT": (
        lambda x, a, c, w, n, o: (
            a * (n * line(2 * (x - c) / w) + (1 - n) * np.exp(-4 * np.log(2) * ((x - c) / w) ** 2)) + o
        ),
        np.linspace(-20, 20, 80),
        [HEIGHT, (U, -12, 12), (LOG, 1.5, 10), (U, 0.1, 0.9), LEVEL],
    ),
    "GAUSSIAN_LINEAR": (
        lambda x, a, c, s, m, o: a * gaussian((x - c) / s) + m * x + o,
        np.arange(48.0),
        [HEIGHT, (U, 4, 43), (LOG, 1, 6), (U, -0.05, 0.05), LEVEL],
    ),
    "LORENTZIAN_LINEAR": (
        lambda x, a, c, g, m, o: a * line((x - c) / g) + m * x + o,
        np.arange(48.0),
        [HEIGHT, (U, 4, 43), (LOG, 1, 5), (U, -0.05, 0.05), LEVEL],
    ),
    "DONIACH_SUNJIC": (
        doniach,
        np.linspace(80, 90, 120),
        [HEIGHT, (U, 82, 88), (LOG, 0.2, 0.8), (U, 0.03, 0.35), LEVEL],
    ),
    "FANO": (
        fano,
        np.linspace(10, 20, 100),
        [HEIGHT, (U, 12, 18), (LOG, 0.4, 3), (U, -4, 4), LEVEL],
    ),
    "GAUSSIAN_2D": (
        lambda x, a, c, d, s, t, o: a * gaussian((x[0] - c) / s) * gaussian((x[1] - d) / t) + o,
        PIXELS,
        [HEIGHT, (U, 2, 9), (U, 2, 9), (LOG, 0.8, 3), (LOG, 0.8, 3), (U, -10, 10)],
    ),
    "GAUSSIAN_2D_ROUND": (
        lambda x, a, c, d, s, o: a * gaussian(np.hypot(x[0] - c, x[1] - d) / s) + o,
        PIXELS,
        [HEIGHT, (U, 2, 9), (U, 2, 9), (LOG, 0.8, 3), (U, -10, 10)],
    ),
    "GAUSSIAN_2D_ROTATED": (
        rotated,
        WIDE,
        [HEIGHT, (U, 5, 14), (U, 5, 14), (LOG, 2.5, 6), (LOG, 1, 2), (U, -1.5, 1.5), (U, -10, 10)],
    ),
    "CONSTANT": (lambda x, o: o + 0 * x, np.linspace(0, 5, 20), [LEVEL]),
    "LINE": (lambda x, m, o: m * x + o, np.linspace(0, 5, 20), [LEVEL, LEVEL]),
    "QUADRATIC": (
        lambda x, a, m, o: np.polyval([a, m, o], x),
        np.linspace(0, 5, 20),
        [LEVEL, LEVEL, LEVEL],
    ),
    "PLANE": (lambda x, a, b, o: a * x[0] + b * x[1] + o, PIXELS, [LEVEL, LEVEL, LEVEL]),
    "EXPONENTIAL": (
        lambda x, a, k, o: a * np.exp(-k * x) + o,
        np.linspace(0, 10, 32),
        [(LOG, 1, 100), (LOG, 0.05, 3), (U, -10, 10)],
    ),
    "DOUBLE_EXPONENTIAL": (
        lambda x, a, k, b, m, o: a * np.exp(-k * x) + b * np.exp(-m * x) + o,
        np.linspace(0, 20, 100),
        [(LOG, 5, 50), (LOG, 1, 4), (LOG, 5, 50), (LOG, 0.1, 0.3), (U, -10, 10)],
    ),
    "BIEXPONENTIAL": (
        lambda x, a, f, s, t, o: a * (f * np.exp(-x / s) + (1 - f) * np.exp(-x / t)) + o,
        np.linspace(0, 20, 200),
        [(LOG, 5, 50), (U, 0.3, 0.8), (LOG, 0.3, 1), (LOG, 3, 8), (U, -1, 1)],
    ),
    "STRETCHED_EXPONENTIAL": (
        lambda x, a, t, b, o: a * np.exp(-((x / t) ** b)) + o,
        np.linspace(0, 10, 60),
        [(LOG, 1, 100), (LOG, 0.5, 4), (U, 0.4, 1.6), (U, -5, 5)],
    ),
    "SINE": (
        lambda x, a, f, p, o: a * np.sin(f * x + p) + o,
        np.linspace(0, 10, 60),
        [(LOG, 0.1, 10), (U, 0.7, 16), (U, -3, 3), (U, -5, 5)],
    ),
    "DAMPED_SINE": (
        lambda x, a, d, f, p, o: a * np.exp(-d * x) * np.sin(f * x + p) + o,
        np.linspace(0, 10, 100),
        [(LOG, 0.1, 10), (LOG, 0.05, 0.8), (U, 1.5, 20), (U, -3, 3), (U, -5, 5)],
    ),
    "DOSE_RESPONSE": (
        lambda x, low, high, e, n: low + (high - low) * (x / e) ** n / (1 + (x / e) ** n),
        DOSES,
        [(U, 0, 20), (U, 40, 100), (LOG, 1e-2, 1e2), (LOG, 0.5, 3)],
    ),
    "DOSE_RESPONSE_5": (
        lambda x, low, high, e, n, g: low + (high - low) * ((x / e) ** n / (1 + (x / e) ** n)) ** g,
        np.concatenate([[0], np.geomspace(1e-3, 1e3, 48)]),
        [(U, 0, 20), (U, 40, 100), (LOG, 1e-1, 1e1), (LOG, 0.7, 2), (LOG, 0.5, 2)],
    ),
    "HILL": (
        lambda x, v, e, n: v * x**n / (e**n + x**n),
        np.concatenate([[0], np.geomspace(0.1, 50, 24)]),
        [(LOG, 1, 100), (LOG, 0.5, 10), (LOG, 0.6, 4)],
    ),
    "LOGISTIC_4": (
        lambda x, low, high, m, r: low + (high - low) * expit(r * (x - m)),
        np.linspace(-5, 5, 40),
        [(U, 0, 20), (U, 40, 100), (U, -2.5, 2.5), (LOG, 1, 10)],
    ),
    "LOGISTIC_5": (
        lambda x, low, high, m, r, g: low + (high - low) * expit(r * (x - m)) ** g,
        np.linspace(-5, 5, 60),
        [(U, 0, 20), (U, 40, 100), (U, -2, 2), (LOG, 1.5, 5), (LOG, 0.5, 2)],
    ),
    "GOMPERTZ": (
        lambda x, a, r, t: a * np.exp(-np.exp(-r * (x - t))),
        np.linspace(0, 20, 40),
        [(LOG, 1, 100), (LOG, 0.2, 3), (U, 3, 12)],
    ),
    "WEIBULL": (
        lambda x, a, s, n: -a * np.expm1(-((x / s) ** n)),
        np.linspace(0, 20, 40),
        [(LOG, 1, 100), (LOG, 1, 12), (LOG, 0.6, 5)],
    ),
    "IVIM": (
        lambda b, s, f, fast, slow: s * (f * np.exp(-b * fast) + (1 - f) * np.exp(-b * slow)),
        np.repeat([0, 10, 20, 30, 50, 75, 100, 150, 200, 400, 600, 800.0], 4),
        [(LOG, 50, 500), (U, 0.15, 0.4), (LOG, 0.01, 0.06), (LOG, 5e-4, 2e-3)],
    ),
    "T1_INVERSION_RECOVERY": (
        lambda t, s, e, t1: s - 2 * e * s * np.exp(-t / t1),
        np.geomspace(50, 4000, 16),
        [(LOG, 10, 1000), (U, 0.7, 1), (LOG, 200, 2000)],
    ),
    "T1_INVERSION_RECOVERY_MAGNITUDE": (
        lambda t, s, e, t1: np.abs(s - 2 * e * s * np.exp(-t / t1)),
        np.geomspace(50, 4000, 16),
        [(LOG, 10, 1000), (U, 0.7, 1), (LOG, 200, 2000)],
    ),
    "T1_SATURATION_RECOVERY": (
        lambda t, s, t1: s - s * np.exp(-t / t1),
        np.geomspace(50, 4000, 16),
        [(LOG, 10, 1000), (LOG, 200, 2000)],
    ),
    "T1_VFA": (
        flash,
        np.array([np.radians([2, 4, 6, 8, 10, 12, 15, 20, 25, 30]), np.full(10, 6.0)]),
        [(LOG, 100, 10_000), (LOG, 200, 3000)],
    ),
    "T2_DECAY": (
        lambda t, s, t2: s * np.exp(-t / t2),
        np.arange(10, 330, 10.0),
        [(LOG, 10, 1000), (LOG, 15, 200)],
    ),
    "TOFTS": (tofts, np.linspace(0, 10, 60), [(LOG, 0.05, 0.5), (LOG, 0.15, 0.6)]),
    "EXTENDED_TOFTS": (tofts, np.linspace(0, 10, 60), [(LOG, 0.05, 0.5), (LOG, 0.15, 0.6), (U, 0.01, 0.1)]),
    "MICHAELIS_MENTEN": (
        lambda x, v, k: v * x / (k + x),
        np.geomspace(0.05, 20, 16),
        [(LOG, 1, 100), (LOG, 0.1, 20)],
    ),
    "SUBSTRATE_INHIBITION": (
        lambda x, v, k, i: v * x / (k + x * (1 + x / i)),
        np.geomspace(0.05, 50, 24),
        [(LOG, 1, 100), (LOG, 0.2, 5), (LOG, 2, 40)],
    ),
    "COMPETITIVE_INHIBITION": (
        lambda x, v, k, i: v * x[0] / (k * (1 + x[1] / i) + x[0]),
        np.array(np.meshgrid(np.geomspace(0.1, 20, 8), [0, 1, 3, 10.0])).reshape(2, -1),
        [(LOG, 1, 100), (LOG, 0.3, 5), (LOG, 0.5, 10)],
    ),
    "LANGMUIR": (
        lambda x, q, k: q * x / (1 / k + x),
        np.geomspace(0.05, 20, 16),
        [(LOG, 1, 100), (LOG, 0.05, 10)],
    ),
    "FREUNDLICH": (
        lambda x, k, n: k * np.power(x, 1 / n),
        np.geomspace(0.05, 20, 16),
        [(LOG, 1, 100), (LOG, 0.7, 6)],
    ),
    "ARRHENIUS": (
        lambda t, a, e: a * np.exp(-e / (8.31446261815324 * t)),
        np.linspace(280, 350, 15),
        [(LOG, 1e5, 1e12), (U, 30_000, 90_000)],
    ),
    "POWER_LAW": (lambda x, a, b: a * x**b, np.geomspace(1, 100, 30), [(LOG, 0.1, 100), (U, -3, 3)]),
    "POWER_LAW_CUTOFF": (
        lambda x, a, b, s: a * x**b / np.exp(x / s),
        np.geomspace(0.5, 50, 40),
        [(LOG, 0.1, 100), (U, -1.5, 2), (LOG, 2, 30)],
    ),
    "PLANCK": (planck, np.linspace(0.3, 12, 60), [(LOG, 1e-6, 1), (LOG, 400, 8000)]),
}
SIGNED = {"GAUSSIAN", "LORENTZIAN", "GAUSSIAN_LINEAR", "PSEUDO_VOIGT", "EXPONENTIAL", "POWER_LAW"}


def drawn(name, count, seed=3):
    """Draw parameters; return them with the generator."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.uniform(a, b, count) if kind is U else np.exp(rng.uniform(np.log(a), np.log(b), count))
        for kind, a, b in CASES[name][2]
    ]
    if name in SIGNED:
        columns[0] *= rng.choice([-1, 1], count)
    return np.column_stack(columns), rng


def units_of(name):
    """Find the units of a model: the powers of each in which variables, parameters and value are measured.

    A unit is a symmetry: the sum of the powers times the derivatives by logarithms is 0 everywhere.

    Returns
    -------
    list of ndarray of int
        Integers for the variables, the parameters and the value.
    """
    reference, x, _ = CASES[name]
    x, step, rows = np.atleast_2d(x), 1e-5, []
    x = x[:, (x > 0).all(axis=0)] if (x > 0).any() else x

    def at(factors, parameters):
        u = x * factors[: len(x), None]
        return reference(u if len(u) > 1 else u[0], *(parameters * factors[len(x) :]))

    for parameters in drawn(name, 6)[0]:
        n = len(x) + parameters.size
        scale = [1 + step * (np.arange(n) == k) for k in range(n)]
        slopes = [(at(s, parameters) - at(1 / s, parameters)) / (2 * step) for s in scale]
        block = np.array([*slopes, -at(np.ones(n), parameters)]).T
        rows.append(block / np.abs(block).max())
    table = np.concatenate(rows)
    size = np.linalg.norm(table, axis=0)
    size[size == 0] = 1
    _, singular, right = np.linalg.svd(table / size)
    null = right[singular < 1e-7 * singular[0]] / size
    row = 0
    for column in (-1, *range(null.shape[1] - 1)):  # Gauss and Jordan's elimination; the value comes first
        pivot = row + np.argmax(np.abs(null[row:, column]))
        if np.abs(null[pivot, column]) > 1e-4 * np.abs(null).max():
            null[[row, pivot]] = null[[pivot, row]]
            null[row] /= null[row, column]
            others = np.arange(len(null)) != row
            null[others] -= null[others, column][:, None] * null[row]
            row += 1
        if row == len(null):
            break
    fractions = [[Fraction(float(value)).limit_denominator(6) for value in row] for row in null]
    whole = [np.lcm.reduce([fraction.denominator for fraction in row]) for row in fractions]
    assert np.allclose(null, np.array(fractions, float), atol=1e-3)
    return [np.array([int(f * k) for f in row]) for row, k in zip(fractions, whole, strict=True)]
