"""The value of a model at some points, in NumPy: for plots and predictions."""

import numpy as np
from numba.extending import is_jitted

from . import functions
from .pointwise import pointwise


def evaluate(model, x, parameters) -> np.ndarray:
    """Evaluate a model.

    Parameters
    ----------
    model : Model
    x : array, shape (m,) or (n_variables, m)
    parameters : sequence of float

    Returns
    -------
    ndarray, shape (m,)
    """
    points = np.atleast_2d(np.asarray(x, dtype=float))
    if points.shape[0] != len(model.variables):
        raise ValueError(f"`x` must have {len(model.variables)} rows, one a variable, not {points.shape[0]}.")
    function = model.function if model.function is not None else _of_formula(model)
    function = function.py_func if is_jitted(function) else function
    with np.errstate(all="ignore"):
        if points.shape[0] == 1:
            return np.array([function(point, *parameters) for point in points[0]], dtype=float)
        return np.array([function(tuple(point), *parameters) for point in points.T], dtype=float)


def _of_formula(model):
    text = pointwise(model)
    scope = {name: getattr(functions, name) for name in functions.__all__} | {"np": np, "T": np.float64}

    def function(x, *parameters):
        values = x if isinstance(x, tuple) else (x,)
        known = scope | {f"x{i}": value for i, value in enumerate(values)}
        known |= {f"p{i}": np.float64(value) for i, value in enumerate(parameters)}
        for i, expression in enumerate(text.invariant):
            known[f"q{i}"] = eval(expression, known)
        for statement in text.statements:
            exec(statement, known)
            if "f" in known:
                break
        return known["f"]

    return function
