"""The update that keeps every row current.

Rows that a batch did not touch have a zero gradient: their moments decay and their parameters go on
moving, so that the result equals the dense one.  `deferred` reaches the same result without the work on
the untouched rows.
"""

from typing import Any

from .. import rules
from ..engine import mode
from .gradients import RowGradient
from .kernels import PARALLEL_ROWS, touched_kernel, untouched_kernel

# A zero gradient leaves an element exactly as it is: the untouched rows need no work.
RESTING = (rules.SGD.update, rules.ADAGRAD.update)


def step(
    rule: Any, x: Any, slots: Any, gradient: RowGradient, t: Any, hyper: Any, decay: float = 0.0
) -> None:
    """Make step number `t`, in place, as a dense gradient with zeros elsewhere would.

    Parameters
    ----------
    rule : Rule
        The algorithm.
    x : ndarray, 1-D
        The variable's elements, C-contiguous.
    slots : tuple of ndarray, 1-D
        Its parts of the slots, as long as `x`.
    gradient : RowGradient
        As `RowGradient.summed` returns it.
    t, hyper, decay
        As for `engine.State.step`.
    """
    if x.size and (decay or rule.update not in RESTING):
        kernel = untouched_kernel(rule, x.dtype.name, mode(x.size))
        kernel(gradient.rows, x, slots, gradient.width, t, hyper, decay)
    step_rows(rule, x, slots, gradient, t, hyper, decay)


def step_rows(
    rule: Any, x: Any, slots: Any, gradient: RowGradient, t: Any, hyper: Any, decay: float = 0.0
) -> None:
    """Step the rows of a summed gradient and no others."""
    kernel = touched_kernel(rule, x.dtype.name, mode(gradient.values.size, PARALLEL_ROWS))
    kernel(gradient.rows, gradient.values, x, slots, gradient.width, t, hyper, decay)
