"""Arrays in nested lists, tuples and dicts."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..sparse import IndexedSlices


def leaves(structure: Any) -> list[np.ndarray]:
    """Return the arrays of a nested structure in order."""
    return [variable for _, variable in _paired(None, structure)]


def leaf_pairs(grads_and_vars: Iterable[Any]) -> list[tuple[Any, np.ndarray]]:
    """Pair each array with its gradient.

    Parameters
    ----------
    grads_and_vars : iterable of (gradient, variable)
        A variable is an array or a nested structure of arrays.  Its gradient has the same structure, in
        which None stands for all gradients below it.
    """
    pairs: list[tuple[Any, np.ndarray]] = []
    for entry in grads_and_vars:
        try:
            gradient, variable = entry
        except (TypeError, ValueError):
            raise ValueError(
                f"`grads_and_vars` must hold pairs (gradient, variable), not {_described(entry)}."
            ) from None
        if type(variable) is np.ndarray:
            pairs.append((gradient, variable))
        else:
            pairs.extend(_paired(gradient, variable))
    return pairs


def _paired(gradient: Any, variable: Any) -> Iterator[tuple[Any, np.ndarray]]:
    if isinstance(variable, np.ndarray):
        yield gradient, variable
        return
    if not isinstance(variable, dict | list | tuple):
        if isinstance(variable, IndexedSlices) and isinstance(gradient, np.ndarray):
            raise TypeError("Pairs must be (gradient, variable); these look like (variable, gradient).")
        raise TypeError(
            "A variable must be a NumPy array, which is updated in place, or a list, tuple or dict of "
            f"them, not {_described(variable)}."
        )
    keys = _keys(variable)
    if gradient is not None and _keys(gradient) != keys:
        raise ValueError(
            f"The gradients of a {type(variable).__name__} of variables must come in the same structure, "
            f"with entries {list(keys)}, not as {_described(gradient)}."
        )
    for key in keys:
        yield from _paired(None if gradient is None else gradient[key], variable[key])


def _keys(structure: Any) -> Any:
    """Return the keys or indices of a structure, or None."""
    if isinstance(structure, dict):
        return structure.keys()
    return range(len(structure)) if isinstance(structure, list | tuple) else None


def _described(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.60}"
