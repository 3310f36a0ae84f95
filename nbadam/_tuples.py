"""Tuples of arrays inside kernels: plain Python, and its replacements for the compiler."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba.extending import overload

from ._jitable import register_jitable

_overload = partial(overload, jit_options={"no_cfunc_wrapper": True})


def _unrolled(function: Callable[..., Any], entry: str) -> None:
    """Compile `function` as the tuple of the expression `entry` for k = 0, 1, ... of its first argument."""
    arguments = ", ".join(inspect.signature(function).parameters)

    def implementation(*types):
        entries = "".join(entry.format(k=k) + ", " for k in range(len(types[0])))
        return eval(f"lambda {arguments}: ({entries})", globals())

    implementation.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    _overload(function)(implementation)


def take(columns, i):
    """Read entry `i` of every array of a tuple."""
    return tuple(column[i] for column in columns)


def cut(columns, start, stop):
    """Slice every array of a tuple."""
    return tuple(column[start:stop] for column in columns)


def cast(values, like):
    """Convert every number of a tuple to the dtype of the array `like`."""
    return tuple(like.dtype.type(value) for value in values)


def store(columns, i, values):
    """Write `values` to entry `i` of every array of a tuple, just as they are."""
    for column, value in zip(columns, values, strict=True):
        column[i] = value


def put(columns, i, values):
    """Write `values` to entry `i` of every array of a tuple, subnormal numbers as zero.

    Subnormal arithmetic is slow, and a decaying moment stays there: 0.9 * 6e-45 rounds to 6e-45.
    """
    for column, value in zip(columns, values, strict=True):
        column[i] = flushed(value, column)


@register_jitable
def flushed(value, like):
    return value if not abs(value) < like.dtype.type(np.finfo(like.dtype).tiny) else like.dtype.type(0)


def _unrolled_write(function: Callable[..., Any], entry: str) -> None:
    """Compile `function` as one assignment of the expression `entry` for each array of a tuple."""

    def implementation(columns, i, values):
        lines = "".join(f"\n columns[{k}][i] = " + entry.format(k=k) for k in range(len(columns)))
        scope = globals().copy()
        exec(f"def write(columns, i, values): {lines or 'pass'}", scope)
        return scope["write"]

    _overload(function)(implementation)


_unrolled(take, "columns[{k}][i]")
_unrolled(cut, "columns[{k}][start:stop]")
_unrolled(cast, "like.dtype.type(values[{k}])")
_unrolled_write(store, "values[{k}]")
_unrolled_write(put, "flushed(values[{k}], columns[{k}])")
