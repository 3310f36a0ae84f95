"""The kernels of a model, called for some points at a time."""

from collections.abc import Callable
from copy import copy
from time import thread_time
from typing import Any

import numpy as np

from ..._calls import address_of
from ..._jit import takes, without_types
from ...blocks import Pace, is_called_off
from ...engine import aligned_zeros
from ..model.constants import Lifted
from . import adam, bordered, lm, minibatch, screen
from .determination import determination_kernel
from .lanes import END, ROWS
from .layout import Layout
from .restarts import restart_kernel

FIRST_POINTS = 1 << 15  # points that the first call of a kernel evaluates


class ModelError(Exception):
    """The model, its Jacobian or the loss raised the exception that is the `__cause__` of this one."""


class Kernels:
    """The kernels that serve every model, with the functions that they call for this one.

    Those for another number of parameters take one to two seconds to compile, those for another model
    about one.  A call of a kernel ends after some hundredths of a second, and the next goes on: the work
    can be called off between them.
    """

    def __init__(self, layout: Layout, normal: Any, accept_step: Any, solve: Any, *tapes: np.ndarray) -> None:
        self._data: Lifted | None = None
        self._first_constant = layout.rows.get("constant", 0) * layout.lanes
        self._rows = tuple(layout.rows[name] for name in ROWS)
        self._dtype = np.dtype(layout.dtype)
        self._lanes, self._tapes = layout.lanes, tapes
        restart = [restart_kernel(layout.dtype)] if layout.bounded else []
        self._functions = [normal, accept_step, solve, *restart]  # must live as long as addresses
        self._normal, *addresses = map(address_of, self._functions)
        self._parts = *addresses, *[0] * (not restart)
        self._fit = lm.fit_kernel(layout.dtype)
        self._pace = Pace(FIRST_POINTS // layout.lanes)  # in points of each lane

    def with_data(self, data: Lifted) -> "Kernels":
        """Return the kernels for a model with other numbers and arrays in its function, which are data."""
        other = copy(self)
        other._data = data  # its arrays live as long as addresses may be in use
        return other

    def fit(
        self,
        x: Any,
        data: Any,
        lower: Any,
        upper: Any,
        f_scale: float,
        p0: Any,
        poor: Any,
        ftol: float,
        xtol: float,
        variance: float,
        *arguments: Any,
    ) -> None:
        """Fit a block of data sets: see `lm.fit`."""
        m = data.shape[2]
        state = self._state(data.shape[1], m)
        own = lm.new_state(self._lanes, p0.shape[1], self._dtype)
        accepting, solving, memory = self._tapes
        rest = accepting, solving, memory.copy(), p0, poor
        tolerances = lm.tolerances(ftol, xtol, variance, m, self._dtype)
        determination: Any = 0
        is_done = False
        while not (is_done or is_called_off()):
            points = self._pace.amount
            began = thread_time()
            is_done = run(
                self._fit, *state, x, data, lower, upper, f_scale, *self._parts, determination, *rest,
                tolerances, *arguments, *own, points,
            )  # fmt: skip
            is_held_up = lm.is_held_up(own[-1])
            if is_held_up:
                determination = address_of(determination_kernel(self._dtype.name))
            self._pace.learn(points, thread_time() - began, not (is_done or is_held_up))

    def descend(
        self,
        x: Any,
        data: Any,
        lower: Any,
        upper: Any,
        f_scale: float,
        steps: int,
        learning_rate: float,
        scale: Any,
        p0: Any,
    ) -> np.ndarray:
        """Make steps of Adam from `p0`; return the best points.  See `adam.descent`."""
        kernel = adam.descent_kernel(self._dtype.name)
        best, chi2 = p0.copy(), np.full(len(p0), np.inf, p0.dtype)
        points = data.shape[2]
        state = self._state(*data.shape[1:])
        start = 0
        while start < len(p0):
            groups = max(1, self._pace.amount // (points * (steps + 1)))
            some = slice(start, start + groups * self._lanes)
            p, done = p0[some].copy(), 0
            m, v = np.zeros_like(p), np.zeros_like(p)
            while done <= steps and not is_called_off():
                last = min(steps + 1, done + max(1, self._pace.amount // (points * groups)))
                settings = np.array([done, last, steps, learning_rate], float)
                began = thread_time()
                run(
                    kernel, *state, x, data[some], lower[some], upper[some], f_scale, settings, scale[some],
                    p, m, v, best[some], chi2[some],
                )  # fmt: skip
                self._pace.learn((last - done) * points * groups, thread_time() - began, last <= steps)
                done = last
            start = some.stop
        return best

    def descend_batches(
        self, x: Any, data: Any, lower: Any, upper: Any, f_scale: float, done: int, planned: int,
        learning_rate: float, counting: int, order: np.ndarray, *arguments: Any
    ) -> None:  # fmt: skip
        """Make a step of Adam for each row of `order`: see `minibatch.descent`."""
        kernel = minibatch.descent_kernel(self._dtype.name)
        size = order.shape[1]
        state, shared = self._state(data.shape[1], size), np.zeros((x.shape[0], size), self._dtype)
        each = size * -(-len(data) // self._lanes)
        while len(order) and not is_called_off():
            some = order[: max(1, self._pace.amount // each)]
            settings = np.array([done, planned, learning_rate, counting], float)
            began = thread_time()
            run(kernel, *state, x, data, lower, upper, f_scale, shared, settings, some, *arguments)
            self._pace.learn(len(some) * each, thread_time() - began, len(some) < len(order))
            done, order = done + len(some), order[len(some) :]

    def evaluate(
        self, x: Any, data: Any, lower: Any, upper: Any, f_scale: float, p: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return chi-squares, gradients and normal matrices at `p`: see `bordered.evaluate`."""
        n = p.shape[1]
        out = np.empty(len(p)), np.empty((len(p), n)), np.empty((len(p), n * (n + 1) // 2))
        kernel = bordered.evaluate_kernel(self._dtype.name)
        self._by_groups(kernel, 1, x, data, lower, upper, f_scale, lambda some: (p[some],), out)
        return out

    def screen(
        self, x: Any, data: Any, lower: Any, upper: Any, f_scale: float, trials: Any, linear: Any, kept: int
    ) -> Any:
        """Return the best `kept` of the trials of each fit, and their chi-squares: see `screen.screen`."""
        out = (
            np.zeros((len(data), kept, trials.shape[2]), self._dtype),
            np.full((len(data), kept), np.inf, self._dtype),
        )
        kernel, count = screen.screen_kernel(self._dtype.name), trials.shape[1]
        self._by_groups(
            kernel, count, x, data, lower, upper, f_scale,
            lambda some: (trials[some] if len(trials) > 1 else trials, linear), out,
        )  # fmt: skip
        return out

    def _by_groups(
        self, kernel, count: int, x, data, lower, upper, f_scale, given: Callable[..., Any], out
    ) -> None:
        """Call a kernel that evaluates data sets `count` times, for some at a time."""
        state, start = self._state(*data.shape[1:]), 0
        each = count * data.shape[2]
        while start < len(data) and not is_called_off():
            groups = max(1, self._pace.amount // each)
            some = slice(start, start + groups * self._lanes)
            began = thread_time()
            run(
                kernel, *state, x, data[some], lower[some], upper[some], f_scale, *given(some),
                *(array[some] for array in out),
            )  # fmt: skip
            self._pace.learn(groups * each, thread_time() - began, some.stop <= len(data))
            start = some.stop

    def _state(self, columns: int, points: int) -> tuple[Any, ...]:
        """Return what all kernels over lanes begin with: see `lanes`."""
        rows = self._rows[END] + columns * points
        state = aligned_zeros(rows * self._lanes, self._dtype, 0).reshape(rows, self._lanes)
        if self._data is not None:
            constants = self._data.constants
            end = self._first_constant + constants.nbytes // state.itemsize
            state.ravel()[self._first_constant : end].view(np.float64)[:] = constants
        return self._normal, self._rows, state.ravel(), state


def run(kernel: Any, *arguments: Any) -> Any:
    """Call a kernel that calls the model; kernels themselves raise nothing.

    Raises
    ------
    ModelError
        If the model raises an exception.
    TypeError
        If the kernel does not take the arguments.
    """
    try:
        with np.errstate(all="ignore"):  # matters where Numba is disabled
            return kernel(*arguments)
    except Exception as error:
        if isinstance(error, TypeError) and not takes(kernel, arguments):
            raise
        raise ModelError from without_types(error)
