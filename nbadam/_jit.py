"""Compilation and caching by Numba, of which no other module knows.

Numba's disk cache finds a function by its file, qualified name and first line, then by argument
types, CPU, bytecode and closure cells.  It leaves out constants, the compiler's options and every
callee.  Functions that share an index can overwrite each other when several processes compile at
once (numba#6845, #1833, #4807, #10486).  Kernels are therefore kept by `_cache`, in files named by
the digest of everything that decides about them, and have exactly one signature.
"""

import gc
import inspect
import itertools
import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from types import FunctionType
from typing import Any

import numba
import numpy as np
from llvmlite import binding as llvm
from numba import njit, types
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import NullCache
from numba.core.compiler import Compiler, CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.core.targetconfig import ConfigStack

from . import _cache
from ._fingerprint import fingerprint
from ._signals import DeferredInterrupts
from .progress import compiling

MODES: dict[str, dict[str, bool]] = {
    "serial": {},  # holds the GIL: a short call that released it might wait 5 ms to get it back
    "nogil": {"nogil": True},
    "parallel": {"nogil": True, "parallel": True},
    # For kernels that take views of arrays but allocate none: counting references to them is atomic, and
    # took three quarters of the time of a step in a few variables.
    "uncounted": {"_nrt": False},
    "uncounted_nogil": {"nogil": True, "_nrt": False},
}

_llvm_lock = getattr(llvm.ffi.lib, "_lock", nullcontext())
_is_held = False


@cache
def has_wide_registers() -> bool:
    """Whether compiled code has AVX-512: 32 registers of 64 bytes, in place of 16 of 32 or less."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512f" in features.split(",")


def _hold_the_compiler() -> None:
    """Wait until no thread compiles, and keep it so.

    A child that is forked meanwhile would inherit locks that nobody in it will ever release.
    """
    global _is_held
    global_compiler_lock.acquire()
    _llvm_lock.__enter__()
    _is_held = True


def _release_the_compiler() -> None:
    global _is_held
    if not _is_held:  # this module was imported by another thread while the fork had begun
        return
    _is_held = False
    try:
        _llvm_lock.__exit__(None, None, None)
    finally:
        global_compiler_lock.release()


@contextmanager
def compiler() -> Iterator[None]:
    """Hold Numba's compiler; Ctrl-C waits for the end of this context."""
    with DeferredInterrupts(), global_compiler_lock, _collector_paused():
        yield


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause Python's collector of cycles: its looks at Numba's objects take a tenth of a compilation."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _number_functions() -> None:
    """Let Numba number functions from a random start on.

    The numbers are part of symbols, which modules from the cache bring with them from other processes.
    Of two definitions of a symbol the linker takes the first for both (numba#10486).
    """
    FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6), "big"))


def _after_fork() -> None:
    _release_the_compiler()
    _number_functions()


_number_functions()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_the_compiler,
        after_in_parent=_release_the_compiler,
        after_in_child=_after_fork,
    )


class _KernelFile(NullCache):
    """One kernel's place in the cache, in the form of Numba's caches."""

    def __init__(self, name: str, counts: bool) -> None:
        self._name, self._counts = name, counts

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kernel; None if it is not there, or cannot be used."""
        payload = _cache.read(self._name)
        if payload is None:
            return None
        if self._counts:  # others need nothing that Numba imports here, in .4 s
            target_context.refresh()
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the kernel if that is possible."""
        # Large arrays are in no file: the machine code has their address.
        if not (data.lifted or data.library.has_dynamic_globals):
            try:
                payload = dumps(data._reduce())
            except Exception:
                return
            _cache.write(self._name, payload)


class _KernelCompiler(Compiler):
    """Compiler of kernels, for which kernels and functions within them call the same functions.

    Numba compiles a function once for each set of options of its callers.  Those of a kernel differ from
    those of functions within it by wrappers and by the GIL.
    """

    def define_pipelines(self) -> Any:
        """Set the options of the kernel as a caller to those that all functions within it have."""
        options = ConfigStack.top_or_none()  # a copy: the kernel itself keeps its own
        options.no_cpython_wrapper, options.no_cfunc_wrapper, options.release_gil = True, True, False
        return super().define_pipelines()


def array(dtype: Any = float, axes: int = 1, readonly: bool = False) -> np.ndarray:
    """Return an empty array: an example of an argument, `readonly` if the kernel does not write to it."""
    example = np.empty((0,) * axes, dtype)
    example.flags.writeable = not readonly
    return example


def type_of(example: Any) -> types.Type:
    """Return the type of an example, which may be a type itself."""
    return example if isinstance(example, types.Type) else numba.typeof(example)


def compile_kernel(function: Any, examples: Any, *, name: str, mode: str) -> Any:
    """Compile `function` for one signature, from the disk cache where it holds it.

    Parameters
    ----------
    function : function
        The kernel.
    examples : tuple
        Arguments, whose types are the only ones the kernel will ever take; scalars are converted to them.
        Numba infers the type of the result.
    name : str
        Name of the kernel; its file in the cache begins with this name.
    mode : {"serial", "nogil", "parallel", "uncounted", "uncounted_nogil"}
        How it runs.

    Returns
    -------
    callable
        The compiled kernel; `function` itself when Numba is disabled.
    """
    if numba.config.DISABLE_JIT:
        return function
    # Nobody calls kernels from C: without the wrapper for that they compile a tenth faster.
    options = {"error_model": "numpy", "no_cfunc_wrapper": True, **MODES[mode]}
    with compiling(), compiler():
        signature = tuple(map(type_of, examples))
        digest = fingerprint(function, signature, options)
        kernel = FunctionType(function.__code__, function.__globals__, closure=function.__closure__)
        kernel.__qualname__ = f"{name}_{mode}_{digest}"
        kernel.__module__ = __name__  # a module of every process that loads it
        compiled = njit(**options, pipeline_class=_KernelCompiler)(kernel)
        if digest:
            file_name = _cache.file_name(f"{name}_{mode}", digest)
            compiled._cache = _KernelFile(file_name, counts="_nrt" not in MODES[mode])
        compiled.compile(signature)
        compiled.disable_compile()
    return compiled


def entry_point(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel without Numba's look at the types of the arguments, which takes half of a short call.

    Memory is safe only if the caller passes the very types of the signature.
    """
    overloads = getattr(kernel, "overloads", None)  # None of a function that is not compiled
    if overloads is None:
        return kernel
    with DeferredInterrupts():  # in which OrderedDict would see a missing key
        return next(iter(overloads.values())).entry_point


def takes(kernel: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    """Whether a kernel can be called with these arguments; if not, a TypeError is its caller's fault."""
    overloads = getattr(kernel, "overloads", None)
    try:
        if overloads is None:
            inspect.signature(kernel).bind(*arguments)
            return True
        (kinds,) = overloads
        convert = cpu_target.typing_context.can_convert
        pairs = zip(arguments, kinds, strict=True)
        return all(convert(numba.typeof(argument), kind) is not None for argument, kind in pairs)
    except (TypeError, ValueError):
        return False


def without_types(error: Exception) -> Exception:
    """Take out of an exception of compiled code the types that Numba writes in place of numbers.

    The message f"{a} is too small" would name the type of dual numbers.
    """
    parts = (
        re.sub("<object type:[^>]*>", "...", part) if isinstance(part, str) else part for part in error.args
    )
    error.args = tuple(parts)
    return error


# Returned instead of a number, by Numba's names of the types.
RETURNED = {
    "none": "nothing: a `return` is missing, or every call raises",
    "OptionalType": "sometimes nothing: a branch has no `return`",
    "array": "an array or a tuple",
    "Tuple": "a tuple",
}


def reason(error: Exception) -> str:
    """Return Numba's complaint about a user's function, in one line instead of its long message."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    # One part for each call from function to function; the first is about the kernel, the last has the cause.
    parts = [part.strip() for part in re.split(r"\(step: [^)]*\)", text)[1:]] or [text]
    passed_on = "Failed in", "No implementation of function Function(<function"
    own = [part for part in parts if not part.startswith(passed_on)] or parts[-1:]
    special = re.match(r"(?:Untyped global name|Unknown attribute) '(\w+)'.*(?:ufunc|scipy\.special)", own[0])
    if special:
        hint = ": `voigt_profile` has its real part" if special[1] == "wofz" else ""
        return f"`{special[1]}` has no compiled form for real numbers with one result{hint}."
    pattern = r"No implementation of function Function\(float(?:32|64)\).*<unknown function>\((\w+)"
    returned = re.match(pattern, own[0], re.DOTALL)
    if returned:
        kind = RETURNED.get(returned[1], f"a value of type {returned[1]}")
        return f"it must return one number for one point, not {kind}."
    if own[0].startswith("Cannot cast complex"):
        return "its values are complex numbers: take `.real`, or `abs(...)`."
    found = re.split(r"There are \d|During:|File \"", own[0])[0]
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", found).split())
