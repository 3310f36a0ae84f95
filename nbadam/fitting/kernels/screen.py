"""Starts by variable projection, over lanes: nonlinear parameters are tried, linear ones solved for.

For given nonlinear parameters the best linear ones are a small linear problem.  Its chi-square follows from
the same sums, one evaluation a trial (Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, 413).
"""

from functools import cache

import numpy as np

from ..._calls import call
from ..._jit import array, compile_kernel
from ..._jitable import register_jitable
from .lanes import CHI2_TRIAL, GRADIENT_TRIAL, NORMAL_TRIAL, TRIAL, common_examples, load, place, put, take

PIVOT = 1e3  # least pivot, in units of rounding


def screen(normal, rows, S, state, x, data, lower, upper, f_scale, trials, linear, best, chi2):
    """Try points for each fit, and keep those of the lowest chi-square.

    Parameters
    ----------
    normal, rows, S, state, x, data, lower, upper, f_scale
        See `lanes`; of the loss of least squares.  The state is scratch.
    trials : array of shape (fits, count, n) or (1, count, n)
        The points of each fit, or of all.
    linear : array of int
        The parameters to solve for, whatever the trials say of them.
    best, chi2 : arrays of shape (fits, kept, n) and (fits, kept)
        Written, the lowest first; chi2 is infinite where too few trials are finite.
    """
    trial, gradient, matrix = rows[TRIAL], rows[GRADIENT_TRIAL], rows[NORMAL_TRIAL]
    fits, points, lanes = data.shape[0], data.shape[2], state.shape[1]
    n, count, size = best.shape[2], trials.shape[1], linear.size
    factor, force, scale, step = np.zeros((size, size)), np.zeros(size), np.zeros(size), np.zeros(size)
    least = PIVOT * np.finfo(data.dtype).eps
    for begin in range(0, fits, lanes):
        for lane in range(lanes):
            load(state[:, lane], rows, data, best[:, 0], lower, upper, min(begin + lane, fits - 1))
        for number in range(count):
            for lane in range(lanes):
                i, own = min(begin + lane, fits - 1), state[:, lane]
                put(own, trial, trials[i if trials.shape[0] > 1 else 0, number])
                for j in range(n if lower.size > 0 else 0):
                    own[trial + j] = min(max(own[trial + j], lower[i, j]), upper[i, j])
                for j in linear:
                    own[trial + j] = 0
            call(normal, None, (x, S, points, 0, points, f_scale))
            for lane in range(min(lanes, fits - begin)):
                i, own = begin + lane, state[:, lane]
                value = float(own[rows[CHI2_TRIAL]])
                if size > 0:
                    for a in range(size):
                        force[a] = own[gradient + linear[a]]
                        for b in range(a + 1):
                            factor[a, b] = own[matrix + place(linear[a], linear[b])]
                    solve(factor, force, scale, step, least)
                    for a in range(size):
                        if lower.size > 0:
                            step[a] = min(max(step[a], lower[i, linear[a]]), upper[i, linear[a]])
                        own[trial + linear[a]] = step[a]
                    for a in range(size):
                        value -= 2 * step[a] * force[a]
                        for b in range(size):
                            value += step[a] * own[matrix + place(linear[a], linear[b])] * step[b]
                    value = max(value, 0.0) if value == value else value
                rank = chi2.shape[1]
                while rank > 0 and value < chi2[i, rank - 1]:
                    rank -= 1
                if rank < chi2.shape[1] and value - value == 0:
                    for k in range(chi2.shape[1] - 1, rank, -1):
                        chi2[i, k] = chi2[i, k - 1]
                        for j in range(n):
                            best[i, k, j] = best[i, k - 1, j]
                    chi2[i, rank] = value
                    take(own, trial, best[i, rank])


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
    trials, linear = array(dtype, 3, readonly=True), array(int, readonly=True)
    examples = *common_examples(dtype), trials, linear, array(dtype, 3), array(dtype, 2)
    return compile_kernel(screen, examples, name=f"screen_{dtype}", mode="nogil")
