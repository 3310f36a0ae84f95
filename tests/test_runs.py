"""When runs stop, which point they return, and what they tell about it."""

import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from runs import assert_same, compiled_bowl
from scipy.optimize import minimize
from test_minibatch import EXACT, A, B, plain_loss

import nbadam
from nbadam.methods import stopping
from nbadam.methods.history import History, push
from nbadam.methods.record import ROWS, new_numbers

PLAIN = bool(config.DISABLE_JIT)


def bowl(x):
    return float((x - 1) @ (x - 1)), 2 * (x - 1)


class Noisy:
    """A bowl with noise of standard deviation 1, or another one, on the value and the gradient."""

    def __init__(self, seed=0, deviation=1.0):
        self.rng, self.deviation, self.points = np.random.default_rng(seed), deviation, []

    def __call__(self, x):
        self.points.append(x.copy())
        f, g = bowl(x)
        noise = self.deviation * self.rng.normal(size=1 + x.size)
        return f + noise[0], g + noise[1:]


fit = partial(runs.fit, learning_rate=0.05)


# --- Stop rules ----------------------------------------------------------------------------------


def test_patience_ends_a_noisy_run_when_it_no_longer_improves():
    for seed in range(1 if PLAIN else 5):
        result = fit(Noisy(seed), patience=500)
        assert (result.success, result.status) == (True, 0)
        assert "`patience`" in result.message
        assert 500 < result.nit < 5000
        assert_allclose(result.x, 1, atol=0.5)


def test_patience_can_reduce_the_learning_rate_first():
    rng = np.random.default_rng(0)

    def noisy(x):
        f, g = x @ x, 2 * x
        return f + rng.standard_normal(), g + rng.standard_normal(3)

    result = fit(noisy, patience=100, reductions=2, reduction=0.5, learning_rate=0.25)
    assert (result.success, "`patience`" in result.message) == (True, True)
    assert list(dict.fromkeys(result.history.learning_rate)) == [0.25, 0.125, 0.0625]
    with pytest.raises(ValueError, match="`reductions` of the learning rate need `patience`"):
        fit(noisy, reductions=2)
    with pytest.raises(ValueError, match="that is not 'auto'"):
        fit(noisy, reductions=2, patience=100, learning_rate="auto")


@pytest.mark.long
def test_patience_goes_on_while_the_value_falls():
    # One unit of noise, and a fall of 5 units in every window of 500 steps.
    rng = np.random.default_rng(0)
    options = {"learning_rate": 0.01, "patience": 500, "maxiter": 5000}
    result = fit(lambda x: (x[0] + rng.normal(), np.ones(1)), [0.0], **options)
    assert (result.status, result.nit) == (1, 5000)


@pytest.mark.long
@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_without_noise_patience_agrees_with_the_tolerances(rate):
    off = {"gtol": 0, "xtol": 0, "learning_rate": rate}
    patient = fit(bowl, patience=200, ftol=0, **off)
    plain = fit(bowl, ftol=1e-12, **off)
    assert patient.success
    assert plain.success
    assert_allclose(patient.x, plain.x, atol=1e-5)


def judged(values, patience):
    """Number of the value at which `patience` ends a run, or None."""
    numbers = new_numbers()[0]
    part = patience / stopping.PARTS
    for k, f in enumerate(values):
        numbers.part_points += 1
        numbers.part_sum += f
        if numbers.part_points >= part and stopping.close_part(numbers, part, np.zeros(0)):
            return k + 1
    return None


@given(st.integers(0, 2**32), st.integers(2, 4), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_patience_is_the_comparison_that_it_says(seed, windows, offset, scale):
    patience = 50
    values = offset + scale * np.random.default_rng(seed).normal(size=windows * patience)
    parts = values.reshape(windows, stopping.PARTS, -1).mean(axis=2)
    means, errors = parts.mean(axis=1), parts.std(axis=1, ddof=1) / np.sqrt(stopping.PARTS)
    expected = None
    for k in range(1, windows):
        line, (scatter,) = np.polyfit(np.arange(stopping.PARTS), parts[k], 1, full=True)[:2]
        explained = np.sum((parts[k] - means[k]) ** 2) - scatter
        falls = line[0] < 0 and explained > scatter / (stopping.PARTS - 2)
        if means[k - 1] - means[k] <= np.sqrt(2) * min(errors[k - 1], errors[k]) and not falls:
            expected = (k + 1) * patience
            break
    assert judged(values, patience) == expected


def test_max_time(monkeypatch):
    clock = 0.0

    def slow(x):
        nonlocal clock
        clock += 0.125
        return bowl(x)

    monkeypatch.setattr("nbadam.methods.driver.time", SimpleNamespace(perf_counter=lambda: clock))
    result = fit(slow, max_time=1.0, steps=10_000)
    assert (result.success, result.status) == (False, 6)
    assert result.nfev == 9  # the first evaluation after which more than a second has passed
    assert_same(fit(bowl, steps=150, state=result.state), fit(bowl, steps=150))


def test_every_reason_has_its_own_message_and_limits_their_own_status():
    stops = list(stopping.Stop)
    assert len({stop.message for stop in stops}) == len(stops)
    failures = [stop.status for stop in stops if not stop.status.success]
    assert len(failures) == len(stops) - 9
    assert len(set(failures)) == len(failures)
    for stop in stops:
        assert ("successfully" in stop.message) == stop.status.success == (stop.status == 0)


def test_the_smoothed_gradient_of_a_noisy_run_can_meet_gtol():
    result = fit(Noisy(), gtol=0.3)
    assert (result.success, result.status) == (True, 0)
    assert "`gtol`" in result.message


@pytest.mark.parametrize("compiled", [False, True], ids=["python", "compiled"])
def test_progress(compiled, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    fun, args = (compiled_bowl, (1.0,)) if compiled else (bowl, ())
    plain = fit(fun, args=args, steps=300)
    assert_same(fit(fun, args=args, steps=300, progress=True), plain)
    assert "300/300" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        fit(lambda x: 1 / 0 if x.any() else bowl(x), progress=True)
    assert "0.00/50.0k" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ModuleNotFoundError, match=r"install `nbadam\[progress\]`"):
        fit(fun, args=args, steps=300, progress=True)


def test_limits_that_are_no_integers():
    assert fit(bowl, maxiter=7.5).nit == fit(compiled_bowl, args=(1.0,), maxiter=7.5).nit == 8
    assert fit(bowl, maxfun=7.5).nfev == fit(compiled_bowl, args=(1.0,), maxfun=7.5).nfev == 8


def test_stop_iteration_of_the_function_is_an_error():
    def exhausted(x):
        if x.any():
            raise StopIteration
        return bowl(x)

    with pytest.raises(StopIteration):
        fit(exhausted)


# --- The point that is returned ------------------------------------------------------------------


def test_tail_is_the_average_weighted_by_the_cube_of_the_step():
    fun = Noisy()
    result = fit(fun, steps=300, average="tail")
    points = np.array(fun.points[1:301])
    t = np.arange(1, 301.0)
    weights = t * (t + 1) * (t + 2)
    assert_allclose(result.x, weights @ points / weights.sum(), rtol=1e-12)
    assert weights[t > 210].sum() > 0.75 * weights.sum()


def test_ema_is_the_average_that_forgets():
    fun = Noisy()
    result = fit(fun, steps=300, average="ema")
    weights = 0.99 ** np.arange(299.0, -1, -1)
    assert_allclose(result.x, weights @ np.array(fun.points[1:301]) / weights.sum(), rtol=1e-12)


@pytest.mark.skipif(PLAIN, reason="takes long in plain Python")
def test_averages_are_less_noisy_than_the_last_point():
    def error(average):
        return np.mean([np.abs(fit(Noisy(k), steps=3000, average=average).x - 1).mean() for k in range(5)])

    last = error("last")
    assert error("tail") < last / 2
    assert error("ema") < last


def test_best_is_the_point_of_the_lowest_value_seen():
    fun = Noisy()
    values = []

    def recorded(x):
        f, g = fun(x)
        values.append(f)
        return f, g

    result = fit(recorded, steps=300, average="best")
    assert_array_equal(result.x, fun.points[int(np.argmin(values[:301]))])
    assert result.fun > min(values[:301])  # which was luck


def test_averages_stay_within_bounds():
    bounds = [(-1, 0.1)] * 3
    result = minimize(
        bowl,
        np.zeros(3),
        jac=True,
        bounds=bounds,
        method=nbadam.adam,
        options={"average": "tail", "steps": 400},
    )
    assert result.x.max() <= 0.1


def test_which_average_is_checked():
    with pytest.raises(ValueError, match=r"`average` must be one of .*, not .mean."):
        fit(bowl, average="mean")
    for name, value in (("patience", 9), ("max_time", -1), ("callback_interval", 0)):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            fit(bowl, **{name: value})


# --- The value at that point ---------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("average", ["tail"] if PLAIN else ["last", "tail", "best"])
def test_value_of_a_noisy_objective_has_a_standard_error(average):
    errors, deviations = [], []
    for seed in range(40):
        result = fit(Noisy(seed), steps=250, average=average)
        errors.append(result.fun_stderr)
        deviations.append((result.fun - bowl(result.x)[0]) / result.fun_stderr)
        assert result.nfev <= 1.2 * result.nit + 2  # a tenth at the end, and one at the start
    assert_allclose(np.mean(errors), 1 / np.sqrt(20), rtol=0.1)
    assert 0.7 < np.std(deviations) < 1.4
    assert abs(np.mean(deviations)) < 0.6


def test_value_without_noise_has_none():
    assert "fun_stderr" not in fit(bowl, steps=250)
    for average in ("last", "tail", "ema", "best"):
        result = fit(bowl, steps=250, average=average)
        assert result.fun == bowl(result.x)[0]
        assert_array_equal(result.jac, bowl(result.x)[1])


def test_a_lucky_start_is_no_reason_to_go_back():
    # The first value is 2 standard deviations too low: the end is no worse than the start for that.
    fun = Noisy()
    f, _ = bowl(np.full(3, 1.1))
    calls = []

    def lucky(x):
        calls.append(x)
        return (f - 2, bowl(x)[1]) if len(calls) == 1 else fun(x)

    result = fit(lucky, np.full(3, 1.1), steps=500, average="tail")
    assert_allclose(result.x, 1, atol=0.2)
    assert not np.array_equal(result.x, np.full(3, 1.1))


def test_maxfun_is_not_exceeded_by_the_end():
    assert fit(Noisy(), maxfun=200).nfev == 200
    assert fit(bowl, steps=250, maxfun=252).nfev == 252
    assert fit(bowl, steps=250, maxfun=251).nfev == 251


# --- History -------------------------------------------------------------------------------------


def test_history_of_a_short_run_has_every_step():
    seen = []
    result = fit(
        bowl, steps=20, learning_rate=lambda step: 0.1 / (1 + step),
        callback=lambda intermediate_result: seen.append(intermediate_result.fun),
    )  # fmt: skip
    history = result.history
    assert_array_equal(history.step, np.arange(1, 21))
    assert_array_equal(history.fun, seen)
    assert_allclose(history.learning_rate, 0.1 / np.arange(1, 21))
    assert_allclose(history.grad_norm[-1], np.linalg.norm(result.jac))
    assert repr(history) == "<History: 20 records of 20 steps>"


@given(st.integers(0, 5000))
def test_history_is_bounded_and_keeps_the_mean(steps):
    table, numbers = np.zeros((ROWS, 4)), new_numbers()[0]
    values = np.cos(np.arange(steps))
    for k, value in enumerate(values):
        numbers.trace_sum += value
        numbers.trace_points += 1.0
        if numbers.trace_points >= numbers.trace_every:
            push(k + 1, 0.5, 2.0, table, numbers)
    history = History.of(table, int(numbers.trace_rows))
    stride = int(numbers.trace_every)
    assert len(history) == steps // stride < ROWS
    assert len(history) >= min(steps, ROWS // 2 - 1)
    assert_array_equal(history.step, stride * np.arange(1, len(history) + 1))
    assert_allclose(history.fun, values[: len(history) * stride].reshape(-1, stride).mean(axis=1), atol=1e-12)
    assert (history.learning_rate == 0.5).all()


def test_plot_history(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    result = fit(Noisy(), steps=300)
    axes = nbadam.plot_history(result)
    for ax, curve in zip(axes, ("fun", "grad_norm", "learning_rate"), strict=True):
        (line,) = ax.get_lines()
        assert_array_equal(line.get_xdata(), result.history.step)
        assert_array_equal(line.get_ydata(), getattr(result.history, curve))
    assert nbadam.plot_history(result.history, axes) == list(axes)
    assert [len(ax.get_lines()) for ax in axes] == [2, 2, 2]
    matplotlib.pyplot.close("all")
    fresh = nbadam.plot_history(fit(bowl, [1.0, 1.0, 1.0]))  # no step at all
    assert fresh[2].get_xlabel() == "step"
    matplotlib.pyplot.close("all")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ModuleNotFoundError, match=r"install `nbadam\[plot\]`"):
        nbadam.plot_history(result)


# --- Epochs and nothing else ---------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_epochs_alone_will_do_whatever_the_units(scale, factor):
    units = scale * np.array([1.0, 1e3, 1e-3])

    def scaled(x, a, b):
        f, g = plain_loss(x, a, b)
        return factor * f, factor * g

    objective = nbadam.Minibatch(scaled, (A * units, B), batch_size=20, rng=0)
    result = minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 60})
    errors = 0.1 / np.sqrt(203)
    assert np.abs(result.x * units - EXACT).max() < 0.2 * errors
    assert result.history.learning_rate[-1] < 0.05 * result.history.learning_rate.max()


def test_epochs_with_a_learning_rate_are_as_they_are_told():
    objective = nbadam.Minibatch(plain_loss, (A, B), batch_size=20, rng=0)
    result = fit(objective, epochs=5)
    assert_array_equal(result.history.learning_rate, 0.05)
    assert_array_equal(result.state.arrays["x_scale"], 1)
    assert result.state.facts["average"] == "last"


def test_epochs_alone_resume():
    def half(state=None, stop=10**9):
        objective = nbadam.Minibatch(plain_loss, (A, B), batch_size=20, rng=0)
        steps = []

        def callback(x):
            steps.append(x)
            if len(steps) == stop:
                raise StopIteration

        options = {"epochs": 6, "state": state}
        return minimize(
            objective, np.zeros(3), jac=True, method=nbadam.adam, callback=callback, options=options
        )

    assert_same(half(half(stop=20).state), half())


def test_batches_that_tell_no_unit():
    def at_the_minimum(x, a):
        return float(x @ x), 2 * x

    objective = nbadam.Minibatch(at_the_minimum, A, batch_size=20, rng=0)
    result = minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 2, "gtol": 0})
    assert_array_equal(result.x, 0)

    def undefined(x, a):
        return float(x @ x), np.full(3, np.nan)

    objective = nbadam.Minibatch(undefined, A, batch_size=20, rng=0)
    result = minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 2})
    assert result.status == 3


def test_batches_are_evaluated_within_the_bounds():
    def root(x, a):
        assert x[0] >= 0
        return float(np.sqrt(x[0]) + a.mean() * x[1]), np.array([0.5 / np.sqrt(x[0] + 1e-30), a.mean()])

    objective = nbadam.Minibatch(root, A, batch_size=20, rng=0)
    minimize(
        objective, [0.0, 0.0], jac=True, bounds=[(0, 1), (0, 1)], method=nbadam.adam, options={"epochs": 2}
    )
