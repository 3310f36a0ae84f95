"""Many independent problems of one kind: `minimize_batch`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import rules
from .._threads import must_run_alone
from ..blocks import Blocks, default_workers, work_through
from ..caller import warn
from ..checks import shown
from ..dask import is_lazy
from ..hyperparameters import flag, integer
from ..progress import compilations_shown
from ..rules import Rule
from ..status import Status
from .lazy import minimize_lazily
from .problems import Problems
from .result import BatchResult, room_for

FIRST = 8  # problems in the first block
SHORTEST = 0.002  # seconds of a block
BYTES = 1 << 25  # largest size of a block's own arrays


def minimize_batch(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    data: tuple[Any, ...] = (),
    *,
    rule: Rule = rules.ADAM,
    learning_rate: Any = None,
    bounds: Any = None,
    out: dict[str, np.ndarray[Any, Any]] | None = None,
    workers: int | None = None,
    progress: bool = False,
    callback: Callable[[int], Any] | None = None,
    **options: Any,
) -> BatchResult:
    """Minimize one function for many sets of data, each from its own start, inside compiled code.

    Every problem runs and stops by itself: it takes the steps that `scipy.optimize.minimize` would take
    with one of the methods of this package.  It gives the same bits alone and in any batch, on any number
    of threads.  One that fails marks its own row and nothing else.

    Parameters
    ----------
    fun : callable
        ``fun(x, *data, *args) -> (f, g)``: value and gradient, shape ``(n,)``.  Or, with one parameter
        more, ``fun(x, g, *data, *args) -> f``, which writes all of the gradient to `g`: it is faster, as it
        need not allocate.  Compiled by Numba, or a plain function that Numba can compile.  It must
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
        ``values[offsets[i]:offsets[i + 1]]``.  Memory-mapped arrays are read piece by piece.  Arrays of
        Dask, here or as `x0`, stay lazy.
    rule : Rule
        One of `nbadam.rules`, by default Keras's Adam.
    learning_rate : float, array_like or callable, optional
        Size of a step in units of ``x / x_scale``; by default the rule's.  An array of shape ``(n,)``,
        ``(n_problems, 1)`` or ``(n_problems, n)`` gives variables or problems their own.  A schedule is
        called with the numbers of steps done before.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Every step is projected onto them.  The arrays of a ``Bounds`` may have the shape
        ``(n_problems, n)``, too.
    out : dict of str to ndarray, optional
        Arrays for the results, among ``"x"``, ``"fun"``, ``"nit"`` and ``"status"``, memory-mapped ones
        for example: with all four, the memory that a batch needs does not grow with it.  `status` is
        cleared first and filled as results arrive.
    workers : int, optional
        Number of threads; by default Numba's, or 1 outside of the main thread.  Always 1 if `fun` has
        parallel loops of its own that cannot run in several threads (Numba's layer workqueue).
    progress : bool, default False
        Show a progress bar (extra ``progress``).
    callback : callable, optional
        ``callback(n_finished)``, called every few hundredths of a second; StopIteration ends the batch.
    x_scale : float or array_like, shape (n,), (n_problems, 1) or (n_problems, n), default 1
        Unit of each variable: the run happens in ``x / x_scale``.
    **options
        Hyperparameters of the rule, such as `beta_1`, and options that mean the same as in `nbadam.adam`:

        * `clipvalue`, `clipnorm`, `weight_decay`, `average`, `steps` and `maxiter`,
        * `tol`, `gtol`, `ftol`, `xtol`, `patience`, `reductions` and `reduction`,
        * `on_nonfinite`: "stop" or "skip".

    Returns
    -------
    BatchResult
        `x`, `fun`, `nit`, `status` and `success`, each with one row for every problem.  Where `x0` or
        `data` are arrays of Dask they are, too, computed block by block when asked for, to the same bits.

    Raises
    ------
    ValueError
        If an argument is invalid (the message names it and the way out), or Numba cannot compile `fun`.
    TypeError
        If an option is unknown.

    KeyboardInterrupt
        If Ctrl-C is pressed.  Once problems are under way, the exception has those that are finished as
        its attribute `result`, a `BatchResult`.  The others have the status `NOT_RUN`, and NaN in `x` and
        `fun`.
        Ctrl-C waits for the steps that each thread is at, normally a fiftieth of a second.

    Warns
    -----
    RuntimeWarning
        If the callback ended the batch: the finished problems are returned, as with Ctrl-C.

    See Also
    --------
    nbadam.adam : One problem.
    nbadam.curve_fit : Sums of squares, which have faster methods.
    nbadam.multistart : One problem, many starts.

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
    if is_lazy(x0, data):
        return minimize_lazily(minimize_batch, locals())
    if learning_rate is not None:
        options["learning_rate"] = learning_rate
    problems = Problems(fun, x0, args, data, rule, bounds, options)
    if callback is not None and not callable(callback):
        raise ValueError(f"`callback` must be callable, not {shown(callback)}.")
    threads = default_workers() if workers is None else integer(1)("workers", workers)
    if must_run_alone(fun):
        threads = 1
    flag("progress", progress)
    result = room_for(problems.size, problems.n, problems.dtype, out)
    result.status[...] = Status.NOT_RUN
    with compilations_shown("the function", progress):
        problems.compile(result)

    blocks = Blocks(problems.size, FIRST, max(1, BYTES // problems.bytes_each), shortest=SHORTEST)
    finished, interrupt = False, None
    try:
        finished = work_through(
            blocks,
            lambda start, stop: problems.run(result, start, stop),
            threads,
            unit="problem",
            progress=progress,
            callback=callback,
        )
    except KeyboardInterrupt as error:
        interrupt = error
    left = result.status == Status.NOT_RUN
    finished &= not left.any()
    if not finished:
        result.x[left], result.fun[left], result.nit[left] = np.nan, np.nan, 0
    done = f"{np.count_nonzero(~left)} of {problems.size} problems are finished"
    if interrupt is not None:
        interrupt.add_note(f"{done}; the attribute `result` of this exception has them.")
        interrupt.result = result  # type: ignore[attr-defined]
        raise interrupt
    if not finished:
        warn(f"Interrupted: {done}, the others have the status NOT_RUN.", RuntimeWarning)
    return result
