"""Children that are forked while other threads work: none waits for a lock that nobody will release."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from subprocesses import needs_ordinary_kernels, run, share_cache

from nbadam import _linalg

pytestmark = [
    needs_ordinary_kernels,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]


def test_forks_while_a_thread_works(tmp_path):
    """Forks at random moments of what a thread does again and again; each child does it once."""
    program = """
        import os, random, signal, threading, time
        import numpy as np
        import nbadam
        from nbadam.fitting.jacobians import inverses
        from probes import say

        factors = np.tile(np.eye(3, 4), (500, 1, 1))
        x = np.linspace(0, 3, 20)
        y = np.tile(2 * np.exp(-x), (500, 1))
        y += 0.01 * np.random.default_rng(0).standard_normal(y.shape)
        big = nbadam.curve_fit("a * exp(-k * x)", x, y, p0=[1, 1])

        def covariance():
            big._pcov = None
            big.pcov

        def first_step():
            nbadam.Adam().apply_gradients([(np.ones(3), np.zeros(3))])

        def inverse():  # at the ends of fits
            inverses(factors, np.ones(3, bool), np.ones(len(factors)))

        def new_function():
            k = random.random()
            nbadam.curve_fit(lambda x, a: k * a * x, x, x, p0=[1.0])

        def forks(work, count, pause):
            stop = threading.Event()

            def again_and_again():
                while not stop.is_set():
                    work()
                    time.sleep(0)

            work()
            thread = threading.Thread(target=again_and_again)
            thread.start()
            ended = set()
            for _ in range(count):
                time.sleep(random.uniform(0, pause))
                child = os.fork()
                if child == 0:
                    signal.alarm(60)
                    work()
                    os._exit(0)
                ended.add(os.waitpid(child, 0)[1])
            stop.set()
            thread.join()
            say(**{work.__name__: sorted(ended)})

        forks(covariance, 20, 0.01)
        forks(first_step, 20, 0.001)
        forks(inverse, 200, 0.001)
        forks(new_function, 2, 0.3)
    """
    names = "covariance", "first_step", "inverse", "new_function"
    assert run(program, share_cache(tmp_path)) == {name: [0] for name in names}


def test_forks_wait_for_the_linear_algebra_of_other_threads():
    entered, ended = threading.Event(), []

    @_linalg.apart_from_forks
    def decompose():
        entered.set()
        time.sleep(0.3)
        ended.append(True)

    thread = threading.Thread(target=decompose)
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        _linalg.inv(np.eye(2))
        os._exit(0 if ended else 1)
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    _linalg.inv(np.eye(2))


def test_a_fork_during_the_first_import(tmp_path):
    """The moments are drawn anew each time: an import takes some tenths of a second."""
    program = """
        import json, os, random, signal, threading, time
        import nbadam
        from numba.extending import is_jitted  # most of what an import takes

        grandchildren = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                thread = threading.Thread(target=lambda: nbadam.curve_fit)
                thread.start()
                time.sleep(random.uniform(0, 0.1))
                grandchild = os.fork()
                signal.alarm(30)
                nbadam.curve_fit
                os._exit(0 if grandchild == 0 else os.waitpid(grandchild, 0)[1] != 0)
            grandchildren.append(os.waitpid(child, 0)[1])
        print(json.dumps({"ended": grandchildren}))
    """
    assert run(program, share_cache(tmp_path)) == {"ended": [0] * 6}


def test_an_import_leaves_those_parts_of_numba_out_that_take_the_lock_of_llvm(tmp_path):
    """A fork holds the lock and waits for imports."""
    program = """
        import json, sys
        import nbadam
        for name in nbadam.__all__:
            getattr(nbadam, name)
        parts = "numba.np.arrayobj", "numba.cpython.hashing"
        print(json.dumps({name: name in sys.modules for name in parts}))
    """
    imported = run(program, share_cache(tmp_path))
    assert imported == {"numba.np.arrayobj": False, "numba.cpython.hashing": False}
