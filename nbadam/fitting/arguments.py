"""The arguments of `curve_fit`, checked and in the shapes that the rest works with."""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from types import CodeType

import numpy as np

from .._fingerprint import reached
from ..checks import number
from .callables import as_function
from .data import as_slice
from .model import Model, parameter_names

_models: OrderedDict[tuple[Model | None, bytes], Model] = OrderedDict()
KEPT = 256  # models of functions and formulas; each keeps what was compiled for it


def parse_model(f, jac, p0, variables: int) -> Model:
    """Return `f` as a model: the same for functions that do the same, so that they are compiled once.

    Of a Model that is the copy that was made when what it refers to, such as arrays, had the values of now.
    """
    if isinstance(f, Model):
        if jac is not None:
            raise ValueError("`jac` goes with a function: a Model has a `jacobian` of its own.")
        if f.formula is not None:
            return f
        model, owner = copy(f), f
        model._given = f.function  # with attributes of objects as they are now
    elif f is None:
        raise ValueError("`f` must be a function, a formula or a Model, not None.")
    else:
        jac = None if jac is None else as_function("jac", jac)
        names = None if isinstance(f, str) else _generic_names(f, p0)
        variable_names = ["x"] if variables == 1 else [f"x{i}" for i in range(variables)]
        frozen = None if isinstance(f, str) else as_function("f", f)
        model, owner = Model(f, names, variable_names, jacobian=jac), None
        model._given = frozen
    try:
        content = [_content(function) for function in (model.formula or model._given, model.jacobian)]
        key = owner, pickle.dumps([*content, model.parameters, variables])
    except Exception:  # what a function refers to may be anything
        return f if owner is not None else model
    if key in _models:
        _models.move_to_end(key)
    _models[key] = model = _models.get(key, model)
    if len(_models) > KEPT:
        _models.popitem(last=False)
    return model


def _content(function) -> list:
    """All that decides what a function computes, as far as Python can tell."""
    content: list = []
    if function is None:
        return content
    for name, value in reached("", function, set()):
        if hasattr(value, "py_func"):
            value = value.py_func
        if hasattr(value, "__code__"):
            value = *_of_code(value.__code__), value.__defaults__, value.__kwdefaults__
        content.append((name, value))
    return content


def _of_code(code: CodeType) -> tuple:
    constants = [_of_code(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_filename


def _generic_names(f, p0) -> list[str] | None:
    """Names for the parameters of a function that does not tell them, as many as `p0` has."""
    if parameter_names(f):
        return None
    if p0 is None or callable(p0):
        raise ValueError("Unable to determine the number of parameters: pass `p0`, or a Model.")
    return [f"p{i}" for i in range(np.shape(p0)[-1])]


def count_variables(f) -> int | None:
    """How many independent variables a model has, if it tells."""
    return len(f.variables) if isinstance(f, Model) else 1 if isinstance(f, str) else None


def parse_dtype(dtype) -> np.dtype:
    """Return float64 or float32 as a dtype."""
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = np.dtype(object)
    if checked not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"`dtype` must be float64 or float32, not {dtype!r}.")
    return checked


def positive(name: str, value) -> float:
    """Check a finite number above 0."""
    if number(name, value, low=0) == 0:
        raise ValueError(f"`{name}` must be a finite number > 0, not {value!r}.")
    return float(value)


def parse_fixed(fixed, parameters: tuple[str, ...]) -> np.ndarray:
    """Return which parameters are fixed, shape (n,), from their names or numbers."""
    is_fixed = np.zeros(len(parameters), bool)
    names = [fixed] if isinstance(fixed, str) else list(fixed)
    for name in names:
        if isinstance(name, str) and name in parameters:
            is_fixed[parameters.index(name)] = True
        elif (
            isinstance(name, int | np.integer) and not isinstance(name, bool) and 0 <= name < len(parameters)
        ):
            is_fixed[name] = True
        else:
            raise ValueError(f"`fixed` must list names of {parameters} or their numbers, not {name!r}.")
    if is_fixed.all():
        raise ValueError("`fixed` leaves no parameter to fit.")
    return is_fixed


def check_tied(keep, is_fixed, lower, upper, parameters) -> None:
    """Raise if a tied parameter is fixed or bounded, or if nothing is left to fit."""
    bounded = np.zeros(len(parameters), bool)
    for bound in (lower, upper):
        if bound is not None:
            bounded |= np.isfinite(bound.reshape(-1, len(parameters))).any(axis=0)
    for what, has in (("fixed", is_fixed), ("bounded", bounded)):
        if (has & ~keep).any():
            name = parameters[int(np.argmax(has & ~keep))]
            raise ValueError(f"`{name}` is tied: it cannot be {what} as well.")
    if is_fixed[keep].all():
        raise ValueError("`fixed` and `tied` leave no parameter to fit.")


def parse_bounds(bounds, batch: tuple[int, ...], n: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Bounds of shape (n,) or (fits, n); None where there are none at all."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        bounds = bounds.lb, bounds.ub
    try:
        both = [np.asarray(bound, dtype=float) for bound in bounds]
        lower, upper = both
    except (TypeError, ValueError):
        raise ValueError(f"`bounds` must be a pair of lower and upper bounds, not {bounds!r}.") from None
    lower, upper = (_per_fit("bounds", bound, batch, n) for bound in (lower, upper))
    if np.isnan(lower).any() or np.isnan(upper).any():
        raise ValueError("`bounds` must not be NaN; a parameter without a bound has -inf or inf.")
    crossed = np.argwhere(~(lower < upper))
    if crossed.size:
        i = tuple(crossed[0])
        low, high = (np.broadcast_to(bound, np.broadcast_shapes(lower.shape, upper.shape))[i] for bound in
                     (lower, upper))  # fmt: skip
        raise ValueError(
            f"Each lower bound must be less than its upper bound; those of parameter {i[-1]} are {low:g} and "
            f"{high:g}. Use `fixed` for a parameter that is to stay where it is."
        )
    if np.isinf(lower).all() and np.isinf(upper).all():
        return None, None
    return lower, upper


def _per_fit(name: str, array: np.ndarray, batch: tuple[int, ...], n: int) -> np.ndarray:
    """Broadcast to shape (n,), or, if there is more than one row, to (fits, n)."""
    try:
        if array.ndim < 2:
            return np.broadcast_to(array, (n,))
        return np.broadcast_to(array, (*batch, n)).reshape(-1, n)
    except ValueError:
        raise ValueError(
            f"`{name}` of shape {array.shape} must have the shape {(n,)}, or {(*batch, n)} with one row for "
            "each data set."
        ) from None


def parse_start(p0, model: Model, sets, batch, lower, upper, is_fixed) -> Callable:
    """Return the function that gives p0 of some data sets."""
    n = len(model.parameters)
    guess = model.guess if p0 is None else p0 if callable(p0) else None
    if guess is not None:
        return lambda chosen: _guesses(guess, sets, chosen, n)
    if p0 is None:
        if is_fixed.any():
            raise ValueError("`fixed` parameters stay at `p0`: pass it.")
        values = _feasible(lower, upper, n)
    else:
        try:
            values = np.asarray(p0, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"`p0` must be an array of numbers or a function, not {p0!r}.") from None
        values = values.reshape(1) if values.ndim == 0 and n == 1 else values
        if values.ndim == 0 or values.shape[-1] != n:
            raise ValueError(
                f"`p0` of shape {values.shape} must end in the number of parameters, {n}: {model.parameters}."
            )
        values = _per_fit("p0", values, batch, n)
        for bound, is_out in ((lower, np.less), (upper, np.greater)):
            if bound is not None and is_out(values, bound)[..., ~is_fixed].any():
                raise ValueError("`p0` must lie within the `bounds`.")
    return lambda chosen: values[as_slice(chosen)] if values.ndim == 2 else np.tile(values, (len(chosen), 1))


def _feasible(lower, upper, n: int) -> np.ndarray:
    """Where SciPy starts if it is not told: at 1, or within the bounds."""
    if lower is None:
        return np.ones(n)
    low, high = np.isfinite(lower), np.isfinite(upper)
    with np.errstate(invalid="ignore"):
        centre = 0.5 * (lower + upper)
    return np.where(low & high, centre, np.where(low, lower + 1, np.where(high, upper - 1, 1.0)))


def _guesses(guess: Callable, sets, chosen: np.ndarray, n: int) -> np.ndarray:
    starts = np.full((len(chosen), n), np.nan)
    for k, i in enumerate(chosen):
        x, y, _ = sets.one(i)
        if y.size:
            values = np.asarray(guess(x[0] if len(x) == 1 else x, y), dtype=float)
            if values.shape != (n,):
                raise ValueError(f"The guess must return {n} numbers, not an array of shape {values.shape}.")
            starts[k] = values
    return starts
