"""Guesses by variable projection: a grid of the nonlinear parameters, linear regression for the others.

Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .formula import function_of
from .pursuit import Choice

MOST_POINTS = 512  # longer data sets are averaged in so many groups of neighbours
CHUNK = 1 << 19  # numbers in the largest array of scores


class GuessOfAll:
    """A guess of the parameters of any number of data sets at once."""

    variables: int

    def __call__(self, x: Any, y: Any) -> np.ndarray:
        """Guess for one data set, `x` of shape (m,) or (n_variables, m)."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        return self.of_all(x.reshape(1, self.variables, -1), y[None], np.ones((1, y.size), bool))[0]

    def of_all(self, x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Guess for each of many data sets.

        Parameters
        ----------
        x : ndarray, shape (1, n_variables, m) or (fits, n_variables, m)
        y, used : ndarray, shape (fits, m)
            The data, and False for points that are left out.

        Returns
        -------
        ndarray, shape (fits, n)
            NaN where a data set has no points.
        """
        raise NotImplementedError


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

    grid: Any
    linear: tuple[str, ...]

    def __init__(
        self,
        grid: Callable[..., Any],
        linear: Sequence[str] = (),
        *,
        columns: Callable[..., Any] | None = None,
        parameters: Callable[..., Any] | None = None,
    ) -> None:
        self.grid, self.linear = grid, tuple(linear)
        self._columns, self._parameters = columns, parameters

    def columns(self, model: Any, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
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

    def parameters(self, model: Any, coefficients: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the parameters of fits, shape (fits, n_params)."""
        with np.errstate(all="ignore"):
            if self._parameters is not None:
                return np.stack(np.broadcast_arrays(*self._parameters(coefficients.T, rows.T)), axis=1)
        nonlinear, linear = iter(rows.T), dict(zip(self.linear, coefficients.T, strict=True))
        return np.stack([linear[p] if p in linear else next(nonlinear) for p in model.parameters], axis=1)


def _values(model: Any, x: np.ndarray, parameters: Any) -> np.ndarray:
    function = function_of(model.expression, model.variables, model.parameters, arrays=True)
    return function(x, *parameters)


def nothing(x: np.ndarray) -> np.ndarray:
    """Return one empty row, for models that are linear in all parameters."""
    return np.empty((1, 0))


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

    terms: tuple[Term, ...]
    variables: Any

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
        choice = Choice(regressors, slopes, [id(term.model.shapes) for term in self.terms])
        found = []
        part = max(1, CHUNK // max(own.shape[0] * own.shape[1] * (1 + len(grids)) for own in regressors))
        for first in range(0, len(y), part):
            own = y[first : first + part]
            chosen, coefficients = choice.of(own if len(own) > 1 else np.repeat(own, 2, axis=0))
            found.append(self._parameters(grids, kept, chosen, coefficients)[: len(own)])
        return np.concatenate(found)

    def _parameters(self, rows: Any, kept: Any, chosen: Any, coefficients: Any) -> np.ndarray:
        parts, at = [], 0
        for i, (model, dropped) in enumerate(self.terms):
            own = np.zeros((len(chosen), len(model.shapes.linear)))
            own[:, list(kept[i])] = coefficients[:, at : at + len(kept[i])]
            at += len(kept[i])
            values = model.shapes.parameters(model, own, rows[i][chosen[:, i]])
            parts.append(values[:, [k for k, name in enumerate(model.parameters) if name != dropped]])
        return np.concatenate(parts, axis=1)


def _slopes(model: Any, x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
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
