"""The text of a kernel that fits one model to as many data sets as it has lanes, all in step.

The state of the lanes lies in one flat array `S` of rows, each with one number for every lane.  LLVM
turns a loop over lanes into vector instructions only if it can see that rows do not overlap; hence
one array with offsets that are constants in the text, and data copied to constant rows before use
(separate arrays: eight times slower).  The loops of the algorithm over parameters are written out.
"""

import re
from dataclasses import dataclass, field

from .losses import Loss

LOCAL = re.compile(r"\b([xhg]\d+|[fryuvwz]|psi|rho\d?)\b")  # what differs from point to point


@dataclass(frozen=True)
class Pointwise:
    """What a kernel computes at a point, as text: parameters are ``p0, p1, ...``, variables ``x0, ...``.

    Attributes
    ----------
    invariant : tuple of str
        Expressions that do not depend on the point: they become ``q0, q1, ...``, each may use those before.
    statements : tuple of str
        Assign the value to `f` and its derivatives by the parameters to ``g0, g1, ...``; other names
        that they assign are ``h0, h1, ...``.
    functions : dict of str to object
        What the other names stand for.
    """

    invariant: tuple[str, ...]
    statements: tuple[str, ...]
    functions: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """What is a constant in the text of the algorithm: it serves all models of this shape."""

    parameters: int
    dtype: str
    bounded: bool
    lanes: int

    @property
    def unroll(self) -> int:
        """Points a turn: as many as the registers hold the sums of."""
        return 4 if self.parameters <= 5 else 2 if self.parameters <= 8 else 1

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Entries of the lower triangle of the normal matrix, in the order of their rows."""
        return [(i, j) for i in range(self.parameters) for j in range(i + 1)]

    @property
    def sums(self) -> int:
        """Rows of chi-square, gradient and normal matrix together."""
        return 1 + self.parameters + len(self.pairs)

    @property
    def rows(self) -> dict[str, int]:
        """First row of each part of the state, and under ``"data"`` that of the data."""
        n = self.parameters
        sizes = {
            "point": n, "trial": n,
            "chi2": 1, "gradient": n, "normal": len(self.pairs),  # at the point
            "chi2_trial": 1, "gradient_trial": n, "normal_trial": len(self.pairs),
            "scale": n, "radius": 1, "damping": 1, "norm": 1, "predicted": 1, "remaining": 1,
            "better": 1, "settled": 1, "small": 1, "fresh": 1, "failed": 1,
            "lower": n * self.bounded, "upper": n * self.bounded, "frozen": n * self.bounded,
        }  # fmt: skip
        return _first_rows(sizes, 0)


@dataclass(frozen=True)
class Layout(Shape):
    """What is a constant in the text of a model's part beside that: how its data lie in the state."""

    variables: int
    invariants: int
    weighted: bool  # a weight for each point, 0 for one that is left out
    own_x: bool  # each data set has its own x
    loss: Loss

    @property
    def columns(self) -> int:
        """Numbers that a data set has at each point: y, the weight if any, its own x if it has."""
        return 1 + self.weighted + self.variables * self.own_x

    @property
    def rows(self) -> dict[str, int]:
        """First row of each part of the state, and under ``"end"`` that of the data."""
        rows = super().rows
        u = self.unroll
        sizes = {
            "invariant": self.invariants,
            "y": u, "weight": u * self.weighted, "x": u * self.variables * self.own_x,
        }  # fmt: skip
        return rows | _first_rows(sizes, rows["end"])


def _first_rows(sizes: dict[str, int], first: int) -> dict[str, int]:
    rows = {}
    for name, size in sizes.items():
        rows[name] = first
        first += size
    return rows | {"end": first}


class _Text:
    """Rows by name, and blocks of text."""

    def __init__(self, shape) -> None:
        self.shape, self.rows = shape, shape.rows

    def at(self, name: str, i: int = 0) -> str:
        """Entry of a row in lane l."""
        return f"S[{(self.rows[name] + i) * self.shape.lanes} + l]"

    def lanes(self, lines: list[str]) -> list[str]:
        return [f"for l in range({self.shape.lanes}):", *indented(lines)]

    def load(self, **names: str) -> list[str]:
        """Assign row `name` to variables such as ``p0, p1`` for each ``p="point"``."""
        n = self.shape.parameters
        return [f"{v}{i} = {self.at(row, i)}" for v, row in names.items() for i in range(n)]


def indented(lines: list[str]) -> list[str]:
    """Indent by one level."""
    return ["    " + line for line in lines]


def algorithm(shape: Shape) -> str:
    """Text of `judge` and `solve`, the parts of the algorithm that work on all lanes."""
    text = _Text(shape)
    functions = [
        ["def judge(S):", *indented(_judge(text))],
        ["def solve(S, xtol):", *indented(text.lanes(_solve(text)))],
    ]
    return "\n\n\n".join("\n".join(lines) for lines in functions) + "\n"


def normal(layout: Layout, model: Pointwise) -> str:
    """Text of `normal`: chi-square, gradient and normal matrix at the trial points of all lanes."""
    lines = ["def normal(x, S, m, f_scale):", *indented(_normal(_Text(layout), model))]
    return "\n".join(lines) + "\n"


# --- Value, gradient and normal matrix ------------------------------------------------------------


def _normal(text: _Text, model: Pointwise) -> list[str]:
    shape = text.shape
    first = text.load(p="trial")
    first += [f"q{i} = {expression}" for i, expression in enumerate(model.invariant)]
    first += [f"{text.at('invariant', i)} = q{i}" for i in range(shape.invariants)]
    lines = [
        *text.lanes(first),
        f"for l in range({shape.sums * shape.lanes}):",
        f"    S[{text.rows['chi2_trial'] * shape.lanes} + l] = T(0.0)",
        "c = T(1.0) / (f_scale * f_scale)",
    ]
    if shape.unroll > 1:
        lines += [f"whole = m // {shape.unroll} * {shape.unroll}"]
        lines += [f"for k in range(0, whole, {shape.unroll}):", *indented(_points(text, model, shape.unroll))]
    start = "whole" if shape.unroll > 1 else "0"
    return [*lines, f"for k in range({start}, m):", *indented(_points(text, model, 1))]


def _points(text: _Text, model: Pointwise, count: int) -> list[str]:
    """Add `count` points, from number k on, to the sums."""
    shape, width = text.shape, text.shape.lanes
    lines = []
    if not shape.own_x:
        lines += [f"x{v}_{u} = x[{v}, k + {u}]" for u in range(count) for v in range(shape.variables)]
    parts = [("y", 0, 1)]
    parts += [("weight", 1, 1)] if shape.weighted else []
    parts += [("x", 1 + shape.weighted, shape.variables)] if shape.own_x else []
    for name, before, repeat in parts:
        for v in range(repeat):
            lines += [
                f"start = {text.rows['end'] * width} + ({before + v} * m + k) * {width}",
                f"for l in range({count * width}):",
                f"    S[{(text.rows[name] + v * count) * width} + l] = S[start + l]",
            ]
    body = text.load(p="trial")
    body += [f"q{i} = {text.at('invariant', i)}" for i in range(shape.invariants)]
    for u in range(count):
        body += [_numbered(line, u) for line in _point(text, model, u, count)]
    for name, i, a, b in _products(shape):
        total = text.at(name, i)
        for u in range(count):
            total = f"muladd({_numbered(a, u)}, {_numbered(b, u)}, {total})"
        body.append(f"{text.at(name, i)} = {total}")
    return lines + text.lanes(body)


def _numbered(text: str, u: int) -> str:
    """Tell the names that belong to point u of a turn from those of the other points."""
    return LOCAL.sub(rf"\1_{u}", text)


def _point(text: _Text, model: Pointwise, u: int, count: int) -> list[str]:
    shape = text.shape
    gradient = [f"g{i}" for i in range(shape.parameters)]
    lines = [f"y = {text.at('y', u)}"]
    if shape.own_x:
        lines += [f"x{v} = {text.at('x', v * count + u)}" for v in range(shape.variables)]
    lines += list(model.statements)
    if shape.weighted:
        lines += [f"w = {text.at('weight', u)}"]
    if not shape.loss.is_likelihood:
        lines += ["r = y - f"]
    weighted = ["r", *gradient]
    if shape.loss.is_likelihood:
        lines += shape.loss.text
        weighted = ["rho", "psi", "u"]
    if shape.weighted:
        # A selection, not only a product: at a point that is left out the model need not be finite.
        lines += [f"{name} = {name} * w if w > T(0.0) else T(0.0)" for name in weighted]
        if shape.loss.is_likelihood:
            lines += [f"{g} = {g} if w > T(0.0) else T(0.0)" for g in gradient]
    return lines + list(() if shape.loss.is_likelihood else shape.loss.text)


def _products(shape: Layout):
    """Rows of the sums, and the two factors of what a point adds to each."""
    linear = shape.loss.name == "linear"
    yield ("chi2_trial", 0, "r", "r") if linear else ("chi2_trial", 0, "rho", "T(1.0)")
    for i in range(shape.parameters):
        yield "gradient_trial", i, f"g{i}", "psi"
    for k, (i, j) in enumerate(shape.pairs):
        yield "normal_trial", k, f"g{i}" if linear else f"(u * g{i})", f"g{j}"


# --- Trust region: More (1978), The Levenberg-Marquardt algorithm: implementation and theory -----


def _judge(text: _Text) -> list[str]:
    """Accept or reject the trial point and set the radius, as MINPACK's lmder does."""
    shape, at, n = text.shape, text.at, text.shape.parameters
    diagonal = {i: k for k, (i, j) in enumerate(shape.pairs) if i == j}
    sums = [at("chi2_trial"), *(at("gradient_trial", i) for i in range(n))]
    sums += [at("normal_trial", diagonal[i]) for i in range(n)]
    lines = text.load(p="point", t="trial", b="gradient", s="scale")
    lines += [f"a{i} = {at('normal_trial', diagonal[i])}" for i in range(n)]
    lines += [
        "finite = " + " + ".join(f"({entry} - {entry})" for entry in sums) + " == T(0.0)",
        f"fresh = {at('fresh')} > T(0.0)",
        f"gain = {at('chi2')} - {at('chi2_trial')}",
        # A step that was cut at bounds may promise a rise: what rises must not pass for kept promises.
        f"ratio = gain / abs({at('predicted')})",
        f"norm = {at('norm')}",
        f"radius = {at('radius')}",
        "slope = " + " + ".join(f"b{i} * (t{i} - p{i})" for i in range(n)),
        "shrink = T(0.5) * slope / (slope - T(0.5) * gain)",
        "shrink = min(max(shrink, T(0.1)), T(0.5)) if finite else T(0.1)",
        "smaller = shrink * min(radius, T(10.0) * norm)",
        f"larger = T(2.0) * norm if ratio >= T(0.75) or {at('damping')} == T(0.0) else radius",
        "radius = larger if ratio > T(0.25) and finite else smaller",
        "size = np.sqrt(" + " + ".join(f"a{i} * t{i} * t{i}" for i in range(n)) + ")",
        f"size = size if size > T(0.0) else np.sqrt({at('chi2_trial')})",
        f"{at('radius')} = size if fresh else radius",
        "better = finite and (fresh or ratio >= T(1e-4))",
        f"{at('failed')} = T(1.0) if fresh and not finite else T(0.0)",
        f"{at('fresh')} = T(0.0)",
        f"{at('better')} = T(1.0) if better else T(0.0)",
    ]
    lines += [f"{at('frozen', i)} = T(0.0)" for i in range(n if shape.bounded else 0)]
    for i in range(n):
        lines += [
            f"grown = a{i} if fresh or a{i} > s{i} else s{i}",
            f"{at('scale', i)} = grown if better else s{i}",
            f"{at('point', i)} = t{i} if better else p{i}",
        ]
    width = shape.lanes
    old, new = (f"S[{text.rows[name] * width} + row + l]" for name in ("chi2", "chi2_trial"))
    return [
        *text.lanes(lines),
        f"for row in range(0, {shape.sums * width}, {width}):",
        *indented(text.lanes([f"{old} = {new} if {at('better')} > T(0.0) else {old}"])),
    ]


def _solve(text: _Text) -> list[str]:
    """Compute the step for the damping as it is, and the damping that would bring it to the radius."""
    shape, at, n = text.shape, text.at, text.shape.parameters
    number = {pair: k for k, pair in enumerate(shape.pairs)}
    lines = text.load(p="point", b="gradient", s="scale")
    lines += [f"a{i}_{j} = {at('normal', k)}" for (i, j), k in number.items()]
    lines += [f"damping = {at('damping')}", f"radius = {at('radius')}"]
    for i in range(n if shape.bounded else 0):
        # A parameter at a bound that its gradient pushes against takes no part.
        low, high = f"p{i} > {at('lower', i)} or b{i} > T(0.0)", f"p{i} < {at('upper', i)} or b{i} < T(0.0)"
        lines += [f"free{i} = T(1.0) - {at('frozen', i)} if ({low}) and ({high}) else T(0.0)"]
        lines += [f"e{i} = b{i} * free{i}"]
    force = "e" if shape.bounded else "b"
    for i in range(n):
        for j in range(i + 1):
            entry = f"a{i}_{j}"
            if i == j:
                entry += f" + damping * s{i}"
            elif shape.bounded:
                entry += f" * free{i} * free{j}"
            entry += "".join(f" - l{i}_{k} * l{j}_{k}" for k in range(j))
            if i == j:
                lines += [f"i{i} = T(1.0) / np.sqrt(max({entry}, PIVOT * s{i} + TINY))"]
            else:
                lines += [f"l{i}_{j} = ({entry}) * i{j}"]
    for i in range(n):
        lines += [f"z{i} = ({force}{i}" + "".join(f" - l{i}_{k} * z{k}" for k in range(i)) + f") * i{i}"]
    for i in reversed(range(n)):
        lines += [f"d{i} = (z{i}" + "".join(f" - l{k}_{i} * d{k}" for k in range(i + 1, n)) + f") * i{i}"]
    lines += [f"v{i} = s{i} * d{i}" for i in range(n)]
    for i in range(n):
        lines += [f"w{i} = (v{i}" + "".join(f" - l{i}_{k} * w{k}" for k in range(i)) + f") * i{i}"]
    lines += [
        "square = " + " + ".join(f"v{i} * d{i}" for i in range(n)),
        "norm = np.sqrt(square)",
        "curvature = " + " + ".join(f"w{i} * w{i}" for i in range(n)),
        "over = norm > T(1.1) * radius",
        "more = damping + (norm - radius) / radius * (square / curvature)",
    ]
    # Nor does one at a bound that the step would leave: the others must know that it stays.
    outward = []
    for i in range(n if shape.bounded else 0):
        low, high = (
            f"p{i} <= {at('lower', i)} and d{i} < T(0.0)",
            f"p{i} >= {at('upper', i)} and d{i} > T(0.0)",
        )
        lines += [f"outward{i} = T(1.0) if ({low}) or ({high}) else T(0.0)"]
        lines += [f"{at('frozen', i)} = max({at('frozen', i)}, outward{i})"]
        outward.append(f"outward{i}")
    lines += [
        "outward = " + (" + ".join(outward) or "T(0.0)"),
        f"{at('damping')} = damping if outward > T(0.0) else more if over else damping",
        f"{at('settled')} = T(0.0) if over or outward > T(0.0) else T(1.0)",
        "part = radius / norm if over else T(1.0)",  # for when it is the last attempt
        f"{at('remaining')} = " + " + ".join(f"d{i} * (damping * v{i} + {force}{i})" for i in range(n)),
        "small = T(-1.0)",
    ]
    for i in range(n):
        lines += [f"d{i} = part * d{i}", f"t{i} = p{i} + d{i}"]
        if shape.bounded:
            lines += [
                f"t{i} = {at('lower', i)} if t{i} < {at('lower', i)} else t{i}",
                f"t{i} = {at('upper', i)} if t{i} > {at('upper', i)} else t{i}",
                f"d{i} = t{i} - p{i}",
            ]
        lines += [f"{at('trial', i)} = t{i}", f"small = max(small, abs(d{i}) - xtol * abs(p{i}))"]
    for i in range(n):
        row = " + ".join(f"a{max(i, j)}_{min(i, j)} * d{j}" for j in range(n))
        lines += [f"u{i} = d{i} * (T(2.0) * b{i} - ({row}))"]
    lines += [
        f"{at('predicted')} = " + " + ".join(f"u{i}" for i in range(n)),
        f"{at('norm')} = " + ("norm * part" if not shape.bounded else
                              "np.sqrt(" + " + ".join(f"s{i} * d{i} * d{i}" for i in range(n)) + ")"),
        f"{at('small')} = small",
    ]  # fmt: skip
    return lines
