"""Dual numbers as a Numba type: a value and its derivatives, of which the type says by which parameters.

A derivative that is known to be 0 takes no room and no time.  There is no way from a dual number to
an ordinary one but through functions whose derivative is 0: a function that Numba cannot carry
dual numbers through does not compile, and never loses derivatives silently.
"""

import threading
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.typeconv import Conversion
from numba.extending import lower_builtin, lower_cast, models, register_model, type_callable

REAL = types.Float, types.Integer, types.Boolean


class _Compared(threading.local):
    """Parameters that the function being compiled in this thread compares, and of those the lost ones.

    A root found by bisection depends on parameters by comparisons only: it carries no derivatives by them.
    """

    def __init__(self) -> None:
        self.parameters: set[int] = set()
        self.lost: set[int] = set()


compared = _Compared()


class Dual(types.Type):
    """Type of a number with derivatives.

    Parameters
    ----------
    dtype : numba.types.Float
        Type of the value and of each derivative.
    mask : iterable of int
        Numbers of the parameters whose derivatives it carries; all others are 0.
    may_overflow : bool
        Whether it comes from a function such as `exp`: what levels off far from 0 has to look for infinite
        derivatives then.
    """

    dtype: Any
    mask: tuple[Any, ...]
    may_overflow: bool

    def __init__(self, dtype: types.Float, mask: Any, may_overflow: bool = False) -> None:
        self.dtype, self.mask, self.may_overflow = dtype, tuple(sorted(mask)), may_overflow
        super().__init__(f"Dual({dtype}, {self.mask}{', may overflow' if may_overflow else ''})")

    def unify(self, typingctx: Any, other: Any) -> Any:
        """Type that holds either: an accumulator may begin as 0 and end with derivatives."""
        if isinstance(other, Dual):
            return joined(self, other)
        return self if isinstance(other, REAL) else None

    def can_convert_to(self, typingctx: Any, other: Any) -> int | None:
        """Whether nothing is lost: derivatives may be added, as zeros."""
        if isinstance(other, Dual) and set(self.mask) <= set(other.mask):
            if self.may_overflow > other.may_overflow:
                return None
            return Conversion.safe if other.dtype.bitwidth >= self.dtype.bitwidth else Conversion.unsafe
        return None

    def can_convert_from(self, typingctx: Any, other: Any) -> int | None:
        """Every real number converts to one whose derivatives are 0."""
        return Conversion.safe if isinstance(other, REAL) else None


def joined(*numbers: Any, may_overflow: bool = False) -> Dual:
    """Type that holds the derivatives of all dual numbers among some types, in the precision of the widest.

    Ordinary numbers do not widen it: in a float32 model, ``0.5 * a`` stays float32.
    """
    duals = [number for number in numbers if isinstance(number, Dual)]
    widest = max((dual.dtype for dual in duals), key=lambda dtype: dtype.bitwidth)
    may_overflow = may_overflow or any(dual.may_overflow for dual in duals)
    return Dual(widest, {i for dual in duals for i in dual.mask}, may_overflow)


def plain(number: Any) -> Any:
    """Type of the value of a number."""
    return number.dtype if isinstance(number, Dual) else number


@register_model(Dual)
class DualModel(models.StructModel):
    """Memory of a dual number: the value, then the derivatives."""

    def __init__(self, manager: Any, dual: Any) -> None:
        super().__init__(manager, dual, [("value", dual.dtype)] + [(f"d{i}", dual.dtype) for i in dual.mask])


def unpacked(context: Any, builder: Any, dual: Any, number: Any) -> tuple[Any, dict[Any, Any]]:
    """Value of a number, and a dictionary of its derivatives."""
    if not isinstance(dual, Dual):
        return number, {}
    parts = cgutils.unpack_tuple(builder, number)
    return parts[0], dict(zip(dual.mask, parts[1:], strict=True))


def packed(context: Any, builder: Any, dual: Dual, value: Any, derivatives: dict[int, Any]) -> Any:
    """Dual number of these parts; derivatives that are not given are 0."""
    number = context.get_constant_undef(dual)
    zero = context.get_constant(dual.dtype, 0.0)
    for k, part in enumerate([value, *(derivatives.get(i, zero) for i in dual.mask)]):
        number = builder.insert_value(number, part, k)
    return number


@lower_cast(Dual, Dual)
def _cast_dual(context, builder, old, new, number):
    value, derivatives = unpacked(context, builder, old, number)
    value, *parts = (
        context.cast(builder, part, old.dtype, new.dtype) for part in (value, *derivatives.values())
    )
    return packed(context, builder, new, value, dict(zip(derivatives, parts, strict=True)))


@lower_cast(types.Integer, Dual)
@lower_cast(types.Float, Dual)
@lower_cast(types.Boolean, Dual)
def _cast_real(context, builder, old, new, number):
    return packed(context, builder, new, context.cast(builder, number, old, new.dtype), {})


@lower_cast(Dual, types.Boolean)
def _cast_to_boolean(context, builder, old, new, number):
    value, _ = unpacked(context, builder, old, number)
    return context.is_true(builder, old.dtype, value)


# --- Ways into the type and out of it; in plain Python numbers carry no derivatives -----------------


def seeded(number: Any, i: int) -> Any:
    """Return parameter number `i`: a dual number whose derivative by itself is 1."""
    return number


def one_of(number: Any, i: int, count: int) -> Any:
    """Return a parameter as number `i` of `count`: a dual number of the same type for each of them.

    Its derivative by itself is 1; by all of them it is 0 if `i` is `count`.  Functions that take any number
    of parameters, as a tuple, may loop over these.
    """
    return number


def value_of(number: Any) -> Any:
    """Return the value of a number."""
    return number


def derivative_of(number: Any, i: int) -> Any:
    """Return the derivative of a number by parameter number `i`."""
    return 0.0 * number


def known_derivative_of(number: Any, i: int) -> Any:
    """Return the derivative of a number; it does not compile where only comparisons tell the parameter."""
    return 0.0 * number


@type_callable(seeded)
def _type_of_seeded(context):
    def typer(number, i):
        if not isinstance(i, types.Literal):
            return None
        compared.parameters.discard(i.literal_value)
        return Dual(number, [i.literal_value])

    return typer


@type_callable(one_of)
def _type_of_one(context):
    return lambda number, i, count: Dual(number, range(count.literal_value))


@type_callable(value_of)
def _type_of_value(context):
    return plain


@type_callable(derivative_of)
def _type_of_derivative(context):
    def typer(number, i):
        if isinstance(i, types.Literal):
            return number.dtype if isinstance(number, Dual) else types.float32
        return None

    return typer


@type_callable(known_derivative_of)
def _type_of_known_derivative(context):
    def typer(number, i):
        if not isinstance(i, types.Literal):
            return None
        mask = number.mask if isinstance(number, Dual) else ()
        if i.literal_value in compared.parameters.difference(mask):
            compared.lost.add(i.literal_value)
            return None
        return number.dtype if mask else types.float32

    return typer


@lower_builtin(seeded, types.Float, types.IntegerLiteral)
def _lower_seeded(context, builder, signature, arguments):
    dual = signature.return_type
    return packed(context, builder, dual, arguments[0], {dual.mask[0]: context.get_constant(dual.dtype, 1.0)})


@lower_builtin(one_of, types.Float, types.IntegerLiteral, types.IntegerLiteral)
def _lower_one(context, builder, signature, arguments):
    dual, i = signature.return_type, signature.args[1].literal_value
    return packed(context, builder, dual, arguments[0], {i: context.get_constant(dual.dtype, 1.0)})


@lower_builtin(value_of, types.Any)
def _lower_value(context, builder, signature, arguments):
    return unpacked(context, builder, signature.args[0], arguments[0])[0]


@lower_builtin(known_derivative_of, types.Any, types.IntegerLiteral)
@lower_builtin(derivative_of, types.Any, types.IntegerLiteral)
def _lower_derivative(context, builder, signature, arguments):
    number, i = signature.args
    derivatives = unpacked(context, builder, number, arguments[0])[1]
    return derivatives.get(i.literal_value, context.get_constant(signature.return_type, 0.0))
