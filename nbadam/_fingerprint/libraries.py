"""Objects of libraries, which are known by name and version, and calls that Numba replaces."""

import builtins
import sys
from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba.core.imputils import builtin_registry as lowerings
from numba.core.typing.templates import builtin_registry as typings

LIBRARIES = "numpy", "numba", "llvmlite", "scipy"  # their objects are known by name and version
COMPILED = "builtins", "math", "cmath", "_operator"  # so are the functions and types that C defines here
PACKAGE = __name__.partition(".")[0]
ACTING = f"{PACKAGE}.dual"  # acts by its registrations for operators and NumPy's functions
SPECIAL = f"{PACKAGE}.special"  # registers SciPy's ufuncs
ENUMS = {cls for cls in vars(sys.modules["enum"]).values() if isinstance(cls, type) and issubclass(cls, Enum)}


class Implementation(NamedTuple):
    """Functions that Numba calls to compile a call of another function, and the options that it uses."""

    options: str
    functions: tuple[Callable[..., Any], ...]
    is_of_library: bool  # True for this package, too


# By the id of the function, which Numba's registries keep alive, and the place in the registry.
_implementations: dict[int, dict[tuple[str, int], Implementation]] = {}
_read = {"typings": 0, "lowerings": 0}  # entries of Numba's registries that are in `_implementations`


def sizes_of_registries() -> tuple[int, int]:
    """Return the sizes of Numba's registries, to which entries are only added."""
    return len(typings.globals), len(lowerings.functions)


def implementations_of(function: Any) -> list[Implementation]:
    """Return the implementations of a function that `overload`, `lower_builtin` and their like registered."""
    start = _read["typings"]
    entries = typings.globals[start:]
    for place, (key, template) in enumerate(entries, start):
        for number, cls in enumerate(getattr(template, "templates", (template,))):
            own = getattr(cls, "_overload_func", None)
            functions = [own] if own else [f for f in vars(cls).values() if isinstance(f, FunctionType)]
            options = sorted(getattr(cls, "_jit_options", {}).items()), getattr(cls, "_inline", None)
            _remember(key, (f"typing {number}", place), repr(options), functions)
    _read["typings"] = start + len(entries)  # two threads may read the same: it comes to the same
    start = _read["lowerings"]
    lowered = lowerings.functions[start:]
    for place, (lower, key, arguments) in enumerate(lowered, start):
        _remember(key, ("lowering", place), repr(arguments), [lower])
    _read["lowerings"] = start + len(lowered)
    return list(_implementations.get(id(function), {}).values())


def _remember(key: Any, place: tuple[str, int], options: str, functions: list[Callable[..., Any]]) -> None:
    roots = {getattr(f, "__globals__", {}).get("__name__", "numba").partition(".")[0] for f in functions}
    implementation = Implementation(options, tuple(functions), roots <= {*LIBRARIES, PACKAGE})
    _implementations.setdefault(id(key), {})[place] = implementation


def library_name(value: Any) -> str | None:
    """Return the qualified name of an object of a library that is known by it."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if isinstance(value, np.ufunc):
        module = module or ("numpy" if getattr(np, str(name), None) is value else "scipy.special")
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    if module in COMPILED:
        # Python can define functions and types in a module of that name, too.
        is_static = isinstance(value, type) and not value.__flags__ & (1 << 9)  # Py_TPFLAGS_HEAPTYPE
        if not (is_static or isinstance(value, BuiltinFunctionType)):
            return None
    elif module.partition(".")[0] not in LIBRARIES:
        return f"enum.{name}" if value in ENUMS else None
    found = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is value else None


def belongs_to_package(function: Any) -> bool:
    """Whether a function is one of nbadam's own."""
    name = getattr(function, "__globals__", {}).get("__name__", "")
    return name.startswith(f"{PACKAGE}.") and vars(sys.modules.get(name, builtins)) is function.__globals__


def is_in(package: str, function: Any) -> bool:
    """Whether a function is defined in a package, or in a module of it."""
    name = getattr(function, "__globals__", {}).get("__name__", "")
    return name == package or name.startswith(f"{package}.")
