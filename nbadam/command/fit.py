"""``nbadam fit``: a fit for each group of rows of a table in a file."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import extra
from ..tables.fit import fit_groups
from ..tables.frames import Frame
from . import PANELS, files
from .models import model_of


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
            label = options.x[0] if len(options.x) == 1 else None
            draw(fit, table[options.by], options.plot, label, options.y)
    return 0 if fit.success.all() else 1


@contextmanager
def errors_about(path: str) -> Iterator[None]:
    """Turn the errors of bad input into a line that begins with a file, and exit code 2."""
    try:
        yield
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        print(f"nbadam: {path}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def fitted(frame: Any, options: argparse.Namespace) -> Any:
    """Return the fits of the groups and the table of results; warnings go to the terminal."""
    table = Frame(frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit, rows = fit_groups(
            table,
            model_of(options.model, options.variables or options.x),
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


def write(fit: Any, table: Any, path: str) -> None:
    """Write the results in the form that the suffix names."""
    if Path(path).suffix.lower() == ".npz":
        fit.save(path)
    else:
        files.write(table, path)


def draw(fit: Any, keys: Any, path: str, xlabel: str | None, ylabel: str) -> None:
    """Draw the first fits, each titled by its keys, the axes labelled by the columns."""
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
        fit.plot(i, ax=ax, xlabel=xlabel, ylabel=ylabel)
        if len(keys.columns):
            ax.set_title(", ".join(f"{name} {value}" for name, value in keys.iloc[i].items()))
    figure.savefig(path)
    pyplot.close(figure)
