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


@register_jitable
def power(beta, steps, like):
    """Form ``beta**steps`` in the precision of the array `like`, a subnormal number as zero."""
    return flushed(like.dtype.type(beta**steps), like)


def catch_up():
    """Build the loop that makes up all the steps that rows have missed at once (see `deferred`)."""

    def kernel(rows, last, now, x, slots, width, weights, products, beta_1, beta_2, epsilon):
        zero, one, two, eps = cast((0.0, 1.0, 2.0, epsilon), x)
        for b in prange((rows.size + ROWS - 1) // ROWS):
            quotient, place = np.empty(width, x.dtype), np.empty(width, x.dtype)
            total, previous = np.empty(width, x.dtype), np.empty(width, x.dtype)
            for k in range(b * ROWS, min((b + 1) * ROWS, rows.size)):
                since = last[rows[k]]
                if since == now:
                    continue
                last[rows[k]] = now
                missed = float(now - since)
                (loss,) = cast((1 - products[now] / products[since],), x)
                power_1, power_2 = power(beta_1, missed, x), power(beta_2, missed, x)
                first = rows[k] * width
                x_r, parts = x[first : first + width], cut(slots, first, first + width)
                m, v, squared = parts[0], parts[1], parts[-1]
                for i in range(width):
                    v[i] += zero * v[i]  # infinity turns into NaN, as it does in a dense step
                    denominator = sqrt(squared[i]) + eps
                    quotient[i] = ratio(m[i], denominator)
                    place[i] = one - two * ratio(eps, denominator)
                    total[i] = previous[i] = zero
                for n in range(weights.shape[1] - 1, -1, -1):  # Clenshaw's recurrence
                    (weight,) = cast((products[now] * weights[since, n],), x)
                    double = two if n > 0 else one
                    for i in range(width):
                        following = double * place[i] * total[i] - previous[i] + weight
                        previous[i] = total[i]
                        total[i] = following
                for i in range(width):
                    x_r[i] -= loss * x_r[i] + quotient[i] * total[i]
                    m[i] = flushed(power_1 * m[i], x)
                    v[i] = flushed(power_2 * v[i], x)

    return kernel


def catch_up_signature(rule, dtype):
    """Types of the arguments of a `catch_up` kernel."""
    array, _, rows = _arrays(dtype)
    weights = types.Array(types.float64, 2, "C")
    return types.void(rows, *_table_types(rule, array), weights, HISTORY, *(types.float64,) * 3)


def walk(rule):
    """Build the loop that makes up missed steps one by one, up to `limit`, after which none matters."""
    update = rule.update

    def kernel(rows, last, now, x, slots, width, alphas, losses, limit, products, beta_1, beta_2, epsilon):
        (zero,) = cast((0.0,), x)
        for k in prange(rows.size):
            since = last[rows[k]]
            last[rows[k]] = now
            first = rows[k] * width
            x_r, parts = x[first : first + width], cut(slots, first, first + width)
            stop = min(since + limit, now)
            for s in range(since + 1, stop + 1):
                step = cast((alphas[s], 1 - beta_1, 1 - beta_2, epsilon), x)
                (loss,) = cast((losses[s],), x)
                for i in range(width):
                    new = update(zero, x_r[i] - loss * x_r[i], *take(parts, i), *step)
                    x_r[i] = new[0]
                    put(parts, i, new[1:])
            if stop < now:
                rest = float(now - stop)
                (loss,) = cast((1 - products[now] / products[stop],), x)
                power_1, power_2 = power(beta_1, rest, x), power(beta_2, rest, x)
                m, v = parts[0], parts[1]
                for i in range(width):
                    x_r[i] -= loss * x_r[i]
                    m[i] = flushed(power_1 * m[i], x)
                    v[i] = flushed(power_2 * v[i], x)

    return kernel


def walk_signature(rule, dtype):
    """Types of the arguments of a `walk` kernel."""
    array, _, rows = _arrays(dtype)
    history = (HISTORY, HISTORY, types.int64, HISTORY)
    return types.void(rows, *_table_types(rule, array), *history, *(types.float64,) * 3)


HISTORY = types.Array(types.float64, 1, "C")  # one number for each step


def _arrays(dtype):
    """Types of an array to write, of one to read, and of the numbers of rows."""
    element = from_dtype(np.dtype(dtype))
    array, values = types.Array(element, 1, "C"), types.Array(element, 1, "C", readonly=True)
    return array, values, types.Array(types.int64, 1, "C", readonly=True)


def _step_types(rule, array):
    """Types of slots, width, t, hyper and decay."""
    hyper = types.UniTuple(types.float64, len(rule.hyperparameters))
    return types.UniTuple(array, len(rule.slots)), types.int64, types.float64, hyper, types.float64


def _table_types(rule, array):
    """Types of last, now, x, slots and width."""
    last = types.Array(types.int32, 1, "C")
    return last, types.int64, array, types.UniTuple(array, len(rule.slots)), types.int64
