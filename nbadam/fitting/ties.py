"""Parameters that are tied to others by an expression, as ``{"sigma_2": "2 * sigma_1"}``."""

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba.core.errors import TypingError

from .. import dual
from .._jit import array, compile_kernel
from ..checks import shown
from .kernels.text import load
from .model.formula import Lines, array_functions, scalar_functions
from .model.grammar import check_names, parse
from .model.model import Model

STEP = float(np.finfo(float).eps ** (1 / 3))  # relative step of differences


class Expressions:
    """Values that follow from parameters by formulas.

    Parameters
    ----------
    names : tuple of str
        Parameters, and among them the names of the values.
    formulas : dict of str to str
        For each value a formula in parameters.
    """

    def __init__(self, names: tuple[str, ...], formulas: dict[str, str]) -> None:
        self.names = names
        self.free: np.ndarray = np.array([name not in formulas for name in names])
        self._tied = tuple(formulas.items())
        self._values = _values(names, self._tied)

    def all_of(self, popt: np.ndarray) -> np.ndarray:
        """Return parameters and values, shape (..., n), from the parameters."""
        with np.errstate(all="ignore"):
            values = self._values(*np.moveaxis(popt, -1, 0))
        return np.stack(np.broadcast_arrays(*values), axis=-1).astype(popt.dtype)

    def slopes(self, popt: np.ndarray) -> np.ndarray:
        """Return the derivatives of all by the parameters, shape (..., n, k), where `popt` holds all."""
        centre = np.ascontiguousarray(popt[..., self.free].reshape(-1, np.count_nonzero(self.free)), float)
        matrix = np.empty((len(centre), self.free.size, centre.shape[1]))
        slopes = _slopes(self.names, self._tied)
        if slopes is None:
            self._difference(centre, matrix)
        else:
            slopes(centre, matrix)
        return matrix.reshape(*popt.shape, -1)

    def _difference(self, centre: np.ndarray, matrix: np.ndarray) -> None:
        """Write the derivatives by differences."""
        for i in range(centre.shape[-1]):
            step = STEP * np.where(centre[:, i] == 0, 1, np.abs(centre[:, i]))
            above, below = centre.copy(), centre.copy()
            above[:, i] += step
            below[:, i] -= step
            matrix[:, :, i] = (self.all_of(above) - self.all_of(below)) / (2 * step)[:, None]
        matrix[:, self.free] = np.eye(centre.shape[-1])


class Ties(Expressions):
    """The model with fewer parameters that remains, and the way back to all of them.

    Parameters
    ----------
    model : Model
        With all parameters.
    tied : dict of str to str
        For each tied parameter a formula in others that are not.
    """

    def __init__(self, model: Model, tied: dict[str, str]) -> None:
        for name, formula in tied.items():
            if name not in model.parameters or not isinstance(formula, str):
                raise ValueError(
                    f"`tied` must give a formula for names of {model.parameters}, not "
                    f"{shown(name)}: {shown(formula)}."
                )
        names = tuple(name for name in model.parameters if name not in tied)
        for formula in tied.values():
            check_names(
                formula, parse(formula), names, f"the parameters that are not tied, {names}, nor a constant"
            )
        if not names:
            raise ValueError("`tied` leaves no parameter to fit.")
        super().__init__(model.parameters, tied)
        self.reduced: Model = _reduced(model, self._tied)


Tied = tuple[tuple[str, str], ...]


def _lines(parameters: tuple[str, ...], tied: Tied) -> tuple[int, list[str], list[str]]:
    """Return the number of parameters that are left, the lines, and the names of all values."""
    formulas = dict(tied)
    left = [name for name in parameters if name not in formulas]
    lines = Lines({name: f"p{i}" for i, name in enumerate(left)})
    values = [lines.value(parse(formulas[name]) if name in formulas else name) for name in parameters]
    return len(left), lines.lines, values


@lru_cache(maxsize=64)
def _slopes(parameters: tuple[str, ...], tied: Tied) -> Any:
    """Compile the derivatives of all parameters by those that are left; None where Numba cannot."""
    if numba.config.DISABLE_JIT:
        return None
    count, lines, values = _lines(parameters, tied)
    body = [f"p{i} = seeded(p[f, {i}], {i})" for i in range(count)] + lines
    body += [
        f"slopes[f, {k}, {i}] = derivative_of({value}, {i})"
        for k, value in enumerate(values)
        for i in range(count)
    ]
    text = "".join(f"        {line}\n" for line in body)
    text = f"def slopes(p, slopes):\n    for f in range(p.shape[0]):\n{text}"
    known = scalar_functions(text) | {name: getattr(dual, name) for name in dual.__all__}
    try:
        function = load("float64", text, known)["slopes"]
        return compile_kernel(function, (array(axes=2), array(axes=3)), name="slopes", mode="nogil")
    except TypingError:  # a function without derivative
        return None


@lru_cache(maxsize=64)
def _values(parameters: tuple[str, ...], tied: Tied) -> Any:
    """Return the function of arrays that gives all parameters."""
    count, lines, values = _lines(parameters, tied)
    text = "".join(f"    {line}\n" for line in [*lines, f"return {', '.join(values)},"])
    text = f"def tied({', '.join(f'p{i}' for i in range(count))}):\n{text}"
    scope = array_functions(text)
    exec(text, scope)
    return scope["tied"]


def _reduced(model: Model, tied: Tied) -> Model:
    count, lines, values = _lines(model.parameters, tied)
    arguments = ", ".join(f"p{i}" for i in range(count))
    text = "".join(f"    {line}\n" for line in [*lines, f"return function(x, {', '.join(values)})"])
    text = f"def tied(x, {arguments}):\n{text}"
    known = scalar_functions(text) | {"function": model.function}
    names = [name for name in model.parameters if name not in dict(tied)]
    return Model(load("float64", text, known)["tied"], names, model.variables)
