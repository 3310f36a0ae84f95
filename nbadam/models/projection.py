"""Guesses by variable projection: a grid of the nonlinear parameters, linear regression for the others.

Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973.  A sum of models takes each grid in turn, with the terms
chosen so far as further regressors: orthogonal matching pursuit, with a second round that chooses again.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..fitting.model.formula import function_of
from .guesses import GuessOfAll

MOST_POINTS = 512  # longer data sets are averaged in so many groups of neighbours
ROUNDS = 3  # times that each term of a sum is chosen
CHUNK = 1 << 19  # numbers in the largest array of scores
ALIKE = 0.5  # squared cosine from which on two regressors begin the same solution
RIDGE = 1e-10  # relative to the squared length of a regressor


class Shapes:
    """The linear and the nonlinear parameters of a model.

    Parameters
    ----------
    grid : callable
        ``grid(x)`` of shape (rows, n): values of the nonlinear parameters, in their order.  `x` has shape
        (m,), ascending, or (n_variables, m).
    linear : sequence of str
        Parameters in which the model is linear and homogeneous.
    columns : callable, optional
        ``columns(x, rows)`` of shape (n_linear, rows, m): the regressors.  The last one is the constant, if
        the model has an `offset`.  By default the model with one linear parameter 1 and the others 0.
    parameters : callable, optional
        ``parameters(coefficients, rows)`` of shape (fits, n_params).  By default coefficients are the linear
        parameters.
    """

    def __init__(
        self,
        grid: Callable,
        linear: Sequence[str] = (),
        *,
        columns: Callable | None = None,
        parameters: Callable | None = None,
    ) -> None:
        self.grid, self.linear = grid, tuple(linear)
        self._columns, self._parameters = columns, parameters

    def columns(self, model, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the regressors, shape (n_linear, rows, m)."""
        with np.errstate(all="ignore"):
            if self._columns is not None:
                return np.stack(np.broadcast_arrays(*self._columns(x, rows)))
            nonlinear = iter(rows.T[:, :, None])
            values = [0.0 if name in self.linear else next(nonlinear) for name in model.parameters]
            found = []
            for name in self.linear:
                ones = [1.0 if name == p else v for p, v in zip(model.parameters, values, strict=True)]
                found.append(np.broadcast_to(_values(model, x, ones), (len(rows), x.shape[-1])))
            return np.stack(found)

    def parameters(self, model, coefficients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the parameters of fits, shape (fits, n_params)."""
        with np.errstate(all="ignore"):
            if self._parameters is not None:
                return np.stack(np.broadcast_arrays(*self._parameters(coefficients.T, rows.T)), axis=1)
        nonlinear, linear = iter(rows.T), dict(zip(self.linear, coefficients.T, strict=True))
        return np.stack([linear[p] if p in linear else next(nonlinear) for p in model.parameters], axis=1)


def _values(model, x: np.ndarray, parameters) -> np.ndarray:
    function = function_of(model.expression, model.variables, model.parameters, arrays=True)
    return function(x, *parameters)


class Term(NamedTuple):
    """A model of a sum, and the name of its constant if another term supplies one."""

    model: Any  # a Model with `shapes`
    dropped: str | None


class Projection(GuessOfAll):
    """A guess for a sum of models, or one, from their `shapes`.

    Parameters
    ----------
    terms : sequence of Term
    variables : int
    """

    def __init__(self, terms: Sequence[Term], variables: int = 1) -> None:
        self.terms, self.variables = tuple(terms), variables

    def of_all(self, x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Guess for each of many data sets; those that share all points share the regressors."""
        n = sum(len(term.model.parameters) - int(term.dropped is not None) for term in self.terms)
        found = np.full((len(y), n), np.nan)
        is_shared = used.all(axis=1) & (len(x) == 1)
        if is_shared.any() and y.shape[1]:
            found[is_shared] = self._of_same_points(x[0], y[is_shared])
        for f in np.flatnonzero(~is_shared & used.any(axis=1)):
            own = x[f if len(x) > 1 else 0][:, used[f]]
            found[f] = self._of_same_points(own, y[f : f + 1, used[f]])[0]
        return found

    def _of_same_points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = _grouped(x, y) if self.variables == 1 else (x, y)
        tables = {}
        for model in {id(term.model.shapes): term.model for term in self.terms}.values():
            rows = np.asarray(model.shapes.grid(x), float)
            rows = rows[np.argsort(rows[:, 0], kind="stable")] if rows.size else rows
            columns = np.array(model.shapes.columns(model, x, rows))
            usable = np.isfinite(columns).all(axis=(0, 2))
            if not usable.any():
                columns, usable = np.zeros_like(columns), ~usable
            rows, columns = rows[usable], columns[:, usable]
            moved = _slopes(model, x, rows, columns) if len(self.terms) > 1 else columns[:0]
            tables[id(model.shapes)] = rows, columns, moved
        slopes = [tables[id(term.model.shapes)][2] for term in self.terms]
        grids = [tables[id(term.model.shapes)][0] for term in self.terms]
        kept = [_kept(term) for term in self.terms]
        regressors = [
            tables[id(term.model.shapes)][1][list(keep)] for term, keep in zip(self.terms, kept, strict=True)
        ]
        choice = _Choice(regressors, slopes, [id(term.model.shapes) for term in self.terms])
        found = []
        part = max(1, CHUNK // max(own.shape[0] * own.shape[1] * (1 + len(grids)) for own in regressors))
        for first in range(0, len(y), part):
            own = y[first : first + part]
            chosen, coefficients = choice.of(own if len(own) > 1 else np.repeat(own, 2, axis=0))
            found.append(self._parameters(grids, kept, chosen, coefficients)[: len(own)])
        return np.concatenate(found)

    def _parameters(self, rows, kept, chosen, coefficients) -> np.ndarray:
        parts, at = [], 0
        for i, (model, dropped) in enumerate(self.terms):
            own = np.zeros((len(chosen), len(model.shapes.linear)))
            own[:, list(kept[i])] = coefficients[:, at : at + len(kept[i])]
            at += len(kept[i])
            values = model.shapes.parameters(model, own, rows[i][chosen[:, i]])
            parts.append(values[:, [k for k, name in enumerate(model.parameters) if name != dropped]])
        return np.concatenate(parts, axis=1)


def _slopes(model, x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return derivatives of the regressors by the nonlinear parameters."""
    found = []
    for j in range(rows.shape[1]):
        step = 1e-6 * np.maximum(np.ptp(rows[:, j]), np.abs(rows[:, j]))
        moved = rows.copy()
        moved[:, j] += step
        found.append(model.shapes.columns(model, x, moved) - columns)
    return np.nan_to_num(np.concatenate(found or [columns[:0]]), posinf=0, neginf=0)


def _kept(term: Term) -> tuple[int, ...]:
    """Return the regressors of a term, without its constant if that is dropped."""
    return tuple(k for k, name in enumerate(term.model.shapes.linear) if name != term.dropped)


def _grouped(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort points of one variable, and average neighbours where there are many."""
    order = np.argsort(x[0], kind="stable")
    x, y = x[0, order], np.ascontiguousarray(y[:, order])  # sums over another layout have other bits
    if x.size > MOST_POINTS:
        ends = np.linspace(0, x.size, MOST_POINTS + 1).round().astype(int)
        x = np.add.reduceat(x, ends[:-1]) / np.diff(ends)
        y = np.add.reduceat(y, ends[:-1], axis=1) / np.diff(ends)
    return x, y


class _Choice:
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

    def __init__(self, columns: list[np.ndarray], slopes: list[np.ndarray], kinds: list[int]) -> None:
        self.raw, self.kinds = columns, kinds
        is_fixed = [(own == own[:, :1]).all(axis=(1, 2)) for own in columns]
        fixed = np.concatenate([own[which, 0] for own, which in zip(columns, is_fixed, strict=True)])
        self.basis = _orthonormal(fixed)
        self.varying = [i for i, which in enumerate(is_fixed) if not which.all()]
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

    def _chosen(self, y: np.ndarray, order: list[int], begun: list[tuple]) -> np.ndarray:
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
            solved = np.linalg.solve(gram, np.concatenate([known, wide], axis=2))
            along = along - np.einsum("fskl,fs->fkl", crossed, solved[:, :, 0])
            squares = squares - np.einsum("fskl,fskn->fkln", crossed, solved[:, :, 1:].reshape(crossed.shape))
        if len(own) == 1:
            size = squares[..., 0, 0]
            return np.where(size > 1e-6, along[..., 0] ** 2 / np.where(size > 1e-6, size, 1), 0)
        solved = np.linalg.solve(squares + RIDGE * np.eye(len(own)), along[..., None])[..., 0]
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
        rest = y - np.einsum("fsm,fs->fm", tangents, np.linalg.solve(gram, along[:, :, None])[:, :, 0])
        return (rest * rest).sum(axis=1)

    def _regression(self, y: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return the coefficients of all regressors."""
        design = np.concatenate([own[:, chosen[:, i]] for i, own in enumerate(self.raw)]).transpose(1, 2, 0)
        length = np.sqrt((design * design).sum(axis=1, keepdims=True))
        length = np.where(length > 0, length, 1)
        q, r = np.linalg.qr(design / length)
        diagonal = np.abs(np.diagonal(r, axis1=1, axis2=2))
        usable = diagonal > 1e-9 * diagonal.max(axis=1, keepdims=True)
        r = r * usable[:, :, None] + np.eye(r.shape[-1])[: r.shape[1]] * ~usable[:, :, None]
        along = np.einsum("fmc,fm->fc", q, y) * usable
        if r.shape[1] < r.shape[2]:  # less points than regressors
            solved = np.einsum("fcr,fr->fc", np.linalg.pinv(r), along)
        else:
            solved = np.linalg.solve(r, along[:, :, None])[:, :, 0]
        return solved / length[:, 0]


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the rows."""
    if not rows.size:
        return rows
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    q, r = np.linalg.qr((rows / np.where(length > 0, length, 1)).T)
    # Gram and Schmidt in order: a row that depends on those before adds nothing.
    return q.T[np.abs(np.diagonal(r)) > 1e-9]
