"""How Numba compiles and caches: the only module that knows.

Numba's disk cache finds a function by its file, qualified name and first line, then by argument
types, CPU, bytecode and closure cells.  It leaves out the compiler flags and every callee, and
functions that share an index can overwrite each other when several processes compile at once
(numba#6845, #1833, #4807, #10486).  A kernel therefore carries everything that makes it different
in its qualified name, the digest of the sources included, and has exactly one signature.
"""

import hashlib
import inspect
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
from numba import njit
from numba.extending import overload, register_jitable

MODES: dict[str, dict[str, bool]] = {
    "serial": {},  # holds the GIL: a short call that released it might wait 5 ms to get it back
    "nogil": {"nogil": True},
    "parallel": {"nogil": True, "parallel": True},
}

_lock = threading.Lock()


def compile_kernel(function: Callable, signature, *, name: str, mode: str, sources: tuple[Callable, ...] = ()):
    """Compile `function` for one signature, from the disk cache where it holds it.

    Parameters
    ----------
    function : callable
        A kernel that nothing else shares: it is renamed.
    signature : numba signature
        The only types the kernel will ever take; scalars are converted to them.
    name : str
        What distinguishes this kernel from every other one built by the same code.
    mode : {"serial", "nogil", "parallel"}
        How it runs.
    sources : tuple of callables
        Functions from other files that the kernel calls.

    Returns
    -------
    callable
        The compiled kernel; `function` itself when Numba is disabled.
    """
    if numba.config.DISABLE_JIT:
        return function
    checked = "_boundscheck" if numba.config.BOUNDSCHECK else ""
    function.__qualname__ = f"{name}_{mode}{checked}_{_digest(function, *sources)}"
    with _lock:
        for prepare in (_cached, _cached_afresh, _uncached):
            try:
                compiled = prepare(njit(error_model="numpy", **MODES[mode])(function))
                compiled.compile(signature)
                break
            except Exception:  # a torn cache file, a full disk, nowhere to write ...
                if prepare is _uncached:  # ... or an error in the kernel itself
                    raise
        compiled.disable_compile()
    return compiled


def _cached(compiled):
    compiled.enable_caching()
    return compiled


def _cached_afresh(compiled):
    """Remove what the cache holds for this kernel, which has an index of its own."""
    compiled.enable_caching()
    for path in Path(compiled.stats.cache_path).glob(f"*{compiled.py_func.__qualname__}*"):
        path.unlink(missing_ok=True)
    return compiled


def _uncached(compiled):
    return compiled


@lru_cache(maxsize=None)
def _digest(*functions: Callable) -> str:
    """Fingerprint of this file and of the files that the functions are written in."""
    files = {__file__, *(inspect.getfile(function) for function in functions)}
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in sorted(files))).hexdigest()[:12]


# --- Tuples inside kernels: plain Python, and what the compiler puts in its place ----------------


def _unrolled(function: Callable, entry: str) -> None:
    """Compile `function` as the tuple of the expression `entry` for k = 0, 1, ... of its first argument."""
    arguments = ", ".join(inspect.signature(function).parameters)

    def implementation(*types):
        entries = "".join(entry.format(k=k) + ", " for k in range(len(types[0])))
        return eval(f"lambda {arguments}: ({entries})", globals())

    implementation.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    overload(function)(implementation)


def take(columns, i):
    """Read entry `i` of every array of a tuple."""
    return tuple(column[i] for column in columns)


def cut(columns, start, stop):
    """Slice every array of a tuple."""
    return tuple(column[start:stop] for column in columns)


def cast(values, like):
    """Convert every number of a tuple to the dtype of the array `like`."""
    return tuple(like.dtype.type(value) for value in values)


def put(columns, i, values):
    """Write `values` to entry `i` of every array of a tuple, subnormal numbers as zero.

    Subnormal arithmetic is slow, and a decaying moment stays there: 0.9 * 6e-45 rounds to 6e-45.
    """
    for column, value in zip(columns, values, strict=True):
        column[i] = flushed(value, column)


@register_jitable
def flushed(value, like):
    return value if not abs(value) < like.dtype.type(np.finfo(like.dtype).tiny) else like.dtype.type(0)


_unrolled(take, "columns[{k}][i]")
_unrolled(cut, "columns[{k}][start:stop]")
_unrolled(cast, "like.dtype.type(values[{k}])")


@overload(put)
def _put(columns, i, values):
    lines = "".join(f"\n columns[{k}][i] = flushed(values[{k}], columns[{k}])" for k in range(len(columns)))
    scope = globals().copy()
    exec(f"def put(columns, i, values): {lines or 'pass'}", scope)
    return scope["put"]
