"""Data sets in the form that kernels take, one block of them at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _linalg as linalg

# Units of rounding of y; searches take fits with smaller residuals for equal.  Of 3,720 fits of exact data
# the largest were 5.5 units; the rest is for terms that cancel in the model.
DIGITS = 1000
ROUNDING = 1e-6  # share of the variances by which mirror images in a covariance matrix may differ


@dataclass
class Block:
    """Some data sets, ready for a kernel.

    Attributes
    ----------
    x : ndarray, shape (n_variables, m)
        The variables, of shape (n_variables, 0) if each data set has its own.  If the data are correlated,
        the rows of the Cholesky factor of their covariance follow.
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
    correlated: bool = False

    def rounding(self) -> np.ndarray:
        """Return the root of the chi-square of one unit of rounding in each value of y, shape (fits,)."""
        y = self.data[:, 0].astype(float)
        if self.correlated:
            factor = self.x[-y.shape[1] :].astype(float)
            y = np.linalg.norm(linalg.solve(factor, y[..., None] * np.eye(y.shape[1])), axis=1)
        elif self.weighted:
            y = y * self.data[:, 1]
        return float(np.finfo(self.data.dtype).eps) * np.linalg.norm(y, axis=1)

    def chi2_of_rounding(self) -> np.ndarray:
        """Return differences of chi-square that do not tell two fits apart, shape (fits,)."""
        return (DIGITS * self.rounding()) ** 2


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

    x: np.ndarray
    y: np.ndarray
    sigma: Any
    mask: Any
    fits: Any
    m: Any

    def __init__(self, x: np.ndarray, y: np.ndarray, sigma: Any, mask: Any) -> None:
        self.x, self.y, self.sigma, self.mask = x, y, sigma, mask
        self.fits, self.m = y.shape
        self.own_x: bool = x.ndim == 3

    def order(self) -> np.ndarray:
        """Return the numbers of the data sets, in the order in which to fit them."""
        return np.arange(self.fits)

    @property
    def longest(self) -> int:
        """Points of the longest data set."""
        return self.m

    def of_one_length(self, chosen: np.ndarray) -> list[np.ndarray]:
        """Part the data sets with the given numbers into groups of equal length."""
        return [chosen]

    def parted(self, chosen: np.ndarray, points: int) -> list[np.ndarray]:
        """Part the data sets with the given numbers into those of fewer points and the others."""
        return [chosen]

    def block(self, chosen: np.ndarray, dtype: Any) -> Block:
        """Prepare the data sets with the given numbers."""
        where = as_slice(chosen)
        y = np.asarray(self.y[where])
        x = self.x[where] if self.own_x else self.x
        used = np.isfinite(y)
        finite = np.isfinite(x)
        if not finite.all():
            used &= finite.all(axis=-2)
            x = np.where(finite, x, 0)
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
            data = np.ascontiguousarray(data)  # its layout may be that of a transposed x
        shared = np.empty((x.shape[-2], 0)) if self.own_x else x
        points = np.full(len(y), self.m) if complete else used.sum(axis=1)
        return Block(np.ascontiguousarray(shared, dtype=dtype), data, weight is not None, self.own_x, points)

    def one(self, i: int, copy: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return x of shape (n_variables, m), y and sigma of one data set, without points that are left out.

        Unless a `copy` is asked for, they are the arrays themselves where nothing is left out.
        """
        x = np.asarray(self.x[i] if self.own_x else self.x, dtype=float)
        y = np.asarray(self.y[i], dtype=float)
        sigma = None if self.sigma is None else np.asarray(self.sigma[i], dtype=float)
        used = np.isfinite(y) & np.isfinite(x).all(axis=0)
        if self.mask is not None:
            used &= ~self.mask[i]
        if sigma is not None:
            used &= np.isfinite(sigma)
        if not copy and used.all():
            return x, y, sigma
        return x[:, used], y[used], None if sigma is None else sigma[used]


class CorrelatedSet(DataSets):
    """One data set whose errors are correlated; no point of it is left out.

    Parameters
    ----------
    x : ndarray, shape (n_variables, m)
    y : ndarray, shape (m,)
    covariance : ndarray, shape (m, m)
        Of the errors.

    Raises
    ------
    ValueError
        If `covariance` is not symmetric positive definite.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, covariance: np.ndarray) -> None:
        self.factor: np.ndarray = _cholesky(covariance)
        super().__init__(x, y[None], np.sqrt(np.diagonal(covariance))[None], None)

    def block(self, chosen: np.ndarray, dtype: Any) -> Block:
        """Prepare the data set, as often as its number is given."""
        x = np.concatenate([self.x, self.factor], dtype=dtype, casting="unsafe")
        y = np.ascontiguousarray(self.y[as_slice(chosen)][:, None], dtype=dtype)
        return Block(x, y, False, False, np.full(len(y), self.m), correlated=True)


def _cholesky(covariance: np.ndarray) -> np.ndarray:
    variances = np.diagonal(covariance)
    scale = np.sqrt(np.abs(variances))
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(covariance - covariance.T) <= ROUNDING * np.outer(scale, scale))  # NaN is off, too
    if off.any():
        i, j = np.argwhere(off)[0]
        raise ValueError(
            f"`sigma` of shape {covariance.shape} must be a covariance matrix, symmetric and finite; its "
            f"entries [{i}, {j}] and [{j}, {i}] are {covariance[i, j]:g} and {covariance[j, i]:g}."
        )
    try:
        return linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"`sigma` of shape {covariance.shape} must be a covariance matrix, symmetric and positive "
            f"definite; its least eigenvalue is {linalg.eigvalsh(covariance)[0]:g}."
        ) from None


class RaggedSets:
    """Data sets of different lengths, one after the other; short ones are filled up with weight 0.

    Parameters
    ----------
    x : ndarray, shape (n_variables, m)
        The variables of all points.
    y, sigma, mask : ndarray, shape (m,)
        The latter two may be None.
    lengths : ndarray of int, shape (fits,)
        How many points each data set has.
    """

    x: np.ndarray
    y: np.ndarray
    sigma: Any
    mask: Any
    lengths: np.ndarray

    def __init__(self, x: np.ndarray, y: np.ndarray, sigma: Any, mask: Any, lengths: np.ndarray) -> None:
        self.x, self.y, self.sigma, self.mask, self.lengths = x, y, sigma, mask, lengths
        self.fits: int = len(lengths)
        self._first = np.cumsum(lengths) - lengths

    def order(self) -> np.ndarray:
        """Return the numbers of the data sets by length: neighbours then need the least filling."""
        return np.argsort(self.lengths, kind="stable")

    @property
    def longest(self) -> int:
        """Points of the longest data set."""
        return int(self.lengths.max(initial=0))

    def of_one_length(self, chosen: np.ndarray) -> list[np.ndarray]:
        """Part the data sets with the given numbers into groups of equal length."""
        lengths = self.lengths[chosen]
        return [chosen[lengths == length] for length in np.unique(lengths)]

    def parted(self, chosen: np.ndarray, points: int) -> list[np.ndarray]:
        """Part the data sets with the given numbers into those of fewer points and the others."""
        is_long = self.lengths[chosen] >= points
        return [part for part in (chosen[~is_long], chosen[is_long]) if part.size]

    def block(self, chosen: np.ndarray, dtype: Any) -> Block:
        """Prepare the data sets with the given numbers."""
        lengths = self.lengths[chosen][:, None]
        column = np.arange(lengths.max())
        is_filling = column >= lengths
        at = self._first[chosen][:, None] + np.minimum(column, np.maximum(lengths - 1, 0))
        at = np.minimum(at, max(self.y.size - 1, 0))  # an empty data set may come last
        x = np.moveaxis(self.x[:, at], 0, 1)
        y = np.where(is_filling, np.nan, self.y[at])
        sigma, mask = (None if part is None else part[at] for part in (self.sigma, self.mask))
        return DataSets(x, y, sigma, mask).block(np.arange(len(chosen)), dtype)

    def one(self, i: int, copy: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return x, y and sigma of one data set, without the points that are left out."""
        own = slice(self._first[i], self._first[i] + self.lengths[i])
        sigma, mask = (None if part is None else part[None, own] for part in (self.sigma, self.mask))
        return DataSets(self.x[None, :, own], self.y[None, own], sigma, mask).one(0, copy)


def as_slice(chosen: np.ndarray) -> Any:
    """Return numbers as a slice where they follow each other: it takes a view."""
    if chosen.size == 1:
        return slice(chosen[0], chosen[0] + 1)
    if chosen[-1] - chosen[0] == chosen.size - 1 and (np.diff(chosen) == 1).all():
        return slice(chosen[0], chosen[-1] + 1)
    return chosen
