"""Fits of groups of rows of pandas, polars and Arrow tables."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from nbadam import Model, curve_fit, fit_table
from nbadam.fitting.model.model import model_over

pd = pytest.importorskip("pandas")
FORMULA = "a * x + b"


def from_pandas(frame):
    return frame


def to_polars(frame):
    return pytest.importorskip("polars").DataFrame({name: list(frame[name]) for name in frame})


def to_arrow(frame):
    return pytest.importorskip("pyarrow").table({name: list(frame[name]) for name in frame})


KINDS = pytest.mark.parametrize("convert", [from_pandas, to_polars, to_arrow])


@pytest.fixture(scope="module")
def frame():
    """Lines of 12 wells on 2 plates, of 4 to 9 points, in random order."""
    rng = np.random.default_rng(1)
    rows = []
    for i in range(12):
        m = 4 + i % 6
        t = rng.uniform(0, 5, m)
        y = i * t + 1 + 0.1 * rng.standard_normal(m)
        plate = "odd" if i % 2 else "even"
        rows += [(plate, i // 2, t[k], y[k], 0.5 + rng.random()) for k in range(m)]
    table = pd.DataFrame(rows, columns=["plate", "well", "time", "signal", "error"])
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


def as_dict(result):
    if isinstance(result, pd.DataFrame):
        return {name: list(result[name]) for name in result}
    return result.to_pydict() if hasattr(result, "to_pydict") else result.to_dict(as_series=False)


def by_hand(frame, *keys, sigma=None, **options):
    """Fit group by group, in the order in which they begin."""
    fits = {}
    for key, group in frame.groupby(list(keys), sort=False):
        s = None if sigma is None else group[sigma].to_numpy()
        fits[key] = curve_fit(
            FORMULA, group["time"].to_numpy(), group["signal"].to_numpy(), [1, 1], sigma=s, **options
        )
    return fits


@pytest.mark.long
@KINDS
def test_each_group_is_fitted_as_by_hand(convert, frame):
    found = as_dict(
        fit_table(
            convert(frame), FORMULA, x="time", y="signal", by=["plate", "well"], sigma="error", p0=[1, 1]
        )
    )
    expected = by_hand(frame, "plate", "well", sigma="error")
    assert list(zip(found["plate"], found["well"], strict=True)) == list(expected)
    for i, fit in enumerate(expected.values()):
        assert_array_equal([found["a"][i], found["b"][i]], fit.popt)
        assert_array_equal([found["a_err"][i], found["b_err"][i]], fit.perr)
        assert found["n_points"][i] == fit.n_points
        assert found["chi2"][i] == fit.chi2
    assert len(found["a"]) == 12
    assert all(found["success"])


@KINDS
def test_rows_without_a_key_or_a_value_are_left_out(convert, frame):
    frame = frame.astype({"plate": object})
    frame.loc[3, "plate"] = None
    frame.loc[5, "signal"] = np.nan
    found = as_dict(fit_table(convert(frame), FORMULA, x="time", y="signal", by="plate", p0=[1, 1]))
    expected = by_hand(frame.drop([3, 5]), "plate")
    assert [(plate,) for plate in found["plate"]] == list(expected)
    assert found["n_points"] == [fit.n_points for fit in expected.values()]


@KINDS
def test_bad_rows_are_named_and_the_rest_is_fitted(convert, frame):
    texts = [f"{value!r}" for value in frame["signal"]]
    texts[7], texts[11] = "n/a", "overflow"
    bad = frame.assign(signal=texts)
    bad.loc[2, "error"] = 0
    with pytest.warns(UserWarning, match=r"'signal' is not a number: rows 7 \('n/a'\), 11 \('overflow'\)\."):
        with pytest.warns(UserWarning, match=r"'error' is not a number > 0: rows 2 \(0\.0\)\."):
            found = as_dict(
                fit_table(convert(bad), FORMULA, x="time", y="signal", by="plate", sigma="error", p0=[1, 1])
            )
    expected = by_hand(frame.drop([2, 7, 11]), "plate", sigma="error")
    assert found["n_points"] == [fit.n_points for fit in expected.values()]
    np.testing.assert_allclose(found["a"], [fit.popt[0] for fit in expected.values()], rtol=1e-12)


@KINDS
def test_without_groups_the_table_is_one_data_set(convert, frame):
    found = as_dict(fit_table(convert(frame), FORMULA, x=["time"], y="signal", p0=[1, 1]))
    fit = curve_fit(FORMULA, frame["time"], frame["signal"], [1, 1])
    assert_array_equal([*found["a"], *found["b"]], fit.popt)


@KINDS
def test_a_failed_group_is_marked(convert, frame):
    poor = pd.concat([frame, pd.DataFrame({"plate": ["new"], "well": 0, "time": 1.0, "signal": 1.0})])
    with pytest.warns(match="1 of 3 fits without success"):
        found = as_dict(fit_table(convert(poor), FORMULA, x="time", y="signal", by="plate", p0=[1, 1]))
    assert found["plate"][-1] == "new"
    assert found["success"] == [True, True, False]
    assert np.isnan(found["a"][-1])


@KINDS
def test_bad_arguments_are_named(convert, frame):
    table = convert(frame)
    good = {"x": "time", "y": "signal", "p0": [1, 1]}
    with pytest.raises(ValueError, match=r"`by`: there is no column 'wel'; there are 'plate', 'well'"):
        fit_table(table, FORMULA, **good, by="wel")
    with pytest.raises(ValueError, match="`mask` comes from the columns"):
        fit_table(table, FORMULA, **good, mask=[True])
    with pytest.raises(ValueError, match="`by`: 'a' is a column of results"):
        fit_table(convert(frame.rename(columns={"plate": "a"})), FORMULA, **good, by="a")
    with pytest.raises(ValueError, match="no rows that belong to a group"):
        fit_table(table[:0], FORMULA, **good, by="plate")
    times = frame.assign(time=pd.to_datetime(frame["time"], unit="s"))
    with pytest.raises(ValueError, match="`time` holds times"):
        fit_table(convert(times), FORMULA, **good, by="plate")


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match="`frame` must be a pandas or polars DataFrame or a pyarrow Table"):
        fit_table({"x": [1, 2], "y": [1, 2]}, FORMULA, x="x", y="y")


def test_rows_are_named_by_the_index_of_pandas(frame):
    texts = frame["signal"].astype(object)
    texts[4] = "?"
    named = frame.assign(signal=texts).set_index("r" + frame.index.astype(str))
    with pytest.warns(UserWarning, match=r"rows 'r4' \('\?'\)"):
        fit_table(named, FORMULA, x="time", y="signal", by="plate", p0=[1, 1])


def test_several_variables_and_options(frame):
    frame = frame.assign(other=frame["error"], z=frame["signal"] + 2 * frame["error"])
    model = Model("a * x + b + c * u", variables=["x", "u"])
    found = fit_table(frame, model, x=["time", "other"], y="z", by="well", p0=[1, 1, 1], dtype=np.float32)
    assert list(found["well"]) == list(frame["well"].unique())
    assert found["success"].all()
    assert found["c"].dtype == np.float32


@pytest.mark.parametrize(
    ("formula", "x", "parameters"),
    [
        ("a * exp(-time / b)", ["time"], "a b"),
        ("time + a * x", ["time"], "time a"),
        ("a * x + b * time", ["time", "x"], "a b"),
        ("a * exp(-time)", ["time", "not a name"], None),
        ("a * exp(-t)", ["time"], None),
    ],
)
def test_variables_of_a_formula_may_have_the_names_of_columns(formula, x, parameters):
    if parameters is None:
        with pytest.raises(ValueError, match=r"`variables` must be names|does not depend on x"):
            model_over(formula, x)
    else:
        model = model_over(formula, x)
        assert model.parameters == tuple(parameters.split())
        assert set(model.variables) == (set(x) if "time" not in model.parameters else {"x"})


@KINDS
def test_data_sets_share_parameters(convert, frame):
    frame = frame.assign(signal=frame["signal"] + 3 * (frame["plate"] == "odd"))
    options = {"x": "time", "y": "signal", "by": ["plate", "well"], "p0": [1, 1]}
    found = as_dict(fit_table(convert(frame), FORMULA, shared={"b": "plate"}, **options))
    sets = [group for _, group in frame.groupby(["plate", "well"], sort=False)]
    expected = curve_fit(
        FORMULA, [group["time"].to_numpy() for group in sets], [group["signal"].to_numpy() for group in sets],
        [1, 1], shared={"b": [group["plate"].iloc[0] for group in sets]},
    )  # fmt: skip
    for name in ("a", "b"):
        assert_array_equal(found[name], expected[name])
    assert_array_equal(found["b_err"], expected.perr[:, 1])
    assert len(set(found["b"])) == 2
    assert len(set(as_dict(fit_table(convert(frame), FORMULA, shared=["b"], **options))["b"])) == 1
    with pytest.raises(ValueError, match="`shared`: the column 'error' must have one label"):
        fit_table(convert(frame), FORMULA, shared={"b": "error"}, **options)
    with pytest.raises(ValueError, match="`shared`: there is no column 'plates'"):
        fit_table(convert(frame), FORMULA, shared={"b": "plates"}, **options)
    labels = frame["plate"].astype(object)
    labels[3] = None
    frame = frame.assign(label=labels)
    with pytest.raises(ValueError, match="must have one label"):
        fit_table(convert(frame), FORMULA, shared={"b": "label"}, **options | {"by": "well"})
