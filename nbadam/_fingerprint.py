"""What the machine code of a kernel depends on, as the digest that goes into its name."""

import hashlib
import inspect
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import numba
from llvmlite import binding as llvm
from numba.extending import is_jitted

from . import imported_at

# Settings of Numba that change the machine code.
SETTINGS = "BOUNDSCHECK CPU_FEATURES CPU_NAME DEBUGINFO_DEFAULT ENABLE_AVX LOOP_VECTORIZE OPT SLP_VECTORIZE"
COMPILER = Path(__file__).with_name("_jit.py")
LIBRARIES = "numpy", "numba", "llvmlite"  # compiled from what this Numba knows of them, not from their text
GENERATED = (
    "nbadam_generated_"  # begins the names of files that are named by their content: nobody edits them
)


def fingerprint(kernel: Callable, signature) -> str:
    """Digest of all that decides about the machine code; empty where no later process could know it.

    That is so with functions that have no file (in notebooks, zip files), with a file that was
    edited since this process began, and with compiled functions of a user, which Numba may pickle
    under random names.
    """
    settings = [getattr(numba.config, setting) for setting in SETTINGS.split()]
    target = numba.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    digest = hashlib.sha256(repr((settings, target, signature)).encode())
    files = {str(COMPILER)}
    try:
        for name, value in reached("", kernel, set()):
            if is_jitted(value) and not value.__module__.startswith(__package__):
                return ""
            if _is_function(value):
                function = inspect.unwrap(value)
                code = function.__code__
                files.add(code.co_filename)
                value = code.co_firstlineno, code.co_linetable, code.co_code, function.__defaults__
            digest.update(pickle.dumps((name, value)))
        for file in sorted(files):
            status = os.stat(file)
            is_generated = Path(file).name.startswith(GENERATED)
            if not is_generated and max(status.st_mtime, status.st_ctime) > imported_at:
                return ""
            digest.update(Path(file).read_bytes())
    except (OSError, TypeError, AttributeError, pickle.PicklingError):
        return ""
    return digest.hexdigest()[:12]


def reached(name: str, value, seen: set, names: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """Names and values of a function and all that it refers to, itself or through other functions.

    Of a user's module that is what has one of the `names` that the function mentions: machine code holds
    the values as they were.
    """
    if inspect.ismodule(value):
        yield name, value.__name__
        if value.__name__.partition(".")[0] not in LIBRARIES and (value, names) not in seen:
            seen.add((value, names))
            for attribute in sorted(names):
                if hasattr(value, attribute):
                    yield from reached(f"{name}.{attribute}", getattr(value, attribute), seen, names)
        return
    library = (getattr(value, "__module__", None) or "").partition(".")[0]
    if callable(value) and library in LIBRARIES:
        yield name, f"{value.__module__}.{getattr(value, '__qualname__', value)}"
        return
    yield name, value
    if _is_function(value) and value not in seen:
        seen.add(value)
        function = inspect.unwrap(value)
        names = mentioned(function.__code__)
        variables = {name: function.__globals__[name] for name in names & function.__globals__.keys()}
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        variables |= {name: cell.cell_contents for name, cell in cells}
        for variable in sorted(variables):
            yield from reached(variable, variables[variable], seen, names)


def mentioned(code: CodeType) -> frozenset[str]:
    """Names of globals and attributes in a function's code, and in that of functions inside it."""
    inner = [mentioned(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(code.co_names).union(*inner)


def _is_function(value) -> bool:
    return inspect.isfunction(value) or is_jitted(value)
