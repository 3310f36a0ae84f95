"""Copies of a user's function and of those that it calls, which kernels take in."""

import math
import warnings
from collections.abc import Callable
from inspect import CO_VARARGS
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.extending import is_jitted

from ..._fingerprint import Placeholder, mentioned
from ..._jitable import register_jitable
from ...special import learn
from ..kernels import functions
from . import scalars
from .unpacking import Unpacking

# Functions for numbers in place of those that a user's function calls: forms that LLVM vectorises, and those
# of NumPy that Numba has for arrays only.  By identity, not by hash: pointers to C functions have none.
REPLACED = {
    id(getattr(module, name)): getattr(functions, name)
    for module in (math, np)
    for name in ("cos", "exp", "log", "sin", "tanh")
} | {id(getattr(np, name)): function for name, function in scalars.REPLACED.items()}


def inlined(
    function: Callable[..., Any], done: dict[Any, Any] | None = None, **options: Any
) -> Callable[..., Any]:
    """Copy a function, and those that it calls, with the functions in `REPLACED` in place of NumPy's.

    Kernels take the copy in; `done` holds the copies made so far, `options` are Numba's for the first.
    """
    done = {} if done is None else done
    function = getattr(function, "py_func", function)
    if function in done:
        return done[function]
    code, defaults = _without_keyword_only(function)
    names = mentioned(code)
    scope = dict(function.__globals__)
    cells = tuple(CellType() for _ in function.__closure__ or ())
    copy = FunctionType(code, scope, function.__name__, defaults, cells or None)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = __name__  # a module of every process that finds the kernel in the cache
    done[function] = copy
    for name in names & scope.keys():
        scope[name] = _replaced(scope[name], names, done)
    for cell, original in zip(cells, function.__closure__ or (), strict=True):
        cell.cell_contents = _replaced(original.cell_contents, names, done)
    # Without checks a table that is too short is read, or written, beyond its end.
    return register_jitable(error_model="numpy", boundscheck=True, **options)(copy)


def _without_keyword_only(function: Callable[..., Any]) -> tuple[CodeType, tuple[Any, ...] | None]:
    """Return code and defaults of a function whose arguments after ``*`` may be given by place, too.

    Numba knows no other arguments.
    """
    code, defaults = function.__code__, function.__defaults__
    named = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    given = function.__kwdefaults__ or {}
    known = [given[name] for name in named if name in given]
    is_last = list(given) == list(named[len(named) - len(known) :])  # as defaults have to be
    if code.co_flags & CO_VARARGS or not is_last or (defaults and len(known) < len(named)):
        return code, defaults
    code = code.replace(co_argcount=code.co_argcount + len(named), co_kwonlyargcount=0)
    return code, (*(defaults or ()), *known) or None


def is_of_user(value: Any) -> bool:
    """Whether an object is a function, compiled or not, that the user wrote."""
    is_function = is_jitted(value) or isinstance(value, FunctionType)
    libraries = __package__.split(".")[0], "numba", "numpy"
    return is_function and (value.__module__ or "").split(".")[0] not in libraries


def _replaced(value: Any, names: frozenset[str], done: dict[Any, Any]) -> Any:
    if isinstance(value, ModuleType):
        return _module(value, names, done)
    if isinstance(value, Placeholder) and value.function is not None:
        callee = inlined(value.function, done, pipeline_class=Unpacking)
        return Placeholder(value.place, function=callee, size=value.size)
    if type(value) is np.ndarray:
        return value.copy(order="K")  # kernels have the address of those that are not lifted
    if isinstance(value, tuple):
        items = [_replaced(item, names, done) for item in value]
        is_same = all(item is old for item, old in zip(items, value, strict=True))
        return value if is_same else getattr(type(value), "_make", type(value))(items)
    if is_of_user(value):
        return inlined(value, done)
    if isinstance(value, np.ufunc) and getattr(np, value.__name__, None) is not value:
        learn(value)
    return REPLACED.get(id(value), value)


def _module(module: ModuleType, names: frozenset[str], done: dict[Any, Any]) -> ModuleType:
    """Make a module like `module` as far as `names` go, but with the functions that are replaced."""
    if (module, names) not in done:
        done[module, names] = module  # for modules that name each other
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 1 has deprecated names, such as `np.math`
            used = {name: getattr(module, name) for name in names if hasattr(module, name)}
        others = {  # a plain function of a module is for Python: Numba cannot call it
            name: value if isinstance(value, FunctionType) else _replaced(value, names, done)
            for name, value in used.items()
        }
        if any(others[name] is not value for name, value in used.items()):
            done[module, names] = copy = ModuleType(module.__name__)
            vars(copy).update(others)
    return done[module, names]
