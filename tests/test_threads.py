"""Threads, forks and signals: nothing aborts, nothing hangs, and the bits are always the same."""

import os
import signal
import sys
import threading

import pytest
from subprocesses import finish, needs_ordinary_kernels, run, share_cache, start

from nbadam import _threads

pytestmark = pytest.mark.filterwarnings("error")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Folder with a cache that holds every kernel, and what one thread makes of the work."""
    folder = share_cache(tmp_path_factory.mktemp("warm"))
    program = "from probes import say, work; say(result=work())"
    serial = run(program, folder, NUMBA_NUM_THREADS="1")["result"]
    assert run(program, folder)["result"] == serial
    return folder, serial


@pytest.fixture(scope="module", params=["omp", "workqueue", "tbb"])
def layer(request, tmp_path_factory):
    """Variables that choose a threading layer; the loader does not look where pip puts tbb."""
    libraries = [os.path.join(sys.prefix, "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    variables = {
        "NUMBA_THREADING_LAYER": request.param,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
    }
    program = """
        import numba
        from nbadam._threads import _threading_layer
        from probes import say

        say(layer=_threading_layer())
    """
    if run(program, tmp_path_factory.mktemp("layer"), **variables) != {"layer": request.param}:
        assert request.param != "workqueue"  # comes with Numba
        pytest.skip(f"the threading layer {request.param} cannot be loaded")
    return variables


# --- Threads -------------------------------------------------------------------------------------


@needs_ordinary_kernels
def test_eight_threads_and_the_main_one_at_once(layer, warm):
    folder, serial = warm
    program = """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        from probes import say, work
        from nbadam._threads import parallel_is_safe

        say(safe=parallel_is_safe(), before=work())
        barrier = threading.Barrier(9)
        results = []

        def at_once():
            barrier.wait()
            results.extend(work() for _ in range(3))

        threads = [threading.Thread(target=at_once) for _ in range(8)]
        for thread in threads:
            thread.start()
        at_once()
        for thread in threads:
            thread.join()
        with ThreadPoolExecutor(4) as pool:
            results += pool.map(work, range(4))
        say(results=results, after=work())
    """
    facts = run(program, folder, **layer)
    assert facts == {"safe": True, "before": serial, "results": [serial] * 31, "after": serial}


@needs_ordinary_kernels
def test_workqueue_runs_in_parallel_only_while_there_is_no_other_thread(warm):
    folder, serial = warm
    program = """
        import threading
        from probes import say, work
        from nbadam._threads import parallel_is_safe

        safe = [parallel_is_safe()]
        end = threading.Event()
        idle = threading.Thread(target=end.wait, daemon=True)  # as in a Jupyter kernel
        idle.start()
        safe.append(parallel_is_safe())
        result = work()
        end.set()
        idle.join()
        safe.append(parallel_is_safe())
        say(safe=safe, result=result)
    """
    facts = run(program, folder, NUMBA_THREADING_LAYER="workqueue")
    assert facts == {"safe": [True, False, True], "result": serial}


@needs_ordinary_kernels
def test_any_number_of_threads_gives_the_same_bits(warm):
    folder, serial = warm
    program = """
        import numba
        from probes import say, work
        from nbadam._threads import parallel_is_safe

        results, safe = [], []
        for threads in (1, 2, 3, 7):
            numba.set_num_threads(threads)
            safe.append(parallel_is_safe())
            results.append(work())
        say(safe=safe, results=results)
    """
    facts = run(program, folder, NUMBA_NUM_THREADS="7")
    assert facts == {"safe": [False, True, True, True], "results": [serial] * 4}


@needs_ordinary_kernels
def test_a_threading_layer_that_cannot_be_loaded_leaves_one_thread(warm):
    folder, serial = warm
    program = """
        from probes import say, work
        from nbadam._threads import parallel_is_safe

        say(safe=parallel_is_safe(), result=work())
    """
    facts = run(program, folder, NUMBA_THREADING_LAYER="nonsense")
    assert facts == {"safe": False, "result": serial}


@needs_ordinary_kernels
def test_a_callback_may_minimize(warm):
    folder, serial = warm
    program = """
        from probes import large_fit, large_steps, say

        inner = []
        outer = large_fit(callback=lambda x: inner.append(large_fit()))
        say(outer=large_steps() + outer, inner=inner)
    """
    facts = run(program, folder)
    assert facts["outer"] == serial
    assert [serial.endswith(bits) for bits in facts["inner"]] == [True] * 20


@needs_ordinary_kernels
def test_a_fit_inside_a_parallel_loop_of_another_library(layer, warm):
    folder, serial = warm
    program = """
        import numba
        from probes import say, work

        results = [None] * 4

        def fit(i):
            results[i] = work()

        @numba.njit(parallel=True)
        def loop():
            for i in numba.prange(4):
                with numba.objmode:
                    fit(i)

        loop()
        say(results=results)
    """
    assert run(program, folder, **layer) == {"results": [serial] * 4}


# --- Forks and other processes -------------------------------------------------------------------


@needs_fork
@needs_ordinary_kernels
def test_forks_after_a_parallel_step(layer, warm):
    folder, serial = warm
    program = """
        import multiprocessing, os
        from concurrent.futures import ProcessPoolExecutor
        from probes import say, work
        from nbadam._threads import parallel_is_safe

        say(parent=work(), parent_is_safe=parallel_is_safe())

        def forked(name, generations):
            child = os.fork()
            if child:
                return os.waitpid(child, 0)[1]
            if generations == 1:
                say(**{name: work(), name + "_is_safe": parallel_is_safe()})
                os._exit(0)
            os._exit(forked(name, generations - 1))

        say(statuses=[forked("child", 1), forked("grandchild", 2)])
        fork = multiprocessing.get_context("fork")
        with fork.Pool(2) as pool:
            say(pool=pool.map(work, range(4)))
        with ProcessPoolExecutor(2, mp_context=fork) as pool:
            say(executor=list(pool.map(work, range(4))))
        say(parent_again=work())
    """
    facts = run(program, folder, **layer)
    assert facts["parent"] == facts["child"] == facts["grandchild"] == facts["parent_again"] == serial
    assert facts["statuses"] == [0, 0]
    assert facts["parent_is_safe"]
    assert not facts["child_is_safe"]
    assert not facts["grandchild_is_safe"]
    assert facts["pool"] == facts["executor"] == [serial] * 4


@needs_ordinary_kernels
@pytest.mark.parametrize("method", ["spawn", "forkserver", "loky"])
def test_processes_of_other_kinds_after_a_parallel_step(method, warm):
    folder, serial = warm
    if method == "loky":
        pytest.importorskip("joblib")
        pool = "results = joblib.Parallel(2, backend='loky')(joblib.delayed(work)() for _ in range(2))"
    else:
        pool = f"""
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        results = pool.map(work, range(2))"""
    program = f"""
import multiprocessing
from probes import say, work
if "{method}" == "loky":
    import joblib

if __name__ == "__main__":
    parent = work()
    {pool}
    say(parent=parent, results=results)
"""
    facts = run(program, folder)
    assert facts == {"parent": serial, "results": [serial] * 2}


@needs_fork
@needs_ordinary_kernels
def test_import_in_children_of_a_process_that_used_the_threads(layer, warm):
    folder, serial = warm
    program = """
        import os
        import numba
        import numpy as np

        @numba.njit(parallel=True)
        def launch(x):
            for i in numba.prange(x.size):
                x[i] = i

        launch(np.zeros(1000))
        child = os.fork()
        if child:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
        grandchild = os.fork()

        from probes import say, work
        from nbadam._threads import parallel_is_safe
        name = "child" if grandchild else "grandchild"
        say(**{name: work(), name + "_is_safe": parallel_is_safe()})
        if grandchild:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) % 256)
    """
    assert run(program, folder, **layer) == {
        "child": serial,
        "child_is_safe": False,
        "grandchild": serial,
        "grandchild_is_safe": False,
    }


@needs_fork
@needs_ordinary_kernels
def test_a_fork_while_another_thread_compiles(tmp_path):
    # The child inherits Numba's lock; it would wait for the thread that does not exist in it.
    program = """
        import os, threading
        from numba.core import event
        from probes import doubled, halved, say, small, small_result

        compiling = threading.Event()

        class Watch(event.Listener):
            def on_start(self, event):
                compiling.set()

            def on_end(self, event):
                pass

        with event.install_listener("numba:compile", Watch()):
            thread = threading.Thread(target=small, args=(doubled, "float64"))
            thread.start()
            compiling.wait()
            child = os.fork()
        if child == 0:
            say(child=small_result(halved, "float64"))
            os._exit(0)
        thread.join()
        say(status=os.waitpid(child, 0)[1], parent=small_result(halved, "float64"))
    """
    assert run(program, tmp_path) == {"child": 0.05, "status": 0, "parent": 0.05}


# --- Ctrl-C --------------------------------------------------------------------------------------


@needs_ordinary_kernels
@pytest.mark.parametrize("kind", ["python", "large", "compiled"])
def test_ctrl_c_ends_a_long_run(kind, warm):
    folder, serial = warm
    program = """
        import os, signal
        import numba
        import numpy as np
        import scipy.optimize
        import nbadam
        from probes import SIZE, say, work

        # A shell that starts this in the background lets it ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        kind = os.environ["KIND"]

        def fun(x):
            return (x**2).sum(), 2 * x

        if kind == "compiled":
            fun = numba.njit(fun)

        def fit(steps):
            x0 = np.ones(SIZE if kind == "large" else 10)
            return scipy.optimize.minimize(fun, x0, jac=True, method=nbadam.adam, options={"steps": steps})

        fit(200)
        say(ready=True)
        try:
            fit(1e12)
        except KeyboardInterrupt as interrupt:
            say(status=interrupt.result.status, result=work())
    """
    process = start(program, folder, KIND=kind)
    assert "ready" in process.stdout.readline()
    with pytest.raises(Exception, match="timed out"):
        process.wait(timeout=0.5)  # the run is going on
    process.send_signal(signal.SIGINT)
    facts = finish(process, timeout=20)
    assert facts["status"] == 7
    assert facts["result"] == serial


# --- What a process pays that asks for nothing ---------------------------------------------------


@needs_ordinary_kernels
def test_neither_the_import_nor_a_small_problem_starts_threads(warm):
    folder, _ = warm
    program = """
        import json, os, threading
        import numba
        import numpy as np
        import scipy.optimize
        from numba.core import event

        def os_threads():
            return len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 0

        def layer():
            try:
                return numba.threading_layer()
            except ValueError:
                return None

        before = os_threads(), threading.active_count()
        with event.install_recorder("numba:compile") as recorder:
            import nbadam
        compiled = len(recorder.buffer)
        fit = scipy.optimize.minimize(lambda x: (x @ x, 2 * x), np.ones(9), jac=True, method=nbadam.adam)
        after = os_threads(), threading.active_count()
        facts = {"compiled": compiled, "started": after != before, "layer": layer(), "ran": fit.nfev > 0}
        print(json.dumps(facts))
    """
    facts = run(program, folder)
    assert facts == {"compiled": 0, "started": False, "layer": None, "ran": True}


# --- The guard by itself -------------------------------------------------------------------------


def test_no_thread_but_the_main_one_is_safe():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(_threads.parallel_is_safe()))
    thread.start()
    thread.join()
    assert answers == [False]


def test_no_forked_process_is_safe(monkeypatch):
    monkeypatch.setattr(_threads, "_forked", False)
    _threads._after_fork()
    assert not _threads.parallel_is_safe()


@pytest.mark.skipif(sys.platform != "linux", reason="is about a file of Linux")
@needs_fork
def test_a_forked_process_is_recognized_by_itself(tmp_path):
    program = """
        import os, subprocess, sys, threading
        from nbadam._threads import _started_by_fork
        from probes import say

        asked = []
        thread = threading.Thread(target=lambda: asked.append(_started_by_fork()))
        thread.start()
        thread.join()
        say(here=_started_by_fork(), thread=asked[0])
        child = os.fork()
        if child == 0:
            say(child=_started_by_fork())
            text = "from nbadam._threads import _started_by_fork; print(_started_by_fork())"
            say(program=subprocess.run([sys.executable, "-c", text], capture_output=True, text=True).stdout)
            os._exit(0)
        os.waitpid(child, 0)
    """
    facts = run(program, tmp_path)
    assert facts == {"here": False, "thread": False, "child": True, "program": "False\n"}
