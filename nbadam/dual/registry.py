"""Numba's tables of functions, with dual numbers added: the type and the instructions of each call."""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin

from .trace import Traced, call, muladd, where
from .type import REAL, Dual, compared, joined, packed, plain, unpacked

KINDS = Dual, *REAL, types.Omitted
Function = Callable[..., Any]
REGISTERED: list[tuple[Function, Function]] = []  # pairs that the digest of a kernel includes
# Rules, the functions that follow each, and their arity.
RULES: list[tuple[Function, tuple[Any, ...], int]] = []


def register(
    function: Any,
    arities: Any,
    result: Callable[..., Any],
    generate: Callable[..., Any],
    prefer_literal: Any = False,
    is_lasting: Any = True,
) -> None:
    """Let Numba call a function with dual numbers.

    Parameters
    ----------
    function : object
        The function as users name it.
    arities : iterable of int
        Legal numbers of arguments.
    result : callable
        ``result(typing_context, function, arguments)`` returns the type of the result, or None.
    generate : callable
        ``generate(context, builder, signature, arguments)`` writes the instructions, as in Numba.
    prefer_literal : bool
        Whether types of arguments tell the values of constants.
    is_lasting : bool
        Whether every process registers it.
    """
    if is_lasting:
        REGISTERED.append((result, generate))

    class Template(AbstractTemplate):
        key = function

        def generic(self, args, kws):
            is_ours = not kws and len(args) in arities and any(isinstance(arg, Dual) for arg in args)
            if not is_ours or not all(isinstance(arg, KINDS) for arg in args):
                return None
            found = result(self.context, function, args)
            return found and found(*args)

        def get_impl_key(self, sig):
            return generate  # beside Numba's own instructions, not among them

    Template.prefer_literal = prefer_literal
    infer_global(function, types.Function(Template))
    lower_builtin(generate, types.VarArg(types.Any))(generate)


def register_plain(*functions: Any, arity: int = 1, compares: bool = False) -> None:
    """Register functions whose derivative is 0: their results are no dual numbers.

    Of those that compare numbers it is noted which parameters these depend on.
    """

    def result(typingctx, function, args):
        if compares:
            compared.parameters.update(*(arg.mask for arg in args if isinstance(arg, Dual)))
        return typingctx.resolve_function_type(function, tuple(map(plain, args)), {}).return_type

    for function in functions:

        def generate(context, builder, signature, arguments, function=function):
            numbers = values_of(context, builder, signature.args, arguments)
            return call(function, *numbers).cast(signature.return_type).value

        register(function, [arity], result, generate)


def register_rule(
    rule: Callable[..., Any],
    *functions: Any,
    arity: int = 1,
    is_singular: bool = False,
    has_limits: bool = False,
    may_overflow: bool = False,
    orders: tuple[int, ...] = (),
    is_lasting: bool = True,
) -> None:
    """Register functions whose derivatives follow a rule.

    Parameters
    ----------
    rule : callable
        ``rule(f, *numbers)`` returns the value and, for each argument, the derivative by it: a number, a
        function without arguments that computes it, or None for 0.  `f` is the function itself.
    *functions : object
        Names of the function, as in `math` and in NumPy.
    arity : int
        Number of arguments.
    is_singular : bool
        Whether the function is finite where its derivative is infinite, such as a root at 0.  An inner
        derivative of 0 then makes the derivative 0.
    has_limits : bool
        Whether the function levels off at infinity, such as ``exp(x)`` at ``-inf``.  A slope of 0 then makes
        the derivative 0, also where the inner one has overflowed.  (That of a pole is NaN, and stays so.)
    may_overflow : bool
        Whether finite arguments may have an infinite result.
    orders : tuple of int
        Arguments that cannot be dual numbers: no derivative is known.
    is_lasting : bool
        Whether every process registers it.
    """
    if is_lasting:
        RULES.append((rule, functions, arity))

    def result(typingctx, function, args):
        if any(isinstance(args[k], Dual) for k in orders):
            return None
        return joined(*args, may_overflow=may_overflow)

    for function in functions:

        def generate(context, builder, signature, arguments, function=function):
            dual = signature.return_type
            numbers = values_of(context, builder, signature.args, arguments, dual.dtype)
            inner = derivatives_of(context, builder, signature.args, arguments, dual.dtype)
            value, *slopes = rule(lambda *n: call(function, *n).cast(dual.dtype), *numbers)
            return chained(dual, value, slopes, inner, is_singular, has_limits and overflow(signature.args))

        register(function, [arity], result, generate, is_lasting=is_lasting)


def overflow(numbers: Any) -> bool:
    """Whether numbers of some of these types may have overflowed."""
    return any(isinstance(number, Dual) and number.may_overflow for number in numbers)


def values_of(context, builder, signature_args, arguments, dtype=None) -> list[Traced]:
    """Values of the arguments, all of one type if it is given."""
    values = []
    for number, argument in zip(signature_args, arguments, strict=True):
        value = Traced((context, builder), plain(number), unpacked(context, builder, number, argument)[0])
        values.append(value if dtype is None else value.cast(dtype))
    return values


def derivatives_of(
    context: Any, builder: Any, signature_args: Any, arguments: Any, dtype: Any
) -> list[dict[int, Traced]]:
    """Return the derivatives of each argument by the parameters."""
    found = []
    for number, argument in zip(signature_args, arguments, strict=True):
        _, derivatives = unpacked(context, builder, number, argument)
        found.append(
            {i: Traced((context, builder), number.dtype, d).cast(dtype) for i, d in derivatives.items()}
        )
    return found


def chained(
    dual: Dual,
    value: Traced,
    slopes: Any,
    inner: list[dict[int, Traced]],
    is_singular: bool = False,
    has_limits: bool = False,
) -> Any:
    """Dual number with the derivatives that follow from the chain rule."""
    outer = summed(dual.mask, slopes, inner, is_singular, has_limits)
    context, builder = value.place
    return packed(context, builder, dual, value.value, {i: total.value for i, total in outer.items()})


def summed(
    mask: Any,
    slopes: Any,
    inner: list[dict[int, Traced]],
    is_singular: bool = False,
    has_limits: bool = False,
) -> dict[int, Traced]:
    """Return the derivatives by the chain rule."""
    slopes = [slope() if callable(slope) and by else slope for slope, by in zip(slopes, inner, strict=True)]
    outer: dict[int, Traced] = {}
    for i in mask:
        terms = [
            (slope, by[i]) for slope, by in zip(slopes, inner, strict=True) if i in by and slope is not None
        ]
        total = None
        for slope, derivative in terms:
            added = _added(slope, derivative, total, is_singular)
            if has_limits and isinstance(slope, Traced):
                is_flat = (slope == 0) & (derivative == derivative)
                added = where(is_flat, 0.0 if total is None else total, added)
            total = added
        if total is not None:
            outer[i] = total
    return outer


def _added(slope, derivative: Traced, total: Traced | None, is_singular: bool) -> Traced:
    """Add a slope times a derivative to the total."""
    if isinstance(slope, Traced) and is_singular:
        term = where(derivative == 0, 0.0, slope * derivative)
    elif isinstance(slope, Traced) and total is not None:
        return muladd(slope, derivative, total)
    elif isinstance(slope, Traced):
        term = slope * derivative
    else:
        term = derivative if slope == 1 else -derivative if slope == -1 else derivative * slope
    return term if total is None else total + term
