"""The three kinds of tables, each with the few operations that fits of groups of rows need."""

import sys
from typing import Any

import numpy as np

from ..checks import shown
from ..fitting.arrays import real


class Frame:
    """A pandas DataFrame.

    Parameters
    ----------
    table : DataFrame
    """

    def __init__(self, table: Any) -> None:
        self.table = table

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.columns)

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a column in double precision, NaN where it is no number, and where text is none."""
        column = self.table[name]
        values = column.to_numpy()
        if values.dtype.kind in "biuf":
            return values.astype(float), np.zeros(len(values), bool)
        if values.dtype.kind in "mMc":
            real(name, values)  # raises, and says the way out
        numeric = sys.modules["pandas"].to_numeric(column, errors="coerce")
        found = numeric.to_numpy(dtype=float, na_value=np.nan)
        return found, np.isnan(found) & column.notna().to_numpy()

    def groups(self, by: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows, group after group in the order of their first ones, and the groups' lengths."""
        codes = self.table.groupby(by, sort=False, observed=True).ngroup()  # NaN where a key is missing
        return grouped(codes.fillna(-1).to_numpy(dtype=int))

    def label(self, row: int) -> Any:
        """Return the index of a row."""
        return self.table.index[row]

    def value(self, row: int, name: str) -> Any:
        """Return one entry."""
        return self.table[name].iloc[[row]].tolist()[0]  # values of Python's types

    def results(self, rows: np.ndarray, by: list[str], columns: dict[str, np.ndarray]) -> Any:
        """Return a table of the keys in some rows, followed by other columns."""
        keys = self.table[by].iloc[rows].reset_index(drop=True)
        return keys.assign(**columns)


class PolarsFrame(Frame):
    """A polars DataFrame."""

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a column in double precision, NaN where it is no number, and where text is none."""
        polars, column = sys.modules["polars"], self.table[name]
        if column.dtype.is_temporal():
            real(name, column.to_numpy())
        numeric = column.cast(polars.Float64, strict=False)
        return numeric.fill_null(np.nan).to_numpy(), (numeric.is_null() & column.is_not_null()).to_numpy()

    def groups(self, by: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows, group after group in the order of their first ones, and the groups' lengths."""
        row = "_".join(["row", *by])  # is none of them
        numbered = self.table.lazy().select(by).with_row_index(row).drop_nulls()
        found = numbered.group_by(by, maintain_order=True).agg(row).collect()[row]
        return found.explode().to_numpy().astype(int), found.list.len().to_numpy().astype(int)

    def label(self, row: int) -> Any:
        """Return the number of a row."""
        return row

    def value(self, row: int, name: str) -> Any:
        """Return one entry."""
        return self.table[name][row]

    def results(self, rows: np.ndarray, by: list[str], columns: dict[str, np.ndarray]) -> Any:
        """Return a table of the keys in some rows, followed by other columns."""
        keys = self.table[rows].select(by)
        return sys.modules["polars"].DataFrame({name: keys[name] for name in by} | columns)


class ArrowTable(Frame):
    """An Arrow table."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.table.column_names

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a column in double precision, NaN where it is no number, and where text is none."""
        values = self.table[name].to_numpy()
        if values.dtype.kind != "O":
            return real(name, values).astype(float), np.zeros(len(values), bool)
        found = np.array([_number(entry) for entry in values])
        return found, np.isnan(found) & ~self.table[name].is_null().to_numpy()

    def groups(self, by: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows, group after group in the order of their first ones, and the groups' lengths."""
        codes = np.zeros(len(self.table), int)
        missing = np.zeros(len(self.table), bool)
        for name in by:
            encoded = self.table[name].combine_chunks().dictionary_encode()
            own = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            missing |= own < 0
            _, codes = np.unique(codes * (len(encoded.dictionary) + 1) + own, return_inverse=True)
        _, first, codes = np.unique(np.where(missing, -1, codes), return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        return grouped(np.where(missing, -1, rank[codes]))

    def label(self, row: int) -> Any:
        """Return the number of a row."""
        return row

    def value(self, row: int, name: str) -> Any:
        """Return one entry."""
        return self.table[name][row].as_py()

    def results(self, rows: np.ndarray, by: list[str], columns: dict[str, np.ndarray]) -> Any:
        """Return a table of the keys in some rows, followed by other columns."""
        keys = {name: self.table[name].take(rows) for name in by}
        return sys.modules["pyarrow"].table(keys | columns)


def frame_of(table: Any) -> Frame:
    """Return a table in the form of this module.

    Raises
    ------
    ValueError
        If it is no DataFrame of pandas or polars, and no Arrow table.
    """
    kinds = {
        ("pandas", "DataFrame"): Frame, ("polars", "DataFrame"): PolarsFrame, ("pyarrow", "Table"): ArrowTable
    }  # fmt: skip
    for (module, name), kind in kinds.items():
        if module in sys.modules and isinstance(table, getattr(sys.modules[module], name)):
            return kind(table)
    raise ValueError(
        f"`frame` must be a pandas or polars DataFrame or a pyarrow Table, not {shown(table)}; a polars "
        "LazyFrame becomes one by `.collect()`."
    )


def grouped(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows by their groups' numbers, without those of number -1, and the groups' lengths."""
    rows = np.argsort(codes, kind="stable")
    return rows[np.count_nonzero(codes < 0) :], np.bincount(codes[codes >= 0])


def _number(entry: Any) -> float:
    try:
        return np.nan if entry is None else float(entry)
    except (TypeError, ValueError):
        return np.nan
