"""What a fit returns: tables, data frames, datasets, plots."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from nbadam import FitResult, Model, Status, archives, curve_fit, load_fit, models
from nbadam.fitting.covariance import LANES, factored, unsure_kernel
from nbadam.fitting.result.report import rounded

X = np.linspace(0, 3, 12)


def line(x, slope, offset):
    return slope * x + offset


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(0)
    y = line(X, 2.0, 1.0) + 0.1 * rng.standard_normal((3, 4, X.size))
    y[1, 2] = np.nan
    return curve_fit(line, X, y, [1, 1])


def test_status_and_messages(fit):
    assert fit.status[1, 2] == Status.TOO_FEW_POINTS
    assert fit.message((1, 2)) == Status.TOO_FEW_POINTS.message


def test_derived_quantities(fit):
    assert_array_equal(fit.dof, fit.n_points - 2)
    good = fit.success
    assert_allclose(fit.reduced_chi2[good], fit.chi2[good] / 10)
    assert np.isnan(fit.reduced_chi2[1, 2])
    assert_allclose(fit.perr[good] ** 2, np.diagonal(fit.pcov, axis1=-2, axis2=-1)[good])
    popt, pcov = fit
    assert popt is fit.popt and pcov is fit.pcov


def test_origin_of_the_derivatives(fit):
    assert fit.derivatives in ("exact", "differences")
    given = Model(line, jacobian=lambda x, slope, offset: (x, 1.0))
    assert curve_fit(given, X, line(X, 1, 2), [1, 1]).derivatives == "given"
    assert curve_fit("a * x + b", X, line(X, 1, 2), [1, 1]).derivatives == "exact"


def test_structured_array(fit):
    table = fit.to_structured()
    assert table.shape == (3, 4)
    assert table.dtype.names == (
        "slope", "slope_err", "offset", "offset_err",
        "chi2", "reduced_chi2", "n_points", "nfev", "status", "success",
    )  # fmt: skip
    assert_array_equal(table["offset"], fit.popt[..., 1])


@pytest.mark.lowest
def test_parameters_with_the_names_of_statistics():
    """A parameter called chi2 was overwritten."""
    fit = curve_fit("chi2 * x + a + 0.5 * a_err * x * x", X, [line(X, 1, 2)] * 2, [1, 1, 1])
    table = fit.to_structured()
    assert table.dtype.names[:6] == ("chi2_", "chi2__err", "a", "a_err", "a_err_", "a_err__err")
    assert_array_equal(table["chi2_"], fit.popt[:, 0])
    assert_array_equal(table["chi2"], fit.chi2)


def test_data_frame(fit):
    pytest.importorskip("pandas")
    frame = fit.to_dataframe()
    assert frame.shape == (12, 10)
    assert frame.loc[(2, 3), "slope"] == fit.popt[2, 3, 0]
    assert len(curve_fit(line, X, line(X, 1, 2), [1, 1]).to_dataframe()) == 1


def test_dataset(fit):
    pytest.importorskip("xarray")
    dataset = fit.to_xarray(["row", "column"], {"row": [10, 20, 30]})
    assert_array_equal(dataset["slope_err"].sel(row=20), fit.perr[1, :, 0])
    flags = dataset["status"].attrs
    names = dict(zip(flags["flag_values"], flags["flag_meanings"].split(), strict=True))
    assert names[int(dataset["status"][1, 2])] == "TOO_FEW_POINTS"


def test_numbers_with_errors(fit):
    uncertainties = pytest.importorskip("uncertainties")
    numbers = fit.to_uncertainties()
    assert numbers.shape == fit.popt.shape
    covariance = uncertainties.covariance_matrix
    for index in np.argwhere(fit.success):
        own = numbers[tuple(index)]
        assert_allclose([u.nominal_value for u in own], fit.popt[tuple(index)], rtol=1e-15)
        assert_allclose(covariance(own), fit.pcov[tuple(index)], rtol=1e-12)
    assert covariance([numbers[0, 0, 0], numbers[0, 1, 0]])[0][1] == 0
    assert np.isnan([[u.nominal_value, u.std_dev] for u in numbers[1, 2]]).all()
    slope, offset = fit[0, 0].to_uncertainties()
    value, error = fit[0, 0].derive("offset / slope")
    digits = 1e-9 if numba.config.DISABLE_JIT else 1e-12  # plain Python takes differences
    assert_allclose([(offset / slope).nominal_value, (offset / slope).std_dev], [value, error], rtol=digits)


@pytest.mark.lowest
@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
def test_numbers_with_errors_of_all_kinds():
    pytest.importorskip("uncertainties")
    y = line(X, 2.0, 1.0) + 0.1 * np.random.default_rng(0).standard_normal((2, X.size))

    def errors(*args, **options):
        return np.vectorize(lambda u: u.std_dev)(curve_fit(*args, **options).to_uncertainties())

    fixed = curve_fit("a * x + b + c", X, y, [1, 1, 0], fixed=["c"], tied={"b": "2 * a"})
    a, b, c = fixed.to_uncertainties()[0]
    assert (b - 2 * a).std_dev < 1e-7 * b.std_dev and c.std_dev == 0  # a singular covariance matrix
    assert_allclose([a.std_dev, b.std_dev], fixed.perr[0, :2])
    assert np.isinf(errors("a * x + b + c", X, y, [1, 1, 0])).all()  # not determined
    assert np.isinf(errors("a * x + b", X[:2], y[:, :2], [1, 1])).all()  # no degrees of freedom
    assert np.isnan(errors("a * exp(-k * x) + c", X, y, [1, 1, 1], max_nfev=2)).all()  # no minimum


@pytest.fixture
def pyplot():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_a_plot_shows_data_model_residuals_and_band(fit, pyplot):
    ax = fit.plot((0, 1), xlabel="time / s", ylabel="signal / mV")
    assert_allclose(ax.lines[-1].get_ydata(), line(ax.lines[-1].get_xdata(), *fit.popt[0, 1]))
    assert "slope = " in ax.get_title()
    assert ax.get_ylabel() == "signal / mV"
    lower = ax.figure.axes[1]
    assert lower.get_xlabel() == "time / s"
    assert_allclose(lower.lines[-1].get_ydata(), fit[0, 1].residuals)
    grid = ax.lines[-1].get_xdata()
    band = fit[0, 1].band(grid, sigma=2)
    edge = ax.collections[0].get_paths()[0].vertices
    assert_allclose([edge[:, 1].min(), edge[:, 1].max()], [band.lower.min(), band.upper.max()])
    own = pyplot.figure().add_subplot()
    assert fit.plot((0, 1), own, band=False) is own
    assert len(own.figure.axes) == 1
    assert not any("band" in text.get_text() for text in own.get_legend().get_texts())
    with pytest.raises(ValueError, match=r"`index` must name one fit of a batch of shape \(3, 4\)"):
        fit.plot()


def test_residuals_are_in_units_of_sigma(pyplot):
    y = line(X, 1, 2) + np.sin(9 * X)
    fit = curve_fit(line, X, y, [1, 1], sigma=np.full(X.size, 0.5))
    lower = fit.plot().figure.axes[1]
    assert_allclose(lower.lines[-1].get_ydata(), fit.residuals / 0.5)
    assert lower.get_ylabel() == "residual / sigma"


def test_maps(fit, pyplot):
    ax = fit.plot_map("slope", unit="V/s", extent=(0, 4, 3, 0))
    image = ax.images[0].get_array()
    assert image.mask[1, 2] if np.ma.isMaskedArray(image) else np.isnan(image[1, 2])
    assert ax.figure.axes[1].get_ylabel() == "slope / V/s"
    assert ax.images[0].get_extent() == [0, 4, 3, 0]
    assert fit.plot_map("status").images
    with pytest.raises(ValueError, match="`parameter` must be one of slope,"):
        fit.plot_map("width")
    with pytest.raises(ValueError, match="one or two axes"):
        curve_fit(line, X, line(X, 1, 2), [1, 1]).plot_map("slope")


def test_a_wild_fit_does_not_wash_out_a_map(pyplot):
    y = line(X, np.linspace(1, 2, 60)[:, None], 1)
    y[7] *= 1e6
    fit = curve_fit(line, X, y, [1, 1])
    low, high = fit.plot_map("slope").get_ylim()
    assert 0 < low < 1.1
    assert 1.9 < high < 4
    image = curve_fit(line, X, y.reshape(6, 10, -1), [1, 1]).plot_map("slope").images[0]
    assert image.get_clim()[1] < 3


def test_the_worst_fits_are_plotted_first(fit, pyplot):
    order = np.argsort(-np.where(fit.success, fit.reduced_chi2, -1), axis=None)
    axes = fit.plot_worst(4, xlabel="t")
    for ax, number in zip(axes, order, strict=False):
        assert str([int(i) for i in np.unravel_index(number, (3, 4))]) in ax.get_title()
        assert ax.get_xlabel() == "t"
    assert len(fit.plot_worst(100)) == 11  # the twelfth has no parameters
    with pytest.raises(ValueError, match="No fit has parameters"):
        fit[1, 2].plot_worst()


def test_histograms_and_scatter(fit, pyplot):
    labels = fit.plot_histogram("status").get_yticklabels()
    assert [label.get_text() for label in labels] == ["SUCCESS", "TOO_FEW_POINTS"]
    assert sum(bar.get_height() for bar in fit.plot_histogram("slope", bins=5).patches) >= 8
    with pytest.raises(ValueError, match="`field` must be one of slope,"):
        fit.plot_histogram("width")
    axes = fit.plot_parameters()
    assert axes.shape == (2, 2)
    assert_allclose(axes[1, 0].lines[0].get_xdata(), fit["slope"][fit.success])
    assert axes[1, 1].get_xlabel() == "offset"
    with pytest.raises(ValueError, match="No fit succeeded"):
        fit[1, 2:3].plot_parameters()


@pytest.mark.parametrize("constant", [True, False])
def test_a_plot_of_two_variables(constant, pyplot):
    """A curve over the one that differs; if both do, data over the model's values."""

    def plane(point, a, b):
        return a * point[0] + b * point[1]

    x = np.stack([np.full(X.size, 2.0) if constant else X**2, X])
    fit = curve_fit(Model(plane, variables=["u", "v"]), x, 3 * x[0] + x[1], [1.0, 1.0])
    ax = fit.plot()
    horizontal, vertical = ax.lines[-1].get_data()
    assert ax.figure.axes[1].get_xlabel() == ("v" if constant else "model")
    assert_allclose(vertical, 6 + horizontal if constant else horizontal)
    assert_allclose(ax.lines[0].get_xdata(), X if constant else 3 * X**2 + X)


def test_roots_of_covariances():
    rng = np.random.default_rng(1)
    factors = rng.standard_normal((20, 6, 4))
    matrices = np.einsum("fki,fkj->fij", factors, factors)
    rows, columns = np.tril_indices(4)
    triangles = np.ascontiguousarray(matrices[:, rows, columns])
    for free in (np.ones(4, bool), np.array([True, False, True, True])):
        out = factored(triangles, np.zeros(20, bool), free)
        found = out @ np.swapaxes(out, 1, 2)
        assert_allclose(found[:, free][:, :, free], np.linalg.inv(matrices[:, free][:, :, free]), rtol=1e-8)
        assert (found[:, ~free] == 0).all() and (found[:, :, ~free] == 0).all()


def test_fits_are_unsure_by_the_least_pivot_of_a_cholesky_decomposition():
    rng = np.random.default_rng(2)
    jacobians = rng.standard_normal((45, 6, 4)) + 3
    jacobians[7, :, 2] = 0
    matrices = np.einsum("fki,fkj->fij", jacobians, jacobians)
    rows, columns = np.tril_indices(4)
    status, found = np.full(45, Status.SUCCESS, np.int8), np.empty(45, bool)
    fits = np.ascontiguousarray(matrices[:, rows, columns]), np.zeros((45, 4)), np.ones(45), status
    for free in (np.ones(4, bool), np.array([True, False, True, True])):
        used = np.delete(matrices[:, free][:, :, free], 7, axis=0)
        lower = np.linalg.cholesky(used)
        shares = (np.einsum("fii->fi", lower) ** 2 / np.einsum("fii->fi", used)).min(axis=1)
        for limit in np.outer(shares, [1 - 1e-9, 1 + 1e-9]).ravel():
            work = np.empty((10 + 4 + 3, LANES)), found
            with np.errstate(all="ignore"):
                unsure_kernel("float64")(
                    *fits, np.zeros(45, np.int32), free, np.array([limit, 0, 0]), 0, *work
                )
            assert found[7]
            assert_array_equal(np.delete(found, 7), shares < limit)


def test_a_combination_that_the_data_do_not_determine():
    def redundant(x, a, b):
        return (a + b) * x

    with pytest.warns(Warning, match="Covariance"):
        assert np.isinf(curve_fit(redundant, X, 3 * X + 0.1, [1, 1]).perr).all()


def test_a_printed_fit_is_a_table():
    rng = np.random.default_rng(3)
    one = curve_fit(line, X + 100, line(X, 2, 1) + 0.1 * rng.standard_normal(12), [1, 1])
    lines = repr(one).splitlines()
    assert lines[0] == "Fit of line: SUCCESS"
    assert lines[1].split() == ["parameter", "value", "standard", "error", "correlation"]
    name, value, error, other, correlation = lines[2].split()
    assert (name, other) == ("slope", "offset") and float(correlation) < -0.99
    assert_allclose([float(value), float(error)], [one.popt[0], one.perr[0]], rtol=0.1)
    assert "12 points and 2 free parameters" in repr(one) and one.message() in repr(one)
    assert "<td>slope</td>" in one._repr_html_() and "<b>Fit of line: SUCCESS</b>" in one._repr_html_()
    assert "fixed" in repr(curve_fit(line, X, line(X, 2, 1), [1, 1], fixed=["offset"]))


@pytest.mark.lowest
def test_a_printed_batch_is_a_summary(fit):
    text = repr(fit)
    assert text.startswith("12 fits of line, shape (3, 4)\n")
    assert f"11 SUCCESS: {Status.SUCCESS.message}" in text and "1 TOO_FEW_POINTS" in text
    assert "<td>offset</td>" in fit._repr_html_()
    assert fit.message() == "; ".join(text.splitlines()[-2:])


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (3.14159, 0.0123, ("3.142", "0.012")),
        (-1234.5, 67.8, ("-1234", "68")),
        (0.0, 0.5, ("0.00", "0.50")),
        (1.7e9, 120.0, ("1.70000000e+09", "1.2e+02")),
        (2.0, np.inf, ("2", "inf")),
        (np.nan, np.nan, ("nan", "nan")),
    ],
)
def test_values_are_rounded_to_their_errors(value, error, expected):
    assert rounded(value, error) == expected


def test_parts_of_a_result(fit):
    one = fit[1, 3]
    assert one.popt.shape == (2,) and one.message() == fit.message((1, 3))
    for part, index in ((fit[1:], slice(1, None)), (fit[fit.success], fit.success), (one, (1, 3))):
        for name in ("popt", "pcov", "chi2", "nfev", "status", "n_points", "reduced_chi2"):
            assert_array_equal(getattr(part, name), getattr(fit, name)[index])
    assert_array_equal(fit["slope"], fit.popt[..., 0])
    with pytest.raises(KeyError, match="no parameter 'width'; there are slope, offset"):
        fit["width"]
    with pytest.raises(IndexError, match=r"\[3\] is outside the batch of shape \(3, 4\)"):
        fit[3]
    assert one[0] is one.popt and len(one[:2]) == 2  # the pair of SciPy's `curve_fit(...)[0]`
    assert_array_equal(one[1], one.pcov)
    for index in (2, (0,)):
        with pytest.raises(IndexError, match="result of one fit"):
            one[index]


@pytest.mark.lowest
def test_results_are_pickled_and_copied(fit):
    formula = curve_fit("a * x + b", X, line(X, 1, 2) + X**2, [1, 1], dtype=np.float32)
    hidden = curve_fit(lambda x, a, b: a * x + b, X, line(X, 1, 2) + X**2, [1, 1], tied={"b": "2 * a"})
    peak = curve_fit(models.GAUSSIAN, X, np.exp(-((X - 1) ** 2)))
    for result in (fit, formula, hidden, peak, fit[1, 3]):
        for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), copy.copy(result)):
            for name in ("popt", "pcov", "chi2", "status"):
                assert_array_equal(getattr(other, name), getattr(result, name))
            assert repr(other) == repr(result)
    copied = pickle.loads(pickle.dumps(formula))
    assert_allclose(copied.model(X, 1, 2), X + 2)
    assert pickle.loads(pickle.dumps(peak)).model.guess is models.GAUSSIAN.guess
    with pytest.raises(TypeError, match="function of `<lambda>` is not there"):
        pickle.loads(pickle.dumps(hidden)).model(X, 1, 2)
    assert copy.deepcopy(hidden).model(1.0, 2, 3) == 5
    for name in models.__all__:
        assert pickle.loads(pickle.dumps(getattr(models, name))) is getattr(models, name)


@pytest.mark.long
def test_results_travel_between_processes(fit):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert_array_equal(pool.submit(FitResult.__getitem__, fit, (1, 3)).result().popt, fit[1, 3].popt)


def test_results_are_saved_and_loaded(fit, tmp_path):
    file = tmp_path / "fit.npz"
    values = X**2 + np.random.default_rng(0).random(X.size)
    cases = {
        "formula": curve_fit("a * x + b", X, values, [1, 1], dtype=np.float32),
        "shipped": curve_fit(models.GAUSSIAN, X, np.exp(-((X - 1) ** 2))),
        "tied": curve_fit("a * x + b", X, values, [1, 1], tied={"b": "2 * a"}),
        "correlated": curve_fit("a * x + b", X, values, [1, 1], sigma=np.eye(X.size) + 0.1),
        "of lists": curve_fit("a * x + b", [X, X[:5]], [values, values[:5]], [1, 1]),
        "batch": fit,
        "part": fit[1, 3],
    }
    for name, result in cases.items():
        result.save(file)
        other = load_fit(file)
        assert repr(other) == repr(result), name
        for field in ("popt", "pcov", "chi2", "nfev", "status", "n_points", "free", "varies"):
            assert_array_equal(getattr(other, field), getattr(result, field))
            assert getattr(other, field).dtype == getattr(result, field).dtype
        for mine, own in zip(other._data.one(0), result._data.one(0), strict=True):
            assert_allclose(mine, own, rtol=1e-14) if own is not None else None
    cases["shipped"].save(file)
    assert load_fit(file).model is models.GAUSSIAN
    cases["formula"].save(file)
    assert_allclose(load_fit(file).model(X, 1, 2), X + 2)
    with pytest.raises(ValueError, match="saved or pickled cannot evaluate or refit"):
        load_fit(file).conf_int()
    curve_fit(line, X, values, [1, 1]).save(file)
    load_fit(file).save(file)
    with pytest.raises(TypeError, match="The function of `line` is not there"):
        load_fit(file).model(X, 1, 2)


@pytest.mark.lowest
def test_files_that_hold_no_fit_are_refused(fit, tmp_path):
    file = tmp_path / "fit.npz"
    fit.save(file)
    with pytest.raises(ValueError, match=r"kind 'fit': read it with nbadam\.load_fit"):
        archives.read(file, "run")
    header, arrays = archives.read(file, "fit")
    hostile = {
        "no popt": (header, {name: array for name, array in arrays.items() if name != "popt"}),
        "more": (header, arrays | {"other": arrays["popt"]}),
        "shape": (header, arrays | {"_pcov": arrays["_pcov"][..., :1]}),
        "model": (header | {"model": {"name": "x", "variables": ["x"], "constant": "__doc__"}}, arrays),
        "formula": (
            header | {"model": {"name": "x", "variables": ["x"], "formula": "__import__('os')"}},
            arrays,
        ),
        "data": (header | {"data": "FitResult"}, arrays),
    }
    for name, content in hostile.items():
        archives.write(file, "fit", *content)
        with pytest.raises(ValueError, match=r"fit\.npz' is no saved state"):
            load_fit(file)
            pytest.fail(name)
