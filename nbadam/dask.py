"""Calls with arrays of Dask: the same call for each block, when its result is asked for."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._cache import folders
from .extras import extra

try:
    import fcntl
except ModuleNotFoundError:  # Windows: each process compiles for itself
    fcntl = None  # type: ignore[assignment]

Dims = tuple[str, ...]
LONGEST = 120.0  # seconds that a process waits while another one compiles
_begun: set[str] = set()  # calls of which this process has begun a block


def is_lazy(*values: Any) -> bool:
    """Return whether one of the values, or of the entries of dicts, lists and tuples, is an array of Dask."""
    if "dask.array" not in sys.modules:
        return False
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


def in_turn(call: str, block: Callable[[], Any]) -> Any:
    """Return ``block()``, the first one of a call not while another process of the machine does its first.

    That process compiles the kernels and keeps them on disk, where the others find them.

    Parameters
    ----------
    call : str
        Name that tells calls apart.
    block : callable
    """
    if call in _begun:
        return block()
    with _turn():
        _begun.add(call)  # further threads of this process need not wait: Numba lets one of them compile
        return block()


@contextmanager
def _turn() -> Iterator[None]:
    """Hold the lock of the cache's folder, or, if another process has it, wait until it is free."""
    file = _lock_file()
    if file is None:
        yield
        return
    with file:
        if not _is_locked(file):
            end = time.monotonic() + LONGEST
            while time.monotonic() < end and not _is_locked(file):
                time.sleep(0.05)
            file.close()  # the lock is free: those that waited go on together
        yield


def _lock_file() -> Any:
    """Open the file to lock, in the folder where kernels are kept; None if there is none."""
    for folder in folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            return (folder / "first_block.lock").open("ab")
    return None


def _is_locked(file: Any) -> bool:
    """Try to lock a file, and return whether nobody else holds its lock, or none can be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, AttributeError):
        return True
    return True


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

    def _cut(self, value: Any, n_axes: int) -> Any:
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

        def fill(value: Any) -> Any:
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
        name = str([value for value in self.given.values() if callable(value) or isinstance(value, str)])
        sizes = {f"{name}_{k}": n for name, (shape, _) in outputs.items() for k, n in enumerate(shape)}
        dims = [tuple(f"{name}_{k}" for k in range(len(shape))) for name, (shape, _) in outputs.items()]
        found = array.apply_gufunc(
            lambda *parts: in_turn(name, lambda: call(**self.of_block(parts))),
            f"{_signature(self._dims)}->{_signature(dims)}",
            *self._arrays,
            output_sizes=sizes,
            output_dtypes=[dtype for _, dtype in outputs.values()],
            allow_rechunk=True,
        )
        return dict(zip(outputs, found, strict=True))


def _signature(dims: list[Dims]) -> str:
    return ",".join(f"({','.join(names)})" for names in dims)
