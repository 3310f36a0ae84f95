"""Calls of the user's function by compiled code: alone, on batches of data, or for one problem of many."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from numba import config, typeof, types
from numba.core.errors import TypingError
from numba.core.typing.arraydecl import get_array_index_type
from numba.extending import is_jitted, overload

from .._calls import Function, address_of, caller
from .._jit import array, compile_kernel, compiler, entry_point, type_of
from .._jitable import register_jitable
from .._pointers import Stored, load, pointer_to
from ..caller import warn
from ..progress import compiling


def writes_gradient(fun: Callable[..., Any], least: int) -> bool:
    """Whether a function that Numba compiled has one parameter more than its `least` arguments."""
    return is_jitted(fun) and forms(fun, least) == [True]


def forms(fun: Callable[..., Any], least: int) -> list[bool]:
    """Return whether a function takes an array for its gradient; defaults may allow both, or neither fits."""
    parameters = inspect.signature(inspect.unwrap(fun)).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return [False]
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    positional = [parameter for parameter in parameters if parameter.kind in kinds]
    required = sum(parameter.default is parameter.empty for parameter in positional)
    return [k for k in (False, True) if required <= least + k <= len(positional)]


class Arguments(NamedTuple):
    """Functions by which kernels find the arguments of a call among those of all calls."""

    of: Callable[..., Any]  # ``of(k, given) -> args``
    types_of: Callable[..., Any]  # ``types_of(type of given) -> types of args``


class Evaluator:
    """A compiled objective, and the arguments that it is called with.

    Parameters
    ----------
    fun : callable
        Function that Numba compiled: ``fun(x, *args)`` returns value and gradient or, if `in_place`,
        ``fun(x, g, *args)`` writes the gradient and returns the value.
    in_place : bool
        Which of these it is.
    arguments : Arguments
        How those of a call are found.
    given : tuple
        Values among which they are found, by the first argument of `evaluate`.
    dtype : str
        Precision of x and g.

    Attributes
    ----------
    evaluate : callable
        ``evaluate(k, x, g, context) -> f``, which writes the gradient to `g`.
    address : int
        Its address.
    context : int
        Address of the function's own address, and `given`.

    Raises
    ------
    numba.core.errors.NumbaError
        If Numba cannot compile it.
    """

    evaluate: Any
    address: Any

    def __init__(
        self,
        fun: Callable[..., Any],
        in_place: bool,
        arguments: Arguments,
        given: tuple[Any, ...],
        dtype: str,
    ) -> None:
        with compiling(), compiler():  # two threads that come at once compile it once
            _warn_of_many(fun)
            vector = type_of(array(dtype))
            kinds = (vector,) * (1 + in_place) + arguments.types_of(_type_of(given))
            self._function = Function(fun, kinds)  # compiled code must live as long as its address is in use
            self.give(given)
            kernel = evaluate_kernel(
                in_place, arguments.of, self.kind, vector, self._function.result, self._function.kinds
            )
        self._kernel = kernel
        self.evaluate, self.address = entry_point(kernel), address_of(kernel)

    def give(self, given: tuple[Any, ...]) -> None:
        """Take other arguments, which must leave `kind` as it is."""
        self._stored = Stored((self._function.address, given))
        self.context: Any = self._stored.address

    @property
    def kind(self) -> Any:
        """Type of what is at `context`."""
        return self._stored.type


@lru_cache(maxsize=64)
def evaluate_kernel(
    in_place: bool, arguments: Callable[..., Any], context: Any, vector: Any, result: Any, kinds: Any
) -> Any:
    """Return ``evaluate(k, x, g, context)``, compiled for functions of some types; keep the 64 last ones."""
    build = _in_place if in_place else _returning
    kernel = build(caller(result, kinds), arguments)
    examples = 0, vector, vector, pointer_to(context)
    # References are counted where arrays are made: a gradient that is returned, rows of data.
    mode = "uncounted_nogil" if in_place and arguments is ALONE.of else "nogil"
    return compile_kernel(kernel, examples, name="evaluate", mode=mode)


def _returning(call, arguments):
    def evaluate(k, x, g, context):
        address, given = load(context)
        f, gradient = call(address, (x,) + arguments(k, given))  # noqa: RUF005
        if gradient.shape != g.shape:
            raise ValueError("The gradient must have the shape of `x0` at every point.")
        for i in range(g.size):
            g[i] = gradient[i]
        return np.float64(float(f))  # for Numba a float32 is a `float` already

    return evaluate


def _in_place(call, arguments):
    def evaluate(k, x, g, context):
        for i in range(g.size):
            g[i] = -0.0  # for functions that add to it; a sum is -0.0 only if nothing was added
        address, given = load(context)
        return np.float64(float(call(address, (x, g) + arguments(k, given))))  # noqa: RUF005

    return evaluate


def _type_of(given: tuple[Any, ...]):
    if config.DISABLE_JIT:
        return ()
    try:
        return typeof(given)
    except ValueError as error:
        raise TypingError(str(error)) from error


def entry_of(array: Any, index: Any) -> Any:
    """Return the type of ``array[index]``, from the types of both."""
    return get_array_index_type(array, index).result


@register_jitable
def _alone(k, given):
    return given


@register_jitable
def _of_batch(k, given):
    rows, starts, data, buffers, more = given
    return gather(data, rows[starts[k] : starts[k + 1]], buffers) + more


def _types_of_batch(given) -> tuple[Any, ...]:
    return (*(entry_of(buffer, types.slice2_type) for buffer in given[3]), *given[4]) if given else ()


ALONE = Arguments(_alone, tuple)
OF_BATCH = Arguments(_of_batch, _types_of_batch)  # `given` as `Sampler.batches` makes it

# --- A function that is made in a loop -----------------------------------------------------------

MANY = 5  # functions made from one text, from which on it looks like a loop

_seen: WeakSet[Any] = WeakSet()  # functions that were compiled
_made: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # their number by code


def _warn_of_many(fun: Callable[..., Any]) -> None:
    """Warn once if one text was made into many functions, as in a loop: each costs a compilation."""
    if fun in _seen:
        return
    _seen.add(fun)
    code = inspect.unwrap(fun).__code__
    _made[code] = _made.get(code, 0) + 1
    if _made[code] == MANY:
        warn(
            f"{code.co_name!r} of {code.co_filename}, line {code.co_firstlineno}, was compiled anew {MANY} "
            "times, which takes seconds and memory each time. Define it once, outside of the loop, and pass "
            "what changes through `args`.",
            RuntimeWarning,
        )


# --- Batches --------------------------------------------------------------------------------------


def gather(data: Any, rows: Any, buffers: Any) -> tuple[Any, ...]:
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
