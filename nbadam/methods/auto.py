"""A learning rate for each variable that needs no tuning: ``learning_rate="auto"``.

The rule makes a step of rate 1, which says for each variable what Adam's direction is: minus the mean
gradient over its root mean square.  `stretch` then gives it a length.  That is the variable's *radius*,
the furthest that it has been from its start, over the root of the noise met so far: distance over
gradients (DoG) of Ivgi, Hinder and Carmon (ICML 2023), variable by variable, with Prodigy's weights
(Mishchenko and Defazio, ICML 2024), by which what was met at a smaller radius counts less.  Noise is what
the momentum did not foresee, as in optimistic methods (Rakhlin and Sridharan, COLT 2013): a steady
gradient does not slow a variable down.  The radius grows by a bounded factor a step, which is smaller
where the gradient is not as foreseen.  The last part of the budget is for the rates to fall to 0 in a
straight line; it is the longer the noisier the gradients are.

Every quantity is relative: to the radius, or to the root mean square of the gradient.  Another unit of
the value, or of a variable that does not start at 0, changes nothing but rounding.
"""

from functools import cache
from math import isfinite, sqrt

import numpy as np
from numba import types
from numba.extending import register_jitable

from .._jit import compile_kernel
from ..kernels import clipped

# Chosen on two thirds of the problems of benchmarks/robustness.py, see docs/learning_rates.rst.
FIRST_RADIUS = 1e-3  # relative to where the variable starts
STRIDE = 2.0  # length of a step in radii, without noise
NOISE_WEIGHT = 8.0
SLOWEST, FASTEST = 0.02, 0.2  # growth of a radius in a step: if all is noise, and more if none is
NOISY = 0.01  # squared noise, relative to the mean square of the gradient, at which that is halved
SHORTEST_FALL = 0.1  # least part of the budget in which the rates fall


def new_auto(n: int) -> tuple[np.ndarray, ...]:
    """Return the state of `n` automatic rates: start, radius and noise of each variable, and a tally.

    The tally holds the sum of the mean noise of all steps, and the mean rate of the last one.
    """
    return np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(2)


def begin(x: np.ndarray, f: float, g: np.ndarray, start: np.ndarray, radius: np.ndarray) -> None:
    """Set the radii where a run begins.

    Parameters
    ----------
    x, f, g : ndarray of shape (n,), float, ndarray of shape (n,)
        First point, value and gradient.
    start, radius : ndarrays of shape (n,)
        Written.  A variable that starts at 0 has no size: for it, the step that would bring the value to
        0 takes its place, on a straight line and shared by all variables.
    """
    start[:] = x
    largest = np.abs(g).max()
    if not (isfinite(f) and 0 < largest < np.inf):  # the run will not begin
        return
    shares = np.abs(g) / largest  # the sum of gradients might overflow
    with np.errstate(over="ignore"):
        polyak = abs(f) / largest / np.maximum(x.size * shares, 0.01 * shares.sum())
    size = np.where(x != 0, np.abs(x), np.where(polyak > 0, polyak, 1.0))
    radius[:] = FIRST_RADIUS * np.clip(size, np.finfo(float).tiny, np.finfo(float).max)


@register_jitable
def stretch(t, horizon, g, scale, limits, betas, before, scaled, m, v, start, radius, noise, tally):
    """Turn a step of rate 1 from 0 into the run's step; return the mean rate.

    Parameters
    ----------
    t, horizon : float
        Number of the step, from 1, and how many there will be.
    g, scale : float64 array of shape (n,), and float
        Gradient, and its factor after clipping by value.
    limits : (float, float)
        Where the gradient is clipped, and the weight decay.
    betas : (float, float)
        `beta_1` and `beta_2` of the moments.
    before, scaled : float64 arrays of shape (n,)
        The variables before the step, and what the rule made of 0; here the step is added to the former
        and written to the latter.
    m, v : float64 arrays of shape (n,)
        The moments after the step.
    start, radius, noise, tally : float64 arrays
        See `new_auto`; changed in place.
    """
    clipvalue, weight_decay = limits
    unbias_1, unbias_2 = 1 / (1 - betas[0] ** t), 1 / (1 - betas[1] ** t)
    n = scaled.size
    fall = min(max(SHORTEST_FALL, tally[0] / max(t - 1, 1.0)), 1.0)
    height = min(1.0, (horizon - t + 1) / (fall * horizon))
    total_noise = total_rate = 0.0
    for i in range(n):
        surprise = 0.0
        if v[i] > 0:
            error = scale * clipped(g[i], clipvalue) - unbias_1 * m[i]
            surprise = min(error * (error / (unbias_2 * v[i])), 1e3)
        moved = abs(before[i] - start[i])
        if moved > radius[i]:
            growth = min(moved / radius[i], 1 + SLOWEST + FASTEST / (1 + surprise / NOISY))
            radius[i] *= growth
            noise[i] /= growth * growth
        noise[i] += surprise
        rate = height * STRIDE * radius[i] / sqrt(1 + NOISE_WEIGHT * noise[i])
        scaled[i] = before[i] + rate * (scaled[i] - weight_decay * before[i])
        total_noise += surprise
        total_rate += rate
    tally[0] += total_noise / n
    tally[1] = total_rate / n
    return tally[1]


@cache
def stretch_kernel():
    """Return `stretch`, compiled."""
    double, array = types.float64, types.Array(types.float64, 1, "C")
    pair = types.UniTuple(double, 2)
    signature = double(double, double, array, double, pair, pair, *(array,) * 8)
    return compile_kernel(stretch, signature, name="stretch", mode="serial")
