"""Rows of Jacobians: the text that writes them, for fits whose normal matrix is not accurate enough."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..._jit import array, compile_kernel
from ..model.constants import lifted
from ..model.definition import Definition
from ..model.inline import inlined
from ..model.pointwise import pointwise
from .generate import Pointwise
from .layout import columns, indented
from .losses import Loss
from .text import load

KEPT = 16  # compiled functions in memory
_kept: OrderedDict[tuple[Any, ...], Callable[..., Any]] = OrderedDict()  # by age


def rows(
    way: Pointwise, n: int, variables: int, weighted: bool, own_x: bool, correlated: bool, loss: Loss
) -> str:
    """Text of ``rows(x, constants, data, p, low, high, f_scale, first, last, out, chi2)``, all in doubles.

    For each of the points from `first` to `last` of each data set it writes a row of `out`: derivatives
    and residual, in units of the data's errors and scaled by the root of the loss's curvature.  Least
    squares with these rows are the Newton step of the loss.  The points' part is added to `chi2`.
    """
    names = [f"g{i}" for i in range(n)]
    left_out = "w > T(0.0)"  # a selection, not only a product: there the model need not be finite
    known = {} if own_x else {f"x{v}": f"x[{v}, k]" for v in range(variables)}
    own = columns(weighted, variables * own_x)
    known |= {name: f"data[i, {j}, k]" for j, name in enumerate(own)}
    weight = known.pop("weight", None)
    value = [*(f"{name} = {place}" for name, place in known.items()), *way.statements]
    value += [f"w = {weight}"] if weighted else []
    if loss.is_likelihood:
        value += [*loss.text, *_scaled(names)]
        value += [f"{v} = {v} if w > T(0.0) else T(0.0)" for v in [*names, "psi", "rho"] if weighted]
    else:
        value += ["r = y - f"]
        value += [f"{v} = {v} * w if {left_out} else T(0.0)" for v in [*names, "r"] if weighted]
    if loss.name == "linear":
        cost = ["psi = r", "rho = r * r"]
    else:
        cost = [] if loss.is_likelihood else [*loss.text, *_scaled(names)]
    cost += [f"out[i, k - first, {j}] = {name}" for j, name in enumerate([*names, "psi"])]
    cost += ["chi2[i] += rho"]
    points = "for k in range(first, last):"
    if correlated:
        # The Cholesky factor times the row is known; `first` is 0, so that all rows before are there.
        factor = f"x[{variables} + k"
        whiten = [f"out[i, k, {j}] = {name}" for j, name in enumerate([*names, "r"])]
        whiten += ["for h in range(k):", f"    for j in range({n + 1}):"]
        whiten += [f"        out[i, k, j] -= {factor}, h] * out[i, h, j]"]
        whiten += [f"for j in range({n + 1}):", f"    out[i, k, j] /= {factor}, k]"]
        whitened = [f"{name} = out[i, k, {j}]" for j, name in enumerate([*names, "r"])]
        loops = [points, *indented([*value, *whiten]), points, *indented([*whitened, *cost])]
    else:
        loops = [points, *indented([*value, *cost])]
    each = [f"p{j} = p[i, {j}]" for j in range(n)]
    each += [f"q{j} = {expression}" for j, expression in enumerate(way.invariant)]
    if way.derivatives == "differences":  # they must not step across the bounds
        each += [f"low{j}, high{j} = low[i, {j}], high[i, {j}]" for j in range(n)]
    lines = [f"constant{j} = constants[{j}]" for j in range(way.constants)]
    lines += ["c = T(1.0) / (f_scale * f_scale)", "for i in range(data.shape[0]):", *indented(each + loops)]
    return (
        "\n".join(
            [
                "def rows(x, constants, data, p, low, high, f_scale, first, last, out, chi2):",
                *indented(lines),
            ]
        )
        + "\n"
    )


def _scaled(names: list[str]) -> list[str]:
    """Scale a row by the root of the curvature `u`."""
    return ["v = np.sqrt(u)", *(f"{g} = {g} * v" for g in names), "psi = psi / v"]


def rows_kernel(model: Definition, weighted: bool, own_x: bool, correlated: bool, loss: Loss):
    """Return `rows`, compiled, of a model for which kernels were compiled before."""
    key = lifted(model).identity, weighted, own_x, correlated, loss
    kernel = _kept.get(key)
    if kernel is None:
        kernel = _compiled(pointwise(model), len(model.parameters), len(model.variables), *key[1:])
        while len(_kept) >= KEPT:
            with contextlib.suppress(KeyError):  # another thread was faster
                _kept.popitem(last=False)
        _kept[key] = kernel
    return kernel


def _compiled(way: Pointwise, n: int, variables: int, weighted, own_x, correlated, loss: Loss):
    known = dict(way.functions)
    if loss.function is not None:
        known["loss"] = inlined(loss.function)
    module = load("float64", rows(way, n, variables, weighted, own_x, correlated, loss), known)
    line, table, stack = (array(axes=axes, readonly=True) for axes in (1, 2, 3))
    examples = table, line, stack, *(table,) * 3, 1.0, 0, 0, array(axes=3), array()
    return compile_kernel(module["rows"], examples, name=f"rows_{n}", mode="nogil")
