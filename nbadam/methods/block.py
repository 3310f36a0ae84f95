"""Problems of one kind, which a record runs one after the other: their kernels, how a run begins and ends."""

from functools import cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from .._jit import compile_kernel
from .._pointers import Stored, pointer_to
from .._tuples import store
from ..rules import Rule
from .averaging import BEST
from .record import ROWS, new_numbers, new_record, new_rule_state
from .step import step_kernel
from .stopping import Stop
from .tell import tell_kernel


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


def new_block(
    rule: Rule,
    hyper: tuple[float, ...],
    rates: Any,
    is_noisy: int,
    x0: Any,
    lower: Any,
    upper: Any,
    x_scale: Any,
    fractions: Any,
) -> Block:
    """Return problems that are to begin; the arrays are those of `Block`.

    Parameters
    ----------
    rule, hyper : Rule, tuple of float
        The rule with its hyperparameters.
    rates : float or array of shape (problems, 1)
        Learning rates of the first step, for rules whose slots depend on them.
    is_noisy : int
        `UNKNOWN`, `NO` or `YES`.
    """
    x = np.clip(x0, lower, upper) / x_scale
    slots = np.zeros((len(rule.slots), *x.shape), x.dtype)
    if rule.start is not None:
        with np.errstate(invalid="ignore"):  # infinite starts fail by themselves
            for slot, values in zip(slots, rule.start(x, *rule.scalars(1.0, rates, *hyper)), strict=True):
                slot[...] = values
    ends = np.empty_like(x), np.empty(len(x), x.dtype), np.empty(len(x), np.int64)
    return Block(x0, lower, upper, x_scale, fractions, slots, new_numbers(is_noisy), *ends)


class Workspace:
    """A record, the rule's own state and a block of problems in memory, with the kernels of their runs.

    Parameters
    ----------
    rule, hyper, block : Rule, tuple of float, Block
        The rule with its hyperparameters, and the problems.
    is_auto : bool
        Whether learning rates are automatic.
    limits : dict of str to float
        See `record.LIMITS`.
    scalars : tuple of ndarray
        Scalars of every step, if they are tabulated.
    rows : int
        Most records of the history.
    how : str
        Mode of the kernel that makes a step.

    Attributes
    ----------
    record, own : Record, RuleState
        The record, and the rule's own state.
    addresses : tuple of int
        Addresses of the record, the rule's own state and the block.
    begin, step, tell, end : callable
        The kernels; `end` is compiled when it is asked for.
    """

    def __init__(
        self,
        rule: Rule,
        hyper: tuple[float, ...],
        block: Block,
        is_auto: bool,
        limits: dict[str, float],
        scalars: Any = (),
        rows: int = ROWS,
        how: str = "uncounted",
    ) -> None:
        (_, n), dtype = block.x0.shape, block.x0.dtype
        has_fractions = block.fractions.shape[1] > 0
        self.record: Any = new_record(n, dtype, limits, is_auto, has_fractions, rows)
        self.own = new_rule_state(rule, n, dtype, hyper, scalars)
        self._stored = Stored(self.record), Stored(self.own), Stored(block)
        self.addresses = tuple(stored.address for stored in self._stored)
        self._kinds = record, own, _ = tuple(stored.type for stored in self._stored)
        self.begin = block_kernel(begin, *self._kinds)
        self.step, self.tell = step_kernel(rule, is_auto, record, own, how), tell_kernel(record)

    @property
    def end(self) -> Any:
        """The kernel that writes the result of a problem."""
        return block_kernel(end, *self._kinds)


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
    for i in range(run.fractions.size):
        run.fractions[i] = given.fractions[p, i]
    for i in range(run.x.size):
        store(own.slots, i, given.slots[:, p, i])
    for i in range(run.average.size):
        run.average[i] = 0.0
    for i in range(run.noise.size):
        run.noise[i] = 0.0
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
    for i in range(x.size):
        given.x_end[p, i] = x[i]
    given.f_end[p], given.nit_end[p] = f, s.nit


@cache
def block_kernel(kernel: Any, record: Any, own: Any, block: Any) -> Any:
    """Return `begin` or `end` for records, rule states and blocks of a type, compiled."""
    examples = *map(pointer_to, (record, own, block)), 0
    return compile_kernel(kernel, examples, name=kernel.__name__, mode="uncounted")
