"""Functions that return one of their arguments, with its derivatives: minimum, maximum, where, clip."""

from functools import partial

import numpy as np
from numba import types

from .registry import register
from .trace import Traced, call, where
from .type import Dual, joined, packed, unpacked

MOST_ARGUMENTS = 16  # largest number of arguments of the built-in `min` and `max`


def _parts(context, builder, dual: Dual, number, argument) -> list[Traced]:
    """Value and all derivatives of a number, as those of the dual type."""
    value, derivatives = unpacked(context, builder, dual, context.cast(builder, argument, number, dual))
    return [Traced((context, builder), dual.dtype, part) for part in (value, *derivatives.values())]


def _packed(context, builder, dual: Dual, parts: list[Traced]):
    value, *derivatives = (part.value for part in parts)
    return packed(context, builder, dual, value, dict(zip(dual.mask, derivatives, strict=True)))


def _joined(typingctx, function, args):
    return joined(*args)


def _extremum(function, dual: Dual, a: list[Traced], b: list[Traced]) -> list[Traced]:
    """Extremum of two numbers; where they are equal its derivative is the mean of theirs."""
    value = function(a[0], b[0]).cast(dual.dtype)
    is_a, is_b = value == a[0], value == b[0]
    mean = [(x + y) * 0.5 for x, y in zip(a[1:], b[1:], strict=True)]
    only_a, only_b = [where(is_a, x, m) for x, m in zip(a[1:], mean, strict=True)], b[1:]
    both = [where(is_a & is_b, m, x) for x, m in zip(only_a, mean, strict=True)]
    return [value, *(where(is_b & (value != a[0]), y, x) for x, y in zip(both, only_b, strict=True))]


def _register_extremum(function, of_two, arities=(2,)) -> None:
    def generate(context, builder, signature, arguments):
        dual = signature.return_type
        found, *others = (
            _parts(context, builder, dual, number, argument)
            for number, argument in zip(signature.args, arguments, strict=True)
        )
        for other in others:
            found = _extremum(of_two, dual, found, other)
        return _packed(context, builder, dual, found)

    register(function, arities, _joined, generate)


for function in (np.maximum, np.minimum, np.fmax, np.fmin):
    _register_extremum(function, partial(call, function))
_register_extremum(max, lambda a, b: where(b > a, b, a), range(2, MOST_ARGUMENTS))
_register_extremum(min, lambda a, b: where(b < a, b, a), range(2, MOST_ARGUMENTS))


def _type_of_where(typingctx, function, args):
    return joined(*args[1:]) if isinstance(args[0], types.Boolean) else None


def _generate_where(context, builder, signature, arguments):
    dual = signature.return_type
    a, b = (
        _parts(context, builder, dual, number, argument)
        for number, argument in zip(signature.args[1:], arguments[1:], strict=True)
    )
    condition = Traced((context, builder), types.boolean, arguments[0])
    return _packed(context, builder, dual, [where(condition, x, y) for x, y in zip(a, b, strict=True)])


register(np.where, [3], _type_of_where, _generate_where)
