"""Conditions under which parallel kernels may run.

A parallel kernel aborts the process under the workqueue layer when two threads start one at once.
Under GNU OpenMP it kills or hangs a forked child.  Wherever that could happen the serial twin
runs instead: it gives the same bits.
"""

import os
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numba
from numba.extending import is_jitted

FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC of Linux's include/linux/sched.h

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True
    _turn._at_fork_reinit()  # type: ignore[attr-defined]


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
_turn = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _threading_layer() -> str | None:
    """Start Numba's threads and return their layer; None where the layer asked for is missing."""
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


def must_run_alone(function: Any) -> bool:
    """Whether calls of a compiled function must not overlap: it, or a callee, has parallel loops.

    The layer workqueue aborts the process when two threads start such loops.

    Parameters
    ----------
    function : callable
        A user's function; one that is not compiled by Numba calls itself no parallel code.
    """
    return _is_parallel(function, set()) and _threading_layer() == "workqueue"


def turn_of(*functions: Any) -> AbstractContextManager[Any]:
    """Return the context for calls of functions: one thread at a time, where one of them must run alone."""
    return _turn if any(map(must_run_alone, functions)) else nullcontext()


def _is_parallel(function: Any, seen: set[int]) -> bool:
    if not is_jitted(function) or id(function) in seen:
        return False
    seen.add(id(function))
    if function.targetoptions.get("parallel"):
        return True
    plain = function.py_func
    cells = (cell.cell_contents for cell in plain.__closure__ or () if _is_filled(cell))
    values = [plain.__globals__.get(name) for name in _names(plain.__code__)] + list(cells)
    modules = [value for value in values if isinstance(value, ModuleType)]
    values += [vars(module).get(name) for module in modules for name in _names(plain.__code__)]
    return any(_is_parallel(value, seen) for value in values)


def _names(code: CodeType) -> set[str]:
    """Return the names of globals and attributes that code mentions, with that of functions inside it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
