"""From a formula to the text of its value and derivatives, by SymPy."""

from functools import cache

from .generate import Pointwise

# SymPy's names of the functions that have a compiled form, and ours.
FUNCTIONS = {
    "exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tan": "tan",
    "asin": "asin", "acos": "acos", "atan": "atan", "atan2": "atan2",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "erf": "erf", "erfc": "erfc",
    "Abs": "abs", "sign": "sign", "log_of_base": "log_of_base",
}  # fmt: skip


@cache
def derive(formula: str, variables: tuple[str, ...], parameters: tuple[str, ...]) -> Pointwise:
    """Differentiate a formula and write it down for `generate.source`.

    Raises
    ------
    ModuleNotFoundError
        If SymPy is missing.
    ValueError
        If the formula cannot be read, names something that is neither a variable nor a parameter, or
        contains a function without compiled form.
    """
    try:
        import sympy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "A formula needs SymPy: install `nbadam[formula]`, or pass a function.", name="sympy"
        ) from error
    names = {name: sympy.Symbol(name, real=True) for name in (*variables, *parameters)}
    try:
        value = sympy.sympify(formula, locals=names)
    except (sympy.SympifyError, TypeError, AttributeError, SyntaxError) as error:
        raise ValueError(f"The formula {formula!r} cannot be read: {error}") from None
    if not isinstance(value, sympy.Expr):
        raise ValueError(f"The formula {formula!r} must be one expression such as 'a * exp(-b * x)'.")
    strange = sorted(str(symbol) for symbol in value.free_symbols - set(names.values()))
    if strange:
        raise ValueError(
            f"{', '.join(strange)} in the formula {formula!r} is neither among the `variables` "
            f"{variables} nor among the `parameters` {parameters}."
        )
    internal = {names[name]: sympy.Symbol(f"x{i}", real=True) for i, name in enumerate(variables)}
    internal |= {names[name]: sympy.Symbol(f"p{i}", real=True) for i, name in enumerate(parameters)}
    value = value.xreplace(internal)
    points = {internal[names[name]] for name in variables}
    derivatives = [value.diff(internal[names[name]]) for name in parameters]
    # The derivative of b**e by e is b**e log(b), and at b = 0 that is 0.
    powers = {power.base for power in value.atoms(sympy.Pow) if not power.exp.is_number}
    log_of_base = sympy.Function("log_of_base")
    logs = {sympy.log(base): log_of_base(base) for base in powers}
    derivatives = [derivative.xreplace(logs) for derivative in derivatives]
    return _text(formula, value, derivatives, points)


def _text(formula: str, value, derivatives: list, points: set) -> Pointwise:
    import sympy

    printer = _printer()
    common, results = sympy.cse(
        [value, *derivatives], symbols=sympy.numbered_symbols("h", real=True), optimizations="basic"
    )
    invariant: list[str] = []
    known: dict = {}  # expressions without a variable, and the names that stand for them
    renamed: dict = {}

    def hoisted(expression):
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

    def named(expression):
        if not expression.args or expression.is_number:
            return expression
        if expression not in known:
            known[expression] = sympy.Symbol(f"q{len(invariant)}", real=True)
            invariant.append(printer.doprint(expression))
        return known[expression]

    statements = []
    try:
        for symbol, expression in common:
            expression = expression.xreplace(renamed)
            if expression.free_symbols & points:
                points.add(symbol)
                statements.append(f"{symbol} = {printer.doprint(hoisted(expression))}")
            else:
                renamed[symbol] = named(expression)
        for name, result in zip(["f", *(f"g{i}" for i in range(len(derivatives)))], results, strict=True):
            statements.append(f"{name} = {printer.doprint(hoisted(result))}")
    except NotImplementedError as error:
        raise ValueError(
            f"{error} in the formula {formula!r}, or in its derivative, has no compiled form; "
            f"these have: sqrt, {', '.join(sorted(set(FUNCTIONS) - {'log_of_base'}))}."
        ) from None
    return Pointwise(tuple(invariant), tuple(statements))


@cache
def _printer():
    from sympy import Rational
    from sympy.printing.pycode import PythonCodePrinter

    class Printer(PythonCodePrinter):
        """Numbers in the kernel's precision, small powers as products, compiled functions only."""

        def _print_number(self, expression):
            return f"T({float(expression)!r})"

        _print_Integer = _print_Rational = _print_Half = _print_Float = _print_number
        _print_One = _print_Zero = _print_NegativeOne = _print_NumberSymbol = _print_number
        _print_Pi = _print_Exp1 = _print_number

        def _print_Mul(self, expression):
            # SymPy's own writes integers without our `T`.
            return " * ".join(f"({self._print(arg)})" for arg in expression.args)

        def _print_Add(self, expression):
            return " + ".join(f"({self._print(arg)})" for arg in expression.args)

        def _print_Pow(self, expression, rational=False):
            base, exponent = expression.base, expression.exp
            text = f"({self._print(base)})"
            if exponent.is_Rational and exponent.q in (1, 2) and abs(exponent) <= 8:
                whole, half = divmod(abs(exponent), 1)
                factors = [text] * int(whole) + [f"np.sqrt({text})"] * int(half == Rational(1, 2))
                product = " * ".join(factors)
                return f"({product})" if exponent > 0 else f"(T(1.0) / ({product}))"
            return f"({text} ** ({self._print(exponent)}))"

        def _print_Function(self, expression):
            name = expression.func.__name__
            if name not in FUNCTIONS:
                raise NotImplementedError(name)
            return f"{FUNCTIONS[name]}({', '.join(map(self._print, expression.args))})"

        _print_exp = _print_log = _print_sin = _print_cos = _print_tan = _print_Function
        _print_asin = _print_acos = _print_atan = _print_atan2 = _print_Function
        _print_sinh = _print_cosh = _print_tanh = _print_erf = _print_erfc = _print_Function
        _print_Abs = _print_sign = _print_Function

        def emptyPrinter(self, expression):
            raise NotImplementedError(type(expression).__name__)

        def _print_Piecewise(self, expression):
            raise NotImplementedError("Piecewise")

        _print_Max = _print_Min = _print_Heaviside = _print_Derivative = emptyPrinter

    return Printer()
