"""Rules of arithmetic, comparisons and conversions."""

import math
import operator
from typing import Any

import numpy as np
from numba import types

from .registry import (
    chained,
    derivatives_of,
    overflow,
    register,
    register_plain,
    register_rule,
    summed,
    values_of,
)
from .trace import Traced, absolute, call, either, log, muladd, pole, square_root, where
from .type import Dual, joined, plain, unpacked

MOST_FACTORS = 64  # largest number of factors that a power with a constant exponent becomes


def _type_of_quotient(typingctx, function, args):
    return joined(*args, may_overflow=not isinstance(args[1], Dual))  # data may be 0


def _generate_quotient(context, builder, signature, arguments):
    dual = signature.return_type
    x, y = values_of(context, builder, signature.args, arguments, dual.dtype)
    inner = derivatives_of(context, builder, signature.args, arguments, dual.dtype)
    has_limits = overflow(signature.args)
    quotient, inverse = x / y, 1.0 / y
    if not all(inner):
        slopes = inverse, lambda: muladd(inverse, 0.0, -quotient * inverse)  # at 0 NaN: see `pole`
        return chained(dual, quotient, slopes, inner, has_limits=has_limits)
    # Where both are large, so are their derivatives.  They cancel before they are divided.
    by_x, by_y = inner
    if has_limits:
        is_flat = quotient * inverse == 0
        by_y = {i: where(is_flat & (absolute(by) == math.inf), 0.0, by) for i, by in by_y.items()}
    above = summed(dual.mask, [1.0, -quotient], [by_x, by_y])
    return chained(dual, quotient, [pole(inverse)], [above], has_limits=has_limits)


def remainder(f, x, y):
    rest = f(x, y)
    return rest, 1.0, lambda: -call(np.rint, (x - rest) / y)


register_rule(lambda f, x: (x, 1.0), operator.pos, np.positive, float)
register_rule(lambda f, x: (-x, -1.0), operator.neg, np.negative)
register_rule(lambda f, x, y: (x + y, 1.0, 1.0), operator.add, operator.iadd, np.add, arity=2)
register_rule(lambda f, x, y: (x - y, 1.0, -1.0), operator.sub, operator.isub, np.subtract, arity=2)
register_rule(lambda f, x, y: (x * y, y, x), operator.mul, operator.imul, np.multiply, arity=2)
for function in (operator.truediv, operator.itruediv, np.divide):
    register(function, [2], _type_of_quotient, _generate_quotient)
register_rule(remainder, operator.mod, operator.imod, np.remainder, np.fmod, arity=2)

COMPARISONS = operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne
UFUNCS = np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal
LOGICAL = np.logical_and, np.logical_or, np.logical_xor
register_plain(*COMPARISONS, *UFUNCS, arity=2, compares=True)
register_plain(*LOGICAL, arity=2)
register_plain(operator.floordiv, operator.ifloordiv, np.floor_divide, arity=2)
register_plain(bool, operator.not_, np.logical_not, operator.truth)
register_plain(int, round, math.floor, math.ceil, math.trunc, np.floor, np.ceil, np.trunc, np.rint, np.sign)
register_plain(math.isnan, math.isinf, math.isfinite, np.isnan, np.isinf, np.isfinite, np.signbit)
register_plain(round, arity=2)


# --- Powers ---------------------------------------------------------------------------------------


def power(f, x, y):
    """``x**y``, also where both are parameters."""
    result = f(x, y)

    def by_base():
        size = absolute(result)
        # The quotient is as good as a second power unless the result left the range of normal numbers.
        is_normal = (size > 1e-30) & (size < math.inf)
        slope = either(is_normal, lambda: y * result / x, lambda: y * f(x, y - 1.0))
        return where(y == 0, 0.0, where((x == 0) & (y < 0), math.nan, slope))

    def by_exponent():
        return where((result == 0) | ((x == 0) & (y == 0)), 0.0, result * log(x))

    return result, by_base, by_exponent


def power_of_constant(x, exponent: float):
    """Power and its derivative for a constant exponent, a multiple of 1/2."""
    whole, half = divmod(abs(exponent), 1)

    def product(n: int, root):
        result, factor = root, x
        while n:
            if n & 1:
                result = factor if result is None else result * factor
            factor, n = factor * factor, n >> 1
        return x.constant(1.0) if result is None else result

    root = square_root(x) if half else None
    result = product(int(whole), root)
    if exponent == 0:
        return result, None, None
    if exponent > 0:
        return result, exponent * product(int(whole) - 1, root) if whole else 0.5 / result, None
    result = 1.0 / result
    return result, exponent * pole(result / x), None


def whole_power(x, n: Traced):
    """Power and its derivative for an exponent of integer type."""
    context, builder = n.place
    before = n.like(builder.sub(n.value, context.get_constant(n.dtype, 1)))
    exponent = n.cast(x.dtype)
    slope = exponent * call(operator.pow, x, before).cast(x.dtype)
    slope = where((x == 0) & (exponent < 0), math.nan, slope)
    return call(operator.pow, x, n).cast(x.dtype), where(exponent == 0, 0.0, slope), None


def _type_of_power(typingctx, function, args):
    constant = _constant(args[1])
    return joined(*args, may_overflow=constant is None or constant < 0)


def _constant(exponent: Any) -> Any:
    """Value of a constant exponent, else None."""
    return getattr(exponent, "literal_value", getattr(exponent, "value", None))


def _generate_power(context, builder, signature, arguments):
    dual, (base, exponent) = signature.return_type, signature.args
    constant = _constant(exponent)
    if constant is not None:
        exponent = types.float64
        arguments = arguments[0], context.get_constant(exponent, float(constant))
    x, y = (
        Traced((context, builder), plain(number), unpacked(context, builder, number, argument)[0])
        for number, argument in zip((base, exponent), arguments, strict=True)
    )
    x = x.cast(dual.dtype)
    inner = derivatives_of(context, builder, (base, exponent), arguments, dual.dtype)
    if constant is not None and 2 * constant == int(2 * constant) and abs(constant) <= MOST_FACTORS:
        result, *slopes = power_of_constant(x, constant)
    elif isinstance(exponent, (types.Integer, types.Boolean)):
        result, *slopes = whole_power(x, y.cast(types.int64))
    else:
        result, *slopes = power(lambda *n: call(operator.pow, *n).cast(dual.dtype), x, y.cast(dual.dtype))
    return chained(
        dual,
        result,
        slopes,
        inner,
        is_singular=constant is None or constant < 1,
        has_limits=(constant is None or constant < 0) and overflow(signature.args),
    )


for function in (operator.pow, operator.ipow, pow, math.pow, np.power, np.float_power):
    register(function, [2], _type_of_power, _generate_power, prefer_literal=True)
