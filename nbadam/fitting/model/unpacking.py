"""Compilation of functions whose first argument brings the data for their placeholders."""

from functools import lru_cache
from typing import Any

from numba import types
from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import build_definitions
from numba.core.untyped_passes import FixupArgs
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from ..._fingerprint import Placeholder


@lru_cache(maxsize=256)
def array_like(kind: types.Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return ``array_at(number)`` for compiled code: the array at an address, the bits of the number.

    Shape and strides are constants of the code, as those of global arrays are.
    """

    @intrinsic
    def array_at(typingctx: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            # Not before: its import takes LLVM's lock, which a fork holds while it waits for imports.
            from numba.np.arrayobj import populate_array

            array = context.make_array(kind)(context, builder)
            address = builder.bitcast(values[0], context.get_value_type(types.uint64))
            sizes, steps = (
                [context.get_constant(types.intp, number) for number in numbers]
                for numbers in (shape, strides)
            )
            populate_array(
                array,
                data=builder.inttoptr(address, array.data.type),
                shape=sizes,
                strides=steps,
                itemsize=as_dtype(kind.dtype).itemsize,
                meminfo=None,
            )
            return array._getvalue()

        return kind(types.float64), generate

    return array_at


@lru_cache(maxsize=256)
def named_tuple(cls: type) -> Any:
    """Return ``as_named(entries)`` for compiled code, which makes a named tuple of a tuple."""

    @intrinsic
    def as_named(typingctx: Any, entries: Any) -> Any:
        kind = types.BaseTuple.from_types(tuple(entries), cls)
        return kind(entries), lambda context, builder, signature, values: values[0]

    return as_named


@register_pass(mutates_CFG=False, analysis_only=False)
class _Unpack(FunctionPass):
    """Take the first argument for a tuple of itself and the data that have placeholders."""

    _name = "nbadam_constants"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Rewrite the intermediate code."""
        blocks = state.func_ir.blocks
        first = blocks[min(blocks)]
        place, argument = next(
            (place, statement)
            for place, statement in enumerate(first.body)
            if isinstance(statement.value, ir.Arg) and statement.value.index == 0
        )
        packed = first.scope.redefine("$packed", argument.loc)
        whole = ir.Assign(argument.value, packed, argument.loc)
        argument.value = ir.Expr.static_getitem(packed, 0, None, argument.loc)
        first.body.insert(place, whole)
        callees = {
            statement.target.name: given
            for block in blocks.values()
            for statement in block.body
            if isinstance(given := _given(statement), Placeholder) and given.function is not None
        }
        for block in blocks.values():
            lines = (_unpacked(statement, block.scope, packed, callees) for statement in block.body)
            block.body = [line for some in lines for line in some]
        state.func_ir._definitions = build_definitions(blocks)
        return True


def _given(statement: Any) -> Any:
    """Return the object of a statement that assigns a constant or a global, or None."""
    value = getattr(statement, "value", None)
    return value.value if isinstance(value, ir.Const | ir.FreeVar | ir.Global) else None


def _has_data(value: Any) -> bool:
    is_tuple = isinstance(value, tuple)
    return any(map(_has_data, value)) if is_tuple else isinstance(value, Placeholder)


def _unpacked(statement: Any, scope: Any, packed: ir.Var, callees: dict[str, Placeholder]) -> list[Any]:
    """Return the statements in place of one that assigns a placeholder or calls a function with data."""
    loc = statement.loc
    lines: list[Any] = []

    def assigned(value: Any) -> ir.Var:
        variable = scope.redefine("$unpacked", loc)
        lines.append(ir.Assign(value, variable, loc))
        return variable

    def called(function: Any, *arguments: ir.Var) -> ir.Expr:
        return ir.Expr.call(assigned(ir.Global(function.__name__, function, loc)), arguments, (), loc)

    def entry(place: int) -> ir.Expr:
        return ir.Expr.static_getitem(packed, place, None, loc)

    def expression(value: Any) -> Any:
        if not _has_data(value):
            return ir.Global("constant", value, loc)
        if isinstance(value, tuple):
            entries = ir.Expr.build_tuple([assigned(expression(item)) for item in value], loc)
            return entries if type(value) is tuple else called(named_tuple(type(value)), assigned(entries))
        if value.function is not None:
            return ir.Global(value.function.__name__, value.function, loc)
        number = entry(1 + value.place)
        return called(array_like(*value.like), assigned(number)) if value.like else number

    if _has_data(_given(statement)):
        statement.value = expression(statement.value.value)
    call = getattr(statement, "value", None)
    if isinstance(call, ir.Expr) and call.op == "call" and call.func.name in callees:
        callee = callees[call.func.name]
        data = [assigned(entry(1 + callee.place + k)) for k in range(callee.size)]
        call.args = [assigned(ir.Expr.build_tuple([call.args[0], *data], loc)), *call.args[1:]]
    return [*lines, statement]


class Unpacking(CompilerBase):
    """Numba's compiler for lifted functions."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_Unpack, FixupArgs)
        passes.finalize()
        return [passes]
