"""Formulas as functions of numbers and of arrays."""

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..kernels.functions import where
from ..kernels.text import load
from .grammar import CONSTANTS, Node, Tree, is_condition, parse

# The functions of the grammar that the kernels' functions of the same name do not stand for.
NUMPY = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
    "acosh": "arccosh", "atanh": "arctanh",
} | dict(
    (name, name)
    for name in "exp log sin cos tan sinh cosh tanh sign expm1 log1p log2 log10 sqrt cbrt floor ceil "
    "hypot".split()
)  # fmt: skip
SPECIAL = "j0 j1 y0 i0 i1 k0 k1 jv erfcx expi exp1 ellipk ellipe gammainc betainc voigt_profile".split()
MATH = {"erf": "erf", "erfc": "erfc", "gamma": "gamma", "lgamma": "gammaln"}  # names in scipy.special


class Lines:
    """Formulas as assignments to ``t0, t1, ...``: one operation each, equal ones once, no text of the user.

    Parameters
    ----------
    names : dict of str to str
        Names in the formula and the identifiers that stand for them.
    """

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.lines: list[str] = []
        self._known: dict[str, str] = {}

    def value(self, tree: Tree) -> str:
        """Add the lines of a formula; return the name of its value."""
        if isinstance(tree, float):
            return f"T({tree!r})"
        if isinstance(tree, str):
            return self.names[tree] if tree in self.names else self.value(CONSTANTS[tree])
        if is_condition(tree):
            return self._named(f"where({self._condition(tree)}, T(1.0), T(0.0))")
        operation, operands = tree
        if operation == "+":
            total = self.value(operands[0])
            for term in operands[1:]:
                negative = isinstance(term, Node) and term.operation == "neg"
                operand = self.value(term.operands[0] if negative else term)
                total = self._named(f"{total} {'-' if negative else '+'} {operand}")
            return total
        if operation == "**":
            return self._power(*operands)
        if operation in ("where", "piecewise"):
            values = [
                self._condition(operand) if i % 2 == 0 and i < len(operands) - 1 else self.value(operand)
                for i, operand in enumerate(operands)
            ]
            chosen = values.pop()
            while values:
                value, condition = values.pop(), values.pop()
                chosen = self._named(f"where({condition}, {value}, {chosen})")
            return chosen
        values = [self.value(operand) for operand in operands]
        if operation in ("min", "max"):
            least, sign = values[0], "<" if operation == "min" else ">"
            for other in values[1:]:  # NaN if one of them is
                chosen = self._named(f"where({other} {sign}= {least}, {other}, {least} + {other})")
                least = self._named(f"where({least} {sign} {other}, {least}, {chosen})")
            return least
        if operation == "heaviside":
            x, middle = (*values, "T(0.5)")[:2]
            chosen = self._named(f"where({x} == T(0.0), {middle}, {x})")  # NaN stays NaN
            chosen = self._named(f"where({x} < T(0.0), T(0.0), {chosen})")
            return self._named(f"where({x} > T(0.0), T(1.0), {chosen})")
        if operation == "neg":
            return self._named(f"-{values[0]}")
        if operation in ("*", "/"):
            return self._named(f"{values[0]} {operation} {values[1]}")
        return self._named(f"{operation}({', '.join(values)})")

    def _power(self, base: Tree, exponent: Tree) -> str:
        value = self.value(base)
        if exponent == 0.5:
            return self._named(f"sqrt({value})")
        if isinstance(exponent, float) and exponent.is_integer() and abs(exponent) <= 64:
            return self._named(f"{value} ** {int(exponent)}")  # becomes products
        return self._named(f"{value} ** {self.value(exponent)}")

    def _condition(self, tree: Tree) -> str:
        assert isinstance(tree, Node)
        operation, operands = tree
        if operation in ("and", "or"):
            sign = " & " if operation == "and" else " | "
            return self._named(sign.join(self._condition(operand) for operand in operands))
        if operation == "not":
            return self._named(f"{self._condition(operands[0])} ^ True")
        left, right = (self.value(operand) for operand in operands)
        return self._named(f"{left} {operation} {right}")

    def _named(self, expression: str) -> str:
        if expression not in self._known:
            self._known[expression] = f"t{len(self.lines)}"
            self.lines.append(f"{self._known[expression]} = {expression}")
        return self._known[expression]


def scalar_functions(text: str) -> dict[str, object]:
    """Return the functions of formulas that a text may call, for numbers in kernels."""
    known: dict[str, object] = {name: getattr(np, numpy) for name, numpy in NUMPY.items()}
    known |= {name: getattr(math, name) for name in MATH} | _special(text, {name: name for name in SPECIAL})
    return known | {"abs": abs, "where": where, "T": np.float64}


def array_functions(text: str) -> dict[str, object]:
    """Return the functions of formulas that a text may call, for arrays."""
    return scalar_functions(text) | _special(text, MATH) | {"where": np.where}


def _special(text: str, names: dict[str, str]) -> dict[str, object]:
    called = set(re.findall(r"\w+", text)).intersection(names)
    if not called:
        return {}
    from scipy import special  # takes 0.1 s to import

    return {name: getattr(special, names[name]) for name in called}


@lru_cache(maxsize=256)
def function_of(
    formula: str, variables: tuple[str, ...], parameters: tuple[str, ...], arrays: bool = False
) -> Callable[..., Any]:
    """Make a formula a function ``f(x, *parameters)`` of numbers for Numba, or of arrays for NumPy."""
    lines = Lines(
        {name: f"x{i}" for i, name in enumerate(variables)}
        | {name: f"p{i}" for i, name in enumerate(parameters)}
    )
    result = lines.value(parse(formula))
    arguments = ", ".join(f"p{i}" for i in range(len(parameters)))
    taken = f"{', '.join(f'x{i}' for i in range(len(variables)))} = x"
    body = "".join(f"    {line}\n" for line in [taken, *lines.lines, f"return {result}"])
    text = f"def formula(x, {arguments}):\n{body}"
    if arrays:
        scope = array_functions(text)
        exec(text, scope)
        return scope["formula"]  # type: ignore[return-value]
    return load("float64", text, scalar_functions(text))["formula"]
