"""Fits of arrays with names, beside xarray's own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from nbadam import Model, Status, curve_fit

xr = pytest.importorskip("xarray")
nbadam_xarray = pytest.importorskip("nbadam.xarray")
curvefit = nbadam_xarray.curvefit
FORMULA = "a * x + b"


def line(x, a, b):
    return a * x + b


@pytest.fixture(scope="module")
def stack():
    """Lines over time in an image of 3 x 4 pixels, with attributes and a second coordinate."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 2, 6)
    a, b = rng.normal(size=(2, 3, 4))
    y = a * t[:, None, None] + b + 0.1 * rng.normal(size=(6, 3, 4))
    return xr.DataArray(
        y,
        dims=("time", "y", "x"),
        coords={"time": t, "y": [10, 20, 30], "lag": ("time", t**2), "name": ("x", list("abcd"))},
        attrs={"units": "counts"},
        name="signal",
    )


def by_hand(stack, p0=(1, 1), **options):
    y = stack.transpose("y", "x", "time").values
    return curve_fit(FORMULA, stack.time.values, y, p0, **options)


@pytest.mark.parametrize("order", [("time", "y", "x"), ("y", "time", "x"), ("x", "y", "time")])
def test_any_order_of_dimensions(stack, order):
    found = curvefit(stack.transpose(*order), "time", FORMULA, p0={"a": 1, "b": 1})
    fit = by_hand(stack)
    expected = {
        "coefficients": fit.popt,
        "standard_errors": fit.perr,
        "covariance": fit.pcov,
        "chi2": fit.chi2,
    }
    for name, values in (expected | {"nfev": fit.nfev, "status": fit.status}).items():
        got = found[f"curvefit_{name}"].transpose("y", "x", ...)
        assert_array_equal(got.values, values)
    assert list(found.param) == list(found.cov_i) == ["a", "b"]
    assert_array_equal(found.y, stack.y)
    assert list(found["name"]) == list("abcd")
    assert found.curvefit_coefficients.attrs["units"] == "counts"
    assert found.curvefit_status.attrs == Status.flags()


def test_the_result_is_that_of_xarray(stack):
    own = stack.curvefit("time", line, p0={"a": 1.0, "b": 1.0})
    found = stack.nbadam.curvefit("time", line, p0={"a": 1.0, "b": 1.0})
    for name in ("curvefit_coefficients", "curvefit_covariance"):
        assert found[name].dims == own[name].dims
        assert set(own[name].coords) <= set(found[name].coords)
        assert_allclose(found[name], own[name], rtol=1e-5)


def test_formulas_in_the_names_of_coordinates(stack):
    found = curvefit(stack, "time", "a * time + b", p0={"a": 1, "b": 1})
    assert_array_equal(found.curvefit_coefficients, by_hand(stack).popt)
    plane = curvefit(stack, ["time", "lag"], "a * time + b * lag", p0={"a": 1, "b": 1})
    assert list(plane.param) == ["a", "b"]
    with pytest.raises(ValueError, match="does not depend on x"):
        curvefit(stack, "time", "EXPONENTIAL")


def test_a_dataset_names_its_variables(stack):
    data = xr.Dataset({"one": stack, "two": 2 * stack, "flat": stack.isel(time=0, drop=True)})
    found = data.nbadam.curvefit("time", FORMULA)
    assert_allclose(found.two_curvefit_coefficients, 2 * found.one_curvefit_coefficients, rtol=1e-9)
    assert not any(name.startswith("flat") for name in found)


def test_starts_bounds_errors_and_masks_by_name(stack):
    starts = {"a": xr.DataArray([0.5, 1, 2], dims="y"), "b": 3}
    upper = xr.DataArray(np.linspace(0.1, 5, 4), dims="x")
    sigma = xr.DataArray(np.linspace(1, 2, 6), dims="time")
    mask = stack == stack.max("time")
    found = curvefit(
        stack,
        "time",
        FORMULA,
        p0={"b": 0.05},
        bounds={"b": (0, upper)},
        sigma=sigma,
        mask=mask,
        errors="ignore",
    )
    p0 = np.array([1, 0.05])
    high = np.stack(np.broadcast_arrays(np.inf, np.tile(upper.values, (3, 1))), axis=-1)
    fit = by_hand(
        stack,
        p0=p0,
        bounds=(np.broadcast_to([-np.inf, 0], high.shape), high),
        sigma=sigma.values,
        mask=mask.transpose("y", "x", "time").values,
    )
    assert_array_equal(found.curvefit_coefficients, fit.popt)
    assert_array_equal(curvefit(stack, "time", FORMULA, p0=starts).curvefit_status, 0)


def test_several_coordinates_and_reduced_dimensions(stack):
    model = Model("a * x + b * lag + c", variables=["x", "lag"])
    found = curvefit(stack, ["time", "lag"], model)
    assert found.curvefit_coefficients.shape == (3, 4, 3)
    whole = curvefit(stack, "time", FORMULA, reduce_dims=...)
    t = np.repeat(stack.time.values, 12)
    assert_allclose(whole.curvefit_coefficients, curve_fit(FORMULA, t, stack.values.ravel()).popt, rtol=1e-9)
    rows = curvefit(stack, "time", FORMULA, reduce_dims="x")
    assert rows.curvefit_coefficients.dims == ("y", "param")
    plane = curvefit(stack, ["time", "y"], lambda x, a, b, c: a * x[0] + b * x[1] + c)
    assert plane.curvefit_coefficients.dims == ("x", "param")


def test_missing_values(stack):
    holes = stack.where(stack < stack.max("time"))
    found = curvefit(holes, "time", FORMULA)
    assert_allclose(found.curvefit_coefficients, by_hand(holes).popt, rtol=1e-9)
    with pytest.raises(ValueError, match="finite"):
        curvefit(holes, "time", FORMULA, skipna=False)


def test_fits_that_fail(stack):
    empty = stack.where(stack.y > 10)
    with pytest.raises(RuntimeError, match=r"4 TOO_FEW_POINTS.*errors='ignore'"):
        curvefit(empty, "time", FORMULA)
    found = curvefit(empty, "time", FORMULA, errors="ignore")
    assert (found.curvefit_status.sel(y=10) == Status.TOO_FEW_POINTS).all()
    assert np.isnan(found.curvefit_coefficients.sel(y=10)).all()
    assert (found.curvefit_status.sel(y=[20, 30]) == 0).all()


def test_arrays_of_dask_stay_lazy_and_have_the_same_bits(stack):
    dask = pytest.importorskip("dask")
    lazy = stack.chunk({"y": 1, "x": 2, "time": 3})
    starts = {"a": xr.DataArray([0.5, 1, 2], dims="y"), "b": 3}
    with dask.config.set(scheduler="threads"):
        found = curvefit(lazy, "time", FORMULA, p0=starts, dtype=np.float32)
        assert dask.is_dask_collection(found.curvefit_coefficients.data)
        computed = found.compute()
    expected = curvefit(stack, "time", FORMULA, p0=starts, dtype=np.float32)
    for name in expected:
        assert_array_equal(computed[name], expected[name])
        assert computed[name].dtype == expected[name].dtype


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coords": "tim"}, "`coords`: there is no coordinate 'tim'"),
        ({"coords": []}, "`coords` must name at least one"),
        ({"reduce_dims": "z"}, "`reduce_dims`: there is no dimension 'z'"),
        ({"errors": "warn"}, "`errors` must be"),
        ({"p0": {"c": 1}}, "`p0` must list names of"),
        ({"check_finite": True}, "`check_finite` does not go with named arrays"),
        ({"coords": xr.DataArray([1.0, 2], dims="z")}, "`data` has no dimension 'z'"),
        ({"data": np.ones(3)}, "`data` must be an xarray DataArray or Dataset"),
    ],
)
def test_bad_arguments(changes, message, stack):
    with pytest.raises(ValueError, match=message):
        curvefit(**({"data": stack, "coords": "time", "func": FORMULA} | changes))


def test_named_arrays_in_curve_fit_are_fitted_along_their_own_dimension(stack):
    square = stack.isel(time=slice(4))  # as many times as pixels along x
    with pytest.raises(
        ValueError, match=r"`ydata` has the dimension 'time' of .* `nbadam\.xarray\.curvefit`"
    ):
        curve_fit(FORMULA, square.time, square)
    good = square.transpose("y", "x", "time")
    assert_array_equal(
        curve_fit(FORMULA, good.time, good).popt, curve_fit(FORMULA, good.time.values, good.values).popt
    )
