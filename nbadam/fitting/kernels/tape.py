"""The text of the algorithm as tapes of single operations, and the kernel that runs them.

`trust_region` writes loops over parameters out, which is fastest for a few of them: `instructions` compiles
their tapes.  The text grows with the cube of the number of parameters.  Beyond `compile.MANY` a kernel runs
the tapes, the same for every number.  An operation then takes a few nanoseconds: little beside the evaluation
of such models.
"""

import ast
import operator

import numpy as np

from ...vector_math.intrinsics import muladd

# Operations.  Each has a target and up to three operands, all of them entries of the memory.
(LOAD, STORE, COPY, ADD, SUBTRACT, MULTIPLY, DIVIDE, MULADD, LESS, MAX, MIN, ABS, SQRT,
 IS_LESS, IS_AT_MOST, IS_EQUAL, IS_UNEQUAL, AND, OR, SELECT) = range(20)  # fmt: skip
BINARY = {
    ast.Add: ADD, ast.Sub: SUBTRACT, ast.Mult: MULTIPLY, ast.Div: DIVIDE, ast.BitAnd: AND, ast.BitOr: OR,
    ast.And: AND, ast.Or: OR, ast.Lt: IS_LESS, ast.LtE: IS_AT_MOST, ast.Eq: IS_EQUAL, ast.NotEq: IS_UNEQUAL,
}  # fmt: skip
MIRRORED = {ast.Gt: IS_LESS, ast.GtE: IS_AT_MOST}
EMPTY = np.empty((0, 5), np.uint32)
CALLS = {"max": MAX, "min": MIN, "abs": ABS, "sqrt": SQRT, "muladd": MULADD}
INDICES = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def run(S, tape, memory, xtol):
    """Run a tape.

    Parameters
    ----------
    S : array
        The state, of one lane.
    tape : uint32 array of shape (operations, 5)
        Operation, target and operands of each.
    memory : array
        Constants and variables; in conditions 1 stands for true.
    xtol : float
        Becomes the first entry of the memory.
    """
    V = memory
    V[0] = xtol
    for k in range(tape.shape[0]):
        operation, target = tape[k, 0], tape[k, 1]
        a, b, c = tape[k, 2], tape[k, 3], tape[k, 4]
        if operation == LESS:
            V[target] = muladd(-V[a], V[b], V[c])
        elif operation == MULADD:
            V[target] = muladd(V[a], V[b], V[c])
        elif operation == LOAD:
            V[target] = S[a]
        elif operation == STORE:
            S[target] = V[a]
        elif operation == COPY:
            V[target] = V[a]
        elif operation == ADD:
            V[target] = V[a] + V[b]
        elif operation == SUBTRACT:
            V[target] = V[a] - V[b]
        elif operation == MULTIPLY:
            V[target] = V[a] * V[b]
        elif operation == DIVIDE:
            V[target] = V[a] / V[b]
        elif operation == MAX:
            V[target] = max(V[a], V[b])
        elif operation == MIN:
            V[target] = min(V[a], V[b])
        elif operation == ABS:
            V[target] = abs(V[a])
        elif operation == SQRT:
            V[target] = np.sqrt(V[a])
        elif operation == IS_LESS:
            V[target] = V[a] < V[b]
        elif operation == IS_AT_MOST:
            V[target] = V[a] <= V[b]
        elif operation == IS_EQUAL:
            V[target] = V[a] == V[b]
        elif operation == IS_UNEQUAL:
            V[target] = V[a] != V[b]
        elif operation == AND:
            V[target] = V[a] * V[b]
        elif operation == OR:
            V[target] = max(V[a], V[b])
        else:
            V[target] = V[b] if V[a] != 0 else V[c]


def translate(text: str, constants: dict[str, float], dtype) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Translate functions of straight-line code: assignments, conditions, and loops of known length.

    Parameters
    ----------
    text : str
    constants : dict of str to float
        Values of the names that the functions do not assign.
    dtype : dtype
        Precision of the memory.

    Returns
    -------
    dict of str to array
        The tapes.
    array
        The memory that they share.
    """
    writer = _Writer(constants)
    tapes = {}
    for function in ast.parse(text).body:
        assert isinstance(function, ast.FunctionDef)
        writer.tape, writer.names = [], {"xtol": 0}
        writer.block(function.body, {"l": 0}, None)
        tapes[function.name] = np.array(writer.tape, np.uint32).reshape(-1, 5)
    memory = np.zeros(writer.size, dtype)
    memory[list(writer.constants.values())] = list(writer.constants)
    return tapes, memory


class _Writer:
    """Writes one tape after the other; each named variable, each constant has its own entry of the memory."""

    def __init__(self, known: dict[str, float]) -> None:
        self.known = known
        self.size = 1  # entry 0 is `xtol`
        self.constants: dict[float, int] = {}
        self.names: dict[str, int] = {}
        self.tape: list[tuple[int, ...]] = []
        self._scratch: set[int] = set()  # entries for values between operations, and those not in use
        self._spare: list[int] = []

    def block(self, statements: list[ast.stmt], indices: dict[str, int], condition: int | None) -> None:
        """Write statements, in which `indices` are known; they count only under the `condition`."""
        for statement in statements:
            if isinstance(statement, ast.For):
                assert isinstance(statement.iter, ast.Call) and isinstance(statement.target, ast.Name)
                for i in range(*(_index(argument, indices) for argument in statement.iter.args)):
                    self.block(statement.body, indices | {statement.target.id: i}, condition)
            elif isinstance(statement, ast.If):
                inner = self._value(statement.test, indices)
                if condition is not None:
                    inner = self._operation(AND, inner, condition, keep=(condition,))
                self.block(statement.body, indices, inner)
                self._release(inner)
            else:
                assert isinstance(statement, ast.Assign)
                (target,), value = statement.targets, statement.value
                if isinstance(target, ast.Tuple):
                    assert isinstance(value, ast.Tuple)
                    parts = [self._copied(part, indices) for part in value.elts]
                    for name, result in zip(target.elts, parts, strict=True):
                        self._assign(name, result, indices, condition)
                else:
                    self._assign(target, self._value(value, indices), indices, condition)

    def _copied(self, node: ast.expr, indices: dict[str, int]) -> int:
        value = self._value(node, indices)
        return value if value in self._scratch else self._operation(COPY, value)

    def _assign(self, target: ast.expr, result: int, indices, condition: int | None) -> None:
        if condition is not None:
            before = self._value(target, indices)
            result = self._operation(SELECT, condition, result, before, keep=(condition,))
        if isinstance(target, ast.Name):
            entry = self.names.setdefault(target.id, self.size)
            self.size = max(self.size, entry + 1)
            if result in self._scratch and self.tape[-1][1] == result and self.tape[-1][0] != STORE:
                self.tape[-1] = (self.tape[-1][0], entry, *self.tape[-1][2:])  # without a copy
            else:
                self._write(COPY, entry, result)
        else:
            assert isinstance(target, ast.Subscript)
            self._write(STORE, _index(target.slice, indices), result)
        self._release(result)

    def _value(self, node: ast.expr, indices: dict[str, int]) -> int:
        """Write the operations of an expression; return the entry that holds its value."""
        match node:
            case ast.Constant(value):
                return self._constant(float(value))  # type: ignore[arg-type]
            case ast.Name(name):
                return self.names[name] if name in self.names else self._constant(self.known[name])
            case ast.Subscript(slice=index):
                return self._operation(LOAD, _index(index, indices), keep=(_index(index, indices),))
            case ast.UnaryOp(ast.USub(), operand):
                return self._operation(MULTIPLY, self._constant(-1.0), self._value(operand, indices))
            case ast.IfExp(test, body, orelse):
                return self._operation(SELECT, *(self._value(part, indices) for part in (test, body, orelse)))
            case ast.BinOp(left, operation, right):
                return self._chain(BINARY[type(operation)], [left, right], indices)
            case ast.BoolOp(operation, nodes):
                return self._chain(BINARY[type(operation)], nodes, indices)
            case ast.Compare(left, [ast.Gt() | ast.GtE() as operation], [right]):
                return self._operation(
                    MIRRORED[type(operation)], *[self._value(part, indices) for part in (left, right)][::-1]
                )
            case ast.Compare(left, [operation], [right]):
                return self._chain(BINARY[type(operation)], [left, right], indices)
            case ast.Call(ast.Name("T"), [value]):
                return self._value(value, indices)
            case ast.Call(ast.Name("max" | "min" as name), nodes):
                return self._chain(CALLS[name], nodes, indices)
            case ast.Call(ast.Name("muladd"), [ast.UnaryOp(ast.USub(), a), b, c]):
                return self._operation(LESS, *(self._value(part, indices) for part in (a, b, c)))
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), nodes):
                return self._operation(CALLS[name], *(self._value(part, indices) for part in nodes))
        raise NotImplementedError(ast.unparse(node))

    def _chain(self, operation: int, nodes: list[ast.expr], indices: dict[str, int]) -> int:
        result = self._value(nodes[0], indices)
        for node in nodes[1:]:
            result = self._operation(operation, result, self._value(node, indices))
        return result

    def _operation(self, operation: int, *operands: int, keep: tuple[int, ...] = ()) -> int:
        for operand in operands:
            if operand not in keep:
                self._release(operand)
        if not self._spare:
            self._spare.append(self.size)
            self._scratch.add(self.size)
            self.size += 1
        target = self._spare.pop()
        self._write(operation, target, *operands)
        return target

    def _release(self, entry: int) -> None:
        if entry in self._scratch and entry not in self._spare:
            self._spare.append(entry)

    def _write(self, operation: int, target: int, *operands: int) -> None:
        self.tape.append((operation, target, *operands, *(0,) * (3 - len(operands))))

    def _constant(self, value: float) -> int:
        if value not in self.constants:
            self.constants[value] = self.size
            self.size += 1
        return self.constants[value]


def _index(node: ast.expr, indices: dict[str, int]) -> int:
    """Entry of the state: an expression of numbers and loop variables."""
    match node:
        case ast.Constant(int(value)):
            return value
        case ast.Name(name):
            return indices[name]
        case ast.BinOp(left, operation, right):
            return INDICES[type(operation)](_index(left, indices), _index(right, indices))
    raise NotImplementedError(ast.unparse(node))
