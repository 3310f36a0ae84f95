"""The forms in which users bring data, starts, bounds and options: they work, or an error says why not."""

import datetime
import re

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nbadam import Model, Status, curve_fit

M = 12
X = np.linspace(0, 4, M)
Y = 2 * X + 1 + 0.1 * np.sin(9 * X)
LEFT_OUT = X > 3


def line(x, a, b):
    return a * x + b


def plane(point, a, b):
    return a * point[0] + b * point[1]


LINE = Model(line)
P0 = [1.0, 1.0]


def fit(x=X, y=Y, p0=P0, f=line, **options):
    return curve_fit(f, x, y, p0, **options)


def masked(array, mask=LEFT_OUT):
    """Hide wrong numbers below the mask."""
    return np.ma.array(np.where(mask, 1e3, array), mask=mask)


# --- Shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [line, LINE], ids=["function", "Model"])
def test_columns_are_points(f):
    expected = fit().popt
    column = np.newaxis
    for x, y in ((X, Y[:, column]), (X[:, column], Y[:, column]), (X[:, column], Y)):
        result = fit(x, y, f=f)
        assert_array_equal(result.popt, expected)
        assert result.n_points == M
        assert_array_equal(fit([x, x], [y, y], f=f).popt, [expected] * 2)
    sigma, mask = np.linspace(1, 2, M), LEFT_OUT
    result = fit(X[:, column], Y[:, column], f=f, sigma=sigma[:, column], mask=mask[:, column])
    assert_array_equal(result.popt, fit(sigma=sigma, mask=mask).popt)
    assert_array_equal(fit(sigma=sigma[:, column], mask=mask[:, column]).popt, result.popt)


@pytest.mark.filterwarnings("ignore:.*fits without success")
def test_data_sets_of_one_point_stay_data_sets():
    result = fit(X[:1], Y[:, None])
    assert result.popt.shape == (M, 2) and (result.status == Status.TOO_FEW_POINTS).all()


@pytest.mark.parametrize("batch", [(2,), (3,), (2, 2)])
def test_each_data_set_has_its_own_x_with_a_plain_function(batch):
    x = np.broadcast_to(X, (*batch, M)) + np.arange(np.prod(batch)).reshape(*batch, 1)
    result = fit(x, line(x, 3, 1))
    assert_allclose(result.popt, np.broadcast_to([3.0, 1.0], (*batch, 2)), rtol=1e-9)


@pytest.mark.lowest
def test_variables_of_a_plain_function():
    points = np.stack([X, X**2])
    y = np.stack([plane(points, 2, 1), plane(points, 1, 3)])
    assert_allclose(fit(points, y, f=plane).popt, [[2, 1], [1, 3]], rtol=1e-9)  # also as many as data sets
    own = np.stack([points, points + 1, points + 2])
    y = np.stack([plane(x, 2, 1) for x in own])
    assert_allclose(fit(own, y, f=plane).popt, [[2, 1]] * 3, rtol=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, np.stack([Y] * 3, 1), r"points of `xdata` on axis 0.*np.moveaxis\(ydata, 0, -1\)"),
        (X, np.stack([np.stack([Y] * 3, 1)] * 5), r"on axis 1.*np.moveaxis\(ydata, 1, -1\)"),
        (np.stack([X, X], 1), Y, r"points of `ydata` on its first axis.*`xdata.T`"),
        (X[:5], Y, r"`xdata` must have the shape"),
        (np.ones((2, 3, 4)), Y, r"points on 2 axes.*`xdata.reshape\(2, -1\)` with `ydata.ravel\(\)`"),
        (np.ones((2, 3, 4)), Y.reshape(3, 4), r"`xdata.reshape\(2, -1\)` with `ydata.ravel\(\)`"),
    ],
)
def test_axes_in_another_order(x, y, message):
    for f in (line, plane, LINE, Model(plane, variables=["u", "v"])):
        if np.ndim(x) != 2 or f not in (line, LINE):
            with pytest.raises(ValueError, match=message):
                fit(x, y, f=f)


# --- Masks ----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("where", ["xdata", "ydata", "sigma", "mask"])
@pytest.mark.parametrize("kind", ["one", "batch", "ragged", "list of arrays"])
def test_masked_points_are_left_out_whatever_is_masked(where, kind):
    """Masks of `xdata` and `sigma` were ignored without a word."""
    arrays = {"xdata": X, "ydata": Y, "sigma": np.ones(M), "mask": np.zeros(M, bool)}
    arrays[where] = LEFT_OUT if where == "mask" else masked(arrays[where])
    if kind == "batch":
        arrays["ydata"] = np.ma.stack([arrays["ydata"]] * 3)
    elif kind in ("ragged", "list of arrays"):
        arrays = {name: [array, array] for name, array in arrays.items()}
    if kind == "list of arrays":
        arrays["xdata"] = arrays["xdata"][0]
        arrays["sigma"] = arrays["sigma"][0]
        arrays["mask"] = np.stack(arrays["mask"])
    result = fit(arrays["xdata"], arrays["ydata"], sigma=arrays["sigma"], mask=arrays["mask"])
    expected = fit(X[~LEFT_OUT], Y[~LEFT_OUT], sigma=1.0)
    assert (result.n_points == M - LEFT_OUT.sum()).all()
    assert_allclose(result.popt, np.broadcast_to(expected.popt, result.popt.shape), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*fits without success")
def test_a_mask_of_whole_data_sets():
    y = np.stack([Y, 2 * Y, 3 * Y, Y])
    for shape in ((4,), (2, 2)):
        mask = np.array([True, False, False, True]).reshape(shape)
        result = fit(y=y.reshape(*shape, M), mask=mask)
        assert_array_equal(result.n_points, np.where(mask, 0, M))
        assert_array_equal(result.status[mask], Status.TOO_FEW_POINTS)
        assert_array_equal(result.popt[~mask], fit(y=y[1:3]).popt)
    square = np.stack([Y[:4]] * 4)  # here it is one for points, as NumPy broadcasts
    assert_array_equal(fit(X[:4], square, mask=[True, False, False, False]).n_points, 3)


# --- Numbers --------------------------------------------------------------------------------------

HUGE = 10**400


def complex_forms(array):
    return [
        list(array + 1j),
        np.array(list(array + 1j), object),
        array + 0j,
        np.array([*array[1:], 1j], object),
    ]


NO_NUMBERS = [1j, HUGE, 10**5000, "1", None, np.datetime64("2020-01-01"), [1, 2]]
BAD = {
    "complex": ("not of complex ones", complex_forms(Y)),
    "huge": ("beyond the range of float64", [[HUGE] * M, [*Y[1:], HUGE], [10**5000] * M]),
    "text": (
        "must be an array of real numbers",
        [[str(v) for v in Y], [*Y[1:], "1"], {"a": 1}],
    ),
    "times": (
        r"holds times.*np.timedelta64\(1, 's'\)",
        [
            np.datetime64("2020-01-01") + np.arange(M),
            np.arange(M) * np.timedelta64(1, "s"),
            [datetime.date(2020, 1, 1 + i) for i in range(M)],
        ],
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["xdata", "ydata", "sigma"])
def test_data_that_are_no_real_numbers(name, kind):
    message, forms = BAD[kind]
    for form in forms:
        arguments = {"xdata": X, "ydata": Y, "sigma": np.ones(M)} | {name: form}
        with pytest.raises(ValueError, match=f"`{name}`.*{message}") as info:
            curve_fit(line, p0=P0, **arguments)
        assert len(str(info.value)) < 300 and "\n" not in str(info.value)


@pytest.mark.lowest
@pytest.mark.parametrize("value", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
@pytest.mark.parametrize("name", ["p0", "bounds", "fixed", "f_scale", "ftol"])
def test_numbers_that_are_none(name, value):
    given = {"p0": [1, value], "bounds": ([0, value], 9), "fixed": {"a": value}}.get(name, value)
    if (name, value) in (("p0", None), ("ftol", None)):
        return  # None is NaN in NumPy, and no tolerance
    with pytest.raises(ValueError, match=name) as info:
        fit(**{name: given})
    assert len(str(info.value)) < 300 and "\n" not in str(info.value)


@settings(max_examples=20)
@given(
    st.sampled_from(["object", "float16", "float32", "longdouble", "int8", "uint16", "bool", ">f8", "list"])
)
def test_real_numbers_of_any_dtype(dtype):
    y = np.array([0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 1])
    given = y.tolist() if dtype == "list" else y.astype(dtype)
    assert_array_equal(fit(y=given).popt, fit(y=y.astype(float)).popt)


def test_overlapping_views_are_read_and_never_written():
    base = np.linspace(0, 4, 2 * M) + 0.1 * np.sin(np.arange(2 * M) ** 2)
    kept = base.copy()
    views = base[:M], base[::2], np.frombuffer(base.data, count=M), base[::-1][:M]
    views = views[1 if numba.config.DISABLE_JIT else 0 :]
    for x in views:
        for y in views:
            p0 = base[1:3]
            if x is y:
                continue
            lower, upper = base[:2] - 99, base[2:4] + 99
            result = fit(x, y, p0=p0, bounds=(lower, upper))
            assert_array_equal(base, kept)
            assert_array_equal(result.popt, fit(x.copy(), y.copy(), p0=p0.copy(), bounds=(lower, upper)).popt)


# --- By name --------------------------------------------------------------------------------------


@pytest.mark.lowest
def test_starts_by_name():
    y = np.stack([Y, 2 * Y])
    assert_array_equal(fit(p0={"b": 1.5, "a": 2}).popt, fit(p0=[2, 1.5]).popt)
    assert_array_equal(fit(y=y, p0={"b": [1, 2], "a": 3}).popt, fit(y=y, p0=[[3, 1], [3, 2]]).popt)
    assert_array_equal(fit(p0={"a": 2}, fixed={"b": 0.5}).popt, fit(p0=[2, 0.5], fixed=["b"]).popt)
    for p0, message in (({"a": 1}, "`p0` must have an entry for 'b'"), ({"a": 1, "c": 1}, "not 'c'")):
        with pytest.raises(ValueError, match=message):
            fit(p0=p0)


def test_bounds_by_name():
    y = np.stack([Y, 2 * Y])
    for by_name, arrays in (
        ({"a": (0, 1.5)}, ([0, -np.inf], [1.5, np.inf])),
        ({"b": (None, 0.5), "a": (0, None)}, ([0, -np.inf], [np.inf, 0.5])),
    ):
        assert_array_equal(fit(p0=None, bounds=by_name).popt, fit(p0=None, bounds=arrays).popt)
    assert_array_equal(fit(bounds=None).popt, fit().popt)
    each = fit(y=y, bounds={"a": ([0, 0], [1.5, 3])})
    assert_array_equal(each.popt[:, 0], [1.5, 3])
    for bounds, message in (
        ({"c": (0, 1)}, "not 'c'"),
        ({"a": 1}, "not 1 for 'a'"),
        ({"a": (2, 1)}, "less than"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(bounds=bounds)


@pytest.mark.lowest
def test_fixed_by_name_and_value():
    """A dict was taken for its keys, and the parameter stayed at `p0`."""
    result = fit(p0=[1, 7], fixed={"b": 0.5})
    assert result.popt[1] == 0.5 and result.perr[1] == 0
    assert_array_equal(result.popt, fit(p0=[1, 0.5], fixed=["b"]).popt)
    assert_allclose(fit(p0=None, fixed={1: 0.5}).popt, result.popt, rtol=1e-12)
    y = np.stack([Y, 2 * Y])
    each = fit(y=y, fixed={"b": [0.5, 1.5]})
    assert_array_equal(each.popt[:, 1], [0.5, 1.5])
    for fixed, message in (
        ({"c": 1}, "not 'c'"),
        ({"b": np.nan}, "finite values"),
        ({"b": [1, 2, 3]}, "shape of the batch"),
        ({"a": 1, "b": 2}, "leaves no parameter"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(y=y, fixed=fixed)


def test_masked_starts_and_bounds_are_refused():
    half = np.ma.array([1.0, 2.0], mask=[True, False])
    for options in ({"p0": half}, {"bounds": (half - 5, 9)}, {"fixed": {"a": half[:1]}}):
        with pytest.raises(ValueError, match="must not be masked"):
            fit(**options)
    assert_array_equal(fit(p0=np.ma.array([1.0, 1.0])).popt, fit().popt)


# --- SciPy's arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"maxfev": 500}, {"maxfev": 0}, {"nan_policy": "omit"}, {"nan_policy": "raise"}, {"nan_policy": None},
        {"full_output": False}, {"method": None}, {"method": "trf"}, {"method": "dogbox"},
        {"jac": "2-point"}, {"jac": "cs"},
        {"x_scale": 1.0}, {"verbose": 0}, {"gtol": 1e-8}, {"diff_step": None}, {"args": ()},
    ],
    ids=str,
)  # fmt: skip
def test_arguments_of_scipy_whose_meaning_is_plain(options):
    assert_array_equal(fit(**options).popt, fit().popt)


@pytest.mark.parametrize(
    ("options", "way_out"),
    [
        ({"full_output": True}, "the result has it all"),
        ({"weights": X}, r"sigma=1 / np.sqrt\(weights\)"),
        ({"x_scale": "jac"}, "do not depend on the units"),
        ({"x_scale": [1, 2]}, "do not depend on the units"),
        ({"epsfcn": 1e-3}, "`jac`"),
        ({"gtol": 1e-3}, "`ftol` and `xtol`"),
        ({"args": (1,)}, "functools.partial"),
        ({"verbose": 2}, "progress=True"),
        ({"sigmas": 1}, "did you mean `sigma`"),
        ({"nonsense": 1}, "unexpected keyword argument 'nonsense'"),
        ({"maxfev": 5, "max_nfev": 5}, "are the same"),
    ],
    ids=str,
)
def test_arguments_that_have_no_meaning_here(options, way_out):
    with pytest.raises(TypeError, match=way_out):
        fit(**options)


def test_maxfev_limits_the_evaluations():
    with pytest.raises(RuntimeError, match=re.escape("max_nfev")):
        curve_fit("a*exp(b*x)", X, np.exp(X), [1, 3.0], maxfev=1)


def test_nan_policy():
    y = Y.copy()
    y[3] = np.nan
    for options in ({"nan_policy": "raise"}, {"check_finite": True}):
        with pytest.raises(ValueError, match="`ydata` must not contain infs or NaNs"):
            fit(y=y, **options)
        assert fit(y=np.ma.masked_invalid(y), **options).n_points == M - 1
    assert fit(y=y, nan_policy="omit").n_points == M - 1
    with pytest.raises(ValueError, match="`nan_policy` must be"):
        fit(nan_policy="propagate")


# --- Anything at all ------------------------------------------------------------------------------

ARGUMENTS = (
    "f xdata ydata p0 sigma absolute_sigma check_finite bounds method jac loss f_scale mask fixed tied dtype "
    "ftol xtol max_nfev batch_size rng search workers nan_policy maxfev full_output weights"
).split()
ODD = [
    None, 0, -1, 1.5, True, 1j, HUGE, 10**5000, "1", "a", "", b"x", [], (), {}, [1], [1, 2, 3], [[1, 2]],
    [[1], [2]], {"a": 1}, {"b": None}, {1: 2}, {"z": 3}, np.nan, np.inf, [np.nan, 1], np.zeros(0),
    np.zeros((0, M)), np.zeros((2, 0)), np.ones((M, 1)), np.ones((1, M)), np.ones((M, 2)), np.eye(M),
    np.ones((3, 4, M)),
    np.array([None] * M), np.ma.masked, np.ma.masked_all(M), X > 2, np.datetime64("2020"), ["a"] * M, [X, X],
    [X, X[:5]], [[1, 2], [3]], object(), np.sin, int, iter([1, 2]), {1, 2}, np.array(1), np.str_("a"),
    np.float32(1), -0.0, slice(3), ..., NotImplemented, np.zeros(3, dtype=[("a", float)]), range(M),
    memoryview(b"abcd"),
]  # fmt: skip


@pytest.mark.lowest
@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="a fit each time that something is taken")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_anything_is_taken_or_refused_in_one_line(name):
    for value in ODD:
        arguments = {"f": line, "xdata": X, "ydata": Y, "p0": P0, "max_nfev": 30} | {name: value}
        try:
            curve_fit(**arguments)
        except (ValueError, TypeError, RuntimeError) as error:
            text = str(error)
            assert "\n" not in text and len(text) < 450, text
            assert not any(words in text for words in ("truth value", "inhomogeneous", "digits)")), text
