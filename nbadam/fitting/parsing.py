"""The data that users pass, checked, as data sets."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .arguments import count_parameters, count_variables
from .arrays import booleans, floats, mask_of, real
from .data import CorrelatedSet, DataSets, RaggedSets
from .model.elementwise import takes_a_number

ONE_SET_ONLY = (
    "A covariance matrix as `sigma` goes with one data set, `ydata` of shape (m,): call `curve_fit` for each"
)


def parse_data(
    f: Any, p0: Any, xdata: Any, ydata: Any, sigma: Any, mask: Any
) -> (
    tuple[RaggedSets, tuple[int], int]
    | tuple[RaggedSets, tuple[int], int | None]
    | tuple[CorrelatedSet, tuple[Any, ...], int]
    | tuple[DataSets, tuple[Any, ...], int]
):
    """Return the data sets, the shape of the batch, and the number of variables.

    Data sets that are prepared already come as `ydata`, without the others.

    Raises
    ------
    ValueError
        If shapes do not fit each other, or the data are no real numbers.
    """
    if isinstance(ydata, RaggedSets):
        return ydata, (ydata.fits,), len(ydata.x)
    if _is_ragged(xdata, ydata):
        return _parse_ragged(xdata, ydata, sigma, mask, count_variables(f))
    _check_dimensions(xdata, ydata)
    left_out = mask_of(ydata)
    x, y = floats("xdata", xdata), real("ydata", ydata)
    sigma = None if sigma is None else floats("sigma", sigma)
    mask = None if mask is None else booleans("mask", mask)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"`ydata` must not be empty and have the points on its last axis, not {y.shape}.")
    x, y, (sigma, mask, left_out) = _without_columns(x, y, sigma, mask, left_out)
    batch, m = y.shape[:-1], y.shape[-1]
    n_variables = count_variables(f)
    if n_variables is None:
        n_variables = _guess_variables(f, p0, x, y)
    if x.shape == (n_variables, m) or (n_variables == 1 and x.shape == (m,)):
        x = x.reshape(n_variables, m)
    elif x.shape == (*batch, n_variables, m) or (n_variables == 1 and x.shape == (*batch, m)):
        x = x.reshape(-1, n_variables, m)
    else:
        raise ValueError(_shape_problem(x, y, n_variables))
    fits = prod(batch)
    if mask is not None:
        mask = mask[..., None] if _is_of_sets(mask, y) else mask
    if left_out is not None:
        mask = left_out if mask is None else left_out | _broadcast("mask", mask, y.shape)
    if sigma is not None:
        if m > 1 and sigma.shape[-2:] == (m, m) and sigma.shape != y.shape[-sigma.ndim :]:
            if y.ndim == 1 and sigma.ndim == 2:
                return _correlated(x, y, sigma, mask), batch, n_variables
            raise ValueError(f"{ONE_SET_ONLY}; `ydata` has the shape {y.shape}.")
        sigma = _rows("sigma", sigma, y.shape, fits)
    if mask is not None:
        mask = _rows("mask", mask, y.shape, fits)
    return DataSets(x, y.reshape(fits, m), sigma, mask), batch, n_variables


def _check_dimensions(xdata: Any, ydata: Any) -> None:
    """Raise if arrays with names of dimensions, as xarray has them, would be fitted along another one."""
    own, others = (getattr(data, "dims", None) for data in (xdata, ydata))
    if own and others and len(own) == 1 and own[0] in others and own[0] != others[-1]:
        raise ValueError(
            f"`ydata` has the dimension {own[0]!r} of `xdata` on axis {list(others).index(own[0])}, which is "
            f"not the last: pass `ydata.transpose(..., {own[0]!r})`, or use `nbadam.xarray.curvefit`."
        )


def _without_columns(x: np.ndarray, y: np.ndarray, *others: Any) -> Any:
    """Take columns of shape (m, 1) as m points, where they can mean nothing else."""
    if y.ndim == 2 and y.shape[1] == 1 and x.shape in (y.shape[:1], y.shape) and len(y) > 1:
        y = y[:, 0]
    if y.ndim == 1 and y.size > 1:
        column = y.size, 1
        x = x[:, 0] if x.shape == column else x
        others = tuple(o[:, 0] if o is not None and o.shape == column else o for o in others)
    return x, y, others


def _guess_variables(f: Any, p0: Any, x: np.ndarray, y: np.ndarray) -> int:
    """Return how many variables the data have for a function, which does not tell."""
    if x.ndim < 2:
        return 1
    if x.shape == y.shape and (x.ndim > 2 or takes_a_number(f, count_parameters(f, p0))):
        return 1  # each data set has its own
    return x.shape[-2]


def _shape_problem(x: np.ndarray, y: np.ndarray, n_variables: int) -> str:
    batch, m = y.shape[:-1], y.shape[-1]
    if x.ndim == 1 and x.size in batch:
        axis = batch.index(x.size)
        return (
            f"`ydata` of shape {y.shape} has the {x.size} points of `xdata` on axis {axis}: they belong on "
            f"the last, `np.moveaxis(ydata, {axis}, -1)`."
        )
    if x.ndim == 2 and len(x) == m and (n_variables in (m, x.shape[1])):
        return (
            f"`xdata` of shape {x.shape} has the {m} points of `ydata` on its first axis: they belong on the "
            "last, `xdata.T`."
        )
    if x.ndim > 2 and x[0].size == y.size:
        return (
            f"`xdata` of shape {x.shape} has its points on {x.ndim - 1} axes: they belong on one, "
            f"`xdata.reshape({len(x)}, -1)` with `ydata.ravel()`."
        )
    legal = {(m,), (n_variables, m)} if n_variables == 1 else {(n_variables, m)}
    shapes = " or ".join(map(str, sorted(legal, key=len)))
    return (
        f"`xdata` must have the shape {shapes}, or {(*batch, n_variables, m)} if each data set has its "
        f"own, to go with {n_variables} variables and `ydata` of shape {y.shape}; it has {x.shape}. "
        "A `Model` says how many variables there are."
    )


def _is_of_sets(mask: np.ndarray, y: np.ndarray) -> bool:
    """Whether a mask has one entry for each data set; where it may be for points, it is."""
    is_of_points = mask.shape == y.shape[-1:]
    return y.ndim > 1 and mask.shape == y.shape[:-1] and not is_of_points


def _correlated(x: np.ndarray, y: np.ndarray, covariance: np.ndarray, mask: Any) -> CorrelatedSet:
    used = np.isfinite(x).all(axis=0) & np.isfinite(y) & np.isfinite(np.diagonal(covariance))
    if mask is not None:
        used &= ~_broadcast("mask", mask, y.shape)
    return CorrelatedSet(x[:, used], y[used], covariance[np.ix_(used, used)])


def _is_ragged(xdata: Any, ydata: Any) -> bool:
    both = isinstance(xdata, list | tuple) and isinstance(ydata, list | tuple)
    if not both or not len(xdata) == len(ydata) > 0:
        return False
    # Rows that differ in length make no array, so each is looked at by itself.
    return all(np.ndim(part) >= 1 for row in zip(xdata, ydata, strict=True) for part in row)


def _parse_ragged(
    xdata: Sequence[Any], ydata: Sequence[Any], sigma: Any, mask: Any, n_variables: int | None
) -> Any:
    xs, ys = [], []
    for i, (x, y) in enumerate(zip(xdata, ydata, strict=True)):
        x, y, _ = _without_columns(floats(f"xdata[{i}]", x), floats(f"ydata[{i}]", y))
        x = np.atleast_2d(x)
        n_variables = len(x) if n_variables is None else n_variables
        if y.ndim != 1 or x.shape != (n_variables, y.size):
            raise ValueError(
                f"`ydata[{i}]` of shape {y.shape} must be 1-D and `xdata[{i}]` of shape {x.shape} must "
                f"be {(n_variables, y.size)}."
            )
        xs.append(x)
        ys.append(y)

    def parts(name: Any, value: Any, convert: Any) -> Any:
        if value is None:
            return None
        given = 1 if (isinstance(value, np.ndarray) and value.ndim == 0) or np.isscalar(value) else len(value)
        if given != len(ys):
            raise ValueError(f"`{name}` must have an entry for each of {len(ys)} data sets, not {given}.")
        arrays = [convert(f"{name}[{i}]", part) for i, part in enumerate(value)]
        for i, (array, y) in enumerate(zip(arrays, ys, strict=True)):
            if array.shape == (y.size, 1):
                arrays[i] = array[:, 0]
            elif name == "sigma" and array.ndim > 1:
                raise ValueError(f"{ONE_SET_ONLY}; there are lists of them.")
        return [_broadcast(name, array, y.shape) for array, y in zip(arrays, ys, strict=True)]

    lengths = np.array([y.size for y in ys])
    arrays = parts("sigma", sigma, floats), parts("mask", mask, booleans)
    sigma, mask = (None if array is None else np.concatenate(array) for array in arrays)
    sets = RaggedSets(np.concatenate(xs, axis=1), np.concatenate(ys), sigma, mask, lengths)
    return sets, (len(ys),), n_variables


def _rows(name: str, array: np.ndarray, shape: tuple[int, ...], fits: int) -> np.ndarray:
    """Broadcast to the data, with one axis for the batch."""
    array = array if array.ndim < 2 else _broadcast(name, array, shape).reshape(fits, shape[-1])
    return _broadcast(name, array, (fits, shape[-1]))  # without a copy if it is the same for all


def _broadcast(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"`{name}` of shape {array.shape} must broadcast to `ydata`'s, {shape}.") from None
