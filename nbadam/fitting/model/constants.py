"""Numbers and large arrays in a user's function that its kernels take as data.

Functions that differ only in such data, as closures made in a loop do, share one kernel: to compile
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
from numba.core.compiler import run_frontend
from numba.core.errors import NumbaError

from ... import vector_math
from ..._fingerprint import Placeholder, belongs_to_package, identify, mentioned
from .definition import Definition, identity
from .inline import inlined, is_of_user
from .unpacking import Unpacking

# Values for which LLVM has cheaper instructions than for others, such as a product for ``x / 2.0``.
KEPT = 0.0, 0.25, 0.5, 1.0, 2.0, 4.0
ARITHMETIC = {
    *(operator.add, operator.sub, operator.mul, operator.truediv),
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv),
}
# Bytes of an array: entries of smaller ones may be exponents, and LLVM unrolls loops over them.
LARGE = 1 << 12
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
    """A model's functions with placeholders for data, and the data.

    A call of a lifted function has ``(x, number, ...)`` in place of its first argument.
    """

    functions: tuple[Any, Any]  # the model's function and Jacobian
    data: tuple[tuple[Any, ...], tuple[Any, ...]]  # numbers and arrays of each
    identity: str  # digest that does not depend on the data

    @property
    def constants(self) -> np.ndarray:
        """All data as numbers; that of an array has the bits of its address, and is valid as long as this."""
        return np.array([_number(value) for data in self.data for value in data], float)

    @property
    def nbytes(self) -> int:
        """Size of the arrays among the data."""
        arrays = [{id(a): a.nbytes for a in data if isinstance(a, np.ndarray)} for data in self.data]
        return sum(sum(sizes.values()) for sizes in arrays)

    def inlined(self, which: int) -> Callable[..., Any]:
        """Return one of the functions as kernels take it in."""
        options: dict[str, Any] = {"pipeline_class": Unpacking} if self.data[which] else {}
        return inlined(self.functions[which], **options)


def _number(value: Any) -> float:
    return float(np.uint64(value.ctypes.data).view(float)) if isinstance(value, np.ndarray) else value


def lifted(model: Definition) -> Lifted:
    """Return a model's functions with their data apart, those of the first call."""
    if model.lifted is None:
        model.lifted = _lifted(model)
    return model.lifted


def _lifted(model: Definition) -> Lifted:
    digest, nbytes = identity(model)
    if model.formula is not None:  # whose function serves where SymPy takes no derivatives
        return Lifted((model.function, None), ((), ()), digest)
    given: list[Any] = [model.function, model.jacobian]
    seen: Seen | None = {} if nbytes > LARGE else None
    pairs = [(None, ()) if function is None else _lift(function, seen) for function in given]
    functions, data = zip(*pairs, strict=True)
    if any(data):
        digest = identify((functions, model.parameters, model.variables))[0]
    return Lifted(functions, data, digest)


def packed(x: str, constants: list[str]) -> str:
    """Return the text of a function's first argument, with the data that were lifted out of it."""
    return f"({x}, {', '.join(constants)})" if constants else x


# By the id of an array its copy; by that of a function what `_lift` returns.  The objects, too: ids are
# unique while they live.
Seen = dict[int, tuple[Any, Any]]


def _lift(
    function: Any, seen: Seen | None = None, callers: tuple[Any, ...] = ()
) -> tuple[FunctionType, tuple[Any, ...]]:
    """Return a function with placeholders, and the data that they stand for.

    Parameters
    ----------
    function : function
    seen : dict, optional
        Arrays and functions seen so far; None if no arrays are large.
    callers : tuple of functions
        Functions that call this one, of which only arrays are lifted then.
    """
    function = getattr(function, "py_func", function)
    if numba.config.DISABLE_JIT or belongs_to_package(function) or not function.__code__.co_argcount:
        return function, ()
    uses = _uses(function)
    at: dict[tuple[str, Any], Any] = {}  # replacements
    data: list[Any] = []
    for key, number in {} if callers else uses.apart().items():
        at[key] = Placeholder(len(data))
        data.append(number)
    if seen is not None:
        for key, value in uses.objects.items():
            before = len(data)
            replacement = _replacement(value, seen, data, (*callers, function), key in uses.called)
            if len(data) > before:
                at[key] = replacement
    if not data:
        return function, ()
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
    return copy, tuple(data)


def _size(value: Any) -> int:
    """Return the size of an array, or of the largest one in a tuple."""
    if isinstance(value, tuple):
        return max(map(_size, value), default=0)
    return value.nbytes if isinstance(value, np.ndarray) else 0


def _replacement(value: Any, seen: Seen, data: list[Any], callers: tuple[Any, ...], is_called: bool) -> Any:
    """Return an object with placeholders for large arrays, whose copies are appended to `data`."""
    before = len(data)
    if is_called and is_of_user(value):
        value = getattr(value, "py_func", value)
        if id(value) not in seen and value not in callers:
            seen[id(value)] = value, _lift(value, seen, callers)
        _, (callee, more) = seen.get(id(value), (None, (None, ())))
        data += more
        return Placeholder(before, function=callee, size=len(more))
    return _with_placeholders(value, seen, data) if _size(value) > LARGE else value


def _with_placeholders(value: Any, seen: Seen, data: list[Any], is_constant: bool = True) -> Any:
    if isinstance(value, tuple):  # whose arrays Numba does not take for constants, which are read-only
        items = [_with_placeholders(item, seen, data, False) for item in value]
        return getattr(type(value), "_make", type(value))(items)
    if not isinstance(value, np.ndarray):
        return value
    if id(value) not in seen:  # entries may change; files that are mapped to memory are not copied
        seen[id(value)] = value, value if isinstance(value, np.memmap) else value.copy(order="K")
    _, array = seen[id(value)]
    try:
        kind = numba.typeof(array)
    except (NumbaError, ValueError):  # a dtype that it does not know: compiling says so
        return value
    data.append(array)
    kind = kind.copy(readonly=True) if is_constant else kind
    return Placeholder(len(data) - 1, (kind, array.shape, array.strides))


def _uses(function: FunctionType) -> "_Uses":
    try:
        blocks = list(run_frontend(function).blocks.values())
    except Exception:  # Numba cannot read it: compiling says so
        blocks = []
    inner = [constant for constant in function.__code__.co_consts if isinstance(constant, CodeType)]
    names = frozenset[str]().union(*map(mentioned, inner), *(code.co_freevars for code in inner))
    return _Uses(blocks, names)


class _Uses:
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
