"""Covariance matrices of all fits, from their normal matrices, and where these are not accurate enough."""

from functools import cache
from math import inf, sqrt

import numpy as np
from numba import from_dtype, types
from numba.extending import register_jitable

from .._jit import compile_kernel
from ..status import Status

SUCCESS, MAXITER, RUNAWAY, UNDETERMINED = map(
    int, (Status.SUCCESS, Status.MAXITER, Status.RUNAWAY, Status.UNDETERMINED)
)
EPSILON = float(np.finfo(float).eps)
LANES = 32  # decompositions side by side: the inner loops become vector instructions


@register_jitable(error_model="numpy")
def invert_factor(information, free, limit, scale, lower):
    """Invert the Cholesky factor of a normal matrix; return whether all free parameters are determined.

    Parameters
    ----------
    information : array of shape (n * (n + 1) // 2,)
        Lower triangle of the matrix, row by row.
    free : bool array of shape (n,)
        The parameters that take part.
    limit : float
        Least pivot, as a share of the diagonal element, of parameters that are determined.
    scale : float64 array of shape (n,)
        Written: factors that scale the matrix to ones on its diagonal; 0 for the other parameters.
    lower : float64 array of shape (n, n)
        Written: the inverse of the lower triangular factor of the scaled matrix.
    """
    n = free.size
    determined = True
    for i in range(n):
        square = float(information[i * (i + 3) // 2])
        scale[i] = 1 / sqrt(square) if square > 0 and free[i] else 0.0
        if free[i] and not square > 0:
            determined = False
    for i in range(n):
        for j in range(i + 1):
            value = information[i * (i + 1) // 2 + j] * scale[i] * scale[j]
            if i == j and not free[i]:
                value = 1.0
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            if i != j:
                lower[i, j] = value / lower[j, j]
            else:
                if not value > limit:
                    determined = False
                lower[i, i] = sqrt(value) if value > 0 else 1.0
    for i in range(n):
        lower[i, i] = 1 / lower[i, i]
        for j in range(i):
            value = 0.0
            for k in range(j, i):
                value -= lower[i, k] * lower[k, j]
            lower[i, j] = value * lower[i, i]
    return determined


def factors(information, is_inverse, free, roots):
    """Factor the inverses of symmetric positive definite matrices.

    Parameters
    ----------
    information : float64 array of shape (fits, n * (n + 1) // 2)
        Their lower triangles, row by row; or, where `is_inverse`, the upper triangles of the results.
    is_inverse : bool array of shape (fits,)
    free : bool array of shape (n,)
        The parameters that were fitted; the rows of the others become 0.
    roots : float64 array of shape (fits, n, n)
        Zeros at first.  Written: upper triangular, with ``root @ root.T`` the inverse; infinite where the
        data do not determine a combination of parameters.
    """
    fits, n = roots.shape[0], free.size
    lower, scale = np.empty((n, n)), np.empty(n)
    for f in range(fits):
        if is_inverse[f]:
            for i in range(n):
                for j in range(i, n):
                    roots[f, i, j] = information[f, i * n - i * (i + 1) // 2 + j]
            continue
        determined = invert_factor(information[f], free, n * EPSILON, scale, lower)
        for i in range(n):
            for j in range(i + 1):
                if free[i] and free[j]:
                    roots[f, j, i] = lower[i, j] * scale[j] if determined else inf


@register_jitable(error_model="numpy")
def least_pivots(information, free, least):
    """Find how much of a parameter's effect on the model no other parameters could have, at the least.

    Parameters
    ----------
    information : array of shape (fits, n * (n + 1) // 2)
        Lower triangles of the normal matrices, row by row.
    free : bool array of shape (n,)
        The parameters that were fitted.
    least : float64 array of shape (fits,)
        Written: the least pivot of a Cholesky decomposition by its diagonal element.  It is 1 for parameters
        that are not correlated, 0 for a singular matrix, NaN where the matrix is not finite.
    """
    n = free.size
    lower = np.empty((n * (n + 1) // 2, LANES))  # then L D below the diagonal, and the inverse of D
    row_of_l = np.empty((n, LANES))
    for start in range(0, least.size, LANES):
        busy = min(LANES, least.size - start)
        for k in range(information.shape[1]):
            for lane in range(LANES):
                lower[k, lane] = information[start + min(lane, busy - 1), k]
        for lane in range(busy):
            least[start + lane] = 1.0
        for j in range(n):
            if not free[j]:
                continue
            first = j * (j + 1) // 2
            for lane in range(LANES):
                row_of_l[j, lane] = lower[first + j, lane]  # the diagonal element itself
            for k in range(j):
                if free[k]:
                    for lane in range(LANES):
                        row_of_l[k, lane] = lower[first + k, lane] * lower[k * (k + 1) // 2 + k, lane]
                        lower[first + j, lane] -= lower[first + k, lane] * row_of_l[k, lane]
            for lane in range(LANES):
                row_of_l[j, lane] = lower[first + j, lane] / row_of_l[j, lane]
                lower[first + j, lane] = 1 / lower[first + j, lane]
            for lane in range(busy):
                if not row_of_l[j, lane] >= least[start + lane]:
                    least[start + lane] = row_of_l[j, lane]
            for i in range(j + 1, n):
                row = i * (i + 1) // 2
                for k in range(j):
                    if free[k]:
                        for lane in range(LANES):
                            lower[row + j, lane] -= lower[row + k, lane] * row_of_l[k, lane]


def unsure(information, popt, chi2, status, nfev, free, limits, max_nfev, found):
    """Find the fits that `finish` has to look at again.

    Parameters
    ----------
    information, popt, chi2, status, nfev : arrays of shape (fits, ...)
        Results, see `problem.Fits`.
    free : bool array of shape (n,)
        The parameters that were fitted.
    limits : float64 array of shape (2,)
        Least pivot of well-conditioned fits, and chi-square next to none, as a share of the squares of the
        model's terms.
    max_nfev : int
        Evaluations that a fit may have had.
    found : bool array of shape (fits,)
        Written.
    """
    least = np.empty(status.size)
    least_pivots(information, free, least)
    for f in range(status.size):
        converged = status[f] == SUCCESS or status[f] == UNDETERMINED
        ran_out = status[f] == MAXITER or status[f] == RUNAWAY
        terms = 0.0
        for j in range(free.size):
            p = np.float64(popt[f, j])
            terms += p * information[f, j * (j + 3) // 2] * p
        found[f] = (
            ((converged or ran_out) and not least[f] > limits[0])
            or (converged and chi2[f] <= limits[1] * terms)
            or status[f] == UNDETERMINED
            or (ran_out and nfev[f] < max_nfev)
        )


@cache
def unsure_kernel(dtype: str):
    """Return `unsure`, compiled."""
    element = from_dtype(np.dtype(dtype))
    table, line = types.Array(element, 2, "C"), types.Array(element, 1, "C")
    flags, double = types.Array(types.boolean, 1, "C"), types.Array(types.float64, 1, "C")
    status, nfev = types.Array(types.int8, 1, "C"), types.Array(types.int32, 1, "C")
    signature = types.void(table, table, line, status, nfev, flags, double, types.int64, flags)
    return compile_kernel(unsure, signature, name=f"unsure_{dtype}", mode="nogil")


@cache
def factors_kernel():
    """Return `factors`, compiled."""
    double = types.float64
    signature = types.void(
        types.Array(double, 2, "C"),
        *(types.Array(types.boolean, 1, "C"),) * 2,
        types.Array(double, 3, "C"),
    )
    return compile_kernel(factors, signature, name="factors", mode="nogil")
