"""The arguments that say something of each parameter: starts, bounds, and which of them are not fitted."""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from ..blocks import is_called_off, user_code
from ..checks import shown
from .arrays import real, unmasked
from .data import as_slice
from .model.model import Model

PAIR = "a pair of lower and upper bounds, or a dict of such pairs by name"


def parse_fixed(fixed: Any, parameters: tuple[str, ...]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return which parameters are fixed, shape (n,), and the values of those that do not stay at p0."""
    if isinstance(fixed, tuple) and not fixed:
        return np.zeros(len(parameters), bool), {}
    given = fixed if isinstance(fixed, dict) else {}
    listed = _listed(fixed)
    names = [fixed] if listed is None else listed
    numbers = [_number_of("fixed", name, parameters) for name in names]
    is_fixed = np.zeros(len(parameters), bool)
    is_fixed[numbers] = True
    if is_fixed.all():
        raise ValueError("`fixed` leaves no parameter to fit.")
    values = {i: unmasked("fixed", given[name]) for i, name in zip(numbers, names, strict=True) if given}
    if not all(np.isfinite(value).all() for value in values.values()):
        raise ValueError(f"`fixed` must give finite values, not {shown(fixed)}.")
    return is_fixed, values


def _listed(value: Any) -> list[Any] | None:
    """Return the entries of a collection; None for strings and for other objects."""
    try:
        return None if isinstance(value, str) else list(value)
    except TypeError:
        return None


def _number_of(argument: str, name: Any, parameters: tuple[str, ...]) -> int:
    if isinstance(name, str) and name in parameters:
        return parameters.index(name)
    is_integer = isinstance(name, int | np.integer) and not isinstance(name, bool)
    if is_integer and argument == "fixed" and 0 <= name < len(parameters):
        return int(name)
    numbers = " or their numbers" if argument == "fixed" else ""
    raise ValueError(f"`{argument}` must list names of {parameters}{numbers}, not {shown(name)}.")


def check_tied(keep: Any, is_fixed: Any, lower: Any, upper: Any, parameters: Any) -> None:
    """Raise if a tied parameter is fixed or bounded, or if nothing is left to fit."""
    if keep.all():
        return  # nothing is tied, and `parse_fixed` has looked at the others
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


def parse_bounds(
    bounds: Any, batch: tuple[int, ...], parameters: tuple[str, ...]
) -> tuple[None, None] | tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of shape (n,) or (fits, n); None where there are none at all."""
    n = len(parameters)
    if bounds is None:
        return None, None
    if isinstance(bounds, tuple) and all(type(bound) is float for bound in bounds) and bounds == (-inf, inf):
        return None, None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        bounds = bounds.lb, bounds.ub
    if isinstance(bounds, dict):
        bounds = _bounds_by_name(bounds, parameters)
    pair = _listed(bounds)
    if pair is None or len(pair) != 2:
        raise ValueError(f"`bounds` must be {PAIR}, not {shown(bounds)}.")
    lower, upper = (_per_fit("bounds", unmasked("bounds", bound), batch, n) for bound in pair)
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


def _bounds_by_name(bounds: dict[str, Any], parameters: tuple[str, ...]) -> list[np.ndarray]:
    """Return lower and upper bounds as arrays whose last axis is that of the parameters."""
    columns = [[np.array(-np.inf)] * len(parameters), [np.array(np.inf)] * len(parameters)]
    for name, pair in bounds.items():
        i = _number_of("bounds", name, parameters)
        if not isinstance(pair, list | tuple | np.ndarray) or len(pair) != 2:
            raise ValueError(f"`bounds` must be {PAIR}, not {shown(pair)} for {name!r}.")
        for column, bound in zip(columns, pair, strict=True):
            column[i] = column[i] if bound is None else unmasked("bounds", bound)
    return [_stacked("bounds", column) for column in columns]


def _stacked(name: str, columns: list[np.ndarray]) -> np.ndarray:
    try:
        return np.stack(np.broadcast_arrays(*columns), axis=-1)
    except ValueError:
        shapes = ", ".join(str(column.shape) for column in columns)
        raise ValueError(f"The entries of `{name}` must go together; their shapes are {shapes}.") from None


def _per_fit(name: str, array: np.ndarray, batch: tuple[int, ...], n: int) -> np.ndarray:
    """Broadcast to shape (n,), or, if there is more than one row, to (fits, n)."""
    if array.shape == (n,):
        return array
    try:
        if array.ndim < 2:
            return np.broadcast_to(array, (n,))
        return np.broadcast_to(array, (*batch, n)).reshape(-1, n)
    except ValueError:
        raise ValueError(
            f"`{name}` of shape {array.shape} must have the shape {(n,)}, or {(*batch, n)} with one row for "
            "each data set."
        ) from None


def parse_start(
    p0: Any,
    model: Model,
    sets: Any,
    batch: Any,
    lower: Any,
    upper: Any,
    is_fixed: Any,
    values: Any,
    tied: Any,
) -> Callable[..., Any]:
    """Return the function that gives p0 of some data sets, shape (fits, n).

    Parameters
    ----------
    p0 : array, dict, callable or None
    values : dict of int to array
        Values of fixed parameters, numbers or of the batch's shape.
    tied : collection of str
        Parameters whose p0 does not matter.
    """
    n, starts = len(model.parameters), np.zeros(0)
    guess = model.guess if p0 is None else p0 if callable(p0) else None
    if guess is None and p0 is None:
        open_ones = [name for i, name in enumerate(model.parameters) if is_fixed[i] and i not in values]
        if open_ones:
            raise ValueError(
                f"`fixed` parameters stay at `p0`: pass it, or `fixed={{{open_ones[0]!r}: value}}`."
            )
        starts = _feasible(lower, upper, n)
    elif guess is None:
        if isinstance(p0, dict):
            p0 = _start_by_name(p0, model.parameters, values, tied)
        if isinstance(p0, str):
            raise ValueError(f"`p0` must be an array of numbers or a function, not {shown(p0)}.")
        starts = unmasked("p0", p0)
        starts = starts.reshape(1) if starts.ndim == 0 and n == 1 else starts
        if starts.ndim == 0 or starts.shape[-1] != n:
            one_by_one = " A model takes its parameters one by one: `f(x, a, b)`, or `f(x, *p)`."
            raise ValueError(
                f"`p0` of shape {starts.shape} must end in the number of parameters, {n}: {model.parameters}."
                + (one_by_one if n == 1 else "")
            )
        starts = _per_fit("p0", starts, batch, n)
        for bound, is_out in ((lower, np.less), (upper, np.greater)):
            if bound is not None and is_out(starts, bound)[..., ~is_fixed].any():
                raise ValueError("`p0` must lie within the `bounds`.")
    columns = {i: _per_set(value, batch, sets.fits) for i, value in values.items()}

    def start(chosen: np.ndarray) -> np.ndarray:
        if guess is not None:
            begun = _guesses(guess, sets, chosen, n)
        else:
            begun = starts[as_slice(chosen)] if starts.ndim == 2 else np.full((len(chosen), n), starts)
        if columns:
            begun = np.array(begun)
        for i, column in columns.items():
            begun[:, i] = column[chosen]
        return begun

    return start


def _per_set(value: np.ndarray, batch: tuple[int, ...], fits: int) -> np.ndarray:
    try:
        return np.broadcast_to(value, batch).reshape(fits)
    except ValueError:
        raise ValueError(
            f"A value of `fixed` of shape {value.shape} must be one number, or have the shape of the batch, "
            f"{batch}."
        ) from None


def _start_by_name(p0: dict[str, Any], parameters: tuple[str, ...], values: Any, tied: Any) -> np.ndarray:
    columns: list[Any] = [None] * len(parameters)
    for name, value in p0.items():
        columns[_number_of("p0", name, parameters)] = unmasked("p0", value)
    for i, name in enumerate(parameters):
        if columns[i] is None:
            if i not in values and name not in tied:
                raise ValueError(f"`p0` must have an entry for {name!r}, too: {shown(p0)} has none.")
            columns[i] = np.array(1.0)
    return _stacked("p0", columns)


def _feasible(lower: Any, upper: Any, n: int) -> np.ndarray:
    """Return SciPy's start where none is given: 1, or within the bounds."""
    if lower is None:
        return np.ones(n)
    low, high = np.isfinite(lower), np.isfinite(upper)
    with np.errstate(invalid="ignore"):
        centre = 0.5 * (lower + upper)
    return np.where(low & high, centre, np.where(low, lower + 1, np.where(high, upper - 1, 1.0)))


def _guesses(guess: Any, sets: Any, chosen: np.ndarray, n: int) -> np.ndarray:
    if hasattr(guess, "of_all"):  # compiled, for all data sets at once
        block = sets.block(chosen, np.float64)
        k = 1 + block.weighted
        used = block.data[:, 1] > 0 if block.weighted else np.ones(block.data[:, 0].shape, bool)
        x = block.data[:, k:] if block.own_x else block.x[None, : guess.variables]
        return guess.of_all(x, block.data[:, 0], used)
    starts = np.full((len(chosen), n), np.nan)
    with user_code():
        for k, i in enumerate(chosen):
            x, y, _ = sets.one(i)
            if is_called_off():
                break
            if y.size:
                values = real("p0", guess(x[0] if len(x) == 1 else x, y))
                if values.shape != (n,):
                    raise ValueError(
                        f"The guess must return {n} numbers, not an array of shape {values.shape}."
                    )
                starts[k] = values
    return starts
