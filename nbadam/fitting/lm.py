"""Levenberg-Marquardt over lanes: which fit is in which lane, and when it is done.

Each lane is a fit of its own: nothing in its numbers depends on the others, on how many there are or
on the thread that runs them.  A lane that is done takes the next fit at once.
"""

import numpy as np
from numba import from_dtype, types

ATTEMPTS = 8  # to bring the length of a step to the radius; two do on the average

RUNNING, FTOL, XTOL, MAXITER, NOT_FINITE = range(-1, 4)


def driver(judge, solve, shape):
    """Build the kernel that fits a chunk of data sets.

    Parameters
    ----------
    judge, solve : functions
        What `generate.algorithm` is the text of.
    shape : Shape
        What they were generated for.
    """
    width, n, pairs, rows = shape.lanes, shape.parameters, len(shape.pairs), shape.rows
    bounded = shape.bounded
    point, trial = rows["point"] * width, rows["trial"] * width
    lower_row, upper_row = rows["lower"] * width, rows["upper"] * width
    chi2_row, normal_row = rows["chi2"] * width, rows["normal"] * width
    damping, settled, remaining = (rows[name] * width for name in ("damping", "settled", "remaining"))
    small, fresh, failed = (rows[name] * width for name in ("small", "fresh", "failed"))
    zero, one = np.dtype(shape.dtype).type(0), np.dtype(shape.dtype).type(1)

    def kernel(normal, x, data, first, p0, lower, upper, tolerances, maxiter, f_scale,
               popt, information, chi2, nit, status):  # fmt: skip
        fits, columns, m = data.shape
        ftol, xtol = tolerances[0], tolerances[1]
        S = np.zeros((first + columns * m) * width, data.dtype)
        fit = np.empty(width, np.int64)
        count = np.zeros(width, np.int64)
        following, busy = 0, 0
        for l in range(width):
            fit[l] = -1
            S[settled + l] = -one  # wants a fit
        while True:
            for l in range(width):
                if S[settled + l] < zero:
                    fit[l] = -1
                    S[settled + l] = zero
                    if following < fits:
                        i = following
                        fit[l] = i
                        following += 1
                        busy += 1
                        count[l] = 0
                        S[fresh + l] = one
                        for c in range(columns):
                            for k in range(m):
                                S[(first + c * m + k) * width + l] = data[i, c, k]
                        for j in range(n):
                            S[point + j * width + l] = p0[i, j]
                            S[trial + j * width + l] = p0[i, j]
                            if bounded:
                                S[lower_row + j * width + l] = lower[i, j]
                                S[upper_row + j * width + l] = upper[i, j]
            if busy == 0:
                break
            normal(x, S, m, f_scale)
            judge(S)
            for l in range(width):
                S[damping + l] = zero
            for _ in range(ATTEMPTS):
                solve(S, xtol)
                least = one
                for l in range(width):
                    if fit[l] >= 0:
                        least = min(least, S[settled + l])
                if least > zero:
                    break
            for l in range(width):
                if fit[l] < 0:
                    continue
                count[l] += 1
                code = RUNNING
                if S[failed + l] > zero:
                    code = NOT_FINITE
                elif S[damping + l] == zero and S[remaining + l] <= ftol * S[chi2_row + l]:
                    code = FTOL
                elif S[small + l] <= zero:
                    code = XTOL
                elif count[l] >= maxiter:
                    code = MAXITER
                if code != RUNNING:
                    i = fit[l]
                    for j in range(n):
                        popt[i, j] = S[point + j * width + l]
                    for j in range(pairs):
                        information[i, j] = S[normal_row + j * width + l]
                    chi2[i] = S[chi2_row + l]
                    nit[i] = count[l]
                    status[i] = code
                    S[settled + l] = -one
                    busy -= 1

    return kernel


def normal_signature(shape):
    """Types of the arguments of the function `normal`, which the driver takes as its first."""
    element = from_dtype(np.dtype(shape.dtype))
    x = types.Array(element, 2, "C", readonly=True)
    return types.void(x, types.Array(element, 1, "C"), types.int64, element)


def signature(shape):
    """Types of the arguments of a kernel that `driver` builds."""
    element = from_dtype(np.dtype(shape.dtype))
    line, table = types.Array(element, 1, "C"), types.Array(element, 2, "C")
    given = types.Array(element, 2, "C", readonly=True)
    return types.void(
        types.FunctionType(normal_signature(shape)),
        given,
        types.Array(element, 3, "C", readonly=True),
        types.int64,
        *(given,) * 3,
        types.Array(element, 1, "C", readonly=True),
        types.int64,
        element,
        table,
        table,
        line,
        types.Array(types.int32, 1, "C"),
        types.Array(types.int8, 1, "C"),
    )
