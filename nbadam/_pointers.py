"""Values at addresses: kernels that need not be compiled for each type of value.

A kernel that takes the address of a value as an integer, and hands it on, is compiled once.  With Numba
disabled, the value itself stands for its address.
"""

import hashlib
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.datamodel import models
from numba.core.registry import cpu_target
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_builtin,
    lower_getattr_generic,
    register_model,
    type_callable,
    unbox,
)
from numba.np.numpy_support import map_layout

from ._jit import compile_kernel, compiler, entry_point

UNMANAGED = types.Array, types.Number, types.Boolean, types.NoneType, types.Literal


class Stored:
    """A value in memory, in the form that compiled code has it.

    Parameters
    ----------
    value : object
        Any value that Numba takes, as a rule a tuple of arrays and numbers.

    Attributes
    ----------
    type : numba type
        Its type.
    address : int or object
        For `load` in a kernel whose argument has the type ``pointer_to(type)``.
    """

    def __init__(self, value: Any) -> None:
        self.value = value  # its arrays must live as long as their addresses are in use
        self.address: Any = value
        self.type: Any = None  # with Numba disabled
        self._references: _References | None = None
        if numba.config.DISABLE_JIT:
            return
        self.type = _type_of(value)
        size = size_of(self.type)
        words = _words(self.type, value)
        if words is not None and 8 * len(words) == size:
            self._memory = np.array(words, np.uint64)
            self.address = self._memory.ctypes.data
            return
        self._memory = np.zeros(size // 8 + 1, np.int64)
        self.address = self._memory.ctypes.data
        if not is_unmanaged(self.type):
            # Not the dispatcher: that of Numba 0.60 does not always know the type of a named tuple again.
            release = entry_point(store_kernel(self.type, True))
            self._references = _References(release, value, self._memory)
        entry_point(store_kernel(self.type, False))(value, self.address)


class _References:
    """The references that a value in memory holds, given up at the end.

    Only values that hold some have one: Python ignores a KeyboardInterrupt in `__del__`, so Ctrl-C is lost.
    """

    def __init__(self, release: Callable[..., Any], value: Any, memory: np.ndarray) -> None:
        self.release, self.value, self.memory = release, value, memory

    def __del__(self) -> None:
        """Give them up."""
        self.release(self.value, self.memory.ctypes.data)


_types: dict[tuple[Any, ...], Any] = {}  # types of arrays: Numba looks at the dtype each time


def _type_of(value):
    """Return `numba.typeof` of a value, in a third of the time."""
    if isinstance(value, tuple):
        return types.BaseTuple.from_types([_type_of(entry) for entry in value], type(value))
    if type(value) is not np.ndarray:
        return numba.typeof(value)
    key = value.dtype, value.ndim, map_layout(value), value.flags.writeable, value.flags.aligned
    if key not in _types:
        _types[key] = numba.typeof(value)
    return _types[key]


def _words(kind, value) -> list[int] | None:
    """Return the 64-bit words of a value in compiled code; None if it has other parts.

    They spare a kernel for each type.  Arrays own nothing, as if they were loaded.
    """
    if isinstance(kind, types.BaseTuple):
        parts = [_words(*entry) for entry in zip(kind, value, strict=True)]
        return None if None in parts else [word for part in parts for word in part or ()]
    if isinstance(kind, types.Array):
        sizes = *value.shape, *(stride % (1 << 64) for stride in value.strides)  # strides may be negative
        return [0, 0, value.size, value.itemsize, value.ctypes.data, *sizes]
    if kind in (types.int64, types.intp):
        return [value % (1 << 64)]
    return [int(np.float64(value).view(np.uint64))] if kind == types.float64 else None


class Pointer(types.CPointer):
    """The type of an address, with a short name: those of functions are made of the names of types."""

    def __init__(self, content) -> None:
        super().__init__(content)
        self.name = f"address_{hashlib.sha256(str(content).encode()).hexdigest()[:12]}"

    @property
    def mangling_args(self):
        """Name that is part of names of functions."""
        return self.name, ()


register_model(Pointer)(models.PointerModel)


@unbox(Pointer)
def _unboxed(kind, address, c):
    """Take an integer of Python for a pointer."""
    pointer = c.builder.bitcast(c.pyapi.long_as_voidptr(address), c.context.get_value_type(kind))
    return NativeValue(pointer, is_error=c.pyapi.c_api_error())


@lru_cache(maxsize=1024)
def size_of(content) -> int:
    """Return the size in bytes of values of a type, for which llvmlite parses a module each time."""
    with compiler():
        context = cpu_target.target_context
        return context.get_abi_sizeof(context.get_data_type(content))


def pointer_to(content):
    """Return the type of an address of a value of a type; anything goes where Numba is disabled."""
    return types.voidptr if content is None else Pointer(content)


def is_unmanaged(content) -> bool:
    """Whether a value of this type holds no references, but for those of arrays, which are left out."""
    if isinstance(content, types.BaseTuple):
        return all(map(is_unmanaged, content))
    return isinstance(content, UNMANAGED)


@cache
def store_kernel(content, releases: bool):
    """Return the kernel that stores a value of a type at an address, or that releases the one there."""
    name = "release" if releases else "store"
    return compile_kernel(_release if releases else _store, (content, 0), name=name, mode="serial")


def _store(value, address):
    store_at(address, value)


def _release(value, address):
    release_at(address, value)


# --- Inside kernels ------------------------------------------------------------------------------


def load(pointer):
    """Return the value at an address; its arrays own nothing.

    A field of a named tuple is an attribute of its address, too, which is cheaper to compile.
    """
    return pointer


def store_at(address, value):
    """Write a value to an address, with references of its own."""


def release_at(address, like):
    """Give up the references of a value at an address, which has the type of `like`."""


@type_callable(load)
def _type_of_load(context):
    return lambda pointer: pointer.dtype


@type_callable(store_at)
@type_callable(release_at)
def _type_of_store(context):
    return lambda address, value: types.void


@infer_getattr
class _Fields(AttributeTemplate):
    """Fields of a named tuple at an address: each is loaded where it is mentioned."""

    key = types.CPointer

    def generic_resolve(self, pointer, name):
        content = pointer.dtype
        if isinstance(content, types.BaseNamedTuple) and name in content.fields:
            return content[content.fields.index(name)]
        return None


@lower_getattr_generic(types.CPointer)
def _lower_field(context, builder, pointer, value, name):
    content = pointer.dtype
    k = content.fields.index(name)
    return _loaded(context, builder, content[k], _member(context, builder, content, value, k))


@lower_builtin(load, types.CPointer)
def _lower_load(context, builder, signature, arguments):
    return _loaded(context, builder, signature.return_type, arguments[0])


def _loaded(context, builder, content, pointer):
    if isinstance(content, types.BaseTuple):
        members = [
            _loaded(context, builder, member, _member(context, builder, content, pointer, k))
            for k, member in enumerate(content)
        ]
        return context.make_tuple(builder, content, members)
    value = context.unpack_value(builder, content, pointer)
    if isinstance(content, types.Array):
        return _borrowed(context, builder, content, value)
    if context.enable_nrt:
        context.nrt.incref(builder, content, value)
    return value


def _borrowed(context, builder, content, value):
    array = context.make_array(content)(context, builder, value)
    array.meminfo = array.parent = array.meminfo.type(None)
    return array._getvalue()


def _member(context, builder, content, pointer, k):
    zero, index = (context.get_constant(types.int32, i) for i in (0, k))
    return builder.gep(pointer, [zero, index], inbounds=True)


def _pointer(context, builder, content, address):
    return builder.inttoptr(address, context.get_data_type(content).as_pointer())


@lower_builtin(store_at, types.Integer, types.Any)
def _lower_store(context, builder, signature, arguments):
    content = signature.args[1]
    context.pack_value(builder, content, arguments[1], _pointer(context, builder, content, arguments[0]))
    if not is_unmanaged(content):
        context.nrt.incref(builder, content, arguments[1])
    return context.get_dummy_value()


@lower_builtin(release_at, types.Integer, types.Any)
def _lower_release(context, builder, signature, arguments):
    content = signature.args[1]
    value = context.unpack_value(builder, content, _pointer(context, builder, content, arguments[0]))
    context.nrt.decref(builder, content, value)
    return context.get_dummy_value()
