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
def go_on(step, tell, evaluate, record, own, context, point, g, s, rates, first, k, stride, most):
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
        Learning rates of the steps from number `first` on; the last one stays.
    first : int
        See `rates`.
    k, stride : int
        First argument of the first evaluation, and how much it grows from one to the next.
    most : int
        Largest number of evaluations.
    """
    done = 0
    while done < most and s.next <= EVALUATE:
        if s.next == STEP:
            call(step, 0.0, (record, own, rates[min(s.nit - first, rates.size - 1)]))
        f = call(evaluate, 0.0, (k + stride * done, point, g, context))
        call(tell, 0, (record, f, 1))
        done += 1
    return done


def loop(step, tell, evaluate, record, own, context, point, g, numbers, rates, most):
    """Go on with one run: see `go_on`."""
    point, g, s = borrowed(point), borrowed(g), numbers[0]
    first = s.nit
    return go_on(step, tell, evaluate, record, own, context, point, g, s, rates, first, 0, 1, most)


def solve(
    begin, step, tell, evaluate, end, record, own, block, context, point, g, numbers, rates, codes, place,
    most,
):  # fmt: skip
    """Go on with the problems of a block for some evaluations, and write why each has ended to `codes`.

    `rates` has a row for each problem, or a single one; `place` is the problem that comes next, and whether
    it has begun.
    """
    point, g, s = borrowed(point), borrowed(g), numbers[0]
    while place[0] < codes.size and most > 0:
        p = place[0]
        if place[1] == 0:
            call(begin, 0, (record, own, block, p))
            place[1] = 1
        of_problem = rates[min(p, rates.shape[0] - 1)]
        most -= go_on(step, tell, evaluate, record, own, context, point, g, s, of_problem, 0, p, 0, most)
        if s.next > EVALUATE:
            call(end, 0, (record, own, block, p))
            codes[p] = s.next
            place[0], place[1] = p + 1, 0


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
    vector, numbers = types.Array(real, 1, "C"), types.Array(from_dtype(NUMBERS), 1, "C")
    rates, integers = (types.Array(REAL, 2, "C"), types.Array(INTEGER, 1, "C"))
    run = vector, vector, numbers
    signatures = {
        loop: INTEGER(*(INTEGER,) * 6, *run, types.Array(REAL, 1, "C"), INTEGER),
        solve: types.void(*(INTEGER,) * 9, *run, rates, integers, integers, INTEGER),
        evaluate_at: REAL(INTEGER, INTEGER, vector, vector, INTEGER),
    }
    return compile_kernel(
        function, signatures[function], name=f"{function.__name__}_{dtype}", mode="uncounted"
    )
