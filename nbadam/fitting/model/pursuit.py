"""Choices among the regressors of several terms: orthogonal matching pursuit.

Each term takes a row of its grid in turn, with the terms chosen so far as further regressors.  A second
round chooses again.
"""

from typing import Any

import numpy as np

from ... import _linalg as linalg

ROUNDS = 3  # times that each term of a sum is chosen
ALIKE = 0.5  # squared cosine from which on two regressors begin the same solution
RIDGE = 1e-10  # relative to the squared length of a regressor


class Choice:
    """Rows of the grids that fit data best.

    Sums run over points by `einsum`: two data sets or more have the same bits as many.  BLAS's depend on the
    number.

    Parameters
    ----------
    columns : list of ndarray, shape (n_linear, rows, m)
        Regressors of each term.
    slopes : list of ndarray, shape (n, rows, m)
        Their derivatives, by which other terms tell the error of a row from a term of their own.
    kinds : list of int
        Equal numbers for terms of equal regressors.
    """

    raw: list[np.ndarray]
    kinds: list[int]

    def __init__(self, columns: list[np.ndarray], slopes: list[np.ndarray], kinds: list[int]) -> None:
        self.raw, self.kinds = columns, kinds
        is_fixed = [(own == own[:, :1]).all(axis=(1, 2)) for own in columns]
        fixed = np.concatenate([own[which, 0] for own, which in zip(columns, is_fixed, strict=True)])
        self.basis: np.ndarray = _orthonormal(fixed)
        self.varying: list[int] = [i for i, which in enumerate(is_fixed) if not which.all()]
        self.own: dict[int, np.ndarray] = {}
        self.squares: dict[int, np.ndarray] = {}
        self.tangents: dict[int, np.ndarray] = {}
        for i in self.varying:
            self.own[i] = self._normal(columns[i][~is_fixed[i]])
            self.tangents[i] = np.concatenate([self.own[i], self._normal(slopes[i])])
            self.squares[i] = np.einsum("lkm,nkm->kln", self.own[i], self.own[i])

    def of(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the chosen row of each term, and the coefficients, for each data set."""
        scale = np.abs(y).max(axis=1, keepdims=True)
        rest = self._projected(y / np.where(scale > 0, scale, 1))
        best = None
        begun: list[tuple[int, np.ndarray]] = []
        for turn in range(max(1, len(self.varying))):
            order = self.varying[turn:] + self.varying[:turn]
            chosen = self._chosen(rest, order, begun)
            coefficients, misfit = self._regression(y, chosen), self._misfit(rest, chosen)
            if best is None:
                best = chosen, coefficients, misfit
            else:
                better = misfit < best[2]
                for kept, new in zip(best, (chosen, coefficients, misfit), strict=True):
                    kept[better] = new[better]
        assert best is not None
        return best[:2]

    def _normal(self, columns: np.ndarray) -> np.ndarray:
        """Subtract the regression on the fixed columns, and divide by the length; 0 where nothing is left."""
        length = np.sqrt((columns * columns).sum(axis=-1, keepdims=True))
        rest = self._projected(columns / np.where(length > 0, length, 1))
        length = np.sqrt((rest * rest).sum(axis=-1, keepdims=True))
        return np.where(length > 1e-5, rest / np.where(length > 0, length, 1), 0)

    def _projected(self, values: np.ndarray) -> np.ndarray:
        """Subtract the regression on the fixed columns; twice, for rounding."""
        for _ in range(2 if len(self.basis) else 0):
            along = np.einsum("...m,cm->...c", values, self.basis)
            values = values - np.einsum("...c,cm->...m", along, self.basis)
        return values

    def _chosen(self, y: np.ndarray, order: list[int], begun: list[tuple[Any, ...]]) -> np.ndarray:
        """Choose terms in turn; the first one unlike those of its kind that orders have `begun` with."""
        every = np.arange(len(y))
        chosen = np.zeros((len(y), len(self.raw)), int)
        done: list[int] = []
        for _ in range(ROUNDS if len(order) > 1 else 1):
            for i in order:
                others = [self.tangents[j][:, chosen[:, j]].transpose(1, 0, 2) for j in done if j != i]
                scores = self._scores(y, i, np.concatenate(others, axis=1) if others else None)
                if not done:
                    for first in (columns for kind, columns in begun if kind == self.kinds[i]):
                        likeness = (np.einsum("fnm,lkm->fknl", first, self.own[i]) ** 2).max(axis=(2, 3))
                        scores = np.where(likeness < ALIKE, scores, -1)
                chosen[every, i] = scores.argmax(axis=1)
                if not done:
                    begun.append((self.kinds[i], self.own[i][:, chosen[:, i]].transpose(1, 0, 2)))
                done = [*done, i] if i not in done else done
        for kind in set(self.kinds):  # the first of equal terms has the first row, the leftmost peak
            same = [i for i in range(len(self.kinds)) if self.kinds[i] == kind]
            chosen[:, same] = np.sort(chosen[:, same], axis=1)
        return chosen

    def _scores(self, y: np.ndarray, i: int, others: np.ndarray | None) -> np.ndarray:
        """Return how much of the sum of squares each row explains, shape (fits, rows)."""
        own = self.own[i]
        along = np.einsum("fm,lkm->fkl", y, own)
        squares = np.broadcast_to(self.squares[i], (len(y), *self.squares[i].shape))
        if others is not None:
            gram = np.einsum("fsm,ftm->fst", others, others) + RIDGE * np.eye(others.shape[1])
            crossed = np.einsum("fsm,lkm->fskl", others, own)
            known = np.einsum("fsm,fm->fs", others, y)[:, :, None]
            wide = crossed.reshape(*crossed.shape[:2], -1)
            solved = linalg.solve(gram, np.concatenate([known, wide], axis=2))
            along = along - np.einsum("fskl,fs->fkl", crossed, solved[:, :, 0])
            squares = squares - np.einsum("fskl,fskn->fkln", crossed, solved[:, :, 1:].reshape(crossed.shape))
        if len(own) == 1:
            size = squares[..., 0, 0]
            return np.where(size > 1e-6, along[..., 0] ** 2 / np.where(size > 1e-6, size, 1), 0)
        solved = linalg.solve(squares + RIDGE * np.eye(len(own)), along[..., None])[..., 0]
        return np.einsum("fkl,fkl->fk", along, solved)

    def _misfit(self, y: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return the sum of squares that a step between the rows would leave, too."""
        if len(self.varying) < 2:
            return np.zeros(len(y))
        tangents = np.concatenate([self.tangents[i][:, chosen[:, i]] for i in self.varying]).transpose(
            1, 0, 2
        )
        gram = np.einsum("fsm,ftm->fst", tangents, tangents) + RIDGE * np.eye(tangents.shape[1])
        along = np.einsum("fsm,fm->fs", tangents, y)
        rest = y - np.einsum("fsm,fs->fm", tangents, linalg.solve(gram, along[:, :, None])[:, :, 0])
        return (rest * rest).sum(axis=1)

    def _regression(self, y: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return the coefficients of all regressors."""
        design = np.concatenate([own[:, chosen[:, i]] for i, own in enumerate(self.raw)]).transpose(1, 2, 0)
        length = np.sqrt((design * design).sum(axis=1, keepdims=True))
        length = np.where(length > 0, length, 1)
        q, r = linalg.qr(design / length)
        diagonal = np.abs(np.diagonal(r, axis1=1, axis2=2))
        usable = diagonal > 1e-9 * diagonal.max(axis=1, keepdims=True)
        r = r * usable[:, :, None] + np.eye(r.shape[-1])[: r.shape[1]] * ~usable[:, :, None]
        along = np.einsum("fmc,fm->fc", q, y) * usable
        if r.shape[1] < r.shape[2]:  # less points than regressors
            solved = np.einsum("fcr,fr->fc", linalg.pinv(r), along)
        else:
            solved = linalg.solve(r, along[:, :, None])[:, :, 0]
        return solved / length[:, 0]


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the rows."""
    if not rows.size:
        return rows
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    q, r = linalg.qr((rows / np.where(length > 0, length, 1)).T)
    # Gram and Schmidt in order: a row that depends on those before adds nothing.
    return q.T[np.abs(np.diagonal(r)) > 1e-9]
