"""Residuals that are not random: a sign of a wrong minimum that a fit's own data give."""

from typing import Any

import numpy as np

from ..jacobians import POINTS
from ..kernels.kernels import run
from ..kernels.rows import rows_kernel
from ..model.constants import lifted
from ..problem import Plan, bounds_of

LIMIT = 2.5  # standard errors of the correlation between neighbours; random errors exceed it in 0.6 % of fits


def is_structured(sets: Any, plan: Plan, chosen: np.ndarray, popt: np.ndarray) -> np.ndarray:
    """Tell where residuals of neighbouring points are alike, shape (fits,).

    The products of neighbours add up to 0 for random errors, give or take their variance times the root of
    the number of pairs.  Neighbours are next to each other in the variable, or as given if there are several.

    Parameters
    ----------
    sets, plan
    chosen : ndarray of int
        The numbers of the data sets.
    popt : ndarray, shape (fits, n)
    """
    block = sets.block(chosen, np.float64)
    kernel = rows_kernel(plan.model, block.weighted, block.own_x, block.correlated, plan.loss)
    given = lifted(plan.model)
    p, m = np.ascontiguousarray(popt, float), block.data.shape[2]
    bounds = [np.ascontiguousarray(bound, float) for bound in bounds_of(plan, chosen, p.shape[1])]
    residuals = np.empty((len(p), m))
    chi2 = np.zeros(len(p))
    points = m if block.correlated else POINTS
    with np.errstate(all="ignore"):
        for first in range(0, m, points):
            last = min(first + points, m)
            out = np.empty((len(p), last - first, p.shape[1] + 1))
            run(
                kernel, block.x, given.constants, block.data, p, *bounds, plan.f_scale, first, last, out, chi2
            )
            residuals[:, first:last] = out[..., -1]
        used = block.data[:, 1] > 0 if block.weighted else np.ones_like(residuals, bool)
        if len(plan.model.variables) == 1:
            x = block.data[:, -1] if block.own_x else np.broadcast_to(block.x[0], residuals.shape)
            order = np.argsort(np.where(used, x, np.inf), axis=1, kind="stable")
            residuals, used = (np.take_along_axis(array, order, axis=1) for array in (residuals, used))
        pairs = used[:, 1:] & used[:, :-1]
        products = np.where(pairs, residuals[:, 1:] * residuals[:, :-1], 0).sum(axis=1)
        variance = np.where(used, residuals**2, 0).sum(axis=1) / used.sum(axis=1)
        return products > LIMIT * variance * np.sqrt(pairs.sum(axis=1))
