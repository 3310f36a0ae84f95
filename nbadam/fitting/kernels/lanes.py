"""The state of fits side by side: one array of rows, each with one number for every lane.

Kernels over lanes begin with the same arguments:

normal : int
    Address of the function that `generate` makes the text of, compiled.
rows : tuple of int
    First rows of the parts of the state that `ROWS` lists; "end" is the first row of the data.
S, state : arrays of shape (rows * lanes,) and (rows, lanes)
    The state: the same memory.
x : array of shape (n_variables, m)
data : array of shape (fits, columns, m)
lower, upper : arrays of shape (fits, n), or (0, 0) without bounds
f_scale : float
"""

from typing import Any

import numpy as np

from ..._jit import array
from ..._jitable import register_jitable

ROWS = (
    "point", "trial", "chi2", "normal", "lower", "upper", "damping", "settled", "reduction", "small",
    "fresh", "failed", "better", "doubtful", "unsure", "chi2_trial", "gradient_trial", "normal_trial", "end",
)  # fmt: skip
(POINT, TRIAL, CHI2, NORMAL, LOWER, UPPER, DAMPING, SETTLED, REDUCTION, SMALL, FRESH, FAILED, BETTER,
 DOUBTFUL, UNSURE, CHI2_TRIAL, GRADIENT_TRIAL, NORMAL_TRIAL, END) = range(len(ROWS))  # fmt: skip


@register_jitable(error_model="numpy", forceinline=True)  # a call passes 55 numbers
def load(own, rows, data, p, lower, upper, i):
    """Give data set `i`, its point `p` and its bounds to a lane, whose column of the state is `own`."""
    first, points = rows[END], data.shape[2]
    for c in range(data.shape[1]):
        column = own[first + c * points : first + (c + 1) * points]
        for k in range(points):
            column[k] = data[i, c, k]
    for j in range(p.shape[1]):
        own[rows[POINT] + j] = own[rows[TRIAL] + j] = p[i, j]
        if lower.size > 0:
            own[rows[LOWER] + j], own[rows[UPPER] + j] = lower[i, j], upper[i, j]


@register_jitable(error_model="numpy")
def put(own, first, values):
    """Copy numbers to rows of a lane."""
    for j in range(values.size):
        own[first + j] = values[j]


@register_jitable(error_model="numpy", forceinline=True)
def take(own, first, values):
    """Copy rows of a lane to `values`."""
    for j in range(values.size):
        values[j] = own[first + j]


@register_jitable(error_model="numpy")
def place(i, j):
    """Return the place of entry (i, j) of a symmetric matrix in its lower triangle, row by row."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


def common_examples(dtype: str) -> tuple[Any, ...]:
    """Return examples of the arguments from `normal` to `f_scale`."""
    given, data = (array(dtype, axes, readonly=True) for axes in (2, 3))
    f_scale = np.dtype(dtype).type(1)
    return 0, (0,) * len(ROWS), array(dtype), array(dtype, 2), given, data, given, given, f_scale
