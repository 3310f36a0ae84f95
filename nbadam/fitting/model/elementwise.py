"""Tell functions of a point from functions of the whole array: SciPy's users may write either."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .definition import Definition, identity

POINTS = 8  # places of the comparison
DATA_SETS = 32  # data sets to search for points that differ
REMEMBERED = 1_000  # models
TOLERANCE = 1e-9  # unit: the largest value; NumPy's functions differ by some units of rounding

# By a model's digest the least and the greatest x for which it needs no other evaluation.
_passed: dict[str, tuple[np.ndarray, np.ndarray]] = {}


def check_elementwise(model: Definition, sets: Any, start: Callable[[np.ndarray], np.ndarray]) -> None:
    """Raise if a model's function, or Jacobian, does not treat each point by itself.

    Kernels call the function with one point at a time, in which ``x / np.max(x)`` is 1.  Plain Python
    evaluates it here on an array of some points, in another order, and on each of them.  A function that
    takes no arrays passes.  After it has passed on points that differ, it is evaluated again only for points
    beyond them.

    Parameters
    ----------
    model : Model
    sets : DataSets or RaggedSets
    start : callable
        p0 of the data sets with given numbers.
    """
    if model.formula is not None:
        return
    digest, _ = identity(model)
    if digest in _passed and sets.x.ndim == 2 and sets.x.size and _is_within(sets.x, *_passed[digest]):
        return  # without a look for points that differ, which takes longer than a fit
    for number in range(min(sets.fits, DATA_SETS)):
        x = sets.one(number, copy=False)[0]
        some = _some_points(x) if x.size else x
        if some.shape[1] > 1:
            break
    else:
        return
    low, high = _passed.get(digest, (x[:, 0], x[:, 0]))
    if digest in _passed and _is_within(x, low, high):
        return
    p0 = np.array(start(np.array([number]))[0], dtype=float)
    p0[~np.isfinite(p0)] = 1
    _check_derivatives(model, some, p0)
    known = [_is_elementwise(model, function, some, p0) for function in _functions(model)]
    if all(known) and (some != some[:, :1]).any(axis=1).all():
        if len(_passed) == REMEMBERED:
            _passed.clear()
        _passed[digest] = np.minimum(low, x.min(axis=1)), np.maximum(high, x.max(axis=1))


def _is_within(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    least, greatest = np.minimum.reduce(x, axis=1), np.maximum.reduce(x, axis=1)  # twice as fast as methods
    return bool((least >= low).all() and (greatest <= high).all())


def takes_a_number(function: Callable[..., Any], count: int) -> bool:
    """Whether a function's first argument may be a number, not only a tuple of them."""
    with np.errstate(all="ignore"):
        try:
            function(np.float64(0.5), *np.ones(count))
        except (TypeError, IndexError):
            return False
        except Exception:
            return True
    return True


def on_array(model: Definition, x: np.ndarray, parameters: np.ndarray) -> np.ndarray | None:
    """Evaluate a model's function in plain Python on a whole array.

    Parameters
    ----------
    model : Model
    x : array, shape (n_variables, m)
    parameters : array, shape (n_params,)

    Returns
    -------
    ndarray, shape (m,), or None
        None if the function does not take arrays, or fails.

    Raises
    ------
    ValueError
        If the values are not those of each point.
    """
    function, some = _functions(model)[0], _some_points(x) if x.size else x
    if some.shape[1] < 2 or not _is_elementwise(model, function, some, parameters):
        return None
    values = _values(function, x[0] if len(x) == 1 else x, parameters, x.shape[1])
    return None if values is None or values.shape != (1, x.shape[1]) else values[0]


def _functions(model: Definition) -> list[Callable[..., Any]]:
    functions = [model.function] if model.jacobian is None else [model.function, model.jacobian]
    return [getattr(function, "py_func", function) for function in functions]


def _check_derivatives(model: Definition, x: np.ndarray, parameters: np.ndarray) -> None:
    """Raise if a Jacobian returns no tuple of numbers, but the array that SciPy's `jac` returns."""
    if model.jacobian is None:
        return
    with np.errstate(all="ignore"):
        try:
            result = _functions(model)[1](x[0, 0] if len(x) == 1 else tuple(x[:, 0]), *parameters)
        except Exception:  # the compiler will tell, or the fit
            return
    n, kind = parameters.size, type(result).__name__
    if not isinstance(result, tuple) or len(result) != n:
        found = f"a tuple of {len(result)}" if isinstance(result, tuple) else f"an object of type {kind}"
        raise ValueError(
            f"`jac` of the model `{model.name}` must return the tuple of its {n} derivatives at one point, "
            f"`return by_a, by_b, by_c`, not {found}."
        )


def _some_points(x: np.ndarray) -> np.ndarray:
    """Choose points that differ, and not in their order: shape (n_variables, POINTS) or less."""
    distinct = np.unique(x[:, :: max(1, x.shape[1] // 1000)], axis=1)
    some = distinct[:, np.linspace(0, distinct.shape[1] - 1, POINTS).round().astype(int)]
    some = np.unique(some, axis=1)
    return np.concatenate([some[:, 1::2], some[:, ::-2]], axis=1) if some.shape[1] > 2 else some[:, ::-1]


def _is_elementwise(
    model: Definition, function: Callable[..., Any], x: np.ndarray, parameters: np.ndarray
) -> bool:
    """Raise if the values differ; return whether they could be compared, or arrays are refused."""
    # At the parameters themselves a part of the model may have no effect, or all values be rounding errors.
    steps = 0.01 * (1 + np.arange(parameters.size) * 0.618 % 1)
    near = parameters + np.where(parameters == 0, 1, parameters) * steps
    pairs = [_pair(function, x, p) for p in (parameters, near)]
    sizes = [np.where(np.isfinite(y), np.abs(y), 0).max(axis=1) for y, _ in pairs if y is not None]
    scale = np.max(sizes, axis=0) if len({size.size for size in sizes}) == 1 else np.zeros(1)
    for together, each in pairs:
        is_of_a_point = each is not None and each.shape[1] == x.shape[1]
        if each is None and together is None:
            return False  # it fails, whatever the reason
        if not is_of_a_point or (together is not None and not _agree(together, each, scale)):
            fault = (
                "uses more of its first argument than one point" if each is not None else "takes arrays only"
            )
            if each is None and function is not _functions(model)[0]:
                raise ValueError(
                    f"`jac` of the model `{model.name}` takes arrays only; it must return the tuple of its "
                    f"{parameters.size} derivatives at one point, `return by_a, by_b, by_c`."
                )
            raise ValueError(
                f"The model `{model.name}` {fault}, and it is fitted point by point: write it for one number "
                "x, without loops over the points. What takes more than one point (a maximum, a mean, a sum, "
                "an order ...) compute before and refer to as constants, or pass as another variable, "
                "`xdata` of shape (2, m), where it differs between the points."
            )
    return True


def _pair(function: Callable[..., Any], x: np.ndarray, parameters: np.ndarray) -> tuple[Any, ...]:
    """Return the values on an array and those of each point, or of one if arrays are refused."""
    count = x.shape[1]
    points = [x[0, k] if len(x) == 1 else tuple(x[:, k]) for k in range(count)]
    together = _values(function, x[0].copy() if len(x) == 1 else x.copy(), parameters, count)
    if together is None:
        value = _values(function, points[0], parameters, 1)
        return None, value if value is None or value.shape[1] > 1 else np.tile(value, count)
    apart = [_values(function, point, parameters, 1) for point in points]
    known = [value for value in apart if value is not None]
    return together, np.concatenate(known, axis=1) if len(known) == count else None


def _agree(a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> bool:
    finite = np.isfinite(a)
    if a.shape != b.shape or (finite != np.isfinite(b)).any():
        return False
    difference = np.abs(np.where(finite, a, 0) - np.where(finite, b, 0))
    return bool((difference.max(axis=1) <= TOLERANCE * scale).all())


def _values(function: Callable[..., Any], x: Any, parameters: np.ndarray, count: int) -> np.ndarray | None:
    """Evaluate plain Python; shape (1, count), or (n_params, count) for a Jacobian; None if it raises."""
    with np.errstate(all="ignore"):
        try:
            result = function(x, *parameters)
            rows = result if isinstance(result, tuple) else (result,)
            return np.stack([_row(row, count) for row in rows])
        except Exception:  # a user's function may raise anything
            return None


def _row(value: Any, count: int) -> np.ndarray:
    value = np.asarray(value, dtype=float)
    if value.size == 1:
        return np.full(count, value.reshape(()))
    return value if value.ndim == 1 else np.full(count, np.nan)  # a row of another length agrees with nothing
