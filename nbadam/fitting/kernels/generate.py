"""The text of `normal`, the function that evaluates one model, its gradient and normal matrix.

It is the only part of a kernel that differs from model to model; `trust_region` has the algorithm's.
There are two forms.  For short data sets each vector lane is a fit of its own, and all go on in step
(`_over_fits`).  For long data sets, and for many parameters, there is one fit at a time, and the loop
over its points is vectorised (`_over_points`).
"""

from dataclasses import dataclass, field

import numpy as np

from .layout import Layout, Shape, Text, indented
from .sums import BLOCK

# Bytes of a model's code: beyond 60 branches, kernels that take it in take a minute to compile.
LARGE = 6000


@dataclass(frozen=True)
class Pointwise:
    """Text of the computations at a point: parameters are ``p0, p1, ...``, variables ``x0, ...``.

    Attributes
    ----------
    invariant : tuple of str
        Expressions that do not depend on the point: they become ``q0, q1, ...``, each may use those before.
    statements : tuple of str
        Assign the value to `f` and its derivatives by the parameters to ``g0, g1, ...``; other names
        that they assign are ``h0, h1, ...``.
    functions : dict of str to object
        Objects that the other names stand for.
    derivatives : {"exact", "given", "differences"}
        Origin of the derivatives: the model's text, the user's Jacobian, or differences of values.
    constants : int
        Numbers of the function that are data: ``constant0, constant1, ...``, in double precision.
    """

    invariant: tuple[str, ...]
    statements: tuple[str, ...]
    functions: dict[str, object] = field(default_factory=dict)
    derivatives: str = "exact"
    constants: int = 0

    @property
    def is_short(self) -> bool:
        """Whether a copy for each point of a turn, which is fastest, costs little to compile."""
        codes = (getattr(function, "__code__", None) for function in self.functions.values())
        return self.derivatives != "differences" and sum(len(code.co_code) for code in codes if code) < LARGE


def normal(layout: Layout, model: Pointwise) -> str:
    """Text of `normal`, which adds points `begin` to `end` of `m` to the sums at the trial points.

    The sums, chi-square, gradient and normal matrix, start from 0 where `begin` is 0.
    """
    form = _over_points if layout.over_points else _over_fits
    lines = _constants(layout)
    if layout.loss.name != "linear":
        lines += ["c = T(1.0) / (f_scale * f_scale)"]
    lines += form(Text(layout), model)
    kernel = ["def normal(x, S, m, begin, end, f_scale):", *indented(lines)]
    functions = [kernel] if layout.over_points else [_point(Text(layout), model), kernel]
    return "\n\n\n".join("\n".join(lines) for lines in functions) + "\n"


def _constants(layout: Layout) -> list[str]:
    """Read the constants, which are in double precision in a state of any dtype."""
    if not layout.constants:
        return []
    first, words = layout.rows["constant"] * layout.lanes, 8 // np.dtype(layout.dtype).itemsize
    doubles = f"S[{first} : {first + words * layout.constants}].view(np.float64)"
    return [
        f"constants = {doubles}",
        *(f"constant{i} = constants[{i}]" for i in range(layout.constants)),
    ]


def _over_points(text: Text, model: Pointwise) -> list[str]:
    """Evaluate the points of one fit in blocks; the last is filled up with its last point."""
    shape, rows = text.shape, text.rows
    at = {name: f"S[{rows[name]} + l]" for name in shape.block_rows}
    results = shape.results
    inputs = shape.block_rows[: -len(results)]
    copies, filled, body = [], [], []
    for name in inputs:
        if name in shape.columns:
            source = f"S[np.uint64({rows['end']} + {shape.columns.index(name)} * m) + point]"
        else:
            source = f"x[np.uint64({name[1:]}), point]"
        copies.append(f"{at[name]} = {source}")
        filled.append(f"{at[name]} = S[{rows[name]} + count - 1]")
        if name.startswith("x"):
            body.append(f"{name} = {at[name]}")
    body += _residual(shape, model, at["y"], at.get("weight"))
    body += [f"{at[name]} = {name}" for name in results]
    left, right = ("psi", "psi") if shape.loss.name == "linear" else ("rho", "T(1.0)")
    names = "chi2_trial", "lost", left, right, "psi", "g0", results[-shape.parameters]
    arguments = ", ".join(str(rows[name]) for name in names)
    return [
        *(f"p{i} = S[{rows['trial'] + i}]" for i in range(shape.parameters)),
        *(f"q{i} = {expression}" for i, expression in enumerate(model.invariant)),
        *_limits(shape, model, lambda name, i: f"S[{rows[name] + i}]"),
        "if begin == 0:",
        f"    for i in range({shape.sums}):",
        f"        S[{rows['chi2_trial']} + i] = S[{rows['lost']} + i] = T(0.0)",
        f"for k in range(begin, end, {BLOCK}):",
        f"    start, count = np.uint64(k), min({BLOCK}, end - k)",
        "    for l in range(count):",
        "        point = start + np.uint64(l)",
        *indented(indented(copies)),
        f"    for l in range(count, {BLOCK}):",
        *indented(indented(filled)),
        f"    for l in range({BLOCK}):",
        *indented(indented(body)),
        f"    add(S, {shape.parameters}, {arguments}, end - k)",
    ]


def _over_fits(text: Text, model: Pointwise) -> list[str]:
    """Evaluate the points one after the other, each for all lanes."""
    shape = text.shape
    start = [
        f"for l in range({shape.sums * shape.lanes}):",
        f"    S[{text.rows['chi2_trial'] * shape.lanes} + l] = T(0.0)",
    ]
    if shape.invariants:
        first = text.load(p="trial")
        first += [f"q{i} = {expression}" for i, expression in enumerate(model.invariant)]
        first += [f"{text.at('invariant', i)} = q{i}" for i in range(shape.invariants)]
        start += text.lanes(first)
    lines = ["if begin == 0:", *indented(start)]
    if shape.unroll > 1:
        lines += [f"whole = begin + (end - begin) // {shape.unroll} * {shape.unroll}"]
        lines += [f"for k in range(begin, whole, {shape.unroll}):"]
        lines += indented(_points(text, shape.unroll))
    rest = "whole" if shape.unroll > 1 else "begin"
    return [*lines, f"for k in range({rest}, end):", *indented(_points(text, 1))]


def _points(text: Text, count: int) -> list[str]:
    """Add `count` points, from number k on, to the sums."""
    shape, width = text.shape, text.shape.lanes
    lines = []
    if not shape.own_x:
        lines += [f"x{v}_{u} = x[{v}, k + {u}]" for u in range(count) for v in range(shape.variables)]
    lines += [f"data, stride = {text.rows['end'] * width} + k * {width}, m * {width}"]
    calls = []
    for u in range(count):
        given = [
            "S",
            "l",
            f"data + {u * width} + l",
            "stride",
            *_given(shape, "" if shape.own_x else f"_{u}"),
        ]
        calls += [f"    point({', '.join(given)}),"]
    first = f"    S, {text.rows['chi2_trial'] * width} + l, {width},"
    return lines + text.lanes(["add_products(", first, *calls, ")"])


def _given(shape: Layout, number: str) -> list[str]:
    """Arguments of `point` besides the state; the names of variables end with `number`."""
    names = [] if shape.own_x else [f"x{v}{number}" for v in range(shape.variables)]
    names += [f"constant{i}" for i in range(shape.constants)]
    names += [] if shape.loss.name == "linear" else ["c"]
    return [*names, "x", "k", "m"] if shape.correlated else names


def _point(text: Text, model: Pointwise) -> list[str]:
    """Text of `point`, which evaluates a point of a turn in lane l.

    Its data are in entry `data`, and in others that follow at distances of `stride`.  A function of its own
    is compiled once, not for each point of a turn.
    """
    shape = text.shape

    columns = {name: f"datum(S, data + {k} * stride)" for k, name in enumerate(shape.columns)}

    def at(name: str, i: int) -> str:
        return f"datum(S, {(text.rows[name] + i) * shape.lanes} + l)"

    lines = [f"p{i} = {at('trial', i)}" for i in range(shape.parameters)]
    lines += [f"q{i} = {at('invariant', i)}" for i in range(shape.invariants)]
    lines += _limits(shape, model, at)
    lines += [f"{name} = {place}" for name, place in columns.items() if name.startswith("x")]
    lines += _residual(shape, model, columns["y"], columns.get("weight"))
    psi, *gradient = shape.results
    factors = [psi, psi, psi, *gradient, *gradient] if shape.loss.name == "linear" else shape.results
    lines += [f"return {', '.join(factors)}"]
    return [
        f'@register_jitable(error_model="numpy", forceinline={model.is_short})',
        f"def point({', '.join(['S', 'l', 'data', 'stride', *_given(shape, '')])}):",
        *indented(lines),
    ]


def _limits(shape: Shape, model: Pointwise, at) -> list[str]:
    """Assign the bounds to ``low0, high0, ...``: differences must not step across them."""
    if model.derivatives != "differences":
        return []
    ends = [("low", "lower", "-np.inf"), ("high", "upper", "np.inf")]
    return [
        f"{end}{i} = {at(row, i) if shape.bounded else infinity}"
        for end, row, infinity in ends
        for i in range(shape.parameters)
    ]


def _residual(shape: Layout, model: Pointwise, y: str, weight: str | None) -> list[str]:
    """Evaluate the model, its derivatives and the loss at a point."""
    gradient = [f"g{i}" for i in range(shape.parameters)]
    lines = [f"y = {y}", *model.statements]
    if weight is not None:
        lines += [f"w = {weight}"]
    if not shape.loss.is_likelihood:
        lines += ["r = y - f"]
    if shape.correlated:
        lines += _whitened(shape, ["r", *gradient])
    weighted = ["r", *gradient]
    if shape.loss.is_likelihood:
        lines += shape.loss.text
        weighted = ["rho", "psi", "u"]
    if weight is not None:
        # A selection, not only a product: at a point that is left out the model need not be finite.
        lines += [f"{name} = {name} * w if w > T(0.0) else T(0.0)" for name in weighted]
        if shape.loss.is_likelihood:
            lines += [f"{g} = {g} if w > T(0.0) else T(0.0)" for g in gradient]
    return lines + list(() if shape.loss.is_likelihood else shape.loss.text)


def _whitened(shape: Layout, names: list[str]) -> list[str]:
    """Solve for entry k of the whitened `names`, given the Cholesky factor; those before are known."""
    width, row = shape.lanes, f"x[{shape.variables} + k"
    first = f"{shape.rows['end'] * width} + l"
    kept = {name: f"S[{first} + ({len(shape.columns) + i} * m + " for i, name in enumerate(names)}
    lines = ["for j in range(k):"]  # side by side: each sum waits for its own last term
    lines += [f"    {name} = muladd(-{row}, j], {at}j) * {width}], {name})" for name, at in kept.items()]
    for name, at in kept.items():
        lines += [f"{name} = {name} / {row}, k]", f"{at}k) * {width}] = {name}"]
    return lines
