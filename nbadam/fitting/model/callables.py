"""Methods, partials, callable objects and ufuncs as plain functions, which Numba can compile."""

import dis
import functools
import inspect
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np
from numba import njit
from numba.extending import is_jitted
from numba.np.ufunc.dufunc import DUFunc

from ..._fingerprint import mentioned
from ...checks import shown
from ..kernels.text import load
from .inline import inlined

IMPORT = dis.opmap["IMPORT_NAME"]
NO_NUMBERS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Frozen(tuple):  # type: ignore[type-arg]  # digests would meet the argument
    """The attributes of an object that a method uses, as they were when it became a function.

    Numba takes it for a named tuple; these, however, allow no names that begin with an underscore.
    """

    _fields: tuple[str, ...] = ()

    def _asdict(self) -> dict[str, object]:
        return dict(zip(self._fields, self, strict=True))

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the object."""
        try:
            return self[type(self)._fields.index(name)]
        except ValueError:
            raise AttributeError(name) from None


def as_function(name: str, given: Callable[..., Any], within: tuple[Any, ...] = ()) -> Callable[..., Any]:
    """Return a function that does the same; the attributes that an object's method uses are frozen.

    Parameters
    ----------
    name : str
        Name for errors.
    given : callable
        A function by `def`, `lambda`, `njit` or `numba.vectorize`, a bound method, a callable object, a
        partial, a ufunc, or an `numpy.vectorize` of one of them.
    within : tuple
        Methods being frozen, which this one must not be among.

    Raises
    ------
    ValueError
        If it cannot become a function.
    """
    if inspect.isfunction(given) or is_jitted(given):
        _check_code(name, getattr(given, "py_func", given))
        return given
    if isinstance(given, functools._lru_cache_wrapper | DUFunc):
        return as_function(name, given.__wrapped__, within)
    if isinstance(given, np.vectorize):
        return as_function(name, given.pyfunc, within)
    if isinstance(given, functools.partial):
        return _of_partial(name, given, within)
    if isinstance(given, np.ufunc) and given.nout == 1:
        return _generated("def bound(*arguments):\n    return function(*arguments)\n", function=given)
    if inspect.ismethod(given):
        return _of_method(name, given.__func__, given.__self__, within)
    call = None if inspect.isclass(given) else getattr(type(given), "__call__", None)  # noqa: B004
    if inspect.isfunction(call):
        return _of_method(name, call, given, within)
    raise ValueError(
        f"`{name}` must be a function, a method, a partial or an object with a `__call__` written in Python, "
        f"or a ufunc; Numba cannot read {shown(given)}. Write `lambda x, a, b: ...` around it."
    )


def _of_method(
    name: str, function: Callable[..., Any], owner: Any, within: tuple[Any, ...]
) -> Callable[..., Any]:
    if not inspect.isfunction(function) or function in within:
        raise ValueError(f"`{name}` uses {shown(function)} of {shown(owner)}, which Numba cannot read.")
    within = (*within, function)
    changed = [step.argval for step in dis.get_instructions(function) if step.opname == "STORE_ATTR"]
    if changed:
        raise ValueError(
            f"`{name}` sets the attribute `{changed[0]}` of an object, which a compiled model cannot do: its "
            "value must depend on its arguments only."
        )
    used = sorted(n for n in mentioned(function.__code__) if n.isidentifier() and hasattr(owner, n))
    role = f"of {shown(owner)} the attribute"
    values = [_frozen(name, f"{role} `{n}`", getattr(owner, n), within) for n in used]
    code = function.__code__
    names = ", ".join(f"a{i}" for i in range(1, code.co_argcount))
    # Numbers and arrays can be lifted only out of functions with a first argument.
    arguments = "*arguments" if code.co_flags & inspect.CO_VARARGS else names
    text = f"""from nbadam.fitting.model.callables import Frozen


class Owner(Frozen):
    _fields = {tuple(used)!r}


def bound({arguments}):
    return function(owner, {arguments})
"""
    bound = _generated(text, function=as_function(name, function, within), owner=None)
    bound.__defaults__ = function.__defaults__
    bound.__globals__["owner"] = bound.__globals__["Owner"](values)
    return bound


def _of_partial(name: str, given: functools.partial[Any], within: tuple[Any, ...]) -> Callable[..., Any]:
    try:
        left, whole = inspect.signature(given).parameters, inspect.signature(given.func).parameters
    except (TypeError, ValueError):
        unknown = shown(given.func)
        raise ValueError(f"`{name}` is a partial of {unknown}, whose arguments are not known.") from None
    constants: dict[str, object] = {}
    free, passed = [], []
    for i, parameter in enumerate(whole.values()):
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in given.keywords:
            if parameter.default is parameter.empty:
                raise ValueError(f"`{name}` is a partial that leaves `{parameter.name}` open.")
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            value = given.keywords[parameter.name]
            constants[f"c{i}"] = _frozen(name, f"its argument `{parameter.name}`", value, within)
            passed.append(f"{parameter.name}=c{i}")
            continue
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise ValueError(f"`{name}` is a partial of a function with the argument `{parameter}`.")
        if i < len(given.args) or parameter.name in given.keywords:
            value = given.args[i] if i < len(given.args) else given.keywords[parameter.name]
        elif left[parameter.name].kind is not parameter.KEYWORD_ONLY:
            free.append(f"a{i}")
            passed.append(f"a{i}")
            continue
        elif parameter.default is parameter.empty:
            raise ValueError(
                f"`{name}` is a partial that leaves `{parameter.name}` open after an argument given by name: "
                "give that one last."
            )
        else:
            value = parameter.default
        constants[f"c{i}"] = _frozen(name, f"its argument `{parameter.name}`", value, within)
        passed.append(f"c{i}")
    text = f"def bound({', '.join(free)}):\n    return function({', '.join(passed)})\n"
    return _generated(text, function=as_function(name, given.func, within), **constants)


def _frozen(name: str, role: str, value: Any, within: tuple[Any, ...]) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.copy()
    if isinstance(value, Number | np.generic | str | None):
        return value
    if isinstance(value, list | tuple):
        return tuple(_frozen(name, role, entry, within) for entry in value)
    if callable(value) and not inspect.isclass(value):
        return njit(error_model="numpy", boundscheck=True)(inlined(as_function(name, value, within)))
    raise ValueError(
        f"`{name}` uses {role}, a {type(value).__name__}: Numba can take numbers, arrays, lists of them, and "
        "functions. Write a function that takes these from outside."
    )


def _check_code(name: str, function: Callable[..., Any]) -> None:
    if function.__code__.co_flags & inspect.CO_VARKEYWORDS:
        inner = ": pass its `__wrapped__`" if hasattr(function, "__wrapped__") else ""
        raise ValueError(
            f"`{name}` takes arguments as `**`, as decorated functions do, which Numba cannot compile{inner}."
        )
    if function.__code__.co_flags & NO_NUMBERS:
        raise ValueError(f"`{name}` must return numbers: it is a generator or a coroutine.")
    if IMPORT in function.__code__.co_code[::2]:
        raise ValueError(
            f"`{name}` has an import inside the function `{function.__name__}`, which Numba cannot compile: "
            "import before the function."
        )


def _generated(text: str, **known: Any) -> Callable[..., Any]:
    return load("float64", text, known)["bound"]
