"""Many runs of a method, from many starts, on all cores."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import shown
from ..hyperparameters import integer
from ..rules import Rule
from ..shuffling import seed_numbers
from ..status import Status
from .bounds import parse_bounds, parse_starts
from .distribute import no_result, outcomes
from .factory import METHODS

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


def multistart(
    fun: Callable[..., Any],
    x0s: ArrayLike | None = None,
    args: Any = (),
    *,
    bounds: Any = None,
    n_starts: int | None = None,
    jac: Any = None,
    method: Callable[..., Any] = METHODS["adam"],
    options: dict[str, Any] | None = None,
    rng: Any = None,
    workers: int | None = None,
    callback: Callable[..., Any] | None = None,
) -> "OptimizeResult":
    """Minimize from many starts, on several cores; return the best end and all others.

    The runs do not know of each other: one that raises an error is one result without success.  Each is
    the same, bit for bit, as a call of `method` from its start.  The results do not depend on the number of
    workers.

    If `fun` (or that of a `Minibatch`) was compiled by Numba and returns the gradient too, the workers are
    threads.  Whole runs happen in compiled code then.  There is one thread where parallel loops of `fun`
    itself could not run in several (Numba's layer workqueue).  Otherwise the workers are processes: of joblib
    if it is installed (extra ``parallel``), which can send any function there.  The processes of the standard
    library need `fun` to be importable, and a script that begins its work under
    ``if __name__ == "__main__":``.  A function that cannot be sent is minimized in this process, with a
    warning.

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
        Its options, but for `state`.  Run k writes the `checkpoint` ``run.npz`` to ``run-k.npz``.
    rng : None, int, numpy.random.SeedSequence or numpy.random.Generator, optional
        Seed of the starts, and of the signs of ``finite_diff="spsa"``; None takes a new one each time.
    workers : int, optional
        Threads or processes; by default as many as this process may use cores.  1 is none.
    callback : callable, optional
        ``callback(k, result)`` is called here when run `k` (0, 1, ...) and all before it have ended;
        StopIteration ends all.

    Returns
    -------
    scipy.optimize.OptimizeResult
        That of the best run: the lowest finite `fun`, the first of equals.  Its further attribute `index`
        tells which it is, and `results` is the list of all, in the order of the starts.  The result of a
        run that raised an exception has it as attribute `error`; one that was not made has the status
        `nbadam.Status.NOT_RUN`.  `fun` is NaN in both.

    Raises
    ------
    ValueError
        If an argument is invalid.
    Exception
        The first run's, if all runs raised one.
    KeyboardInterrupt
        After Ctrl-C.  Its attribute `result` is the result so far.

    Warns
    -----
    RuntimeWarning
        If `fun` cannot be sent to another process.

    See Also
    --------
    nbadam.adam : One run.
    nbadam.minimize_batch : Many problems.

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
    for name, function in (("fun", fun), ("callback", callback)):
        if not (callable(function) or (function is None and name == "callback")):  # type: ignore[redundant-expr]
            raise ValueError(f"`{name}` must be callable, not {shown(function)}.")
    if not callable(method) or isinstance(method, type | Rule):  # type: ignore[redundant-expr]
        raise ValueError(f"`method` must be a method such as nbadam.adam, not {shown(method)}.")
    seed = seed_numbers(rng)
    starts = _starts(x0s, bounds, n_starts, seed)
    common = {"jac": jac, "bounds": bounds} | (options or {})
    if common.get("state") is not None:
        raise ValueError(
            "`state` continues one run, and multistart makes many: pass it to scipy.optimize.minimize, "
            "together with the start."
        )
    is_random = common.get("finite_diff") == "spsa"
    signs = seed_numbers(common["rng"]) if common.get("rng") is not None else seed
    arguments = _arguments(args if isinstance(args, tuple) else (args,), len(starts))
    tasks: list[tuple[Any, ...]] = []
    for k, (start, own) in enumerate(zip(starts, arguments, strict=True)):
        more: dict[str, Any] = {"rng": np.random.SeedSequence(signs, spawn_key=(k,))} if is_random else {}
        if common.get("checkpoint") is not None:
            more["checkpoint"] = _checkpoint(common["checkpoint"], k)
        tasks.append((method, fun, start, own, common | more))
    results = [no_result(start, Status.NOT_RUN) for start in starts]
    done = 0
    try:
        with closing(outcomes(tasks, _workers(workers, len(tasks)), results)) as ended:
            for result in ended:
                results[done] = result
                if result.get("status") == Status.INTERRUPTED:
                    raise KeyboardInterrupt
                done += 1
                if callback is not None:
                    callback(done - 1, result)
    except StopIteration:  # the callback ends the search
        pass
    except KeyboardInterrupt as error:
        if hasattr(error, "result"):
            results[done] = error.result  # result of the run that was under way
        raise _interrupted(results) from None
    errors = [result.error for result in results if "error" in result]
    if len(errors) == len(results):
        raise errors[0]
    return _best(results)


def _starts(x0s: Any, bounds: Any, n_starts: int | None, seed: tuple[int, ...]) -> np.ndarray:
    """Return the starts, shape (n_starts, n)."""
    if (x0s is None) == (n_starts is None):
        raise ValueError("Give either `x0s`, or `n_starts` with `bounds`.")
    if x0s is not None:
        starts = parse_starts("x0s", x0s, {2: "(n_starts, n)"})
        if not starts.size:
            raise ValueError(f"`x0s` must have a start and a variable; its shape is {starts.shape}.")
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


def _arguments(args: tuple[Any, ...], count: int) -> Iterator[tuple[Any, ...]]:
    """Return the arguments of each run, with children of their own of the random generators."""
    children = [
        argument.spawn(count) if isinstance(argument, np.random.Generator) else [argument] * count
        for argument in args
    ]
    return zip(*children, strict=True) if children else iter([()] * count)


def _checkpoint(path: Any, k: int) -> Path:
    """Return the file of one run: run.npz becomes run-0.npz, run-1.npz, ..."""
    whole = Path(os.fsdecode(path))
    return whole.with_name(f"{whole.stem}-{k}{whole.suffix}")


def _interrupted(results: list[Any]) -> KeyboardInterrupt:
    """Return the exception that carries the results so far."""
    best = _best(results)
    interrupt = KeyboardInterrupt()
    interrupt.result = best  # type: ignore[attr-defined]
    ended = sum(result.status not in (Status.NOT_RUN, Status.INTERRUPTED) for result in results)
    interrupt.add_note(
        f"{ended} of {len(results)} runs have ended: see the attribute `result` of this exception."
    )
    return interrupt


def _best(results: list[Any]) -> "OptimizeResult":
    """Return the best result, with the place where it was and all of them."""
    from scipy.optimize import OptimizeResult

    values = [result.fun if isfinite(result.fun) else inf for result in results]
    index = int(np.argmin(values))
    failed = sum("error" in result for result in results)
    best = OptimizeResult(results[index], index=index, results=results)
    if failed:
        best.message = f"{best.message} {failed} of {len(results)} runs raised an error."
    return best
