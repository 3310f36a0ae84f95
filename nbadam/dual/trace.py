"""Numbers of a function that is being compiled: their operators write the instructions.

A rule such as ``lambda f, x: (f(x), cos(x))`` is an ordinary Python function.  Run on traced numbers it
writes a function's value and slope into the kernel, without the time that Numba takes to compile
a function.  Run on floats it is plain Python.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .. import vector_math


class Traced:
    """A real number, or a truth value, of the function that is being compiled.

    Parameters
    ----------
    place : tuple
        Numba's target context and LLVM's builder.
    dtype : numba type
    value : llvmlite.ir.Value
    """

    place: Any
    dtype: Any
    value: Any

    __array_ufunc__ = None
    __slots__ = "dtype", "place", "value"

    def __init__(self, place: Any, dtype: Any, value: Any) -> None:
        self.place, self.dtype, self.value = place, dtype, value

    def like(self, value: Any) -> "Traced":
        """Make a number of the same type."""
        return Traced(self.place, self.dtype, value)

    def cast(self, dtype: Any) -> "Traced":
        """Convert to another type."""
        context, builder = self.place
        return Traced(self.place, dtype, context.cast(builder, self.value, self.dtype, dtype))

    def constant(self, number: Any) -> "Traced":
        """Make a constant of the same type; a traced number stays as it is."""
        if isinstance(number, Traced):
            return number
        return self.like(self.place[0].get_constant(self.dtype, float(number)))

    def _operation(self, name: str, other) -> "Traced":
        return self.like(getattr(self.place[1], name)(self.value, self.constant(other).value))

    def __add__(self, other: Any) -> "Traced":
        return self._operation("fadd", other)

    def __sub__(self, other: Any) -> "Traced":
        return self._operation("fsub", other)

    def __mul__(self, other: Any) -> "Traced":
        return self._operation("fmul", other)

    def __truediv__(self, other: Any) -> "Traced":
        return self._operation("fdiv", other)

    def __radd__(self, other: Any) -> "Traced":
        return self.constant(other) + self

    def __rsub__(self, other: Any) -> "Traced":
        return self.constant(other) - self

    def __rmul__(self, other: Any) -> "Traced":
        return self.constant(other) * self

    def __rtruediv__(self, other: Any) -> "Traced":
        return self.constant(other) / self

    def __neg__(self) -> "Traced":
        return self.like(self.place[1].fneg(self.value))

    def _comparison(self, symbol: str, other) -> "Traced":
        compare = self.place[1].fcmp_unordered if symbol == "!=" else self.place[1].fcmp_ordered
        return Traced(self.place, types.boolean, compare(symbol, self.value, self.constant(other).value))

    def __lt__(self, other: Any) -> "Traced":
        return self._comparison("<", other)

    def __le__(self, other: Any) -> "Traced":
        return self._comparison("<=", other)

    def __gt__(self, other: Any) -> "Traced":
        return self._comparison(">", other)

    def __ge__(self, other: Any) -> "Traced":
        return self._comparison(">=", other)

    def __eq__(self, other: Any) -> Any:
        return self._comparison("==", other)

    def __ne__(self, other: Any) -> Any:
        return self._comparison("!=", other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Any) -> "Traced":
        return self._operation("and_", other)

    def __or__(self, other: Any) -> "Traced":
        return self._operation("or_", other)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that Numba can compile; with traced numbers, write down the call."""
    traced = next((argument for argument in arguments if isinstance(argument, Traced)), None)
    if traced is None:
        return function(*arguments)
    context, builder = traced.place
    numbers = [traced.constant(argument) for argument in arguments]
    known = context.typing_context.resolve_value_type(function)
    signature = known.get_call_type(context.typing_context, [number.dtype for number in numbers], {})
    implementation = context.get_function(known, signature)
    cast = [number.cast(dtype).value for number, dtype in zip(numbers, signature.args, strict=True)]
    result = implementation(builder, cast)
    context.add_linking_libs(getattr(implementation, "libs", ()))
    kind = signature.return_type
    if isinstance(kind, types.UniTuple):
        parts = (builder.extract_value(result, k) for k in range(kind.count))
        return tuple(Traced(traced.place, kind.dtype, part).cast(traced.dtype) for part in parts)
    number = Traced(traced.place, kind, result)
    is_real = isinstance(kind, types.Float) and isinstance(traced.dtype, types.Float)
    return number.cast(traced.dtype) if is_real else number


def where(condition: Any, a: Any, b: Any) -> Traced:
    """Select `a` where the condition holds, else `b`; both are computed."""
    if not isinstance(condition, Traced):
        return a if condition else b
    number = a if isinstance(a, Traced) else b
    a, b = number.constant(a), number.constant(b)
    return number.like(condition.place[1].select(condition.value, a.value, b.value))


def either(condition: Any, then: Callable[..., Any], otherwise: Callable[..., Any]) -> Any:
    """Compute one of two numbers, as by a branch."""
    if not isinstance(condition, Traced):
        return then() if condition else otherwise()
    builder = condition.place[1]
    results = []
    with builder.if_else(condition.value) as branches:
        for branch, compute in zip(branches, (then, otherwise), strict=True):
            with branch:
                results.append((compute(), builder.block))
    number = results[0][0]
    phi = builder.phi(number.value.type)
    for result, block in results:
        phi.add_incoming(result.value, block)
    return number.like(phi)


def muladd(a: Any, b: Any, c: Any) -> Traced:
    """Return ``a * b + c``, rounded once where the processor can."""
    if not isinstance(c, Traced):
        return a * b + c
    real, builder = c.value.type, c.place[1]
    function = builder.module.declare_intrinsic("llvm.fmuladd", [real], ir.FunctionType(real, [real] * 3))
    return c.like(builder.call(function, [c.constant(a).value, c.constant(b).value, c.value]))


def finite(x: Any) -> Any:
    """Return the number, or the largest one where it is infinite: 0 times it is 0, not NaN."""
    largest = float(np.finfo(str(x.dtype)).max) if isinstance(x, Traced) else sys.float_info.max
    return where(x > largest, largest, x)


def pole(slope: Any) -> Any:
    """Return a derivative, or NaN where it is infinite: at a pole it is not that of an overflow."""
    return muladd(slope, 0.0, slope)


def absolute(x: Any) -> Any:
    """Return the absolute value."""
    return call(math.fabs, x)


def square_root(x: Any) -> Any:
    """Return the square root."""
    return call(np.sqrt, x)


def exp(x: Any) -> Any:
    """Exponential that LLVM vectorises."""
    return call(vector_math.exp, x)


def log(x: Any) -> Any:
    """Logarithm that LLVM vectorises."""
    return call(vector_math.log, x)


def sin(x: Any) -> Any:
    """Sine that LLVM vectorises."""
    return call(vector_math.sin, x)


def cos(x: Any) -> Any:
    """Cosine that LLVM vectorises."""
    return call(vector_math.cos, x)
