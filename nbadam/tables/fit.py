"""`fit_table`: one fit for each group of the rows of a long table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..caller import warn
from ..checks import shown
from ..fitting.data import RaggedSets
from ..fitting.fit import curve_fit
from ..fitting.model.model import model_over
from .frames import Frame, frame_of

NAMED = 5  # bad rows that a warning names
TAKEN = "xdata", "ydata", "sigma", "mask"


def fit_table(
    frame: Any,
    model: Any,
    *,
    x: str | Sequence[str],
    y: str,
    by: str | Sequence[str] = (),
    sigma: str | None = None,
    **options: Any,
) -> Any:
    """Fit a model to each group of the rows of a long table.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table
        A row for each point.  Groups may differ in length, and their rows may stand anywhere.
    model : callable, str or Model
        As in `curve_fit`.  In a formula without ``x`` columns have their own names.
    x : str or sequence of str
        Column of the variable, or those of several.
    y : str
        Column of the data.
    by : str or sequence of str
        Columns that together name the data set to which a row belongs; rows in which one of them is missing
        are left out.  By default all rows are one data set.
    sigma : str, optional
        Column of the standard errors of the data.
    **options
        Of `curve_fit`: `p0`, `bounds`, `fixed`, `loss`, `dtype` and the others.  In
        ``shared={"tau": "temperature"}`` data sets with the same entry in the column ``temperature`` share a
        value.

    Returns
    -------
    DataFrame or Table
        Of the kind of `frame`, a row for each group, in the order in which the groups begin: the columns
        `by`, then those of `FitResult.to_structured`.

    Raises
    ------
    ValueError
        If a column is missing or holds times, or `by` has the name of a column of results.  If a column of
        `shared` differs within a data set; and as in `curve_fit`.

    Warns
    -----
    UserWarning
        If rows hold text that is no number, or a standard error that is not > 0.  They are left out, and
        named by their index.  Missing values are left out without a warning.
    scipy.optimize.OptimizeWarning
        If groups could not be fitted; see the column ``status``.

    See Also
    --------
    curve_fit : The same for arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import nbadam
    >>> t = np.arange(6.0)
    >>> frame = pd.concat([
    ...     pd.DataFrame({"well": "A1", "time": t, "signal": 3 * np.exp(-t / 2)}),
    ...     pd.DataFrame({"well": "A2", "time": t[:5], "signal": 5 * np.exp(-t[:5])}),
    ... ])
    >>> fits = nbadam.fit_table(
    ...     frame, "a * exp(-time / tau)", x="time", y="signal", by="well", p0=[1, 1]
    ... )
    >>> fits[["well", "a", "tau", "n_points", "success"]].round(6)
      well    a  tau  n_points  success
    0   A1  3.0  2.0         6     True
    1   A2  5.0  1.0         5     True
    """
    table = frame_of(frame)
    by = [by] if isinstance(by, str) else list(by)
    fit, rows = fit_groups(table, model, x=x, y=y, by=by, sigma=sigma, **options)
    columns = {name: np.ascontiguousarray(column) for name, column in fit.columns().items()}
    return table.results(rows, by, columns)


def fit_groups(
    frame: Frame, model: Any, *, x: Any, y: str, by: list[str], sigma: str | None, **options: Any
) -> tuple[Any, np.ndarray]:
    """Return the result of the groups' fits, and the number of each group's first row."""
    variables = [x] if isinstance(x, str) else list(x)
    for taken in TAKEN:
        if taken in options:
            raise ValueError(f"`{taken}` comes from the columns of the table, not as an argument.")
    names = {"x": variables, "y": [y], "by": by, "sigma": [] if sigma is None else [sigma]}
    for argument, columns in names.items():
        for name in columns:
            if name not in frame.columns:
                known = ", ".join(map(repr, frame.columns))
                raise ValueError(f"`{argument}`: there is no column {name!r}; there are {known}.")
    numbers = [_column(frame, name) for name in [*variables, y]]
    errors = None if sigma is None else _column(frame, sigma, positive=True)
    rows, lengths = frame.groups(by) if by else (np.arange(numbers[0].size), np.array([numbers[0].size]))
    if not rows.size:
        raise ValueError("`frame` has no rows that belong to a group.")
    *own, values = (column[rows] for column in numbers)
    sets = RaggedSets(np.array(own), values, None if errors is None else errors[rows], None, lengths)
    if isinstance(options.get("shared"), dict):
        labels = options["shared"].items()
        options["shared"] = {
            name: _labels(frame, column, rows, lengths) if isinstance(column, str) else column
            for name, column in labels
        }
    if isinstance(model, str):
        model = model_over(model, variables)
    fit = curve_fit(model, None, sets, **options)
    both = set(by) & set(fit.columns())
    if both:
        raise ValueError(f"`by`: {shown(sorted(both)[0])} is a column of results, too; rename it.")
    return fit, rows[np.cumsum(lengths) - lengths]


def _labels(frame: Frame, name: str, rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return a number for each data set, equal for those with the same entry in a column."""
    if name not in frame.columns:
        known = ", ".join(map(repr, frame.columns))
        raise ValueError(f"`shared`: there is no column {name!r}; there are {known}.")
    order, sizes = frame.groups([name])
    codes = np.full(rows.max() + 1, -1)
    is_used = order < codes.size
    codes[order[is_used]] = np.repeat(np.arange(sizes.size), sizes)[is_used]
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    other = np.flatnonzero(codes[rows] != codes[rows][first])
    missing = np.flatnonzero(codes[rows] < 0)
    if other.size or missing.size:
        row = int(rows[(other if other.size else missing)[0]])
        value, at = frame.value(row, name), frame.label(row)
        raise ValueError(
            f"`shared`: the column {name!r} must have one label in all rows of a data set; row {at!r} has "
            f"{value!r}{', unlike others' if other.size else ''}."
        )
    return codes[rows][np.cumsum(lengths) - lengths]


def _column(frame: Frame, name: str, positive: bool = False) -> np.ndarray:
    """Return a column of numbers, NaN where there is none; warn of entries that should be one."""
    numbers, bad = frame.numbers(name)
    if positive:
        with np.errstate(invalid="ignore"):
            bad = bad | (numbers <= 0)
        numbers = np.where(bad, np.nan, numbers)
    rows = np.flatnonzero(bad)
    if rows.size:
        some = ", ".join(
            f"{frame.label(row)!r} ({frame.value(row, name)!r})" for row in rows[:NAMED].tolist()
        )
        more = f" and {rows.size - NAMED:,} more" if rows.size > NAMED else ""
        needed = "a number > 0" if positive else "a number"
        warn(f"Left out, as {name!r} is not {needed}: rows {some}{more}.", UserWarning)
    return numbers
