"""Warnings name the user's line, through every door."""

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba import config
from scipy import optimize

import nbadam
from nbadam import optimizers
from nbadam.batches import batch
from nbadam.caller import warn
from nbadam.tables import fit_table

pd = pytest.importorskip("pandas")
PACKAGE = Path(nbadam.__file__).parent
X = np.linspace(0, 6, 40)


def bowl(x):
    return float(x @ x), 2 * x


def square(x):
    return float(x @ x)


def misfit(x, y):
    return float((x @ x) + y[0]), 2 * x


def poisson():
    rng = np.random.default_rng(0)
    z = np.column_stack([np.ones(4000), rng.standard_normal((4000, 2))])
    y = rng.poisson(np.exp(z @ [5.0, 0.5, -0.4]))

    def loss(p, z, y):
        rate = np.exp(z @ p)
        return float((rate - y * (z @ p)).mean()), ((rate - y)[:, None] * z).mean(axis=0)

    return nbadam.Minibatch(loss, (z, y), batch_size=100, rng=0)


def directly(fun, x0, options, **more):
    return nbadam.adam(fun, x0, **more, **options)


def by_minimize(fun, x0, options, **more):
    return optimize.minimize(fun, x0, method=nbadam.adam, options=options, **more)


def by_basinhopping(fun, x0, options, **more):
    how = {"method": nbadam.adam, "options": options} | more
    return optimize.basinhopping(fun, x0, niter=1, minimizer_kwargs=how)


def by_multistart(fun, x0, options, **more):
    return nbadam.multistart(fun, [x0], options=options, workers=1, **more)


DOORS = [directly, by_minimize, by_basinhopping, by_multistart]
KINDS = {
    "Unknown solver options": (bowl, [1.0], {"frobnicate": 1, "steps": 2}, {"jac": True}),
    "Initial guess": (bowl, [5.0], {"steps": 2}, {"jac": True, "bounds": [(0, 1)]}),
    "Maximum number of iterations": (bowl, [5.0], {"maxiter": 2, "disp": True}, {"jac": True}),
    "standard errors": (poisson(), np.zeros(3), {"epochs": 1}, {"jac": True}),
    "Hessian": (bowl, [5.0], {"steps": 2}, {"jac": True, "hess": lambda x: 2.0}),
}


def assert_names(door, caught, match):
    """Check that the warning that matches names a line of the function `door`."""
    found = [each for each in caught if match in str(each.message)]
    assert found, [str(each.message) for each in caught]
    lines = {line for *_, line in door.__code__.co_lines()}
    for each in found:
        assert each.filename == __file__
        assert each.lineno in lines


@pytest.mark.parametrize("match", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_methods_name_the_line_that_calls_them(door, match):
    fun, x0, options, more = KINDS[match]
    if match == "Hessian" and door is by_multistart:
        pytest.skip("multistart takes no Hessian")
    if match == "Maximum number of iterations" and door is by_basinhopping:
        more = {name: value for name, value in more.items() if name != "disp"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        door(fun, x0, dict(options), **more)
    assert_names(door, caught, match)


def poor_fits():
    y = np.tile(np.exp(-X), (2, 1))
    y[1, 1:] = np.nan
    nbadam.curve_fit("a * exp(-k * x)", X, y, [1, 1])


def undetermined_fit():
    nbadam.curve_fit("(a + b) * x", X, X, [1, 1])


def lower_minimum():
    fit = nbadam.curve_fit(
        "a * sin(k * x)", X, np.sin(3 * X), [1, 8.6], np.full(40, 0.1), absolute_sigma=True
    )
    fit.conf_int(sigma=7.5)


def bad_rows():
    table = pd.DataFrame({"t": X, "s": ["n/a", *map(str, np.exp(-X[1:]))]})
    fit_table(table, "a * exp(-k * t)", x="t", y="s", p0=[1, 1])


def interrupted_batch():
    def stop(done):
        raise StopIteration

    y = np.zeros((3 * batch.FIRST, 1))
    nbadam.minimize_batch(misfit, [1.0, 1.0], data=(y,), steps=2, callback=stop, workers=1)


def lost_exclusions():
    opt = optimizers.AdamW(weight_decay=0.1)
    opt.exclude_from_weight_decay([np.ones(1)])
    opt.save("run")
    optimizers.AdamW(weight_decay=0.1).load("run")


def function_that_cannot_be_sent():
    lock = threading.Lock()

    def locked(x):
        with lock:
            return bowl(x)

    nbadam.multistart(locked, [[1.0], [2.0]], jac=True, options={"steps": 2}, workers=2)


def full_disk():
    nbadam.adam(bowl, [1.0], jac=True, steps=2, checkpoint="run.npz")


OTHERS = {
    "fits without success": poor_fits,
    "Covariance": undetermined_fit,
    "search='all'": lower_minimum,
    "is not a number": bad_rows,
    "Interrupted": interrupted_batch,
    "call it again": lost_exclusions,
    "cannot be sent": function_that_cannot_be_sent,
    "`checkpoint` was not written": full_disk,
}


@pytest.mark.parametrize("match", OTHERS)
def test_other_functions_name_the_line_that_calls_them(match, tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    if match.startswith("`checkpoint`"):
        monkeypatch.setattr("nbadam.methods.state.np.savez", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        OTHERS[match]()
    assert_names(OTHERS[match], caught, match)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_functions_made_in_a_loop_are_told_at_the_loop():
    from numba import njit

    def loop():
        for k in range(6):
            nbadam.adam(njit(lambda x: (x[0] * k, x)), [1.0], jac=True, steps=1)  # noqa: B023

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop()
    assert_names(loop, caught, "Define it once")


def test_a_call_from_within_a_function_that_is_minimized_names_that_function():
    def inner(x):
        nbadam.adam(bowl, [1.0], jac=True, steps=1, frobnicate=1)
        return bowl(x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimize.minimize(inner, [1.0], jac=True, method=nbadam.adam, options={"steps": 1})
    assert_names(inner, caught, "Unknown solver options")


@pytest.mark.skipif(config.DISABLE_JIT, reason="runs are made in threads where `fun` is compiled")
def test_runs_in_threads_name_the_line_that_calls_them():
    from numba import njit

    def in_threads():
        nbadam.multistart(
            njit(bowl), [[1.0], [2.0]], jac=True, options={"steps": 2, "frobnicate": 1}, workers=2
        )

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        in_threads()
    assert_names(in_threads, caught, "Unknown solver options")


def test_without_a_line_of_the_user_the_outermost_one_is_named():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = threading.Thread(target=warn, args=("alone",))
        thread.start()
        thread.join()
    assert [str(each.message) for each in caught] == ["alone"]


def test_all_warnings_are_given_in_one_place():
    givers = [
        path.name for path in PACKAGE.rglob("*.py") if "warnings.warn" in path.read_text(encoding="utf-8")
    ]
    assert givers == ["caller.py"]
