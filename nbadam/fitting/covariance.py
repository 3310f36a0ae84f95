"""Covariance matrices of all fits, from their normal matrices."""

from functools import cache
from math import inf, sqrt

import numpy as np
from numba import types

from .._jit import compile_kernel

EPSILON = float(np.finfo(float).eps)


def invert(information, free, covariance):
    """Invert symmetric positive definite matrices.

    Parameters
    ----------
    information : float64 array of shape (fits, n * (n + 1) // 2)
        Their lower triangles, row by row.
    free : bool array of shape (n,)
        The parameters that were fitted; the rest get variance 0.
    covariance : float64 array of shape (fits, n, n)
        Written; infinite where the data do not determine a combination of parameters.
    """
    fits, n = covariance.shape[0], free.size
    lower, scale = np.empty((n, n)), np.empty(n)
    for f in range(fits):
        determined = True
        for i in range(n):
            diagonal = information[f, i * (i + 1) // 2 + i]
            scale[i] = 1 / sqrt(diagonal) if diagonal > 0 else 0.0
            if free[i] and not diagonal > 0:
                determined = False
        # Cholesky factor of the matrix scaled to ones on its diagonal; fixed parameters are left out of it.
        for i in range(n):
            for j in range(i + 1):
                if free[i] and free[j]:
                    value = information[f, i * (i + 1) // 2 + j] * scale[i] * scale[j]
                else:
                    value = 1.0 if i == j else 0.0
                for k in range(j):
                    value -= lower[i, k] * lower[j, k]
                if i != j:
                    lower[i, j] = value / lower[j, j]
                else:
                    if not value > n * EPSILON:
                        determined = False
                    lower[i, i] = sqrt(value) if value > 0 else 1.0
        # Its inverse, in its place; then the product of that with its transpose.
        for i in range(n):
            lower[i, i] = 1 / lower[i, i]
            for j in range(i):
                value = 0.0
                for k in range(j, i):
                    value -= lower[i, k] * lower[k, j]
                lower[i, j] = value * lower[i, i]
        for i in range(n):
            for j in range(i + 1):
                value = 0.0
                for k in range(i, n):
                    value += lower[k, i] * lower[k, j]
                value *= scale[i] * scale[j]
                if not (free[i] and free[j]):
                    value = 0.0
                elif not determined:
                    value = inf
                covariance[f, i, j] = value
                covariance[f, j, i] = value


@cache
def invert_kernel():
    """Return `invert`, compiled."""
    double = types.float64
    signature = types.void(
        types.Array(double, 2, "C"), types.Array(types.boolean, 1, "C"), types.Array(double, 3, "C")
    )
    return compile_kernel(invert, signature, name="invert", mode="nogil")
