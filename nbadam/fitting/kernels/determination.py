"""Whether the data determine the parameters of a fit, for fits that end or hardly go on.

Few fits need the answer: the kernel of it is compiled when the first one does.
"""

from functools import cache
from math import sqrt
from typing import Any

import numpy as np

from ..._jit import array, compile_kernel
from ..._jitable import register_jitable
from ...status import Status
from ..covariance import invert_factor
from .lanes import take
from .trust_region import DIVERGED

SUCCESS, RUNAWAY, UNDETERMINED = map(int, (Status.SUCCESS, Status.RUNAWAY, Status.UNDETERMINED))


def determination(own, point, normal_row, i, p0, lower, upper, variance, limit, triangle, factor, free):
    """Return RUNAWAY or UNDETERMINED if a fit is that where it is, else SUCCESS.

    Parameters
    ----------
    own : array
        Column of the state of the lane.
    point, normal_row : int
        Rows of the parameters and of the lower triangle of the normal matrix.
    i : int
        Of the fit.
    p0, lower, upper : arrays of shape (fits, n), or (0, 0) without bounds
    variance : float
        Of the residuals.
    limit : float
        See `covariance.invert_factor`.
    triangle, factor, free : arrays of shape (n * (n + 1) // 2,), (n + 1, n) and (n,)
        Scratch.
    """
    n = free.size
    for j in range(n):
        free[j] = lower.size == 0 or lower[i, j] < own[point + j] < upper[i, j]
    take(own, normal_row, triangle)
    if not inverted(triangle, free, limit, factor):
        return UNDETERMINED
    return RUNAWAY if runs_away(factor, own[point : point + n], p0[i], free, variance) else SUCCESS


inverted = register_jitable(error_model="numpy")(invert_factor)


@register_jitable(error_model="numpy")
def runs_away(factor, p, p0, free, variance):
    """Whether parameters have standard errors far beyond their size.

    Parameters
    ----------
    factor : array of shape (n + 1, n)
        As `covariance.invert_factor` writes it.
    p, p0 : arrays of shape (n,)
    free : array of bool, shape (n,)
        Parameters that are not fixed or at a bound.
    variance : float
        Variance of the residuals.
    """
    far, n = 0, p.size
    for i in range(n):
        error = 0.0
        for k in range(i, n):
            error += factor[k, i] * factor[k, i]
        if free[i] and sqrt(error * variance) * factor[n, i] > DIVERGED * abs(p[i]):
            # One parameter may be 0 by chance, unless it has grown.
            far += 2 if abs(p[i]) > 10 * abs(p0[i]) > 0 else 1
    return far > 1


@cache
def determination_kernel(dtype: str) -> Any:
    """Return `determination`, compiled."""
    points, own = array(dtype, 2, readonly=True), np.empty((2, 2), dtype)[:, 0]  # a column of the state
    examples = own, 0, 0, 0, points, points, points, 0.0, 0.0, array(), array(axes=2), array(bool)
    return compile_kernel(determination, examples, name=f"determination_{dtype}", mode="uncounted")
