"""The value of a model at some points, in NumPy: for plots and predictions."""

import numpy as np
from numba.extending import is_jitted

from .formula import function_of


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
    if model.formula is not None:
        function = function_of(model.formula, model.variables, model.parameters, arrays=True)
        with np.errstate(all="ignore"):
            values = function(points if len(points) > 1 else points[0], *map(np.float64, parameters))
        return np.array(np.broadcast_to(values, points.shape[1:]))
    function = model.function
    function = function.py_func if is_jitted(function) else function
    with np.errstate(all="ignore"):
        if points.shape[0] == 1:
            return np.array([function(point, *parameters) for point in points[0]], dtype=float)
        return np.array([function(tuple(point), *parameters) for point in points.T], dtype=float)
