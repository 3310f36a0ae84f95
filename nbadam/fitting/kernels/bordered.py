"""Kernels for fits with shared parameters, whose normal matrix is block diagonal with a border.

Each data set has a block of its own parameters, and the border is that of the shared ones.  A block is
eliminated by itself; what remains is the sum of the Schur complements, one row for each shared value.
"""

from functools import cache
from math import sqrt

import numpy as np

from ..._calls import call
from ..._jit import array, compile_kernel
from ..._jitable import register_jitable
from .lanes import (
    CHI2_TRIAL,
    GRADIENT_TRIAL,
    NORMAL_TRIAL,
    common_examples,
    load,
    place,
    take,
)

EPSILON = float(np.finfo(float).eps)


def evaluate(normal, rows, S, state, x, data, lower, upper, f_scale, p, chi2, gradient, information):
    """Evaluate data sets at given parameters.

    Parameters
    ----------
    normal, rows, S, state, x, data, lower, upper, f_scale
        See `lanes`; the state is scratch.
    p : array of shape (fits, n)
    chi2, gradient, information : float64 arrays of shape (fits,), (fits, n), (fits, n * (n + 1) // 2)
        Written: chi-square, minus half its gradient, and the lower triangle of the normal matrix.
    """
    fits, points, lanes = data.shape[0], data.shape[2], state.shape[1]
    for start in range(0, fits, lanes):
        for lane in range(lanes):
            i = min(start + lane, fits - 1)
            load(state[:, lane], rows, data, p, lower, upper, i)
        call(normal, None, (x, S, points, 0, points, f_scale))
        for lane in range(min(lanes, fits - start)):
            i, own = start + lane, state[:, lane]
            chi2[i] = own[rows[CHI2_TRIAL]]
            take(own, rows[GRADIENT_TRIAL], gradient[i])
            take(own, rows[NORMAL_TRIAL], information[i])


@register_jitable(error_model="numpy")
def factor(information, i, active, own, lower, scale):
    """Write the Cholesky factor of the own parameters' block, scaled to ones on its diagonal.

    Parameters that are not active, or that others determine to within rounding, get a scale of 0 and a row
    of the identity.
    """
    count = own.size
    for a in range(count):
        square = information[i, place(own[a], own[a])]
        scale[a] = 1 / sqrt(square) if active[i, own[a]] and square > 0 else 0.0
        for b in range(a):
            value = information[i, place(own[a], own[b])] * scale[a] * scale[b]
            for c in range(b):
                value -= lower[a, c] * lower[b, c]
            lower[a, b] = value / lower[b, b]
        value = 1.0
        for c in range(a):
            value -= lower[a, c] * lower[a, c]
        if value > count * EPSILON:
            lower[a, a] = sqrt(value)
        else:
            scale[a], lower[a, a] = 0.0, 1.0
            for b in range(a):
                lower[a, b] = 0.0


def eliminate(chi2, information, gradient, active, own, shared, schur, reduced, promise):
    """Eliminate the own parameters of each data set from its normal equations.

    Parameters
    ----------
    chi2, information, gradient : float64 arrays of shape (fits,), (fits, n * (n + 1) // 2), (fits, n)
        As `evaluate` writes them.
    active : bool array of shape (fits, n)
        Parameters that may move; at bounds and fixed ones may not.
    own, shared : int64 arrays
        The numbers of the own and of the shared parameters.
    schur, reduced : float64 arrays of shape (fits, k, k), (fits, k)
        Written: Schur complements, and what remains of the gradient.
    promise : float64 array of shape (fits,)
        Written: by how much full steps of the own parameters would lower chi-square; infinite where the sums
        are not finite, of which nothing is then left.
    """
    count, k = own.size, shared.size
    lower, scale, border = np.empty((count, count)), np.empty(count), np.empty((count, k + 1))
    for i in range(information.shape[0]):
        total = chi2[i]
        for a in range(gradient.shape[1]):
            total += gradient[i, a]
        for a in range(information.shape[1]):
            total += information[i, a]
        promise[i] = 0.0 if total - total == 0 else np.inf
        if promise[i] > 0:
            schur[i], reduced[i] = 0.0, 0.0
            continue
        factor(information, i, active, own, lower, scale)
        for a in range(count):
            for s in range(k + 1):
                value = information[i, place(own[a], shared[s])] if s < k else gradient[i, own[a]]
                value *= scale[a]
                for c in range(a):
                    value -= lower[a, c] * border[c, s]
                border[a, s] = value / lower[a, a]
            promise[i] += border[a, k] * border[a, k]
        for s in range(k):
            for t in range(k + 1):
                value = information[i, place(shared[s], shared[t])] if t < k else gradient[i, shared[s]]
                for a in range(count):
                    value -= border[a, s] * border[a, t]
                if t < k:
                    schur[i, s, t] = value
                else:
                    reduced[i, s] = value


def substitute(information, gradient, active, own, shared, moves, step, size):
    """Compute the step of the own parameters that goes with a step of the shared ones.

    Parameters
    ----------
    information, gradient, active, own, shared
        As in `eliminate`.
    moves : float64 array of shape (fits, k)
        Steps of the shared parameters.
    step : float64 array of shape (fits, n)
        Written for the own parameters.
    size : float64 array of shape (fits,)
        Written: the length of that step in units of the parameters' effects on the data.
    """
    count, k = own.size, shared.size
    lower, scale, value = np.empty((count, count)), np.empty(count), np.empty(count)
    for i in range(information.shape[0]):
        factor(information, i, active, own, lower, scale)
        for a in range(count):
            value[a] = gradient[i, own[a]]
            for s in range(k):
                value[a] -= information[i, place(own[a], shared[s])] * moves[i, s]
            value[a] *= scale[a]
            for c in range(a):
                value[a] -= lower[a, c] * value[c]
            value[a] /= lower[a, a]
        size[i] = 0.0
        for a in range(count - 1, -1, -1):
            for c in range(a + 1, count):
                value[a] -= lower[c, a] * value[c]
            value[a] /= lower[a, a]
            size[i] += value[a] * value[a]
            step[i, own[a]] = value[a] * scale[a]
        size[i] = sqrt(size[i])


@cache
def evaluate_kernel(dtype: str):
    """Return `evaluate`, compiled."""
    given, table = array(dtype, 2, readonly=True), array(axes=2)
    examples = *common_examples(dtype), given, array(), table, table
    return compile_kernel(evaluate, examples, name=f"evaluate_{dtype}", mode="uncounted_nogil")


@cache
def eliminate_kernel():
    """Return `eliminate`, compiled."""
    line, table, stack = (array(axes=axes) for axes in (1, 2, 3))
    examples = line, table, table, *_PARAMETERS, stack, table, line
    return compile_kernel(eliminate, examples, name="eliminate", mode="nogil")


@cache
def substitute_kernel():
    """Return `substitute`, compiled."""
    table = array(axes=2)
    examples = table, table, *_PARAMETERS, table, table, array()
    return compile_kernel(substitute, examples, name="substitute", mode="nogil")


_PARAMETERS = array(bool, 2), array(int), array(int)
