"""The data of a `Minibatch`: arrays and sparse matrices with a row for each sample."""

from typing import Any

import numpy as np


def as_arrays(data: Any) -> tuple[Any, ...]:
    """Return the arrays as they are, checked."""
    is_list = isinstance(data, list) and any(hasattr(array, "shape") for array in data)
    arrays = tuple(data) if isinstance(data, tuple) or is_list else (data,)
    if not arrays:
        raise ValueError("`data` must have at least one array.")
    checked = tuple(_as_array(k, array) for k, array in enumerate(arrays))
    lengths = [array.shape[0] for array in checked]
    if len(set(lengths)) > 1:
        raise ValueError(f"The arrays of `data` must have one length along axis 0; theirs are {lengths}.")
    if lengths[0] == 0:
        raise ValueError("`data` must have at least one sample; it has none.")
    return checked


def _as_array(k: int, array: Any) -> Any:
    if is_sparse(array):
        if array.format != "csr":
            raise ValueError(
                f"Sparse `data` must be in CSR format; data[{k}] is in {array.format.upper()} format: "
                "convert it with .tocsr()."
            )
        return array
    if np.ma.isMaskedArray(array):
        raise ValueError(f"data[{k}] must not be a masked array: leave out the samples that are masked.")
    plain = np.asarray(array)  # the same memory: a memory map is read when rows are
    if plain.ndim == 0 or plain.dtype.kind == "O":
        raise ValueError(
            f"data[{k}] must be an array of numbers with the samples along axis 0, not {array!r:.60}."
        )
    return plain


def is_sparse(array: Any) -> bool:
    """Whether it is a matrix or array of scipy.sparse."""
    return hasattr(array, "format") and hasattr(array, "indptr" if array.format == "csr" else "tocsr")


def copy_rows(array: Any, which: Any) -> np.ndarray:
    """Return a copy, in memory and contiguous, of the rows `which`, an array of indices or a slice.

    Always a copy: the user's function may work in place.
    """
    rows = array[which]
    if is_sparse(rows):
        return rows.copy()
    is_copy = not isinstance(which, slice) and type(rows) is np.ndarray and rows.flags.c_contiguous
    return rows if is_copy else np.array(rows, order="C", subok=False)


def n_bytes(array: Any) -> int:
    """Return how much memory an array takes."""
    return sum(part.nbytes for part in (array.data, array.indices)) if is_sparse(array) else array.nbytes
