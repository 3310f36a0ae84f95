"""The grammar of formulas: their text is parsed and checked against a whitelist, never evaluated."""

import ast
import difflib
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

LONGEST = 10_000  # characters
DEEPEST = 100  # levels of nesting; a sum of any number of terms is one
CONSTANTS = {"pi": math.pi, "e": math.e}

# The functions and the numbers of their arguments.
FUNCTIONS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh "
        "asinh acosh atanh abs sign floor ceil erf erfc erfcx gamma lgamma j0 j1 y0 i0 i1 k0 k1 expi exp1 "
        "ellipk ellipe".split(),
        (1,),
    ),
    **dict.fromkeys("atan2 hypot jv gammainc".split(), (2,)),
    **dict.fromkeys("where betainc voigt_profile".split(), (3,)),
    "heaviside": (1, 2),
    **dict.fromkeys(("min", "max"), tuple(range(2, 100))),
    "piecewise": tuple(range(3, 100, 2)),  # condition, value, ..., condition, value, value otherwise
}
# Other spellings: NumPy's, SymPy's, C's.
SYNONYMS = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "ln": "log", "fabs": "abs", "absolute": "abs", "Abs": "abs",
    "minimum": "min", "maximum": "max", "Min": "min", "Max": "max", "fmin": "min", "fmax": "max",
    "gammaln": "lgamma", "loggamma": "lgamma", "Heaviside": "heaviside", "ceiling": "ceil",
}  # fmt: skip
OPERATIONS: dict[type[Any], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.USub: "neg", ast.Not: "not",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.And: "and", ast.Or: "or",
}  # fmt: skip
CONDITIONS = frozenset(("<", "<=", ">", ">=", "==", "!=", "and", "or", "not"))


class Node(NamedTuple):
    """An operation, or a function, and its operands: numbers, names and other nodes."""

    operation: str
    operands: tuple[Any, ...]


Tree = float | str | Node


@lru_cache(maxsize=256)
def parse(text: str) -> Tree:
    """Parse a formula.

    Parameters
    ----------
    text : str
        Numbers, names, ``+ - * / **``, comparisons, ``and or not``, ``value if condition else value``, the
        `FUNCTIONS`, and their `SYNONYMS`.

    Returns
    -------
    float, str or Node
        Constant parts are computed, in double precision.

    Raises
    ------
    ValueError
        For anything else, with its position and a remedy.
    """
    if len(text) > LONGEST:
        raise ValueError(f"A formula may have {LONGEST} characters, not {len(text)}: use a function.")
    flat = "".join(" " if character.isspace() else character for character in text).strip()
    if "#" in flat:
        raise _problem(flat, flat.index("#"), "it holds a comment")
    try:
        return _Reader(flat).tree(ast.parse(flat, mode="eval").body, 0)
    except SyntaxError as error:
        raise _problem(flat, _offset(flat, error), _remedy(flat, error)) from None
    except (MemoryError, RecursionError):
        raise _problem(flat, 0, "it is nested too deep") from None
    except UnicodeError:
        raise _problem(flat, 0, "it is no legal text") from None
    except ValueError as error:  # a null character, or a number of thousands of digits
        raise error if str(error).startswith("The formula") else _problem(flat, 0, str(error)) from None


def names_in(tree: Tree) -> Iterator[str]:
    """Yield the names of variables and parameters in the order of the text, each as often as it is there."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Node):
        for operand in tree.operands:
            yield from names_in(operand)


def check_names(text: str, tree: Tree, known: Any, roles: str) -> None:
    """Raise unless all names in a formula are `known`, or constants; `roles` describes the known names."""
    for name in names_in(tree):
        if name not in known and name not in CONSTANTS:
            close = difflib.get_close_matches(name, [*known, *FUNCTIONS], 1)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise ValueError(f"`{name}` in the formula {_shown(text)} is neither among {roles}.{hint}")


def is_condition(tree: Tree) -> bool:
    """Whether a part of a formula is true or false."""
    return isinstance(tree, Node) and tree.operation in CONDITIONS


class _Reader:
    """Turns Python's syntax tree into ours; whatever is not mentioned here is refused."""

    def __init__(self, text: str) -> None:
        self.text = text

    def problem(self, node: ast.AST, problem: str) -> ValueError:
        # Python counts bytes.
        offset = len(self.text.encode()[: node.col_offset].decode(errors="ignore"))  # type: ignore[attr-defined]
        return _problem(self.text, offset, problem)

    def tree(self, node: ast.AST, depth: int) -> Tree:
        if depth > DEEPEST:
            raise self.problem(node, f"it is nested more than {DEEPEST} levels deep")
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return self.number(node, lambda: float(value))
            case ast.Name(id=name):
                return name
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.sum(node, depth)
            case ast.BinOp(op=ast.Mult() | ast.Div() | ast.Pow() as operation):
                return self.node(OPERATIONS[type(operation)], node, (node.left, node.right), depth)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.tree(node.operand, depth + 1)
            case ast.UnaryOp(op=ast.USub() | ast.Not() as operation):
                return self.node(OPERATIONS[type(operation)], node, (node.operand,), depth)
            case ast.BoolOp(op=operation):
                return self.node(OPERATIONS[type(operation)], node, tuple(node.values), depth)
            case ast.Compare():
                return self.comparison(node, depth)
            case ast.IfExp():
                return self.node("where", node, (node.test, node.body, node.orelse), depth)
            case ast.Call():
                return self.call(node, depth)
            case ast.BinOp(op=ast.BitXor()):
                raise self.problem(node, "`^` is no power: write `**`")
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                raise self.problem(node, "`&` and `|` have no meaning: write `and`, `or`")
            case ast.Attribute():
                raise self.problem(node, f"write `{node.attr}` without a module before it")
        raise self.problem(node, "only numbers, names, arithmetic, comparisons and known functions are legal")

    def node(self, operation: str, node: ast.AST, operands: tuple[Any, ...], depth: int) -> Tree:
        return self.made(operation, node, tuple(self.tree(operand, depth + 1) for operand in operands))

    def made(self, operation: str, node: ast.AST, operands: tuple[Any, ...]) -> Tree:
        wanted = _conditions(operation, len(operands))
        for i, operand in enumerate(operands):
            if i in wanted and not is_condition(operand):
                raise self.problem(node, f"`{operation}` needs a condition such as `x > 0`")
        if operation in ARITHMETIC and all(isinstance(operand, float) for operand in operands):
            return self.number(node, lambda: _computed(operation, operands))
        return Node(operation, operands)

    def sum(self, node: ast.AST, depth: int) -> Tree:
        terms = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            term = self.tree(node.right, depth + 1)
            terms.append(self.made("neg", node, (term,)) if isinstance(node.op, ast.Sub) else term)
            first, node = node, node.left
        return self.made("+", first, (self.tree(node, depth + 1), *reversed(terms)))

    def comparison(self, node: ast.Compare, depth: int) -> Tree:
        operands = [self.tree(operand, depth + 1) for operand in (node.left, *node.comparators)]
        parts = []
        for operation, left, right in zip(node.ops, operands, operands[1:], strict=False):
            if type(operation) not in OPERATIONS:
                raise self.problem(node, "`in` and `is` have no meaning")
            parts.append(Node(OPERATIONS[type(operation)], (left, right)))
        return parts[0] if len(parts) == 1 else Node("and", tuple(parts))

    def call(self, node: ast.Call, depth: int) -> Tree:
        if not isinstance(node.func, ast.Name):
            known = isinstance(node.func, ast.Attribute) and node.func.attr in {*FUNCTIONS, *SYNONYMS}
            raise self.problem(
                node,
                f"write `{node.func.attr}` without a module before it"  # type: ignore[attr-defined]
                if known
                else "a product needs its `*`, as in `2 * (x + 1)`",
            )
        name = SYNONYMS.get(node.func.id, node.func.id)
        if name not in FUNCTIONS:
            close = difflib.get_close_matches(name, [*FUNCTIONS, *SYNONYMS], 3)
            if name == "wofz":
                close = ["voigt_profile"]
            hint = f", and a product needs its `*`: `{name} * (...)`"
            if close:
                hint = f"; did you mean {', '.join(f'`{match}`' for match in close)}?"
            raise self.problem(node, f"`{name}` is no known function{hint}")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.problem(node, f"`{name}` takes its arguments one after the other, without names")
        if len(node.args) not in FUNCTIONS[name]:
            allowed = " or ".join(map(str, FUNCTIONS[name][:2])) + (" or more" if FUNCTIONS[name][2:] else "")
            raise self.problem(node, f"`{name}` takes {allowed} arguments, not {len(node.args)}")
        return self.node(name, node, tuple(node.args), depth)

    def number(self, node: ast.AST, compute: Any) -> float:
        try:
            value = compute()
        except (OverflowError, ZeroDivisionError):
            value = math.inf
        if not math.isfinite(value):
            raise self.problem(node, "this constant is no finite number")
        return value


ARITHMETIC: dict[str, Callable[..., float]] = {
    "+": lambda *values: float(sum(values)),
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: float(np.float64(a) ** np.float64(b)),
    "neg": lambda a: -a,
    "sqrt": lambda a: float(np.sqrt(a)),
}


def _computed(operation: str, operands: tuple[Any, ...]) -> float:
    with np.errstate(all="ignore"):
        return ARITHMETIC[operation](*operands)


def _conditions(operation: str, count: int) -> range:
    """Return which operands must be conditions."""
    if operation in ("and", "or", "not"):
        return range(count)
    return range(0, count - 1, 2) if operation in ("where", "piecewise") else range(0)


def _offset(text: str, error: SyntaxError) -> int:
    return error.offset - 1 if error.offset else len(text)


def _remedy(text: str, error: SyntaxError) -> str:
    before = text[: _offset(text, error)].rstrip()
    if before == text and error.msg == "invalid syntax":
        return "it ends too early"
    if "=" in text.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", ""):
        return "write the right-hand side alone, without `=` (`==` compares)"
    if "decimal literal" in str(error.msg) or (before and text[len(before) :].strip()[:1].isalnum()):
        return "a product needs its `*`, as in `2 * x`"
    return str(error.msg)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _problem(text: str, offset: int, problem: str) -> ValueError:
    return ValueError(f"The formula {_shown(text)} cannot be read at position {offset + 1}: {problem}.")
