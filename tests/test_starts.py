"""Many runs from many starts."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba import config, njit
from numpy.testing import assert_array_equal
from runs import assert_same
from subprocesses import needs_ordinary_kernels

import nbadam
from nbadam.methods import distribute

ROOTS = Path(nbadam.__file__).parents[1], Path(__file__).parent

BOUNDS = [(-3, 3), (-3, 3)]
QUICK = {"steps": 200, "learning_rate": 0.02}


@njit
def bumpy(x, depth):
    f, g = 0.0, np.zeros_like(x)
    for i in range(x.size):
        f += x[i] ** 2 + depth * (1 - np.cos(4 * x[i]))
        g[i] = 2 * x[i] + 4 * depth * np.sin(4 * x[i])
    return f, g


def bumpy_in_python(x, depth):
    return float(np.sum(x**2 + depth * (1 - np.cos(4 * x)))), 2 * x + 4 * depth * np.sin(4 * x)


def sampled(x, rng):
    noise = rng.standard_normal(x.size)
    return float(x @ x + noise @ x), 2 * x + noise


def fit(fun=bumpy, args=(2.0,), **arguments):
    settings = {"bounds": BOUNDS, "n_starts": 6, "jac": True, "options": QUICK, "rng": 1}
    return nbadam.multistart(fun, args=args, **settings | arguments)


def assert_same_results(first, second):
    assert first.index == second.index
    for one, other in zip(first.results, second.results, strict=True):
        assert_same(one, other)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled, so the workers are processes")
def test_threads_and_one_worker_give_the_same_bits():
    one = fit(workers=1)
    for workers in (2, 6):
        assert_same_results(one, fit(workers=workers))


def test_processes_give_the_same_bits():
    arguments = {"fun": bumpy_in_python, "n_starts": 3}
    assert_same_results(fit(workers=1, **arguments), fit(workers=2, **arguments))


def test_each_run_is_a_call_of_the_method_and_the_best_is_returned():
    starts = np.array([[2.0, 2.0], [0.1, -0.2], [-2.5, 1.0]])
    result = fit(x0s=starts, n_starts=None, workers=2)
    for start, one in zip(starts, result.results, strict=True):
        assert_same(one, nbadam.adam(bumpy, start, (2.0,), True, bounds=BOUNDS, **QUICK))
    assert result.index == 1
    assert result.fun == min(one.fun for one in result.results)
    assert_array_equal(result.x, result.results[1].x)


def test_starts_fill_a_latin_hypercube_and_depend_on_the_seed_alone():
    options = {"steps": 0}
    points = np.array([r.x for r in fit(options=options, n_starts=10, workers=1).results])
    for column in points.T:
        assert_array_equal(np.sort(np.floor((column + 3) / 0.6)), np.arange(10))
    again = np.array([r.x for r in fit(options=options, n_starts=10, workers=2).results])
    assert_array_equal(points, again)
    other = np.array([r.x for r in fit(options=options, n_starts=10, workers=1, rng=2).results])
    assert (points != other).all()


def test_random_objectives_get_a_generator_for_each_run():
    def run(workers):
        return fit(sampled, (np.random.default_rng(5),), workers=workers, n_starts=3)

    one = run(1)
    assert_same_results(one, run(2))
    assert len({tuple(np.array(r.x)) for r in one.results}) == 3


def test_spsa_has_signs_for_each_run():
    def value(x):
        return float(x @ x)

    options = QUICK | {"finite_diff": "spsa"}
    arguments = {"fun": value, "args": (), "jac": None, "options": options, "workers": 1}
    arguments |= {"x0s": np.ones((2, 3)), "n_starts": None, "bounds": None}
    first, second = fit(**arguments).results
    assert (first.x != second.x).any()
    assert_array_equal(fit(**arguments).x, fit(**arguments).x)


@pytest.mark.long
def test_what_cannot_be_sent_is_run_here_with_a_word():
    lock = threading.Lock()  # no process can send it

    def locked(x, depth):
        with lock:
            return bumpy_in_python(x, depth)

    with pytest.warns(RuntimeWarning, match="cannot be sent to other processes"):
        result = fit(locked, workers=2, n_starts=2)
    assert_same_results(result, fit(bumpy_in_python, workers=1, n_starts=2))


def test_without_joblib_the_standard_library_does_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    arguments = {"fun": bumpy_in_python, "n_starts": 2}
    assert_same_results(fit(workers=2, **arguments), fit(workers=1, **arguments))
    with pytest.warns(RuntimeWarning, match="joblib"):
        fit(lambda x, depth: bumpy_in_python(x, depth), workers=2, n_starts=2)


def test_daemons_have_no_children(monkeypatch):
    expected = fit(bumpy_in_python, workers=1, n_starts=2)
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    monkeypatch.setattr(distribute, "_in_processes", None)
    assert_same_results(fit(bumpy_in_python, workers=2, n_starts=2), expected)


def test_callback_sees_the_results_in_order():
    seen = []
    result = fit(workers=1 if config.DISABLE_JIT else 2, callback=lambda k, one: seen.append((k, one)))
    assert [k for k, _ in seen] == list(range(6))
    assert all(one is other for (_, one), other in zip(seen, result.results, strict=True))


def test_errors_of_the_objective_come_through():
    def broken(x, depth):
        raise ZeroDivisionError("as it happens")

    for workers in (1, 2):
        with pytest.raises(ZeroDivisionError, match="as it happens"):
            fit(broken, workers=workers)


def test_runs_that_fail_are_not_the_best():
    def partial(x, depth):
        return (np.nan, x) if x[0] > 0 else bumpy_in_python(x, depth)

    result = fit(partial, x0s=[[1.0, 1.0], [-1.0, 1.0]], n_starts=None, workers=1)
    assert result.index == 1
    assert np.isnan(result.results[0].fun)
    nothing = fit(partial, x0s=[[1.0, 1.0]], n_starts=None, workers=1)
    assert (nothing.index, nothing.status) == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_starts": None}, "either `x0s`, or `n_starts`"),
        ({"x0s": [[0.0, 0.0]]}, "either `x0s`, or `n_starts`"),
        ({"x0s": [0.0, 0.0], "n_starts": None}, r"`x0s` must have the shape \(n_starts, n\)"),
        ({"n_starts": 0}, "`n_starts` must be an integer >= 1"),
        ({"bounds": None}, "`bounds` must be finite"),
        ({"bounds": [(0, None)]}, "`bounds` must be finite"),
        ({"workers": 0}, "`workers` must be an integer >= 1"),
        ({"rng": "x"}, "`rng` must be"),
        ({"fun": 3}, "`fun` must be callable"),
        ({"method": "adam"}, "`method` must be a method such as nbadam.adam"),
        ({"callback": 3}, "`callback` must be callable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(**arguments)


def test_a_start_that_raises_is_one_bad_result():
    def singular(x, depth):
        if x[0] > 2:
            raise np.linalg.LinAlgError("singular")
        return bumpy_in_python(x, depth)

    starts = np.array([[3.0, 0.0], [0.1, 0.1], [2.9, 0.0], [-1.0, 1.0]])
    for workers in (1, 2):
        result = fit(singular, x0s=starts, n_starts=None, bounds=None, workers=workers)
        assert [one.status for one in result.results] == [13, 0, 13, 0]
        assert [one.success for one in result.results] == [False, True, False, True]
        assert result.index == 1 and result.success and "2 of 4 runs raised an error" in result.message
        bad = result.results[2]
        assert isinstance(bad.error, np.linalg.LinAlgError) and "LinAlgError: singular" in bad.message
        assert np.isnan(bad.fun) and bad.nit == 0
        assert_array_equal(bad.x, starts[2])


class Unsendable(Exception):
    def __init__(self, first, second):
        super().__init__("of its own kind")


def test_an_error_that_cannot_be_sent_comes_as_another():
    def broken(x, depth):
        if x[0] > 2:
            raise Unsendable(1, 2)
        return bumpy_in_python(x, depth)

    result = fit(broken, x0s=[[3.0, 0.0], [0.1, 0.1]], n_starts=None, workers=2)
    assert str(result.results[0].error) == "Unsendable: of its own kind"


@needs_ordinary_kernels
def test_a_worker_that_is_killed_takes_no_finished_run_with_it(tmp_path):
    def deadly(x, depth):
        if x[0] > 2 and multiprocessing.current_process().name != "MainProcess":
            while not (tmp_path / "ended").exists():
                time.sleep(0.01)
            os._exit(1)
        return bumpy_in_python(x, depth)

    def tell(k, result):
        (tmp_path / "ended").touch()

    starts = [[0.1, 0.1], [3.0, 0.0], [0.2, 0.1]]
    result = fit(deadly, x0s=starts, n_starts=None, workers=2, callback=tell)
    assert result.results[0].success and result.index == 0
    assert not result.results[1].success and "a worker process ended" in result.results[1].message


def test_the_state_of_one_run_is_refused():
    state = fit(options=QUICK | {"maxiter": 5}, n_starts=1, workers=1).state
    with pytest.raises(ValueError, match="`state` continues one run, and multistart makes many"):
        fit(options=QUICK | {"state": state})


def test_each_run_has_a_checkpoint(tmp_path):
    options = QUICK | {"checkpoint": tmp_path / "run.npz"}
    result = fit(options=options, n_starts=3, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-0.npz", "run-1.npz", "run-2.npz"]
    for k, one in enumerate(result.results):
        assert_array_equal(nbadam.RunState.load(tmp_path / f"run-{k}.npz").arrays["x"], one.state.arrays["x"])


def test_the_callback_can_end_it():
    def stop(k, result):
        if k == 1:
            raise StopIteration

    result = fit(workers=1, callback=stop)
    assert [one.status for one in result.results] == [0, 0, 4, 4, 4, 4]
    assert result.index in (0, 1)


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import nbadam
from test_starts import bumpy, bumpy_in_python

if sys.argv[2] == "alone":
    sys.modules["joblib"] = None

def stop(k, result):
    if k == 1:
        threading.Timer(0.2, interrupt).start()

def interrupt():
    begun.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    begun = []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    starts = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [2.0, 1.0]])  # the first two are at the minimum
    fun = {"compiled": bumpy, "python": bumpy_in_python}[sys.argv[1]]
    try:
        options = {"learning_rate": 0.01, "steps": 10**9, "gtol": 0}  # met at the minimum itself
        workers = int(sys.argv[3])
        nbadam.multistart(fun, starts, (2.0,), jac=True, options=options, workers=workers, callback=stop)
    except KeyboardInterrupt as interrupt:
        print([int(r.status) for r in interrupt.result.results], interrupt.result.index, interrupt.__notes__)
        print(time.monotonic() - begun[0])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@needs_ordinary_kernels
@pytest.mark.parametrize(
    ("kind", "joblib", "workers"),
    [
        ("compiled", "joblib", 2),
        ("python", "joblib", 1),
        ("python", "joblib", 2),
        ("python", "alone", 2),
    ],
)
def test_ctrl_c_raises_with_what_has_ended(kind, joblib, workers, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, ROOTS))}
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, program, kind, joblib, str(workers)],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    told, seconds = done.stdout.splitlines()
    statuses = json.loads(told[: told.index("]") + 1])
    assert statuses[:2] == [0, 0] and set(statuses[2:]) <= {4, 7}, done.stderr  # not run, or interrupted
    assert workers == 2 or statuses == [0, 0, 7, 4]
    assert "2 of 4 runs have ended" in told
    assert float(seconds) < 2  # normally 0.1 to 0.4; other programs may be running


PARALLEL = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from numba import njit, prange
from scipy.optimize import minimize
import nbadam

@njit(parallel=True)
def squares(x):
    f = 0.0
    for i in prange(x.size):
        f += (x[i] - 1) ** 2
    return f

@njit
def value_and_gradient(x):
    return squares(x), 2 * (x - 1.0)

@njit
def of_problems(p, g, y):
    g[0] = 2 * (p[0] - y[0])
    return squares(p) + (p[0] - y[0]) ** 2 - (p[0] - 1) ** 2

options = {"learning_rate": 0.01, "steps": 300}
result = nbadam.multistart(value_and_gradient, np.zeros((4, 200)), jac=True, options=options, workers=4)
batch = nbadam.minimize_batch(of_problems, np.zeros((40, 1)), data=(np.ones((40, 3)),), steps=50, workers=4)
print(result.fun < 1, batch.x.shape)

def one(k):
    x0, method = np.zeros(200), nbadam.adam
    if k % 4 == 0:
        return minimize(value_and_gradient, x0, jac=True, method=method, options=options).fun
    if k % 4 == 1:
        return minimize(squares, x0, method=method, options=options | {"steps": 30}).fun
    if k % 4 == 2:
        return minimize(squares, x0, jac=lambda x: 2 * (x - 1.0), method=method, options=options).fun
    return nbadam.minimize_batch(of_problems, np.zeros((40, 1)), data=(np.ones((40, 3)),), steps=50).fun.sum()

alone = [one(k) for k in range(4)]
with ThreadPoolExecutor(6) as pool:
    print(list(pool.map(one, range(24))) == 6 * alone)
"""


@pytest.mark.skipif(config.DISABLE_JIT or config.BOUNDSCHECK, reason="compiles in parallel")
def test_objectives_that_are_parallel_themselves_do_not_abort_the_process():
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, ROOTS)),
        "NUMBA_THREADING_LAYER": "workqueue",
        "NUMBA_NUM_THREADS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL], capture_output=True, text=True, timeout=240, env=environment
    )
    assert done.stdout.split("\n")[:2] == ["True (40, 1)", "True"], done.stderr
