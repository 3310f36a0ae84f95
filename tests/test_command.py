"""The command line."""

from pathlib import Path

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose

import nbadam
from nbadam.command import main
from nbadam.command.fit import model_of
from nbadam.fitting.kernels import layout

pd = pytest.importorskip("pandas")
FORMULA = "a * exp(-x / tau)"
TRUTH = {"A1": (3.0, 2.0), "B2": (5.0, 1.0)}


@pytest.fixture(scope="module")
def frame():
    t = np.arange(8.0)
    parts = [
        pd.DataFrame({"well": w, "time": t, "signal": a * np.exp(-t / tau)}) for w, (a, tau) in TRUTH.items()
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def table(frame, tmp_path):
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    return path


def command(path, *more, model=FORMULA):
    words = [
        "fit",
        path,
        "--model",
        model,
        "--x",
        "time",
        "--y",
        "signal",
        "--by",
        "well",
        "--p0",
        "a=1",
        "tau=1",
    ]
    return main([*map(str, words), *map(str, more)])


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "nc"])
def test_tables_in_and_out(suffix, frame, tmp_path, capsys):
    pytest.importorskip({"parquet": "pyarrow", "nc": "netCDF4"}.get(suffix, "pandas"))
    path, out = tmp_path / f"data.{suffix}", tmp_path / f"fits.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "nc":
        pytest.importorskip("xarray").Dataset.from_dataframe(frame).to_netcdf(path)
    else:
        frame.to_csv(path, sep="," if suffix == "csv" else "\t", index=False)
    assert command(path, "--out", out) == 0
    assert "2 fits of formula" in capsys.readouterr().out
    if suffix == "parquet":
        found = pd.read_parquet(out)
    elif suffix == "nc":
        found = pytest.importorskip("xarray").load_dataset(out).to_dataframe()
    else:
        found = pd.read_csv(out, sep="," if suffix == "csv" else "\t")
    assert list(found["well"]) == list(TRUTH)
    assert_allclose(found[["a", "tau"]], list(TRUTH.values()), rtol=1e-10)


def test_one_group_is_printed_as_a_table(frame, table, capsys):
    frame[frame["well"] == "A1"].to_csv(table, index=False)
    assert command(table, "--fixed", "a=3") == 0
    out = capsys.readouterr().out
    assert "Fit of formula: SUCCESS" in out
    assert "fixed" in out


def test_results_for_load_fit(table, tmp_path):
    assert command(table, "--out", tmp_path / "fits.npz") == 0
    assert_allclose(nbadam.load_fit(tmp_path / "fits.npz")["tau"], [2, 1], rtol=1e-10)


def test_options_reach_the_fit(table, tmp_path):
    out = tmp_path / "fits.csv"
    options = "--bounds tau=0:1.5 a=: --loss soft_l1 --f-scale 2 --dtype float32 --search failed".split()
    assert command(table, *options, "--out", out) in (0, 1)
    assert pd.read_csv(out)["tau"].max() == 1.5
    assert command(table, "--tied", "tau=a / 1.5", "--out", out) == 0
    found = pd.read_csv(out)
    assert_allclose(found["tau"], found["a"] / 1.5, rtol=1e-6)


def test_a_picture(table, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    assert command(table, "--plot", tmp_path / "fits.png") == 0
    height, width, _ = matplotlib.image.imread(tmp_path / "fits.png").shape
    assert width > height > 100
    assert command(table, "--plot", tmp_path / "fits.svg") == 0
    picture = (tmp_path / "fits.svg").read_text()
    assert "<!-- time -->" in picture and "<!-- signal -->" in picture


def test_bad_rows_are_named_by_their_lines(table, capsys):
    lines = table.read_text().splitlines()
    lines[3:4] = ["", "A1,2.0,n/a?"]
    table.write_text("\n".join(lines))
    assert command(table) == 0
    assert "data.csv: Left out, as 'signal' is not a number: lines 5 ('n/a?')." in capsys.readouterr().err


def test_fits_that_fail_are_exit_code_1(table, capsys):
    with table.open("a") as file:
        file.write("C3,0,1\n")
    assert command(table) == 1
    captured = capsys.readouterr()
    assert "1 of 3 fits without success" in captured.err
    assert "TOO_FEW_POINTS" in captured.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--sigma", "error"],
            "data.csv: `sigma`: there is no column 'error'; there are 'well', 'time',",
        ),
        (["--model", "a * b("], "data.csv: "),
        (["--loss", "cubic"], "data.csv: `loss`"),
        (["--out", "fits.xls"], "fits.xls: the suffix must be .csv"),
        (["--out", "nowhere/fits.csv"], "nowhere/fits.csv: there is no such directory"),
        (["--bounds", "tau=5"], "'tau=5' must be NAME=LOW:HIGH"),
        (["--bounds", "tau=a:b"], "'tau=a:b': 'a' is not a number"),
        (["--p0", "tau"], "'tau' must be NAME=VALUE"),
        (["--fixed", "t=1"], "data.csv: `fixed`"),
    ],
)
def test_bad_input_is_exit_code_2(words, message, table, capsys):
    with pytest.raises(SystemExit) as ended:
        command(table, *words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "No such file"),
        ("data.xls", "", "the suffix must be"),
        ("torn.csv", "well,time,signal\nA1,1,2\nA1,1,2,3\n", "line 3"),
    ],
)
def test_files_that_are_no_tables(name, content, message, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SystemExit):
        command(tmp_path / name)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("gaussian", "amplitude center sigma offset"),
        ("GAUSSIAN + LINE", "amplitude center sigma slope intercept"),
        ("a_T2_DECAY+b_T2_DECAY", "a_s0 a_t2 b_s0 b_t2"),
        ("a * time + b", "a b"),
    ],
)
def test_models_by_name(text, parameters):
    assert model_of(text, ["time"]).parameters == tuple(parameters.split())


def test_sums_of_models_and_formulas_are_refused():
    with pytest.raises(ValueError, match="`LINE` is a model that ships, not a parameter"):
        model_of("a * x**2 + LINE")


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    shown = "  GAUSSIAN(amplitude, center, sigma, offset)\n      Gaussian peak.\n      amplitude * exp("
    assert shown in out.split("Images\n")[0].split("Peaks\n")[1]
    assert all(name in out for name in nbadam.models.__all__)


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--help"])
    assert ended.value.code == 0
    assert "nbadam fit data.csv --model" in capsys.readouterr().out


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="kernels of plain Python have one lane")
@pytest.mark.parametrize("name", ["fits", "points"])
def test_kernel_prints_the_text_that_is_compiled(name, capsys, monkeypatch):
    """Beside the picture of it: a change of the text is seen, and may be wanted."""
    monkeypatch.setattr(layout, "has_wide_registers", lambda: False)  # as most processors
    options = ["--long", "--dtype", "float32"] if name == "points" else []
    assert main(["kernel", "MICHAELIS_MENTEN", *options]) == 0
    text = capsys.readouterr().out
    compile(text, "kernel", "exec")
    evaluation = text[: text.index("def accept_step")]  # the algorithm's text has tests of its own
    assert evaluation == (Path(__file__).parent / "data" / f"kernel_over_{name}.txt").read_text()
