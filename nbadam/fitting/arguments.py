"""The arguments of `curve_fit`, checked and in the shapes that the rest works with."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..checks import number, shown
from .arrays import mask_of, real, unmasked
from .model.callables import as_function
from .model.definition import as_now, parameter_names
from .model.model import Model


def parse_model(f: Any, jac: Any, p0: Any, variables: Any) -> Model:
    """Return `f` as a model of this fit alone, with everything that it refers to as it is now."""
    if isinstance(f, Model):
        if jac is not None:
            raise ValueError("`jac` goes with a function: a Model has a `jacobian` of its own.")
        return as_now(f)
    if f is None:
        raise ValueError("`f` must be a function, a formula or a Model, not None.")
    jac = None if jac is None else as_function("jac", jac)
    if not isinstance(f, str):
        as_function("f", f)  # its errors name this argument
    names = None if isinstance(f, str) else _generic_names(f, p0)
    variable_names = ["x"] if variables == 1 else [f"x{i}" for i in range(variables)]
    return as_now(Model(f, names, variable_names, jacobian=jac))


def _generic_names(f: Any, p0: Any) -> list[str] | None:
    """Names for the parameters of a function that does not tell them, as many as `p0` has."""
    if parameter_names(f):
        return None
    if p0 is None or callable(p0):
        raise ValueError("Unable to determine the number of parameters: pass `p0`, or a Model.")
    if isinstance(p0, dict):
        return list(p0)
    return [f"p{i}" for i in range(np.atleast_1d(unmasked("p0", p0)).shape[-1])]


def count_parameters(f: Any, p0: Any) -> int:
    """Count the parameters of a function, by its arguments or by `p0`."""
    return len(parameter_names(f)) or len(_generic_names(f, p0) or ())


def count_variables(f: Any) -> int | None:
    """Count the independent variables of a model, if it tells."""
    return len(f.variables) if isinstance(f, Model) else 1 if isinstance(f, str) else None


def parse_dtype(dtype: Any) -> np.dtype:
    """Return float64 or float32 as a dtype."""
    try:
        checked = np.dtype(dtype)
    except (TypeError, ValueError):
        checked = np.dtype(object)
    if checked not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"`dtype` must be float64 or float32, not {shown(dtype)}.")
    return checked


def positive(name: str, value: Any) -> float:
    """Check a finite number above 0."""
    if number(name, value, low=0) == 0:
        raise ValueError(f"`{name}` must be a finite number > 0, not {value!r}.")
    return float(value)


# SciPy's other arguments: the value that says nothing, and the way out.
OPTIONS: dict[str, tuple[object, str]] = {
    "full_output": (False, "the result has it all: `nfev`, `chi2`, `status` and `message()`"),
    "weights": (None, "pass standard errors, `sigma=1 / np.sqrt(weights)` for weights of the squares"),
    "x_scale": (1.0, "steps do not depend on the units of the parameters"),
    "diag": (None, "steps do not depend on the units of the parameters"),
    "factor": (100, "the first step needs no setting; another `p0` helps, or `search`"),
    "gtol": (1e-8, "fits end by `ftol` and `xtol`"),
    "epsfcn": (None, "derivatives take no steps; a function may come with its own, `jac`"),
    "diff_step": (None, "derivatives take no steps; a function may come with its own, `jac`"),
    "col_deriv": (False, "`jac` returns the tuple of the derivatives at one point"),
    "tr_solver": (None, "there is one solver"),
    "tr_options": (None, "there is one solver"),
    "lsmr_options": (None, "there is one solver"),
    "jac_sparsity": (None, "all derivatives of a point are computed at once"),
    "verbose": (0, "`progress=True` shows a bar"),
    "args": ((), "let the function refer to them, or use `functools.partial`"),
    "kwargs": (None, "let the function refer to them, or use `functools.partial`"),
    "maxiter": (None, "`max_nfev` limits the evaluations"),
}


def parse_options(options: dict[str, Any], max_nfev: Any, known: Iterable[str]) -> int | None:
    """Return `max_nfev`, which SciPy may call `maxfev`; refuse its other arguments with the way out.

    Parameters
    ----------
    options : dict
        The keywords that are no arguments of `curve_fit`; they may have the values that say nothing.
    max_nfev : object
    known : iterable of str
        Names of its arguments, for hints.
    """
    if "maxfev" in options:
        if max_nfev is not None:
            raise TypeError("`maxfev` and `max_nfev` are the same: pass one of them.")
        maxfev = options["maxfev"]
        max_nfev = None if isinstance(maxfev, int) and maxfev == 0 else maxfev  # 0 is SciPy's default
    for name, value in options.items():
        if name in OPTIONS:
            silent, way_out = OPTIONS[name]
            is_silent = isinstance(value, int | float | tuple) and value == silent
            if not (value is None or is_silent):
                raise TypeError(f"curve_fit() takes no `{name}`: {way_out}.")
        elif name != "maxfev":
            close = get_close_matches(name, [*OPTIONS, *known], 1)
            hint = f": did you mean `{close[0]}`?" if close else "."
            raise TypeError(f"curve_fit() got an unexpected keyword argument {name!r}{hint}")
    return max_nfev


def check_all_finite(name: str, value: Any) -> None:
    """Raise if data that are not masked are infinite or NaN."""
    for part in value if isinstance(value, list | tuple) else [value]:
        mask, array = mask_of(part), real(name, part)
        if not (np.isfinite(array) if mask is None else np.isfinite(array) | mask).all():
            raise ValueError(f"`{name}` must not contain infs or NaNs, by `check_finite` or `nan_policy`.")
