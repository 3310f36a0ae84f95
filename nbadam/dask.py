"""Calls with arrays of Dask: the same call for each block, when its result is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .extras import extra

Dims = tuple[str, ...]


def is_lazy(*values: Any) -> bool:
    """Return whether one of the values, or of the entries of dicts, lists and tuples, is an array of Dask."""
    for value in values:
        if isinstance(value, dict | list | tuple):
            if is_lazy(*(value.values() if isinstance(value, dict) else value)):
                return True
        elif type(value).__module__.startswith("dask.array"):
            return True
    return False


def refuse(arguments: dict[str, Any], *names: str) -> None:
    """Raise if one of the named arguments, which are for all data sets together, is given."""
    for name in names:
        if arguments[name]:
            raise ValueError(f"`{name}` does not go with arrays of Dask, whose blocks run one by one.")


@dataclass(frozen=True)
class _Cut:
    """The place of an array that differs between data sets."""

    number: int


class Arguments:
    """Arguments of a call, of which some arrays are cut along the axes of the batch.

    Each call of a block gets the parts that belong to the block, and the rest as it is.
    """

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self._arrays: list[Any] = []
        self._dims: list[Dims] = []

    def add(self, name: str, value: Any, n_axes: int) -> None:
        """Take an argument whose own axes are the last `n_axes`; axes before them are the batch's.

        Entries of a dict are numbers or arrays of the batch's shape.  Those of a tuple are like the whole.
        """
        self.given[name] = self._cut(value, n_axes)

    def _cut(self, value, n_axes: int):
        if isinstance(value, dict):
            return {key: self._cut(entry, 0) for key, entry in value.items()}
        if isinstance(value, tuple):
            return tuple(self._cut(entry, n_axes) for entry in value)
        if callable(value) or np.ndim(value) <= n_axes:
            return np.asarray(value) if is_lazy(value) else value
        number = len(self._arrays)
        self._arrays.append(value if is_lazy(value) else np.asarray(value))
        self._dims.append(tuple(f"own_{number}_{axis}" for axis in range(n_axes)))
        return _Cut(number)

    def of_block(self, parts: Any) -> dict[str, Any]:
        """Return the arguments with the parts of a block."""

        def fill(value):
            if isinstance(value, _Cut):
                return parts[value.number]
            if isinstance(value, dict):
                return {key: fill(entry) for key, entry in value.items()}
            return tuple(fill(entry) for entry in value) if isinstance(value, tuple) else value

        return {name: fill(value) for name, value in self.given.items()}

    def of_none(self) -> dict[str, Any]:
        """Return the arguments of a batch without entries, by which a call can check them at once."""
        loops = (array.ndim - len(dims) for array, dims in zip(self._arrays, self._dims, strict=True))
        parts = (
            np.empty((0,) * n + array.shape[n:], array.dtype)
            for n, array in zip(loops, self._arrays, strict=True)
        )
        return self.of_block(list(parts))

    def apply(
        self, call: Callable[..., Any], outputs: dict[str, tuple[tuple[int, ...], np.dtype]]
    ) -> dict[str, Any]:
        """Return the results of ``call(**arguments)`` by name, as arrays of Dask.

        Parameters
        ----------
        call : callable
            Returns a tuple, the arrays of a block.
        outputs : dict of str to (shape, dtype)
            For each of them the shape of an entry of the batch.
        """
        array = extra("dask.array", "dask")
        sizes = {f"{name}_{k}": n for name, (shape, _) in outputs.items() for k, n in enumerate(shape)}
        dims = [tuple(f"{name}_{k}" for k in range(len(shape))) for name, (shape, _) in outputs.items()]
        found = array.apply_gufunc(
            lambda *parts: call(**self.of_block(parts)),
            f"{_signature(self._dims)}->{_signature(dims)}",
            *self._arrays,
            output_sizes=sizes,
            output_dtypes=[dtype for _, dtype in outputs.values()],
            allow_rechunk=True,
        )
        return dict(zip(outputs, found, strict=True))


def _signature(dims: list[Dims]) -> str:
    return ",".join(f"({','.join(names)})" for names in dims)
