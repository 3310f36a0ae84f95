"""Checks of arguments, with errors that name the argument, its value and the legal values."""

from math import inf, isfinite
from numbers import Real
from typing import Any

import numpy as np


def shown(value: Any) -> str:
    """Return the `repr` of a value for messages, in one line, shortened if it is long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer with too many digits
        is_it = isinstance(value, int)
        text = f"an integer of {value.bit_length()} bits" if is_it else "integers of too many digits"
    return text if len(text) <= 120 else f"{text[:100]} ... {text[-15:]}"


def number(name: str, value: Any, *, low: float = -inf, below: float = inf) -> float:
    """Return `value` as a finite float with ``low <= value < below``.

    Raises
    ------
    ValueError
        If it is no real number (a string, None, a bool, an array, NaN) or out of range.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        try:
            checked = float(value)
        except OverflowError:
            checked = inf
        if isfinite(checked) and low <= checked < below:
            return checked
    legal = f"a finite number in [{low:g}, {below:g})" if below < inf else f"a finite number >= {low:g}"
    raise ValueError(f"`{name}` must be {legal}, not {shown(value)}.")


def positive(name: str, value: Any, shape: int | tuple[int, ...], *, zero: bool = False) -> np.ndarray:
    """Return a number or an array as positive floats, broadcast to a shape; zero too if so asked."""
    try:
        array = np.asarray(value, dtype=float)
        broadcast = np.broadcast_to(array, shape)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"`{name}` must be a number or an array that broadcasts to the shape "
            f"{np.broadcast_shapes(shape)}, not {shown(value)}."
        ) from None
    if not np.isfinite(array).all() or not (array >= 0 if zero else array > 0).all():
        raise ValueError(f"`{name}` must be finite and {'>= 0' if zero else '> 0'}, not {shown(value)}.")
    return broadcast
