"""What users pass as data, checked, as data sets."""

from collections.abc import Sequence

import numpy as np

from .data import CorrelatedSet, DataSets, RaggedSets

ONE_SET_ONLY = (
    "A covariance matrix as `sigma` goes with one data set, `ydata` of shape (m,): call `curve_fit` for each"
)


def parse_data(xdata, ydata, sigma, mask, n_variables: int | None):
    """Return the data sets, the shape of the batch, and the number of variables.

    Raises
    ------
    ValueError
        If shapes do not fit each other, or the data are no real numbers.
    """
    if _is_ragged(xdata, ydata):
        return _parse_ragged(xdata, ydata, sigma, mask, n_variables)
    if isinstance(ydata, np.ma.MaskedArray):
        left_out = np.ma.getmaskarray(ydata)
        mask = left_out if mask is None else left_out | np.asarray(mask, dtype=bool)
        ydata = ydata.data
    y = ydata if isinstance(ydata, np.ndarray) else _real("ydata", ydata)
    x = _real("xdata", xdata).astype(float)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"`ydata` must not be empty and have the points on its last axis, not {y.shape}.")
    batch, m = y.shape[:-1], y.shape[-1]
    if n_variables is None:
        n_variables = 1 if x.ndim == 1 else x.shape[-2] if x.ndim == 2 else 0
    legal = {(m,), (n_variables, m)} if n_variables == 1 else {(n_variables, m)}
    if x.shape in legal:
        x = x.reshape(n_variables, m)
    elif x.shape == (*batch, n_variables, m) or (n_variables == 1 and x.shape == (*batch, m)):
        x = x.reshape(-1, n_variables, m)
    else:
        shapes = " or ".join(map(str, sorted(legal, key=len)))
        raise ValueError(
            f"`xdata` must have the shape {shapes}, or {(*batch, n_variables, m)} if each data set has its "
            f"own, to go with {n_variables} variables and `ydata` of shape {y.shape}; it has {x.shape}. "
            "A `Model` says how many variables there are."
        )
    fits = int(np.prod(batch, dtype=int))
    if sigma is not None:
        sigma = _real("sigma", sigma)
        if m > 1 and sigma.shape[-2:] == (m, m) and sigma.shape != y.shape[-sigma.ndim :]:
            if y.ndim == 1 and sigma.ndim == 2:
                return _correlated(x, y, sigma, mask), batch, n_variables
            raise ValueError(f"{ONE_SET_ONLY}; `ydata` has the shape {y.shape}.")
        sigma = _rows("sigma", sigma, y.shape, fits)
    if mask is not None:
        mask = _rows("mask", np.asarray(mask, dtype=bool), y.shape, fits)
    return DataSets(x, y.reshape(fits, m), sigma, mask), batch, n_variables


def _correlated(x: np.ndarray, y: np.ndarray, covariance: np.ndarray, mask) -> CorrelatedSet:
    covariance = covariance.astype(float)
    used = np.isfinite(x).all(axis=0) & np.isfinite(y) & np.isfinite(np.diagonal(covariance))
    if mask is not None:
        used &= ~_broadcast("mask", np.asarray(mask, dtype=bool), y.shape)
    return CorrelatedSet(x[:, used], y[used], covariance[np.ix_(used, used)])


def _is_ragged(xdata, ydata) -> bool:
    both = isinstance(xdata, list | tuple) and isinstance(ydata, list | tuple)
    if not both or not len(xdata) == len(ydata) > 0:
        return False
    # Rows that differ in length make no array, so each is looked at by itself.
    return all(np.ndim(part) >= 1 for row in zip(xdata, ydata, strict=True) for part in row)


def _parse_ragged(xdata: Sequence, ydata: Sequence, sigma, mask, n_variables: int | None):
    left_out = [np.ma.getmaskarray(part) if isinstance(part, np.ma.MaskedArray) else None for part in ydata]
    y = [_real("ydata", np.ma.getdata(part)).astype(float) for part in ydata]
    x = [np.atleast_2d(_real("xdata", part).astype(float)) for part in xdata]
    n_variables = x[0].shape[0] if n_variables is None else n_variables
    for i, (x_i, y_i) in enumerate(zip(x, y, strict=True)):
        if y_i.ndim != 1 or x_i.shape != (n_variables, y_i.size):
            raise ValueError(
                f"`ydata[{i}]` of shape {y_i.shape} must be 1-D and `xdata[{i}]` of shape {x_i.shape} must "
                f"be {(n_variables, y_i.size)}."
            )

    def parts(name, value, dtype):
        if value is None:
            return None
        if len(value) != len(y):
            raise ValueError(f"`{name}` must have an entry for each of {len(y)} data sets, not {len(value)}.")
        if name == "sigma" and any(np.ndim(v) > 1 for v in value):
            raise ValueError(f"{ONE_SET_ONLY}; there are lists of them.")
        return [
            _broadcast(name, np.asarray(v, dtype=dtype), y_i.shape) for v, y_i in zip(value, y, strict=True)
        ]

    masks = parts("mask", mask, bool)
    if any(part is not None for part in left_out):
        given = masks or [False] * len(y)
        masks = [
            np.zeros(y_i.shape, bool) | g | (False if part is None else part)
            for y_i, g, part in zip(y, given, left_out, strict=True)
        ]
    return RaggedSets(x, y, parts("sigma", sigma, float), masks), (len(y),), n_variables


def _real(name: str, value) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        try:
            array = array.astype(float)
        except (TypeError, ValueError):
            raise ValueError(f"`{name}` must be an array of real numbers, not {array.dtype}.") from None
    return array


def _rows(name: str, array: np.ndarray, shape: tuple[int, ...], fits: int) -> np.ndarray:
    """Broadcast to the data, with one axis for the batch."""
    array = array if array.ndim < 2 else _broadcast(name, array, shape).reshape(fits, shape[-1])
    return _broadcast(name, array, (fits, shape[-1]))  # without a copy if it is the same for all


def _broadcast(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"`{name}` of shape {array.shape} must broadcast to `ydata`'s, {shape}.") from None
