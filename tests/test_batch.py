"""Many problems at once: each row as if it were alone."""

import threading
import warnings

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import Bounds, minimize

import nbadam
from nbadam import Status, minimize_batch, rules, schedules
from nbadam.batches import batch
from nbadam.blocks import Blocks, work_through

JIT = not numba.config.DISABLE_JIT
STEPS = 300 if JIT else 120
# With the kernels compiled, a rule costs seconds; in plain Python all of them are tried.
METHODS = {"adam": rules.ADAM}
if not JIT:
    METHODS |= {
        "adagrad": rules.ADAGRAD,
        "ftrl": rules.FTRL_POWER,
        "adamax": rules.ADAMAX, "nadam": rules.NADAM, "radam": rules.RADAM, "lion": rules.LION,
        "sgd": rules.SGD_MOMENTUM, "rmsprop": rules.RMSPROP_MOMENTUM_INSIDE, "adadelta": rules.ADADELTA,
    }  # fmt: skip
RATES = {"sgd": 1e-3, "adadelta": 1.0, "adagrad": 0.3}


@njit(error_model="numpy")
def valley(x, centre, steepness):
    """A curved valley whose floor is lowest at (centre, centre**2)."""
    g = np.empty_like(x)
    v = x[1] - x[0] * x[0]
    s = x[0] - centre
    g[0] = -4 * steepness * x[0] * v + 2 * s
    g[1] = 2 * steepness * v
    return steepness * v * v + s * s, g


@njit(error_model="numpy")
def misfit(p, g, y):
    """Mean squares of ``p[0] + p[1] * k - y[k]``."""
    f = g[0] = g[1] = p[0] * 0
    for k in range(y.size):
        error = p[0] + p[1] * k - y[k]
        f += error * error
        g[0] += 2 * error
        g[1] += 2 * k * error
    if y.size:
        g[0] /= y.size
        g[1] /= y.size
        f /= y.size
    return f


def misfit_and_gradient(p, y):
    g = np.empty(2)
    return misfit(p, g, y), g


CENTRES = np.array([0.5, 1.0, -1.0, 2.0, 0.0])
START = np.array([-0.5, 1.5])


def valleys(centres=CENTRES, x0=START, **options):
    options = {"learning_rate": 0.05, "steps": STEPS} | options
    return minimize_batch(valley, x0, args=(10.0,), data=(np.asarray(centres, float),), **options)


def same(one, other):
    for name, array in vars(one).items():
        assert_array_equal(array, getattr(other, name), err_msg=name)


def alone(i, x0=START, method="adam", **options):
    options = {"learning_rate": 0.05} | options
    bounds = options.pop("bounds", None)
    return minimize(
        valley,
        x0,
        (CENTRES[i], 10.0),
        jac=True,
        method=getattr(nbadam, method),
        bounds=bounds,
        options=options,
    )


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_rows_are_runs_of_minimize(method):
    rate = RATES.get(method, 0.05)
    result = valleys(rule=METHODS[method], learning_rate=rate)
    for i in range(CENTRES.size):
        expected = alone(i, method=method, learning_rate=rate, steps=STEPS)
        assert_array_equal(result.x[i], expected.x)
        assert (result.fun[i], result.nit[i]) == (expected.fun, expected.nit)


@pytest.mark.skipif(
    bool(numba.config.BOUNDSCHECK), reason="takes long to compile, and indexes as the other one"
)
def test_a_rule_with_a_single_slot():
    y = np.random.default_rng(0).normal(size=(2, 7))
    settings = {"learning_rate": 0.01, "momentum": 0.5}
    result = minimize_batch(misfit, [0, 0], data=(y,), rule=rules.SGD_MOMENTUM, steps=10, **settings)
    for i in range(2):
        x, velocity = np.zeros(2), np.zeros(2)
        for _ in range(10):
            velocity = 0.5 * velocity - 0.01 * misfit_and_gradient(x, y[i])[1]
            x += velocity
        assert_allclose(result.x[i], x, rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {"maxiter": 3000 if JIT else 250},
        {"maxiter": 1000 if JIT else 200, "learning_rate": 0.5, "tol": 1e-3},
        {"learning_rate": schedules.CosineDecay(0.2, STEPS), "weight_decay": 0.1, "steps": STEPS},
        {"clipvalue": 0.5, "clipnorm": 0.4, "x_scale": np.array([0.5, 2.0]), "steps": STEPS},
        {"learning_rate": np.array([0.1, 0.02]), "beta_1": 0.8, "steps": STEPS},
        {"bounds": [(None, 0.4), (0.3, 5)], "maxiter": 2000 if JIT else 200},
        {"bounds": [(0.5, 0.5), (1, 1)]},
        {"learning_rate": lambda step: 0.1 / (1 + step), "steps": STEPS},
    ],
    ids=["defaults", "cycles", "schedule", "clipping", "rates", "bounds", "fixed", "function"],
)
def test_options_mean_what_they_mean_in_minimize(options):
    x0 = (
        np.clip(START, *zip(*options["bounds"], strict=True))
        if options.get("bounds") == [(0.5, 0.5), (1, 1)]
        else START
    )
    result = valleys(x0=x0, **{"steps": None} | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starts outside of the bounds
        expected = [alone(i, x0, **options) for i in range(CENTRES.size)]
    assert_array_equal(result.x, [run.x for run in expected])
    assert_array_equal(result.fun, [run.fun for run in expected])
    assert_array_equal(result.nit, [run.nit for run in expected])
    assert_array_equal(result.success, [run.success for run in expected])


def test_every_way_to_stop():
    converged = valleys(steps=None, maxiter=5000 if JIT else 500, gtol=1e-3)
    assert set(converged.status) <= {Status.SUCCESS, Status.MAXITER}
    assert Status.SUCCESS in converged.status
    assert set(valleys().status) == {Status.SUCCESS}
    unfinished = valleys(steps=None, maxiter=3)
    assert set(unfinished.status) == {Status.MAXITER}
    assert not unfinished.success.any()
    assert "iterations" in unfinished.message(0)
    at_minimum = valleys([1.0], x0=[1.0, 1.0], steps=None)
    assert (at_minimum.status[0], at_minimum.nit[0], at_minimum.fun[0]) == (Status.SUCCESS, 0, 0)
    fixed = valleys([1.0], bounds=Bounds([1, 2], [1, 2]))
    assert fixed.status[0] == Status.SUCCESS
    assert_array_equal(fixed.x, [[1, 2]])


def test_a_bad_problem_marks_its_own_row():
    centres = CENTRES.copy()
    centres[1] = np.nan
    centres[3] = 1e200  # whose value overflows
    with np.errstate(all="ignore"):
        bad = valleys(centres, workers=1)
    good = valleys()
    assert_array_equal(bad.status == Status.NONFINITE, [False, True, False, True, False])
    assert_array_equal(bad.x[[0, 2, 4]], good.x[[0, 2, 4]])
    assert_array_equal(bad.x[1], START)
    assert not bad.success[1]
    starts = np.tile(START, (5, 1))
    starts[2, 0] = np.inf
    with np.errstate(all="ignore"):
        result = valleys(x0=starts, workers=1)
    assert_array_equal(result.status == Status.NONFINITE, [False, False, True, False, False])


def test_a_run_that_diverges_returns_its_best_point():
    with np.errstate(all="ignore"):
        result = valleys(learning_rate=1e160, workers=1)
    assert set(result.status) == {Status.NONFINITE}
    assert np.isfinite(result.x).all()
    assert (result.fun <= [valley(START, c, 10.0)[0] for c in CENTRES]).all()


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.lowest)])
def test_the_same_bits_alone_and_in_any_batch_on_any_number_of_threads(dtype):
    rng = np.random.default_rng(0)
    x0 = rng.normal(size=(400 if JIT else 12, 2)).astype(dtype)
    y = rng.normal(size=(len(x0), 7)).astype(dtype)

    def fit(rows, workers=1):
        return minimize_batch(
            misfit, x0[rows], data=(y[rows],), learning_rate=0.1, steps=STEPS, workers=workers
        )

    together = fit(slice(None))
    assert together.x.dtype == together.fun.dtype == dtype
    same(fit(slice(None), workers=2), together)
    same(fit(slice(None), workers=7), together)
    for rows in (slice(3, 4), slice(5, 12)):
        part = fit(rows)
        assert_array_equal(part.x, together.x[rows])
        assert_array_equal(part.fun, together.fun[rows])


def test_both_forms_of_the_objective_agree():
    y = np.random.default_rng(0).normal(size=(4, 7))
    writing = minimize_batch(misfit, [0, 0], data=(y,), learning_rate=0.1, steps=50)
    expected = [
        minimize(misfit_and_gradient, [0, 0], (row,), jac=True, method=nbadam.adam,
                 options={"learning_rate": 0.1, "steps": 50})
        for row in y
    ]  # fmt: skip
    assert_array_equal(writing.x, [run.x for run in expected])


def test_ragged_data():
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=size) for size in (3, 9, 2, 0, 5)]
    offsets = np.cumsum([0, *(len(y) for y in sets)])
    settings = {"learning_rate": 0.1, "steps": 60}
    listed = minimize_batch(misfit, [0, 0], data=(sets,), **settings)
    same(minimize_batch(misfit, [0, 0], data=((np.concatenate(sets), offsets),), **settings), listed)
    for y, x in zip(sets, listed.x, strict=True):
        assert_array_equal(minimize_batch(misfit, [0, 0], data=(y[None],), **settings).x[0], x)


def test_starts_rates_scales_and_bounds_of_single_problems():
    y = np.random.default_rng(0).normal(size=(3, 7))
    x0 = np.array([[0, 0], [1, 1], [2, 0.5]])
    rates = np.array([[0.1], [0.05], [0.2]])
    scales = np.array([[1, 0.1], [1, 1], [2, 0.3]])
    lower, upper = np.array([[-1, -1], [0, 0], [-np.inf, 0.1]]), np.array([[1, 1], [np.inf, 0.5], [9, 9]])
    result = minimize_batch(
        misfit, x0, data=(y,), learning_rate=rates, x_scale=scales, bounds=Bounds(lower, upper), steps=80
    )
    both = minimize_batch(
        misfit,
        x0,
        data=(y,),
        learning_rate=rates * [1, 0.5],
        x_scale=scales,
        steps=80,
        bounds=Bounds(lower, upper),
    )
    for i in range(3):
        options = {"learning_rate": rates[i, 0], "x_scale": scales[i], "steps": 80}
        box = Bounds(lower[i], upper[i])
        run = {"args": (y[i],), "jac": True, "method": nbadam.adam, "bounds": box}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert_array_equal(result.x[i], minimize(misfit_and_gradient, x0[i], options=options, **run).x)
            options["learning_rate"] = rates[i, 0] * np.array([1, 0.5])
            assert_array_equal(both.x[i], minimize(misfit_and_gradient, x0[i], options=options, **run).x)


def test_inputs_are_not_modified_and_may_be_of_any_layout():
    y = np.random.default_rng(0).normal(size=(7, 6))
    x0 = np.zeros((6, 2), order="F")
    x0.flags.writeable = y.flags.writeable = False
    settings = {"learning_rate": 0.1, "steps": 20}
    result = minimize_batch(misfit, x0, data=(y.T,), **settings)
    same(minimize_batch(misfit, [0, 0], data=(y.T.astype(">f8"),), **settings), result)


def test_out_of_core(tmp_path):
    y = np.random.default_rng(0).normal(size=(50, 7))
    np.save(tmp_path / "y.npy", y)
    settings = {"learning_rate": 0.1, "steps": 20}
    out = {
        "x": np.memmap(tmp_path / "x", np.float64, "w+", shape=(50, 2)),
        "fun": np.memmap(tmp_path / "fun", np.float32, "w+", shape=(50,)),
        "nit": np.memmap(tmp_path / "nit", np.int32, "w+", shape=(50,)),
        "status": np.memmap(tmp_path / "status", np.int8, "w+", shape=(50,)),
    }
    result = minimize_batch(
        misfit, [0, 0], data=(np.load(tmp_path / "y.npy", mmap_mode="r"),), out=out, **settings
    )
    expected = minimize_batch(misfit, [0, 0], data=(y,), **settings)
    assert result.x is out["x"]
    assert_array_equal(out["x"], expected.x)
    assert_array_equal(out["status"], expected.status)
    assert np.isin(out["status"], [Status.SUCCESS, Status.NO_PROGRESS]).all()
    assert expected.success.mean() > 0.9
    assert_allclose(out["fun"], expected.fun, rtol=1e-6)


def test_bounds_that_are_nan_are_refused_in_every_shape():
    each = np.array([[0.0, 0.0], [0.0, np.nan]])
    for bounds, where in (
        ([(0, 1), (np.nan, 1)], "variable 1 must"),
        (Bounds([0, np.nan], 1), "variable 1 must"),
        (Bounds(each, 1), "variable 1 of problem 1 must"),
    ):
        with pytest.raises(ValueError, match=f"`bounds` of {where} not be NaN"):
            minimize_batch(misfit, [0, 0], data=(np.zeros((2, 7)),), bounds=bounds)


@pytest.mark.long
def test_callback_counts_and_can_end_the_batch():
    seen = []

    def stop_soon(done):
        seen.append(done)
        if len(seen) == 2:
            raise StopIteration

    y = np.random.default_rng(0).normal(size=(20_000 if JIT else 500, 7))
    steps = 20 if JIT else 3
    with pytest.warns(RuntimeWarning, match=r"Interrupted: \d+ of \d+ problems are finished"):
        result = minimize_batch(misfit, [0, 0], data=(y,), steps=steps, callback=stop_soon, workers=1)
    done = result.status != Status.NOT_RUN
    assert seen == [batch.FIRST, np.count_nonzero(done)]
    assert np.isnan(result.x[~done]).all()
    assert np.isnan(result.fun[~done]).all()
    assert_array_equal(result.x[done], minimize_batch(misfit, [0, 0], data=(y,), steps=steps).x[done])
    seen.clear()
    minimize_batch(misfit, [0, 0], data=(y[:20],), steps=20, callback=seen.append)
    assert seen[-1] == 20


def test_ctrl_c_raises_with_the_problems_that_are_finished():
    def interrupt(done):
        raise KeyboardInterrupt

    y = np.ones((40, 7))
    with pytest.raises(KeyboardInterrupt) as raised:
        minimize_batch(misfit, [0, 0], data=(y,), steps=5, callback=interrupt, workers=1)
    assert raised.value.__notes__[0].startswith("8 of 40 problems are finished")
    result = raised.value.result
    assert np.count_nonzero(result.status == Status.SUCCESS) == 8


def test_a_result_prints_what_it_is():
    status = [Status.SUCCESS, Status.MAXITER, Status.SUCCESS]
    result = nbadam.BatchResult(np.zeros((3, 2)), np.zeros(3), np.arange(3), np.array(status))
    assert repr(result) == "<BatchResult: 3 problems in 2 variables: 2 SUCCESS, 1 MAXITER>"


def test_progress(capsys):
    pytest.importorskip("tqdm")
    valleys(steps=2, progress=True)
    assert "5/5" in capsys.readouterr().err.replace(".00", "")


def test_in_a_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(valleys()))
    thread.start()
    thread.join()
    same(results[0], valleys())


def test_blocks_whose_data_are_of_another_kind():
    """Rows of a read-only matrix are copied, and may be written to, unless there is only one, or none."""
    y = np.random.default_rng(0).standard_normal((30, 8))
    columns = np.asfortranarray(y)
    columns.flags.writeable = False
    fits = [minimize_batch(misfit, [0.0, 0.0], data=(each,), steps=STEPS) for each in (y, columns)]
    same(*fits)


@given(st.integers(0, 500), st.integers(1, 60), st.integers(1, 40), st.integers(1, 5))
def test_blocks_cover_everything_once(total, first, most, workers):
    lock = threading.Lock()
    seen = np.zeros(total, int)

    def work(start, stop):
        assert 0 < stop - start <= most
        with lock:
            seen[start:stop] += 1
        return 1.0 if start % 2 else 1e-6

    assert work_through(Blocks(total, first, most), work, workers, unit="item")
    assert (seen == 1).all()


@given(st.integers(1, 5000), st.integers(1, 60))
def test_work_too_short_for_threads_is_not_divided(total, first):
    def blocks_of(workers):
        starts = []

        def work(start, stop):
            starts.append(start)
            return (stop - start) * 1e-6

        work_through(Blocks(total, first, total), work, workers, unit="item")
        return starts

    assert blocks_of(2) == blocks_of(1)


def test_an_error_in_another_thread_ends_the_work():
    main = threading.current_thread()

    def work(start, stop):
        if threading.current_thread() is not main:
            raise OSError("disk full")
        return 1.0

    with pytest.raises(OSError, match="disk full"):
        work_through(Blocks(10**6, 1, 1), work, 2, unit="item")


BAD = [
    ({"fun": 3}, "`fun` must be a function"),
    ({"fun": lambda x: (0.0, x)}, r"`fun` must take 2 arguments .* or 3 .*; it takes 1"),
    ({"x0": "a"}, "`x0` must be real"),
    ({"x0": [[[0.0]]]}, r"`x0` must have the shape"),
    ({"x0": []}, r"`x0` must have the shape"),
    ({"x0": np.zeros((3, 2))}, r"`data\[0\]` must have one entry for each of the 3 problems, not 5"),
    ({"data": (np.float64(3),)}, r"`data\[0\]` must be an array"),
    ({"data": np.zeros(5)}, "`data` must be a tuple"),
    ({"data": (np.array(["a"] * 5),)}, r"`data\[0\]` must hold numbers"),
    ({"data": ((np.zeros(3), [0, 2, 4]),)}, r"offsets of `data\[0\]`"),
    ({"data": (np.ma.masked_equal([1.0, 2, 3, 4, 5], 3),)}, "masked"),
    ({"data": ([np.zeros(3), np.zeros((2, 2))],)}, "differ in length only"),
    ({"data": (), "fun": lambda x: (0.0, x)}, "no `data` tell how many"),
    ({"args": [1]}, r"`args\[0\]` must be a number, an array or a tuple, not a list"),
    ({"rule": "adam"}, "`rule` must be a Rule"),
    ({"learning_rate": -1}, "`learning_rate`"),
    ({"learning_rate": [0.1, np.nan]}, "`learning_rate` must be finite"),
    ({"learning_rate": np.ones(3)}, r"`learning_rate` must be a number or an array"),
    ({"learning_rate": [0.1, 0.2], "rule": rules.FTRL}, "the same for all variables"),
    ({"learning_rate": 0.0, "rule": rules.FTRL}, "`learning_rate` must be"),
    ({"learning_rate": lambda step: -1.0}, "`learning_rate` must give finite numbers"),
    ({"x_scale": 0}, "`x_scale` must be finite and > 0"),
    ({"bounds": [(0, 1)]}, "number of bounds"),
    ({"bounds": Bounds(np.ones((5, 2)), np.zeros((5, 2)))}, "`bounds` of variable 0 of problem 0"),
    ({"bounds": Bounds(np.zeros((4, 2)), np.ones((4, 2)))}, r"`bounds.lb`"),
    ({"steps": -1}, "`steps`"),
    ({"maxiter": 1e9}, "at most 10,000,000"),
    ({"gtol": "a"}, "`gtol`"),
    ({"workers": 0}, "`workers`"),
    ({"progress": 1}, "`progress`"),
    ({"callback": 1}, "`callback`"),
    ({"out": {"y": np.zeros(5)}}, "`out` may hold"),
    ({"out": {"x": np.zeros((5, 3))}}, r"`out\['x'\]` must be a writable array of real numbers"),
    ({"out": {"status": np.zeros(5)}}, r"`out\['status'\]` must be a writable array of integers"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input(change, message):
    given = {"fun": lambda x, y: (0.0, x), "x0": [0.0, 0.0], "data": (np.zeros(5),)} | change
    with pytest.raises(ValueError, match=message):
        minimize_batch(given.pop("fun"), given.pop("x0"), **given)


def test_unknown_hyperparameter():
    with pytest.raises(
        TypeError, match="'beta'; the hyperparameters of this rule are beta_1, beta_2, epsilon"
    ):
        valleys(beta=1)


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_a_function_that_numba_cannot_compile():
    with pytest.raises(ValueError, match=r"`fun` cannot be compiled .*: Unknown attribute 'nonsense'"):
        minimize_batch(lambda x, y: (x.nonsense, x), [0.0], data=(np.zeros(3),))


def test_a_gradient_of_the_wrong_shape():
    def wrong(x, y):
        return 0.0, np.zeros(3)

    with pytest.raises(ValueError, match="must have the shape of `x0`"):
        minimize_batch(wrong, [0.0, 0.0], data=(np.zeros(4),))


def test_no_problems_at_all():
    assert minimize_batch(misfit, np.zeros((0, 2)), data=(np.zeros((0, 7)),)).x.shape == (0, 2)
