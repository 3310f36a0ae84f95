"""The text of the algorithm: Levenberg-Marquardt as a trust region, for all lanes in step.

More (1978), The Levenberg-Marquardt algorithm: implementation and theory.  Bounds: Coleman and Li (1996),
An interior trust region approach for nonlinear minimization subject to bounds.
"""

from functools import cache
from typing import Any

import numpy as np

from .layout import Shape, Text, indented

FIRST_RADIUS = 0.3  # unit: length of p0; from 1 on, starts far too small run away
# Unit: length of the residuals.  The gain of a shorter first step may be lost in rounding.  Its value hardly
# matters: of 3,780 starts down to 1e-9 of the solution 60 % end right with 1e-3, 61 % with 1e-6 and with 0.
LEAST_RADIUS = 1e-3
NEAR = 0.99  # share of the way to a bound that a step may go
CLOSE = 0.01  # a bound is taken for active where a step would leave less of the way to it
CHEAP = 1e-3  # share of chi-square that the rest of the way may change
# Squares of a parameter's effect on the model, as a share of chi-square, that count as none, and by their
# inverse as not finite.  Without these limits, it depends on units where squares of derivatives underflow.
# Both are far below rounding, 2**-104 and 2**-46; the smallest numbers are 2**-1022 and 2**-126.
NO_EFFECT = {"float64": 2.0**-400, "float32": 2.0**-60}
# Least pivots of the normal matrix above which its inverse is accurate enough.  In single precision they
# only tell which fits may be undetermined.
LEAST_PIVOT = {"float64": 1e-5, "float32": 1e-4}
# Residuals of so many units of rounding of the model's terms count as none.  Of 3,720 fits of exact data, of
# 31 models in both precisions, the largest were 1.4 units; the rest is for less accurate functions.
EXACT = 100
DIVERGED = 1e3  # standard error in units of the parameter


@cache
def least_chi2(dtype: Any) -> float:
    """Return the chi-square below which its terms may have lost digits."""
    return float(np.finfo(dtype).tiny / np.finfo(dtype).eps)


def algorithm(shape: Shape) -> str:
    """Text of `accept_step` and `solve`, the parts of the algorithm that work on each lane for itself.

    It is straight-line code, which `tape` translates.
    """
    text = Text(shape)
    functions = [
        ["def accept_step(S, l, xtol):", *indented(_accept_step(text))],
        ["def solve(S, l, xtol):", *indented(_solve(text))],
    ]
    return "\n\n\n".join("\n".join(lines) for lines in functions) + "\n"


def _accept_step(text: Text) -> list[str]:
    """Accept or reject the trial point and set the radius, as MINPACK's lmder does."""
    shape, at, n = text.shape, text.at, text.shape.parameters
    diagonal = {i: k for k, (i, j) in enumerate(shape.pairs) if i == j}
    sums = [at("chi2_trial"), *(at("gradient_trial", i) for i in range(n))]
    sums += [at("normal_trial", diagonal[i]) for i in range(n)]
    lines = text.load(p="point", t="trial", b="gradient", s="scale")
    lines += [f"a{i} = {at('normal_trial', diagonal[i])}" for i in range(n)]
    lines += [
        # Zero, or NaN.
        "excess = " + " + ".join(f"({entry} - {entry})" for entry in sums),
        f"fresh, radius, norm = {at('fresh')}, {at('radius')}, {at('norm')}",
        f"chi2, chi2_trial, damping = {at('chi2')}, {at('chi2_trial')}, {at('damping')}",
        "finite, is_fresh = excess == T(0.0), fresh > T(0.0)",
        *_limited(text),
        "gain = chi2 - chi2_trial",
        # A step clipped to the bounds can have a negative predicted reduction; abs() keeps an increase from
        # counting as agreement.
        f"ratio = gain / abs({at('predicted')})",
        "slope = " + " + ".join(f"b{i} * (t{i} - p{i})" for i in range(n)),
        "shrink = T(0.5) * slope / (slope - T(0.5) * gain)",
        "shrink = min(max(shrink, T(0.1)), T(0.5)) if is_valid else T(0.1)",
        "smaller = shrink * min(radius, T(10.0) * norm)",
        "larger = T(2.0) * norm if (ratio >= T(0.75)) | (damping == T(0.0)) else radius",
        "radius = larger if (ratio > T(0.25)) & is_valid else smaller",
        "size = np.sqrt(" + " + ".join(f"a{i} * t{i} * t{i}" for i in range(n)) + ")",
        f"size = T({FIRST_RADIUS}) * size if size > T(0.0) else np.sqrt(chi2_trial)",
        f"size = max(size, T({LEAST_RADIUS}) * np.sqrt(chi2_trial))",
        f"{at('radius')} = size if is_fresh else radius",
        "better = is_valid & (is_fresh | (ratio >= T(1e-4)))",
        # Above 0 the fit has failed; below, a step from this region has led to where nothing is finite.
        "lost = fresh if is_fresh else T(-1.0)",
        f"{at('failed')} = (T(0.0) if is_fresh else {at('failed')}) if finite else lost",
        f"{at('fresh')} = T(0.0)",
        f"{at('better')} = T(1.0) if better else T(0.0)",
    ]
    lines += [
        f"{at(row, i)} = T(0.0)" for row in ("frozen", "move") for i in range(n if shape.bounded else 0)
    ]
    for i in range(n):
        lines += [
            f"grown = a{i} if is_fresh else max(a{i}, s{i})",
            f"{at('scale', i)} = {_kept('grown', f's{i}')}",
            f"{at('point', i)} = {_kept(f't{i}', f'p{i}')}",
        ]
    first, count, width = text.rows["chi2"], shape.sums, shape.lanes
    further = (text.rows["chi2_trial"] - first) * width
    lines += [
        f"for i in range({first * width}, {(first + count) * width}, {width}):",
        f"    S[i + l] = {_kept(f'S[i + {further} + l]', 'S[i + l]')}",
    ]
    return lines


def _limited(text: Text) -> list[str]:
    """Set derivatives to 0 that have all but vanished, and reject points where they are next to infinite.

    A p0 may be as small or far as it likes: only later points and further starts are looked at.

    Without bounds, steps to where a parameter has lost its effect are rejected, too: nothing would lead back.
    An edge that is steep between two points is such a place.  Bounds have further starts for that, and minima
    may lie on them, such as an amplitude of 0.
    """
    shape, at = text.shape, text.at
    limit = NO_EFFECT[shape.dtype]
    lines = [
        f"least, later, again = T({limit}) * chi2_trial, fresh == T(0.0), fresh > T(1.0)",
        "largest = max(chi2, chi2_trial) if later else chi2_trial",
    ]
    for i in range(shape.parameters):
        lines += [
            # Of exact data chi-square may fall as far as that: there the effect at the last point counts.
            f"effect, before = t{i} * a{i} * t{i}, p{i} * s{i} * p{i}",
            f"most = T({1 / limit}) * max(largest, before)",
            "finite = finite & ((effect <= most) | (fresh == T(1.0)))",
            # Of `s` such a share may be less than the smallest number; 0 tells that there was none so far.
            f"fallen, is_new = a{i} * T({1 / limit}) <= s{i}, (s{i} == T(0.0)) & (t{i} != T(0.0))",
            f"fallen = (later & (fallen | is_new)) | (again & (t{i} != T(0.0)))",
            f"keep{i} = T(0.0) if fallen & (effect < least) else T(1.0)",
            f"a{i} = a{i} * keep{i}",
            f"{at('gradient_trial', i)} = {at('gradient_trial', i)} * keep{i}",
        ]
    kept = " & ".join(f"((keep{i} > T(0.0)) | (s{i} == T(0.0)))" for i in range(shape.parameters))
    lines += ["is_valid = finite" if shape.bounded else f"is_valid = finite & (is_fresh | ({kept}))"]
    return lines + [
        f"{at('normal_trial', k)} = {at('normal_trial', k)} * keep{i}" + (f" * keep{j}" if i != j else "")
        for k, (i, j) in enumerate(shape.pairs)
    ]


def _kept(new: str, old: str, condition: str = "better") -> str:
    """Take the new value under a condition.

    Adding 0, LLVM cannot make it a write under a mask, which some processors do twenty times slower.
    """
    return f"({new} if {condition} else {old}) + T(0.0)"


def _solve(text: Text) -> list[str]:
    """Compute the step for the damping as it is, and the damping that would bring it to the radius."""
    shape, at, n = text.shape, text.at, text.shape.parameters
    number = {pair: k for k, pair in enumerate(shape.pairs)}
    lines = text.load(p="point", b="gradient", s="scale")
    lines += [f"a{i}_{j} = {at('normal', k)}" for (i, j), k in number.items()]
    lines += [f"damping = {at('damping')}", f"radius = {at('radius')}", f"before = {at('reduction')}"]
    lines += [f"doubts, doubtful, chi2, terms = T(0.0), {at('doubtful')}, {at('chi2')}, T(0.0)"]
    lines += [f"small, unsure, inflated = T(0.0), {at('unsure')}, {at('chi2')}"]
    least, exact = 1.1 * LEAST_PIVOT[shape.dtype], EXACT * float(np.finfo(shape.dtype).eps)
    lowest = least_chi2(shape.dtype)
    if shape.bounded:
        lines += _bounds(text)
    force = "e" if shape.bounded else "b"
    # The matrix as L D L^T: `l` is L, `u` is L D, `r` the inverse of D.  No roots: they would be waited for.
    for i in range(n):
        for j in range(i):
            entry = f"a{i}_{j}" + (f" * free{i} * free{j}" if shape.bounded else "")
            entry = _less(entry, [(f"u{i}_{k}", f"l{j}_{k}") for k in range(j)])
            lines += [f"u{i}_{j} = {entry}", f"l{i}_{j} = u{i}_{j} * r{j}"]
        lines += [f"whole = a{i}_{i} + damping * s{i}" + (f" + wall{i}" if shape.bounded else "")]
        entry = _less("whole", [(f"u{i}_{k}", f"l{i}_{k}") for k in range(i)])
        # Below that share of the entry there is only rounding.  Without derivative there is no step.
        lines += [f"entry = {entry}", "pivot = max(entry, PIVOT * whole)"]
        lines += [
            f"effect{i} = abs(p{i}) * a{i}_{i} * abs(p{i})",
            f"terms = terms + effect{i}",
            "doubts = doubts + (T(0.0) if entry > DOUBT * whole else T(1.0))",
            f"small = small + (T(0.0) if entry > T({least}) * whole else T(1.0))",
        ]
        if shape.bounded:  # pivots may not be those of the whole matrix
            is_apart = f"(held{i} > T(0.0)) | (wall{i} > T({0.1 / n * least}) * entry)"
            lines += [f"small = small + (T(1.0) if {is_apart} else T(0.0))"]
        lines += [
            f"r{i} = T(1.0) / pivot if pivot > T(0.0) else T(0.0)",
            f"inflated = inflated * (whole * r{i})",
        ]
    for i in range(n):
        # At least about the square of its relative error.
        lines += [f"is_lost = inflated > T({DIVERGED}) * effect{i} * T({DIVERGED})"]
        lines += ["doubts = doubts + (T(1.0) if is_lost else T(0.0))"]
    lines += [f"rounding = max(T({exact}) * terms * T({exact}), T({lowest}))"]
    lines += ["small = small + (T(1.0) if chi2 <= rounding else T(0.0))"]
    for i in range(n):
        lines += [f"z{i} = " + _less(f"{force}{i}", [(f"l{i}_{k}", f"z{k}") for k in range(i)])]
    for i in reversed(range(n)):
        lines += [f"d{i} = " + _less(f"z{i} * r{i}", [(f"l{k}_{i}", f"d{k}") for k in range(i + 1, n)])]
    lines += [f"v{i} = s{i} * d{i}" for i in range(n)]
    for i in range(n):
        lines += [f"w{i} = " + _less(f"v{i}", [(f"l{i}_{k}", f"w{k}") for k in range(i)])]
    reduction = [f"d{i} * {force}{i}" for i in range(n)]
    reduction += [f"m{i} * (b{i} + h{i})" for i in range(n if shape.bounded else 0)]
    lines += [
        "square = " + " + ".join(f"v{i} * d{i}" for i in range(n)),
        "norm = np.sqrt(square)",
        # Per square of the norm: the sum itself overflows where a derivative has all but vanished.
        "unit = T(1.0) / norm",
        "curvature = " + " + ".join(f"(w{i} * unit) * r{i} * (w{i} * unit)" for i in range(n)),
        "over = norm > T(1.1) * radius",
        "more = damping + (norm - radius) / (radius * curvature)",
        "reduction = " + " + ".join(reduction),
        f"{at('reduction')} = {_kept('reduction', 'before', 'damping == T(0.0)')}",
        f"{at('doubtful')} = {_kept('doubts', 'doubtful', 'damping == T(0.0)')}",
        f"{at('unsure')} = {_kept('small', 'unsure', 'damping == T(0.0)')}",
        "part = radius / norm if over else T(1.0)",  # for when it is the last attempt
    ]
    if shape.bounded:
        lines += _hits(text)
    growing, settled = (
        ("over & (hits == T(0.0))", "over | (hits > T(0.0))") if shape.bounded else ("over", "over")
    )
    lines += [
        f"{at('damping')} = {_kept('more', 'damping', growing)}",
        f"{at('settled')} = T(0.0) if {settled} else T(1.0)",
        "small = T(-1.0)",
    ]
    for i in range(n):
        if shape.bounded:
            lines += [
                f"t{i} = p{i} + part * d{i}",
                f"t{i} = min(max(t{i}, low{i}), high{i})",
                f"t{i} = (low{i} if m{i} < T(0.0) else high{i}) if m{i} != T(0.0) else t{i}",
                f"d{i} = t{i} - p{i}",
            ]
        else:
            lines += [f"d{i} = part * d{i}", f"t{i} = p{i} + d{i}"]
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


def _bounds(text: Text) -> list[str]:
    """Prepare a step between bounds.

    Where the gradient pushes a parameter to a bound, a wall joins the curvature, the force over the room that
    is left: a step of this parameter alone never reaches the bound.  Steps end at `low` or `high`: short of
    the bound until the rest of the way changes next to nothing.  On many a bound derivatives vanish, and no
    gradient leads back.
    """
    at, n = text.at, text.shape.parameters
    lines = []
    for i in range(n):
        lines += [
            f"lower, upper = {at('lower', i)}, {at('upper', i)}",
            f"m{i}, frozen = {at('move', i)}, {at('frozen', i)}",
            f"room, force = p{i} - lower if b{i} < T(0.0) else upper - p{i}, abs(b{i})",
            f"free{i} = T(1.0) - frozen if room > T(0.0) else T(0.0)",
            f"wall{i} = force / room if free{i} > T(0.0) else T(0.0)",
            f"held{i} = T(1.0) - free{i} if lower < upper else T(0.0)",
            f"lands = (a{i}_{i} * room <= T({CLOSE}) * force) & (force * room <= T({CHEAP}) * chi2)",
            f"down{i}, up{i} = T({NEAR}) * (lower - p{i}), T({NEAR}) * (upper - p{i})",
            f"low{i} = lower if lands & (b{i} < T(0.0)) else p{i} + down{i}",
            f"high{i} = upper if lands & (b{i} > T(0.0)) else p{i} + up{i}",
        ]
    for i in range(n):
        row = " - ".join(f"a{max(i, j)}_{min(i, j)} * m{j}" for j in range(n))
        lines += [f"h{i} = b{i} - {row}", f"e{i} = h{i} * free{i}"]
    return lines


def _hits(text: Text) -> list[str]:
    """Stop parameters where their step would leave the bounds; the next attempt moves the others along."""
    at, n = text.at, text.shape.parameters
    lines = ["hits, inside = T(0.0), norm <= T(1.1) * radius"]
    for i in range(n):
        lines += [
            f"beyond = ((d{i} < down{i}) | (d{i} > up{i})) & (free{i} > T(0.0))",
            f"stop = low{i} - p{i} if d{i} < T(0.0) else high{i} - p{i}",
            "hit = beyond & (inside | (stop == T(0.0)))",
            "hits = hits + (T(1.0) if hit else T(0.0))",
            f"{at('frozen', i)} = T(1.0) if hit else T(1.0) - free{i}",
            f"{at('move', i)} = {_kept('stop', f'm{i}', 'hit')}",
        ]
    return lines


def _less(start: str, products: list[tuple[str, str]]) -> str:
    """Subtract products."""
    for a, b in products:
        start = f"muladd(-{a}, {b}, {start})"
    return start
