"""Functions of the whole array, which SciPy's users may write, are told from those of a point."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit, version_info

from nbadam import Model, curve_fit
from nbadam.fitting.data import DataSets
from nbadam.fitting.kernels.compile import identity
from nbadam.fitting.model import elementwise
from nbadam.fitting.model.elementwise import check_elementwise

X = np.linspace(1, 5, 30)
SCALE = np.array([1.0, 2.0, 3.0])

WEIGHTS = np.linspace(1, 2, X.size)

WHOLE = {
    "maximum": lambda x: x / np.max(x),
    "mean": lambda x: x - np.mean(x),
    "method": lambda x: x - x.mean(),
    "sum": lambda x: x / np.sum(x),
    "ptp": lambda x: (x - x.min()) / (x.max() - x.min()),
    "std": lambda x: (x - np.mean(x)) / np.std(x),
    "cumsum": lambda x: np.cumsum(x),
    "cumprod": lambda x: np.cumprod(x),
    "first": lambda x: x - x[0],
    "last": lambda x: x / x[-1],
    "length": lambda x: x / len(x),
    "size": lambda x: x / x.size,
    "shape": lambda x: x / x.shape[0],
    "convolve": lambda x: np.convolve(x, [0.5, 0.5], "same"),
    "gradient": lambda x: np.gradient(x**2),
    "sort": lambda x: np.sort(x),
    "reversed": lambda x: x[::-1],
    "roll": lambda x: np.roll(x, 1),
    "rank": lambda x: np.argsort(x) * 1.0,
    "norm": lambda x: x / np.linalg.norm(x),
    "median": lambda x: np.where(x > np.median(x), x, 0.0),
    "fft": lambda x: np.abs(np.fft.fft(x)),
    "outer": lambda x: np.exp(-(((x[:, None] - x) / 0.5) ** 2)).sum(axis=1),
    "diff": lambda x: np.append(0.0, np.diff(x)),
    "dot": lambda x: x / (x @ x),
    "loop": lambda x: np.array([x[: i + 1].sum() for i in range(len(x))]),
    "global array": lambda x: x * WEIGHTS,
}
POINT = {
    "numpy": lambda x: np.exp(-x) * np.sin(x),
    "math": lambda x: math.exp(-x),
    "branch": lambda x: x if x > 3 else 3.0,
    "where": lambda x: np.where(x > 3, x, 3.0),
    "clip": lambda x: np.minimum(x, 3.0),
    "constant": lambda x: 2.0,
    "table": lambda x: SCALE[int(x) % 3],
    "loop": lambda x: sum([x**i for i in range(3)]),
    "power": lambda x: x**1.7,
    "huge": lambda x: np.exp(300 * x),
    "nan": lambda x: np.log(x - 3),
    "rough": lambda x: np.sin(1e6 * x) + 1e9,
    "nearly 0": lambda x: np.sin(np.pi * np.floor(x)) + (x**2.0 - x * x),
    "jitted": njit(lambda x: x * x),
}


def check(function, x, p0=(1.0, 0.0)):
    """The check alone, which compiles nothing."""
    x = np.atleast_2d(np.asarray(x, float))
    model = Model(function, variables=[f"x{i}" for i in range(len(x))])
    check_elementwise(
        model, DataSets(x, np.zeros((1, x.shape[1])), None, None), lambda chosen: np.array([p0])
    )
    return identity(model)[0] in elementwise._passed


@pytest.mark.parametrize("shape", WHOLE)
def test_functions_of_the_whole_array_are_refused(shape):
    part = WHOLE[shape]
    for p0 in ((1.0, 0.0), (0.0, 1.0)):  # at the second the part has no effect
        with pytest.raises(ValueError, match=r"(than one point|takes arrays only).*another variable"):
            check(lambda x, a, b: a * part(x) + b, X, p0)


def test_a_model_that_loops_over_its_points_is_told_so():
    with pytest.raises(ValueError, match=r"takes arrays only.*write it for one number"):
        check(lambda x, a, b: [a * v + b for v in x], X)


@given(
    st.sampled_from(sorted(WHOLE)),
    st.sets(st.floats(0.1, 9).map(lambda v: round(v, 2)), min_size=3, max_size=40),
)
def test_they_are_refused_on_any_points(shape, points):
    part = WHOLE[shape]
    with pytest.raises(ValueError, match="than one point"):
        check(lambda x, a, b: a * part(x) + b, sorted(points))


@pytest.mark.parametrize("shape", POINT)
def test_functions_of_a_point_pass(shape):
    part = POINT[shape]
    assert check(lambda x, a, b: a * part(x) + b, X)
    assert check(njit(lambda x, a, b: a * part(x) + b), X)


@pytest.mark.skipif(version_info.short < (0, 61), reason="Numba's np.max takes no number")
def test_data_that_cannot_tell_prove_nothing_for_later_data():
    def line(x, a, b):
        return a * x / np.max(x) + b

    for x in ([3.0], [3.0, 3.0, 3.0]):  # here the function is the same for SciPy
        assert not check(line, x)
    y = np.ones((2, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve_fit(line, np.full(5, 3.0), y, [1, 1])
    with pytest.raises(ValueError, match="than one point"):
        curve_fit(line, np.arange(5.0), y, [1, 1])
    model = Model(line)
    for _ in range(2):
        with pytest.raises(ValueError, match="than one point"):
            curve_fit(model, np.arange(5.0), y, [1, 1])
    with pytest.raises(ValueError, match="than one point"):
        curve_fit(line, [np.full(3, 2.0), np.arange(4.0)], [np.ones(3), np.ones(4)], [1, 1])


def test_points_beyond_those_that_passed_are_evaluated():
    def kinked(x, a, b):
        return a * np.where(x > 10, x / np.max(x), x) + b

    for _ in range(2):
        check(kinked, X)
        with pytest.raises(ValueError, match="than one point"):
            check(kinked, 4 * X)


def test_each_of_several_variables():
    def plane(p, a, b):
        u, v = p
        return a * u + b * v / np.max(v)

    u = np.arange(6.0)
    assert not check(plane, [u, np.ones(6)])
    with pytest.raises(ValueError, match="than one point"):
        check(plane, [u, u**2])
    assert check(lambda p, a, b: a * p[0] + b * p[1], [u, u**2])


def test_jacobians_are_checked_as_well():
    with pytest.raises(ValueError, match="than one point"):
        curve_fit(lambda x, a: a * x, X, X, [1], jac=lambda x, a: (x / np.max(x),))


@pytest.mark.parametrize(
    "jac",
    [
        lambda x, a, b: np.stack([x, np.ones_like(x)], axis=-1),  # SciPy's, of shape (m, n)
        lambda x, a, b: np.stack([x, np.ones_like(x)], 1),  # which fails for one number
        lambda x, a, b: np.array([x, 1.0]),
        lambda x, a, b: [x, 1.0],
        lambda x, a, b: (x,),
        lambda x, a, b: x,
    ],
)
def test_jacobians_that_are_no_tuples(jac):
    """The model was blamed."""
    with pytest.raises(ValueError, match="tuple of its 2 derivatives at one point"):
        curve_fit(lambda x, a, b: a * x + b, X, X, [1, 0], jac=jac)


def test_a_function_is_evaluated_once_for_data_that_tell():
    calls = []

    def counted(x, a):
        calls.append(x)
        return a * x

    model = Model(counted)
    sets = DataSets(X[None], X[None], None, None)
    check_elementwise(model, sets, lambda chosen: np.ones((1, 1)))
    count = len(calls)
    check_elementwise(model, sets, lambda chosen: np.ones((1, 1)))
    assert len(calls) == count <= 18
