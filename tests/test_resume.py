"""Runs that end early and go on, bit for bit."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from numba import config, njit
from numpy.testing import assert_array_equal
from runs import assert_same, assert_same_state
from scipy.optimize import minimize, rosen, rosen_der
from subprocesses import needs_ordinary_kernels, run
from test_minibatch import A, B, loss, plain_loss

import nbadam
from nbadam.methods.run import Run

X0 = np.array([-1.2, 1.0, 0.7])


def joint(x):
    return rosen(x), rosen_der(x)


@njit
def compiled(x, target):
    g = np.empty_like(x)
    f = 0.0
    for i in range(x.size):
        d = x[i] - target * i
        f += d**4 + d**2
        g[i] = 4 * d**3 + 2 * d
    return f, g


def noisy(x, rng):
    f, g = joint(x)
    return f + rng.normal(), g + rng.normal(size=x.size)


def batches(fun=plain_loss, seed=3):
    return nbadam.Minibatch(fun, (A, B), batch_size=30, rng=seed)


# What to minimize and how: each a function, as a generator among the arguments is used up.
PROBLEMS = {
    "joint": lambda: {"fun": joint},
    "separate": lambda: {"fun": rosen, "jac": rosen_der},
    "differences": lambda: {"fun": rosen, "jac": None},
    "compiled": lambda: {"fun": compiled, "args": (2.0,)},
    "generator": lambda: {"fun": noisy, "args": (np.random.default_rng(0),)},
    "Mersenne Twister": lambda: {"fun": noisy, "args": (np.random.Generator(np.random.MT19937(1)),)},
    "batches": lambda: {"fun": batches()},
    "compiled batches": lambda: {"fun": batches(loss)},
    "averages": lambda: {"fun": joint, "average": "tail", "patience": 220},
}


def fit(fun, jac=True, args=(), callback=None, method=nbadam.adam, **options):
    options = {"learning_rate": 0.02, "clipnorm": 5.0} | options
    return minimize(fun, X0, args=args, jac=jac, method=method, callback=callback, options=options)


@pytest.mark.long
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("first", [1, 130])
def test_two_runs_make_one(name, first, tmp_path):
    whole = fit(**PROBLEMS[name](), steps=260)
    half = fit(**PROBLEMS[name](), steps=first)
    half.state.save(tmp_path / "state.npz")
    again = fit(**PROBLEMS[name](), steps=260, state=nbadam.RunState.load(tmp_path / "state.npz"))
    assert again.nit == 260
    assert_same(again, whole)
    # The state is not used up, and need not go through a file.
    assert_same(fit(**PROBLEMS[name](), steps=260, state=half.state), whole)


@pytest.mark.lowest
@pytest.mark.parametrize("name", ["joint", "batches"])
def test_two_parts_of_a_planned_run_with_automatic_rates_make_one(name):
    options = {"learning_rate": "auto"} | ({"steps": 260} if name == "joint" else {"epochs": 40})
    half = fit(**PROBLEMS[name](), maxiter=130, **options)
    assert (half.status, half.nit) == (1, 130)
    assert_same(fit(**PROBLEMS[name](), state=half.state, **options), fit(**PROBLEMS[name](), **options))


def test_other_seeds_give_way_to_that_of_the_state():
    whole = fit(batches(), epochs=9)
    half = fit(batches(), epochs=4)
    assert_same(fit(batches(seed=None), epochs=9, state=half.state), whole)


@needs_ordinary_kernels
def test_another_process_goes_on(tmp_path):
    program = """
        import nbadam
        from probes import say, bits
        from test_resume import PROBLEMS, fit

        results = {}
        for name in ("compiled", "batches"):
            state = nbadam.RunState.load(f"{name}.npz")
            result = fit(**PROBLEMS[name](), steps=260, state=state)
            results[name] = bits(result.x, *result.state.arrays.values())
        say(**results)
    """
    expected = {}
    for name in ("compiled", "batches"):
        fit(**PROBLEMS[name](), steps=100).state.save(tmp_path / f"{name}.npz")
        whole = fit(**PROBLEMS[name](), steps=260)
        expected[name] = bits(whole.x, *whole.state.arrays.values())
    # The kernels that this process has compiled will do.
    settings = {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR"), "NUMBA_NUM_THREADS": "1"}
    assert run(program, tmp_path, **settings) == expected


def bits(*arrays):
    from probes import bits

    return bits(*arrays)


# --- Checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["joint", "compiled batches"])
def test_checkpoints(name, tmp_path):
    path = tmp_path / "run.npz"
    seen = []

    def look(x):
        seen.append(nbadam.RunState.load(path).facts["nit"] if path.exists() else 0)

    plain = fit(**PROBLEMS[name](), steps=25)
    arguments = {"steps": 25, "checkpoint": path, "checkpoint_every": 10}
    result = fit(**PROBLEMS[name](), callback=look, callback_interval=5, **arguments)
    assert seen == [0, 0, 10, 10, 20]
    assert_same(result, plain)
    assert_same_state(nbadam.RunState.load(path), result.state)
    assert os.listdir(tmp_path) == ["run.npz"]
    # The path of the file will do.
    assert_same(
        fit(**PROBLEMS[name](), steps=40, state=path, checkpoint=path), fit(**PROBLEMS[name](), steps=40)
    )


def test_checkpoints_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr("nbadam.methods.state.SECONDS", 0.0)
    path = tmp_path / "run.npz"
    fit(joint, steps=3, checkpoint=str(path), callback=lambda x: None)
    assert nbadam.RunState.load(path).facts["nit"] == 3


def test_a_full_disk_does_not_end_the_run(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    fit(joint, steps=3, checkpoint=path)

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nbadam.methods.state.np.savez", full)
    with pytest.warns(UserWarning, match="`checkpoint` was not written at step 5: .*No space left"):
        result = fit(joint, steps=5, checkpoint=path)
    assert result.nit == 5
    assert nbadam.RunState.load(path).facts["nit"] == 3
    assert os.listdir(tmp_path) == ["run.npz"]


@needs_ordinary_kernels
@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes the processes to be killed by fork, to be quick")
def test_a_run_that_is_killed_goes_on_from_the_last_whole_file(tmp_path):
    program = """
        import os, random, signal, time
        import nbadam
        from probes import say
        from test_resume import batches, fit

        def go_on():
            # A file at every step: some kills hit the middle of its writing.
            state = "run.npz" if os.path.exists("run.npz") else None
            fit(batches(), steps=1e9, checkpoint="run.npz", checkpoint_every=1, state=state)

        fit(batches(), steps=1)  # loads what all the children need
        begun = time.perf_counter()
        fit(batches(), steps=1)
        one = time.perf_counter() - begun  # step and file, at most
        random.seed(0)
        steps, kills = [], 0
        while kills < 50:
            child = os.fork()
            if child == 0:
                go_on()
                os._exit(1)
            time.sleep(random.uniform(0.5, 10) * max(one, 0.02))
            os.kill(child, signal.SIGKILL)
            kills += os.waitpid(child, 0)[1] == signal.SIGKILL
            if os.path.exists("run.npz"):
                steps.append(nbadam.RunState.load("run.npz").facts["nit"])
        say(steps=steps, kills=kills, torn=len(os.listdir(".")))
    """
    facts = run(program, tmp_path, NUMBA_CACHE_DIR=os.environ.get("NUMBA_CACHE_DIR"))
    steps = facts["steps"]
    assert facts["kills"] == 50
    assert steps == sorted(steps)
    assert len(set(steps)) > 10
    last = nbadam.RunState.load(tmp_path / "run.npz")
    assert_same_state(last, fit(batches(), steps=steps[-1]).state)


@pytest.mark.lowest
def test_a_run_that_failed_leaves_the_last_good_file(tmp_path):
    def broken(x):
        broken.calls += 1
        return joint(x) if broken.calls < 20 else (np.nan, x)

    broken.calls = 0
    result = fit(broken, checkpoint=tmp_path / "run.npz", checkpoint_every=10)
    assert (result.status, result.nit) == (3, 19)
    assert nbadam.RunState.load(tmp_path / "run.npz").facts["nit"] == 10


# --- Ctrl-C --------------------------------------------------------------------------------------


@pytest.fixture
def default_handler():
    """Python's own handler, which whoever started the tests may have taken away."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def interrupt_of(fun, **options):
    """Return the result that the KeyboardInterrupt of a run carries."""
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(fun, **options)
    (note,) = raised.value.__notes__
    assert f"after {raised.value.result.nit} steps. The attribute `result`" in note
    return raised.value.result


@pytest.mark.parametrize("where", ["fun", "callback"])
def test_ctrl_c_raises_with_the_result_so_far_and_the_run_can_go_on(where, default_handler, tmp_path):
    calls = []

    def interrupted(x):
        calls.append(x)
        if where == "fun" and len(calls) == 31:
            signal.raise_signal(signal.SIGINT)
        return joint(x)

    def callback(x):
        if where == "callback" and len(calls) == 31:
            signal.raise_signal(signal.SIGINT)

    path = tmp_path / "run.npz"
    result = interrupt_of(interrupted, steps=100, callback=callback, checkpoint=path)
    assert_same_state(nbadam.RunState.load(path), result.state)
    assert (result.success, result.status, result.nit) == (False, 7, 30)
    assert "`state` continues" in result.message
    assert result.fun == joint(result.x)[0]
    assert_array_equal(result.jac, joint(result.x)[1])
    assert_same(fit(joint, steps=100, state=result.state), fit(joint, steps=100))


@pytest.mark.lowest
def test_ctrl_c_in_the_last_evaluation(default_handler):
    class Interrupted(nbadam.Minibatch):
        def full(self, x, *args):
            signal.raise_signal(signal.SIGINT)
            raise AssertionError

    whole = fit(batches(), epochs=3)
    result = interrupt_of(Interrupted(plain_loss, (A, B), batch_size=30, rng=3), epochs=3)
    assert (result.success, result.status, result.nit) == (False, 7, whole.nit)
    assert_array_equal(result.x, whole.x)
    assert_same_state(result.state, whole.state)


@pytest.mark.parametrize("average", ["last", "tail", "best"])
def test_after_ctrl_c_nothing_is_evaluated(average, default_handler):
    calls = []

    def interrupted(x):
        calls.append(x)
        if len(calls) == 31:
            signal.raise_signal(signal.SIGINT)
        return joint(x)

    result = interrupt_of(interrupted, steps=100, average=average)
    assert len(calls) == 31
    known = [joint(x)[0] for x in calls[:30]]
    assert result.fun in known


@pytest.mark.parametrize("compiled_fun", [False] if config.DISABLE_JIT else [False, True])
def test_ctrl_c_is_never_lost(compiled_fun, default_handler, monkeypatch):
    # It comes in the last call of compiled code, or the last evaluation, of a run that ends as planned.
    fun, args = (compiled, (2.0,)) if compiled_fun else (joint, ())
    whole = fit(fun, args=args, steps=20)
    advance = Run.advance_compiled if compiled_fun else Run.advance

    def interrupted(run, *arguments):
        made = advance(run, *arguments)
        if run.nit == 20:
            signal.raise_signal(signal.SIGINT)
        return made

    monkeypatch.setattr(Run, advance.__name__, interrupted)
    assert_same(interrupt_of(fun, args=args, steps=20), whole)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("name", ["compiled", "compiled batches"])
def test_ctrl_c_in_compiled_code(name, default_handler):
    fit(**PROBLEMS[name](), steps=1)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    begun = time.monotonic()
    result = interrupt_of(**PROBLEMS[name](), steps=1e12, learning_rate=1e-9)  # would take days
    assert time.monotonic() - begun < 0.3 + 1.0  # normally 0.1; other programs may be running
    timer.join()
    assert (result.success, result.status) == (False, 7)
    assert_same_state(result.state, fit(**PROBLEMS[name](), steps=result.nit, learning_rate=1e-9).state)


@pytest.mark.parametrize("call", [70, 71, 72, 73])  # an iteration has four
def test_ctrl_c_among_the_values_that_a_quadratic_is_fitted_to(call, default_handler):
    calls = []

    def rounded(x):
        calls.append(x)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return round(float(((x - [1.0, -2.0]) ** 2).sum()), 1)

    def run(**options):
        return nbadam.adam(rounded, [3.0, 3.0], steps=12, **options)

    with pytest.raises(KeyboardInterrupt) as raised:
        run()
    result, whole = raised.value.result, run()
    assert "quadratic" in whole.message
    assert (result.success, result.status) == (False, 7)
    assert 0 < result.nit < 12
    assert_array_equal(run(state=result.state).x, whole.x)


@pytest.mark.lowest
def test_ctrl_c_with_a_handler_of_the_programs_own():
    def handler(number, frame):
        raise KeyboardInterrupt("its own")

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt, match="its own") as raised:
            fit(lambda x: signal.raise_signal(signal.SIGINT))
        assert raised.value.result.nit == 0
    finally:
        signal.signal(signal.SIGINT, before)


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.lowest
def test_states_of_other_runs_are_refused(tmp_path):
    state = fit(joint, steps=3).state
    for arguments, message in (
        ({"method": nbadam.sgd}, "rule"),
        ({"average": "tail"}, "average"),
        ({"beta_1": 0.8}, "`beta_1` 0.9, not 0.8: give the options of that run"),
        ({"epsilon": 1e-3}, "`epsilon` 1e-07, not 0.001"),
        ({"clipnorm": None}, "`clipnorm` 5.0, not inf"),
        ({"clipvalue": 1.0}, "`clipvalue` inf, not 1.0"),
        ({"weight_decay": 0.1}, "`weight_decay` 0.0, not 0.1"),
        ({"x_scale": 2.0}, "`x_scale` must be that of the run"),
        ({"fun": batches()}, "only one is a Minibatch"),
        (
            {"fun": noisy, "args": (np.random.default_rng(0),)},
            r"random generators \[\], but `args` has \['PCG64'\]",
        ),
        ({"state": 3}, "`state` must be the `state` of a result"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(**{"fun": joint, "state": state, "steps": 5} | arguments)
    for bounds in ([(3, 4)] * 3, [(None, -9)] * 3):
        options = {"learning_rate": 0.1, "clipnorm": 5.0, "state": state}
        with pytest.raises(ValueError, match="`bounds` must hold the point"):
            minimize(
                joint, np.full(3, bounds[0][1]), jac=True, method=nbadam.adam, bounds=bounds, options=options
            )
    averaged = fit(joint, steps=3, average="tail", x_scale=2.0).state
    again = fit(joint, steps=5, state=averaged)  # what is not given is that of the state
    assert_same(again, fit(joint, steps=5, average="tail", x_scale=2.0))
    with pytest.raises(ValueError, match="`state` has 3 variables, and `x0` 2"):
        minimize(joint, np.zeros(2), jac=True, method=nbadam.adam, options={"state": state})
    sampled = fit(batches(), steps=3).state
    with pytest.raises(ValueError, match="batch_size=30, not 20"):
        fit(nbadam.Minibatch(plain_loss, (A, B), batch_size=20), state=sampled)
    twister = fit(**PROBLEMS["Mersenne Twister"](), steps=3).state
    with pytest.raises(ValueError, match=r"\['MT19937'\], but `args` has \['PCG64'\]"):
        fit(**PROBLEMS["generator"](), state=twister)


def test_files_that_are_no_states_are_refused(tmp_path):
    path = tmp_path / "state.npz"
    with pytest.raises(FileNotFoundError):
        fit(joint, state=path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is no saved state that nbadam can load here"):
        fit(joint, state=path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="is no saved state that nbadam can load here"):
        fit(joint, state=path)
    fit(joint, steps=3).state.save(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is no saved state that nbadam can load here"):
            fit(joint, state=path)


def test_places_for_checkpoints_that_do_not_exist(tmp_path):
    for path in (tmp_path / "absent" / "run.npz", tmp_path, 3):
        with pytest.raises(ValueError, match=r"`checkpoint` must be the path of a .*file"):
            fit(joint, checkpoint=path)
    with pytest.raises(ValueError, match="`checkpoint_every` must be an integer >= 1"):
        fit(joint, checkpoint_every=0)


def test_a_state_has_a_short_name():
    assert repr(fit(joint, steps=3).state) == "<RunState: adam_update_epsilon_hat, 3 steps, 3 variables>"
