"""Covariance matrices of all fits, from their normal matrices, and where these are not accurate enough."""

from functools import cache
from math import inf, sqrt
from typing import Any

import numpy as np

from .._calls import address_of, call
from .._jit import array, compile_kernel
from .._jitable import register_jitable
from ..status import Status

SUCCESS, MAXITER, NOT_MOVED, RUNAWAY, UNDETERMINED = map(
    int, (Status.SUCCESS, Status.MAXITER, Status.NOT_MOVED, Status.RUNAWAY, Status.UNDETERMINED)
)
EPSILON = float(np.finfo(float).eps)
LANES = 32  # decompositions side by side: the inner loops become vector instructions


def invert_factor(information: np.ndarray, free: np.ndarray, limit: float, lower: np.ndarray) -> bool:
    """Invert the Cholesky factor of a normal matrix; return whether all free parameters are determined.

    Parameters
    ----------
    information : array of shape (n * (n + 1) // 2,)
        Lower triangle of the matrix, row by row.
    free : bool array of shape (n,)
        The parameters that take part.
    limit : float
        Least pivot, as a share of the diagonal element, of parameters that are determined.
    lower : float64 array of shape (n + 1, n)
        Written: the inverse of the lower triangular factor of the scaled matrix.  The last row has the
        factors that scale the matrix to ones on its diagonal, or 0 for the other parameters.
    """
    n = free.size
    scale = lower[n]
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


def factors(
    invert: Any, information: np.ndarray, is_inverse: Any, free: np.ndarray, lower: np.ndarray, roots: Any
) -> None:
    """Factor the inverses of symmetric positive definite matrices.

    Parameters
    ----------
    invert : int
        Address of `invert_factor`, compiled.
    information : float64 array of shape (fits, n * (n + 1) // 2)
        Their lower triangles, row by row; or, where `is_inverse`, the upper triangles of the results.
    is_inverse : bool array of shape (fits,)
    free : bool array of shape (n,)
        The parameters that were fitted; the rows of the others become 0.
    lower : float64 array of shape (n + 1, n)
        Scratch.
    roots : float64 array of shape (fits, n, n)
        Zeros at first.  Written: upper triangular, with ``root @ root.T`` the inverse; infinite where the
        data do not determine a combination of parameters.
    """
    fits, n = roots.shape[0], free.size
    for f in range(fits):
        if is_inverse[f]:
            for i in range(n):
                for j in range(i, n):
                    roots[f, i, j] = information[f, i * n - i * (i + 1) // 2 + j]
            continue
        determined = call(invert, True, (information[f], free, n * EPSILON, lower))
        for i in range(n):
            for j in range(i + 1):
                if free[i] and free[j]:
                    roots[f, j, i] = lower[i, j] * lower[n, j] if determined else inf


# Functions of whole rows: the compiler then sees that these do not overlap, and takes vector instructions.


@register_jitable(error_model="numpy")
def keep_less(least: Any, x: Any, y: Any) -> None:
    """Replace numbers by quotients that are less, or NaN."""
    for lane in range(least.size):
        value = x[lane] / y[lane]
        least[lane] = least[lane] if value >= least[lane] else value


@register_jitable(error_model="numpy")
def divide(x: Any, y: Any, out: Any) -> None:
    """Write quotients."""
    for lane in range(out.size):
        out[lane] = x[lane] / y[lane]


@register_jitable(error_model="numpy")
def subtract_product(out: Any, x: Any, y: Any) -> None:
    """Subtract products."""
    for lane in range(out.size):
        out[lane] -= x[lane] * y[lane]


def unsure(
    information: np.ndarray,
    popt: np.ndarray,
    chi2: np.ndarray,
    status: np.ndarray,
    nfev: np.ndarray,
    free: np.ndarray,
    limits: Any,
    max_nfev: Any,
    work: Any,
    found: Any,
) -> None:
    """Find the fits that `finish` has to look at again.

    One reason is how much of a parameter's effect on the model no other parameters could have: the least
    pivot of a Cholesky decomposition by its diagonal element.  It is 1 for parameters that are not
    correlated, 0 for a singular matrix, NaN where the matrix is not finite.

    Parameters
    ----------
    information, popt, chi2, status, nfev : arrays of shape (fits, ...)
        Results, see `problem.Fits`.
    free : bool array of shape (n,)
        The parameters that were fitted.
    limits : float64 array of shape (3,)
        Least pivot of well-conditioned fits, and chi-square next to none: as a share of the squares of the
        model's terms, and in any case.
    max_nfev : int
        Evaluations that a fit may have had.
    work : float64 array of shape (pairs + n + 3, LANES)
        Scratch.
    found : bool array of shape (fits,)
        Written.
    """
    n, pairs = free.size, information.shape[1]
    diagonal, least, terms, share = pairs, pairs + n, pairs + n + 1, pairs + n + 2
    for start in range(0, status.size, LANES):
        busy = min(LANES, status.size - start)
        for lane in range(LANES):
            f = start + min(lane, busy - 1)
            for k in range(pairs):
                work[k, lane] = information[f, k]
            work[least, lane], work[terms, lane] = 1.0, 0.0
            for j in range(n):
                p, square = float(popt[f, j]), work[j * (j + 3) // 2, lane]
                work[diagonal + j, lane] = square
                work[terms, lane] += p * square * p
        for j in range(n):
            pivot = work[j * (j + 3) // 2]
            if not free[j]:
                continue
            keep_less(work[least], pivot, work[diagonal + j])
            for i in range(j + 1, n):
                row = i * (i + 1) // 2
                divide(work[row + j], pivot, work[share])
                for k in range(j + 1, i + 1):
                    subtract_product(work[row + k], work[share], work[k * (k + 1) // 2 + j])
        for lane in range(busy):
            f = start + lane
            converged = status[f] == SUCCESS or status[f] == UNDETERMINED
            ran_out = status[f] == MAXITER or status[f] == RUNAWAY
            found[f] = (
                ((converged or ran_out) and not work[least, lane] > limits[0])
                or (converged and (chi2[f] <= limits[1] * work[terms, lane] or chi2[f] <= limits[2]))
                or status[f] == UNDETERMINED
                or (ran_out and nfev[f] < max_nfev)
                or (status[f] == NOT_MOVED and max_nfev > 0)  # rounding may be all that is left
            )


@cache
def unsure_kernel(dtype: str) -> Any:
    """Return `unsure`, compiled."""
    table, flags = array(dtype, 2), array(bool)
    results = table, table, array(dtype), array(np.int8), array(np.int32)
    examples = *results, flags, array(), 0, array(axes=2), flags
    return compile_kernel(unsure, examples, name=f"unsure_{dtype}", mode="uncounted")


@cache
def invert_kernel() -> Any:
    """Return `invert_factor`, compiled."""
    examples = array(), array(bool), 0.0, array(axes=2)
    return compile_kernel(invert_factor, examples, name="invert_factor", mode="uncounted")


@cache
def factors_kernel() -> Any:
    """Return `factors`, compiled."""
    examples = 0, array(axes=2), array(bool), array(bool), array(axes=2), array(axes=3)
    return compile_kernel(factors, examples, name="factors", mode="uncounted")


def factored(information: np.ndarray, is_inverse: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return the `factors` of the inverses of matrices, shape (fits, n, n)."""
    n = free.size
    roots = np.zeros((len(information), n, n))
    arguments = information, is_inverse, free, np.empty((n + 1, n)), roots
    with np.errstate(all="ignore"):  # infinite where nothing is determined
        factors_kernel()(address_of(invert_kernel()), *arguments)
    return roots
