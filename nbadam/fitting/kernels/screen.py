"""Starts by variable projection, over lanes: nonlinear parameters are tried, linear ones solved for.

For given nonlinear parameters the best linear ones are a small linear problem.  Its chi-square follows from
the same sums, one evaluation a trial (Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, 413).
"""

from functools import cache

import numpy as np
from numba import from_dtype, types
from numba.extending import register_jitable

from ..._jit import compile_kernel
from ..._pointers import call

ROWS = ("trial", "chi2_trial", "gradient_trial", "normal_trial", "end")
PIVOT = 1e3  # least pivot, in units of rounding


def screen(normal, lanes, rows, S, x, data, lower, upper, f_scale, trials, linear, best, chi2):
    """Try points for each fit, and keep those of the lowest chi-square.

    Parameters
    ----------
    normal, lanes, rows, S, x, data, lower, upper, f_scale
        As in `lm.fit`, of the loss of least squares; `S` is scratch.
    trials : array of shape (fits, count, n) or (1, count, n)
        The points of each fit, or of all.
    linear : array of int
        The parameters to solve for, whatever the trials say of them.
    best, chi2 : arrays of shape (fits, kept, n) and (fits, kept)
        Written, the lowest first; chi2 is infinite where too few trials are finite.
    """
    trial, chi2_row, gradient, matrix, first = rows
    fits, columns, points = data.shape
    n, count, size = best.shape[2], trials.shape[1], linear.size
    factor, force, scale, step = np.zeros((size, size)), np.zeros(size), np.zeros(size), np.zeros(size)
    least = PIVOT * np.finfo(data.dtype).eps
    for begin in range(0, fits, lanes):
        for lane in range(lanes):
            i = min(begin + lane, fits - 1)
            for c in range(columns):
                for k in range(points):
                    S[first + (c * points + k) * lanes + lane] = data[i, c, k]
        for number in range(count):
            for lane in range(lanes):
                i = min(begin + lane, fits - 1)
                for j in range(n):
                    p = trials[i if trials.shape[0] > 1 else 0, number, j]
                    S[trial + j * lanes + lane] = (
                        p if lower.size == 0 else min(max(p, lower[i, j]), upper[i, j])
                    )
                for j in linear:
                    S[trial + j * lanes + lane] = 0
            call(normal, None, (x, S, points, 0, points, f_scale))
            for lane in range(min(lanes, fits - begin)):
                i = begin + lane
                value = float(S[chi2_row + lane])
                if size > 0:
                    for a in range(size):
                        force[a] = S[gradient + linear[a] * lanes + lane]
                        for b in range(a + 1):
                            row, column = max(linear[a], linear[b]), min(linear[a], linear[b])
                            entry = matrix + (row * (row + 1) // 2 + column) * lanes + lane
                            factor[a, b] = S[entry]
                    solve(factor, force, scale, step, least)
                    for a in range(size):
                        if lower.size > 0:
                            step[a] = min(max(step[a], lower[i, linear[a]]), upper[i, linear[a]])
                        S[trial + linear[a] * lanes + lane] = step[a]
                    for a in range(size):
                        value -= 2 * step[a] * force[a]
                        for b in range(size):
                            row, column = max(linear[a], linear[b]), min(linear[a], linear[b])
                            entry = matrix + (row * (row + 1) // 2 + column) * lanes + lane
                            value += step[a] * S[entry] * step[b]
                    value = max(value, 0.0) if value == value else value
                place = chi2.shape[1]
                while place > 0 and value < chi2[i, place - 1]:
                    place -= 1
                if place < chi2.shape[1] and value - value == 0:
                    for k in range(chi2.shape[1] - 1, place, -1):
                        chi2[i, k] = chi2[i, k - 1]
                        for j in range(n):
                            best[i, k, j] = best[i, k - 1, j]
                    chi2[i, place] = value
                    for j in range(n):
                        best[i, place, j] = S[trial + j * lanes + lane]


@register_jitable(error_model="numpy")
def solve(matrix, force, scale, step, least):
    """Solve normal equations by a Cholesky factor, in place of `matrix`.

    Parameters whose pivot is below `least` stay 0: rounding is all that tells them from the others.
    """
    size = force.size
    for i in range(size):
        scale[i] = 1 / np.sqrt(matrix[i, i]) if matrix[i, i] > 0 else 0.0
    for i in range(size):
        for j in range(i + 1):
            entry = matrix[i, j] * scale[i] * scale[j]
            for k in range(j):
                entry -= matrix[i, k] * matrix[j, k]
            if j < i:
                matrix[i, j] = entry * matrix[j, j]
            else:  # the diagonal holds inverses
                matrix[i, i] = 1 / np.sqrt(entry) if entry > least else 0.0
        entry = force[i] * scale[i]
        for k in range(i):
            entry -= matrix[i, k] * step[k]
        step[i] = entry * matrix[i, i]
    for i in range(size - 1, -1, -1):
        entry = step[i]
        for k in range(i + 1, size):
            entry -= matrix[k, i] * step[k]
        step[i] = entry * matrix[i, i]
    for i in range(size):
        step[i] *= scale[i]


@cache
def screen_kernel(dtype: str):
    """Return `screen`, compiled."""
    element = from_dtype(np.dtype(dtype))
    given = types.Array(element, 2, "C", readonly=True)
    stack = types.Array(element, 3, "C", readonly=True)
    signature = types.void(
        types.int64,
        types.int64,
        types.UniTuple(types.int64, len(ROWS)),
        types.Array(element, 1, "C"),
        given,
        stack,
        given,
        given,
        element,
        stack,
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(element, 3, "C"),
        types.Array(element, 2, "C"),
    )
    return compile_kernel(screen, signature, name=f"screen_{dtype}", mode="nogil")
