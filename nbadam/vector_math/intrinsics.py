"""Calls that the compiler replaces by instructions: multiply-adds, and the bits of a number."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from .._jitable import Jitable, register_jitable

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": False, "forceinline": True}
inlined: Callable[[Jitable], Jitable] = register_jitable(**OPTIONS)


# The compiler translates these where they are called; an `overload` would have to be compiled by itself.


def muladd(a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once where the processor has an instruction for it."""
    return a * b + c


def fma(a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once on every processor."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return float(a) * float(b) + float(c)
    (p, q), (r, s), (t, u) = (float(number).as_integer_ratio() for number in (a, b, c))
    exact = p * r * u + t * q * s  # over q * s * u; Python rounds the quotient of integers once
    return exact / (q * s * u) if exact else float(a) * float(b) + float(c)  # zeros have signs


@type_callable(muladd)
@type_callable(fma)
def _type_of_sum(context):
    return lambda a, b, c: a


@lower_builtin(muladd, *[types.Float] * 3)
def lower_muladd(context, builder, signature, arguments):
    """Emit the instruction of `muladd`."""
    return _call("llvm.fmuladd", builder, arguments)


@lower_builtin(fma, *[types.Float] * 3)
def _lower_fma(context, builder, signature, arguments):
    return _call("llvm.fma", builder, arguments)


def _call(intrinsic, builder, arguments):
    real = arguments[0].type
    function = builder.module.declare_intrinsic(intrinsic, [real], ir.FunctionType(real, [real] * 3))
    return builder.call(function, arguments)


INTEGERS: dict[Any, Any] = {types.float64: types.int64, types.float32: types.int32}
REALS: dict[Any, Any] = {integer: real for real, integer in INTEGERS.items()}


def bits_of(x: Any) -> Any:
    """Bits of a real number, as the integer of the same size."""
    return x.view(np.int32) if type(x) is np.float32 else np.float64(x).view(np.int64)


def real_of(bits: Any) -> Any:
    """Return the real number with these bits."""
    return bits.view(np.float32) if type(bits) is np.int32 else np.int64(bits).view(np.float64)


@type_callable(bits_of)
def _type_of_bits(context):
    return lambda x: INTEGERS.get(x)


@type_callable(real_of)
def _type_of_real(context):
    return lambda bits: REALS.get(bits)


@lower_builtin(bits_of, types.Float)
@lower_builtin(real_of, types.Integer)
def _lower_bits(context, builder, signature, arguments):
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))
