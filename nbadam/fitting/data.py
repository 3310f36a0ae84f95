"""What users pass as data, in the form that kernels take: one block of data sets at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Block:
    """Some data sets, ready for a kernel.

    Attributes
    ----------
    x : ndarray, shape (n_variables, m)
        What they share, or of shape (n_variables, 0) if each has its own.
    data : ndarray, shape (fits, columns, m)
        y, the weights if there are any, and its own x if each has one.
    points : ndarray of int, shape (fits,)
        How many points take part.
    """

    x: np.ndarray
    data: np.ndarray
    weighted: bool
    own_x: bool
    points: np.ndarray


class DataSets:
    """Data sets of equal length.

    Parameters
    ----------
    x : ndarray, shape (n_variables, m) or (fits, n_variables, m)
        The variables, shared or each data set's own.
    y : ndarray, shape (fits, m)
        May be memory-mapped and of any real dtype: it is read a block at a time.
    sigma, mask : ndarray, shape (fits, m), or None
        Standard errors, and True for points to leave out.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, sigma, mask) -> None:
        self.x, self.y, self.sigma, self.mask = x, y, sigma, mask
        self.fits, self.m = y.shape
        self.own_x = x.ndim == 3

    def order(self) -> np.ndarray:
        """Return the numbers of the data sets, in the order in which to fit them."""
        return np.arange(self.fits)

    @property
    def longest(self) -> int:
        """Points of the longest data set."""
        return self.m

    def block(self, chosen: np.ndarray, dtype) -> Block:
        """Prepare the data sets with the given numbers."""
        where = _slice(chosen)
        y = np.asarray(self.y[where])
        if y.dtype.kind not in "biuf":
            raise ValueError(f"`ydata` must be real numbers, not {y.dtype}.")
        x = self.x[where] if self.own_x else self.x
        used = np.isfinite(y)
        fine_x = np.isfinite(x).all(axis=-2)
        if not fine_x.all():
            used &= fine_x
            x = np.where(np.isfinite(x), x, 0)
        weight = None
        if self.mask is not None:
            used &= ~self.mask[where]
        if self.sigma is not None:
            sigma = np.asarray(self.sigma[where], dtype=float)
            used &= np.isfinite(sigma)
            bad = used & ~(sigma > 0)
            if bad.any():
                raise ValueError(f"`sigma` must be > 0, not {sigma[bad][0]:g}; NaN leaves a point out.")
            weight = 1 / np.where(used, sigma, np.inf)
        complete = used.all()
        if weight is None and not complete:
            weight = used
        parts = [(y if complete else np.where(used, y, 0))[:, None]]
        parts += [] if weight is None else [weight[:, None]]
        parts += [x] if self.own_x else []
        if len(parts) == 1:
            data = np.ascontiguousarray(parts[0], dtype=dtype)
        else:
            data = np.concatenate(parts, axis=1, dtype=dtype, casting="unsafe")
        shared = np.empty((x.shape[-2], 0)) if self.own_x else x
        points = np.full(len(y), self.m) if complete else used.sum(axis=1)
        return Block(np.ascontiguousarray(shared, dtype=dtype), data, weight is not None, self.own_x, points)

    def one(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return x of shape (n_variables, m), y and sigma of one data set, without what is left out."""
        x = np.asarray(self.x[i] if self.own_x else self.x, dtype=float)
        y = np.asarray(self.y[i], dtype=float)
        sigma = None if self.sigma is None else np.asarray(self.sigma[i], dtype=float)
        used = np.isfinite(y) & np.isfinite(x).all(axis=0)
        if self.mask is not None:
            used &= ~self.mask[i]
        if sigma is not None:
            used &= np.isfinite(sigma)
        return x[:, used], y[used], None if sigma is None else sigma[used]


class RaggedSets:
    """Data sets of different lengths, each with its own x; short ones are filled up with weight 0.

    Parameters
    ----------
    x : list of ndarray, shape (n_variables, m_i)
    y, sigma, mask : list of ndarray, shape (m_i,); the latter two may be None
    """

    def __init__(self, x: list, y: list, sigma: list | None, mask: list | None) -> None:
        self.x, self.y, self.sigma, self.mask = x, y, sigma, mask
        self.fits = len(y)
        self.lengths = np.array([part.size for part in y])

    def order(self) -> np.ndarray:
        """Return the numbers of the data sets by length: neighbours then need the least filling."""
        return np.argsort(self.lengths, kind="stable")

    @property
    def longest(self) -> int:
        """Points of the longest data set."""
        return int(self.lengths.max(initial=0))

    def block(self, chosen: np.ndarray, dtype) -> Block:
        """Prepare the data sets with the given numbers."""
        m = int(self.lengths[chosen].max())
        x = np.zeros((len(chosen), self.x[0].shape[0], m))
        y = np.full((len(chosen), m), np.nan)
        sigma = None if self.sigma is None else np.ones_like(y)
        mask = None if self.mask is None else np.zeros(y.shape, bool)
        for k, i in enumerate(chosen):
            length = self.lengths[i]
            x[k, :, :length], y[k, :length] = self.x[i], self.y[i]
            if length:
                x[k, :, length:] = x[k, :, length - 1 : length]
            if sigma is not None:
                sigma[k, :length] = self.sigma[i]  # type: ignore[index]
            if mask is not None:
                mask[k, :length] = self.mask[i]  # type: ignore[index]
        return DataSets(x, y, sigma, mask).block(np.arange(len(chosen)), dtype)

    def one(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return x, y and sigma of one data set, without the points that are left out."""
        sigma, mask = (None if part is None else np.array([part[i]]) for part in (self.sigma, self.mask))
        return DataSets(self.x[i][None], self.y[i][None], sigma, mask).one(0)


def _slice(chosen: np.ndarray):
    """Return numbers as a slice where they follow each other: it takes a view."""
    if chosen[-1] - chosen[0] == chosen.size - 1 and (np.diff(chosen) == 1).all():
        return slice(chosen[0], chosen[-1] + 1)
    return chosen


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
        if y.ndim == 1 and sigma.shape == (m, m) and m > 1:
            raise ValueError("`sigma` must be standard errors: a covariance matrix is not supported.")
        sigma = _rows("sigma", sigma, y.shape, fits)
    if mask is not None:
        mask = _rows("mask", np.asarray(mask, dtype=bool), y.shape, fits)
    return DataSets(x, y.reshape(fits, m), sigma, mask), batch, n_variables


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
