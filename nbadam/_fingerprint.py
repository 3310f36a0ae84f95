"""Digests of functions: equal only if everything that decides about their results is equal.

Neither a file, a time, a line nor a name is evidence.  A digest covers the code with its constants
and names, defaults and closures.  It covers the globals and attributes that the code mentions, and
Numba's replacements of calls.  Each of them is digested all the way down.
"""

import builtins
import ctypes
import dis
import functools
import hashlib
import importlib
import os
import struct
import sys
import weakref
from collections.abc import Callable
from enum import Enum
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding as llvm
from numba import types
from numba.core.ccallback import CFunc
from numba.core.extending import _Intrinsic
from numba.core.imputils import builtin_registry as lowerings
from numba.core.typing.templates import builtin_registry as typings
from numba.extending import is_jitted

# Settings of Numba that change the machine code.
SETTINGS = (
    "BOUNDSCHECK CPU_FEATURES CPU_NAME DEBUGINFO_DEFAULT DISABLE_INTEL_SVML ENABLE_AVX LLVM_REFPRUNE_FLAGS "
    "LLVM_REFPRUNE_PASS LOOP_VECTORIZE OPT SLP_VECTORIZE"
)
LIBRARIES = "numpy", "numba", "llvmlite", "scipy"  # their objects are known by name and version
COMPILED = "builtins", "math", "cmath", "_operator"  # so are the functions and types that C defines here
PACKAGE = __name__.partition(".")[0]
ACTING = f"{PACKAGE}.dual"  # acts by its registrations for operators and NumPy's functions
SPECIAL = f"{PACKAGE}.special"  # registers SciPy's ufuncs
MISSING = object()
READINGS = 64  # functions whose digests are remembered
FunctionPointer: type = ctypes._CFuncPtr  # type: ignore[attr-defined]
# Parts of a class that say nothing about its behaviour, or that Python makes.
SILENT = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate__", "__annotate_func__", "_abc_impl", "__abstractmethods__",
}  # fmt: skip


class OpaqueError(TypeError):
    """An object that could change without a digest telling so."""


class Placeholder:
    """A number in a function that its machine code takes as data.

    Attributes
    ----------
    place : int
        Number of those before it in the function.
    """

    def __init__(self, place: int) -> None:
        self.place = place


class Names(NamedTuple):
    """Names in a function's code, and in the functions inside it."""

    variables: tuple[str, ...]  # globals and builtins
    attributes: tuple[str, ...]


def fingerprint(kernel: Callable, *settings) -> str:
    """Return a digest of everything the machine code depends on, or '' if another process cannot tell.

    Parameters
    ----------
    kernel : function
        The function to compile.
    *settings
        The signature and the options of the compiler; their `repr` counts.
    """
    numbas = [getattr(numba.config, setting, None) for setting in SETTINGS.split()]
    target = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple()
    python = sys.implementation.cache_tag, getattr(sys, "abiflags", ""), np.__version__, numba.__version__
    digest = Digest()
    try:
        digest.add(repr((settings, numbas, target, python)))
        digest.add(kernel)
    except OpaqueError:
        return ""
    return digest.hexdigest() if digest.is_portable else ""


def identify(value) -> tuple[str, int]:
    """Return the digest of an object in this process, and how many bytes of arrays are in it.

    No two digests of objects that may change unseen are equal.  To read a function takes longer than a small
    fit: if it is all of immutable objects, it is enough to look whether they are still in their places.
    """
    known = _readings.get(id(value))
    if known is not None and known.is_current():
        return known.digest, 0
    registered = _registered()
    digest = Digest()
    try:
        digest.add(value)
    except Exception:  # functions may refer to anything
        return os.urandom(16).hex(), 0
    if digest.lookups:
        if len(_readings) >= READINGS:
            _readings.clear()
        _readings[id(value)] = Reading(value, digest.lookups, registered, digest.hexdigest())
    return digest.hexdigest(), digest.nbytes


Lookup = tuple[Callable, tuple[Any, ...], Any]  # function, arguments and the object that it returned


class Reading(NamedTuple):
    """All that the digest of a function was read from, where those are immutable objects only."""

    function: Any  # whose id no other object has as long as it lives
    lookups: list[Lookup]
    registered: tuple[int, int]
    digest: str

    def is_current(self) -> bool:
        """Whether each of the objects is still in its place: then another digest would be the same."""
        try:
            if self.registered != _registered():
                return False
            for look_up, arguments, value in self.lookups:
                if look_up(*arguments) is not value:
                    return False
            return True
        except Exception:  # an empty cell, or a module's own `__getattr__`
            return False


_readings: dict[int, Reading] = {}  # by the id of the function


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

    def add(self, value, attributes: tuple[str, ...] = ()) -> None:
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

    def _look_up(self, look_up: Callable, *arguments: Any) -> Any:
        value = look_up(*arguments)
        if self.lookups is not None:
            self.lookups.append((look_up, arguments, value))
        return value

    def _put(self, kind: str, data: bytes = b"") -> None:
        self._hash.update(b"%s %d " % (kind.encode(), len(data)) + data)

    def _named(self, value) -> bool:
        """Add an object of a library by its name, if the name leads to it."""
        name = library_name(value)
        if name is None:
            return False
        version = getattr(sys.modules[name.partition(".")[0]], "__version__", "")
        self._put("library", f"{name} {version}".encode())
        if name.startswith("scipy.") and isinstance(value, np.ufunc):
            self._put("subpackage", _of_subpackage(SPECIAL))
        for implementation in _implementations_of(value):
            if not implementation.is_of_library:
                self.add((implementation.options, implementation.functions))
        return True

    def _function(self, function: FunctionType) -> None:
        if not self._inside_package and belongs_to_package(function) and _is_in(ACTING, function):
            self._put("subpackage", _of_subpackage(ACTING))
        if not self._inside_package and function.__closure__ is None and belongs_to_package(function):
            # Functions of nbadam refer to nothing that changes, but some of them to much.
            self._put("package", _of_package(function))
            return
        code = self._look_up(getattr, function, "__code__")
        names = _names(code)
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
        for name in ("__wrapped__", "__signature__"):  # of which `inspect.signature` reads the arguments
            value = self._look_up(getattr, function, name, MISSING)
            if value is MISSING:
                continue
            self._put(name, repr(value).encode() if name == "__signature__" else b"")
            if name == "__wrapped__":
                self.add(value, names.attributes)
            else:
                self.lookups = None
        for implementation in _implementations_of(function):
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

    def _container(self, value, attributes: tuple[str, ...]) -> None:
        self.lookups = None
        self.add(type(value))
        if isinstance(value, dict):
            self._items(value.items(), attributes)
        elif isinstance(value, set | frozenset):
            self._put("set", b"".join(sorted(self._alone(item) for item in value)))
        else:
            self._items(value, attributes)
        self.add(getattr(value, "__dict__", None))

    def _items(self, values, attributes: tuple[str, ...]) -> None:
        self._put("items", b"%d" % len(values))
        for value in values:
            self.add(value, attributes)

    def _alone(self, value) -> bytes:
        digest = Digest(inside_package=self._inside_package)
        digest.add(value)
        self.is_portable &= digest.is_portable
        return digest._hash.digest()

    def _object(self, value, attributes: tuple[str, ...]) -> None:
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
            self.add(value.place)
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
        elif isinstance(value, FunctionPointer):  # of a C function
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


class Implementation(NamedTuple):
    """Functions that Numba calls to compile a call of another function, and the options that it uses."""

    options: str
    functions: tuple[Callable, ...]
    is_of_library: bool  # or of this package


# By the id of the function, which Numba's registries keep alive, and the place in the registry.
_implementations: dict[int, dict[tuple[str, int], Implementation]] = {}
_read = {"typings": 0, "lowerings": 0}  # entries of Numba's registries that are in `_implementations`


def _options_of(dispatcher) -> str:
    """Return options of the compiler, equal texts as one object."""
    return sys.intern(repr((sorted(dispatcher.targetoptions.items()), dispatcher.locals)))


def _registered() -> tuple[int, int]:
    """Return the sizes of Numba's registries, to which entries are only added."""
    return len(typings.globals), len(lowerings.functions)


def _implementations_of(function) -> list[Implementation]:
    """Return the implementations of a function that `overload`, `lower_builtin` and their like registered."""
    start = _read["typings"]
    entries = typings.globals[start:]
    for place, (key, template) in enumerate(entries, start):
        for number, cls in enumerate(getattr(template, "templates", (template,))):
            own = getattr(cls, "_overload_func", None)
            functions = [own] if own else [f for f in vars(cls).values() if isinstance(f, FunctionType)]
            options = sorted(getattr(cls, "_jit_options", {}).items()), getattr(cls, "_inline", None)
            _remember(key, (f"typing {number}", place), repr(options), functions)
    _read["typings"] = start + len(entries)  # two threads may read the same: it comes to the same
    start = _read["lowerings"]
    lowered = lowerings.functions[start:]
    for place, (lower, key, arguments) in enumerate(lowered, start):
        _remember(key, ("lowering", place), repr(arguments), [lower])
    _read["lowerings"] = start + len(lowered)
    return list(_implementations.get(id(function), {}).values())


def _remember(key, place: tuple[str, int], options: str, functions: list[Callable]) -> None:
    roots = {getattr(f, "__globals__", {}).get("__name__", "numba").partition(".")[0] for f in functions}
    implementation = Implementation(options, tuple(functions), roots <= {*LIBRARIES, PACKAGE})
    _implementations.setdefault(id(key), {})[place] = implementation


def library_name(value) -> str | None:
    """Return the qualified name of an object of a library that is known by it."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if isinstance(value, np.ufunc):
        module = module or ("numpy" if getattr(np, str(name), None) is value else "scipy.special")
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    if module in COMPILED:
        # Python can define functions and types in a module of that name, too.
        is_static = isinstance(value, type) and not value.__flags__ & (1 << 9)  # Py_TPFLAGS_HEAPTYPE
        if not (is_static or isinstance(value, BuiltinFunctionType)):
            return None
    elif module.partition(".")[0] not in LIBRARIES:
        return f"enum.{name}" if value in ENUMS else None
    found = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is value else None


def belongs_to_package(function) -> bool:
    """Whether a function is one of nbadam's own."""
    name = getattr(function, "__globals__", {}).get("__name__", "")
    return name.startswith(f"{PACKAGE}.") and vars(sys.modules.get(name, builtins)) is function.__globals__


def _is_in(package: str, function) -> bool:
    name = getattr(function, "__globals__", {}).get("__name__", "")
    return name == package or name.startswith(f"{package}.")


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


# --- Code ----------------------------------------------------------------------------------------

_codes: dict[int, tuple[weakref.ref, bytes, Names]] = {}


def _of_code(code: CodeType) -> bytes:
    """Return the digest of a code object, whose file, lines and name do not count."""
    return _read_code(code)[1]


def _names(code: CodeType) -> Names:
    return _read_code(code)[2]


def _read_code(code: CodeType) -> tuple[weakref.ref, bytes, Names]:
    known = _codes.get(id(code))
    if known is None or known[0]() is not code:
        key = id(code)
        # No Python function: Ctrl-C during its call would be lost.
        reference = weakref.ref(code, functools.partial(_codes.pop, key))
        known = _codes[key] = reference, _digest_of_code(code), _names_in(code)
    return known


def _digest_of_code(code: CodeType) -> bytes:
    digest = Digest()
    digest.add((code.co_code, code.co_consts, code.co_names, code.co_varnames))
    digest.add((code.co_cellvars, code.co_freevars, code.co_flags, code.co_exceptiontable))
    digest.add((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
    return digest._hash.digest()


def _names_in(code: CodeType) -> Names:
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
            inner = _names(constant)
            variables.update(inner.variables)
            attributes.update(inner.attributes)
        elif isinstance(constant, str) and constant.isidentifier():  # as in getattr(module, "name")
            attributes.add(constant)
    return Names(tuple(sorted(variables)), tuple(sorted(attributes)))


def mentioned(code: CodeType) -> frozenset[str]:
    """Names of globals and attributes in a function's code, and in that of functions inside it."""
    inner = [mentioned(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(code.co_names).union(*inner)


ENUMS = {cls for cls in vars(sys.modules["enum"]).values() if isinstance(cls, type) and issubclass(cls, Enum)}
