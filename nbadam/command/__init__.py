"""The command line: fits of tables in files, and what else needs no program."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .. import __version__

EPILOG = "Without a command it is `nbadam demo`.  `nbadam fit --help` explains fits."

MODULES = {"demo": "..demo", "fit": ".fit", "kernel": ".kernel", "models": ".models"}
EXAMPLE = """example:
  nbadam fit data.csv --model "a * exp(-x / tau) + c" --x time --y signal --by well \\
      --p0 a=1 tau=5 c=0 --bounds tau=0:100 --out fits.parquet --plot fits.png

exit code: 0 if all fits succeeded, 1 if some did not (see the column `status`), 2 for bad input
"""
PANELS = 9  # fits in a picture


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process, and return its exit code.

    0: as it should be; 1: some fits failed, or the demo misses its references; 2: bad input.
    """
    parser = argparse.ArgumentParser(
        "nbadam", description="Fit curves, one or a million.", epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"nbadam {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add_fit(commands)
    commands.add_parser("demo", help="do two jobs on real data, checked against reference results")
    commands.add_parser("models", help="list the models that ship")
    kernel = commands.add_parser("kernel", help="print the text that is compiled for a model")
    kernel.add_argument("model", help="a shipped model, such as GAUSSIAN, or a formula in x")
    kernel.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    kernel.add_argument("--bounded", action="store_true", help="with bounds or fixed parameters")
    kernel.add_argument("--long", action="store_true", help="for long data sets")
    options = parser.parse_args(arguments)
    # The module of a command is imported when it is called: `nbadam --help` need not wait for Numba.
    return import_module(MODULES[options.command or "demo"], __name__).main(options)


def _add_fit(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "fit",
        help="fit a model to a table in a file",
        description="Fit a model to each group of rows of a table: CSV, TSV, Parquet or netCDF.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", help="the table, with names of columns: .csv, .tsv, .parquet or .nc")
    add(
        "--model",
        required=True,
        help="a formula in x or in the columns of --x, a model of `nbadam models`, or GAUSSIAN + LINE",
    )
    add("--x", required=True, nargs="+", metavar="COLUMN", help="the variable, or several")
    add("--y", required=True, metavar="COLUMN", help="the data")
    add("--by", nargs="+", default=[], metavar="COLUMN", help="columns that name a data set")
    add("--sigma", metavar="COLUMN", help="standard errors of the data")
    add("--absolute-sigma", action="store_true", help="take them as they are, not as ratios")
    add("--variables", nargs="+", metavar="NAME", help="other names of --x in the formula")
    add("--p0", nargs="+", type=_value, metavar="NAME=VALUE", help="where to start")
    add("--bounds", nargs="+", type=_range, metavar="NAME=LOW:HIGH", help="either may be empty")
    add("--fixed", nargs="+", type=_value, metavar="NAME=VALUE", help="not fitted")
    add("--tied", nargs="+", type=_pair, metavar="NAME=FORMULA", help="as in b='2 * a'")
    add("--loss", default="linear", help="linear, soft_l1, huber, cauchy, arctan or poisson")
    add("--f-scale", type=float, default=1.0, help="residual from which on a point is an outlier")
    add("--search", choices=["never", "failed", "all"], default="never", help="fits to try again")
    add("--dtype", choices=["float64", "float32"], default="float64")
    add("--out", metavar="FILE", help="results: .csv, .tsv, .parquet, .nc, or .npz for load_fit")
    add("--plot", metavar="FILE", help=f"picture of the first {PANELS} fits, such as fits.png")
    add("--progress", action="store_true", help="show a progress bar")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE")
    return name.strip(), value.strip()


def _value(text: str) -> tuple[str, float]:
    name, value = _pair(text)
    return name, _number(value, text)


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, limits = _pair(text)
    low, colon, high = limits.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=LOW:HIGH; either may be empty")
    return name, (_number(low or "-inf", text), _number(high or "inf", text))


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: {value!r} is not a number") from None
