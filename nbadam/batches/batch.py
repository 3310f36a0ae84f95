"""Many independent problems of one kind: `minimize_batch`."""

import inspect
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numba import njit
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from .. import rules
from ..blocks import Blocks, default_workers, work_through
from ..checks import number
from ..hyperparameters import flag, integer
from ..methods.options import DIVIDING, MAXITER, hyper_from, learning_rate_from, limit, tolerances_from
from ..methods.stopping import FTOL, GTOL, NONFINITE, XTOL
from ..rules import ACCUMULATOR, Rule, ftrl_start
from .data import as_args, as_data, as_matrix, pieces
from .kernel import ENTRIES, FIXED, LAST_STEP, ROWS, columns, fill_table_kernel, problems_kernel
from .status import BatchStatus

FIRST = 8  # problems in the first block
BYTES = 1 << 25  # of a block's own arrays, at most
LONGEST = 10_000_000  # steps for which the learning rates are tabulated

STATUS = np.zeros(max(LAST_STEP, NONFINITE) + 1, np.int8)
STATUS[[GTOL, FTOL, XTOL]] = BatchStatus.GTOL, BatchStatus.FTOL, BatchStatus.XTOL
STATUS[[NONFINITE, FIXED]] = BatchStatus.NONFINITE, BatchStatus.FIXED


@dataclass
class BatchResult:
    """What `minimize_batch` returns: one row for each problem.

    Attributes
    ----------
    x : ndarray, shape (n_problems, n)
        The points: the last one of each run, the mean of its last 100 where a tolerance is met and that
        is better, or the best one seen where the last is worse than the start or not finite.  NaN where
        the problem was not run.
    fun : ndarray, shape (n_problems,)
        The values there.
    nit : ndarray of int, shape (n_problems,)
        Steps made.
    status : ndarray of int, shape (n_problems,)
        Members of `BatchStatus`.
    """

    x: np.ndarray
    fun: np.ndarray
    nit: np.ndarray
    status: np.ndarray

    @property
    def success(self) -> np.ndarray:
        """Which problems have converged or made their planned steps, shape (n_problems,)."""
        return (self.status >= BatchStatus.GTOL) & (self.status <= BatchStatus.FIXED)

    def message(self, index: int) -> str:
        """Say what became of one problem."""
        return BatchStatus(int(self.status[index])).message


def minimize_batch(
    fun: Callable,
    x0,
    args: tuple = (),
    data: tuple = (),
    *,
    rule: Rule = rules.ADAM,
    learning_rate=None,
    bounds=None,
    x_scale=1.0,
    clipvalue: float | None = None,
    clipnorm: float | None = None,
    weight_decay: float | None = None,
    steps: int | None = None,
    maxiter: int | None = None,
    tol: float | None = None,
    gtol: float | None = None,
    ftol: float | None = None,
    xtol: float | None = None,
    out: dict[str, np.ndarray] | None = None,
    workers: int | None = None,
    progress: bool = False,
    callback: Callable[[int], Any] | None = None,
    **hyperparameters: float,
) -> BatchResult:
    """Minimize one function for many sets of data, each from its own start, inside compiled code.

    Every problem runs and stops by itself: it takes the steps that `scipy.optimize.minimize` would take
    with one of the methods of this package, and gives the same bits alone and in any batch, on any
    number of threads.  One that fails marks its own row and nothing else.

    Parameters
    ----------
    fun : callable
        ``fun(x, *data, *args) -> (f, g)``: value and gradient, shape ``(n,)``; or, with one parameter
        more, ``fun(x, g, *data, *args) -> f``, which writes all of the gradient to `g` and is faster,
        as it need not allocate.  Compiled by Numba, or a plain function that Numba can compile.  It must
        give the same result whenever it is called, and return NaN instead of raising an exception.
    x0 : array_like, shape (n,) or (n_problems, n)
        Where to start.  In float32 everything is computed in float32, else in float64.  A row that is
        not finite fails by itself.
    args : tuple, optional
        Arguments of `fun` that all problems share: numbers and arrays.
    data : tuple, optional
        Arguments of which each problem has its own.  An array of shape ``(n_problems, ...)``, of which
        `fun` gets ``array[i]``: a number, a vector, a matrix.  For data sets of unequal length a list of
        ``n_problems`` arrays, or a pair ``(values, offsets)``, of which `fun` gets
        ``values[offsets[i]:offsets[i + 1]]``.  Memory-mapped arrays are read piece by piece.
    rule : Rule
        One of `nbadam.rules`, by default Keras's Adam.
    learning_rate : float, array_like or callable, optional
        Size of a step in units of ``x / x_scale``; by default the rule's.  An array of shape ``(n,)``,
        ``(n_problems, 1)`` or ``(n_problems, n)`` gives variables or problems their own.  A schedule is
        called with the numbers of steps done before.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Every step is projected onto them.  The arrays of a ``Bounds`` may have the shape
        ``(n_problems, n)``, too.
    x_scale : float or array_like, shape (n,), (n_problems, 1) or (n_problems, n), default 1
        Unit of each variable: the run happens in ``x / x_scale``.
    clipvalue, clipnorm, weight_decay : float, optional
        As options of `nbadam.adam`.
    steps : int, optional
        Planned number of steps, whose end is a success.  The tolerances are then off unless given.
    maxiter : int, default 50000
        Largest number of steps, whose end is a failure.
    tol, gtol, ftol, xtol : float, optional
        As options of `nbadam.adam`: looked at every 100 steps.
    out : dict of str to ndarray, optional
        Arrays for the results, among ``"x"``, ``"fun"``, ``"nit"`` and ``"status"``, memory-mapped ones
        for example: with all four, the memory that a batch needs does not grow with it.  `status` is
        cleared first and filled as results arrive.
    workers : int, optional
        Number of threads; by default Numba's, or 1 outside of the main thread.
    progress : bool, default False
        Show a progress bar (extra ``progress``).
    callback : callable, optional
        ``callback(n_finished)``, called every few hundredths of a second; StopIteration ends the batch.
    **hyperparameters : float
        Those of the rule, such as `beta_1`.

    Returns
    -------
    BatchResult
        `x`, `fun`, `nit`, `status` and `success`, each with one row for every problem.

    Raises
    ------
    ValueError
        If an argument is invalid (the message names it and what would be right), or Numba cannot
        compile `fun`.
    TypeError
        If the rule has no such hyperparameter.

    Warns
    -----
    RuntimeWarning
        If Ctrl-C or the callback ended the batch.  What is finished is returned; the other rows have
        the status `NOT_RUN`, and NaN in `x` and `fun`.  Ctrl-C waits for the problems that each thread
        is at, normally a fiftieth of a second.

    Examples
    --------
    Decays of 1000 samples, with an amplitude and a rate for each:

    >>> import numpy as np
    >>> from numba import njit
    >>> import nbadam
    >>> @njit(error_model="numpy")
    ... def misfit(p, g, y, t):
    ...     f = g[0] = g[1] = 0.0
    ...     for i in range(t.size):
    ...         decay = np.exp(-p[1] * t[i])
    ...         error = p[0] * decay - y[i]
    ...         f += error**2
    ...         g[0] += 2 * error * decay
    ...         g[1] -= 2 * error * p[0] * t[i] * decay
    ...     return f
    >>> rng = np.random.default_rng(0)
    >>> t = np.linspace(0, 5, 20)
    >>> truth = rng.uniform([1, 0.5], [3, 2], (1000, 2))
    >>> y = truth[:, :1] * np.exp(-truth[:, 1:] * t)
    >>> result = nbadam.minimize_batch(misfit, [1, 1], args=(t,), data=(y,), learning_rate=0.1)
    >>> result.success.all(), bool(abs(result.x - truth).max() < 1e-3)
    (np.True_, True)
    """
    batch = _Batch(
        fun, x0, args, data, rule, bounds, x_scale, learning_rate, hyperparameters,
        {
            "clipvalue": clipvalue, "clipnorm": clipnorm, "weight_decay": weight_decay, "steps": steps,
            "maxiter": maxiter, "epochs": None, "patience": None,
            "tol": tol, "gtol": gtol, "ftol": ftol, "xtol": xtol,
        },
    )  # fmt: skip
    if callback is not None and not callable(callback):
        raise ValueError(f"`callback` must be callable, not {callback!r}.")
    threads = default_workers() if workers is None else integer(1)("workers", workers)
    flag("progress", progress)
    result = _room(out, batch)
    result.status[...] = BatchStatus.NOT_RUN
    batch.compile(result)

    blocks = Blocks(batch.size, FIRST, max(1, BYTES // batch.bytes_each), threads)
    finished = work_through(
        blocks,
        lambda start, stop: batch.run(result, start, stop),
        threads,
        unit="problem",
        progress=progress,
        callback=callback,
    )
    if not finished:
        left = result.status == BatchStatus.NOT_RUN
        result.x[left], result.fun[left], result.nit[left] = np.nan, np.nan, 0
        warnings.warn(
            f"Interrupted: {batch.size - np.count_nonzero(left)} of {batch.size} problems are finished, "
            "the others have the status NOT_RUN.",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


class _Batch:
    """The problems and how to run them, checked."""

    def __init__(
        self, fun, x0, args, data, rule, bounds, x_scale, learning_rate, hyperparameters, settings
    ) -> None:
        if not isinstance(rule, Rule):
            raise ValueError(f"`rule` must be a Rule, such as nbadam.rules.ADAM, not {rule!r}.")
        self.rule = rule
        self.x0 = _starts(x0)
        self.n = n = self.x0.shape[-1]
        self.dtype = self.x0.dtype if self.x0.dtype == np.float32 else np.dtype(np.float64)
        self.data, self.size = as_data(data, self.x0.shape[0] if self.x0.ndim == 2 else None)
        self.args = as_args(args)
        self.fun, self.writes = _compilable(fun), _writes(fun, 1 + len(self.data) + len(self.args))

        shape = (self.size, n)
        self.scale = as_matrix("x_scale", x_scale, shape, low=0.0)
        self.lower, self.upper = _boxes(bounds, shape)
        self.hyper = _hyper(rule, hyperparameters)
        maxiter, self.at_end = limit("maxiter", settings, MAXITER), BatchStatus.MAXITER
        if settings["steps"] is not None:
            steps = number("steps", settings["steps"], low=0)
            if settings["maxiter"] is None or steps <= maxiter:
                maxiter, self.at_end = steps, BatchStatus.STEPS
        if maxiter > LONGEST:
            raise ValueError(f"`maxiter` and `steps` must be at most {LONGEST:,}, not {maxiter:g}.")
        self.settings = (
            float(int(maxiter)),
            *tolerances_from(settings)[:3],
            limit("clipvalue", settings, inf),
            limit("clipnorm", settings, inf),
            limit("weight_decay", settings, 0.0),
        )
        default = rule.hyperparameters["learning_rate"]
        self._schedule(default if learning_rate is None else learning_rate, int(maxiter), shape)
        self.bytes_each = 6 * n * self.dtype.itemsize + 16

    def _schedule(self, learning_rate, maxiter: int, shape: tuple[int, int]) -> None:
        """Tabulate what a step needs; rates of single problems or variables are left to the kernel."""
        self.rates = None
        self.schedule = np.zeros(0)
        if not callable(learning_rate) and np.ndim(learning_rate):
            divides = self.rule in DIVIDING
            self.rates = as_matrix("learning_rate", learning_rate, shape, low=0.0, closed=not divides)
            if divides and np.shape(learning_rate)[-1] != 1:
                raise ValueError("`learning_rate` must be the same for all variables with this rule.")
        else:
            self.schedule = np.empty(maxiter)
            schedule, _ = learning_rate_from(learning_rate, self.rule, shape[1])
            self.schedule[:] = schedule(np.arange(maxiter))
        self.table = tuple(np.empty(self.schedule.size) for _ in range(columns(self.rule)))
        fill_table_kernel(self.rule)(self.schedule, self.hyper, self.table)

    def compile(self, result: BatchResult) -> None:
        """Compile the kernel, by a block without problems."""
        try:
            self.run(result, 0, 0)
        except NumbaError as error:
            reason = str(error).strip().splitlines()
            raise ValueError(
                f"`fun` cannot be compiled by Numba for these arguments: {' '.join(reason[:3])}"
            ) from error

    def run(self, result: BatchResult, start: int, stop: int) -> float:
        """Run the problems from `start` to before `stop`; return the seconds that it took."""
        began = time.thread_time()  # not the time: waiting for other threads tells nothing
        n, dtype, count = self.n, self.dtype, stop - start
        here = slice(start, stop)
        block = np.empty((4, count, n), dtype)
        block[0] = self.x0 if self.x0.ndim == 1 else self.x0[here]
        block[1], block[2], block[3] = self.lower[here], self.upper[here], self.scale[here]
        rates, fractions = np.empty(0), np.empty((count, 0), dtype)
        if self.rates is not None:
            rates, fractions = _split(self.rates[here], dtype)
        x, f = np.empty((count, n), dtype), np.empty(count, dtype)
        nit, status = np.empty(count, np.int64), np.empty(count, np.int8)
        kernel = problems_kernel(self.rule, self.fun, self.writes, dtype.name)
        fits = kernel(
            block, self._slots(block, rates), pieces(self.data, start, stop), self.args, self.hyper,
            self.settings, self.schedule, self.table, rates, fractions,
            np.empty((ROWS, n), dtype), np.empty((3, n)), np.empty(ENTRIES),
            tuple(np.empty(n, dtype) for _ in self.rule.slots), np.empty(n, dtype), np.empty(n, dtype),
            x, f, nit, status,
        )  # fmt: skip
        if not fits:
            raise ValueError(f"The gradient that `fun` returns must have the shape of x, ({n},).")
        result.x[here], result.fun[here], result.nit[here] = x, f, nit
        result.status[here] = np.where(status == LAST_STEP, self.at_end, STATUS[status])
        return time.thread_time() - began

    def _slots(self, block: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return what the slots start from, shape (slots, problems, n)."""
        slots = np.zeros((len(self.rule.slots), *block.shape[1:]), self.dtype)
        for k, name in enumerate(self.rule.slots):
            if name == "accumulator":
                slots[k] = ACCUMULATOR
            elif self.rule in DIVIDING:  # FTRL's "linear", which centres the first proximal term at x0
                first = self.schedule[0] if self.schedule.size else rates[:, None] if rates.size else 1.0
                with np.errstate(invalid="ignore"):  # infinite starts fail by themselves
                    x = np.clip(block[0], block[1], block[2]) / block[3]
                    slots[k] = ftrl_start(x, ACCUMULATOR, *self.rule.scalars(1.0, first, *self.hyper))
        return slots


def _split(rates: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Largest rate of each problem, and each variable's fraction of it (empty if equal)."""
    if rates.strides[1] == 0 or rates.shape[1] == 1:
        return np.array(rates[:, 0]), np.empty((len(rates), 0), dtype)
    largest = rates.max(axis=1)
    fractions = np.divide(rates, largest[:, None], out=np.ones(rates.shape), where=largest[:, None] > 0)
    return largest, fractions.astype(dtype)


def _starts(x0) -> np.ndarray:
    """Return the starts as an array of real numbers; they are converted block by block."""
    if np.ma.is_masked(x0):
        raise ValueError("`x0` must not have masked elements; fill them, or leave these problems out.")
    array = np.asarray(x0)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"`x0` must be real numbers of at most 64 bits, not {array.dtype}.")
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ValueError(f"`x0` must have the shape (n,) or (n_problems, n), not {array.shape}.")
    return array


def _boxes(bounds, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of all problems, as arrays that take no memory where they are equal."""
    from ..methods.bounds import parse_bounds

    if hasattr(bounds, "lb") and max(np.ndim(bounds.lb), np.ndim(bounds.ub)) == 2:
        lower = as_matrix("bounds.lb", bounds.lb, shape)
        upper = as_matrix("bounds.ub", bounds.ub, shape)
        crossed = np.flatnonzero(~(lower <= upper).all(axis=1))
        if crossed.size:
            raise ValueError(
                f"A lower bound in `bounds` of problem {crossed[0]} is above the upper one, or NaN."
            )
        return lower, upper
    lower, upper = parse_bounds(bounds, shape[1])
    return np.broadcast_to(lower, shape), np.broadcast_to(upper, shape)


def _hyper(rule: Rule, given: dict[str, float]) -> tuple[float, ...]:
    """Values of the hyperparameters after the learning rate."""
    known = dict(list(rule.hyperparameters.items())[1:])
    unknown = [name for name in given if name not in known]
    if unknown:
        raise TypeError(
            f"minimize_batch() got an unexpected keyword argument {unknown[0]!r}; "
            f"the hyperparameters of this rule are {', '.join(known) or 'none'}."
        )
    return hyper_from(rule, known | given)


@lru_cache(maxsize=64)
def _compiled(fun: Callable) -> Callable:
    return njit(error_model="numpy")(fun)


def _compilable(fun) -> Callable:
    if is_jitted(fun):
        return fun
    if not inspect.isfunction(fun):
        raise ValueError(f"`fun` must be a function that Numba can compile, not {fun!r}.")
    return _compiled(fun)


def _writes(fun: Callable, least: int) -> bool:
    """Whether `fun` takes an array for the gradient beside its `least` arguments."""
    parameters = list(inspect.signature(inspect.unwrap(fun)).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return False
    required = sum(parameter.default is parameter.empty for parameter in parameters)
    if required <= least <= len(parameters):
        return False
    if required != least + 1:
        raise ValueError(
            f"`fun` must take {least} arguments (x, *data, *args) and return (f, g), or {least + 1} "
            f"(x, g, *data, *args) and return f; it takes {required}."
        )
    return True


def _room(out: dict[str, np.ndarray] | None, batch: _Batch) -> BatchResult:
    """Arrays for the results, of which some may be the user's."""
    shapes = {
        "x": ((batch.size, batch.n), batch.dtype),
        "fun": ((batch.size,), batch.dtype),
        "nit": ((batch.size,), np.dtype(np.int64)),
        "status": ((batch.size,), np.dtype(np.int8)),
    }
    out = {} if out is None else dict(out)
    for name, array in out.items():
        if name not in shapes:
            raise ValueError(f"`out` may hold {', '.join(shapes)}, not {name!r}.")
        shape, dtype = shapes[name]
        fits = isinstance(array, np.ndarray) and array.shape == shape and array.flags.writeable
        if not fits or array.dtype.kind not in ("f" if dtype.kind == "f" else "iu"):
            kind = "real numbers" if dtype.kind == "f" else "integers"
            raise ValueError(f"`out[{name!r}]` must be a writable array of {kind} of shape {shape}.")
    return BatchResult(**{name: out.get(name, np.empty(*spec)) for name, spec in shapes.items()})
