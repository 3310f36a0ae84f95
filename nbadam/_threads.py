"""When the parallel kernels may run.

A parallel kernel aborts the process under the workqueue layer when two threads start one at once,
and under GNU OpenMP it kills or hangs a forked child.  Wherever that could happen the serial twin
runs instead: it gives the same bits.
"""

import os
import threading
from functools import cache
from pathlib import Path

import numba

FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC of Linux's include/linux/sched.h

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


def _started_by_fork() -> bool:
    """Whether this process was a forked child before this module came to it.

    Another library may have used the threads of the parent.  "self" is the first thread, the one
    that a fork or an exec leaves; every other thread carries the flag always.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:  # not Linux: GNU OpenMP, the layer that kills children, is not the default there
        return False
    return bool(int(fields[6]) & FORKED_WITHOUT_EXEC)


_forked = _started_by_fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _threading_layer() -> str | None:
    """Start Numba's threads and return what they rest on; None where the layer asked for is missing."""
    try:
        numba.get_num_threads()
    except ValueError:
        return None
    return numba.threading_layer()


def parallel_is_safe() -> bool:
    """Whether this thread of this process may start a parallel kernel now."""
    if _forked or threading.current_thread() is not threading.main_thread():
        return False
    layer = _threading_layer()
    if layer is None or numba.get_num_threads() == 1:
        return False
    return layer != "workqueue" or threading.active_count() == 1
