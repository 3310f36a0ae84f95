"""The loops of sparse gradients: rules carried over the rows of a table.

A variable with rows of `width` elements is one flat array, its slots likewise; a sparse gradient is
a sorted array of distinct `rows` and a flat array with their values.  As in `kernels`, serial and
parallel kernels are one text, give the same bits and never raise.
"""

from math import sqrt

import numpy as np
from numba import from_dtype, prange, types
from numba.extending import register_jitable

from ._jit import cast, cut, flushed, put, take
from .kernels import BLOCK, clipped
from .rules import ratio

ROWS = 16  # rows that share one set of work arrays


def summed():
    """Build the loop that clips and scales all values, then sums those of each row in their order."""

    def kernel(values, width, order, starts, clip, scale, sums):
        limit, factor = cast((clip, scale), values)
        for k in prange(starts.size - 1):
            total = sums[k * width : (k + 1) * width]
            for n in range(starts[k], starts[k + 1]):
                value = values[order[n] * width : (order[n] + 1) * width]
                for i in range(width):
                    total[i] += factor * clipped(value[i], limit)

    return kernel


def summed_signature(dtype):
    """Types of the arguments of a `summed` kernel."""
    array, values, rows = _arrays(dtype)
    return types.void(values, types.int64, rows, rows, types.float64, types.float64, array)


def touched(rule):
    """Build the loop that steps the rows of a gradient and no others."""
    update, scalars = rule.update, rule.scalars

    def kernel(rows, values, x, slots, width, t, hyper, decay):
        step = cast(scalars(t, *hyper), x)
        (loss,) = cast((decay,), x)
        for k in prange(rows.size):
            first = rows[k] * width
            g = values[k * width : (k + 1) * width]
            x_r, parts = x[first : first + width], cut(slots, first, first + width)
            for i in range(width):
                new = update(g[i], x_r[i] - loss * x_r[i], *take(parts, i), *step)
                x_r[i] = new[0]
                put(parts, i, new[1:])

    return kernel


def touched_signature(rule, dtype):
    """Types of the arguments of a `touched` kernel."""
    array, values, rows = _arrays(dtype)
    return types.void(rows, values, array, *_step_types(rule, array))


def untouched(rule):
    """Build the loop that steps all other rows, whose gradient is zero."""
    update, scalars = rule.update, rule.scalars

    def kernel(rows, x, slots, width, t, hyper, decay):
        step = cast(scalars(t, *hyper), x)
        (loss,) = cast((decay,), x)
        zero = x.dtype.type(0)
        n_rows = x.size // width
        height = max(1, BLOCK // width)
        for b in prange((n_rows + height - 1) // height):
            row, bottom = b * height, min((b + 1) * height, n_rows)
            k = np.searchsorted(rows, row)
            while row < bottom:
                stop = min(rows[k], bottom) if k < rows.size else bottom
                x_b, parts = x[row * width : stop * width], cut(slots, row * width, stop * width)
                for i in range(x_b.size):
                    new = update(zero, x_b[i] - loss * x_b[i], *take(parts, i), *step)
                    x_b[i] = new[0]
                    put(parts, i, new[1:])
                row, k = stop + 1, k + 1

    return kernel


def untouched_signature(rule, dtype):
    """Types of the arguments of an `untouched` kernel."""
    array, _, rows = _arrays(dtype)
    return types.void(rows, array, *_step_types(rule, array))


def catch_up():
    """Build the loop that makes up the steps that rows have missed (see `deferred`)."""

    def kernel(rows, last, now, x, slots, width, products, weights, alphas, losses, limit, constants):
        beta_1, beta_2, epsilon = constants
        (zero,) = cast((0.0,), x)
        for b in prange((rows.size + ROWS - 1) // ROWS):
            movement, work, total = np.empty(width, x.dtype), np.empty((3, width), x.dtype), np.empty(width)
            for k in range(b * ROWS, min((b + 1) * ROWS, rows.size)):
                since, first = last[rows[k]], rows[k] * width
                if since == now:
                    continue
                last[rows[k]] = now
                x_r, parts = x[first : first + width], cut(slots, first, first + width)
                m, v, squared = parts[0], parts[1], parts[-1]
                for i in range(width):
                    v[i] += zero * v[i]  # infinity turns into NaN, as it does in a dense step
                if limit == 0:
                    sum_series(m, squared, epsilon, products[now], weights[since], work, movement)
                else:
                    stop = min(since + limit, now)
                    made_up = slice(since + 1, stop + 1)
                    sum_steps(m, squared, constants, alphas[made_up], losses[made_up], total)
                    for i in range(width):
                        (movement[i],) = cast((products[now] / products[stop] * total[i],), x)
                missed = float(now - since)
                (kept,) = cast((products[now] / products[since],), x)
                power_1, power_2 = power(beta_1, missed, x), power(beta_2, missed, x)
                for i in range(width):
                    x_r[i] = kept * x_r[i] - movement[i]
                    m[i] = flushed(power_1 * m[i], x)
                    v[i] = flushed(power_2 * v[i], x)

    return kernel


@register_jitable
def sum_series(m, squared, epsilon, product, weights, work, movement):
    """Form the movement of a row from its weights, by Clenshaw's recurrence."""
    zero, one, two, eps = cast((0.0, 1.0, 2.0, epsilon), m)
    quotient, place, previous = work[0], work[1], work[2]
    for i in range(m.size):
        denominator = sqrt(squared[i]) + eps
        quotient[i] = ratio(m[i], denominator)
        place[i] = one - two * ratio(eps, denominator)
        previous[i] = movement[i] = zero
    for n in range(weights.size - 1, -1, -1):
        (weight,) = cast((product * weights[n],), m)
        double = two if n > 0 else one
        for i in range(m.size):
            following = double * place[i] * movement[i] - previous[i] + weight
            previous[i] = movement[i]
            movement[i] = following
    for i in range(m.size):
        movement[i] *= quotient[i]


@register_jitable
def sum_steps(m, squared, constants, alphas, losses, total):
    """Form the movement of a row one step after another, in double precision."""
    beta_1, beta_2, epsilon = constants
    power_1 = power_2 = 1.0
    total[:] = 0.0
    for s in range(alphas.size):
        power_1 *= beta_1
        power_2 *= sqrt(beta_2)
        for i in range(m.size):
            root = power_2 * sqrt(np.float64(squared[i]))
            step = alphas[s] * ratio(power_1 * m[i], root + epsilon)
            total[i] += step - losses[s] * total[i]


@register_jitable
def power(beta, steps, like):
    """Form ``beta**steps`` in the precision of the array `like`, a subnormal number as zero."""
    return flushed(like.dtype.type(beta**steps), like)


def catch_up_signature(rule, dtype):
    """Types of the arguments of a `catch_up` kernel."""
    array, _, rows = _arrays(dtype)
    slots = types.UniTuple(array, len(rule.slots))
    last, history = types.Array(types.int32, 1, "C"), types.Array(types.float64, 1, "C")
    weights = types.Array(types.float64, 2, "C")
    table, constants = (rows, last, types.int64, array, slots, types.int64), types.UniTuple(types.float64, 3)
    return types.void(*table, history, weights, history, history, types.int64, constants)


def _arrays(dtype):
    """Types of an array to write, of one to read, and of the numbers of rows."""
    element = from_dtype(np.dtype(dtype))
    array, values = types.Array(element, 1, "C"), types.Array(element, 1, "C", readonly=True)
    return array, values, types.Array(types.int64, 1, "C", readonly=True)


def _step_types(rule, array):
    """Types of slots, width, t, hyper and decay."""
    hyper = types.UniTuple(types.float64, len(rule.hyperparameters))
    return types.UniTuple(array, len(rule.slots)), types.int64, types.float64, hyper, types.float64
