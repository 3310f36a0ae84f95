"""How compiled code calls the user's function: alone, on batches of data, or for one problem of many."""

import inspect
import warnings
from collections.abc import Callable
from functools import lru_cache
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from numba import from_dtype, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import TypingError
from numba.extending import is_jitted, overload, register_jitable

from .._jit import compile_kernel
from .._pointers import Stored, address_of, load, pointer_to


def writes_gradient(fun: Callable, least: int) -> bool:
    """Whether a function that Numba compiled has one parameter more than its `least` arguments."""
    return forms(fun, least) == [True]


def forms(fun: Callable, least: int) -> list[bool]:
    """Return whether a compiled function writes its gradient; both answers if defaults allow both."""
    if not is_jitted(fun):
        return [False]
    parameters = inspect.signature(inspect.unwrap(fun)).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return [False]
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    positional = [parameter for parameter in parameters if parameter.kind in kinds]
    required = sum(parameter.default is parameter.empty for parameter in positional)
    possible = [k for k in (False, True) if required <= least + k <= len(positional)]
    return possible or [False]


class Evaluator:
    """A compiled objective, and the arguments that it is called with.

    Parameters
    ----------
    fun : callable
        What Numba compiled: ``fun(x, *args)`` returns value and gradient or, if `in_place`,
        ``fun(x, g, *args)`` writes the gradient and returns the value.
    in_place : bool
        Which of these it is.
    arguments : callable
        Compiled ``arguments(k, given) -> args``.
    given : tuple
        What that is given, beside the first argument of `evaluate`.
    dtype : str
        Precision of x and g.

    Attributes
    ----------
    address : int
        Address of ``evaluate(k, x, g, context) -> f``, which writes the gradient to `g`.
    context : int
        Address of `given`.

    Raises
    ------
    numba.core.errors.NumbaError
        If Numba cannot compile it.
    """

    def __init__(self, fun: Callable, in_place: bool, arguments: Callable, given: tuple, dtype: str) -> None:
        self.give(given)
        content = self._stored.type
        with global_compiler_lock:  # two threads that come at once compile it once
            _warn_of_many(fun)
            kernel = evaluate_kernel(fun, in_place, arguments, content, dtype, _version(fun))
            _remember(fun)
        self._kernel = kernel  # whose code must live as long as its address is in use
        self.address = address_of(kernel)

    def give(self, given: tuple) -> None:
        """Take other arguments, of the same types."""
        try:
            self._stored = Stored(given)
        except ValueError as error:
            raise TypingError(str(error)) from error
        self.context = self._stored.address


@lru_cache(maxsize=64)
def evaluate_kernel(fun, in_place: bool, arguments: Callable, given, dtype: str, version: int):
    """Return ``evaluate(k, x, g, context)``, compiled; the 64 last ones are kept."""
    vector = types.Array(from_dtype(np.dtype(dtype)), 1, "C")
    signature = types.float64(types.int64, vector, vector, pointer_to(given))
    build = _in_place if in_place else _returning
    return compile_kernel(build(fun, arguments), signature, name="evaluate", mode="nogil")


def _returning(fun, arguments):
    def evaluate(k, x, g, context):
        f, gradient = fun(x, *arguments(k, load(context)))
        if gradient.shape != g.shape:
            raise ValueError("The gradient must have the shape of `x0` at every point.")
        for i in range(g.size):
            g[i] = gradient[i]
        return f

    return evaluate


def _in_place(fun, arguments):
    def evaluate(k, x, g, context):
        for i in range(g.size):
            g[i] = -0.0  # for functions that add to it; a sum is -0.0 only if nothing was added
        return fun(x, g, *arguments(k, load(context)))

    return evaluate


@register_jitable
def alone(k, given):
    """Return the arguments of an objective without batches."""
    return given


@register_jitable
def of_batch(k, given):
    """Return the arguments for batch `k`: see `minibatch.Sampler.batches`."""
    rows, starts, data, buffers, more = given
    return gather(data, rows[starts[k] : starts[k + 1]], buffers) + more


# --- A function that was compiled anew -----------------------------------------------------------

# For each function how often its machine code was replaced, and the code that it had.
_versions: WeakKeyDictionary = WeakKeyDictionary()


def _version(fun) -> int:
    """Return how often `fun.recompile` has replaced the machine code of a function, as far as was seen."""
    version, known = _versions.get(fun, (0, {}))
    code = getattr(fun, "overloads", {})
    if any(code.get(types) is not compiled for types, compiled in known.items()):
        version += 1
        _versions[fun] = version, {}
    return version


def _remember(fun) -> None:
    version, _ = _versions.get(fun, (0, {}))
    _versions[fun] = version, dict(getattr(fun, "overloads", {}))


# --- A function that is made in a loop -----------------------------------------------------------

MANY = 5  # functions made from one text, from which on it looks like a loop

# Functions that were compiled, by their code.
_made: WeakKeyDictionary = WeakKeyDictionary()
_warned: WeakSet = WeakSet()


def _warn_of_many(fun: Callable) -> None:
    """Warn once if one text was made into many functions, as in a loop: each costs a compilation."""
    code = inspect.unwrap(fun).__code__
    made = _made.setdefault(code, WeakSet())
    made.add(fun)
    if len(made) == MANY and code not in _warned:
        _warned.add(code)
        warnings.warn(
            f"{code.co_name!r} of {code.co_filename}, line {code.co_firstlineno}, was compiled anew {MANY} "
            "times, which takes seconds and memory each time. Define it once, outside of the loop, and pass "
            "what changes through `args`.",
            RuntimeWarning,
            stacklevel=8,
        )


# --- Batches --------------------------------------------------------------------------------------


def gather(data, rows, buffers):
    """Copy rows of every array of a tuple into the beginning of its buffer; return these parts."""
    return tuple(_gather(array, rows, buffer) for array, buffer in zip(data, buffers, strict=True))


def _gather(array, rows, buffer):
    buffer[: rows.size] = array[rows]
    return buffer[: rows.size]


@overload(_gather)
def _gather_compiled(array, rows, buffer):
    if array.ndim == 1:

        def gather(array, rows, buffer):
            for j in range(rows.size):
                buffer[j] = array[rows[j]]
            return buffer[: rows.size]
    elif array.ndim == 2:

        def gather(array, rows, buffer):
            for j in range(rows.size):
                row = np.uint64(rows[j])  # 1.15 times as fast as an index that might be negative
                for c in range(array.shape[1]):
                    buffer[j, c] = array[row, c]
            return buffer[: rows.size]
    else:

        def gather(array, rows, buffer):
            for j in range(rows.size):
                source, target = array[rows[j]], buffer[j]
                for index in np.ndindex(source.shape):
                    target[index] = source[index]
            return buffer[: rows.size]

    return gather


@overload(gather)
def _gather_all(data, rows, buffers):
    parts = "".join(f"_gather(data[{k}], rows, buffers[{k}]), " for k in range(len(data)))
    return eval(f"lambda data, rows, buffers: ({parts})", globals())
