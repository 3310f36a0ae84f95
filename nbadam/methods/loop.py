"""Runs inside compiled code.

Step, tell and objective are functions at addresses, so these loops are compiled once for all of them.
"""

from functools import cache
from typing import Any

from .._calls import call
from .._jit import array, compile_kernel, entry_point
from .._jitable import register_jitable
from .._pointers import pointer_to
from .record import EVALUATE, STEP


@register_jitable
def go_on(step, tell, evaluate, run, own, context, rates, first, k, stride, most):
    """Go on with a run until it ends, or for so many evaluations; return how many were made.

    Parameters
    ----------
    step, tell, evaluate : int
        Addresses of the kernels and of the objective.
    run : Record
        At an address.
    own, context : int
        Addresses of the rule's own state, and the arguments of the objective.
    rates : float64 array
        Learning rates of the steps from number `first` on; the last one stays.
    first : int
        See `rates`.
    k, stride : int
        First argument of the first evaluation, and how much it grows from one to the next.
    most : int
        Largest number of evaluations.
    """
    point, g, s, done = run.point, run.g, run.numbers[0], 0
    while done < most and s.next <= EVALUATE:
        if s.next == STEP:
            call(step, None, (run, own, rates[min(s.nit - first, rates.size - 1)]))
        f = call(evaluate, 0.0, (k + stride * done, point, g, context))
        call(tell, None, (run, f, 1))
        done += 1
    return done


def loop(step, tell, evaluate, run, own, context, rates, most):
    """Go on with one run: see `go_on`."""
    return go_on(step, tell, evaluate, run, own, context, rates, run.numbers[0].nit, 0, 1, most)


def solve(begin, step, tell, evaluate, end, run, own, block, context, rates, codes, place, most):
    """Go on with the problems of a block for some evaluations, and write why each has ended to `codes`.

    `rates` has a row for each problem, or a single one; `place` is the problem that comes next, and whether
    it has begun.
    """
    s = run.numbers[0]
    while place[0] < codes.size and most > 0:
        p = place[0]
        if place[1] == 0:
            call(begin, None, (run, own, block, p))
            place[1] = 1
        of_problem = rates[min(p, rates.shape[0] - 1)]
        most -= go_on(step, tell, evaluate, run, own, context, of_problem, 0, p, 0, most)
        if s.next > EVALUATE:
            call(end, None, (run, own, block, p))
            codes[p] = s.next
            place[0], place[1] = p + 1, 0


@cache
def loop_kernel(function: Any, record: Any) -> Any:
    """Return `loop` or `solve` for records of a type, compiled."""
    run = pointer_to(record)
    examples = {
        loop: (0, 0, 0, run, 0, 0, array(), 0),
        solve: (0, 0, 0, 0, 0, run, 0, 0, 0, array(axes=2), array(int), array(int), 0),
    }
    name = function.__name__
    return entry_point(compile_kernel(function, examples[function], name=name, mode="uncounted_nogil"))
