"""Gradients of a loss that takes no arguments but reads the variables."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from .structures import leaves
from .variables import check_array

MAX_SIZE = 5000  # largest number of elements for which differences are formed


def gradients(loss: Callable[[], Any], variables: Any) -> Any:
    """Return the gradients that a loss returns beside its value, or central differences.

    Parameters
    ----------
    loss : callable
        ``loss() -> value`` or ``loss() -> (value, gradients)``.
    variables : ndarray, or list, tuple or dict of ndarray, possibly nested
        Variables of the loss.  Differences move each element up and down in place, and put it back.

    Returns
    -------
    ndarray, or list, tuple or dict of ndarray
        In the structure of `variables`.
    """
    for i, array in enumerate(leaves(variables)):
        check_array(array, i)
    begun = perf_counter()
    result = loss()
    seconds = perf_counter() - begun
    if isinstance(result, tuple):
        if len(result) != 2:
            raise ValueError(f"`loss` must return a value or (value, gradients), not {len(result)} things.")
        return result[1]
    _value(result)
    size = sum(array.size for array in leaves(variables))
    if size > MAX_SIZE:
        raise ValueError(
            f"`loss` returns no gradients, and differences for {size:,} elements would take {2 * size:,} "
            f"evaluations a step, about {2 * size * seconds:.2g} seconds: return (value, gradients), or pass "
            "`grad`."
        )
    return _differences(loss, variables)


def _differences(loss: Callable[[], Any], variable: Any) -> Any:
    if isinstance(variable, dict):
        return {key: _differences(loss, part) for key, part in variable.items()}
    if isinstance(variable, list | tuple):
        return [_differences(loss, part) for part in variable]
    gradient = np.empty(variable.shape, variable.dtype.newbyteorder("="))
    relative = np.finfo(gradient.dtype).eps ** (1 / 3)  # balances rounding and truncation
    for index in np.ndindex(variable.shape):
        x = variable[index]
        step = relative * max(1.0, abs(float(x)))
        try:
            variable[index] = x + step
            high, above = float(variable[index]), _value(loss())
            variable[index] = x - step
            low, below = float(variable[index]), _value(loss())
        finally:
            variable[index] = x
        gradient[index] = (above - below) / (high - low)
    return gradient


def _value(result: Any) -> float:
    array = np.asarray(result)
    if array.dtype.kind not in "fiub" or array.size != 1:
        raise ValueError(
            "`loss` must return a real number or (value, gradients), "
            f"not {type(result).__name__} {result!r:.60}."
        )
    return float(array.item())
