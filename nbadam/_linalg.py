"""NumPy's linear algebra, apart from forks.

OpenBLAS takes a lock for the memory of a call, and knows nothing of forks.  A child that is forked while
another thread has the lock waits for ever in its own next call: 17 of 1,800 did, beside a thread that
inverted small matrices.  Forks wait until no thread is in these functions.  Other callers of BLAS need care
of their own.
"""

import functools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

_lock = threading.RLock()


def apart_from_forks(function: F) -> F:
    """Let forks wait for the end of a function's calls; it calls no code of the user."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _lock:
            return function(*args, **kwargs)

    return call  # type: ignore[return-value]


cholesky = apart_from_forks(np.linalg.cholesky)
eigh = apart_from_forks(np.linalg.eigh)
eigvalsh = apart_from_forks(np.linalg.eigvalsh)
inv = apart_from_forks(np.linalg.inv)
lstsq = apart_from_forks(np.linalg.lstsq)
matmul = apart_from_forks(np.matmul)
pinv = apart_from_forks(np.linalg.pinv)
qr = apart_from_forks(np.linalg.qr)
solve = apart_from_forks(np.linalg.solve)
svd = apart_from_forks(np.linalg.svd)


def _before_a_fork() -> None:
    _lock.acquire()


def _in_the_parent() -> None:
    with suppress(RuntimeError):  # another thread imported this module while the fork had begun
        _lock.release()


def _in_the_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_a_fork, after_in_parent=_in_the_parent, after_in_child=_in_the_child)
