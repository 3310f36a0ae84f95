"""Sums over blocks of points, for kernels that have one fit at a time."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from ..._jitable import register_jitable

BLOCK = 128  # points: their derivatives by ten parameters stay in the first cache
WIDTH = 32  # partial sums, in as many vector registers as hide how long an addition takes


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
