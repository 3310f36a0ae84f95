"""Parameters that are tied to others by an expression, as ``{"sigma_2": "2 * sigma_1"}``."""

import ast
import re
from functools import lru_cache

import numpy as np

from .compile import load
from .model import Model

FUNCTIONS = {name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "abs")}
STEP = float(np.finfo(float).eps ** (1 / 3))  # of differences, relative


class Ties:
    """The model with fewer parameters that remains, and the way back to all of them.

    Parameters
    ----------
    model : Model
        With all parameters.
    tied : dict of str to str
        For each tied parameter an expression in others that are not.
    """

    def __init__(self, model: Model, tied: dict[str, str]) -> None:
        self.model = model
        self.free = np.array([name not in tied for name in model.parameters])
        names = [name for name in model.parameters if name not in tied]
        for name, expression in tied.items():
            if name not in model.parameters or not isinstance(expression, str):
                raise ValueError(
                    f"`tied` must give an expression for names of {model.parameters}, not "
                    f"{name!r}: {expression!r}."
                )
            _check(expression, names)
        if not names:
            raise ValueError("`tied` leaves no parameter to fit.")
        self._code = {name: compile(expression, name, "eval") for name, expression in tied.items()}
        self.reduced = _reduced(model, tuple(sorted(tied.items())))

    def all_of(self, popt: np.ndarray) -> np.ndarray:
        """Return all parameters, shape (..., n), from those of the reduced model."""
        known = dict(zip(self.reduced.parameters, np.moveaxis(popt, -1, 0), strict=True))
        values = [
            eval(self._code[name], {"__builtins__": {}, **FUNCTIONS, "pi": np.pi, **known})
            if name in self._code
            else known[name]
            for name in self.model.parameters
        ]
        return np.stack(np.broadcast_arrays(*values), axis=-1).astype(popt.dtype)

    def covariance(self, popt: np.ndarray, reduced: np.ndarray) -> np.ndarray:
        """Return the covariance of all parameters, to first order in the ties.

        Parameters
        ----------
        popt : ndarray, shape (..., n)
            All parameters.
        reduced : ndarray, shape (..., k, k)
            The covariance of those that are not tied.
        """
        centre = popt[..., self.free].astype(float)
        slopes = []
        for i in range(centre.shape[-1]):
            step = STEP * np.where(centre[..., i] == 0, 1, np.abs(centre[..., i]))
            above, below = centre.copy(), centre.copy()
            above[..., i] += step
            below[..., i] -= step
            slopes.append((self.all_of(above) - self.all_of(below)) / (2 * step)[..., None])
        matrix = np.stack(slopes, axis=-1)
        matrix[..., self.free, :] = np.eye(centre.shape[-1])
        with np.errstate(invalid="ignore"):
            return matrix @ reduced @ np.swapaxes(matrix, -1, -2)


def _check(expression: str, names: list[str]) -> None:
    """Raise unless an expression is arithmetic in the given names."""
    operations = ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Call
    legal = (ast.Expression, ast.Constant, ast.Name, ast.Load, *operations)
    try:
        nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    except SyntaxError as error:
        raise ValueError(f"The expression {expression!r} in `tied` cannot be read: {error}") from None
    for node in nodes:
        known = not isinstance(node, ast.Name) or node.id in {*names, *FUNCTIONS, "pi"}
        if not (isinstance(node, legal) and known):
            raise ValueError(
                f"The expression {expression!r} in `tied` must be arithmetic, with {', '.join(FUNCTIONS)}, "
                f"in parameters that are not tied: {names}."
            )


@lru_cache(maxsize=64)
def _reduced(model: Model, tied: tuple[tuple[str, str], ...]) -> Model:
    expressions = dict(tied)
    names = [name for name in model.parameters if name not in expressions]
    if model.formula is not None:
        pattern = r"\b(" + "|".join(map(re.escape, expressions)) + r")\b"
        formula = re.sub(pattern, lambda match: f"({expressions[match[1]]})", model.formula)
        return Model(formula, names, model.variables)
    arguments = ", ".join(f"({expressions.get(name, name)})" for name in model.parameters)
    text = f"def tied(_x, {', '.join(names)}):\n    return _function(_x, {arguments})\n"
    known = {"sqrt": np.sqrt, "abs": abs, "pi": np.pi, "_function": model.function}
    return Model(load(f"{model.name}, tied", "float64", text, known)["tied"], names, model.variables)
