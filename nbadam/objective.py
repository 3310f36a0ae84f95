"""The user's function behind one interface: value and gradient at a point, and their count."""

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from .compiled import writes_gradient
from .interrupts import Interrupts
from .minibatch import Minibatch, Sampler

SCHEMES = ("2-point", "3-point")


class Objective:
    """Value and gradient of what the user gave to ``minimize``.

    Every call of the user's code gets a copy of the point, and what comes back is checked and
    copied: code that writes to its argument or reuses a buffer does no harm.

    Parameters
    ----------
    fun : callable or Minibatch
        ``fun(x, *args)``, returning the value, or ``(value, gradient)`` if `jac` is True.
    jac : True, callable or None
        True if `fun` returns both, ``jac(x, *args)`` for the gradient alone, None for differences.
    args : tuple
        Further arguments of `fun` and `jac`.
    differences : Differences or None
        How to difference `fun`; used where `jac` is None.

    Attributes
    ----------
    nfev, njev : int
        Values and gradients computed so far; differences count in `nfev` as well.
    value_is_free : bool
        Whether the gradient comes with the value at no further cost.
    is_noisy : bool or None
        Whether two values at one point may differ; None if not known.
    minibatch, sampler : Minibatch and Sampler, or None
        The batches, and the place in their sequence.
    interrupts : Interrupts
        Told while the user's code runs.
    """

    def __init__(self, fun: Callable, jac, args: tuple, differences: "Differences | None") -> None:
        self.minibatch = fun if isinstance(fun, Minibatch) else None
        self.sampler = Sampler(fun) if isinstance(fun, Minibatch) else None
        self.fun = fun.fun if isinstance(fun, Minibatch) else fun
        self.jac, self.args, self.differences = jac, args, differences
        self.nfev = self.njev = 0
        self.value_is_free = not callable(jac)
        self.is_noisy = None if self.minibatch is None else not self.minibatch.is_whole
        self.interrupts = Interrupts()

    @cached_property
    def in_place(self) -> bool:
        """Whether `fun` writes the gradient to its second argument, as only compiled functions may."""
        extra = len(self.args) + (len(self.minibatch.data) if self.minibatch else 0)
        return self.jac is True and writes_gradient(self.fun, 1 + extra)

    def value(self, x: np.ndarray) -> float:
        """Return the value at `x`."""
        if self.jac is True:
            return self.value_and_gradient(x)[0]
        f = _as_value(self._call(self.fun, x.copy(), *self.args))
        self.nfev += 1
        return f

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient at `x`, by `jac` alone."""
        g = _as_gradient(self._call(self.jac, x.copy(), *self.args), x.size)
        self.njev += 1
        return g

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both at `x`; of a `Minibatch` on the next batch."""
        if self.jac is True:
            both = self._both(x)
            self.count(1)
            return both
        f = self.value(x)
        if callable(self.jac):
            return f, self.gradient(x)
        assert self.differences is not None
        g = self.differences.gradient(self.value, x, f)
        self.njev += 1
        return f, g

    def full(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both at `x`, over all the data of a `Minibatch`."""
        assert self.minibatch is not None
        f, g = self._call(self.minibatch.full, x, *self.args)
        self.nfev += 1
        self.njev += 1
        return f, g

    def next_batches(self, most: int) -> tuple[list[tuple], int]:
        """Return up to so many of the next batches of this epoch, and how many samples the first has."""
        assert self.minibatch is not None and self.sampler is not None
        rows, starts = self.sampler.batches(most)
        parts = [rows[start:stop] for start, stop in pairwise(starts)]
        return [self.minibatch.rows(part) for part in parts if part.size == parts[0].size], parts[0].size

    def on_batch(self, x: np.ndarray, batch: tuple) -> np.ndarray:
        """Return the gradient on a batch."""
        assert self.minibatch is not None
        g = self._call(self.minibatch.evaluate, x.copy(), batch, self.args)[1]
        self.nfev += 1
        self.njev += 1
        return _as_gradient(g, x.size)

    def count(self, evaluations: int) -> None:
        """Take note of evaluations of value and gradient, here or in compiled code."""
        self.nfev += evaluations
        self.njev += evaluations
        if self.sampler is not None:
            self.sampler.advance(evaluations)

    def _both(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if self.minibatch is not None and self.sampler is not None:
            result = self._call(self.minibatch.evaluate, x.copy(), self.sampler.batch(), self.args)
        elif self.in_place:
            g = np.zeros_like(x)
            result = self._call(self.fun, x.copy(), g, *self.args), g
        else:
            result = self._call(self.fun, x.copy(), *self.args)
        try:
            f, g = result
        except (TypeError, ValueError):
            raise ValueError(
                "With `jac=True`, `fun` must return the value and the gradient as (f, g); "
                f"it returned {_described(result)}."
            ) from None
        return _as_value(f), _as_gradient(g, x.size)

    def _call(self, function: Callable, *arguments):
        self.interrupts.in_user_code = True
        returned = function(*arguments)
        self.interrupts.in_user_code = False
        return returned

    # --- In compiled code --------------------------------------------------------------------------

    def compiled_form(self) -> dict[str, Any]:
        """Return what `compiled_run` needs to know."""
        return {"fun": self.fun, "in_place": self.in_place, "on_batches": self.sampler is not None}

    def compiled_args(self, steps: int) -> tuple[int, tuple]:
        """Return for how many of the next steps, and which, arguments a compiled run gets."""
        if self.sampler is None or self.minibatch is None:
            return steps, self.args
        rows, starts = self.sampler.batches(steps)
        buffers = self.minibatch.buffers(int(np.diff(starts).max()))
        return starts.size - 1, (rows, starts, self.minibatch.data, buffers, self.args)

    # --- To be continued ---------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return what has changed since the start, as JSON can hold it."""
        sampler = None if self.sampler is None else self.sampler.facts()
        return {"nfev": self.nfev, "njev": self.njev, "sampler": sampler}

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        if (facts["sampler"] is None) != (self.sampler is None):
            raise ValueError("`state` belongs to another kind of objective: only one is a Minibatch.")
        self.nfev, self.njev = facts["nfev"], facts["njev"]
        if self.sampler is not None:
            self.sampler.restore(facts["sampler"])


class Differences:
    """Gradients by finite differences, at points that stay within the bounds.

    Parameters
    ----------
    scheme : {"2-point", "3-point"}
        Forward differences, n evaluations a gradient, or central ones, 2 n evaluations.
    lower, upper : ndarray, shape (n,)
        Bounds.  Where the step of the scheme would leave them, it is turned around.
    relative, absolute : None, float or array of shape (n,)
        Step relative to ``max(1, abs(x))`` (by default the root, or the cube root, of the rounding
        error of double precision), or absolute, which wins.
    """

    def __init__(self, scheme: str, lower, upper, relative=None, absolute=None) -> None:
        self.central = scheme == "3-point"
        self.lower, self.upper = lower, upper
        self.relative, self.absolute = relative, absolute

    def gradient(self, value: Callable, x: np.ndarray, f: float) -> np.ndarray:
        """Return the gradient of `value` at `x`, where it is `f`."""
        g = np.zeros_like(x)
        for i, step in enumerate(self._steps(x)):
            below, above = x[i] - self.lower[i], self.upper[i] - x[i]
            if self.central and step <= min(below, above):
                low, high = self._moved(x, i, -step), self._moved(x, i, step)
                g[i] = (value(high) - value(low)) / (high[i] - low[i])
            elif self.central and 2 * step <= max(below, above):
                g[i] = self._one_sided(value, x, i, f, step if above > below else -step)
            elif max(below, above) > 0:  # a fixed variable has no gradient
                step = min(step, max(below, above))
                point = self._moved(x, i, step if step <= above else -step)
                g[i] = (value(point) - f) / (point[i] - x[i])
        return g

    def _steps(self, x: np.ndarray) -> np.ndarray:
        if self.absolute is not None:
            return np.broadcast_to(self.absolute, x.shape)
        default = np.finfo(float).eps ** (1 / 3 if self.central else 1 / 2)
        return (default if self.relative is None else self.relative) * np.maximum(1.0, np.abs(x))

    def _one_sided(self, value: Callable, x: np.ndarray, i: int, f: float, step: float) -> float:
        """Second-order difference from three points on one side."""
        near, far = self._moved(x, i, step), self._moved(x, i, 2 * step)
        return (4 * value(near) - 3 * f - value(far)) / (far[i] - x[i])

    def _moved(self, x: np.ndarray, i: int, step: float) -> np.ndarray:
        point = x.copy()
        point[i] = min(max(x[i] + step, self.lower[i]), self.upper[i])
        return point


def _as_value(value) -> float:
    if type(value) is float or type(value) is np.float64:
        return float(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"The user-provided objective function must return a scalar value, a real number; `fun` returned "
            f"{_described(value)}."
        )
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value; "
            f"`fun` returned an array of shape {array.shape}."
        )
    return float(array.item())


def _as_gradient(gradient, n: int) -> np.ndarray:
    array = np.asarray(gradient)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"The gradient must be an array of real numbers; it is {_described(gradient)}.")
    if array.shape != (n,) and not (n == 1 and array.size == 1):
        raise ValueError(f"The gradient must have the shape of `x0`, ({n},); its shape is {array.shape}.")
    return np.array(array, dtype=float).reshape(n)


def _described(value) -> str:
    """Type and, where it is short, value."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else f"a {type(value).__name__}"
