"""Sparse gradients: their forms, checked, and with the slices of each row summed."""

import sys
from math import inf, prod
from typing import Any

import numpy as np

from ..engine import mode
from .kernels import PARALLEL_ROWS, summed_kernel


class IndexedSlices:
    """Gradient of some rows of a variable, all others being zero.

    Parameters
    ----------
    values : array_like, shape (n, ...)
        One slice of the variable's shape for each index.
    indices : array_like of int, shape (n,)
        Rows that the slices belong to, from 0; a row may come up several times: its slices are
        clipped one by one and then summed.
    dense_shape : sequence of int, optional
        Shape of the variable; checked if given.

    See Also
    --------
    nbadam.Optimizer.apply_gradients : It takes such gradients.
    nbadam.Adam : Steps at the cost of the touched rows (`sparse_update`).

    Notes
    -----
    Wherever an optimizer takes a gradient, a tuple ``(values, indices)`` stands for the same.  So does
    an array or matrix of `scipy.sparse` of the variable's shape, in which every stored element is a
    slice of its own.

    Examples
    --------
    >>> import nbadam
    >>> import numpy as np
    >>> embedding = np.zeros((1000, 2))
    >>> gradient = nbadam.IndexedSlices([[1.0, 2.0], [3.0, 4.0]], [7, 7])
    >>> nbadam.SGD(learning_rate=0.5).apply_gradients([(gradient, embedding)])
    1
    >>> embedding[7]
    array([-2., -3.])
    """

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None) -> None:
        self.values = values
        self.indices = indices
        self.dense_shape = dense_shape

    def __repr__(self) -> str:
        """Name the shapes, and the dtype of the values."""
        values = np.asarray(self.values)
        shape = "" if self.dense_shape is None else f" of {tuple(self.dense_shape)}"
        return (
            f"<IndexedSlices: {np.size(self.indices)} rows{shape}, values {values.dtype}{list(values.shape)}>"
        )


class RowGradient:
    """A checked sparse gradient.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Numbers of rows; sorted and distinct only after `summed`.
    values : ndarray, shape (n * width,)
        Their gradients, of the variable's dtype, C-contiguous.
    width : int
        Elements in a row: those of one slice of the variable, or 1 if the gradient came element by
        element.
    """

    def __init__(self, rows: np.ndarray, values: np.ndarray, width: int) -> None:
        self.rows = rows
        self.values = values
        self.width = width

    def summed(self, clip: float = inf, scale: float = 1.0) -> "RowGradient":
        """Clip every value to ``[-clip, clip]``, multiply it by `scale`, and sum the slices of each row.

        They are summed in the order in which they came, and the rows are then sorted.
        """
        order = np.argsort(self.rows, kind="stable")
        ordered = self.rows[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        sums = np.zeros(starts.size * self.width, self.values.dtype)
        kernel = summed_kernel(self.values.dtype.name, mode(self.values.size, PARALLEL_ROWS))
        kernel(self.values, self.width, order, np.append(starts, ordered.size), clip, scale, sums)
        return RowGradient(ordered[starts], sums, self.width)

    def widened(self, width: int) -> "RowGradient":
        """Return a summed gradient that came element by element as rows of `width` elements."""
        if width == self.width:
            return self
        rows, place = np.unique(self.rows // width, return_inverse=True)
        values = np.zeros((rows.size, width), self.values.dtype)
        values[place, self.rows % width] = self.values
        return RowGradient(rows, values.ravel(), width)

    def dense(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return a summed gradient as a dense array of the variable's shape."""
        dense = np.zeros(shape, self.values.dtype)
        dense.reshape(-1, self.width)[self.rows] = self.values.reshape(-1, self.width)
        return dense


def is_sparse(gradient: Any) -> bool:
    """Whether `gradient` has one of the forms that `row_gradient` takes."""
    return isinstance(gradient, IndexedSlices | tuple) or _is_scipy_sparse(gradient)


def row_gradient(
    gradient: Any, shape: tuple[int, ...], dtype: np.dtype, name: str = "The gradient"
) -> RowGradient:
    """Check a sparse gradient against the variable that it belongs to.

    Parameters
    ----------
    gradient : IndexedSlices, tuple or scipy.sparse array
        See `IndexedSlices`.
    shape, dtype
        Those of the variable.
    name : str
        How messages begin.

    Raises
    ------
    TypeError
        If values are not real numbers, or indices are not integers.
    ValueError
        If a shape does not fit, or an index is negative or beyond the last row.
    """
    if not shape:
        raise ValueError(f"{name} is sparse, and its variable 0-d: it has no rows.")
    if _is_scipy_sparse(gradient):
        return _from_scipy(gradient, shape, dtype, name)
    if not isinstance(gradient, IndexedSlices):
        if len(gradient) != 2:
            raise ValueError(f"{name} is a tuple of {len(gradient)}: a sparse one is (values, indices).")
        gradient = IndexedSlices(*gradient)
    dense_shape = gradient.dense_shape
    if dense_shape is not None and tuple(dense_shape) != shape:
        raise ValueError(f"{name} has dense_shape {dense_shape!r} and its variable {shape}.")
    rows = checked_rows(gradient.indices, shape[0], name)
    values = _checked_values(gradient.values, dtype, name)
    if values.shape != (rows.size, *shape[1:]):
        raise ValueError(
            f"{name} has values of shape {values.shape}: with {rows.size} indices and a variable of shape "
            f"{shape} it must be {(rows.size, *shape[1:])}."
        )
    return RowGradient(rows, values.ravel(), prod(shape[1:]))


def checked_rows(indices: Any, n_rows: int, name: str) -> np.ndarray:
    """Return numbers of rows as int64, each of them checked to be in ``range(n_rows)``."""
    rows = np.asarray(indices)
    if rows.ndim != 1:
        raise ValueError(f"{name} has indices of shape {rows.shape}: they must be 1-D.")
    if rows.size == 0:
        return np.empty(0, np.int64)
    if rows.dtype.kind not in "iu":
        raise TypeError(f"{name} has indices of dtype {rows.dtype}: they must be integers.")
    low, high = rows.min(), rows.max()
    if low < 0 or high >= n_rows:
        wrong = low if low < 0 else high
        raise ValueError(f"{name} has index {wrong}: a variable of {n_rows} rows has 0 to {n_rows - 1}.")
    return rows.astype(np.int64)


def _is_scipy_sparse(gradient: Any) -> bool:
    scipy_sparse = sys.modules.get("scipy.sparse")  # users of such gradients have imported it
    return scipy_sparse is not None and scipy_sparse.issparse(gradient)


def _from_scipy(matrix: Any, shape: tuple[int, ...], dtype: np.dtype, name: str) -> RowGradient:
    fitting = [shape, (*shape, 1), (1, *shape)] if len(shape) == 1 else [shape]
    if matrix.shape not in fitting:
        raise ValueError(f"{name} has shape {matrix.shape} and its variable {shape}.")
    elements = matrix.tocoo()
    coordinates = elements.coords if hasattr(elements, "coords") else (elements.row, elements.col)
    places = tuple(axis.astype(np.int64) for axis in coordinates)
    rows = np.ravel_multi_index(places, matrix.shape).astype(np.int64)
    return RowGradient(rows, _checked_values(elements.data, dtype, name), 1)


def _checked_values(values: Any, dtype: np.dtype, name: str) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} holds a masked array: fill it, for example with values.filled(0).")
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" and array.size:
        raise TypeError(f"{name} must hold real numbers, not values of dtype {array.dtype}.")
    return array.astype(dtype, copy=False)
