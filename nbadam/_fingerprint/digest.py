"""Digest of any objects, all the way down."""

import builtins
import ctypes
import functools
import hashlib
import importlib
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np
from numba import types
from numba.core.ccallback import CFunc
from numba.core.extending import _Intrinsic
from numba.extending import is_jitted

from .code import OpaqueError, names_in, once_for_code
from .libraries import (
    ACTING,
    COMPILED,
    LIBRARIES,
    SPECIAL,
    belongs_to_package,
    implementations_of,
    is_in,
    library_name,
)

MISSING = object()
FunctionPointer: type = ctypes._CFuncPtr  # type: ignore[attr-defined]
# Parts of a class that say nothing about its behaviour, or that Python makes.
SILENT = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate__", "__annotate_func__", "_abc_impl", "__abstractmethods__",
}  # fmt: skip


@dataclass(frozen=True)
class Placeholder:
    """A number or an array in a function that its machine code takes as data, or a callee with such data.

    Attributes
    ----------
    place : int
        Number of the data before it in the function.
    like : tuple
        Type, shape and strides of an array.
    function : function or None
        The callee.
    size : int
        Number of the data.
    """

    place: int
    like: tuple[Any, ...] = ()
    function: Any = None
    size: int = 1


# Function, arguments and the object that it returned.
Lookup = tuple[Callable[..., Any], tuple[Any, ...], Any]


class Digest:
    """Digest of any number of objects.

    Attributes
    ----------
    is_portable : bool
        Whether the same digest in another process means the same; addresses in memory do not last.
    nbytes : int
        Size of the arrays among the objects.
    lookups : list or None
        See `Reading`; None if objects that may change are among them.
    """

    def __init__(self, *, inside_package: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._seen: dict[Any, tuple[int, Any]] = {}  # the objects too: an id is unique only while they live
        self._inside_package = inside_package
        self.is_portable = True
        self.nbytes = 0
        self.lookups: list[Lookup] | None = []

    def hexdigest(self) -> str:
        """Return the digest of everything added so far."""
        return self._hash.hexdigest()

    def add(self, value: Any, attributes: tuple[str, ...] = ()) -> None:
        """Add an object with everything it refers to; of a module only the `attributes` with these names.

        Raises
        ------
        OpaqueError
            If it could change without the digest telling so.
        """
        put = PLAIN.get(type(value))
        if put is not None:
            self._put(type(value).__name__, put(value))
            return
        if type(value) is tuple:  # immutable: whether two of them are one differs between processes
            self._items(value, attributes)
            return
        if type(value) is CodeType:
            self._put("code", _of_code(value))
            return
        if not isinstance(value, ModuleType) and self._named(value):
            return
        key = (id(value), attributes) if isinstance(value, ModuleType) else id(value)
        if key in self._seen:
            self._put("seen", b"%d" % self._seen[key][0])
            return
        self._seen[key] = len(self._seen), value
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, ModuleType):
            self._module(value, attributes)
        elif isinstance(value, tuple | list | dict | set | frozenset):
            self._container(value, attributes)
        else:
            self._object(value, attributes)

    def _look_up(self, look_up: Callable[..., Any], *arguments: Any) -> Any:
        value = look_up(*arguments)
        if self.lookups is not None:
            self.lookups.append((look_up, arguments, value))
        return value

    def _put(self, kind: str, data: bytes = b"") -> None:
        self._hash.update(b"%s %d " % (kind.encode(), len(data)) + data)

    def _named(self, value: Any) -> bool:
        """Add an object of a library by its name, if the name leads to it."""
        name = library_name(value)
        if name is None:
            return False
        version = getattr(sys.modules[name.partition(".")[0]], "__version__", "")
        self._put("library", f"{name} {version}".encode())
        if name.startswith("scipy.") and isinstance(value, np.ufunc):
            self._put("subpackage", _of_subpackage(SPECIAL))
        for implementation in implementations_of(value):
            if not implementation.is_of_library:
                self.add((implementation.options, implementation.functions))
        return True

    def _function(self, function: FunctionType) -> None:
        if not self._inside_package and belongs_to_package(function) and is_in(ACTING, function):
            self._put("subpackage", _of_subpackage(ACTING))
        if not self._inside_package and function.__closure__ is None and belongs_to_package(function):
            # Functions of nbadam refer to nothing that changes, but some of them to much.
            self._put("package", _of_package(function))
            return
        code = self._look_up(getattr, function, "__code__")
        names = names_in(code)
        self._put("function", _of_code(code))
        self.add(self._look_up(getattr, function, "__defaults__"))
        self.add(self._look_up(getattr, function, "__kwdefaults__"))
        for cell in function.__closure__ or ():
            self.add(cell, names.attributes)
        for name in names.variables:
            value = self._look_up(function.__globals__.get, name, MISSING)
            value = self._look_up(vars(builtins).get, name, MISSING) if value is MISSING else value
            self._put("global", name.encode())
            if value is not MISSING:
                self.add(value, names.attributes)
        for name in ("__wrapped__", "__signature__"):  # `inspect.signature` reads the arguments of these
            value = self._look_up(getattr, function, name, MISSING)
            if value is MISSING:
                continue
            self._put(name, repr(value).encode() if name == "__signature__" else b"")
            if name == "__wrapped__":
                self.add(value, names.attributes)
            else:
                self.lookups = None
        for implementation in implementations_of(function):
            self.add((implementation.options, implementation.functions))

    def _module(self, module: ModuleType, attributes: tuple[str, ...]) -> None:
        self._put("module", module.__name__.encode())
        is_lenient = self._inside_package or module.__name__.partition(".")[0] in (*LIBRARIES, *COMPILED)
        for name in attributes:
            value = self._look_up(getattr, module, name, MISSING)
            if value is MISSING:
                continue
            self._put("attribute", name.encode())
            try:
                self.add(value, attributes)
            except OpaqueError:
                if not is_lenient:
                    raise

    def _container(self, value: Any, attributes: tuple[str, ...]) -> None:
        self.lookups = None
        self.add(type(value))
        if isinstance(value, dict):
            self._items(value.items(), attributes)
        elif isinstance(value, set | frozenset):
            self._put("set", b"".join(sorted(self._alone(item) for item in value)))
        else:
            self._items(value, attributes)
        self.add(getattr(value, "__dict__", None))

    def _items(self, values: Any, attributes: tuple[str, ...]) -> None:
        self._put("items", b"%d" % len(values))
        for value in values:
            self.add(value, attributes)

    def _alone(self, value: Any) -> bytes:
        digest = Digest(inside_package=self._inside_package)
        digest.add(value)
        self.is_portable &= digest.is_portable
        return digest._hash.digest()

    def _object(self, value: Any, attributes: tuple[str, ...]) -> None:
        """Add an object that is neither a function, a module nor a container."""
        if not (isinstance(value, CellType) or is_jitted(value)):
            self.lookups = None
        self._put("object", type(value).__name__.encode())
        if isinstance(value, type):
            self._class(value)
        elif isinstance(value, Enum):
            self.add(type(value))
            self.add(value.name)
        elif isinstance(value, Placeholder):
            self.add((value.place, value.like, value.function, value.size))
        elif isinstance(value, CellType):
            try:
                contents = self._look_up(getattr, value, "cell_contents")
            except ValueError:  # empty
                self.lookups = None
                return
            self.add(contents, attributes)
        elif type(value) in (np.ndarray, np.memmap):
            self._array(value)
        elif isinstance(value, np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, np.dtype | range | slice):
            self._put("text", repr(value).encode())
        elif isinstance(value, types.Type) and (self._inside_package or library_name(type(value))):
            self._put("type", repr(value).encode())
        elif is_jitted(value):
            # Numba may have compiled it before something that it refers to was changed.
            self.is_portable &= belongs_to_package(value.py_func)
            self.add(self._look_up(getattr, value, "py_func"))
            self._put("options", self._look_up(_options_of, value).encode())
        elif isinstance(value, _Intrinsic):
            self.add(value._defn)
        elif isinstance(value, FunctionPointer):  # address of a C function
            self.is_portable = False
            pointer: Any = value
            address = ctypes.cast(pointer, ctypes.c_void_p).value
            self._put("pointer", repr((address, pointer.argtypes, pointer.restype)).encode())
        elif isinstance(value, CFunc):
            self.is_portable = False
            self._put("pointer", repr((value.address, vars(value)["_sig"])).encode())
        elif isinstance(value, staticmethod | classmethod):
            self.add(value.__func__)
        elif isinstance(value, property):
            self.add((value.fget, value.fset, value.fdel))
        elif isinstance(value, MethodType):
            self.add((value.__func__, value.__self__))
        elif isinstance(value, functools.partial):
            self.add((value.func, value.args, value.keywords))
        elif isinstance(value, MemberDescriptorType):
            self._put("slot", value.__name__.encode())
        elif not self._inside_package:
            raise OpaqueError(f"{type(value).__qualname__} {value!r}")

    def _class(self, cls: type) -> None:
        self._put("class", cls.__qualname__.encode())
        for base in cls.__bases__:
            self.add(base)
        if issubclass(cls, Enum):
            self.add({name: member.value for name, member in cls.__members__.items()})
        elif issubclass(cls, tuple) and "_fields" in vars(cls):  # the rest is made from these
            self.add((vars(cls)["_fields"], vars(cls).get("_field_defaults")))
        else:
            for name, value in vars(cls).items():
                if name not in SILENT:
                    self._put("attribute", name.encode())
                    self.add(value)

    def _array(self, array: np.ndarray) -> None:
        if array.dtype.hasobject:
            raise OpaqueError("an array of objects")
        layout = array.shape, array.strides, array.flags.aligned, array.flags.writeable
        self._put("array", repr((array.dtype, layout)).encode())
        if array.nbytes:
            self._hash.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self.nbytes += array.nbytes


PLAIN: dict[type, Callable[[Any], bytes]] = {
    NoneType: lambda value: b"",
    type(Ellipsis): lambda value: b"",
    bool: lambda value: b"%d" % value,
    int: lambda value: b"%x" % value,  # decimal digits of huge numbers are forbidden
    float: lambda value: struct.pack("<d", value),
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
}


def _options_of(dispatcher: Any) -> str:
    """Return options of the compiler, equal texts as one object."""
    return sys.intern(repr((sorted(dispatcher.targetoptions.items()), dispatcher.locals)))


@functools.cache
def _of_subpackage(package: str) -> bytes:
    """Return the digest of all of a subpackage; its modules list their registrations with Numba."""
    importlib.import_module(package)
    digest = Digest(inside_package=True)
    for name in sorted(name for name in sys.modules if f"{name}.".startswith(f"{package}.")):
        for item in sorted(vars(sys.modules[name]).items()):
            if not item[0].startswith("__"):
                digest.add(item)
    return digest._hash.digest()


@functools.cache
def _of_package(function: FunctionType) -> bytes:
    digest = Digest(inside_package=True)
    digest.add(function)
    return digest._hash.digest()


@once_for_code
def _of_code(code: CodeType) -> bytes:
    """Return the digest of a code object, whose file, lines and name do not count."""
    digest = Digest()
    digest.add((code.co_code, code.co_consts, code.co_names, code.co_varnames))
    digest.add((code.co_cellvars, code.co_freevars, code.co_flags, code.co_exceptiontable))
    digest.add((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    return digest._hash.digest()
