"""The loops that carry a rule over arrays, and the norms that clipping needs.

One call serves a fixed number of arrays of one dtype (the *width* of a kernel).  The slots of all
of them lie in shared flat arrays, each variable's part beginning at its entry of `starts`.
``prange`` is an ordinary range unless the kernel is compiled in parallel: serial and parallel
kernels are one text and give the same bits.  Kernels never raise; arrays are C-contiguous.
"""

from functools import cache
from math import inf
from typing import Any

import numpy as np
from numba import prange

from ._jit import array, compile_kernel
from ._jitable import register_jitable
from ._tuples import cast, cut, put, store, take
from .gradients import norm_from
from .rules import Rule

BLOCK = 4096  # number of elements in a partial sum: fixed, so that a sum does not depend on the threads
# Plain steps flush subnormals to zero only every 16th time: often enough for decaying moments, and the
# other 15 steps take 0.7 to 0.9 of the time (in cache, in memory).
SWEEP = 16


@register_jitable
def clipped(g, limit):
    """Clip to [-limit, limit]; NaN stays NaN."""
    g = -limit if g < -limit else g  # one bound after the other: a single instruction each
    return limit if g > limit else g


def rule_loop(rule: Any) -> Any:
    """Build the loop that carries a rule over one array, as a function for kernels.

    Where it `sweeps`, subnormal numbers become 0 even if nothing is clipped.
    """
    update = rule.update

    @register_jitable(inline="always")
    def loop(g, x, slots, sweeps, step, clip, scale, decay):
        limit, scale, decay = cast((clip, scale, decay), x)
        if clip == inf and scale == 1 and decay == 0 and not sweeps:
            for i in prange(x.size):
                new = update(g[i], x[i], *take(slots, i), *step)
                x[i] = new[0]
                store(slots, i, new[1:])
        else:
            for i in prange(x.size):
                g_i = scale * clipped(g[i], limit)
                new = update(g_i, x[i] - decay * x[i], *take(slots, i), *step)
                x[i] = new[0]
                put(slots, i, new[1:])

    return loop


def dense(rule: Any) -> Any:
    """Build the kernel that steps every element of every array."""
    scalars, loop = rule.scalars, rule_loop(rule)

    def kernel(gs, xs, slots, starts, t, hyper, clip, scales, decays):
        for k in range(len(xs)):
            g, x = gs[k], xs[k]
            parts = cut(slots, starts[k], starts[k] + x.size)
            step = cast(scalars(t, *hyper), x)
            loop(g, x, parts, t % SWEEP == 0, step, clip, scales[k], decays[k])

    return kernel


@cache
def dense_kernel(rule: Rule, dtype: str, width: int, mode: str) -> Any:
    """Return `dense`, compiled."""
    gs, xs = (array(dtype, readonly=True),) * width, (array(dtype),) * width
    slots, hyper = (array(dtype),) * len(rule.slots), (0.0,) * len(rule.hyperparameters)
    # t as a float: LLVM then hoists beta**t out of the loop.
    examples = gs, xs, slots, array(int), 0.0, hyper, inf, array(), array()
    return compile_kernel(dense(rule), examples, name=f"dense_{rule.name}_{dtype}_{width}", mode=mode)


@register_jitable(error_model="numpy", fastmath={"reassoc"})
def block_sum(g, limit):
    """Sum of the squares of a block, clipped by value; in double precision, so that no float32 overflows."""
    total = 0.0
    for i in range(g.size):
        g_i = np.float64(clipped(g[i], limit))
        total += g_i * g_i
    return total


@register_jitable(error_model="numpy")
def norm(g, limit):
    """Norm of a gradient clipped by value, summed as `sum_squares` does."""
    total = 0.0
    (cap,) = cast((limit,), g)
    for start in range(0, g.size, BLOCK):
        total += block_sum(g[start : start + BLOCK], cap)
    return norm_from(total, g, limit)


def sum_squares() -> Any:
    """Build the kernel that sums the squares of each array, after clipping by value."""

    def kernel(gs, clip, sums):
        for k in range(len(gs)):
            g = gs[k]
            (limit,) = cast((clip,), g)
            blocks = (g.size + BLOCK - 1) // BLOCK
            partial = np.empty(blocks)
            for b in prange(blocks):
                partial[b] = block_sum(g[b * BLOCK : (b + 1) * BLOCK], limit)
            sums[k] = 0.0
            for b in range(blocks):
                sums[k] += partial[b]

    return kernel


@cache
def sum_squares_kernel(dtype: str, width: int, mode: str) -> Any:
    """Return `sum_squares`, compiled."""
    examples = (array(dtype, readonly=True),) * width, inf, array()
    return compile_kernel(sum_squares(), examples, name=f"sum_squares_{dtype}_{width}", mode=mode)
