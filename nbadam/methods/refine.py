"""The last passes over the data of a run that is told the number of epochs and nothing more.

Gradients on small blocks of the data give the covariance G of the gradients of single samples.  All of
them give the gradient g of the mean.  In variables u with ``x = W u`` and ``W' G W = 1``, the length of the
gradient times the root of the number of samples is the score statistic (C. R. Rao, 1948).  It bounds the
distance from the minimum in standard errors, of any combination of the variables, whatever the curvature.
For a likelihood the curvature in u is 1, too.  So steps of BFGS from there are as good as those of Newton's
method with outer products of gradients.  See E. Berndt, B. Hall, R. Hall and J. Hausman, Annals of Economic
and Social Measurement 3, 1974.  Neither units nor correlations of the variables matter.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from .. import _linalg as linalg
from ..shuffling import order_of
from .objective import Objective

LARGEST = 300  # variables: the arithmetic grows with the cube of their number
BLOCKS = 16  # blocks of the data for each variable
PROBED = 16  # one of so many blocks is evaluated again for the first estimate of the curvature
TARGET = 0.01  # standard errors at which to end
STALE = 1.0  # standard errors from the end at which the covariance may be that of another place
RANK = 1e-13  # relative size of the singular values that count as 0
SHORTEST = 1e-7  # length of a probe of the curvature, relative to the variable that changes most by it
NEGLIGIBLE = 1e-6  # distance from the minimum, as a fraction of that from the start, that is worth none
SUFFICIENT = 1e-4  # fraction of the predicted fall of the value that a step must reach
MARGIN = 1.25  # factor of reported distances, so that they cover 95 % of the true ones: docs/minibatches.rst
# Part of the way back to the start over which the slope of a quadratic grows to that part of the slope there,
# and the smallest growth that is not taken for none.
BACK, FLAT = 0.1, 1e-4
LAST_EPOCH = 2**31  # number of the order of the blocks: no epoch of a run has it


@dataclass
class Refined:
    """The point of a run after its last passes.

    Attributes
    ----------
    x, f, g : ndarray of shape (n,), float, ndarray of shape (n,)
        Point, mean value over all the data, and its gradient.
    stderr : ndarray, shape (n,)
        Estimate of the distance from the minimum, for each variable.
    distance : float
        Estimate of the largest distance in standard errors: those with which the data determine the minimum.
    is_negligible : bool
        Whether the distance is next to nothing beside the way from the start, as where there is no noise.
    """

    x: np.ndarray
    f: float
    g: np.ndarray
    stderr: np.ndarray
    distance: float
    is_negligible: bool


def is_too_large(objective: Objective, n: int) -> bool:
    """Whether there are too many variables, or too few samples for them."""
    assert objective.minibatch is not None
    return n > LARGEST or objective.minibatch.n_samples < BLOCKS * n


def refine(
    objective: Objective,
    x: np.ndarray,
    x_start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    passes: int,
) -> Refined | None:
    """Go from a point near the minimum further towards it, by passes over all the data of a `Minibatch`.

    Parameters
    ----------
    objective : Objective
        Of a Minibatch.
    x, x_start : ndarray, shape (n,)
        Point, and where the run started.
    lower, upper : ndarray, shape (n,)
        Bounds.
    passes : int
        Largest number of passes, but for the one at `x`.

    Returns
    -------
    Refined or None
        None where there are too many variables, too few samples, or gradients that are not finite.
    """
    assert objective.minibatch is not None
    if is_too_large(objective, x.size):
        return None
    with np.errstate(all="ignore"):
        blocks = _Blocks(objective, x.size)
        f, g, deviations = blocks.evaluate(x)
        if not (np.isfinite(f) and np.isfinite(deviations).all()):
            return None
        descent = _Descent(objective, x, f, g, deviations, lower, upper)
        is_noisy = descent.slope.size > 0
        if is_noisy:
            descent.probe(blocks)
        while passes > 0 and descent.distance > TARGET:
            is_far = descent.distance > STALE and passes > 1
            passes = descent.go_down(passes - is_far)
            if is_far:
                passes = passes if descent.renew(*blocks.evaluate(descent.x)) else 0
        if descent.is_of_blocks:  # their sum is that of `full` but for rounding
            descent.f, descent.g = objective.full(descent.x)
        if descent.is_open(x_start):
            return descent.at_infinity()
        return descent.refined(x_start) if is_noisy else None


class _Blocks:
    """All the data in blocks no larger than a batch, in a random order if the batches have one."""

    def __init__(self, objective: Objective, n: int) -> None:
        minibatch, sampler = objective.minibatch, objective.sampler
        assert minibatch is not None and sampler is not None
        samples = minibatch.n_samples
        size = max(1, min(minibatch.size_of(0), samples // (BLOCKS * n)))
        order = order_of(sampler.seed, LAST_EPOCH, samples) if minibatch.shuffle else np.arange(samples)
        self.objective = objective
        self.rows = np.array_split(order, -(-samples // size))
        self.shares = np.array([rows.size for rows in self.rows]) / samples
        self.gradients = np.zeros((len(self.rows), n))

    def evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return value, gradient, and a matrix with ``M.T @ M`` the covariance of samples' gradients."""
        values, gradients = zip(*(self.objective.on_rows(x, rows) for rows in self.rows), strict=True)
        self.gradients = np.array(gradients)
        f, g = float(self.shares @ np.array(values)), self.shares @ self.gradients
        samples = sum(rows.size for rows in self.rows)
        weights = np.sqrt(self.shares * (samples / (len(self.rows) - 1)))
        return f, g, weights[:, None] * (self.gradients - g)

    def change(self, x: np.ndarray) -> np.ndarray:
        """Return how the mean gradient over some blocks changes from the last point to `x`."""
        probed = range(0, len(self.rows), PROBED)
        changes = [self.objective.on_rows(x, self.rows[k])[1] - self.gradients[k] for k in probed]
        return self.shares[::PROBED] @ np.array(changes) / self.shares[::PROBED].sum()


class _Descent:
    """Steps of BFGS in whitened variables, within bounds."""

    def __init__(
        self, objective: Objective, x: Any, f: Any, g: Any, deviations: Any, lower: Any, upper: Any
    ) -> None:
        self.objective, self.lower, self.upper = objective, lower, upper
        assert objective.minibatch is not None
        self.root = sqrt(objective.minibatch.n_samples)
        self.deviations, self.curvature, self.shortening = deviations, 1.0, 1.0
        self.slope, self.inverse, self.to_x = np.zeros(0), np.zeros((0, 0)), np.zeros((x.size, 0))
        self._arrive(x, f, g)
        self._whiten()
        self.is_of_blocks = True

    @property
    def distance(self) -> float:
        """The score statistic."""
        return self.root * float(np.linalg.norm(self.slope))

    def probe(self, blocks: _Blocks) -> None:
        """Estimate the curvature by some blocks of the data, over about a standard error."""
        way, size = self.to_x @ self.slope, float(np.linalg.norm(self.slope))
        if not way.any():
            return
        # The first time over any length, if the value is no likelihood, but over more than rounding.
        visible = SHORTEST * np.where(way != 0, np.abs(self.x / np.where(way != 0, way, 1.0)), np.inf).min()
        for _ in range(3):
            length = max(1 / (self.curvature * self.root * size), visible)
            near = np.clip(self.x - length * way, self.lower, self.upper)
            moved = near - self.x
            found = float(moved @ blocks.change(near)) / (length * size) ** 2
            if not 0 < found < np.inf:
                return
            self.curvature = found
            self.inverse = np.eye(self.slope.size) / found

    def go_down(self, passes: int) -> int:
        """Make up to so many passes, until the target is met; return how many are left that make sense."""
        while passes > 0 and self.distance > TARGET:
            passes = passes - 1 if self._go_on() else 0
        return passes

    def _go_on(self) -> bool:
        """Make a step and a pass over the data at its end; return whether another one makes sense."""
        step = -self.shortening * (self.inverse @ self.slope)
        move = self.to_x @ step
        room = np.where(move > 0, self.upper - self.x, self.lower - self.x)
        fits = float(np.min(np.where(move != 0, room / move, 1.0), initial=1.0))
        step *= fits
        point = np.clip(self.x + fits * move, self.lower, self.upper)
        predicted = float(self.slope @ step)
        if not predicted < 0 or np.array_equal(point, self.x):
            return False
        f, g = self.objective.full(point)
        slope = self.to_x.T @ g
        if not np.isfinite(slope).all():
            f = np.inf
        elif step @ (slope - self.slope) > 0:
            self._update(step, slope - self.slope)
        is_flatter = np.linalg.norm(slope) < np.linalg.norm(self.slope)
        within_rounding = abs(f - self.f) <= 1e-14 * max(abs(f), abs(self.f))
        if not (f - self.f <= SUFFICIENT * predicted or (within_rounding and is_flatter)):
            self.shortening *= 0.25
            return self.shortening > 1e-3
        self.shortening, free, self.is_of_blocks = 1.0, self.free, False
        self._arrive(point, f, g)
        if np.array_equal(free, self.free):
            self.slope = slope
        else:
            self._whiten()
        return self.slope.size > 0

    @linalg.apart_from_forks
    def renew(self, f: float, g: np.ndarray, deviations: np.ndarray) -> bool:
        """Take in value, gradient and covariance where the descent is; return whether it may go on."""
        if not np.isfinite(deviations).all():
            return False
        inverse = self.to_x @ self.inverse @ self.to_x.T
        self.deviations, self.is_of_blocks = deviations, True
        self._arrive(self.x, f, g)
        self._whiten()
        to_u = linalg.pinv(self.to_x)
        self.inverse = to_u @ inverse @ to_u.T
        return self.slope.size > 0

    @linalg.apart_from_forks
    def refined(self, x_start: np.ndarray) -> Refined:
        """Return the point, and how far it is from the minimum."""
        errors = np.sqrt(((self.to_x @ self.inverse) ** 2).sum(axis=1)) / self.root
        distance = MARGIN * self.distance
        is_lost = self._is_lost(x_start)
        if is_lost.any():
            errors = np.where(is_lost, np.inf, distance * errors)
            return Refined(self.x, self.f, self.g, errors, np.inf, False)
        left = np.linalg.norm(self.inverse @ self.slope)
        come = np.linalg.norm(linalg.pinv(self.to_x) @ (self.x - x_start))
        return Refined(self.x, self.f, self.g, distance * errors, distance, bool(left <= NEGLIGIBLE * come))

    def _is_lost(self, x_start: np.ndarray) -> np.ndarray:
        """Return which variables no sample depends on any more, as those of a class that is separate.

        Nor does the value grow if these go on for as long as they have come.
        """
        way = np.where(self.free & ~self.deviations.any(axis=0), self.x - x_start, 0.0)
        if not way.any():
            return way != 0
        beyond = np.clip(self.x + way, self.lower, self.upper)
        return (way != 0) & (self.objective.full(beyond)[0] <= self.f)

    def is_open(self, x_start: np.ndarray) -> bool:
        """Whether there is no minimum, as far from separable classes.

        The value grows neither on the way on, for as long as it has been, nor on the last part of the way.
        """
        way = self.x - x_start
        beyond = np.clip(self.x + way, self.lower, self.upper)
        if not (self.free & (way != 0)).any() or not self.objective.full(beyond)[0] <= self.f:
            return False
        near = self.objective.full(self.x - BACK * way)[1]
        return bool(abs(near @ way) <= FLAT * abs(self.objective.full(x_start)[1] @ way))

    def at_infinity(self) -> Refined:
        """Return the point, from which the minimum may be at any distance."""
        return Refined(self.x, self.f, self.g, np.where(self.free, np.inf, 0.0), np.inf, False)

    def _arrive(self, x: np.ndarray, f: float, g: np.ndarray) -> None:
        """Take in a point; variables whose bound the descent would cross are not free there."""
        self.x, self.f, self.g = x, f, g
        is_held = (x <= self.lower) & (g > 0) | (x >= self.upper) & (g < 0)
        self.free = ~is_held & (self.lower < self.upper)

    def _whiten(self) -> None:
        """Find the variables u of the free ones, and forget the curvature."""
        scale = np.sqrt((self.deviations**2).sum(axis=0))
        known = self.free & (scale > 0)
        self.to_x = np.zeros((scale.size, 0))
        if known.any():
            _, values, vectors = linalg.svd(self.deviations[:, known] / scale[known], full_matrices=False)
            kept = values > RANK * values[0]
            self.to_x = np.zeros((scale.size, int(kept.sum())))
            self.to_x[known] = vectors[kept].T / values[kept] / scale[known, None]
        self.slope = self.to_x.T @ self.g
        self.inverse = np.eye(self.slope.size) / self.curvature

    @linalg.apart_from_forks
    def _update(self, step: np.ndarray, change: np.ndarray) -> None:
        """Update the inverse of the curvature (Broyden, Fletcher, Goldfarb and Shanno)."""
        bent = float(step @ change)
        turn = np.eye(step.size) - np.outer(step, change) / bent
        self.inverse = turn @ self.inverse @ turn.T + np.outer(step, step) / bent
