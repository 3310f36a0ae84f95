"""Problems of one kind, which a record runs one after the other: their kernels, how a run begins and ends."""

from functools import cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from .._jit import compile_kernel
from .._pointers import Stored, pointer_to
from .._tuples import store
from .averaging import BEST
from .plan import Plan
from .record import ROWS, RuleState, new_numbers, new_record, new_rule_state
from .step import copy, step
from .stopping import Stop
from .tell import tell


class Block(NamedTuple):
    """Problems that begin from one record, one after the other; arrays of the precision of the runs."""

    x0: np.ndarray  # shape (problems, n), like the next three: starts by the user's variables
    lower: np.ndarray
    upper: np.ndarray
    x_scale: np.ndarray
    fractions: np.ndarray  # shape (problems, n) or (problems, 0)
    slots: np.ndarray  # shape (slots, problems, n)
    numbers: np.ndarray  # NUMBERS, shape (1,)
    x_end: np.ndarray  # shape (problems, n), written
    f_end: np.ndarray  # shape (problems,), written, like the next one
    nit_end: np.ndarray  # int64


class Workspace:
    """A record, the rule's own state and a block of problems in memory, with the kernels of their runs.

    Parameters
    ----------
    plan : Plan
        The rule with its hyperparameters and the limits.
    given : tuple of ndarray
        The arrays of `Block` up to `fractions`.
    rates : float or array of shape (problems, 1)
        Learning rates of the first step, for rules whose slots depend on them.
    scalars : tuple of ndarray
        Scalars of every step, if they are tabulated.
    rows : int
        Most records of the history.
    how : str
        Mode of the kernel that makes a step.
    like : Workspace, optional
        One with the same plan: its kernels are taken if its arrays are of the same types.

    Attributes
    ----------
    block, record, own : Block, Record, RuleState
        The problems that are to begin, the record, and the rule's own state.
    addresses : tuple of int
        Addresses of the record, the rule's own state and the block.
    kinds : tuple of numba types
        Types of the three.
    begin, step, tell, end : callable
        The kernels; `end` is compiled when it is asked for.
    """

    def __init__(
        self,
        plan: Plan,
        given: Any,
        rates: Any,
        scalars: Any = (),
        rows: int = ROWS,
        how: str = "uncounted",
        like: "Workspace | None" = None,
    ) -> None:
        rule, (x0, lower, upper, x_scale, fractions) = plan.rule, given
        x = np.clip(x0, lower, upper) / x_scale
        slots = np.zeros((len(rule.slots), *x.shape), x.dtype)
        if rule.start is not None:
            first = rule.scalars(1.0, rates, *plan.hyper)
            with np.errstate(invalid="ignore"):  # infinite starts fail by themselves
                for slot, values in zip(slots, rule.start(x, *first), strict=True):
                    slot[...] = values
        ends = np.empty_like(x), np.empty(len(x), x.dtype), np.empty(len(x), np.int64)
        self.block: Block = Block(x0, lower, upper, x_scale, fractions, slots, new_numbers(), *ends)
        has_fractions, (_, n) = fractions.shape[1] > 0, x.shape
        self.record: Any = new_record(n, x.dtype, plan.limits, plan.is_auto, has_fractions, rows)
        self.own: RuleState = new_rule_state(rule, n, x.dtype, plan.hyper, scalars)
        self._stored = Stored(self.record), Stored(self.own), Stored(self.block)
        self.addresses: Any = tuple(stored.address for stored in self._stored)
        self.kinds: Any = tuple(stored.type for stored in self._stored)
        self.begin: Any
        self.step: Any
        self.tell: Any
        self._end: Any = None
        if like is not None and like.kinds == self.kinds:  # to find kernels takes as long as all the rest
            self.begin, self.step, self.tell, self._end = like.begin, like.step, like.tell, like.end
            return
        self.begin = _compiled(begin, self.kinds, 0)
        self.step = _compiled(step(rule, plan.is_auto), self.kinds[:2], 0.0, mode=how)
        self.tell = _compiled(tell, self.kinds[:1], 0.0, 1)

    @property
    def end(self) -> Any:
        """The kernel that writes the result of a problem."""
        if self._end is None:
            self._end = _compiled(end, self.kinds, 0)
        return self._end


def begin(run, own, given, p):
    """Make the record of a run ready for problem `p` of a block."""
    run.numbers[0] = given.numbers[0]
    is_free = run.fractions.size == 0
    for i in range(run.x.size):
        lower, upper, scale = given.lower[p, i], given.upper[p, i], given.x_scale[p, i]
        run.x_lower[i], run.x_upper[i], run.x_scale[i] = lower, upper, scale
        run.here[i] = run.point[i] = run.x_best[i] = min(max(given.x0[p, i], lower), upper)
        run.x[i] = run.before[i] = run.here[i] / scale
        run.lower[i], run.upper[i] = lower / scale, upper / scale
        is_free &= scale == 1 and lower == -inf and upper == inf
        run.g_sum[i] = run.x_sum[i] = run.x_mean[i] = 0.0
        store(own.slots, i, given.slots[:, p, i])
    copy(given.fractions[p], run.fractions)
    for i in range(run.average.size):
        run.average[i] = 0.0
    run.numbers[0].is_free = is_free


def end(run, own, given, p):
    """Write the result of problem `p`: the point wanted, or the best one if that is above the start.

    Where the run ended no lower than it began, `next` becomes negative.
    """
    s, limits = run.numbers[0], run.limits[0]
    f, x = s.f, run.here
    if s.is_at_mean:
        f, x = s.f_at_mean, run.x_at_mean
    elif limits.average == BEST and s.f_best < inf:
        f, x = s.f_best, run.x_best
    is_start = s.nit > 0 and s.next != Stop.GTOL
    for i in range(x.size):
        is_start &= x[i] == min(max(given.x0[p, i], run.x_lower[i]), run.x_upper[i])
    if is_start:
        s.next = -s.next
    if s.f_best < inf and (abs(s.next) == Stop.NONFINITE or not f <= s.f_start):
        f, x = s.f_best, run.x_best
        s.next = -abs(s.next)
    copy(x, given.x_end[p])
    given.f_end[p], given.nit_end[p] = f, s.nit


@cache
def _compiled(kernel: Any, kinds: Any, *examples: float, mode: str = "uncounted") -> Any:
    """Return a kernel for values of some types at addresses, and for further arguments, compiled."""
    return compile_kernel(kernel, (*map(pointer_to, kinds), *examples), name=kernel.__name__, mode=mode)
