"""The user's function behind one interface: value and gradient at a point, and their count."""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from .._threads import turn_of
from ..interrupts import Interrupts
from ..lazy import lazy
from .differences import Differences
from .evaluator import ALONE, OF_BATCH, Evaluator, forms
from .evolution import Evolution
from .minibatch import Minibatch
from .perturbations import Perturbations
from .returned import as_gradient, as_pair, as_value
from .sampler import Sampler


class Objective:
    """Value and gradient of the user's function.

    Every call of the user's code gets a copy of the point, and the results are checked and
    copied: code that writes to its argument or reuses a buffer does no harm.

    Parameters
    ----------
    fun : callable or Minibatch
        ``fun(x, *args)``, returning the value, or ``(value, gradient)`` if `jac` is True.
    jac : True, callable or None
        True if `fun` returns both, ``jac(x, *args)`` for the gradient alone, None for differences.
    args : tuple
        Further arguments of `fun` and `jac`.
    differences : Differences, Perturbations or None
        How to difference `fun`; used where `jac` is None.

    Attributes
    ----------
    nfev, njev : int
        Values and gradients computed so far; differences count in `nfev` as well.
    value_is_free : bool
        Whether the gradient comes with the value at no further cost.
    value_is_estimate : bool
        Whether the value that comes with the gradient is not that of the point itself.
    is_noisy : bool or None
        Whether two values at one point may differ; None if not known.
    minibatch, sampler : Minibatch and Sampler, or None
        The batches, and the place in their sequence.
    interrupts : Interrupts
        Told while the user's code runs.
    turn : context manager
        Context of calls of the user's code: parallel loops of several threads may have to take turns.
    """

    jac: Any
    args: tuple[Any, ...]
    nfev: int
    njev: int

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: tuple[Any, ...],
        differences: Differences | Perturbations | None,
    ) -> None:
        self.minibatch: Minibatch | None = fun if isinstance(fun, Minibatch) else None
        self.sampler: Sampler | None = Sampler(fun) if isinstance(fun, Minibatch) else None
        self.fun: Any = fun.fun if isinstance(fun, Minibatch) else fun
        self.jac, self.args = jac, args
        self.nfev = self.njev = 0
        self.value_is_free: bool = not callable(jac)
        self.is_noisy: bool | None = None
        self.take(differences)
        if self.minibatch is not None:
            self.is_noisy = not self.minibatch.is_whole
        self.interrupts: Interrupts = Interrupts()
        self.turn: Any = turn_of(self.fun, jac)
        self._evaluator: Evaluator | None = None

    def take(self, differences: Differences | Perturbations | None) -> None:
        """Difference `fun` in this way from now on."""
        self.differences: Any = differences
        self.value_is_estimate: bool = differences is not None and differences.value_is_estimate
        # Perturbed at random, even a smooth function gives another gradient each time.
        self.is_noisy = self.value_is_estimate or None

    @property
    def proposal(self) -> np.ndarray | None:
        """The next point, where the differences propose one."""
        return getattr(self.differences, "proposal", None)

    @property
    def evolution(self) -> Evolution | None:
        """The evolution strategy for values that are steps, where there may be one."""
        return getattr(self.differences, "evolution", None)

    @lazy
    def in_place(self) -> bool:
        """Whether `fun` writes the gradient to its second argument, as only compiled functions may."""
        return self.jac is True and self._forms() == [True]

    def _forms(self) -> list[bool]:
        extra = len(self.args) + (len(self.minibatch.data) if self.minibatch else 0)
        return (forms(self.fun, 1 + extra) if is_jitted(self.fun) else []) or [False]

    def check_gradient(self, x: np.ndarray, g: np.ndarray) -> None:
        """Raise ValueError if `fun` has left the gradient `g` at `x` as it was.

        A function of the value alone is taken for one that writes its gradient if an argument is missing.
        """
        if not self.in_place or g.any() or not np.signbit(g).all():
            return
        try:
            args = deepcopy(self.args)  # with generators, and arrays that `fun` may write to
        except Exception:  # some objects know no copy
            args = self.args
        batch = () if self.minibatch is None or self.sampler is None else self.sampler.batch()
        probe = np.ones_like(x)
        self._call(self.fun, x.copy(), probe, *batch, *args)
        if (probe == 1.0).all():
            given = 1 + len(batch) + len(self.args)
            raise ValueError(
                f"`fun` takes one argument more than the {given} that it is given, so it should write the "
                "gradient to the second one, but it writes nothing: is an argument missing in `args`?"
            )

    def value(self, x: np.ndarray) -> float:
        """Return the value at `x`."""
        if self.jac is True:
            return self.value_and_gradient(x)[0]
        f = as_value(self._call(self.fun, x.copy(), *self.args))
        self.nfev += 1
        return f

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient at `x`, by `jac` alone."""
        g = as_gradient(self._call(self.jac, x.copy(), *self.args), x.size)
        self.njev += 1
        return g

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both at `x`; of a `Minibatch` on the next batch."""
        if self.jac is True:
            both = self._both(x)
            self.count(1)
            return both
        if callable(self.jac):
            return self.value(x), self.gradient(x)
        f, g = self.differences.value_and_gradient(self.value, x)
        self.njev += 1
        return f, g

    def full(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both at `x`, over all the data of a `Minibatch`."""
        assert self.minibatch is not None
        f, g = self._call(self.minibatch.full, x, *self.args)
        self.nfev += 1
        self.njev += 1
        return f, g

    def next_batches(self, most: int) -> tuple[list[tuple[Any, ...]], int]:
        """Return up to so many of the next batches of this epoch, and how many samples the first has."""
        assert self.minibatch is not None and self.sampler is not None
        rows, starts = self.sampler.batches(most)
        parts = [rows[start:stop] for start, stop in pairwise(starts)]
        return [self.minibatch.rows(part) for part in parts if part.size == parts[0].size], parts[0].size

    def on_rows(self, x: np.ndarray, rows: np.ndarray) -> tuple[float, np.ndarray]:
        """Return value and gradient on some rows of the data."""
        assert self.minibatch is not None
        return self.on_batch(x, self.minibatch.rows(rows))

    def on_batch(self, x: np.ndarray, batch: tuple[Any, ...]) -> tuple[float, np.ndarray]:
        """Return value and gradient on a batch."""
        assert self.minibatch is not None
        f, g = as_pair(self._call(self.minibatch.evaluate, x.copy(), batch, self.args), x.size)
        self.nfev += 1
        self.njev += 1
        return f, g

    def count(self, evaluations: int) -> None:
        """Take note of evaluations of value and gradient, here or in compiled code."""
        self.nfev += evaluations
        self.njev += evaluations
        if self.sampler is not None:
            self.sampler.advance(evaluations)

    def _both(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if self.is_compiled:
            return self._evaluate_compiled(x)
        if self.minibatch is not None and self.sampler is not None:
            result = self._call(self.minibatch.evaluate, x.copy(), self.sampler.batch(), self.args)
        elif self.in_place:
            g = np.full_like(x, -0.0)
            result = self._call(self.fun, x.copy(), g, *self.args), g
        else:
            result = self._call(self.fun, x.copy(), *self.args)
        return as_pair(result, x.size)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.interrupts.in_user_code = True
        with self.turn:
            returned = function(*arguments)
        self.interrupts.in_user_code = False
        return returned

    # --- In compiled code --------------------------------------------------------------------------

    def compile(self) -> None:
        """Compile the call of `fun` from compiled code; it is then evaluated in this way only."""
        arguments = ALONE if self.sampler is None else OF_BATCH
        given, possible = self._given(1)[1], self._forms()
        for in_place in possible:
            try:
                self._evaluator = Evaluator(self.fun, in_place, arguments, given, "float64")
            except NumbaError:
                if in_place is possible[-1]:
                    raise
            else:
                self.in_place = in_place
                break

    @property
    def is_compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._evaluator is not None

    def compiled_for(self, most: int) -> tuple[int, Evaluator]:
        """Return how many of the next evaluations the compiled objective has the arguments for, and it."""
        assert self._evaluator is not None
        if self.sampler is not None:
            most, given = self._given(most)
            self._evaluator.give(given)
        return most, self._evaluator

    def _given(self, most: int) -> tuple[int, tuple[Any, ...]]:
        if self.sampler is None or self.minibatch is None:
            return most, self.args
        rows, starts = self.sampler.batches(most)
        buffers = self.minibatch.buffers(int(np.diff(starts).max()))
        return starts.size - 1, (rows, starts, self.minibatch.data, buffers, self.args)

    def _evaluate_compiled(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        _, evaluator = self.compiled_for(1)
        g = np.zeros_like(x)
        return self._call(evaluator.evaluate, 0, x.copy(), g, evaluator.context), g

    # --- To be continued ---------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return all that has changed since the start, as JSON can hold it."""
        sampler = None if self.sampler is None else self.sampler.facts()
        differences = {} if self.differences is None else self.differences.facts()
        return {"nfev": self.nfev, "njev": self.njev, "sampler": sampler, "differences": differences}

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        if (facts["sampler"] is None) != (self.sampler is None):
            raise ValueError("`state` belongs to another kind of objective: only one is a Minibatch.")
        self.nfev, self.njev = facts["nfev"], facts["njev"]
        if self.sampler is not None:
            self.sampler.restore(facts["sampler"])
        if self.differences is not None:
            self.differences.restore(facts["differences"])
