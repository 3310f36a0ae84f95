"""From a model to compiled kernels, by way of generated text."""

import contextlib
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from copy import copy
from functools import lru_cache
from time import thread_time
from types import CodeType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.errors import TypingError

from ..._calls import address_of
from ..._jit import compile_kernel, reason, takes
from ...blocks import Pace, is_called_off
from ..covariance import invert_kernel
from ..model.constants import Lifted, lifted
from ..model.definition import Definition, current_identity, identity
from ..model.inline import inlined
from ..model.pointwise import candidates
from . import adam, bordered, generate, lm, minibatch, screen, tape, trust_region
from .generate import Layout, Pointwise, Shape
from .instructions import over_lanes
from .lanes import END, ROWS, SETTLED
from .losses import Loss
from .text import header, load

KEPT_BYTES = 1 << 28  # kernels in memory, at most
KERNEL_BYTES = 1 << 21  # size of the kernels of a model, beside the arrays in it
CONSTANTS_BYTES = 1 << 18  # bound of the number of entries that differ from others in constants only
MANY_MODELS = 100  # kernels of one function, each with other numbers in it, after which a warning follows
LANES = 32  # fits in step: so many keep the vector units busy while divisions are under way
LONG = 500  # points of a data set from which on the loop over them is vectorised, not that over fits
MANY = 10  # parameters from which on it is so for all data sets
FIRST_POINTS = 1 << 15  # points that the first call of a kernel evaluates


class ModelError(Exception):
    """The model, its Jacobian or the loss raised the exception that is the `__cause__` of this one."""


class Kernels:
    """The kernels that serve every model, with the functions that they call for this one.

    Those for another number of parameters take one to two seconds to compile, those for another model
    about one.  A call of a kernel ends after some hundredths of a second, and the next goes on: the work
    can be called off between them.
    """

    def __init__(self, normal: Any, layout: Layout) -> None:
        self._constants: np.ndarray = np.empty(0)
        self._first_constant = layout.rows.get("constant", 0) * layout.lanes
        self._rows = tuple(layout.rows[name] for name in ROWS)
        self._dtype = np.dtype(layout.dtype)
        self._lanes = layout.lanes
        shape = Shape(layout.parameters, layout.dtype, layout.bounded, layout.lanes)
        judge, solve, *self._tapes = _algorithm(shape)
        restart = [lm.restart_kernel(layout.dtype)] if layout.bounded else []
        self._functions = normal, judge, solve, invert_kernel(), *restart  # must live as long as addresses
        self._normal, *addresses = map(address_of, self._functions)
        self._parts = *addresses, *[0] * (not restart)
        self._fit = lm.fit_kernel(layout.dtype)
        self._pace = Pace(FIRST_POINTS // layout.lanes)  # in points of each lane

    def with_constants(self, constants: np.ndarray) -> "Kernels":
        """Return the kernels for a model with other numbers in its function, which are data."""
        other = copy(self)
        other._constants = constants
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
        *arguments: Any,
    ) -> None:
        """Fit a block of data sets: see `lm.fit`."""
        m = data.shape[2]
        state = self._state(data.shape[1], m)
        state[-1][self._rows[SETTLED]] = -1  # each lane wants a fit
        own = lm.new_state(self._lanes, p0.shape[1], self._dtype)
        judging, solving, memory = self._tapes
        rest = *self._parts, judging, solving, memory.copy(), p0, poor
        tolerances = lm.tolerances(ftol, xtol, m, self._dtype)
        is_done = False
        while not (is_done or is_called_off()):
            points = self._pace.amount
            began = thread_time()
            is_done = run(
                self._fit, *state, x, data, lower, upper, f_scale, *rest, tolerances, *arguments, *own, points
            )
            self._pace.learn(points, thread_time() - began, not is_done)

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
        state = np.zeros((self._rows[END] + columns * points, self._lanes), self._dtype)
        if self._constants.size:
            end = self._first_constant + self._constants.nbytes // state.itemsize
            state.ravel()[self._first_constant : end].view(np.float64)[:] = self._constants
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
        raise ModelError from error


class Kept(NamedTuple):
    """Kernels in memory, and their share of it."""

    kernels: Kernels
    way: Pointwise
    lifted: Lifted
    nbytes: int


_kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()  # the last used at the end
_models_of: Counter[CodeType] = Counter()  # kernels compiled for a function's code
_refused: dict[str, int] = {}  # first ways that Numba could not compile, by the digest of the model


def kernels(
    model: Definition,
    dtype: str,
    weighted: bool,
    own_x: bool,
    bounded: bool,
    loss: Loss,
    correlated: bool,
    is_long: bool,
) -> Kernels:
    """Compile, or find, the kernels of a model: the same for models that do the same.

    Those used last are kept, up to `KEPT_BYTES`.  More would free little: LLVM keeps all compiled code, 2 MB
    for a model, and 0.05 MB for one from the cache on disk.
    """
    digest, nbytes = identity(model)
    options = dtype, weighted, own_x, bounded, loss, correlated, is_long
    key = digest, *options
    found = _kept.get(key)
    if found is None:
        key_of_code = lifted(model).identity, *options
        found = _kept.get(key_of_code)
        if found is None:
            found = Kept(*_compiled_for(model, *key_of_code), lifted(model), KERNEL_BYTES + nbytes)
            _count(model)
        own = found
        if key != key_of_code:
            apart = lifted(model)._replace(functions=found.lifted.functions)  # not a closure for each
            own = Kept(found.kernels.with_constants(apart.constants), found.way, apart, CONSTANTS_BYTES)
        if digest != current_identity(model)[0]:  # another thread has changed an object that the model uses
            return own.kernels
        _keep(key_of_code, found)
        _keep(key, own)
        found = own
    else:
        with contextlib.suppress(KeyError):  # another thread forgot it
            _kept.move_to_end(key)
    model.ways, model.lifted = [found.way], found.lifted
    return found.kernels


def _keep(key: tuple[Any, ...], entry: Kept) -> None:
    """Remember kernels as those used last, and forget others if there are too many."""
    if key not in _kept:
        while sum(kept.nbytes for kept in list(_kept.values())) + entry.nbytes > KEPT_BYTES and _kept:
            with contextlib.suppress(KeyError):  # another thread was faster
                _kept.popitem(last=False)
    _kept[key] = entry
    with contextlib.suppress(KeyError):
        _kept.move_to_end(key)


def _compiled_for(
    model: Definition, digest: str, dtype, weighted, own_x, bounded, loss, correlated, is_long
) -> tuple[Kernels, Pointwise]:
    ways = candidates(model)
    for number, way in enumerate(ways):
        if number < _refused.get(digest, 0):
            continue
        layout = _layout(model, way, dtype, weighted, own_x, bounded, loss, correlated, is_long)
        try:
            return Kernels(_normal(way, layout), layout), way
        except Exception as error:
            if way is not ways[-1]:
                _refused[digest] = number + 1
            elif isinstance(error, TypingError):
                raise ValueError(
                    f"Numba cannot compile the model `{model.name}`, its Jacobian or the loss, which must be "
                    f"functions of numbers, not of arrays: {reason(error)}"
                ) from error
            else:
                raise
    raise AssertionError("a model has at least one way to be computed")


def _count(model: Definition) -> None:
    """Warn where a function is compiled again and again, as a closure over another number each time is."""
    if model.formula is not None or numba.config.DISABLE_JIT:
        return
    code = getattr(model.function, "py_func", model.function).__code__
    _models_of[code] += 1
    if _models_of[code] == MANY_MODELS:
        warnings.warn(
            f"The model `{model.name}` was compiled {MANY_MODELS} times, each time with other values of the "
            "objects it refers to. Each takes a second and 4 MB that stay in use: pass numbers that change "
            "as parameters, with `fixed={name: value}`.",
            RuntimeWarning,
            stacklevel=2,
        )


def _layout(
    model: Definition, way: Pointwise, dtype: str, weighted, own_x, bounded, loss, correlated, is_long
) -> Layout:
    n = len(model.parameters)
    over_points = (is_long or n >= MANY) and not correlated
    one_lane = over_points or correlated or numba.config.DISABLE_JIT  # there is one correlated data set
    return Layout(
        parameters=n,
        dtype=dtype,
        bounded=bounded,
        lanes=1 if one_lane else LANES,
        over_points=over_points,
        variables=len(model.variables),
        constants=way.constants,
        invariants=len(way.invariant),
        weighted=weighted,
        own_x=own_x,
        loss=loss,
        correlated=correlated,
    )


def kernel_text(
    model: Definition, dtype: str = "float64", bounded: bool = False, is_long: bool = False
) -> str:
    """Return the text that is compiled for a model, with the loss of least squares and without weights."""
    way = candidates(model)[0]
    layout = _layout(model, way, dtype, False, False, bounded, Loss("linear"), False, is_long)
    shape = Shape(layout.parameters, dtype, bounded, layout.lanes)
    return header(dtype) + generate.normal(layout, way) + "\n\n" + trust_region.algorithm(shape)


@lru_cache(maxsize=64)
def _algorithm(shape: Shape) -> tuple[Any, ...]:
    """Return `judge`, `solve`, and their tapes and memory."""
    text = trust_region.algorithm(shape)
    constants = load(shape.dtype, text, {})
    no_tapes = tape.EMPTY, tape.EMPTY, np.empty(0, shape.dtype)
    if numba.config.DISABLE_JIT:
        judge, solve = constants["judge"], constants["solve"]
        return (lambda S, *rest: judge(S, 0, rest[-1])), (lambda S, *rest: solve(S, 0, rest[-1])), *no_tapes
    tapes, memory = tape.translate(text, constants, shape.dtype)
    if shape.parameters >= MANY:
        run = _compiled(tape.run, "run", "tape", shape.dtype)
        return run, run, tapes["judge"], tapes["solve"], memory
    functions = (
        _compiled(over_lanes(each, memory, shape.lanes), "run", f"{name}_{shape.parameters}", shape.dtype)
        for name, each in tapes.items()
    )
    return *functions, *no_tapes


def _normal(way: Pointwise, layout: Layout):
    known = dict(way.functions)
    if layout.loss.function is not None:
        known["loss"] = inlined(layout.loss.function)
    module = load(layout.dtype, generate.normal(layout, way), known)
    if "point" in module:
        module["point"].__module__ = __name__  # which every process has that finds a kernel in the cache
    return _compiled(module["normal"], "normal", f"normal_{layout.parameters}", layout.dtype)


def _compiled(function: Callable[..., Any], kind: str, name: str, dtype: str) -> Any:
    return compile_kernel(function, lm.examples(dtype)[kind], name=f"{name}_{dtype}", mode="nogil")
