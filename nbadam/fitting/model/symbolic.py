"""Derivatives of formulas by SymPy, where it can derive them."""

import math
from functools import cache
from typing import Any

from ..kernels.generate import Pointwise
from .grammar import CONSTANTS, Node, Tree, names_in, parse

# SymPy's names of the functions whose derivatives it takes, and those of the kernels.
FUNCTIONS = {
    "exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tan": "tan",
    "asin": "asin", "acos": "acos", "atan": "atan", "atan2": "atan2",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "erf": "erf", "erfc": "erfc",
    "Abs": "abs", "sign": "sign", "log_of_base": "log_of_base",
}  # fmt: skip

MOST_FACTORS = 64  # powers within powers: SymPy would compute 2**(8**12), which takes for ever


@cache
def derive(formula: str, variables: tuple[str, ...], parameters: tuple[str, ...]) -> Pointwise | None:
    """Differentiate a formula and write it down for `generate.source`; None where SymPy cannot."""
    try:
        import sympy
    except ModuleNotFoundError:
        return None
    tree = parse(formula)
    if _is_unsuited(tree, set(variables)):
        return None
    internal = {name: sympy.Symbol(f"x{i}", real=True) for i, name in enumerate(variables)}
    points = set(internal.values())
    internal |= {name: sympy.Symbol(f"p{i}", real=True) for i, name in enumerate(parameters)}
    try:
        value = _for_sympy(tree, internal)
    except NotImplementedError:
        return None
    derivatives = [value.diff(internal[name]) for name in parameters]
    # The derivative of b**e by e is b**e log(b), and at b = 0 that is 0.
    powers = {power.base for power in value.atoms(sympy.Pow) if not power.exp.is_number}
    log_of_base = sympy.Function("log_of_base")
    logs = {sympy.log(base): log_of_base(base) for base in powers}
    derivatives = [derivative.xreplace(logs) for derivative in derivatives]
    try:
        return _text(value, derivatives, points)
    except NotImplementedError:
        return None


def _is_unsuited(tree: Tree, variables: set[str], factors: float = 1.0, is_within: bool = False) -> bool:
    """Whether SymPy would take for ever, or its derivatives overflow where those of dual numbers do not.

    Parameters
    ----------
    tree : Tree
        Formula, or a part of it.
    variables : set of str
        Names of the variables.
    factors : float
        Product of the constant exponents around the part.
    is_within : bool
        Whether the formula may be finite where the part overflows, as ``1 / (1 + exp(x))`` is.
    """
    if not isinstance(tree, Node):
        return False
    operation, operands = tree
    is_product = operation == "**" and isinstance(operands[1], float)
    if is_product:
        factors *= max(1.0, abs(operands[1]))
        if factors > MOST_FACTORS:
            return True
    # Where the part overflows, derivatives by SymPy are quotients of infinite numbers.
    if is_within and (operation in ("exp", "sinh", "cosh") or (operation == "**" and not is_product)):
        return True
    # Derivatives of x**4 / (k**4 + x**4) square the divisor: infinite in single precision from x = 7e4 on.
    if operation == "/" and all(variables & set(names_in(operand)) for operand in operands):
        return True
    is_limited = operation in ("**", "exp", "tanh", "atan", "atan2", "erf", "erfc")
    limited = (is_within, True) if operation == "/" else [is_within or is_limited] * len(operands)
    return any(
        _is_unsuited(operand, variables, factors, each)
        for operand, each in zip(operands, limited, strict=True)
    )


def _for_sympy(tree: Tree, names: dict[str, Any]) -> Any:
    """Build SymPy's expression of a formula."""
    import sympy

    if isinstance(tree, str):
        return names[tree] if tree in names else sympy.Float(CONSTANTS[tree])
    if isinstance(tree, float):
        return sympy.Float(tree)
    operation, operands = tree
    if operation == "**" and isinstance(operands[1], float) and (2 * operands[1]).is_integer():
        exponent = operands[1]
        if abs(exponent) <= 8:
            return _for_sympy(operands[0], names) ** sympy.Rational(int(2 * exponent), 2)
    values = [_for_sympy(operand, names) for operand in operands]
    if operation == "+":
        return sympy.Add(*values)
    if operation == "*":
        return values[0] * values[1]
    if operation == "/":
        return values[0] / values[1]
    if operation == "**":
        return values[0] ** values[1]
    if operation == "neg":
        return -values[0]
    name = "Abs" if operation == "abs" else operation
    if operation == "sqrt" or name in FUNCTIONS:
        return getattr(sympy, name)(*values)
    raise NotImplementedError(operation)


def _text(value: Any, derivatives: list[Any], points: set[Any]) -> Pointwise:
    import sympy

    printer = _printer()
    common, results = sympy.cse(
        [value, *derivatives], symbols=sympy.numbered_symbols("h", real=True), optimizations="basic"
    )
    invariant: list[str] = []
    known: dict[Any, Any] = {}  # expressions without a variable, and the names that stand for them
    renamed: dict[Any, Any] = {}

    def hoisted(expression: Any) -> Any:
        """Put a name in place of every part of an expression that is the same at all points."""
        expression = expression.xreplace(renamed)
        if not expression.args or expression.is_number:
            return expression
        if not expression.free_symbols & points:
            return named(expression)
        fixed = [arg for arg in expression.args if not arg.free_symbols & points]
        if isinstance(expression, sympy.Mul | sympy.Add) and len(fixed) > 1:
            rest = [hoisted(arg) for arg in expression.args if arg.free_symbols & points]
            return expression.func(named(expression.func(*fixed)), *rest, evaluate=False)
        return expression.func(*(hoisted(arg) for arg in expression.args))

    def named(expression: Any) -> Any:
        if not expression.args or expression.is_number:
            return expression
        if expression not in known:
            known[expression] = sympy.Symbol(f"q{len(invariant)}", real=True)
            invariant.append(printer.doprint(expression))
        return known[expression]

    statements = []
    for symbol, expression in common:
        expression = expression.xreplace(renamed)
        if expression.free_symbols & points:
            points.add(symbol)
            statements.append(f"{symbol} = {printer.doprint(hoisted(expression))}")
        else:
            renamed[symbol] = named(expression)
    for name, result in zip(["f", *(f"g{i}" for i in range(len(derivatives)))], results, strict=True):
        statements.append(f"{name} = {printer.doprint(hoisted(result))}")
    return Pointwise(tuple(invariant), tuple(statements))


@cache
def _printer() -> Any:
    from sympy import Rational
    from sympy.printing.pycode import PythonCodePrinter

    class Printer(PythonCodePrinter):
        """Numbers in the kernel's precision, small powers as products, compiled functions only."""

        def _print_number(self, expression: Any) -> Any:
            value = float(expression)
            if not math.isfinite(value):
                raise NotImplementedError(f"{value} in an expression")
            return f"T({value!r})"

        _print_Integer = _print_Rational = _print_Half = _print_Float = _print_number
        _print_One = _print_Zero = _print_NegativeOne = _print_NumberSymbol = _print_number
        _print_Pi = _print_Exp1 = _print_number

        def _print_Mul(self, expression: Any) -> Any:
            # SymPy's own writes integers without our `T`.
            return " * ".join(f"({self._print(arg)})" for arg in expression.args)

        def _print_Add(self, expression: Any) -> Any:
            return " + ".join(f"({self._print(arg)})" for arg in expression.args)

        def _print_Pow(self, expression: Any, rational: Any = False) -> Any:
            base, exponent = expression.base, expression.exp
            text = f"({self._print(base)})"
            if exponent.is_Rational and exponent.q in (1, 2) and abs(exponent) <= 8:
                whole, half = divmod(abs(exponent), 1)
                factors = [text] * int(whole) + [f"np.sqrt({text})"] * int(half == Rational(1, 2))
                product = " * ".join(factors)
                return f"({product})" if exponent > 0 else f"(T(1.0) / ({product}))"
            return f"({text} ** ({self._print(exponent)}))"

        def _print_Function(self, expression: Any) -> Any:
            name = expression.func.__name__
            if name not in FUNCTIONS:
                raise NotImplementedError(name)
            return f"{FUNCTIONS[name]}({', '.join(map(self._print, expression.args))})"

        _print_exp = _print_log = _print_sin = _print_cos = _print_tan = _print_Function
        _print_asin = _print_acos = _print_atan = _print_atan2 = _print_Function
        _print_sinh = _print_cosh = _print_tanh = _print_erf = _print_erfc = _print_Function
        _print_Abs = _print_sign = _print_Function

        def emptyPrinter(self, expression: Any) -> None:
            raise NotImplementedError(type(expression).__name__)

        def _print_Piecewise(self, expression: Any) -> None:
            raise NotImplementedError("Piecewise")

        _print_Max = _print_Min = _print_Heaviside = _print_Derivative = emptyPrinter

    return Printer()
