"""Numbers in a user's function that its kernels take as data.

Functions that differ only in such numbers, as closures made in a loop do, share one kernel: to compile
another takes a second, and LLVM never gives its memory back.
"""

import builtins
import math
import operator
from collections.abc import Callable, Iterable
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder, run_frontend
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import build_definitions
from numba.core.untyped_passes import FixupArgs

from ... import vector_math
from ..._fingerprint import Placeholder, belongs_to_package, identify, mentioned
from .definition import Definition, identity
from .inline import inlined

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


class Lifted(NamedTuple):
    """A model's functions with placeholders for numbers, and the numbers.

    A call of a lifted function has ``(x, number, ...)`` in place of its first argument.
    """

    functions: tuple[Any, Any]  # the model's function and Jacobian
    numbers: tuple[tuple[float, ...], tuple[float, ...]]  # of each
    identity: str  # digest that does not depend on the numbers

    @property
    def constants(self) -> np.ndarray:
        """All numbers."""
        return np.array([*self.numbers[0], *self.numbers[1]])

    def inlined(self, which: int) -> Callable[..., Any]:
        """Return one of the functions as kernels take it in."""
        options: dict[str, Any] = {"pipeline_class": Unpacking} if self.numbers[which] else {}
        return inlined(self.functions[which], **options)


def lifted(model: Definition) -> Lifted:
    """Return a model's functions with their numbers apart, those of the first call."""
    if model.lifted is None:
        model.lifted = _lifted(model)
    return model.lifted


def _lifted(model: Definition) -> Lifted:
    digest = identity(model)[0]
    if model.formula is not None:  # whose function serves where SymPy takes no derivatives
        return Lifted((model.function, None), ((), ()), digest)
    given: list[Any] = [model.function, model.jacobian]
    pairs = [(None, ()) if function is None else _lift(function) for function in given]
    functions, numbers = zip(*pairs, strict=True)
    if any(numbers):
        digest = identify((functions, model.parameters, model.variables))[0]
    return Lifted(functions, numbers, digest)


def packed(x: str, constants: list[str]) -> str:
    """Return the text of a function's first argument, with the numbers that were lifted out of it."""
    return f"({x}, {', '.join(constants)})" if constants else x


def _lift(function: Any) -> tuple[FunctionType, tuple[float, ...]]:
    """Return a function with placeholders, and the numbers that they stand for."""
    function = getattr(function, "py_func", function)
    if numba.config.DISABLE_JIT or belongs_to_package(function) or not function.__code__.co_argcount:
        return function, ()
    found = [
        (kind, key, number)
        for (kind, key), number in _numbers(function).items()
        if type(number) in (float, np.float64) and abs(number) not in KEPT
    ]
    if not found:
        return function, ()
    at: dict[tuple[str, Any], Placeholder] = {
        (kind, key): Placeholder(place) for place, (kind, key, _) in enumerate(found)
    }
    code = function.__code__
    constants = tuple(
        at.get(("constant", repr(value)), value) if type(value) is float else value
        for value in code.co_consts
    )
    replaced = {key: value for (kind, key), value in at.items() if kind == "global"}
    scope = function.__globals__ | replaced if replaced else function.__globals__
    cells = tuple(
        CellType(at["closure", name]) if ("closure", name) in at else cell
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    )
    copy = FunctionType(
        code.replace(co_consts=constants), scope, function.__name__, function.__defaults__, cells or None
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy, tuple(float(number) for _, _, number in found)


def _numbers(function: FunctionType) -> dict[tuple[str, Any], Any]:
    """Return constants, closure cells and globals of a function that do not decide about its instructions.

    LLVM computes with values that are made of constants alone while it compiles.  Constants therefore decide
    if such a value is an exponent, an entry of a tuple, a condition or an argument of a function.
    """
    try:
        blocks = run_frontend(function).blocks
    except Exception:  # Numba cannot read it: compiling says so
        return {}
    uses = _Uses(blocks.values())
    inner = [constant for constant in function.__code__.co_consts if isinstance(constant, CodeType)]
    names = frozenset[str]().union(*map(mentioned, inner), *(code.co_freevars for code in inner))
    return {
        key: value for key, value in uses.numbers.items() if key not in uses.needed and key[1] not in names
    }


class _Uses:
    """Numbers in the intermediate code of a function, and those that have to stay in it.

    Attributes
    ----------
    numbers : dict
        Values by kind and name, or by kind and text.
    needed : set
        Keys of those that have to stay.
    """

    def __init__(self, blocks: Iterable[Any]) -> None:
        self.numbers: dict[tuple[str, Any], Any] = {}
        self.needed: set[tuple[str, Any]] = set()
        self._values: dict[str, list[Any]] = {}  # that are assigned to a variable
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


# --- Compilation ----------------------------------------------------------------------------------


@register_pass(mutates_CFG=False, analysis_only=False)
class _Unpack(FunctionPass):
    """Take the first argument for a tuple of itself and the numbers that have placeholders."""

    _name = "nbadam_constants"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Rewrite the intermediate code."""
        blocks = state.func_ir.blocks
        first = blocks[min(blocks)]
        place, argument = next(
            (place, statement)
            for place, statement in enumerate(first.body)
            if isinstance(statement.value, ir.Arg) and statement.value.index == 0
        )
        packed = first.scope.redefine("$packed", argument.loc)
        entry = ir.Assign(
            ir.Expr.static_getitem(packed, 0, None, argument.loc), argument.target, argument.loc
        )
        first.body[place : place + 1] = [ir.Assign(argument.value, packed, argument.loc), entry]
        for statement in (statement for block in blocks.values() for statement in block.body):
            value = getattr(statement, "value", None)
            if isinstance(value, ir.Const | ir.FreeVar | ir.Global) and isinstance(value.value, Placeholder):
                number = 1 + value.value.place
                statement.value = ir.Expr.static_getitem(packed, number, None, statement.loc)
        state.func_ir._definitions = build_definitions(blocks)
        return True


class Unpacking(CompilerBase):
    """Numba's compiler for lifted functions."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_Unpack, FixupArgs)
        passes.finalize()
        return [passes]
