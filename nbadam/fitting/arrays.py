"""Arrays that users pass, checked: real numbers of any dtype, masked or in lists, and nothing else."""

import datetime
from typing import Any

import numpy as np

from ..checks import shown

TIMES = datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64


def real(name: str, value: Any) -> np.ndarray:
    """Return an array of real numbers; of integers and floats without a copy.

    Parameters
    ----------
    name : str
        The argument, for errors.
    value : array_like
        Its mask does not matter: see `mask_of`.

    Raises
    ------
    ValueError
        For complex numbers, times, strings, rows of different lengths, and other objects.
    """
    try:
        array = np.asarray(_masked(value).data if is_masked(value) else value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(
            f"`{name}` must be an array of real numbers, not {shown(value)}. Data sets of different lengths "
            "come as lists of arrays, both `xdata` and `ydata`."
        ) from None
    kind = array.dtype.kind
    if kind in "biuf":
        return array
    entries = array.ravel() if kind == "O" else ()
    if kind in "mM" or any(isinstance(entry, TIMES) for entry in entries):
        raise ValueError(
            f"`{name}` holds times, {array.dtype}: pass numbers in the unit that the parameters should have, "
            "such as `(t - t[0]) / np.timedelta64(1, 's')` for seconds."
        )
    if kind == "c" or any(isinstance(entry, complex | np.complexfloating) for entry in entries):
        raise ValueError(f"`{name}` must be an array of real numbers, not of complex ones: take `.real`.")
    if kind == "O" and not any(isinstance(entry, str | bytes) for entry in entries):
        try:
            return array.astype(float)
        except (TypeError, ValueError):
            pass
        except OverflowError:
            raise ValueError(f"`{name}` holds an integer beyond the range of float64.") from None
    found = array.dtype if kind != "O" else shown(value)
    raise ValueError(f"`{name}` must be an array of real numbers, not {found}.")


def floats(name: str, value: Any) -> np.ndarray:
    """Return an array of real numbers in double precision, NaN where `value` is masked."""
    array, mask = real(name, value).astype(float, copy=False), mask_of(value)
    return array if mask is None else np.where(mask, np.nan, array)


def booleans(name: str, value: Any) -> np.ndarray:
    """Return an array of truth values, from these or from numbers 0 and 1; True where it is masked."""
    array = real(name, value)
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        raise ValueError(f"`{name}` must hold True or False for each point, not {shown(value)}.")
    return array.astype(bool) | (np.ma.getmaskarray(_masked(value)) if is_masked(value) else False)


def unmasked(name: str, value: Any) -> np.ndarray:
    """Return an array of real numbers in double precision; raise if some are masked."""
    mask = mask_of(value)
    if mask is not None and mask.any():
        raise ValueError(f"`{name}` must not be masked: every entry counts.")
    return real(name, value).astype(float, copy=False)


def is_masked(value: Any) -> bool:
    """Whether an array, or one in a list of arrays, may have a mask."""
    if isinstance(value, list | tuple):
        return any(isinstance(part, np.ma.MaskedArray) for part in value)
    return isinstance(value, np.ma.MaskedArray)


def mask_of(value: Any) -> np.ndarray | None:
    """Return the mask of a masked array; None if it has none."""
    return np.ma.getmaskarray(_masked(value)) if is_masked(value) else None


def _masked(value: Any) -> np.ma.MaskedArray:
    return np.ma.array(value) if isinstance(value, list | tuple) else value
