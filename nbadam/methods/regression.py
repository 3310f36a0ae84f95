"""Regression of noisy values by a quadratic, and the way to its minimum.

The regression has normal priors, whose widths maximize the evidence, as does the variance of the noise
(D. J. C. MacKay, "Bayesian interpolation", Neural Computation 4, 1992).  So it needs fewer values than the
quadratic has coefficients.
"""

from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from .. import _linalg as linalg

LARGEST_FULL = 20  # variables up to which the quadratic has mixed terms
BENT = 2.0  # radii at which what a quadratic leaves out, of the third order, is as large as the noise
# Prior standard deviations, relative to those of the slopes: of the constant, of the mean curvature, and of
# the other curvatures, from which the evidence chooses; the last number is the variance of the noise.
CONSTANT, MEAN_CURVATURE, CURVATURES = 10.0, 1.0, (0.1, 0.5)
VARIANCES = 10.0 ** np.arange(-8, 3.01, 0.5)


class Fit(NamedTuple):
    """A quadratic around a center, in radii."""

    value: float
    slope: np.ndarray  # shape (n,)
    curvature: np.ndarray  # shape (n, n)
    deviation: float  # standard deviation of the residuals at the center
    error: float  # standard error of `value`

    def change(self, step: np.ndarray) -> float:
        """Return the change of the value over a step from the center."""
        return float(self.slope @ step + 0.5 * step @ self.curvature @ step)


@linalg.apart_from_forks
def fit_quadratic(s: np.ndarray, values: np.ndarray) -> Fit:
    """Fit a quadratic to noisy values.

    Parameters
    ----------
    s : ndarray, shape (m, n)
        Points relative to the center, in radii.
    values : ndarray, shape (m,)
        Finite values.
    """
    m, n = s.shape
    rows, columns = np.triu_indices(n) if n <= LARGEST_FULL else (np.arange(n),) * 2
    factors = np.where(rows == columns, sqrt(0.5), 1.0)
    squares = (s * s).sum(axis=1)
    weights = 1 / np.sqrt(1 + (squares / BENT**2) ** 3)
    least = float(values.min())
    above = values - least  # exactly 0 where all are equal: rounding of a mean would look like a slope
    mean = float(np.average(above, weights=weights**2))
    y = weights * (above - mean)
    features = np.column_stack([np.ones(m), s, squares, s[:, rows] * s[:, columns] * factors])
    size, best = features.shape[1], (inf, np.zeros(0), 0.0, 0.0)
    for curvature in CURVATURES:
        prior = np.full(size, sqrt(2) * curvature)
        prior[0], prior[1 : n + 1], prior[n + 1] = CONSTANT, 1.0, MEAN_CURVATURE
        a = weights[:, None] * features * prior
        # The smaller of the two matrices of inner products, with the evidence for all variances at once.
        eigenvalues, vectors = linalg.eigh(a.T @ a if m > size else a @ a.T)
        damped = np.maximum(eigenvalues, 0.0) + VARIANCES[:, None]
        if m > size:
            b = vectors.T @ (a.T @ y)
            form = (y @ y - (b * b / damped).sum(axis=1)) / VARIANCES
            logarithm = (m - size) * np.log(VARIANCES) + np.log(damped).sum(axis=1)
        else:
            b = vectors.T @ y
            form, logarithm = (b * b / damped).sum(axis=1), np.log(damped).sum(axis=1)
        height = np.maximum(form / m, np.finfo(float).tiny)
        score = m * np.log(height) + logarithm
        k = int(np.argmin(score))
        if score[k] < best[0]:
            solved = vectors @ (b / damped[k])
            coefficients = prior * (solved if m > size else a.T @ solved)
            deviation = sqrt(height[k] * VARIANCES[k])
            # First entry of the inverse of ``a.T @ a + variance``, which belongs to the constant.
            if m > size:
                inverse = float((vectors[0] ** 2 / damped[k]).sum())
            else:
                known = float(((vectors.T @ a[:, 0]) ** 2 / damped[k]).sum())
                inverse = max(1 - known, 0.0) / VARIANCES[k]
            best = float(score[k]), coefficients, deviation, deviation * CONSTANT * sqrt(inverse)
    _, coefficients, deviation, error = best
    hessian = np.diag(np.full(n, 2 * coefficients[n + 1]))
    hessian[rows, columns] += np.where(rows == columns, sqrt(2), 1.0) * coefficients[n + 2 :]
    hessian[columns, rows] = hessian[rows, columns]
    return Fit(least + mean + float(coefficients[0]), coefficients[1 : n + 1], hessian, deviation, error)


@linalg.apart_from_forks
def step_within(fit: Fit) -> tuple[np.ndarray, bool]:
    """Return the step to the minimum of a quadratic within a length of 1, and whether that cuts it short."""
    eigenvalues, vectors = linalg.eigh(fit.curvature)
    b = vectors.T @ fit.slope
    length = float(np.linalg.norm(b))
    if length == 0:
        return np.zeros_like(b), False
    if eigenvalues[0] > 0 and np.linalg.norm(b / eigenvalues) <= 1:
        return -vectors @ (b / eigenvalues), False
    low = max(0.0, -float(eigenvalues[0]))
    high = low + length
    for _ in range(60):
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore"):
            is_long = not np.linalg.norm(b / (eigenvalues + middle)) <= 1
        low, high = (middle, high) if is_long else (low, middle)
    return -vectors @ (b / (eigenvalues + high)), True
