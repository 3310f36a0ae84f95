"""A whole run inside compiled code, for objectives that Numba compiled.

The pieces are those of the run driven from Python (`place`, `stopping.observe`, the dense kernel),
so both take the same steps bit for bit.
"""

from functools import cache
from math import inf

import numpy as np
from numba import njit, types

from ._jit import compile_kernel
from .engine import _dense, _sum_squares
from .gradients import clip_scale, norm_from
from .stopping import BAD_SHAPE, CONTINUE, NONFINITE, observe_kernel


def place(before, scaled, rates, lower, upper, x_scale, x_lower, x_upper, x):
    """Turn the rule's step into the run's: each variable's own rate, the bounds, the user's units.

    Parameters
    ----------
    before, scaled : float64 arrays of shape (n,)
        Scaled variables before the step and after it; the latter are corrected in place.
    rates : float64 array of shape (n,) or (0,)
        Each variable's learning rate as a fraction of the one that the rule used; empty if equal.
    lower, upper, x_scale, x_lower, x_upper : float64 arrays of shape (n,)
        Bounds of the scaled variables, and scale and bounds of the user's.
    x : float64 array of shape (n,)
        The user's variables, written.
    """
    for i in range(x.size):
        if rates.size:
            scaled[i] = before[i] + rates[i] * (scaled[i] - before[i])
        scaled[i] = min(max(scaled[i], lower[i]), upper[i])
        x[i] = min(max(scaled[i] * x_scale[i], x_lower[i]), x_upper[i])


@cache
def place_kernel():
    """Return `place`, compiled."""
    signature = types.void(*(types.Array(types.float64, 1, "C"),) * 9)
    return compile_kernel(place, signature, name="place", mode="serial")


def descent(rule, fun):
    """Compile the run of a rule on a compiled ``fun(x, *args) -> (f, g)``.

    Nothing of it is cached on disk: Numba's cache does not see a change in the function.
    """
    # The kernels are compiled already: linking them takes half the time of compiling their texts here.
    dense, sum_squares = _dense(rule, "float64", 1, "serial"), _sum_squares("float64", 1, "serial")
    place, observe = place_kernel(), observe_kernel()

    # Loops instead of `a[:] = b`, whose broadcasting takes Numba seconds to compile.
    @njit(error_model="numpy", nogil=True)
    def run(nit, learning_rates, hyper, clipvalue, clipnorm, weight_decay, tolerances,
            g, scaled, slots, rates, box, x, window, f_best, x_best, g_best, args):  # fmt: skip
        lower, upper = box[0], box[1]
        before = np.empty_like(scaled)
        scales, decays, sums, starts = np.ones(1), np.empty(1), np.empty(1), np.zeros(1, np.int64)
        f, code, done = 0.0, CONTINUE, 0
        for rate in learning_rates:
            for i in range(x.size):
                before[i] = scaled[i]
            if clipnorm < inf:
                sum_squares((g,), clipvalue, sums)
                scales[0] = clip_scale(norm_from(sums[0], g, clipvalue), clipnorm)
            decays[0] = rate * weight_decay
            dense((g,), (scaled,), slots, starts, nit + done + 1.0, (rate, *hyper), clipvalue, scales, decays)
            place(before, scaled, rates, *box, x)
            f, gradient = fun(x.copy(), *args)
            done += 1
            if gradient.shape != x.shape:
                code = BAD_SHAPE
                break
            for i in range(x.size):
                g[i] = gradient[i] * box[2][i]
            code = observe(f, g, scaled, lower, upper, tolerances, *window)
            if f < f_best and code != NONFINITE:
                f_best = f
                for i in range(x.size):
                    x_best[i], g_best[i] = x[i], g[i]
            if code != CONTINUE:
                break
        return code, done, f, f_best

    return run
