"""Adam over lanes, each step on a part of the points: for data sets too long to look at whole every time.

All fits see the same points of their data sets, in an order that only the seed and the number of points
decide.  A fit therefore has the same bits alone and in any batch.
"""

from collections.abc import Iterator
from functools import cache
from math import cos, pi

import numpy as np

from ..._calls import call
from ..._jit import array, compile_kernel
from ..._tuples import cast
from ...blocks import is_called_off
from ...rules import ADAM
from ...shuffling import order_of
from .adam import mover
from .lanes import END, GRADIENT_TRIAL, TRIAL, common_examples, put, take

# Longer memories than without noise.  On decays and peaks of 100,000 points 1,000 steps end 0.6 to 2.6
# standard errors from the minimum, with (0.8, 0.9) 0.7 to 5.3; with (0.9, 0.999) some run away at first.
BETA_1, BETA_2 = 0.9, 0.99
TAIL = 0.1  # share of the steps over whose points is averaged: up to 8 times better than the last point


def batches(seed: tuple[int, ...], points: int, size: int, steps: int) -> Iterator[np.ndarray]:
    """Yield the points of each step, arrays of shape (steps in it, batch size), one for every epoch.

    An epoch leaves over less than a batch, other points in each.  Ends early where the work is
    called off.
    """
    size = min(size, points)
    epoch = 0
    while steps > 0 and size > 0 and not is_called_off():
        count = min(points // size, steps)
        yield order_of(seed, epoch, points)[: count * size].reshape(count, size)
        steps -= count
        epoch += 1


def descent(rule):
    """Build the kernel that makes a step with each fit for each batch of points."""
    scalars, move = rule.scalars, mover(rule)

    def descend(
        normal, rows, S, state, x, data, lower, upper, f_scale, shared, settings, order, scale, p, m, v, mean
    ):  # fmt: skip
        """Go on from `p`; all but it, the moments `m` and `v` and the `mean` is input.

        Parameters
        ----------
        normal, rows, S, state, x, data, lower, upper, f_scale
            See `lanes`; the state is scratch.
        shared : array of shape (n_variables, batch size)
            Scratch, for `x` at the points of a step.
        settings : array
            How many steps are done and planned, the first learning rate, and from which step on points count
            for the mean.
        order : array of shape (steps, batch size)
            The points of each step.
        scale, p, m, v, mean : arrays of shape (fits, n)
            Of the parameters' steps, the point, the moments, the mean.
        """
        trial, gradient, first = rows[TRIAL], rows[GRADIENT_TRIAL], rows[END]
        done, planned, learning_rate, counting = settings[0], settings[1], settings[2], settings[3]
        fits, columns, lanes = data.shape[0], data.shape[1], state.shape[1]
        steps, size = order.shape
        n = p.shape[1]
        for start in range(0, fits, lanes):
            busy = min(lanes, fits - start)
            for lane in range(busy):
                put(state[:, lane], trial, p[start + lane])
            for number in range(steps):
                for k in range(size):
                    point = order[number, k]
                    if x.shape[1] > 0:
                        for c in range(x.shape[0]):
                            shared[c, k] = x[c, point]
                    for c in range(columns):
                        for lane in range(busy):
                            state[first + c * size + k, lane] = data[start + lane, c, point]
                # The sums are those of the batch, not of the whole: Adam without epsilon sees no factor.
                call(normal, None, (shared, S, size, 0, size, f_scale))
                t = done + number
                rate = learning_rate * 0.5 * (1 + cos(pi * t / planned))
                step = cast(scalars(t + 1.0, rate, BETA_1, BETA_2, 0.0), data)
                for lane in range(busy):
                    i, own = start + lane, state[:, lane]
                    for j in range(n):
                        move(own, trial + j, own[gradient + j], scale, m, v, step, lower, upper, i, j)
                        if t <= counting:
                            mean[i, j] = own[trial + j]
                        else:
                            mean[i, j] += (own[trial + j] - mean[i, j]) / (t - counting + 1)
            for lane in range(busy):
                take(state[:, lane], trial, p[start + lane])

    return descend


@cache
def descent_kernel(dtype: str):
    """Return the kernel of `descent` for Adam, compiled."""
    given, table = array(dtype, 2, readonly=True), array(dtype, 2)
    own = table, array(), array(int, 2), given, table, table, table, array(axes=2)
    examples = *common_examples(dtype), *own
    return compile_kernel(descent(ADAM), examples, name=f"descend_batches_{ADAM.name}_{dtype}", mode="nogil")
