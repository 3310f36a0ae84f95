"""Parameters that are tied to others by an expression, as ``{"sigma_2": "2 * sigma_1"}``."""

from functools import lru_cache

import numpy as np

from .compile import load
from .formula import Lines, array_functions, scalar_functions
from .grammar import check_names, parse
from .model import Model

STEP = float(np.finfo(float).eps ** (1 / 3))  # of differences, relative


class Ties:
    """The model with fewer parameters that remains, and the way back to all of them.

    Parameters
    ----------
    model : Model
        With all parameters.
    tied : dict of str to str
        For each tied parameter a formula in others that are not.
    """

    def __init__(self, model: Model, tied: dict[str, str]) -> None:
        self.model = model
        if not isinstance(tied, dict):
            raise ValueError(f"`tied` must be a dict such as {{'b': '2 * a'}}, not {tied!r}.")
        for name, formula in tied.items():
            if name not in model.parameters or not isinstance(formula, str):
                raise ValueError(
                    f"`tied` must give a formula for names of {model.parameters}, not {name!r}: {formula!r}."
                )
        names = tuple(name for name in model.parameters if name not in tied)
        for formula in tied.values():
            check_names(
                formula, parse(formula), names, f"the parameters that are not tied, {names}, nor a constant"
            )
        if not names:
            raise ValueError("`tied` leaves no parameter to fit.")
        self.free = np.array([name not in tied for name in model.parameters])
        self._values = _values(model.parameters, tuple(tied.items()))
        self.reduced = _reduced(model, tuple(tied.items()))

    def all_of(self, popt: np.ndarray) -> np.ndarray:
        """Return all parameters, shape (..., n), from those of the reduced model."""
        with np.errstate(all="ignore"):
            values = self._values(*np.moveaxis(popt, -1, 0))
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
        return propagated(matrix, reduced)


def propagated(matrix: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return ``matrix @ covariance @ matrix.T``; infinite entries stay so where they count."""
    infinite = np.isinf(covariance)
    transposed = np.swapaxes(matrix, -1, -2)
    with np.errstate(invalid="ignore"):
        product = matrix @ np.where(infinite, 0, covariance) @ transposed
    counts = (matrix != 0) @ infinite.astype(float) @ (transposed != 0)
    return np.where(counts > 0, np.inf, product)


def _lines(parameters: tuple[str, ...], tied: tuple[tuple[str, str], ...]) -> tuple[int, str, str]:
    """Return the number of parameters that are left, the lines, and the list of all values."""
    formulas = dict(tied)
    left = [name for name in parameters if name not in formulas]
    lines = Lines({name: f"p{i}" for i, name in enumerate(left)})
    values = [lines.value(parse(formulas[name]) if name in formulas else name) for name in parameters]
    return len(left), "".join(f"    {line}\n" for line in lines.lines), ", ".join(values)


@lru_cache(maxsize=64)
def _values(parameters: tuple[str, ...], tied: tuple[tuple[str, str], ...]):
    """Return the function of arrays that gives all parameters."""
    count, lines, values = _lines(parameters, tied)
    scope = array_functions()
    exec(f"def tied({', '.join(f'p{i}' for i in range(count))}):\n{lines}    return {values},\n", scope)
    return scope["tied"]


def _reduced(model: Model, tied: tuple[tuple[str, str], ...]) -> Model:
    count, lines, values = _lines(model.parameters, tied)
    arguments = ", ".join(f"p{i}" for i in range(count))
    text = f"def tied(x, {arguments}):\n{lines}    return function(x, {values})\n"
    known = scalar_functions() | {"function": model.function}
    names = [name for name in model.parameters if name not in dict(tied)]
    return Model(load("float64", text, known)["tied"], names, model.variables)
