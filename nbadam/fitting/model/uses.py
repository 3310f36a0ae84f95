"""Objects in the intermediate code of a function, and the instructions that they decide about."""

import builtins
import math
import operator
from collections.abc import Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.core import ir
from numba.core.compiler import run_frontend

from ... import vector_math
from ..._fingerprint import mentioned

# Values for which LLVM has cheaper instructions than for others, such as a product for ``x / 2.0``.
KEPT = 0.0, 0.25, 0.5, 1.0, 2.0, 4.0
ARITHMETIC = {
    *(operator.add, operator.sub, operator.mul, operator.truediv),
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv),
}
COMPARISONS = {operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne}
# Functions whose results are the same bits, and come as fast, for a number that is not in the text.
NAMES = "abs sqrt exp expm1 log log1p log10 sin cos tan sinh cosh tanh hypot arctan2 atan2 erf erfc".split()
ELEMENTARY = {
    id(getattr(module, name))
    for module in (math, np, vector_math, builtins)
    for name in [*NAMES, "min", "max"]
    if hasattr(module, name)
}


def uses_of(function: FunctionType) -> "Uses":
    """Look through a function."""
    try:
        blocks = list(run_frontend(function).blocks.values())
    except Exception:  # Numba cannot read it: compiling says so
        blocks = []
    inner = [constant for constant in function.__code__.co_consts if isinstance(constant, CodeType)]
    names = frozenset[str]().union(*map(mentioned, inner), *(code.co_freevars for code in inner))
    return Uses(blocks, names)


class Uses:
    """Objects in the intermediate code of a function, and those that have to stay in it.

    Parameters
    ----------
    blocks : list
        The code.
    elsewhere : frozenset of str
        Names in functions inside this one, whose objects have to stay.

    Attributes
    ----------
    objects : dict
        Objects of closures and globals by kind and name, without those that are mentioned elsewhere.
    called : set
        Keys of objects that are called, with a first argument that has no name, and not used otherwise.
    numbers : dict
        Values by kind and name, or by kind and text.
    needed : set
        Keys of numbers that have to stay.
    """

    def __init__(self, blocks: list[Any], elsewhere: frozenset[str]) -> None:
        self.objects: dict[tuple[str, Any], Any] = {}
        self.called: set[tuple[str, Any]] = set()
        self.numbers: dict[tuple[str, Any], Any] = {}
        self.needed: set[tuple[str, Any]] = set()
        self._elsewhere = elsewhere
        self._values: dict[str, list[Any]] = {}  # values assigned to each variable
        self._sources: dict[str, set[Any] | None] = {}
        statements = [statement for block in blocks for statement in block.body]
        for statement in statements:
            if isinstance(statement, ir.Assign):
                self._values.setdefault(statement.target.name, []).append(statement.value)
        for statement in statements:
            if isinstance(statement, ir.Assign):
                self._look_at(statement.value)
            elif not isinstance(statement, ir.Del):
                self._need(statement.list_vars())
        self._find_objects(statements)

    def apart(self) -> dict[tuple[str, Any], float]:
        """Return constants, closure cells and globals that do not decide about the instructions.

        LLVM computes with values that are made of constants alone while it compiles.  Constants therefore
        decide if such a value is an exponent, an entry of a tuple, a condition or an argument of a function.
        """
        return {
            key: float(value)
            for key, value in self.numbers.items()
            if key not in self.needed
            and key[1] not in self._elsewhere
            and type(value) in (float, np.float64)
            and abs(value) not in KEPT
        }

    def _find_objects(self, statements: list[Any]) -> None:
        read: set[str] = set()  # variables, otherwise than by a call
        for statement in statements:
            if isinstance(statement, ir.Del):
                continue
            names = [variable.name for variable in statement.list_vars()]
            if isinstance(statement, ir.Assign):
                names.remove(statement.target.name)
                value = statement.value
                if isinstance(value, ir.Expr) and value.op == "call" and value.args:
                    names.remove(value.func.name)
            read.update(names)
        others: set[tuple[str, Any]] = set()
        for name, values in self._values.items():
            for value in values:
                if isinstance(value, ir.FreeVar | ir.Global) and value.name not in self._elsewhere:
                    key = "closure" if isinstance(value, ir.FreeVar) else "global", value.name
                    self.objects[key] = value.value
                    if name in read or len(values) > 1:
                        others.add(key)
        self.called = self.objects.keys() - others

    def _look_at(self, value: Any) -> None:
        key = _key(value)
        if key is not None:
            self.numbers[key] = value.value
        if not isinstance(value, ir.Expr) or value.op == "getattr":
            return
        operands = value.list_vars()
        if value.op == "call":
            operands = [variable for variable in operands if variable.name != value.func.name]
        is_mixed = any(self.sources(variable) is None for variable in operands)
        function = value.fn if value.op in ("binop", "inplace_binop") else None
        is_plain = function in ARITHMETIC or value.op in ("unary", "cast", "phi")
        is_plain |= is_mixed and (function in COMPARISONS or self._is_elementary(value))
        if not is_plain:
            self._need(operands)

    def _need(self, variables: Iterable[Any]) -> None:
        for variable in variables:
            self.needed |= self.sources(variable) or set()

    def sources(self, variable: Any) -> set[Any] | None:
        """Return the keys of the numbers that a variable is made of; None if of anything else."""
        name = variable.name
        if name not in self._sources:
            self._sources[name] = None  # in a loop it depends on itself
            parts = [self._parts(value) for value in self._values.get(name, [None])]
            self._sources[name] = _union(parts)
        return self._sources[name]

    def _parts(self, value: Any) -> set[Any] | None:
        if isinstance(value, ir.Const | ir.FreeVar | ir.Global):
            key = _key(value)
            return set() if key is None else {key}
        if isinstance(value, ir.Var):
            return self.sources(value)
        if isinstance(value, ir.Expr):
            parts = [self.sources(variable) for variable in value.list_vars()]
            return _union(parts)
        return None

    def _is_elementary(self, value: Any) -> bool:
        return value.op == "call" and id(self._object(value.func)) in ELEMENTARY

    def _object(self, variable: Any) -> Any:
        """Return the object that a variable stands for, None if that is not known."""
        values = self._values.get(variable.name, [])
        if len(values) != 1:
            return None
        (value,) = values
        if isinstance(value, ir.FreeVar | ir.Global):
            return value.value
        if isinstance(value, ir.Expr) and value.op == "getattr":
            owner = self._object(value.value)
            return getattr(owner, value.attr, None) if isinstance(owner, ModuleType) else None
        return self._object(value) if isinstance(value, ir.Var) else None


def _union(parts: list[set[Any] | None]) -> set[Any] | None:
    """Unite sets; None if one of them is."""
    known = [part for part in parts if part is not None]
    return set().union(*known) if len(known) == len(parts) else None


def _key(value: Any) -> tuple[str, Any] | None:
    """Return kind and name of a number in the intermediate code; the text of a constant is its name."""
    if isinstance(value, ir.Const) and type(value.value) is float:
        return "constant", repr(value.value)
    if isinstance(value, ir.FreeVar | ir.Global) and isinstance(value.value, float):
        return "closure" if isinstance(value, ir.FreeVar) else "global", value.name
    return None
