"""Names in code objects, and results that are remembered as long as a code object lives."""

import dis
import functools
import weakref
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")


class OpaqueError(TypeError):
    """An object that could change without a digest telling so."""


class Names(NamedTuple):
    """Names in a function's code, and in the functions inside it."""

    variables: tuple[str, ...]  # globals and builtins
    attributes: tuple[str, ...]


def once_for_code(function: Callable[[CodeType], Result]) -> Callable[[CodeType], Result]:
    """Remember the result for each code object as long as that lives."""
    known: dict[int, tuple[weakref.ref[Any], Result]] = {}

    @functools.wraps(function)
    def remembered(code: CodeType) -> Result:
        entry = known.get(id(code))
        if entry is None or entry[0]() is not code:
            # No Python function: Ctrl-C during its call would be lost.
            reference = weakref.ref(code, functools.partial(known.pop, id(code)))
            entry = known[id(code)] = reference, function(code)
        return entry[1]

    return remembered


@once_for_code
def names_in(code: CodeType) -> Names:
    """Return the names in a code object, and in those inside it."""
    variables: set[str] = set()
    attributes: set[str] = set()
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name == "IMPORT_NAME":
            raise OpaqueError(f"{code.co_name} imports {instruction.argval}")
        if instruction.opcode in dis.hasname:
            (attributes if "ATTR" in name or "METHOD" in name else variables).add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = names_in(constant)
            variables.update(inner.variables)
            attributes.update(inner.attributes)
        elif isinstance(constant, str) and constant.isidentifier():  # as in getattr(module, "name")
            attributes.add(constant)
    return Names(tuple(sorted(variables)), tuple(sorted(attributes)))


def mentioned(code: CodeType) -> frozenset[str]:
    """Names of globals and attributes in a function's code, and in that of functions inside it."""
    inner = [mentioned(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(code.co_names).union(*inner)
