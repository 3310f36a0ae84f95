"""The algorithm for a few parameters: its tapes as instructions of LLVM.

Numba takes ten times as long to make them from the text.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from ...vector_math.intrinsics import lower_muladd
from . import tape as operations
from .sums import pointer

ARITHMETIC = {
    operations.ADD: "fadd", operations.SUBTRACT: "fsub", operations.MULTIPLY: "fmul",
    operations.DIVIDE: "fdiv", operations.AND: "and_", operations.OR: "or_",
}  # fmt: skip
COMPARISONS = {
    operations.IS_LESS: ("ordered", "<"), operations.IS_AT_MOST: ("ordered", "<="),
    operations.IS_EQUAL: ("ordered", "=="), operations.IS_UNEQUAL: ("unordered", "!="),
}  # fmt: skip
# As in Python the first is taken unless the second is greater, or less: NaN, too.
EXTREMES = {operations.MAX: ">", operations.MIN: "<"}
FUNCTIONS = {operations.ABS: "llvm.fabs", operations.SQRT: "llvm.sqrt"}


def over_lanes(program: np.ndarray, constants: np.ndarray, lanes: int) -> Any:
    """Return a function that runs a tape in every lane of a state, for Numba to compile.

    Parameters
    ----------
    program, constants : array
        A tape and its memory, as `tape.translate` returns them; entries of the state are in its first lane.
    lanes : int

    Returns
    -------
    function
        To be compiled; it takes the arguments of `tape.run`, of which it needs the first and the last.
    """

    @intrinsic
    def in_a_lane(typingctx, S, lane, xtol):
        def generate(context, builder, kind, arguments):
            _write(context, builder, kind.args[0], arguments, program, constants)
            return context.get_dummy_value()

        return signature(types.none, S, lane, xtol), generate

    def run(S, tape, memory, xtol):
        for lane in range(lanes):
            in_a_lane(S, lane, xtol)

    return run


def _write(context, builder, kind, arguments, program, constants):
    """Write the instructions of a tape, whose conditions become bits."""
    real = context.get_value_type(kind.dtype)
    values = [ir.Constant(real, float(number)) for number in constants]
    values[0] = arguments[2]

    def place(entry):
        index = builder.add(arguments[1], arguments[1].type(entry))
        return pointer(context, builder, kind, arguments[0], index)

    for operation, target, a, b, c in program.tolist():
        if operation == operations.STORE:
            builder.store(values[a], place(target))
            continue
        values[target] = (
            builder.load(place(a)) if operation == operations.LOAD
            else values[a] if operation == operations.COPY
            else _value(context, builder, operation, values[a], values[b], values[c])
        )  # fmt: skip


def _value(context, builder, operation, a, b, c):
    if operation in ARITHMETIC:
        return getattr(builder, ARITHMETIC[operation])(a, b)
    if operation in COMPARISONS:
        kind, sign = COMPARISONS[operation]
        return getattr(builder, f"fcmp_{kind}")(sign, a, b)
    if operation == operations.SELECT:
        return builder.select(a, b, c)
    if operation in (operations.MULADD, operations.LESS):
        a = builder.fneg(a) if operation == operations.LESS else a
        return lower_muladd(context, builder, None, (a, b, c))
    if operation in EXTREMES:
        return builder.select(builder.fcmp_ordered(EXTREMES[operation], b, a), b, a)
    function = builder.module.declare_intrinsic(FUNCTIONS[operation], [a.type])
    return builder.call(function, [a])
