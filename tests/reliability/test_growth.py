"""Memory of long jobs: what ends leaves nothing behind."""

import gc
import os
import sys
import warnings

import numpy as np
import pytest
from numba import njit
from scipy.optimize import minimize

import nbadam
from nbadam.fitting.kernels import compile as compilation

OBJECTIVES = int(os.environ.get("NBADAM_OBJECTIVES", 1000))  # 100 steps of a class and of a run for each
ROOM = 3.0  # MB that the allocator of a process may take and keep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")


def resident() -> float:
    """Memory of this process in MB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(work, count: int, first: int = 200) -> float:
    """MB by which memory has grown after `work` was done `count` times, beyond the `first` times."""
    for number in range(first):
        work(number)
    before = resident()
    for number in range(count):
        work(first + number)
    return resident() - before


def run(k: float, steps: int = 3) -> None:
    options = {"steps": steps, "learning_rate": 0.1, "gtol": 0}
    minimize(
        lambda x: (k * float(x @ x), 2 * k * x), np.ones(3), jac=True, method=nbadam.adam, options=options
    )


def test_distinct_objectives():
    assert growth(lambda number: run(number + 0.5), OBJECTIVES) < ROOM


def test_steps_of_one_run():
    assert growth(lambda _: run(1.0, 50 * OBJECTIVES), 2, first=1) < ROOM


@njit
def bowl(x, centre):
    return ((x - centre) ** 2).sum(), 2 * (x - centre)


def compiled_run(centre: float, steps: int = 3) -> None:
    options = {"steps": steps, "learning_rate": 1e-3, "gtol": 0}
    minimize(bowl, np.zeros(3), (centre,), jac=True, method=nbadam.adam, options=options)


def test_compiled_objectives_that_differ_in_their_arguments():
    """Functions compiled anew would grow by the code of each, about as much as with Numba alone."""
    assert growth(lambda number: compiled_run(float(number)), OBJECTIVES // 5, first=20) < ROOM


def test_steps_of_a_compiled_run():
    assert growth(lambda _: compiled_run(1.0, 500 * OBJECTIVES), 2, first=1) < ROOM


@njit
def row(x, gradient, centre):
    gradient[0] = 2 * (x[0] - centre[0])
    return (x[0] - centre[0]) ** 2


def test_steps_of_a_batch():
    starts, centres = np.zeros((4, 1)), (np.ones((4, 1)),)

    def run_batch(_):
        nbadam.minimize_batch(row, starts, data=centres, steps=50 * OBJECTIVES, learning_rate=1e-3)

    assert growth(run_batch, 2, first=1) < ROOM


def test_steps_of_a_class():
    opt, variable, gradient = nbadam.Adam(), np.zeros(3), np.ones(3)
    assert growth(lambda _: opt.apply_gradients([(gradient, variable)]), 100 * OBJECTIVES) < ROOM


def test_fits_of_one_model_with_other_data():
    x = np.linspace(0, 1, 20)

    def fit(number):
        nbadam.curve_fit("a * x + b", x, number * x + 1, [1, 1])

    assert growth(fit, OBJECTIVES) < ROOM


@pytest.mark.parametrize(
    "text", ["lambda x, a: a * x + k", "lambda x, a: a * x + {number!r}"], ids=["k", "text"]
)
def test_models_that_differ_in_numbers(text):
    x, scope = np.linspace(1, 2, 9), {}

    def fit(number):
        number = 1.5 + number
        exec(f"make = lambda k: {text.format(number=number)}", scope)
        assert nbadam.curve_fit(scope["make"](number), x, 3 * x + number, [1.0]).popt == pytest.approx([3])

    assert growth(fit, OBJECTIVES // 5, first=20) < ROOM


def table_in_place(number, table=np.zeros(1 << 20)):  # noqa: B008
    table[3] = number
    return lambda x, a: a * x + table[3]


def table_of_globals(number):
    return eval("lambda x, a: a * x + table[3]", {"table": np.full(1 << 20, number)})


def table_of_a_closure(number):
    table = np.full(1 << 20, number)
    return lambda x, a: a * x + table[3]


def table_of_a_helper(number):
    table = np.full(1 << 20, number)

    def entry(k):
        return table[int(k)]

    return lambda x, a: a * x + entry(x)


class Line:
    """An object with a table."""

    def __init__(self, number):
        self.table = np.full(1 << 20, number)

    def model(self, x, a):
        """Return a line with an offset from the table."""
        return a * x + self.table[3]


def table_of_an_object(number):
    return Line(number).model


@pytest.mark.parametrize(
    "make", [table_in_place, table_of_globals, table_of_a_closure, table_of_a_helper, table_of_an_object]
)
def test_models_that_differ_in_arrays_of_8_mb(make, monkeypatch):
    """The last ones are kept: 4 here, 32 as a rule."""
    monkeypatch.setattr(compilation, "KEPT_BYTES", 1 << 25)
    x = np.linspace(1, 2, 9)

    def fit(number):
        number = 0.5 + number
        found = nbadam.curve_fit(make(number), x, 3 * x + number, [1.0])
        assert found.popt == pytest.approx([3])

    assert growth(fit, 40, first=10) < ROOM


def test_a_function_that_is_compiled_again_and_again_is_told(monkeypatch):
    """Functions with different exponents have different kernels, whose memory Numba never frees."""
    monkeypatch.setattr(compilation, "MANY_BYTES", 3 * compilation.CODE_BYTES)
    x = np.linspace(1, 2, 9)
    told = []
    for k in (2.0, 3.0, 4.0, 3.0):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit = nbadam.curve_fit(lambda x, a, k: a * x**k, x, 12 * x**k, [1, 1], fixed={"k": k})
            assert fit.popt[0] == pytest.approx(12)
            assert not caught
            fit = nbadam.curve_fit(lambda x, a: a * x**k, x, 12 * x**k, [1])  # noqa: B023
        assert fit.popt[0] == pytest.approx(12)
        told.append([str(warning.message) for warning in caught if "was compiled" in str(warning.message)])
    assert [len(messages) for messages in told] == [0, 0, 1, 0]
    assert "`fixed={name: value}`" in told[2][0]


def test_arrays_in_a_kernel_count_by_their_size(monkeypatch):
    """Of functions inside a model, arrays are in the code, whose memory is never freed."""
    monkeypatch.setattr(compilation, "MANY_BYTES", 1 << 25)
    x, table = np.linspace(1, 2, 9), np.zeros(1 << 20)
    told = []
    for k in range(4):
        table[3] = k
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit = nbadam.curve_fit(lambda x, a: (a + (lambda: table[3])()) * x, x, (3 + k) * x, [1])
        assert fit.popt[0] == pytest.approx(3)
        told.append([str(warning.message) for warning in caught if "was compiled" in str(warning.message)])
    assert [len(messages) for messages in told] == [0, 0, 1, 0]
    assert "36 MB" in told[2][0] and "arrays as further variables" in told[2][0]
