"""The values of a model at some points, as a fit sees them: for plots and predictions."""

from typing import Any

import numpy as np
from numba.core.errors import TypingError

from ..._jit import array, compile_kernel, reason
from ..arrays import floats, unmasked
from ..kernels.text import load
from .constants import lifted, packed
from .definition import Definition, as_now
from .elementwise import on_array
from .formula import function_of

REMEMBERED = 64  # kernels

_kernels: dict[str, object] = {}


def evaluate(model: Definition, x: Any, parameters: Any) -> np.ndarray:
    """Evaluate a model; overflows are infinite and undefined values NaN, also where `math` would raise.

    Parameters
    ----------
    model : Model
    x : array, shape (m,) or (n_variables, m)
    parameters : sequence of float

    Returns
    -------
    ndarray, shape (m,)
    """
    points = np.atleast_2d(floats("x", x))
    if points.shape[0] != len(model.variables) or points.ndim != 2:
        raise ValueError(
            f"`x` must have {len(model.variables)} rows, one a variable; its shape is {np.shape(x)}."
        )
    given = [unmasked(name, p) for name, p in zip(model.parameters, parameters, strict=True)]
    if any(number.ndim for number in given):
        raise ValueError(f"The parameters of {model!r} must be one number each.")
    numbers = np.array(given)
    with np.errstate(all="ignore"):
        if model.formula is not None:
            function = function_of(model.formula, model.variables, model.parameters, arrays=True)
            values = function(points if len(points) > 1 else points[0], *numbers)
            return np.array(np.broadcast_to(values, points.shape[1:]))
        # NumPy's functions take whole arrays; others are compiled.
        values = on_array(model, points, numbers)
        if values is None:
            values = np.empty(points.shape[1])
            current = as_now(model)
            apart = lifted(current)
            numbers = np.concatenate([numbers, apart.constants])
            _kernel(current)(np.ascontiguousarray(points), numbers, values)
    return values


def _kernel(model: Definition) -> Any:
    """Return the compiled ``values(x, numbers, out)``: the numbers are parameters and lifted data."""
    digest = lifted(model).identity
    if digest not in _kernels:
        if len(_kernels) == REMEMBERED:
            _kernels.clear()
        _kernels[digest] = _compiled(model)
    return _kernels[digest]


def _compiled(model: Definition) -> Any:
    x = ", ".join(f"x[{v}, k]" for v in range(len(model.variables)))
    n, apart = len(model.parameters), lifted(model)
    x = packed(
        f"({x})" if len(model.variables) > 1 else x, [f"p[{n + i}]" for i in range(len(apart.data[0]))]
    )
    parameters = ", ".join(f"p[{i}]" for i in range(n))
    text = f"""def values(x, p, out):
    for k in range(out.size):
        out[k] = function({x}, {parameters})
"""
    try:
        function = load("float64", text, {"function": apart.inlined(0)})["values"]
        return compile_kernel(function, (array(axes=2), array(), array()), name="values", mode="nogil")
    except TypingError as error:
        raise ValueError(f"Numba cannot compile the model `{model.name}`: {reason(error)}") from error
