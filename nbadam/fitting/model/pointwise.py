"""Computations of a kernel at a point, from a formula or from a user's functions."""

import math
import warnings
from collections.abc import Callable
from types import CellType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.extending import is_jitted, register_jitable

from ..._fingerprint import mentioned
from ..kernels import functions
from ..kernels.generate import Pointwise
from . import scalars
from .differences import differences
from .formula import derive
from .model import Model

TOGETHER = 8  # derivatives that a dual number carries where all have to be of one type
# Functions for numbers in place of those that a user's function calls: forms that LLVM vectorises, and those
# of NumPy that Numba has for arrays only.  By identity, not by hash: pointers to C functions have none.
REPLACED = {
    id(getattr(module, name)): getattr(functions, name)
    for module in (math, np)
    for name in ("cos", "exp", "log", "sin", "tanh")
} | {id(getattr(np, name)): function for name, function in scalars.REPLACED.items()}


def candidates(model: Model) -> list[Pointwise]:
    """Ways to compute the value of a model at a point and its derivatives, the best first.

    Whether Numba can carry dual numbers through a function is known when it has tried: then there is one.
    """
    if model.ways is None:
        model.ways = _candidates(model)
    return model.ways


def _candidates(model: Model) -> list[Pointwise]:
    if model.formula is not None:
        text = derive(model.formula, model.variables, model.parameters)
        if text is not None:
            return [text]
    x = "x0" if len(model.variables) == 1 else f"({', '.join(f'x{i}' for i in range(len(model.variables)))})"
    n = len(model.parameters)
    known: dict[str, Any] = {"function": inlined(model.function)}
    if model.jacobian is not None:
        return [_given(x, n, known | {"jacobian": inlined(model.jacobian)})]
    if numba.config.DISABLE_JIT:
        return [_differences(len(model.variables), n, known)]
    return [_exact(x, n, known), _exact_in_parts(x, n, known), _differences(len(model.variables), n, known)]


def pointwise(model: Model) -> Pointwise:
    """Write down the value of a model at a point and its derivatives."""
    return candidates(model)[0]


def _given(x: str, n: int, known: dict[str, Any]) -> Pointwise:
    parameters = ", ".join(f"p{i}" for i in range(n))
    derivatives = ", ".join(f"g{i}" for i in range(n)) + ","
    statements = [f"f = T(function({x}, {parameters}))", f"{derivatives} = jacobian({x}, {parameters})"]
    return Pointwise((), (*statements, *(f"g{i} = T(g{i})" for i in range(n))), known, "given")


def _exact(x: str, n: int, known: dict[str, Any]) -> Pointwise:
    """Value and derivatives from one pass, with dual numbers."""
    from ... import dual

    seeds = ", ".join(f"seeded(p{i}, {i})" for i in range(n))
    statements = [f"h0 = function({x}, {seeds})", "f = T(value_of(h0))"]
    statements += [f"g{i} = T(derivative_of(h0, {i}))" for i in range(n)]
    ways = {name: getattr(dual, name) for name in dual.__all__}
    return Pointwise((), tuple(statements), known | ways, "exact")


def _exact_in_parts(x: str, n: int, known: dict[str, Any]) -> Pointwise:
    """Value and derivatives by `TOGETHER` parameters at a time, with dual numbers all of one type.

    A function with a loop over its parameters, ``f(x, *p)``, compiles only with these.
    """
    from ... import dual

    statements = []
    for first in range(0, n, TOGETHER):
        numbers = [i - first if first <= i < first + TOGETHER else TOGETHER for i in range(n)]
        seeds = (f"one_of(p{i}, {number}, {TOGETHER})" for i, number in enumerate(numbers))
        statements += [f"h{first} = function({x}, {', '.join(seeds)})"]
        statements += [
            f"g{i} = T(derivative_of(h{first}, {i - first}))" for i in range(first, min(first + TOGETHER, n))
        ]
    ways = {name: getattr(dual, name) for name in dual.__all__}
    return Pointwise((), (*statements, "f = T(value_of(h0))"), known | ways, "exact")


def _differences(n_variables: int, n: int, known: dict[str, Any]) -> Pointwise:
    def row(entries: list[str]) -> str:
        return f"({', '.join(f'np.float64({entry})' for entry in entries)},)"

    variables = [f"x{i}" for i in range(n_variables)]
    x = f"np.float64({variables[0]})" if n_variables == 1 else row(variables)
    low, high = (row([f"{end}{i}" for i in range(n)]) for end in ("low", "high"))
    value, slopes = differences(known["function"], n)
    statements = [
        f"h0 = {row([f'p{i}' for i in range(n)])}",
        f"h1 = value({x}, h0)",
        "f = T(h1)",
        f"h2 = slopes({x}, h0, h1, {low}, {high})",
        *(f"g{i} = T(h2[{i}])" for i in range(n)),
    ]
    return Pointwise((), tuple(statements), {"value": value, "slopes": slopes}, "differences")


def inlined(function: Callable, done: dict | None = None) -> Callable:
    """Copy a function, and those that it calls, with the functions in `REPLACED` in place of NumPy's.

    Kernels take the copy in; `done` holds the copies made so far.
    """
    done = {} if done is None else done
    function = getattr(function, "py_func", function)
    if function in done:
        return done[function]
    code = function.__code__
    names = mentioned(code)
    scope = dict(function.__globals__)
    cells = tuple(CellType() for _ in function.__closure__ or ())
    copy = FunctionType(code, scope, function.__name__, function.__defaults__, cells or None)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = __name__  # which every process has that finds a kernel in the cache
    done[function] = copy
    for name in names & scope.keys():
        scope[name] = _replaced(scope[name], names, done)
    for cell, original in zip(cells, function.__closure__ or (), strict=True):
        cell.cell_contents = _replaced(original.cell_contents, names, done)
    return register_jitable(error_model="numpy")(copy)


def _replaced(value, names: frozenset[str], done: dict):
    if isinstance(value, ModuleType):
        return _module(value, names, done)
    if type(value) is np.ndarray:
        return value.copy(order="K")  # kernels have the address of large ones, whose entries may change
    if isinstance(value, tuple):
        items = [_replaced(item, names, done) for item in value]
        is_same = all(item is old for item, old in zip(items, value, strict=True))
        return value if is_same else getattr(type(value), "_make", type(value))(items)
    if is_jitted(value) or isinstance(value, FunctionType):
        if (value.__module__ or "").split(".")[0] in (__package__.split(".")[0], "numba", "numpy"):
            return value
        return inlined(value, done)
    if isinstance(value, np.ufunc) and getattr(np, value.__name__, None) is not value:
        from ...special import learn

        learn(value)
    return REPLACED.get(id(value), value)


def _module(module: ModuleType, names: frozenset[str], done: dict) -> ModuleType:
    """Make a module like `module` as far as `names` go, but with the functions that are replaced."""
    if (module, names) not in done:
        done[module, names] = module  # for modules that name each other
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 1 has deprecated names, such as `np.math`
            used = {name: getattr(module, name) for name in names if hasattr(module, name)}
        others = {  # but a plain function of a module is for Python: Numba cannot call it
            name: value if isinstance(value, FunctionType) else _replaced(value, names, done)
            for name, value in used.items()
        }
        if any(others[name] is not value for name, value in used.items()):
            done[module, names] = copy = ModuleType(module.__name__)
            vars(copy).update(others)
    return done[module, names]
