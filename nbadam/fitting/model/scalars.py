"""Functions of NumPy for numbers, where Numba has them only for arrays, or compiles them for seconds.

They have NumPy's arguments, and their results have the derivatives of these.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

REPLACED: dict[str, Callable[..., Any]] = {}  # functions by NumPy's name
ARRAYS = types.Array, types.BaseTuple, types.List


def for_numbers(position: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function stand for NumPy's of its name; with an array as argument `position` it is NumPy's."""

    def decorate(implementation: Callable[..., Any]) -> Callable[..., Any]:
        name = implementation.__name__
        signature = inspect.signature(implementation)
        arguments = ", ".join(signature.parameters)
        head = str(signature).strip("()")
        of_arrays = eval(f"lambda {head}: np.{name}({arguments})", {"np": np})

        def function(*given, **named):
            bound = signature.bind(*given, **named).args
            return (getattr(np, name) if np.ndim(bound[position]) else implementation)(*bound)

        def compiled(*kinds):
            return of_arrays if isinstance(kinds[position], ARRAYS) else implementation

        for copy in function, compiled:
            copy.__name__, copy.__signature__ = name, signature  # type: ignore[attr-defined]
        overload(function)(compiled)
        REPLACED[name] = function
        return implementation

    return decorate


@for_numbers(0)
def where(condition, x, y):
    """Choose one of two numbers."""
    return x if condition else y


@for_numbers(0)
def clip(a, a_min, a_max):
    """Limit a number to an interval, either end of which may be None; NaN stays NaN."""
    if a_min is not None and a < a_min:
        a = a_min
    if a_max is not None and a > a_max:
        a = a_max
    return a


@for_numbers(0)
def heaviside(x1, x2):
    """Step function, with the value `x2` at 0; NaN stays NaN."""
    if x1 == 0:
        return x2
    return 1.0 if x1 > 0 else 0.0 if x1 < 0 else np.nan


@for_numbers(0)
def interp(x, xp, fp):
    """Interpolate a table linearly; its ends go on as constants, NaN stays NaN."""
    if x <= xp[0]:
        return fp[0]
    last = len(xp) - 1
    if x >= xp[last]:
        return fp[last]
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if x >= xp[middle]:
            low = middle
        else:
            high = middle
    return (fp[high] - fp[low]) / (xp[high] - xp[low]) * (x - xp[low]) + fp[low]


@for_numbers(1)
def polyval(p, x):
    """Evaluate a polynomial, the highest power first."""
    value = 0.0 * x
    for k in range(len(p)):
        value = value * x + p[k]
    return value
