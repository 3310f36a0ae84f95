"""Rows of Jacobians: the text that writes them, for fits whose normal matrix is not accurate enough."""

from functools import lru_cache

from numba import types
from numba.core.errors import TypingError

from .._jit import compile_kernel, reason
from . import compile as compiling
from .losses import Loss
from .model import Model
from .pointwise import pointwise


def rows(model: Model, weighted: bool, own_x: bool, correlated: bool, loss: Loss) -> str:
    """Text of ``rows(x, data, p, f_scale, first, last, out, chi2)``, in double precision.

    For each of the points from `first` to `last` of each data set it writes a row of `out`: derivatives
    and residual, in units of the data's errors and scaled by the root of the loss's curvature.  Least
    squares with these rows are the Newton step of the loss.  The points' part is added to `chi2`.
    """
    text = pointwise(model)
    n = len(model.parameters)
    names = [f"g{i}" for i in range(n)]
    left_out = "w > T(0.0)"  # a selection, not only a product: there the model need not be finite
    value = [
        f"x{v} = " + (f"data[i, {1 + weighted + v}, k]" if own_x else f"x[{v}, k]")
        for v in range(len(model.variables))
    ]
    value += ["y = data[i, 0, k]", *text.statements]
    value += ["w = data[i, 1, k]"] if weighted else []
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
        factor = f"x[{len(model.variables)} + k"
        whiten = [f"out[i, k, {j}] = {name}" for j, name in enumerate([*names, "r"])]
        whiten += ["for h in range(k):", f"    for j in range({n + 1}):"]
        whiten += [f"        out[i, k, j] -= {factor}, h] * out[i, h, j]"]
        whiten += [f"for j in range({n + 1}):", f"    out[i, k, j] /= {factor}, k]"]
        whitened = [f"{name} = out[i, k, {j}]" for j, name in enumerate([*names, "r"])]
        loops = [points, *_indented([*value, *whiten]), points, *_indented([*whitened, *cost])]
    else:
        loops = [points, *_indented([*value, *cost])]
    each = [f"p{j} = p[i, {j}]" for j in range(n)]
    each += [f"q{j} = {expression}" for j, expression in enumerate(text.invariant)]
    lines = ["c = T(1.0) / (f_scale * f_scale)", "for i in range(data.shape[0]):", *_indented(each + loops)]
    return "\n".join(["def rows(x, data, p, f_scale, first, last, out, chi2):", *_indented(lines)]) + "\n"


def _scaled(names: list[str]) -> list[str]:
    """Scale a row by the root of the curvature `u`."""
    return ["v = np.sqrt(u)", *(f"{g} = {g} * v" for g in names), "psi = psi / v"]


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


@lru_cache(maxsize=256)
def rows_kernel(model: Model, weighted: bool, own_x: bool, correlated: bool, loss: Loss):
    """Return `rows`, compiled."""
    known = dict(pointwise(model).functions)
    if loss.function is not None:
        known["loss"] = loss.function
    text = rows(model, weighted, own_x, correlated, loss)
    module = compiling.load(f"the Jacobian of {model.name}", "float64", text, known)
    real, count = types.float64, types.int64
    table, stack = (types.Array(real, axes, "C", readonly=True) for axes in (2, 3))
    out, chi2 = types.Array(real, 3, "C"), types.Array(real, 1, "C")
    signature = types.void(table, stack, table, real, count, count, out, chi2)
    try:
        return compile_kernel(module["rows"], signature, name="rows", mode="nogil")
    except TypingError as error:
        raise ValueError(f"Numba cannot compile the model `{model.name}`: {reason(error)}") from error
