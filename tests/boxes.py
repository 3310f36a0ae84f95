"""Models of three and five parameters, random problems between bounds, and SciPy beside nbadam.

The functions take numbers or arrays, also complex ones, as `t`; the first variable chooses the model, so that
one kernel serves all of them.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

import nbadam


def three(x, a, b, c):
    kind, t = int(x[0]), x[1]
    if kind == 0:
        return a * np.exp(-b * t) + c
    if kind == 1:
        return a * np.exp(-(((t - b) / c) ** 2))
    if kind == 2:
        return a / (1 + ((t - b) / c) ** 2)
    if kind == 3:
        return a / (1 + np.exp(-b * (t - c)))
    if kind == 4:
        return a * t / (b + t) + c
    if kind == 5:
        return a * t**b + c
    if kind == 6:
        return a * np.sin(b * t + c)
    if kind == 7:
        return np.sqrt(a * a * t * t + b * b) + c
    if kind == 8:
        return a * np.exp(-b * np.exp(-c * t))
    if kind == 9:
        return (a + b * t) / (1 + c * t)
    if kind == 10:
        return a * np.log(1 + t / b) + c
    if kind == 11:
        return a * (1 - np.exp(-b * t)) + c
    if kind == 12:
        return a * np.exp(-((t / b) ** c))
    if kind == 13:
        return a * np.exp(-b * t) * np.cos(c * t)
    if kind == 14:
        return a + b * t + c * t * t
    if kind == 15:
        return a * np.exp(b / (t + c))
    if kind == 16:
        return a * t**c / (b**c + t**c)
    if kind == 17:
        return a * np.arctan(b * (t - c))
    if kind == 18:
        return a * (1 - 1 / np.sqrt(1 + 2 * b * t)) + c
    if kind == 19:
        return a * t * np.exp(-b * t) + c
    return a * t**b * np.exp(-c * t)


def five(x, a, b, c, d, e):
    kind, t = int(x[0]), x[1]
    if kind == 0:
        return a * np.exp(-b * t) + c * np.exp(-d * t) + e
    if kind == 1:
        return a / (1 + ((t - b) / c) ** 2) + d + e * t
    if kind == 2:
        return a * np.sin(b * t + c) + d + e * t
    if kind == 3:
        return a * np.exp(-(((t - b) / c) ** 2)) + d + e * t
    if kind == 4:
        return a * np.exp(-b * t) * np.cos(c * t + d) + e
    if kind == 5:
        return a / (1 + np.exp(-b * (t - c))) + d + e * t
    if kind == 6:
        return a * np.exp(-(((t - b) / e) ** 2)) + c * np.exp(-(((t - d) / e) ** 2))
    if kind == 7:
        return (a + b * t + c * t * t) / (1 + d * t + e * t * t)
    if kind == 8:
        return a * t**b * np.exp(-c * t) + d + e * t
    return a * (1 - np.exp(-b * t)) + c * (1 - np.exp(-d * t)) + e


TRUTHS = {
    3: np.array([
        [3, 1.2, 0.5], [3, 2.5, 1], [3, 2.5, 1], [3, 2, 2.5], [3, 1.5, 0.3], [2, 0.6, 1], [2, 1.7, 0.4],
        [1, 1.4, 0.5], [4, 3, 1], [1, 3, 0.8], [2, 0.7, 0.5], [3, 0.8, 0.4], [3, 2, 1.3], [3, 0.4, 2],
        [1, 2, -0.4], [1, 2, 1], [3, 2, 2], [2, 1.5, 2.5], [3, 0.7, 0.4], [4, 0.9, 0.5], [2, 1.2, 0.8],
    ]),
    5: np.array([
        [3, 2.5, 2, 0.4, 1], [3, 2.5, 0.6, 1, 0.2], [2, 3, 0.5, 1, 0.1], [3, 2.5, 0.6, 1, 0.2],
        [3, 0.4, 3, 0.5, 1], [3, 3, 2.5, 1, 0.1], [3, 1.5, 2, 3.5, 0.5], [1, 2, 0.3, 0.2, 0.3],
        [3, 1.2, 1, 0.5, 0.1], [3, 2.5, 2, 0.4, 0.5],
    ]),
}  # fmt: skip
FUNCTIONS = {3: three, 5: five}
MODELS = {n: nbadam.Model(function, variables=["kind", "t"]) for n, function in FUNCTIONS.items()}
T = np.linspace(0.1, 5, 30)
WAYS = ["free", "half", "wide", "tight", "active"]  # bounds of a parameter


class Bounded(NamedTuple):
    """A data set with bounds and some starts."""

    n: int
    kind: int
    y: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    starts: np.ndarray


def draw_problem(draw, n: int, starts: int) -> Bounded:
    """Draw a model, its data, bounds of all kinds, and starts between them or at them."""
    kind = int(draw.integers(len(TRUTHS[n])))
    truth = TRUTHS[n][kind] * draw.uniform(0.7, 1.4, n)
    bounds = []
    for p in truth:
        way = draw.choice(WAYS, p=[0.2, 0.25, 0.2, 0.15, 0.2])
        ends = {
            "free": (-np.inf, np.inf),
            "half": (0, np.inf) if p > 0 else (-np.inf, 0),
            "wide": (p / 10, p * 10),
            "tight": (p * draw.uniform(0.3, 0.9), p * draw.uniform(1.1, 2)),
            "active": [(p * draw.uniform(1.05, 1.5), p * 10), (p / 10, p * draw.uniform(0.6, 0.95))][
                draw.integers(2)
            ],
        }[way]
        bounds.append(sorted(ends))
    lower, upper = np.array(bounds, float).T
    p0 = truth * 10 ** draw.uniform(-1, 1, (starts, n))
    boxed = np.isfinite(lower) & np.isfinite(upper)
    p0[:, boxed] = draw.uniform(lower[boxed], upper[boxed], (starts, boxed.sum()))
    for bound in (lower, upper):
        p0 = np.where((draw.random(p0.shape) < 0.05) & np.isfinite(bound), bound, p0)
    y = FUNCTIONS[n]((kind, T), *truth)
    y = y + 0.02 * np.ptp(y) * draw.standard_normal(T.size)
    return Bounded(n, kind, y, lower, upper, np.clip(p0, lower, upper))


def by_nbadam(problems: list[Bounded]):
    """Return the fits from all starts of all problems, which must have as many parameters."""
    each = [len(problem.starts) for problem in problems]
    x = np.stack([np.stack([np.full(T.size, float(problem.kind)), T]) for problem in problems])
    lower, upper, y, x = (
        np.repeat(part, each, axis=0)
        for part in (
            np.stack([problem.lower for problem in problems]),
            np.stack([problem.upper for problem in problems]),
            np.stack([problem.y for problem in problems]),
            x,
        )
    )
    p0 = np.concatenate([problem.starts for problem in problems])
    return nbadam.curve_fit(MODELS[problems[0].n], x, y, p0, bounds=(lower, upper))


def by_scipy(problem: Bounded, method: str) -> np.ndarray:
    """Return chi-square from all starts by SciPy's `least_squares`, with exact derivatives."""
    points, function = (problem.kind, T), FUNCTIONS[problem.n]

    def residuals(p):
        return function(points, *p) - problem.y

    def jacobian(p):
        tiny = 1e-30j * np.eye(problem.n)
        return np.stack([function(points, *(p + step)).imag for step in tiny], axis=1) / 1e-30

    found = []
    with np.errstate(all="ignore"):
        for p0 in problem.starts:
            try:
                limits, budget = (problem.lower, problem.upper), 100 * problem.n
                fit = least_squares(residuals, p0, jacobian, limits, method, max_nfev=budget)
                found.append(2 * fit.cost)
            except ValueError:  # not finite at the start, or beside it
                found.append(np.inf)
    return np.array(found)


def count_right(*found: np.ndarray) -> list[int]:
    """Count the chi-squares of each contender that are within 0.1 % of the least of all."""
    least = min(np.nanmin(chi2, initial=np.inf) for chi2 in found)
    return [int((chi2 <= 1.001 * least).sum()) for chi2 in found]
