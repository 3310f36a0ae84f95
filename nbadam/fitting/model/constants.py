"""Numbers and large arrays in a user's function that its kernels take as data.

Functions that differ only in such data, as closures made in a loop do, share one kernel: to compile
another takes a second, and LLVM never gives its memory back.
"""

from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.errors import NumbaError

from ..._fingerprint import Placeholder, belongs_to_package, identify
from .definition import Definition, identity
from .inline import inlined, is_of_user
from .unpacking import Unpacking
from .uses import uses_of

# Bytes of an array: entries of smaller ones may be exponents, and LLVM unrolls loops over them.
LARGE = 1 << 12


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
    if model.formula is not None:  # its function serves where SymPy takes no derivatives
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
    uses = uses_of(function)
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
    if isinstance(value, tuple):  # Numba takes no arrays in tuples for constants, which are read-only
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
