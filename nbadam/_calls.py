"""Functions at addresses: kernels that need not be compiled for each function that they call.

Numba cannot cache a kernel that takes a function.  A kernel that takes the address of one as an integer is
compiled once.  With Numba disabled, the function itself stands for its address.
"""

import hashlib
from typing import Any
from weakref import WeakKeyDictionary

import numba
import numpy as np
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, type_callable

from ._jit import compiler

# Pairs of the machine code of a kernel and its types, by kernels; to find one takes 0.1 ms.
_entries: WeakKeyDictionary[Any, np.ndarray] = WeakKeyDictionary()


def address_of(kernel):
    """Return the address for `call` of a compiled kernel, which has one signature and must stay alive."""
    if numba.config.DISABLE_JIT:
        return kernel
    if kernel not in _entries:
        with compiler():  # OrderedDict would take Ctrl-C for a missing key
            (compiled,) = kernel.overloads.values()
            kinds = compiled.signature.return_type, *compiled.signature.args
            entry = np.array([_address(compiled), _digest(kinds)], np.int64)
        _entries.setdefault(kernel, entry)  # another thread may have an address of its own already
    return _entries[kernel].ctypes.data


def _digest(kinds) -> int:
    """Return a number for the types of a result and of arguments; pointers count as integers."""
    text = ", ".join(map(_memory, kinds))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)


def _memory(kind) -> str:
    if isinstance(kind, types.Array):
        return f"array({kind.dtype}, {kind.ndim}, {kind.layout})"
    if isinstance(kind, types.BaseTuple):
        return f"({', '.join(map(_memory, kind))})"
    return "int64" if isinstance(kind, types.CPointer | types.RawPointer) else str(types.unliteral(kind))


def _address(compiled) -> int:
    with compiler():
        return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


class Function:
    """The machine code of a user's function for arguments of some types, compiled now if it is not yet.

    Attributes
    ----------
    address : int
        Where it is, for kernels that call it through `caller`.
    result : numba type
        Type of the result.
    kinds : tuple of numba types
        Types that it takes, to which the arguments are converted.
    """

    def __init__(self, function: Any, kinds: tuple[Any, ...]) -> None:
        self.address, self.result, self.kinds = function, None, kinds
        if numba.config.DISABLE_JIT:
            return
        signature = cpu_target.typing_context.resolve_function_type(types.Dispatcher(function), kinds, {})
        self.result, self.kinds = signature.return_type, tuple(signature.args)
        self._compiled = function.overloads[self.kinds]  # must live as long as its address is in use
        self.address = _address(self._compiled)


def caller(result, kinds: tuple[Any, ...]):
    """Return ``call(address, arguments)`` for kernels, which calls a `Function` with these types."""
    if numba.config.DISABLE_JIT:
        return lambda address, arguments: address(*arguments)

    @intrinsic
    def call_function(typingctx, address, arguments):
        def generate(context, builder, signature, values):
            return _call(context, builder, result, kinds, values, signature.args[1])

        return result(address, arguments), generate

    return call_function


# --- Inside kernels ------------------------------------------------------------------------------


def call(address, result, arguments):
    """Call the kernel at an address, which returns a value of the type of `result`.

    Raises TypeError unless the types in the tuple `arguments` are those of its signature.  An integer may
    stand for a pointer.
    """
    return address(*arguments)


@type_callable(call)
def _type_of_call(context):
    return lambda address, result, arguments: types.unliteral(result)


@lower_builtin(call, types.Integer, types.Any, types.BaseTuple)
def _lower_call(context, builder, signature, arguments):
    kinds = tuple(map(types.unliteral, signature.args[2]))
    entry = builder.inttoptr(arguments[0], context.get_value_type(types.int64).as_pointer())
    address = builder.load(entry)
    digest = builder.load(builder.gep(entry, [context.get_constant(types.intp, 1)]))
    expected = context.get_constant(types.int64, _digest((signature.return_type, *kinds)))
    with builder.if_then(builder.icmp_signed("!=", digest, expected), likely=False):
        message = f"A kernel that takes other types was called with {signature.args[2]}."
        context.call_conv.return_user_exc(builder, TypeError, (message,))
    values = address, arguments[2]
    return _call(context, builder, signature.return_type, kinds, values, signature.args[2])


def _call(context, builder, result, kinds, values, given):
    """Call the function at an address, `values[0]`, with the entries of the tuple `values[1]`."""
    convention = context.call_conv
    function = builder.inttoptr(values[0], convention.get_function_type(result, kinds).as_pointer())
    entries = [(builder.extract_value(values[1], k), kind) for k, kind in enumerate(given)]
    values = []
    for k, kind in enumerate(kinds):
        if isinstance(kind, types.StarArgTuple | types.StarArgUniTuple):
            rest = [context.cast(builder, *entry, to) for entry, to in zip(entries[k:], kind, strict=True)]
            values.append(context.make_tuple(builder, kind, rest))
        elif isinstance(kind, types.Omitted):  # the function has the default
            values.append(context.get_dummy_value())
        else:
            values.append(context.cast(builder, *entries[k], kind))
    status, value = convention.call_function(builder, function, result, kinds, values)
    with builder.if_then(status.is_error, likely=False):
        convention.return_status_propagate(builder, status)
    return value
