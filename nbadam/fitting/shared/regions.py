"""Trust regions for many small problems side by side, given as normal equations.

The steps of `trust_region`, for problems that are no sums over a data set's points but over data sets.
All arrays have one row for each problem.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import _linalg as linalg
from ...status import Status
from ..kernels.trust_region import CHEAP, CLOSE, FIRST_RADIUS, LEAST_RADIUS, NEAR

RUNNING = -1
ATTEMPTS = 20  # attempts to find the damping; three do on the average
STALLED = 1e-4  # share of the variance: promises of at most a hundredth of a standard error


@dataclass
class Equations:
    """Normal equations at the point where the problems are.

    Attributes
    ----------
    point : ndarray, shape (problems, n)
    chi2 : ndarray, shape (problems,)
    promise : ndarray, shape (problems,)
        By how much eliminated parameters alone would lower chi-square.
    matrix : ndarray, shape (problems, n, n)
    force : ndarray, shape (problems, n)
        Minus half the gradient of chi-square.
    diagonal : ndarray, shape (problems, n)
        Squared lengths of the columns of the Jacobian: units of the parameters.
    """

    point: np.ndarray
    chi2: np.ndarray
    promise: np.ndarray
    matrix: np.ndarray
    force: np.ndarray
    diagonal: np.ndarray


class Regions:
    """Trust regions, one for each problem.

    Parameters
    ----------
    lower, upper : ndarray, shape (problems, n)
        Bounds; infinite where there are none.
    ftol, xtol : float
        Tolerances as in `curve_fit`.
    epsilon : float
        Unit of rounding of the sums.
    rounding, own_rounding : ndarray, shape (problems,)
        Relative changes of chi-square, and of the sum of their amounts over the data sets, by rounding.
    dof : ndarray, shape (problems,)
        Degrees of freedom.
    """

    lower: Any
    upper: Any
    ftol: float
    xtol: float
    epsilon: float
    rounding: Any
    own_rounding: Any
    radius: np.ndarray
    scale: np.ndarray
    is_first: np.ndarray
    is_better: Any
    is_renewed: np.ndarray

    def __init__(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        ftol: float,
        xtol: float,
        epsilon: float,
        rounding: Any,
        own_rounding: Any,
        dof: Any,
    ) -> None:
        self.lower, self.upper, self.ftol, self.xtol = lower, upper, ftol, xtol
        self.epsilon, self.rounding, self.own_rounding = epsilon, rounding, own_rounding
        self.dof: Any = np.maximum(dof, 1)
        count = len(lower)
        self.radius, self.scale = np.full(count, np.nan), np.zeros(lower.shape)
        self.code: np.ndarray = np.full(count, RUNNING)
        self.is_first, self.is_better = np.ones(count, bool), np.ones(count, bool)
        self.is_renewed = np.zeros(count, bool)

    def propose(self, at: Equations) -> np.ndarray:
        """Return steps, and end problems that have converged: their `code` is then a status."""
        self.scale = np.maximum(self.scale, at.diagonal)
        self._set_up(at, np.isnan(self.radius))
        step, full, promised = self.solve(at)
        running = self.code == RUNNING
        small = self._is_small(full, at.point)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(at.chi2 > 0, promised / at.chi2, 0)
            own_left = np.where(at.chi2 > 0, at.promise / at.chi2, 0)
        hidden = ~self.is_better & (left <= self.rounding)
        settled = own_left <= np.maximum(self.ftol, self.own_rounding)
        converged = running & settled & ((left <= self.ftol) | small | hidden)
        self.code[converged] = Status.SUCCESS
        stalled = running & ~converged & self._is_small(step, at.point)
        if stalled.any():
            # Nothing is left of the region, whose scales may be from elsewhere.
            again = stalled & ~self.is_renewed
            self._set_up(at, again)
            self.is_renewed |= again
            end = stalled & ~again
            negligible = promised <= STALLED * at.chi2 / self.dof
            self.code[end] = np.where(negligible, Status.SUCCESS, Status.NOT_MOVED)[end]
            step = self.solve(at)[0]
        self.step: np.ndarray = np.where((self.code == RUNNING)[:, None], step, 0)
        self.before = at
        return self.step

    def accept_step(self, chi2: np.ndarray) -> np.ndarray:
        """Tell where the steps have made chi-square better; set the radii as MINPACK's lmder does."""
        at, step = self.before, self.step
        gain = at.chi2 - chi2
        slope = (at.force * step).sum(axis=1)
        predicted = at.promise + 2 * slope - np.einsum("pi,pij,pj->p", step, at.matrix, step)
        finite = np.isfinite(chi2)
        with np.errstate(all="ignore"):
            ratio = np.where(finite, gain / np.abs(predicted), -1)
            shrink = np.where(finite, np.clip(0.5 * slope / (slope - 0.5 * gain), 0.1, 0.5), 0.1)
        norm = np.sqrt((self.scale * step**2).sum(axis=1))
        smaller = shrink * np.minimum(self.radius, 10 * norm)
        larger = np.where((ratio >= 0.75) | (self.damping == 0), 2 * norm, self.radius)
        running = self.code == RUNNING
        self.radius = np.where(running, np.where(ratio > 0.25, larger, smaller), self.radius)
        self.is_better = running & (ratio >= 1e-4)
        self.is_renewed &= ~self.is_better
        return self.is_better

    def _set_up(self, at: Equations, which: np.ndarray) -> None:
        """Begin with regions of a size that the point suggests."""
        scale = np.where(which[:, None], at.diagonal, self.scale)
        size = np.sqrt((scale * at.point**2).sum(axis=1))
        residuals = np.sqrt(at.chi2)
        radius = np.where(size > 0, FIRST_RADIUS * size, residuals)
        self.scale = scale
        self.radius = np.where(which, np.maximum(radius, LEAST_RADIUS * residuals), self.radius)

    def _is_small(self, step: np.ndarray, point: np.ndarray) -> np.ndarray:
        return (np.abs(step) <= self.xtol * np.abs(point)).all(axis=1)

    def solve(self, at: Equations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return steps within the regions and bounds, the full steps, and what these promise.

        Where a step would leave the bounds, the parameter stops there, and the others are solved for again.
        """
        n = at.point.shape[1]
        unit = np.where(self.scale > 0, 1 / np.sqrt(np.where(self.scale > 0, self.scale, 1)), 0)
        low, high = self._limits(at)
        free = ~(((at.point <= self.lower) & (at.force <= 0)) | ((at.point >= self.upper) & (at.force >= 0)))
        free &= unit > 0
        move = np.zeros_like(at.point)
        matrix = unit[:, :, None] * at.matrix * unit[:, None, :]
        full = promised = np.empty(0)
        for attempt in range(n + 1):
            pairs = free[:, :, None] & free[:, None, :]
            left = at.force - np.einsum("pij,pj->pi", at.matrix, move)
            values, vectors = linalg.eigh(np.where(pairs, matrix, np.eye(n)))
            parts = np.einsum("pji,pj->pi", vectors, np.where(free, left * unit, 0))
            # Directions that the data do not determine to within rounding are left alone.
            determined = values > n * self.epsilon * values[:, -1:]
            parts = np.where(determined, parts, 0)
            values = np.where(determined, values, 1)
            self.damping: np.ndarray = self._damping(values, parts)
            step = np.einsum("pij,pj->pi", vectors, parts / (values + self.damping[:, None])) * unit + move
            if attempt == 0:
                full = np.einsum("pij,pj->pi", vectors, parts / values) * unit
                promised = (parts**2 / values).sum(axis=1)
            target = at.point + step
            out = free & ((target < low) | (target > high))
            if not out.any():
                break
            move = np.where(out, np.where(step < 0, low, high) - at.point, move)
            free &= ~out
        return np.clip(at.point + step, low, high) - at.point, full, promised

    def _limits(self, at: Equations) -> tuple[np.ndarray, np.ndarray]:
        """Return where steps end: short of a bound until the rest of the way changes next to nothing."""
        room = np.where(at.force < 0, at.point - self.lower, self.upper - at.point)
        force, curvature = np.abs(at.force), np.einsum("pii->pi", at.matrix)
        with np.errstate(invalid="ignore"):
            lands = (curvature * room <= CLOSE * force) & (force * room <= CHEAP * at.chi2[:, None])
        low = np.where(lands & (at.force < 0), self.lower, at.point + NEAR * (self.lower - at.point))
        high = np.where(lands & (at.force > 0), self.upper, at.point + NEAR * (self.upper - at.point))
        return low, high

    def _damping(self, values: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """Return the damping that brings the length of a step to the radius; 0 where it is shorter."""
        damping = np.zeros(len(values))
        for _ in range(ATTEMPTS):
            shifted = values + damping[:, None]
            square = (parts**2 / shifted**2).sum(axis=1)
            norm = np.sqrt(square)
            over = norm > 1.1 * self.radius
            if not over.any():
                break
            with np.errstate(all="ignore"):
                more = (norm - self.radius) / self.radius * square / (parts**2 / shifted**3).sum(axis=1)
            damping = np.where(over, damping + more, damping)
        return damping
