r"""The deferred sparse update of Adam: the exact result at the cost of the touched rows.

Step s leaves a row with (x, m, v).  After zero gradients at the steps s + 1, ..., s + k the row is

.. math::

    m_k = \beta_1^k m, \quad v_k = \beta_2^k v, \quad
    x_k = x - m \sum_{j=1}^k \frac{\alpha_{s+j} \beta_1^j}{c_j w + \epsilon},
    \quad w = \sqrt v, \quad c_j = \beta_2^{j/2}.

The generating function of the Chebyshev polynomials T_n takes w out of the sum:

.. math::

    \frac{1}{c w + \epsilon} = \frac{1}{w + \epsilon} \frac{1}{\sqrt c}
    \Bigl[1 + 2 \sum_{n \ge 1} \sigma^n T_n(y)\Bigr],
    \quad \sigma = \frac{1 - \sqrt c}{1 + \sqrt c}, \quad y = \frac{w - \epsilon}{w + \epsilon}.

So the rows of one s share a handful of weights (four in single precision, eight in double, at the
default betas): the sums over j of alpha_{s+j} times numbers that depend on j alone.  Each step adds
its term to the weights of all earlier s, whatever the learning rate was.  After some hundred steps a
term is too small to matter.  Weight decay multiplies rows and weights alike.  Both cuts, at the last n
and at the last j, cost less than a rounding error.

With AMSGrad the denominator of an untouched row stays as it is: one weight does.  Where the series
is too long (at beta_1 = 0.9: beta_2 below about 0.95 in single, 0.98 in double precision) the missed
steps are made one by one when the row is needed.  Where beta_1 is not below sqrt(beta_2), movements do
not die away, and every step updates all rows, as by default.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, log, sqrt
from typing import Any

import numpy as np

from .. import rules
from ..engine import mode
from .gradients import RowGradient, checked_rows
from .kernels import PARALLEL_ROWS, catch_up_kernel, replay_kernel
from .steps import step, step_rows

# Steps of history, after which all rows are brought up to date: 5 MB with eight weights, and less
# than a thousandth of a dense step for each step.
CAPACITY = 1 << 16
MAX_TERMS = 48  # largest number of terms of the series
SUPPORTED = (rules.ADAM, rules.AMSGRAD)


@dataclass(frozen=True)
class Series:
    """Length of the past that matters, and the terms that a step adds to the weights.

    Attributes
    ----------
    limit : int
        After that many steps nothing moves any more; 0 if movements do not die away.
    terms : ndarray, shape (limit, n), or None
        The last row is for j = 1, the row before it for j = 2, ...; None where the series is too long.
    """

    limit: int
    terms: np.ndarray | None


@lru_cache(maxsize=8)
def series(beta_1: float, beta_2: float, dtype: str, amsgrad: bool) -> Series:
    """Form the series for one pair of betas and one precision."""
    tolerance = float(np.finfo(dtype).eps) / 64
    if beta_1 == 0:  # no momentum: nothing moves
        return Series(1, np.zeros((1, 1)))
    # Factor by which movements shrink from one step to the next.
    shrinkage = beta_1 if amsgrad else beta_1 / sqrt(beta_2) if beta_2 > 0 else inf
    if shrinkage >= 1:
        return Series(0, None)
    limit = min(CAPACITY, ceil(log(tolerance * (1 - shrinkage)) / log(shrinkage)))
    j = np.arange(limit, 0, -1.0)
    decayed = beta_1**j
    if amsgrad:
        return Series(limit, decayed[:, np.newaxis])
    half = 0.25 * log(beta_2) * j  # logarithm of the root of c
    root = np.exp(half)
    sigma = -np.expm1(half) / (1 + root)
    for n in range(1, MAX_TERMS + 1):
        with np.errstate(all="ignore"):
            remainder = np.sum(decayed / root * 2 * sigma**n / (1 - sigma))
        if remainder <= tolerance * decayed.sum():
            terms = (decayed / root)[:, np.newaxis] * sigma[:, np.newaxis] ** np.arange(n)
            terms[:, 1:] *= 2
            return Series(limit, terms)
    return Series(limit, None)


class DeferredRows:
    """A variable whose untouched rows wait: their steps are made up when the rows are needed.

    Parameters
    ----------
    rule : Rule
        ``rules.ADAM`` or ``rules.AMSGRAD``.
    x : ndarray, 1-D
        The variable's elements, C-contiguous; changed in place, and current only in the rows that
        `gather` was asked for last, or after `sync`.
    slots : tuple of ndarray, 1-D
        Its parts of the slots, as long as `x`.
    width : int
        Elements in a row.

    Raises
    ------
    ValueError
        If the rule is another one.
    """

    def __init__(self, rule: Any, x: np.ndarray, slots: tuple[np.ndarray, ...], width: int) -> None:
        if rule not in SUPPORTED:
            raise ValueError(
                "The deferred sparse update exists for Adam and AdamW, with or without `amsgrad`, and"
                " with Keras's epsilon; use the default sparse update here."
            )
        self.rule: Any = rule
        self.x = x
        self.slots = slots
        self.width = width
        self._last = np.zeros(x.size // width if width else 0, np.int32)  # step that left each row current
        self._now = 0  # steps since all rows were current
        self._constants: tuple[float, ...] = ()  # beta_1, beta_2, epsilon
        # For each step: how much of a parameter the decay since step 0 leaves; the weights of rows
        # that it left current, divided by that; or its step size and decay.
        self._products = np.empty(CAPACITY + 1)
        self._products[0] = 1
        self._weights = np.empty((0, 0))
        self._alphas = self._losses = np.empty(0)

    def step(self, gradient: RowGradient, t: float, hyper: tuple[float, ...], decay: float = 0.0) -> None:
        """Make step number `t` in the rows of the gradient.

        Parameters
        ----------
        gradient : RowGradient
            As `RowGradient.summed` returns it.
        t, hyper, decay
            As for `engine.State.step`.
        """
        gradient = gradient.widened(self.width)
        if hyper[1:] != self._constants:
            self.sync()
            self._prepare(hyper[1:])
        product = self._products[self._now] * (1 - decay)
        if self._now == CAPACITY or not 1e-100 < abs(product) < 1e100:
            self.sync()
        if self._series.limit == 0 or not 1e-100 < abs(1 - decay) < 1e100:  # no product to divide by
            step(self.rule, self.x, self.slots, gradient, t, hyper, decay)
            return
        self._catch_up(gradient.rows)
        self._record(self.rule.scalars(t, *hyper)[0], decay)
        step_rows(self.rule, self.x, self.slots, gradient, t, hyper, decay)
        self._last[gradient.rows] = self._now

    def gather(self, indices: Any) -> np.ndarray:
        """Bring rows up to date and return a copy of them, shape (n, width).

        Raises
        ------
        TypeError, ValueError
            If `indices` are not integers in the range of the rows.
        """
        rows = checked_rows(indices, self._last.size, "`gather`")
        ordered = np.sort(rows)
        self._catch_up(ordered[np.flatnonzero(np.diff(ordered, prepend=-1))])
        return self.x.reshape(-1, self.width).take(rows, axis=0)

    def sync(self) -> None:
        """Bring all rows up to date, and forget the past."""
        if self._now == 0:
            return
        self._catch_up(np.arange(self._last.size))
        self._last[:] = 0
        self._now = 0
        if self._weights.size:
            self._weights[0] = 0

    def _prepare(self, constants: tuple[float, ...]) -> None:
        """Take new betas and a new epsilon, all rows being current."""
        self._constants = constants
        self._series = series(*constants[:2], self.x.dtype.name, self.rule is rules.AMSGRAD)
        # Memory that no step has reached yet is not in use: the system hands it out by the page.
        if self._series.terms is None:
            self._alphas, self._losses = np.empty(CAPACITY + 1), np.empty(CAPACITY + 1)
        else:
            self._weights = np.empty((CAPACITY + 1, self._series.terms.shape[1]))
            self._weights[0] = 0

    def _record(self, alpha: float, decay: float) -> None:
        """Add a step to the history."""
        self._now += 1
        now, terms = self._now, self._series.terms
        self._products[now] = self._products[now - 1] * (1 - decay)
        if terms is None:
            self._alphas[now], self._losses[now] = alpha, decay
        else:
            self._weights[now] = 0
            span = min(now, self._series.limit)
            self._weights[now - span : now] += alpha / self._products[now] * terms[-span:]

    def _catch_up(self, rows: np.ndarray) -> None:
        """Make up the steps that distinct rows have missed."""
        rows = rows[self._last[rows] != self._now]
        if not rows.size:
            return
        dtype, size = self.x.dtype.name, rows.size * self.width
        table = rows, self._last, self._now, self.x, self.slots, self.width, self._products
        if self._series.terms is None:
            kernel = replay_kernel(self.rule, dtype, mode(size * self._series.limit))
            kernel(*table, self._alphas, self._losses, self._series.limit, self._constants)
        else:
            kernel = catch_up_kernel(self.rule, dtype, mode(size, PARALLEL_ROWS))
            kernel(*table, self._weights, self._constants)
