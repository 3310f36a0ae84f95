"""Arguments of the problems of a batch, shared or one for each, in the forms that kernels take."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .._jitable import register_jitable
from ..methods.evaluator import Arguments, entry_of

Ragged = tuple[np.ndarray, np.ndarray]  # values of all problems, and the offsets that cut them up


def as_args(args: Any) -> tuple[Any, ...]:
    """Return the shared arguments: arrays contiguous and native, everything else as it is."""
    args = args if isinstance(args, tuple) else (args,)
    for k, argument in enumerate(args):
        if isinstance(argument, list | dict | set):
            raise ValueError(
                f"`args[{k}]` must be a number, an array or a tuple, not a {type(argument).__name__}."
            )
    return tuple(
        _plain(f"args[{k}]", argument) if hasattr(argument, "__array__") and np.ndim(argument) else argument
        for k, argument in enumerate(args)
    )


def as_data(data: Any, size: int | None) -> tuple[tuple[np.ndarray | Ragged, ...], int]:
    """Return the arguments of which each problem has its own, and the number of problems.

    Parameters
    ----------
    data : tuple
        Arrays, lists of arrays, or pairs of values and offsets.
    size : int or None
        Number of problems, where it is known already.
    """
    if not isinstance(data, tuple):
        raise ValueError(f"`data` must be a tuple of arrays, not a {type(data).__name__}.")
    columns: list[np.ndarray | Ragged] = []
    for k, column in enumerate(data):
        name = f"data[{k}]"
        if np.ma.is_masked(column):
            raise ValueError(f"`{name}` must not have masked elements: leave them out, or make them NaN.")
        columns.append(_ragged(name, column) if isinstance(column, tuple | list) else np.asarray(column))
        columns[-1] = _known(name, columns[-1])
        found = _length(columns[-1])
        if size is None:
            size = found
        if found != size:
            raise ValueError(f"`{name}` must have one entry for each of the {size} problems, not {found}.")
    if size is None:
        raise ValueError("`x0` must have the shape (n_problems, n) where no `data` tell how many there are.")
    return tuple(columns), size


def pieces(columns: tuple[np.ndarray | Ragged, ...], start: int, stop: int) -> tuple[Any, ...]:
    """Return the part of `as_data` that belongs to some problems, as kernels take it."""
    parts: list[Any] = []
    for column in columns:
        if isinstance(column, tuple):
            parts.append((column[0], column[1][start : stop + 1]))
        else:
            parts.append(_plain("data", column[start:stop]))
    return tuple(parts)


def _ragged(name: str, column: tuple[Any, ...] | list[Any]) -> np.ndarray | Ragged:
    """Return a list of arrays as their values and offsets; a pair of these checked."""
    if isinstance(column, list):
        if not any(np.ndim(entry) for entry in column):
            return np.asarray(column)
        try:
            values = np.concatenate([np.asarray(entry) for entry in column])
        except ValueError:
            raise ValueError(f"`{name}` must be a list of arrays that differ in length only.") from None
        return values, np.concatenate([[0], np.cumsum([len(entry) for entry in column])]).astype(np.int64)
    if len(column) != 2:
        raise ValueError(f"`{name}` must be an array, a list of arrays, or a pair (values, offsets).")
    values, offsets = np.asarray(column[0]), np.asarray(column[1])
    if values.ndim == 0 or offsets.ndim != 1 or offsets.dtype.kind not in "iu" or offsets.size == 0:
        raise ValueError(f"`{name}` must be values and the integers at which they are cut up.")
    offsets = offsets.astype(np.int64)
    if offsets[0] < 0 or offsets[-1] > len(values) or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"The offsets of `{name}` must not decrease, and lie in [0, {len(values)}], its number of values."
        )
    return values, offsets


def _known(name: str, column: np.ndarray | Ragged) -> np.ndarray | Ragged:
    """Refuse data that no kernel can take."""
    if isinstance(column, tuple):
        return _plain(name, column[0]), column[1]
    if column.ndim == 0:
        raise ValueError(f"`{name}` must be an array of shape (n_problems, ...).")
    _plain(name, column[:0])
    return column


def _length(column: np.ndarray | Ragged) -> int:
    return len(column[1]) - 1 if isinstance(column, tuple) else len(column)


def _plain(name: str, array: Any) -> np.ndarray:
    """Return an array as an ordinary one, contiguous and native; copied only if it is not."""
    if np.ma.is_masked(array):
        raise ValueError(f"`{name}` must not have masked elements.")
    array = np.ascontiguousarray(array)
    if (
        array.dtype.kind not in "fiubc"
        or array.dtype.itemsize > 16
        or array.dtype in (np.float16, np.longdouble)
    ):
        raise ValueError(f"`{name}` must hold numbers that Numba knows, not {array.dtype}.")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


# --- Inside kernels ------------------------------------------------------------------------------


def row(column, i):
    """Return the part of problem `i`: an entry of an array, or the piece between two offsets."""
    if isinstance(column, tuple):
        values, offsets = column
        return values[offsets[i] : offsets[i + 1]]
    return column[i]


@overload(row)
def _row(column, i):
    if isinstance(column, types.BaseTuple):
        return lambda column, i: column[0][column[1][i] : column[1][i + 1]]
    return lambda column, i: column[i]


def rows(columns, i):
    """Return the part of problem `i` of each argument."""
    return tuple(row(column, i) for column in columns)


@overload(rows)
def _rows(columns, i):
    entries = "".join(f"row(columns[{k}], i), " for k in range(len(columns)))
    return eval(f"lambda columns, i: ({entries})", globals())


@register_jitable
def _of_problem(i, given):
    data, args = given
    return rows(data, i) + args


def _types_of_problem(given: Any) -> tuple[Any, ...]:
    if not given:  # with Numba disabled
        return ()
    columns, args = given
    row_types = [
        entry_of(column[0], types.slice2_type)
        if isinstance(column, types.BaseTuple)
        else entry_of(column, types.int64)
        for column in columns
    ]
    return (*row_types, *args)


OF_PROBLEM = Arguments(_of_problem, _types_of_problem)
