"""Runs inside compiled code, and the kernels through which Python makes a single step of one.

Step, tell and objective are functions at addresses, so these loops are compiled once for all of them.
"""

from functools import cache

import numpy as np
from numba import from_dtype, types
from numba.extending import register_jitable

from .._jit import compile_kernel
from .._pointers import borrowed, call
from .record import EVALUATE, NUMBERS, STEP


@register_jitable
def go_on(step, tell, evaluate, record, own, context, point, g, s, rates, k, stride, most):
    """Go on with a run until it ends, or for so many evaluations; return how many were made.

    Parameters
    ----------
    step, tell, evaluate : int
        Addresses of the kernels and of the objective.
    record, own, context : int
        Addresses of the record, the rule's own state, and the arguments of the objective.
    point, g, s : arrays of shape (n,), record
        Those of the record, and its numbers.
    rates : float64 array
        Learning rates of the next steps; the last one stays.
    k, stride : int
        First argument of the first evaluation, and how much it grows from one to the next.
    most : int
        Largest number of evaluations.
    """
    first, done = s.nit, 0
    while done < most and s.next <= EVALUATE:
        if s.next == STEP:
            call(step, 0.0, (record, own, rates[min(s.nit - first, rates.size - 1)]))
        f = call(evaluate, 0.0, (k + stride * done, point, g, context))
        call(tell, 0, (record, f, 1))
        done += 1
    return done


def loop(step, tell, evaluate, record, own, context, point, g, numbers, rates, most):
    """Go on with one run: see `go_on`."""
    point, g = borrowed(point), borrowed(g)
    return go_on(step, tell, evaluate, record, own, context, point, g, numbers[0], rates, 0, 1, most)


def solve(
    begin, step, tell, evaluate, end, record, own, block, context, point, g, numbers, rates, codes, progress,
    most,
):  # fmt: skip
    """Go on with the problems of a block, and write why each has ended to `codes`; return whether all have.

    `rates` has a row for each problem, or a single one.  `progress` holds the number of problems that have
    ended, and whether the next has begun.  After `most` evaluations the caller has to look for Ctrl-C.
    """
    point, g = borrowed(point), borrowed(g)
    left = most
    while progress[0] < codes.size:
        p = progress[0]
        if progress[1] == 0:
            call(begin, 0, (record, own, block, p))
            progress[1] = 1
        row = rates[min(p, rates.shape[0] - 1)]
        row = row[min(numbers[0].nit, row.size - 1) :]
        left -= go_on(step, tell, evaluate, record, own, context, point, g, numbers[0], row, p, 0, left)
        if numbers[0].next <= EVALUATE:
            return False
        call(end, 0, (record, own, block, p))
        codes[p] = numbers[0].next
        progress[0], progress[1] = p + 1, 0
    return True


def make_step(step, record, own, rate):
    """Call a kernel of `step`."""
    return call(step, 0.0, (record, own, rate))


def tell_value(tell, record, f, is_fresh):
    """Call a kernel of `tell`."""
    return call(tell, 0, (record, f, is_fresh))


def begin_problem(begin, record, own, block, p):
    """Call a kernel of `begin`."""
    return call(begin, 0, (record, own, block, p))


def evaluate_at(evaluate, k, point, g, context):
    """Call an objective."""
    return call(evaluate, 0.0, (k, borrowed(point), borrowed(g), context))


INTEGER, REAL = types.int64, types.float64
SCALARS = {
    make_step: REAL(*(INTEGER,) * 3, REAL),
    tell_value: INTEGER(INTEGER, INTEGER, REAL, INTEGER),
    begin_problem: INTEGER(*(INTEGER,) * 5),
}


@cache
def entry(function):
    """Return `make_step`, `tell_value` or `begin_problem`, compiled."""
    return compile_kernel(function, SCALARS[function], name=function.__name__, mode="serial")


@cache
def array_entry(function, dtype: str):
    """Return `loop`, `solve` or `evaluate_at` in a precision, compiled."""
    real = from_dtype(np.dtype(dtype))
    vector, rates = types.Array(real, 1, "C"), types.Array(REAL, 1, "C")
    numbers, count = types.Array(from_dtype(NUMBERS), 1, "C"), types.Array(INTEGER, 1, "C")
    signatures = {
        loop: INTEGER(*(INTEGER,) * 6, vector, vector, numbers, rates, INTEGER),
        solve: types.boolean(
            *(INTEGER,) * 9, vector, vector, numbers, types.Array(REAL, 2, "C"), count, count, INTEGER
        ),
        evaluate_at: REAL(INTEGER, INTEGER, vector, vector, INTEGER),
    }
    return compile_kernel(
        function, signatures[function], name=f"{function.__name__}_{dtype}", mode="uncounted"
    )
