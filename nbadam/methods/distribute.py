"""Runs of a method in this thread, in threads or in processes, of which none takes the others down."""

import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
from numba.extending import is_jitted

from .._signals import DeferredInterrupts
from .._threads import must_run_alone
from ..caller import employer, users_frame, warn
from ..interrupts import called_off
from ..status import Status
from .minibatch import Minibatch

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from scipy.optimize import OptimizeResult

PATIENCE = 0.3  # seconds to wait for the results of interrupted runs
LONGEST_WAIT = 0.1  # seconds; a signal that comes just before a wait begins takes effect only after it


def outcomes(tasks: list[tuple[Any, ...]], workers: int, results: list[Any]) -> Generator["OptimizeResult"]:
    """Yield the results of tasks in their order.

    Parameters
    ----------
    tasks : list of (method, fun, x0, args, options)
        The calls to make.
    workers : int
        Number of threads or processes; 1 is this thread.
    results : list
        Where results go that are there when the iteration is broken off.
    """
    _, fun, _, _, options = tasks[0]
    function = fun.fun if isinstance(fun, Minibatch) else fun
    is_compiled = options["jac"] is True and is_jitted(function)
    is_daemon = multiprocessing.current_process().daemon  # it may not have children
    if workers == 1 or (must_run_alone(function) if is_compiled else is_daemon):
        yield from map(_run, tasks)
    elif is_compiled:
        yield from _in_threads(tasks, workers, results)
    else:
        yield from _in_processes(tasks, workers, results)


def no_result(start: Any, status: Status, message: str | None = None, **more: Any) -> "OptimizeResult":
    """Return the result of a run that has none."""
    from scipy.optimize import OptimizeResult

    x = np.array(start, dtype=float)
    message = status.message if message is None else message
    return OptimizeResult(
        x=x, fun=np.nan, jac=np.full_like(x, np.nan), nit=0, nfev=0, njev=0,
        success=False, status=status, message=message, **more,
    )  # fmt: skip


def _run(task: tuple[Any, ...]) -> "OptimizeResult":
    """Return the result of one run; an error is one, with the exception in its attribute `error`."""
    method, fun, start, args, options = task
    try:
        return method(fun, start, args, **options)
    except Exception as error:
        message = f"Failed: {type(error).__name__}: {error}"
        return no_result(start, Status.MODEL_ERROR, message, error=error)


def _run_elsewhere(task: tuple[Any, ...]) -> "OptimizeResult":
    """Return the result of one run in another process, as one that can be sent back."""
    result = _run(task)
    if (error := result.get("error")) is not None:
        error.add_note("".join(traceback.format_exception(error)).rstrip())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            result.error = RuntimeError(f"{type(error).__name__}: {error}")
    return result


def _in_threads(tasks: list[tuple[Any, ...]], workers: int, results: list[Any]) -> Iterator["OptimizeResult"]:
    """Yield the results of threads.

    Ctrl-C strikes only the wait at a `SimpleQueue`, which is written in C: `Future.result` could leave a
    lock taken, for which the thread that has the result would wait, and the end of the process for it.
    """
    over = threading.Event()
    pool = ThreadPoolExecutor(workers, initializer=_enter, initargs=(over, users_frame()))
    futures: list[Future[Any]] = []
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    try:
        with DeferredInterrupts():
            for task in tasks:
                futures.append(pool.submit(_run, task))
                futures[-1].add_done_callback(ended.put)
        seen = set()
        for future in futures:
            while future not in seen:
                with suppress(Empty):
                    seen.add(ended.get(timeout=LONGEST_WAIT))
            yield future.result()
    finally:
        with DeferredInterrupts():
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            wait(futures, PATIENCE)
            _collect(futures, results)


def _enter(over: threading.Event, frame: FrameType) -> None:
    """Let this thread end with `over`, and its warnings name the user's frame."""
    called_off.set(over)
    employer.set(frame)


def _collect(futures: list[Future[Any]], results: list[Any]) -> None:
    """Store the results of those futures that have one."""
    for k, future in enumerate(futures):
        if not future.done() or future.cancelled():
            continue
        if (error := future.exception()) is None:
            results[k] = future.result()
        elif hasattr(error, "result"):  # a KeyboardInterrupt
            results[k] = error.result


def _in_processes(
    tasks: list[tuple[Any, ...]], workers: int, results: list[Any]
) -> Iterator["OptimizeResult"]:
    done = 0
    try:
        for result in _sent(tasks, workers, results):
            yield result
            done += 1
    except pickle.PicklingError as error:
        warn(
            f"`fun` or its arguments cannot be sent to other processes, so the runs are made one after the "
            f"other: {error.__cause__ or error}",
            RuntimeWarning,
        )
        yield from map(_run, tasks[done:])
    except BrokenExecutor as error:  # a worker of joblib was killed
        message = f"Failed: a worker process ended: {type(error).__name__}"
        for task in tasks[done:]:
            yield no_result(task[2], Status.MODEL_ERROR, message, error=error)


def _sent(tasks: list[tuple[Any, ...]], workers: int, results: list[Any]) -> Iterator["OptimizeResult"]:
    """Yield the results of other processes; a PicklingError says that a task cannot be sent there."""
    try:
        from joblib import Parallel, delayed
    except ImportError:
        _check_importable(tasks[0])
        yield from _in_spawned_processes(tasks, workers, results)
    else:
        jobs = (delayed(_run_elsewhere)(task) for task in tasks)
        with DeferredInterrupts():  # struck while it starts workers, joblib raises RuntimeError instead
            ended = Parallel(n_jobs=workers, return_as="generator")(jobs)
        yield from ended


def _in_spawned_processes(
    tasks: list[tuple[Any, ...]], workers: int, results: list[Any]
) -> Iterator["OptimizeResult"]:
    pool = _Workers(tasks, results)
    try:
        pool.start(workers)
        for number in range(len(tasks)):
            while number not in pool.ended:
                pool.collect()
            yield results[number]
        pool.finish()
    finally:
        with DeferredInterrupts():
            pool.kill()


class _Workers:
    """Processes that make runs, each with a pipe of its own.

    They share no lock and no queue, as those of `ProcessPoolExecutor` do: one that is killed holds nothing
    that another process waits for, and half a message ends with its pipe.

    Parameters
    ----------
    tasks : list of (method, fun, x0, args, options)
    results : list
        Where the results go.
    """

    def __init__(self, tasks: list[tuple[Any, ...]], results: list[Any]) -> None:
        self.tasks = tasks
        self.results = results
        self.todo = deque(range(len(tasks)))  # numbers of tasks
        self.ended: set[int] = set()
        self.processes: dict[Any, Any] = {}  # by their connections
        self.running: dict[Any, int] = {}  # the task of each process that has one

    def start(self, count: int) -> None:
        """Start the processes, and send each a task."""
        # Not forked: a child would inherit the locks and threads of this process as they are.
        context = multiprocessing.get_context("spawn")
        with DeferredInterrupts():
            for _ in range(count):
                here, there = context.Pipe()
                with there:  # closed on this side: the pipe ends when the worker does
                    process = context.Process(target=_serve, args=(there,))
                    process.start()
                self.processes[here] = process
        for connection in list(self.processes):
            self._send_next(connection)

    def collect(self) -> None:
        """Wait for results, but not for long, and send their workers new tasks."""
        from multiprocessing.connection import wait  # not needed by other runs

        ready: list[Any] = wait(list(self.running), LONGEST_WAIT)
        for connection in ready:
            number = self.running.pop(connection)
            try:
                self.results[number] = connection.recv()
            except (EOFError, OSError):  # killed: by the system for its memory, for example
                process = self.processes[connection]
                process.join(PATIENCE)
                self._fail(number, f"a worker process ended with exit code {process.exitcode}")
                process.kill()  # if it has only closed its pipe
            else:
                self._send_next(connection)
            self.ended.add(number)
        while self.todo and not self.running:
            number = self.todo.popleft()
            self._fail(number, "all worker processes ended")
            self.ended.add(number)

    def _send_next(self, connection: Any) -> None:
        if self.todo:
            self.running[connection] = number = self.todo.popleft()
            with suppress(OSError):  # the worker has ended: the next `collect` finds the end of its pipe
                connection.send(self.tasks[number])

    def _fail(self, number: int, reason: str) -> None:
        error, start = BrokenExecutor(reason), self.tasks[number][2]
        self.results[number] = no_result(start, Status.MODEL_ERROR, f"Failed: {reason}", error=error)

    def finish(self) -> None:
        """Wait until the processes, which have made all runs, have ended."""
        for connection in self.processes:
            # A closed pipe would not end while a child that another thread forked had a copy of it.
            with suppress(OSError):
                connection.send(None)
        for process in self.processes.values():
            process.join()

    def kill(self) -> None:
        """Kill the processes that are left, and take in the results that they had sent."""
        for process in self.processes.values():
            process.kill()  # a signal that no setting of the process holds up
        for process in self.processes.values():
            process.join()
        for connection, number in self.running.items():
            with suppress(EOFError, OSError):
                if connection.poll():
                    self.results[number] = connection.recv()


def _serve(connection: "Connection") -> None:
    """Make the runs that come until a None does, or the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C, which a terminal sends to all, is for the parent
    with suppress(EOFError, ConnectionError):
        while (task := connection.recv()) is not None:
            connection.send(_run_elsewhere(task))


def _check_importable(task: tuple[Any, ...]) -> None:
    """Raise PicklingError unless another process can read the task: it imports functions by name."""
    main = sys.modules["__main__"]
    if not hasattr(main, "__file__") and getattr(task[1], "__module__", "") == "__main__":
        raise pickle.PicklingError(f"{task[1]!r} is in no file; install joblib, or write it to a module.")
    try:
        pickle.dumps(task)
    except Exception as error:  # AttributeError, TypeError, or an error of an object's own code
        raise pickle.PicklingError(f"{error} (joblib, if installed, can send more)") from None
