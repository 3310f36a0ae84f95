"""The loops of sparse gradients: rules carried over the rows of a table.

A variable with rows of `width` elements is one flat array, its slots likewise.  A sparse gradient is
a sorted array of distinct `rows` and a flat array with their values.  As in `kernels`, serial and
parallel kernels are one text, give the same bits and never raise.
"""

from functools import cache
from math import inf, sqrt
from typing import Any

import numpy as np
from numba import prange

from .._jit import array, compile_kernel
from .._jitable import register_jitable
from .._tuples import cast, cut, flushed, put, take
from ..engine import PARALLEL_SIZE
from ..kernels import BLOCK, clipped
from ..rules import Rule, ratio

ROWS = 16  # number of rows that share one set of work arrays
LINE = 64  # size of a cache line in bytes
# Elements in the rows of a batch from which on they are handled in parallel.  Fewer take less time
# than a second thread may take to wake up, if it slept since the last batch.
PARALLEL_ROWS = 4 * PARALLEL_SIZE

ROWS_READ = array(int, readonly=True)  # an example of numbers of rows


def summed() -> Any:
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


@cache
def summed_kernel(dtype: str, mode: str) -> Any:
    """Return `summed`, compiled."""
    examples = array(dtype, readonly=True), 1, ROWS_READ, ROWS_READ, inf, 1.0, array(dtype)
    return compile_kernel(summed(), examples, name=f"summed_{dtype}", mode=mode)


def touched(rule: Any) -> Any:
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


@cache
def touched_kernel(rule: Rule, dtype: str, mode: str) -> Any:
    """Return `touched`, compiled."""
    examples = ROWS_READ, array(dtype, readonly=True), *_of_step(rule, dtype)
    return compile_kernel(touched(rule), examples, name=f"touched_{rule.name}_{dtype}", mode=mode)


def untouched(rule: Any) -> Any:
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


@cache
def untouched_kernel(rule: Rule, dtype: str, mode: str) -> Any:
    """Return `untouched`, compiled."""
    examples = ROWS_READ, *_of_step(rule, dtype)
    return compile_kernel(untouched(rule), examples, name=f"untouched_{rule.name}_{dtype}", mode=mode)


def catch_up() -> Any:
    """Build the loop that makes up the steps that rows have missed, by their weights (see `deferred`)."""

    def kernel(rows, last, now, x, slots, width, products, weights, constants):
        zero, one, two, eps = cast((0.0, 1.0, 2.0, constants[2]), x)
        blocks = (rows.size + ROWS - 1) // ROWS
        ahead = np.zeros(blocks, x.dtype)
        for b in prange(blocks):
            # Reading something of every cache line first, one wait for memory serves many rows:
            # 0.32 instead of 0.67 us for a row of 64 in a table of 1e6.
            for k in range(b * ROWS, min((b + 1) * ROWS, rows.size)):
                for i in range(rows[k] * width, (rows[k] + 1) * width, LINE // x.itemsize):
                    ahead[b] += x[i] + slots[0][i] + slots[1][i] + slots[-1][i]
            quotient, place = np.empty(width, x.dtype), np.empty(width, x.dtype)
            total, previous = np.empty(width, x.dtype), np.empty(width, x.dtype)
            for k in range(b * ROWS, min((b + 1) * ROWS, rows.size)):
                since, first = last[rows[k]], rows[k] * width
                last[rows[k]] = now
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
                (kept,) = cast((products[now] / products[since],), x)
                for i in range(width):
                    x_r[i] = kept * x_r[i] - quotient[i] * total[i]
                decay_moments(m, v, constants, now - since)

    return kernel


@cache
def catch_up_kernel(rule: Rule, dtype: str, mode: str) -> Any:
    """Return `catch_up`, compiled."""
    examples = *_of_table(rule, dtype), array(), array(axes=2), (0.0,) * 3
    return compile_kernel(catch_up(), examples, name=f"catch_up_{len(rule.slots)}_{dtype}", mode=mode)


def replay() -> Any:
    """Build the loop that makes up missed steps one by one, the first `limit` of them: no more matter."""

    def kernel(rows, last, now, x, slots, width, products, alphas, losses, limit, constants):
        beta_1, beta_2, epsilon = constants
        for b in prange((rows.size + ROWS - 1) // ROWS):
            root, total = np.empty(width), np.empty(width)  # in double precision: roundings add up
            for k in range(b * ROWS, min((b + 1) * ROWS, rows.size)):
                since, first = last[rows[k]], rows[k] * width
                last[rows[k]] = now
                stop = min(since + limit, now)
                x_r, parts = x[first : first + width], cut(slots, first, first + width)
                m, v, squared = parts[0], parts[1], parts[-1]
                for i in range(width):
                    v[i] += 0 * v[i]
                    root[i] = sqrt(np.float64(squared[i]))
                    total[i] = 0
                power_1 = power_2 = 1.0
                for s in range(since + 1, stop + 1):
                    power_1 *= beta_1
                    power_2 *= sqrt(beta_2)
                    alpha, loss = alphas[s] * power_1, losses[s]
                    for i in range(width):
                        movement = alpha * ratio(np.float64(m[i]), power_2 * root[i] + epsilon)
                        total[i] += movement - loss * total[i]
                for i in range(width):
                    x_i = products[now] / products[since] * x_r[i] - products[now] / products[stop] * total[i]
                    (x_r[i],) = cast((x_i,), x)
                decay_moments(m, v, constants, now - since)

    return kernel


@cache
def replay_kernel(rule: Rule, dtype: str, mode: str) -> Any:
    """Return `replay`, compiled."""
    examples = *_of_table(rule, dtype), *(array(),) * 3, 1, (0.0,) * 3
    return compile_kernel(replay(), examples, name=f"replay_{len(rule.slots)}_{dtype}", mode=mode)


@register_jitable
def decay_moments(m, v, constants, steps):
    """Decay the moments of a row that missed some steps, to zero instead of subnormal numbers."""
    power_1, power_2 = cast((constants[0] ** float(steps), constants[1] ** float(steps)), m)
    power_1, power_2 = flushed(power_1, m), flushed(power_2, m)
    for i in range(m.size):
        m[i] = flushed(power_1 * m[i], m)
        v[i] = flushed(power_2 * v[i], v)


def _of_step(rule, dtype):
    """Return examples of x, slots, width, t, hyper and decay."""
    slots, hyper = (array(dtype),) * len(rule.slots), (0.0,) * len(rule.hyperparameters)
    return array(dtype), slots, 1, 0.0, hyper, 0.0


def _of_table(rule, dtype):
    """Return examples of rows, last, now, x, slots and width."""
    return ROWS_READ, array(np.int32), 1, array(dtype), (array(dtype),) * len(rule.slots), 1
