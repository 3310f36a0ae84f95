"""``nbadam fit``: a fit for each group of rows of a table in a file."""

import argparse
import operator
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import numpy as np

from ..extras import extra
from . import files

EXAMPLE = """example:
  nbadam fit data.csv --model "a * exp(-x / tau) + c" --x time --y signal --by well \\
      --p0 a=1 tau=5 c=0 --bounds tau=0:100 --out fits.parquet --plot fits.png

exit code: 0 if all fits succeeded, 1 if some did not (see the column `status`), 2 for bad input
"""
PANELS = 9  # fits in a picture


def add_parser(commands) -> None:
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
        help="a formula in x, a model of `nbadam models`, or a sum such as GAUSSIAN + LINE",
    )
    add("--x", required=True, nargs="+", metavar="COLUMN", help="the variable, or several")
    add("--y", required=True, metavar="COLUMN", help="the data")
    add("--by", nargs="+", default=[], metavar="COLUMN", help="columns that name a data set")
    add("--sigma", metavar="COLUMN", help="standard errors of the data")
    add("--absolute-sigma", action="store_true", help="take them as they are, not as ratios")
    add("--variables", nargs="+", metavar="NAME", help="names of several x in the formula")
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


def main(options: argparse.Namespace) -> int:
    """Fit, report, write; return the exit code."""
    if options.out is not None:
        with errors_about(options.out):
            files.check_target(options.out)
    with errors_about(options.file):
        fit, table = fitted(files.read(options.file), options)
    print(fit if fit.chi2.size > 1 else fit[0])
    if options.out is not None:
        with errors_about(options.out):
            write(fit, table, options.out)
    if options.plot is not None:
        with errors_about(options.plot):
            draw(fit, table[options.by], options.plot)
    return 0 if fit.success.all() else 1


@contextmanager
def errors_about(path: str) -> Iterator[None]:
    """Turn the errors of bad input into a line that begins with a file, and exit code 2."""
    try:
        yield
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        print(f"nbadam: {path}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def fitted(frame, options: argparse.Namespace):
    """Return the fits of the groups and the table of results; warnings go to the terminal."""
    from ..tables.fit import fit_groups
    from ..tables.frames import Frame

    table = Frame(frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit, rows = fit_groups(
            table,
            model_of(options.model, options.variables),
            x=options.x,
            y=options.y,
            by=options.by,
            sigma=options.sigma,
            absolute_sigma=options.absolute_sigma,
            p0=dict(options.p0) if options.p0 else None,
            bounds=dict(options.bounds) if options.bounds else (-np.inf, np.inf),
            fixed=dict(options.fixed or ()),
            tied=dict(options.tied) if options.tied else None,
            loss=options.loss,
            f_scale=options.f_scale,
            search=options.search,
            dtype=np.dtype(options.dtype),
            progress=options.progress,
        )
    word = ": lines " if Path(options.file).suffix.lower() in files.SEPARATORS else ": rows "
    for warning in caught:
        print(f"nbadam: {options.file}: {str(warning.message).replace(': rows ', word)}", file=sys.stderr)
    return fit, table.results(rows, options.by, fit.to_dataframe().to_dict("series"))


def write(fit, table, path: str) -> None:
    """Write the results in the form that the suffix names."""
    if Path(path).suffix.lower() == ".npz":
        fit.save(path)
    else:
        files.write(table, path)


def draw(fit, keys, path: str) -> None:
    """Draw the first fits, each titled by its keys."""
    extra("matplotlib", "plot", "A picture").use("Agg")
    from matplotlib import pyplot

    count = min(fit.chi2.size, PANELS)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure, axes = pyplot.subplots(
        rows, columns, squeeze=False, figsize=(4.5 * columns, 3.5 * rows), layout="constrained"
    )
    for i, ax in enumerate(axes.ravel()):
        if i >= count:
            ax.remove()
            continue
        fit.plot(i, ax=ax)
        if len(keys.columns):
            ax.set_title(", ".join(f"{name} {value}" for name, value in keys.iloc[i].items()))
    figure.savefig(path)
    pyplot.close(figure)


def _shipped(text: str):
    """Return the shipped model of a name, also with a prefix as in ``a_GAUSSIAN``, or None."""
    from .. import models

    if text.upper() in models.__all__:
        return getattr(models, text.upper())
    for name in sorted(models.__all__, key=len, reverse=True):
        prefix = text.removesuffix(name)
        if prefix != text and prefix.isidentifier() and prefix.endswith("_"):
            return getattr(models, name).prefixed(prefix)
    return None


def model_of(text: str, variables=None):
    """Return the shipped model of a name, a sum of such models, or the model of a formula."""
    from .. import Model

    terms = [_shipped(term.strip()) for term in text.split("+")]
    if all(term is not None for term in terms):
        return reduce(operator.add, terms)
    return Model(text) if variables is None else Model(text, variables=variables)


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
