"""Decays with one shared lifetime and amplitudes of their own, as many as each peer can do.

Each runs in this process on one thread, after a small fit of the same kind; seconds are of CPU, the least of
`REPEATS`.  ``python benchmarks/shared.py [most data sets]``
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import csr_array

import nbadam

TAU, ERROR, POINTS = 1.7, 0.05, 32
X = np.linspace(0, 5, POINTS)
REPEATS = 3
SIZES = [10, 100, 1_000, 10_000, 100_000, 1_000_000]


def decays(fits: int) -> np.ndarray:
    """Draw the data."""
    rng = np.random.default_rng(0)
    amplitudes = rng.uniform(1, 5, (fits, 1))
    return amplitudes * np.exp(-X / TAU) + ERROR * rng.standard_normal((fits, POINTS))


def ours(y: np.ndarray, dtype=np.float64) -> tuple[float, float, float]:
    """Fit with nbadam; return lifetime, its error and chi-square."""
    fit = nbadam.curve_fit("a * exp(-x / tau)", X, y, [1, 1], shared=["tau"], workers=1, dtype=dtype)
    return float(fit.shared["tau"].values), float(fit.shared["tau"].errors), fit.total_chi2


def in_single_precision(y: np.ndarray) -> tuple[float, float, float]:
    """Fit with nbadam in single precision."""
    return ours(y, np.float32)


def stacked(y: np.ndarray, sparse: bool) -> tuple[float, float, float]:
    """Fit all data at once with SciPy and exact derivatives."""
    fits = len(y)

    def residuals(t):
        return (t[:-1, None] * np.exp(-X / t[-1]) - y).ravel()

    rows = np.arange(y.size)
    columns = np.stack([np.repeat(np.arange(fits), POINTS), np.full(y.size, fits)])

    def jacobian(t):
        e = np.exp(-X / t[-1])
        entries = np.stack([np.tile(e, fits), (t[:-1, None] * e * X / t[-1] ** 2).ravel()])
        shape = y.size, fits + 1
        if sparse:
            return csr_array((entries.ravel(), (np.tile(rows, 2), columns.ravel())), shape=shape)
        dense = np.zeros(shape)
        dense[rows, columns] = entries
        return dense

    found = least_squares(residuals, np.ones(fits + 1), jacobian, x_scale="jac", ftol=1e-12, xtol=1e-12)
    normal = found.jac.T @ found.jac
    if sparse:
        # The last entry of the inverse, by the Schur complement: the rest is diagonal.
        diagonal, border = normal.diagonal(), normal[[-1]].toarray()[0, :-1]
        variance = 1 / (diagonal[-1] - (border**2 / diagonal[:-1]).sum())
    else:
        variance = np.linalg.inv(normal)[-1, -1]
    chi2 = 2 * found.cost
    return found.x[-1], float(np.sqrt(variance * chi2 / (y.size - fits - 1))), chi2


def dense(y: np.ndarray) -> tuple[float, float, float]:
    """Fit with SciPy and a dense Jacobian."""
    return stacked(y, False)


def sparse(y: np.ndarray) -> tuple[float, float, float]:
    """Fit with SciPy and a sparse Jacobian."""
    return stacked(y, True)


def by_lmfit(y: np.ndarray) -> tuple[float, float, float]:
    """Fit as lmfit's documentation does, with a parameter for each amplitude."""
    import lmfit

    parameters = lmfit.Parameters()
    for i in range(len(y)):
        parameters.add(f"a{i}", 1.0)
    parameters.add("tau", 1.0)

    def residuals(values):
        amplitudes = np.array([values[f"a{i}"].value for i in range(len(y))])
        return (amplitudes[:, None] * np.exp(-X / values["tau"].value) - y).ravel()

    found = lmfit.minimize(residuals, parameters)
    return found.params["tau"].value, found.params["tau"].stderr, found.chisqr


# Name, function, and the most data sets that take less than a minute.
CONTENDERS: list[tuple[str, Callable, int]] = [
    ("nbadam", ours, 1_000_000),
    ("nbadam, float32", in_single_precision, 1_000_000),
    ("SciPy, sparse Jacobian", sparse, 100_000),
    ("SciPy, dense Jacobian", dense, 300),
    ("lmfit", by_lmfit, 100),
]


def main(most: int) -> None:
    """Print a line for each size and contender."""
    small = decays(5)
    missing = set()
    for name, run, _ in CONTENDERS:
        try:
            run(small)
        except ModuleNotFoundError as error:
            print(f"{name}: {error.name} is not installed")
            missing.add(name)
    for fits in (size for size in SIZES if size <= most):
        y = decays(fits)
        racing = [(name, run) for name, run, limit in CONTENDERS if fits <= limit and name not in missing]
        seconds = {name: np.inf for name, _ in racing}
        found = {}
        for _ in range(REPEATS):
            for name, run in racing:
                began = time.process_time()
                found[name] = run(y)
                seconds[name] = min(seconds[name], time.process_time() - began)
        least = min(chi2 for *_, chi2 in found.values())
        for name, (tau, error, chi2) in found.items():
            print(
                f"{fits:>9,}  {name:24}{seconds[name]:10.4f} s  tau {tau:.9f} +- {error:.9f}  "
                f"chi2 above the least {chi2 / least - 1:.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
