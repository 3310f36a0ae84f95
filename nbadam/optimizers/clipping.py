"""Norms of the gradients of one step, their scale factors, and a check that all are finite."""

from math import inf, isfinite, nan, sqrt

import numpy as np

from ..gradients import clip_scale
from ..sparse import RowGradient
from .variables import Batch, Group

SHRINK = 2.0**-600  # factor that keeps the square of every finite double finite


def scale(batch: Batch, clipvalue: float, clipnorm: float | None, global_clipnorm: float | None) -> None:
    """Set the groups' `scales` so that each gradient, or all together, has at most the norm allowed.

    Norms are those of the gradients after clipping by value.
    """
    limit = clipnorm if global_clipnorm is None else global_clipnorm
    if limit is None:
        for group in batch:
            group.scales.fill(1.0)
        return
    norms, unit = _norms(batch, clipvalue)
    if global_clipnorm is not None:
        total = sqrt(sum(norm * norm for group in norms for norm in group))
        # A gradient that is not finite spoils the direction of all of them.
        shared = clip_scale(total, limit * unit) if isfinite(total) else nan
        for group in batch:
            group.scales[:] = shared
    else:
        for group, group_norms in zip(batch, norms, strict=True):
            group.scales[:] = [clip_scale(norm, limit * unit) for norm in group_norms]


def values_of(row: list[np.ndarray | RowGradient | None]) -> list[np.ndarray | None]:
    """Return the values of the gradients; those of sparse ones before duplicates are summed."""
    return [g.values if isinstance(g, RowGradient) else g for g in row]


def _norms(batch: Batch, clipvalue: float) -> tuple[list[list[float]], float]:
    """Norms for every group, and the unit that they are in: not 1 where squares would overflow."""
    for unit in (1.0, SHRINK):
        norms = [_group_norms(group, values_of(row), clipvalue, unit) for group, row in batch.items()]
        if not any(inf in group_norms for group_norms in norms):
            break
    return norms, unit


def _group_norms(group: Group, row: list[np.ndarray | None], clipvalue: float, unit: float) -> list[float]:
    if unit != 1 and group.variables[0].dtype == np.float64:
        row = [None if g is None else g * unit for g in row]
        return np.sqrt(group.state.sum_squares(row, clipvalue * unit)).tolist()
    return (np.sqrt(group.state.sum_squares(row, clipvalue)) * unit).tolist()  # float32 is summed in double


def check_finite(batch: Batch) -> None:
    """Raise a FloatingPointError if a gradient holds NaN or infinity."""
    for group, gradients in batch.items():
        row = values_of(gradients)
        sums = group.state.sum_squares(row).tolist()
        for variable, g, total in zip(group.variables, row, sums, strict=False):
            if g is None or isfinite(total):
                continue
            bad = np.flatnonzero(~np.isfinite(g))
            if bad.size:  # otherwise only the sum overflowed
                raise FloatingPointError(
                    f"The gradient of a variable of shape {variable.shape} is {g[bad[0]]} "
                    f"in entry {bad[0]} of {g.size}."
                )
