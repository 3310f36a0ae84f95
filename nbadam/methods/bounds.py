"""Bounds in every form that SciPy takes, as two arrays."""

import numpy as np

from ..checks import shown


def parse_bounds(bounds, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of shape (n,), infinite where there is none.

    Parameters
    ----------
    bounds : None, scipy.optimize.Bounds, or sequence of (lower, upper) pairs
        In pairs, None stands for no bound.  The object is not modified.
    n : int
        Number of variables.

    Raises
    ------
    ValueError
        If the number of bounds is not `n`, one is NaN, or a lower bound lies above its upper bound.
    """
    if bounds is None:
        return np.full(n, -np.inf), np.full(n, np.inf)
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        try:
            lower = np.array(np.broadcast_to(np.asarray(bounds.lb, dtype=float), (n,)))
            upper = np.array(np.broadcast_to(np.asarray(bounds.ub, dtype=float), (n,)))
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
    refuse_nan(lower, upper)
    crossed = np.flatnonzero(lower > upper)
    if crossed.size:
        i = crossed[0]
        raise ValueError(
            "An upper bound is less than the corresponding lower bound: "
            f"`bounds` of variable {i} are ({lower[i]:g}, {upper[i]:g})."
        )
    empty = np.flatnonzero((lower == np.inf) | (upper == -np.inf))
    if empty.size:
        raise ValueError(f"`bounds` of variable {empty[0]} leave no finite value.")
    return lower, upper


def refuse_nan(lower: np.ndarray, upper: np.ndarray) -> None:
    """Raise ValueError if a bound is NaN; the last axis is that of the variables."""
    bad = np.argwhere(np.isnan(lower) | np.isnan(upper))
    if bad.size:
        *problem, i = bad[0]
        of = f" of problem {problem[0]}" if problem else ""
        raise ValueError(
            f"`bounds` of variable {i}{of} must not be NaN: for no bound give -inf or inf, or None in a pair."
        )


def _wrong_length(n: int, found: str) -> str:
    return f"The number of bounds is not compatible with the length of `x0`: it has {n} elements, {found}."
