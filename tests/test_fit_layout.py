"""Long data sets, many parameters, models that raise, and Ctrl-C in fits."""

import os
import platform
import re

import numba
import numpy as np
import pytest
import scipy.optimize
from decays import DECAY, assert_same_fit, decay
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from subprocesses import finish, needs_ordinary_kernels, start

from nbadam import Model, Status, curve_fit
from nbadam.fitting.kernels import bordered, kernels, lm, tape, trust_region
from nbadam.fitting.kernels.compile import LONG, _layout, _normal, load
from nbadam.fitting.kernels.instructions import over_lanes
from nbadam.fitting.kernels.layout import Shape
from nbadam.fitting.kernels.losses import Loss
from nbadam.fitting.model.pointwise import candidates

JIT = not numba.config.DISABLE_JIT
SLOW = not JIT or numba.config.BOUNDSCHECK
POINTS = LONG + 130  # whole blocks and a part of one
X = np.linspace(0, 5, POINTS)
FITS = 6 if JIT else 2
TRUTH = np.random.default_rng(1).uniform([1, 0.4, 0], [5, 2, 1], (FITS, 3))
P0 = np.array([2.0, 1.0, 0.5])


Y = decay(X, *TRUTH.T[:, :, None]) + 0.1 * np.random.default_rng(2).standard_normal((FITS, POINTS))


# --- Long data sets -------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("m", [LONG - 1, LONG, LONG + 12, POINTS])
def test_long_and_short_data_sets_agree_with_scipy(m):
    fit = curve_fit(DECAY, X[:m], Y[:, :m], P0)
    assert fit.success.all()
    for i in range(len(Y)):
        popt, pcov = scipy.optimize.curve_fit(decay, X[:m], Y[i, :m], P0, jac=None, ftol=1e-14, xtol=1e-14)
        assert_allclose(fit.popt[i], popt, rtol=1e-6)
        assert_allclose(fit.pcov[i], pcov, rtol=1e-5)


@pytest.mark.lowest
@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [{}, {"loss": "huber", "f_scale": 0.1}, {"sigma": np.linspace(1, 2, POINTS)}, {"dtype": np.float32}],
    ids=["plain", "huber", "sigma", "float32"],
)
def test_a_long_fit_has_the_same_bits_alone_in_any_batch_and_on_any_number_of_threads(options, monkeypatch):
    together = curve_fit(DECAY, X, Y, P0, workers=1, **options)
    assert together.success.all()
    for i in (0, FITS - 1):
        assert_same_fit(curve_fit(DECAY, X, Y[i], P0, **options), together, i)
    # In parts as small as they get: a block of points each.
    monkeypatch.setattr("nbadam.blocks.SECONDS", 0.0)
    monkeypatch.setattr("nbadam.blocks.WORTHWHILE", 0.0)
    monkeypatch.setattr("nbadam.fitting.batch.FIRST", 2)
    monkeypatch.setattr("nbadam.fitting.batch.LEAST", 2)
    for workers in (1, 3):
        assert_same_fit(curve_fit(DECAY, X, Y, P0, workers=workers, **options), together)


@pytest.mark.long
def test_what_others_in_the_list_are_as_long_as_does_not_matter():
    """A short data set beside long ones, whose loop over points is another."""
    lengths = [POINTS, 40, LONG, LONG - 1, 12]
    steps = [slice(None, m * (POINTS // m), POINTS // m) for m in lengths]
    x, y = [X[step] for step in steps], [Y[k % FITS, step] for k, step in enumerate(steps)]
    together = curve_fit(DECAY, x, y, P0)
    for i in range(len(lengths)):
        assert_same_fit(curve_fit(DECAY, [x[i]], [y[i]], P0), together, [i])


@pytest.mark.lowest
def test_points_that_are_left_out_of_a_long_data_set():
    mask = np.random.default_rng(3).random(POINTS) < 0.4
    mask[-1] = True  # fills up the last block
    y = np.where(mask, np.nan, Y)
    fit, expected = curve_fit(DECAY, X, y, P0), curve_fit(DECAY, X[~mask], Y[:, ~mask], P0)
    assert_allclose(fit.popt, expected.popt, rtol=1e-9)
    assert_array_equal(fit.n_points, (~mask).sum())


@pytest.mark.skipif(SLOW, reason="takes many points")
def test_a_long_sum_in_single_precision_loses_nothing():
    m = 300_000
    x = np.linspace(0, 5, m)
    y = (decay(x, 3, 1.2, 0.5) + 0.3 * np.random.default_rng(0).standard_normal(m)).astype(np.float32)
    single, double = (curve_fit(DECAY, x, y, P0, dtype=dtype) for dtype in (np.float32, np.float64))
    assert_allclose(single.chi2, double.chi2, rtol=1e-6)
    assert np.abs((single.popt - double.popt) / double.perr).max() < 0.02


# --- Many parameters ------------------------------------------------------------------------------


def states(rng, shape, repeat):
    """Draw states with zeros, infinities and NaN in them."""
    for _ in range(repeat):
        state = rng.standard_normal(shape.rows["end"] * shape.lanes).astype(shape.dtype)
        state[rng.random(state.size) < 0.2] = rng.choice([0, 1, np.inf, np.nan], p=[0.4, 0.4, 0.1, 0.1])
        yield state


@pytest.mark.lowest
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_tape_does_what_its_text_does(n, bounded, dtype):
    """Whatever the state, to the last bit."""
    shape = Shape(n, dtype, bounded, 1)
    text = trust_region.algorithm(shape)
    plain = load(dtype, text, {})
    tapes, memory = tape.translate(text, load(dtype, "", {}), dtype)
    xtol = memory.dtype.type(1e-8)
    for expected in states(np.random.default_rng(0), shape, 20 if SLOW else 200):
        found = expected.copy()
        with np.errstate(all="ignore"):
            for name in tapes:
                plain[name](expected, 0, xtol)
                tape.run(found, tapes[name], memory.copy(), xtol)
                assert_array_equal(found, expected)


@pytest.mark.skipif(not JIT, reason="about compiled code")
@pytest.mark.lowest
@pytest.mark.parametrize(("n", "bounded", "dtype"), [(1, False, "float64"), (3, True, "float32")])
def test_instructions_do_what_their_tape_does(n, bounded, dtype):
    """In each lane, whatever the state, to the last bit."""
    one, four = Shape(n, dtype, bounded, 1), Shape(n, dtype, bounded, 4)
    constants = load(dtype, "", {})
    tapes, memory = tape.translate(trust_region.algorithm(one), constants, dtype)
    wide, _ = tape.translate(trust_region.algorithm(four), constants, dtype)
    run, xtol = njit(error_model="numpy")(tape.run), memory.dtype.type(1e-8)
    functions = {name: njit(error_model="numpy")(over_lanes(wide[name], memory, 4)) for name in tapes}
    for found in states(np.random.default_rng(0), four, 50):
        for name, function in functions.items():
            lanes = found.reshape(-1, 4).T.copy()
            for lane in lanes:
                run(lane, tapes[name], memory.copy(), xtol)
            function(found, tape.EMPTY, memory, xtol)
            assert_array_equal(found.reshape(-1, 4), lanes.T)


def peaks(x, *p):
    total = p[len(p) - 2] + p[len(p) - 1] * x
    for i in range(0, len(p) - 2, 3):
        total += p[i] * np.exp(-0.5 * ((x - p[i + 1]) / p[i + 2]) ** 2)
    return total


@pytest.mark.lowest
@pytest.mark.parametrize("options", [{}, {"bounds": (-1, 100)}], ids=["free", "bounded"])
def test_many_parameters(options):
    count = 3 if JIT else 1  # tapes are for the compiler
    rng = np.random.default_rng(0)
    truth = np.array([[3 + i, 10 * i + 5, 1 + 0.2 * i] for i in range(count)]).ravel()
    truth = np.append(truth, [0.5, 0.01])
    x = np.linspace(0, 10 * count, 20 * count)
    y = peaks(x, *truth) + 0.02 * rng.standard_normal((2, x.size))
    p0 = truth * rng.uniform(0.97, 1.03, truth.size)
    fit = curve_fit(peaks, x, y, p0, **options)
    assert fit.success.all()
    for i in range(2):
        popt, pcov = scipy.optimize.curve_fit(peaks, x, y[i], p0, ftol=1e-13, xtol=1e-13)
        assert_allclose(fit.popt[i], popt, rtol=1e-5)
        assert_allclose(fit.perr[i], np.sqrt(np.diag(pcov)), rtol=1e-4)


# --- Models that raise ----------------------------------------------------------------------------


def picky(x, a, b):
    if a > 5:
        raise ValueError("a is above 5")
    return a * x + b


@pytest.mark.long
@pytest.mark.parametrize("fits", [2, 33, 70])
def test_a_model_that_raises_for_some_data_sets_fits_the_others(fits):
    x = np.linspace(0.1, 5, 12)
    slopes = np.full(fits, 2.0)
    bad = [0, fits - 1] if fits > 2 else [1]
    slopes[bad] = 9
    y = slopes[:, None] * x + 1
    with pytest.warns(scipy.optimize.OptimizeWarning, match=f"{len(bad)} MODEL_ERROR"):
        fit = curve_fit(picky, x, y, [1, 1])
    assert_array_equal(np.flatnonzero(fit.status == Status.MODEL_ERROR), bad)
    good = np.delete(np.arange(fits), bad)
    assert fit.success[good].all()
    assert_allclose(fit.popt[good], [[2, 1]] * len(good), rtol=1e-6)
    assert np.isnan(fit.popt[bad]).all() and (fit.n_points == 12).all()


@pytest.mark.lowest
@pytest.mark.parametrize("options", [{}, {"search": "all"}, {"method": "adam"}])
def test_the_exception_of_a_model_is_raised_for_one_data_set(options):
    x = np.linspace(0.1, 5, 12)
    with pytest.raises(ValueError, match="a is above 5"):
        curve_fit(picky, x, 9 * x + 1, [5.5, 1], **options)
    with pytest.warns(scipy.optimize.OptimizeWarning, match="1 MODEL_ERROR"):
        fit = curve_fit(picky, x, [9 * x + 1, 2 * x], [[5.5, 1], [1, 1]], **options)
    assert fit.status[0] == Status.MODEL_ERROR and np.isfinite(fit.popt[1]).all()


@pytest.mark.skipif(not JIT, reason="Python knows the number")
def test_an_exception_of_a_model_names_no_type_of_ours():
    def model(x, a):
        if a < 0:
            raise ValueError(f"rate {a} is negative")
        return a * x

    with pytest.raises(ValueError, match=r"^rate \.\.\. is negative$"):
        curve_fit(model, np.arange(4.0), np.arange(4.0), [-1])


def strict(x, a, b):
    if a > 5:
        raise TypeError("a is above 5")
    return a * x + b


@pytest.mark.filterwarnings("ignore:.*without success")
def test_a_kernel_that_is_called_wrongly_is_no_error_of_the_model(monkeypatch):
    """Too few arguments, or too many; a TypeError of the model itself is the model's."""
    x = np.linspace(0.1, 5, 12)
    fit = curve_fit(strict, x, [9 * x + 1, 2 * x], [[5.5, 1], [1, 1]])
    assert_array_equal(fit.status, [Status.MODEL_ERROR, Status.SUCCESS])
    state = lm.new_state
    for change in (lambda parts: parts[:-1], lambda parts: (*parts, 1.0)):
        monkeypatch.setattr(lm, "new_state", lambda *given, change=change: change(state(*given)))
        with pytest.raises(TypeError, match="argument"):
            curve_fit(strict, x, [2 * x, 2 * x], [1, 1])


@pytest.mark.filterwarnings("ignore:.*without success")
def test_what_few_fits_need_is_compiled_when_one_does(monkeypatch):
    """The kernels wait for it, and go on."""
    wanted: list[str] = []
    compiled = kernels.determination_kernel
    monkeypatch.setattr(
        kernels, "determination_kernel", lambda dtype: wanted.append(dtype) or compiled(dtype)
    )
    curve_fit(DECAY, X, Y, P0)
    assert not wanted
    y = np.concatenate([Y, np.random.default_rng(1).standard_normal((40, X.size))])  # noise has no decay
    fit = curve_fit(DECAY, X, y, P0)
    assert set(wanted) == {"float64"}
    assert (fit.status[: len(Y)] == Status.SUCCESS).all() and (fit.status == Status.RUNAWAY).any()
    for i in (0, int(np.argmax(fit.status == Status.RUNAWAY))):
        assert_same_fit(curve_fit(DECAY, X, y[i : i + 1], P0), fit, slice(i, i + 1))


# --- Ctrl-C ---------------------------------------------------------------------------------------

INTERRUPTED = """
import json, os, random, signal, threading, time
import numpy as np
from nbadam import Status, curve_fit
from test_fit_layout import DECAY, P0, X, Y, decay

def slow(x, a, k, c):
    value = 0.0
    for i in range(3000):
        value += np.exp(-k * (x + 1e-12 * i))
    return a * value / 3000 + c

def call(kind, size):
    m, fits = (1_000_000, 40_000) if size == "large" else (1000, 40)
    x = np.linspace(0, 5, m)
    long = decay(x, 3, 1.2, 0.5) + 0.3 * np.sin(1e4 * x)
    few, short = X[::20], np.tile(Y[:, ::20], (fits // 6, 1))
    steps = 1_000_000 if size == "large" else 5
    sampled = {"method": "adam", "batch_size": 1000, "rng": 0, "max_nfev": steps}
    return {
        "small": lambda: curve_fit(DECAY, few, short[:40], P0),
        "batch": lambda: curve_fit(DECAY, few, short, P0, workers=2),
        "long": lambda: curve_fit(DECAY, x, long, P0),
        "slow": lambda: curve_fit(slow, few, short, P0, workers=2),
        "adam": lambda: curve_fit(DECAY, few, short, P0, method="adam", workers=2),
        "sampled": lambda: curve_fit(DECAY, x, long, P0, **sampled),
        "search": lambda: curve_fit(DECAY, few, short, P0, search="all", workers=2),
        "guess": lambda: curve_fit(DECAY, few, short[:40], lambda x, y: (time.sleep(0.02), P0)[1]),
    }[kind]

signal.signal(signal.SIGINT, signal.default_int_handler)
random.seed(SEED)
slowest, carried = {}, {}
for kind in "small", "batch", "long", "slow", "adam", "sampled", "search", "guess":
    call(kind, "small")()  # compiles
    run = call(kind, "large")
    slowest[kind], carried[kind] = 0.0, 0
    for _ in range(COUNT):
        sent = []
        def send():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        try:
            threading.Timer(random.uniform(0, 0.15), send).start()
            while not sent or time.monotonic() < sent[0] + 3:
                run()
            raise SystemExit(f"{kind}: an interrupt is lost")
        except KeyboardInterrupt as error:
            slowest[kind] = max(slowest[kind], time.monotonic() - sent[0])
            if hasattr(error, "result"):
                carried[kind] += 1
                left = error.result.status == Status.NOT_RUN
                assert np.isnan(error.result.popt[left]).all() and not error.result.success[left].any()
                assert error.__notes__[0].startswith(f"{(~left).sum()} of {left.size} fits are finished")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(json.dumps({"slowest": slowest, "carried": carried}))
"""


@needs_ordinary_kernels
def test_ctrl_c_is_never_lost_and_never_late(tmp_path):
    """Loops of calls of every kind, each interrupted at random moments."""
    program = INTERRUPTED.replace("SEED", "1").replace("COUNT", "4")
    told = finish(start(program, tmp_path, NUMBA_CACHE_DIR=os.environ.get("NUMBA_CACHE_DIR")))
    assert max(told["slowest"].values()) < 0.5, told
    assert all(told["carried"][kind] for kind in told["carried"] if kind != "small"), told


@pytest.mark.skipif(not JIT, reason="plain Python has no kernels")
@pytest.mark.parametrize("kernel", [lm.fit_kernel, bordered.evaluate_kernel])
def test_kernels_of_fits_release_the_gil(kernel):
    """Two threads otherwise take turns, and a fit on two of them takes as long as on one."""
    assert kernel("float64").targetoptions["nogil"]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 instructions")
@needs_ordinary_kernels
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted, own_x, loss", [(False, False, "linear"), (True, True, "huber")])
def test_short_data_sets_are_evaluated_by_vector_instructions(weighted, own_x, loss, dtype, monkeypatch):
    monkeypatch.setattr("nbadam._cache.read", lambda name: None)  # kernels from the disk have no text
    half = np.float64(0.5)

    def peak(x, a, mu, s, c):
        return a * np.exp(-half * ((x - mu) / s) ** 2) + c

    way = candidates(Model(peak))[0]
    layout = _layout(Model(peak), way, dtype, weighted, own_x, False, Loss(loss), False, False)
    (text,) = _normal(way, layout).inspect_asm().values()
    instruction = r"\bv?(?:fn?m(?:add|sub)\d+|mul|add|sub|div)([ps])[sd]\b"
    kinds = re.findall(instruction, text)
    assert kinds.count("p") > 100
    assert kinds.count("s") < 10
