"""Values and gradients as the user's function returns them: checked, and copied."""

from decimal import Decimal
from math import inf
from numbers import Real
from typing import Any

import numpy as np

REAL = Real, Decimal  # numbers that NumPy holds as objects: fractions, decimals, integers beyond 64 bits


def as_pair(returned: Any, n: int) -> tuple[float, np.ndarray]:
    """Return value and gradient, of `n` variables."""
    try:
        f, g = returned
    except (TypeError, ValueError):
        raise ValueError(
            "With `jac=True`, and for a Minibatch, `fun` must return the value and the gradient as (f, g); "
            f"it returned {_described(returned)}."
        ) from None
    return as_value(f), as_gradient(g, n)


def checked_pair(returned: Any) -> tuple[Any, Any]:
    """Return value and gradient; refuse anything else that `fun` may have returned."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(
            "`fun` of the Minibatch must return (value, gradient), "
            f"not {type(returned).__name__} {returned!r:.60}."
        )
    return returned


def as_value(value: Any) -> float:
    """Return a value as a float."""
    if type(value) is float or type(value) is np.float64:
        return float(value)
    if isinstance(value, tuple | list) and len(value) == 2 and np.ndim(value[1]):
        raise ValueError(
            "The user-provided objective function must return a scalar value; `fun` returned a pair. "
            "If that is the value and the gradient, pass `jac=True`."
        )
    array = _real(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"The user-provided objective function must return a scalar value, a real number; `fun` returned "
            f"{_described(value)}."
        )
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value; "
            f"`fun` returned an array of shape {array.shape}."
        )
    return float(array.item())


def _real(returned: Any) -> np.ndarray:
    """Return an array; real numbers that NumPy holds as objects become floats, infinite if too large."""
    array = np.asarray(returned)
    if array.dtype.kind == "O" and array.size and all(isinstance(each, REAL) for each in array.flat):
        array = np.array([_as_float(each) for each in array.flat]).reshape(array.shape)
    return array


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def as_gradient(gradient: Any, n: int) -> np.ndarray:
    """Return a gradient by `n` variables as a float64 array."""
    array = _real(gradient)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"The gradient must be an array of real numbers; it is {_described(gradient)}.")
    if array.shape != (n,) and not (n == 1 and array.size == 1):
        raise ValueError(f"The gradient must have the shape of `x0`, ({n},); its shape is {array.shape}.")
    return np.array(array, dtype=float).reshape(n)


def _described(value: Any) -> str:
    """Type and, where it is short, value."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else f"a {type(value).__name__}"
