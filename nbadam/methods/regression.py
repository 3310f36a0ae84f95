"""Regression of noisy values by a quadratic, and the way to its minimum.

The regression has normal priors, whose widths maximize the evidence, as does the variance of the noise
(D. J. C. MacKay, "Bayesian interpolation", Neural Computation 4, 1992).  So it needs fewer values than the
quadratic has coefficients.

With more values than coefficients, three things are learned from them.  First, noise may grow with the
value: the likelihood of the residuals of a first fit tells how fast, and where that is clear a second fit has
weights for it.  Second, there may be outliers.  Where the likelihood is clearly for Student's t distribution,
the fit has its weights, in turn with its residuals (K. L. Lange, R. J. A. Little and J. M. G. Taylor, "Robust
statistical modeling using the t distribution", Journal of the American Statistical Association 84, 1989).
Third, the function is no quadratic.  Of all terms beyond one, ``s |s|**2`` and ``|s|**4`` change slope and
value at the center most, where points lie in all directions.  They join the fit where the evidence for them
is strong.
"""

from math import lgamma, log, pi, sqrt
from typing import NamedTuple

import numpy as np

from .. import _linalg as linalg

LARGEST_FULL = 20  # variables up to which the quadratic has mixed terms
BENT = 2.0  # radii at which what a quadratic leaves out, of the third order, is as large as the noise
# Prior standard deviations, relative to those of the slopes: of the constant, of the mean curvature, of the
# other curvatures, from which the evidence chooses, and of the terms beyond a quadratic; the last number is
# the variance of the noise.
CONSTANT, MEAN_CURVATURE, CURVATURES, BEYOND = 10.0, 1.0, (0.1, 0.5), 0.3
VARIANCES = 10.0 ** np.arange(-8, 3.01, 0.5)
# Twice the logarithm of a ratio of evidences that is strong: Kass and Raftery, "Bayes factors", Journal of
# the American Statistical Association 90, 1995.
STRONG = 6.0
# Growth of the noise with the height above the lowest value, from which the likelihood chooses.
GROWTHS = 0.0, 0.03, 0.1, 0.3, 1.0, 3.0
# Degrees of freedom of Student's t distribution, from which the likelihood chooses; iterations for its scale,
# and for its weights.
DEGREES, RESCALED, REWEIGHTED = (1.0, 3.0), 10, 4
# Factor of the variance of an outlier; the least number of them on each side, and relative to the other side.
OUTLYING, LEAST_OUTLIERS, ONE_SIDED = 10.0, 2, 0.12
INNER = 0.5  # squared distance from the center, in radii, from which on points tell the noise a radius away
# Part of the way to axes in which all curvatures are equal, least curvature that counts, relative to the
# largest one, and largest ratio of the lengths of the axes: noise, too, makes curvatures differ.
ROUNDED, FLATTEST, LONGEST = 0.2, 0.01, 10.0


class Fit(NamedTuple):
    """A quadratic around a center, in radii."""

    value: float
    slope: np.ndarray  # shape (n,)
    curvature: np.ndarray  # shape (n, n)
    deviation: float  # standard deviation of the residuals at the center
    error: float  # standard error of `value`
    # Geometric mean of `deviation` and of the one without weights for growing noise: without them such noise
    # looks like misfit, and with them misfit looks like such noise.
    misfit: float = 0.0
    is_bent: bool = False  # whether terms beyond a quadratic are clear
    loudness: float = 1.0  # noise a radius away, relative to the one at the center

    def change(self, step: np.ndarray) -> float:
        """Return the change of the value over a step from the center."""
        return float(self.slope @ step + 0.5 * step @ self.curvature @ step)


class _Solution(NamedTuple):
    """Coefficients of a regression, and how likely it is."""

    score: float  # minus twice the logarithm of the evidence
    curvature: float  # prior standard deviation
    coefficients: np.ndarray
    deviation: float  # standard deviation of the residuals
    error: float  # standard error of the constant


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
    beyond = s * squares[:, None], squares**2
    features = np.column_stack([np.ones(m), s, squares, s[:, rows] * s[:, columns] * factors, *beyond])
    size = features.shape[1] - n - 1
    left_out = (squares / BENT**2) ** 3  # variance, relative to the one of the noise
    least = float(values.min())
    above = values - least  # exactly 0 where all are equal: rounding of a mean would look like a slope

    def solve(variances: np.ndarray, curvatures: tuple[float, ...], is_bent: bool) -> tuple[float, _Solution]:
        weights = 1 / np.sqrt(variances + left_out)
        mean = float(np.average(above, weights=weights**2))
        y, weighted = weights * (above - mean), weights[:, None] * features
        gram = weighted.T @ weighted if m > size else None
        found = [_regress(weighted[:, :size], y, n, c, gram) for c in curvatures]
        best = min(found, key=lambda solution: solution.score)
        if is_bent and m > features.shape[1]:
            bent = _regress(weighted, y, n, best.curvature, gram)
            best = bent if bent.score < best.score - STRONG else best
        return mean, best

    mean, best = solve(np.ones(m), CURVATURES, False)
    unweighted, loudness = best.deviation, 1.0
    if m > size and best.deviation > 0:
        predicted = mean + features[:, :size] @ best.coefficients
        heights = (predicted - predicted.min()) / best.deviation
        growth = _growth_of_noise(above - predicted, heights, left_out)
        if growth > 0:
            center = (mean + float(best.coefficients[0]) - float(predicted.min())) / best.deviation
            around = float(heights[squares > INNER].mean()) if (squares > INNER).any() else center
            loudness = (1 + growth * max(around, 0.0)) / (1 + growth * max(center, 0.0))
        variances = (1 + growth * heights) ** 2
        for _ in range(REWEIGHTED):
            tails = _tails(above - predicted, variances + left_out)
            mean, best = solve(variances * tails, (best.curvature,), True)
            if (tails == 1).all():
                break
            predicted = mean + features[:, : best.coefficients.size] @ best.coefficients
        else:
            # Rare losses, or gains, are part of the mean, which is to be minimized.
            outliers = (above - predicted)[tails > OUTLYING]
            sides = np.count_nonzero(outliers > 0), np.count_nonzero(outliers < 0)
            if min(sides) < max(LEAST_OUTLIERS, ONE_SIDED * max(sides)):
                mean, best = solve(variances, (best.curvature,), True)
    coefficients = best.coefficients
    hessian = np.diag(np.full(n, 2 * coefficients[n + 1]))
    mixed = coefficients[n + 2 : size]
    hessian[rows, columns] += np.where(rows == columns, sqrt(2), 1.0) * mixed
    hessian[columns, rows] = hessian[rows, columns]
    value, slope = least + mean + float(coefficients[0]), coefficients[1 : n + 1]
    misfit = sqrt(unweighted * best.deviation)
    return Fit(value, slope, hessian, best.deviation, best.error, misfit, coefficients.size > size, loudness)


def _regress(a: np.ndarray, y: np.ndarray, n: int, curvature: float, gram: np.ndarray | None) -> _Solution:
    """Return the regression whose prior and noise have the variances of the largest evidence.

    Parameters
    ----------
    a, y : ndarray, shapes (m, size) and (m,)
        Weighted features and values.
    n : int
        Number of variables.
    curvature : float
        Prior standard deviation of curvatures.
    gram : ndarray, optional
        Inner products of the features, and of more, if there are more values than features.
    """
    m, size = a.shape
    quadratic = n + 2 + (n * (n + 1) // 2 if n <= LARGEST_FULL else n)
    prior = np.full(size, sqrt(2) * curvature)
    prior[0], prior[1 : n + 1], prior[n + 1], prior[quadratic:] = CONSTANT, 1.0, MEAN_CURVATURE, BEYOND
    # The smaller of the two matrices of inner products, with the evidence for all variances at once.
    if gram is not None:
        eigenvalues, vectors = linalg.eigh(gram[:size, :size] * prior[:, None] * prior)
        b = vectors.T @ (prior * (a.T @ y))
    else:
        a = a * prior
        eigenvalues, vectors = linalg.eigh(a @ a.T)
        b = vectors.T @ y
    damped = np.maximum(eigenvalues, 0.0) + VARIANCES[:, None]
    if gram is not None:
        form = (y @ y - (b * b / damped).sum(axis=1)) / VARIANCES
        logarithm = (m - size) * np.log(VARIANCES) + np.log(damped).sum(axis=1)
    else:
        form, logarithm = (b * b / damped).sum(axis=1), np.log(damped).sum(axis=1)
    height = np.maximum(form / m, np.finfo(float).tiny)
    score = m * np.log(height) + logarithm
    k = int(np.argmin(score))
    solved = vectors @ (b / damped[k])
    deviation = sqrt(height[k] * VARIANCES[k])
    # First entry of the inverse of ``a.T @ a + variance``, which belongs to the constant.
    if gram is not None:
        coefficients, inverse = prior * solved, float((vectors[0] ** 2 / damped[k]).sum())
    else:
        coefficients = prior * (a.T @ solved)
        known = float(((vectors.T @ a[:, 0]) ** 2 / damped[k]).sum())
        inverse = max(1 - known, 0.0) / VARIANCES[k]
    error = deviation * CONSTANT * sqrt(inverse)
    return _Solution(float(score[k]), curvature, coefficients, deviation, error)


def _growth_of_noise(residuals: np.ndarray, heights: np.ndarray, left_out: np.ndarray) -> float:
    """Return the growth of the noise that explains residuals best; 0 where that is not clear.

    The standard deviation grows in proportion to the height of a fit above its lowest value; heights are in
    standard deviations of the residuals.
    """

    def score(growth: float) -> float:
        variances = (1 + growth * heights) ** 2 + left_out
        mean = max(float(np.mean(residuals**2 / variances)), np.finfo(float).tiny)
        return float(np.log(variances).sum()) + residuals.size * float(np.log(mean))

    growth = min(GROWTHS, key=score)
    return growth if score(growth) < score(0.0) - STRONG else 0.0


def _tails(residuals: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return factors of the variances for noise with heavy tails; ones where that is not clear.

    They are those of Student's t distribution, with the number of degrees of freedom and the scale that
    explain residuals best.
    """
    squares = np.maximum(residuals**2 / variances, np.finfo(float).tiny)
    best, tails = squares.size * (log(2 * pi * float(squares.mean())) + 1) - STRONG, np.ones_like(squares)
    for nu in DEGREES:
        scale = float(squares.mean())
        for _ in range(RESCALED):
            scale = float(np.mean(squares * (nu + 1) / (nu + squares / scale)))
        score = squares.size * (log(scale * nu * pi) + 2 * lgamma(nu / 2) - 2 * lgamma((nu + 1) / 2))
        score += (nu + 1) * float(np.log1p(squares / (nu * scale)).sum())
        if score < best:
            best, tails = score, (nu + squares / scale) / (nu + 1)
    return tails


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


@linalg.apart_from_forks
def rounded_axes(axes: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return the axes of an ellipsoid of the same volume in which curvatures differ less.

    Parameters
    ----------
    axes : ndarray, shape (n, n)
        Symmetric matrix of determinant 1; points of the ellipsoid are ``axes @ s`` with ``|s| <= 1``.
    curvature : ndarray, shape (n, n)
        Curvature by s.
    """
    values, vectors = linalg.eigh(curvature)
    if not values[-1] > 0:
        return axes
    logarithms = np.log(np.maximum(values, FLATTEST * values[-1]))
    factors = np.exp(-0.5 * ROUNDED * (logarithms - logarithms.mean()))
    left, lengths, _ = linalg.svd(axes @ (vectors * factors) @ vectors.T)
    logarithms = np.log(np.maximum(lengths, lengths[0] / LONGEST))
    return (left * np.exp(logarithms - logarithms.mean())) @ left.T
