"""Shared parameters that are ill-conditioned: last steps and covariances by QR factors of the Jacobian.

As in `finish`, for the Jacobian of the whole.  An orthogonal transformation eliminates the own parameters
from each data set's rows; the others then have entries for the shared values only.
"""

from typing import Any

import numpy as np

from ... import _linalg as linalg
from ..jacobians import ROUNDING, SINGULAR, Jacobians, triangle_of
from ..kernels.kernels import ModelError

STEPS = 10  # limit of last steps


class Factors:
    """QR factors of one problem of a `Whole`.

    Parameters
    ----------
    whole : Whole
    number : int
        The problem.
    """

    whole: Any
    number: int
    accuracy: float
    rounding: float
    own: list[Any]

    def __init__(self, whole: Any, number: int) -> None:
        self.whole, self.number = whole, number
        self.rows: list[np.ndarray] = [
            np.flatnonzero(included & (whole.problem_of(k) == number))
            for k, included in enumerate(whole.included)
        ]
        self.p: list[Any] = [
            state.p[rows].astype(float) for state, rows in zip(whole.states, self.rows, strict=True)
        ]
        self.accuracy, self.rounding = 0.0, 0.0
        members = np.flatnonzero(whole.problem == number)
        self.members: np.ndarray = members[np.argsort(whole.slot[members])]
        self.used: Any = whole.used[self.members]

    def evaluate(self) -> float:
        """Factor the Jacobian at `p`; return chi-square.

        Sets `own`, the rows of each part's own parameters, and `common`, the factor of the shared ones with
        the residuals as last column.  `lengths` are the norms of the shared ones' whole columns.
        """
        n = self.members.size
        total, squares = 0.0, np.zeros(n)
        self.own, common = [], np.empty((0, n + 1))
        for k, rows in enumerate(self.rows):
            part = self.whole.parts[k]
            count, shared = part.own.size, part.shared.size
            columns = np.concatenate([part.own, part.shared, [part.plan.fixed.size]])
            kept = np.zeros((rows.size, count, columns.size))
            for block in part.blocks:
                some = np.flatnonzero((rows >= block.start) & (rows < block.stop))
                if not some.size:
                    continue
                jacobians = Jacobians(self.whole.sets, part.plan, part.numbers[rows[some]])
                self.accuracy = max(self.accuracy, jacobians.accuracy)
                self.rounding = max(self.rounding, float(jacobians.rounding.max()))
                factor, chi2 = jacobians.of(np.arange(some.size), np.ascontiguousarray(self.p[k][some]))
                factor = factor[..., columns]
                triangle = np.zeros((some.size, columns.size, columns.size))
                reduced = triangle_of(factor)
                triangle[:, : reduced.shape[1]] = reduced
                total += chi2.sum()
                kept[some] = triangle[:, :count]
                slots = self.whole.slot[part.values[rows[some]]]
                np.add.at(squares, slots, (factor[..., count:-1] ** 2).sum(axis=1))
                left = np.zeros((some.size, shared, n + 1))
                index = np.broadcast_to(slots[:, None], (some.size, shared, shared))
                np.put_along_axis(left, index, triangle[:, count : count + shared, count:-1], axis=2)
                left[..., -1] = triangle[:, count : count + shared, -1]
                common = triangle_of(np.concatenate([common, left.reshape(-1, n + 1)]))
            self.own.append(kept)
        self.common: np.ndarray = np.zeros((n, n + 1))
        self.common[: min(n, len(common))] = common[:n]
        self.lengths: np.ndarray = np.sqrt(squares)
        return float(total)

    def inverse(self) -> tuple[np.ndarray, float]:
        """Return the inverse of the factor of the shared values, and the relative error of its rows."""
        square = self.common[:, :-1].copy()
        diagonal = np.einsum("ii->i", square)
        diagonal[~self.used] = 1
        diagonal[diagonal == 0] = np.finfo(float).tiny
        with np.errstate(all="ignore"):
            inverse = linalg.inv(square)
            error = self.rounding * float((self.lengths * np.linalg.norm(inverse, axis=1)).max())
        return inverse, error if error == error else np.inf

    def step(self, inverse: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], float]:
        """Return full steps of the shared values and of each part's own parameters, and what they promise."""
        shared = linalg.matmul(inverse, self.common[:, -1])
        promise = float((self.common[:, -1] ** 2).sum())
        steps = []
        for k, rows in enumerate(self.rows):
            part = self.whole.parts[k]
            count = part.own.size
            square, border, force = np.split(self.own[k], [count, count + part.shared.size], axis=2)
            moves = shared[self.whole.slot[part.values[rows]]]
            with np.errstate(all="ignore"):
                length = np.linalg.norm(square, axis=1)
                condition = np.abs(np.einsum("fii->fi", square)) / length
            known = (condition > ROUNDING / SINGULAR).all(axis=1)
            own = np.zeros((rows.size, count))
            if count and known.any():
                right = force[known] - linalg.matmul(border[known], moves[known, :, None])
                own[known] = linalg.solve(square[known], right)[..., 0]
                promise += float((force[known] ** 2).sum())
            steps.append(own)
        return shared, steps, promise


def refine(whole: Any, number: int) -> np.ndarray:
    """Improve one problem by Gauss-Newton steps; return the root of the covariance of its shared values.

    Infinite where the data do not determine them.
    """
    factors = Factors(whole, number)
    members = factors.members
    values = whole.values[members].copy()
    ftol = max(whole.plan.ftol, ROUNDING)
    try:
        chi2 = factors.evaluate()
        part = 1.0
        for _ in range(STEPS):
            inverse, error = factors.inverse()
            if not error < SINGULAR:
                break
            shared, own, promise = factors.step(inverse)
            if not promise > ftol * chi2:
                break
            before = [p.copy() for p in factors.p], values.copy(), chi2, factors.own, factors.common
            values = np.clip(values + part * shared, whole.lower[members], whole.upper[members])
            for k, (p, move) in enumerate(zip(factors.p, own, strict=True)):
                p[:, whole.parts[k].own] += part * move
                p[:, whole.parts[k].shared] = values[whole.slot[whole.parts[k].values[factors.rows[k]]]]
            chi2 = factors.evaluate()
            if not chi2 < before[2]:
                factors.p, values, chi2, factors.own, factors.common = before
                part /= 4
        inverse, error = factors.inverse()
    except ModelError:
        return np.full((members.size,) * 2, np.inf)
    whole.values[members] = values
    for state, rows, p in zip(whole.states, factors.rows, factors.p, strict=True):
        state.p[rows] = p
    return inverse if error <= factors.accuracy else np.full(inverse.shape, np.inf)
