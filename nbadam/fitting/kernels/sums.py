"""Sums of products over points: chi-square, gradient and normal matrix."""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, type_callable

from ..._jitable import register_jitable
from ...vector_math.intrinsics import lower_muladd, muladd

BLOCK = 128  # points: their derivatives by ten parameters stay in the first cache
WIDTH = 32  # partial sums, in as many vector registers as hide how long an addition takes


def add_products(S, first, width, *points):
    """Add points to the sums of a lane, rows of `width` entries of which the first has number `first`.

    One call for all sums of some points, where a statement for each takes Numba twice the time.

    Parameters
    ----------
    S : array
        The state.
    first, width : int
    *points : tuple
        For each point the factors `left` and `right` of its loss, and `psi`, minus half its derivative by the
        model.  Then follow the model's derivatives, and the same times the curvature of the loss.
    """
    for number, factors in enumerate(_products(points)):
        for a, b in factors:
            S[first + number * width] = muladd(a, b, S[first + number * width])


def _products(points: Any) -> Iterable[tuple[Any, ...]]:
    """Return for each sum the factors of the product that each point adds to it."""
    return zip(*map(_products_of_point, points), strict=True)


def _products_of_point(point: Any) -> list[tuple[Any, Any]]:
    left, right, psi, *derivatives = point
    n = len(derivatives) // 2
    gradient, curved = derivatives[:n], derivatives[n:]
    normal = [(curved[i], gradient[j]) for i in range(n) for j in range(i + 1)]
    return [(left, right), *((g, psi) for g in gradient), *normal]


@infer_global(add_products)
class _TypeOfAddProducts(AbstractTemplate):
    key = add_products

    def generic(self, args, kws):
        """Return the type of a call, whose last arguments are points."""
        return signature(types.none, *args)


@lower_builtin(add_products, types.Array, types.Integer, types.Integer, types.VarArg(types.BaseTuple))
def _lower_add_products(context, builder, signature, arguments):
    kind, real = signature.args[0], signature.args[0].dtype
    points = [
        [context.cast(builder, builder.extract_value(point, i), given, real) for i, given in enumerate(each)]
        for point, each in zip(arguments[3:], signature.args[3:], strict=True)
    ]

    for number, factors in enumerate(_products(points)):
        index = builder.add(arguments[1], builder.mul(arguments[2], arguments[2].type(number)))
        place = pointer(context, builder, kind, arguments[0], index)
        total = before = builder.load(place)
        for a, b in factors:
            total = lower_muladd(context, builder, None, (a, b, total))
        for access in (before, builder.store(total, place)):
            access.set_metadata("noalias", _data(builder.module))
    return context.get_dummy_value()


def pointer(context, builder, kind, state, index):
    """Return the place of an entry of the state, inside which it must be where Numba checks bounds."""
    array = context.make_array(kind)(context, builder, state)
    check = context.enable_boundscheck
    return cgutils.get_item_pointer(context, builder, kind, array, [index], boundscheck=check)


def datum(S, i):
    """Return entry `i` of the state, which is none of the sums that `add_products` changes.

    LLVM is told so.  Data are at places that are not constants: without that knowledge it makes no vector
    instructions of a loop that reads them and writes sums.
    """
    return S[i]


@type_callable(datum)
def _type_of_datum(context):
    return lambda S, i: S.dtype


@lower_builtin(datum, types.Array, types.Integer)
def _lower_datum(context, builder, signature, arguments):
    value = builder.load(pointer(context, builder, signature.args[0], *arguments))
    value.set_metadata("alias.scope", _data(builder.module))
    return value


def _data(module: ir.Module) -> Any:
    """Return the scope of the data, for LLVM's analysis of aliases."""
    domain = module.add_metadata(["nbadam"])
    return module.add_metadata([module.add_metadata(["data", domain])])


def dot(S, a, b):
    """Return the scalar product of the blocks that begin at entries `a` and `b` of `S`.

    The compiler gets vector instructions in a fixed order.  A loop that it may reorder has other bits
    wherever it makes another copy of it.
    """
    return S.dtype.type(S[a : a + BLOCK] @ S[b : b + BLOCK])


@type_callable(dot)
def _type_of_dot(context):
    return lambda S, a, b: S.dtype


@lower_builtin(dot, types.Array, types.Integer, types.Integer)
def _lower_dot(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    real = context.get_value_type(signature.return_type)
    vector = ir.VectorType(real, WIDTH)
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{WIDTH}{real.intrinsic_name}"
    )
    bytes_each = context.get_abi_sizeof(real)
    value = ir.Constant(vector, [0.0] * WIDTH)
    for first in range(0, BLOCK, WIDTH):
        factors = []
        for index in arguments[1:]:
            place = builder.gep(array.data, [builder.add(index, index.type(first))])
            factors.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=bytes_each))
        value = builder.call(fma, [*factors, value])
    width = WIDTH
    while width > 1:
        width //= 2
        halves = (
            builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), width), part))
            for part in (list(range(width)), list(range(width, 2 * width)))
        )
        value = builder.fadd(*halves)
    return builder.extract_element(value, cgutils.int32_t(0))


@register_jitable(error_model="numpy")
def gather(S, sums, lost, i, value):
    """Add to sum i; the rounding error goes to the next call (Kahan), so that long sums stay exact."""
    value -= S[lost + i]
    new = S[sums + i] + value
    S[lost + i] = (new - S[sums + i]) - value
    S[sums + i] = new


@register_jitable(error_model="numpy")
def add(S, n, sums, lost, left, right, psi, gradient, curved, points):
    """Add a block to chi-square, to the gradient and to the normal matrix.

    Parameters
    ----------
    S : array
        The state; all others but `n` and `points` are first entries in it.
    n : int
        Number of parameters.
    sums, lost : int
        The sums one after the other, and the rounding errors of them.
    left, right : int
        Of the factors of the block's losses.
    psi, gradient, curved : int
        Minus half the derivatives of the losses by the model; those of the model by each parameter; the
        latter times the curvature of the loss.
    points : int
        How many points of the block count.
    """
    for row in range(left, curved + n * BLOCK, BLOCK):
        for i in range(row + points, row + BLOCK):
            S[i] = 0
    gather(S, sums, lost, 0, dot(S, left, right))
    k = 1 + n
    for i in range(n):
        gather(S, sums, lost, 1 + i, dot(S, gradient + i * BLOCK, psi))
        for j in range(i + 1):
            gather(S, sums, lost, k, dot(S, curved + i * BLOCK, gradient + j * BLOCK))
            k += 1
