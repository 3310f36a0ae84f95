"""Starts and bounds in every form that SciPy takes, as arrays."""

from typing import Any

import numpy as np

from ..checks import shown


def parse_starts(name: str, x0: Any, shapes: dict[int, str]) -> np.ndarray:
    """Return one start or many, an array of real numbers of any precision.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    x0 : array_like
        The starts, which are not copied.
    shapes : dict of int to str
        Shapes that are legal, by their numbers of dimensions.

    Raises
    ------
    ValueError
        If `x0` is masked, is not of real numbers or has another shape.
    """
    if np.ma.is_masked(x0):
        raise ValueError(f"`{name}` must not have masked elements; fill them, or leave them out.")
    try:
        array = np.asarray(x0)
        array = array.astype(float) if array.dtype.kind == "O" else array
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{name}` must be an array of real numbers, not {shown(x0)}.") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"`{name}` must be real numbers (stack real and imaginary parts), not {shown(x0)}.")
    if array.ndim not in shapes:
        legal = " or ".join(shapes.values())
        raise ValueError(f"`{name}` must have the shape {legal}, not {array.shape}.")
    return array


def parse_bounds(bounds: Any, n: int, problems: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of shape (n,), infinite where there is none.

    Parameters
    ----------
    bounds : None, scipy.optimize.Bounds, or sequence of (lower, upper) pairs
        In pairs, None stands for no bound.  The object is not modified.
    n : int
        Number of variables.
    problems : int, optional
        Number of problems.  The arrays of a Bounds may then be of shape (problems, n), like the results.

    Raises
    ------
    ValueError
        If the number of bounds is not `n`, one is NaN, or a lower bound lies above its upper bound.
    """
    if bounds is None:
        return np.full(n, -np.inf), np.full(n, np.inf)
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        is_matrix = max(np.ndim(bounds.lb), np.ndim(bounds.ub)) == 2
        shape = (n,) if problems is None or not is_matrix else (problems, n)
        try:
            lower, upper = (
                np.broadcast_to(np.asarray(array, dtype=float), shape) for array in (bounds.lb, bounds.ub)
            )
        except ValueError:
            raise ValueError(_wrong_length(n, "`bounds.lb` and `bounds.ub` do not broadcast to it")) from None
    else:
        try:
            pairs = [
                (-np.inf if low is None else low, np.inf if high is None else high) for low, high in bounds
            ]
            lower, upper = np.array(pairs, dtype=float).reshape(-1, 2).T.copy()
        except (TypeError, ValueError):
            raise ValueError(
                f"`bounds` must be a scipy.optimize.Bounds or (lower, upper) pairs, not {shown(bounds)}."
            ) from None
        if len(pairs) != n:
            raise ValueError(_wrong_length(n, f"there are {len(pairs)} pairs"))
    for is_bad, complaint in (
        (
            np.isnan(lower) | np.isnan(upper),
            "must not be NaN: for no bound give -inf or inf, or None in a pair",
        ),
        (lower > upper, "cross: an upper bound is less than the corresponding lower bound"),
        ((lower == np.inf) | (upper == -np.inf), "leave no finite value"),
    ):
        if is_bad.any():
            at = tuple(np.argwhere(is_bad)[0])
            of = f" of problem {at[0]}" if len(at) == 2 else ""
            found = f"({lower[at]:g}, {upper[at]:g})"
            raise ValueError(f"`bounds` of variable {at[-1]}{of} {complaint}; they are {found}.")
    return (lower.copy(), upper.copy()) if lower.ndim == 1 else (lower, upper)


def _wrong_length(n: int, found: str) -> str:
    return f"The number of bounds is not compatible with the length of `x0`: it has {n} elements, {found}."
