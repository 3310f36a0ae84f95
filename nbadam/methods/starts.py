"""Many runs of a method, from many starts, on all cores."""

import multiprocessing
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numba.extending import is_jitted

from ..hyperparameters import integer
from .bounds import parse_bounds
from .factory import adam
from .interrupts import called_off
from .minibatch import Minibatch
from .orders import seed_numbers

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


def multistart(
    fun: Callable,
    x0s=None,
    args: tuple = (),
    *,
    bounds=None,
    n_starts: int | None = None,
    jac=None,
    method: Callable = adam,
    options: dict[str, Any] | None = None,
    rng=None,
    workers: int | None = None,
    callback: Callable | None = None,
) -> "OptimizeResult":
    """Minimize from many starts, on several cores; return the best end and all others.

    The runs do not know of each other, and each is the same, bit for bit, as a call of `method` from its
    start: the results do not depend on the number of workers.  If `fun` (or that of a `Minibatch`) was
    compiled by Numba and returns the gradient too, the workers are threads, in which whole runs happen in
    compiled code.  Otherwise they are processes: of joblib if it is installed (extra ``parallel``), which
    can send any function there; else of the standard library, which needs `fun` to be importable, and the
    caller's script to begin its work under ``if __name__ == "__main__":``.  A function that cannot be sent
    is minimized in this process, with a warning.

    Parameters
    ----------
    fun, jac, args
        As in `scipy.optimize.minimize`.  A `numpy.random.Generator` in `args` is replaced by a child of its
        own for each run.
    x0s : array_like, shape (n_starts, n), optional
        Where to start.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Bounds of all runs.  Without `x0s` they must be finite.
    n_starts : int, optional
        How many starts to draw within `bounds`, in a Latin hypercube, instead of `x0s`.
    method : callable, default `nbadam.adam`
        One of this package's methods.
    options : dict, optional
        Its options.
    rng : None, int, numpy.random.SeedSequence or numpy.random.Generator, optional
        What the starts depend on, and the signs of ``finite_diff="spsa"``; None is others each time.
    workers : int, optional
        Threads or processes; by default as many as this process may use cores.  1 is none.
    callback : callable, optional
        ``callback(k, result)`` is called here when run `k` (0, 1, ...) and all before it have ended.

    Returns
    -------
    scipy.optimize.OptimizeResult
        That of the best run: the lowest finite `fun`, the first of equals.  Its further attribute `index`
        tells which it is, and `results` is the list of all, in the order of the starts.  After Ctrl-C
        there are None in the place of those that had not ended.

    Raises
    ------
    ValueError
        If an argument is invalid.
    KeyboardInterrupt
        After Ctrl-C, if no run has ended.

    Warns
    -----
    RuntimeWarning
        If `fun` cannot be sent to another process, or after Ctrl-C.

    References
    ----------
    .. [1] M. D. McKay, R. J. Beckman and W. J. Conover, "A comparison of three methods for selecting values
       of input variables in the analysis of output from a computer code", Technometrics 21, 1979

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> def bumpy(x):
    ...     return np.sum(x**2 + 10 * (1 - np.cos(2 * np.pi * x))), 2 * x + 20 * np.pi * np.sin(2 * np.pi * x)
    >>> result = nbadam.multistart(bumpy, bounds=[(-5, 5), (-5, 5)], n_starts=20, jac=True, rng=0, workers=1)
    >>> len(result.results), bool(result.fun == min(r.fun for r in result.results))
    (20, True)
    """
    for name, function in (("fun", fun), ("method", method), ("callback", callback)):
        if not (callable(function) or (function is None and name == "callback")):
            raise ValueError(f"`{name}` must be callable, not {function!r}.")
    seed = seed_numbers(rng)
    starts = _starts(x0s, bounds, n_starts, seed)
    common = {"jac": jac, "bounds": bounds} | (options or {})
    is_random = common.get("finite_diff") == "spsa"
    signs = seed_numbers(common["rng"]) if common.get("rng") is not None else seed
    arguments = _arguments(args if isinstance(args, tuple) else (args,), len(starts))
    tasks: list[tuple] = []
    for k, (start, own) in enumerate(zip(starts, arguments, strict=True)):
        more = {"rng": np.random.SeedSequence(signs, spawn_key=(k,))} if is_random else {}
        tasks.append((method, fun, start, own, common | more))
    results: list[OptimizeResult | None] = [None] * len(tasks)
    try:
        for k, result in enumerate(_outcomes(tasks, _workers(workers, len(tasks)))):
            results[k] = result
            if callback is not None:
                callback(k, result)
    except KeyboardInterrupt:
        done = sum(result is not None for result in results)
        if not done:
            raise
        warnings.warn(f"Interrupted: {done} of {len(tasks)} runs have ended.", RuntimeWarning, stacklevel=2)
    return _best(results)


def _starts(x0s, bounds, n_starts: int | None, seed: tuple[int, ...]) -> np.ndarray:
    """Return the starts, shape (n_starts, n)."""
    if (x0s is None) == (n_starts is None):
        raise ValueError("Give either `x0s`, or `n_starts` with `bounds`.")
    if x0s is not None:
        starts = np.asarray(x0s)
        if starts.ndim != 2 or not starts.size:
            raise ValueError(f"`x0s` must have the shape (n_starts, n); its shape is {starts.shape}.")
        return starts
    count = integer(1)("n_starts", n_starts)
    n = np.size(bounds.lb) if hasattr(bounds, "lb") else 0 if bounds is None else len(bounds)
    lower, upper = parse_bounds(bounds, n)
    if not n or not np.isfinite([lower, upper]).all():
        raise ValueError("`bounds` must be finite where the starts are drawn within them; or give `x0s`.")
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    cells = generator.permuted(np.tile(np.arange(count), (n, 1)), axis=1).T
    return lower + (upper - lower) * ((cells + generator.random((count, n))) / count)


def _workers(workers: int | None, starts: int) -> int:
    if workers is None:
        affinity = getattr(os, "sched_getaffinity", None)
        workers = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(integer(1)("workers", workers), starts)


def _arguments(args: tuple, count: int) -> Iterator[tuple]:
    """Return the arguments of each run, with children of their own of the random generators."""
    children = [
        argument.spawn(count) if isinstance(argument, np.random.Generator) else [argument] * count
        for argument in args
    ]
    return zip(*children, strict=True) if children else iter([()] * count)


def _outcomes(tasks: list[tuple], workers: int) -> Iterator["OptimizeResult"]:
    """Yield the results in the order of the tasks."""
    if workers == 1:
        return map(_run, tasks)
    _, fun, _, _, options = tasks[0]
    if options["jac"] is True and is_jitted(fun.fun if isinstance(fun, Minibatch) else fun):
        return _in_threads(tasks, workers)
    if multiprocessing.current_process().daemon:  # it may not have children
        return map(_run, tasks)
    return _in_processes(tasks, workers)


def _run(task: tuple) -> "OptimizeResult":
    method, fun, start, args, options = task
    return method(fun, start, args, **options)


def _in_threads(tasks: list[tuple], workers: int) -> Iterator["OptimizeResult"]:
    over = threading.Event()
    with ThreadPoolExecutor(workers, initializer=called_off.set, initargs=(over,)) as pool:
        futures = [pool.submit(_run, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            over.set()
            pool.shutdown(cancel_futures=True)


def _in_processes(tasks: list[tuple], workers: int) -> Iterator["OptimizeResult"]:
    done = 0
    try:
        for result in _sent(tasks, workers):
            yield result
            done += 1
    except pickle.PicklingError as error:
        warnings.warn(
            f"`fun` or its arguments cannot be sent to other processes, so the runs are made one after the "
            f"other: {error.__cause__ or error}",
            RuntimeWarning,
            stacklevel=3,
        )
        yield from map(_run, tasks[done:])


def _sent(tasks: list[tuple], workers: int) -> Iterator["OptimizeResult"]:
    """Yield the results of other processes; a PicklingError says that a task cannot be sent there."""
    try:
        from joblib import Parallel, delayed
    except ImportError:
        _check_importable(tasks[0])
        # Not forked: a child would inherit the locks and threads of this process as they are.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(_run, task) for task in tasks]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)
    else:
        yield from Parallel(n_jobs=workers, return_as="generator")(delayed(_run)(task) for task in tasks)


def _check_importable(task: tuple) -> None:
    """Raise PicklingError unless another process can read the task: it imports functions by name."""
    main = sys.modules["__main__"]
    if not hasattr(main, "__file__") and getattr(task[1], "__module__", "") == "__main__":
        raise pickle.PicklingError(f"{task[1]!r} is in no file; install joblib, or write it to a module.")
    try:
        pickle.dumps(task)
    except Exception as error:  # AttributeError, TypeError, or what an object's own code raises
        raise pickle.PicklingError(f"{error} (joblib, if installed, can send more)") from None


def _best(results: list) -> "OptimizeResult":
    """Return the best result, with the place where it was and all of them."""
    from scipy.optimize import OptimizeResult

    values = [r.fun if r is not None and isfinite(r.fun) else inf for r in results]
    index = int(np.argmin(values))
    if results[index] is None:
        index = next(k for k, result in enumerate(results) if result is not None)
    return OptimizeResult(results[index], index=index, results=results)
