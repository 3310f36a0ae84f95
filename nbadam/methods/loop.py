"""Runs inside compiled code.

Step, tell and objective are functions at addresses, so these loops are compiled once for all of them.
"""

from functools import cache
from typing import Any

from .._calls import call
from .._jit import array, compile_kernel
from .._jitable import register_jitable
from .._pointers import borrowed
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
            call(begin, None, (record, own, block, p))
            place[1] = 1
        of_problem = rates[min(p, rates.shape[0] - 1)]
        most -= go_on(step, tell, evaluate, record, own, context, point, g, s, of_problem, 0, p, 0, most)
        if s.next > EVALUATE:
            call(end, None, (record, own, block, p))
            codes[p] = s.next
            place[0], place[1] = p + 1, 0


@cache
def loop_kernel(function: Any, dtype: str) -> Any:
    """Return `loop` or `solve` in a precision, compiled."""
    run = array(dtype), array(dtype), array(NUMBERS)
    examples = {
        loop: (*(0,) * 6, *run, array(), 0),
        solve: (*(0,) * 9, *run, array(axes=2), array(int), array(int), 0),
    }
    name = f"{function.__name__}_{dtype}"
    return compile_kernel(function, examples[function], name=name, mode="uncounted_nogil")
