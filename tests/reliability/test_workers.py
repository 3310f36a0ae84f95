"""Worker processes and threads of `multistart`: nothing waits for one that is killed, or that goes on."""

import os
import textwrap

import pytest
from subprocesses import finish, needs_ordinary_kernels, share_cache, start

pytestmark = [
    needs_ordinary_kernels,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]

PROGRAM = """
import multiprocessing, os, signal, struct, sys, threading, time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

if os.environ["WORKERS"] == "spawned":
    sys.modules["joblib"] = None
import numpy as np
from numba import njit
import nbadam
from probes import say

QUICK = {"steps": 200, "learning_rate": 0.1}
ENDLESS = {"steps": 10**9, "learning_rate": 1e-3, "gtol": 0}

def plain(x):
    return float((x - 1) @ (x - 1)), 2 * (x - 1)

def steep(x):  # without a minimum
    return x.sum(), np.ones(x.size)

def slope(x):
    open("begun", "w").close()
    return steep(x)

def starts(options, fun, x0s=((0.0, 0.0), (0.5, 0.5))):
    return nbadam.multistart(fun, np.array(x0s), jac=True, options=options, workers=2)

def strike_once_begun():
    def strike():
        while not os.path.exists("begun"):
            time.sleep(0.1)
        time.sleep(2)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=strike).start()

def interrupted(fun=slope):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        starts(ENDLESS, fun)
    except KeyboardInterrupt as interrupt:
        late, left = time.monotonic() - sent[0], len(multiprocessing.active_children())
        say(late=late, left=left, messages=[one.message for one in interrupt.result.results])

sent = []
"""


def told(program, folder, workers="spawned"):
    return finish(start(PROGRAM + program, share_cache(folder), WORKERS=workers), timeout=60)


@pytest.mark.parametrize("workers", ["threads", "spawned", "loky"])
def test_an_interrupt_just_before_a_wait_begins(workers, tmp_path):
    """Python takes note of it, and the wait goes on: as it does if another thread gets the signal."""
    if workers == "loky":
        pytest.importorskip("joblib")
    program = """
        if __name__ == "__main__":
            fun = njit(steep) if os.environ["WORKERS"] == "threads" else slope
            starts({"steps": 2}, fun)  # compiles
            open("begun", "w").close()
            strike_once_begun()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of the main thread
            interrupted(fun)
    """
    facts = told(textwrap.dedent(program), tmp_path, workers)
    assert facts["late"] < 10, facts  # normally 0.1; other processes may keep this one waiting


def test_an_interrupt_while_joblib_starts_its_workers(tmp_path):
    """It was a RuntimeError, about a thread that has not started."""
    pytest.importorskip("joblib")
    program = """
        from joblib.externals.loky.process_executor import _ExecutorManagerThread

        if __name__ == "__main__":
            begin = _ExecutorManagerThread.start

            def struck(thread):
                sent.append(time.monotonic())
                signal.raise_signal(signal.SIGINT)
                begin(thread)

            _ExecutorManagerThread.start = struck
            interrupted()
    """
    facts = told(textwrap.dedent(program), tmp_path, "loky")
    assert facts["late"] < 10, facts


def test_workers_that_ignore_sigterm(tmp_path):
    """They inherit it from a parent that ignores it."""
    program = """
        if __name__ == "__main__":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            strike_once_begun()
            interrupted()
    """
    facts = told(textwrap.dedent(program), tmp_path)
    assert facts["late"] < 10 and facts["left"] == 0, facts


def test_a_worker_that_is_killed_while_others_start(tmp_path):
    """The others make their runs, and an interrupt ends them."""
    program = """
        if __name__ == "__main__":
            begin = BaseProcess.start

            def killed_at_once(process):
                begin(process)
                if not started:
                    os.kill(process.pid, signal.SIGKILL)
                started.append(process)
                time.sleep(0.3)

            started = []
            BaseProcess.start = killed_at_once
            strike_once_begun()
            interrupted()
    """
    facts = told(textwrap.dedent(program), tmp_path)
    assert facts["late"] < 10 and facts["left"] == 0, facts
    assert "a worker process ended with exit code -9" in facts["messages"][0], facts


def test_a_worker_that_is_killed_while_it_sends_its_result(tmp_path):
    """Half a result is none, and the other runs are made."""
    program = """
        def deadly(x):
            if x[0] > 2 and multiprocessing.current_process().name != "MainProcess":
                def send_half(self, buffer):
                    message = struct.pack("!i", len(buffer)) + bytes(buffer)
                    os.write(self.fileno(), message[: len(message) // 2])
                    os._exit(5)
                Connection._send_bytes = send_half
            return plain(x)

        if __name__ == "__main__":
            x0s = [[0.0, 0.0], [3.0, 0.0], [0.5, 0.0], [0.7, 0.0], [0.2, 0.0]]
            result = starts(QUICK, deadly, x0s)
            say(success=[bool(one.success) for one in result.results], message=result.results[1].message)
    """
    facts = told(textwrap.dedent(program), tmp_path)
    assert facts["success"] == [True, False, True, True, True], facts
    assert "a worker process ended with exit code 5" in facts["message"], facts


def test_no_worker_is_left(tmp_path):
    """All are killed at their starts: the runs fail, each with a reason."""
    program = """
        if __name__ == "__main__":
            begin = BaseProcess.start

            def killed_at_once(process):
                begin(process)
                os.kill(process.pid, signal.SIGKILL)

            BaseProcess.start = killed_at_once
            try:
                starts(QUICK, plain, np.zeros((4, 2)))
            except BaseException as error:
                say(error=repr(error))
    """
    facts = told(textwrap.dedent(program), tmp_path)
    assert "a worker process ended with exit code -9" in facts["error"], facts
