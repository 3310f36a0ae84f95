"""Tables in files: CSV, TSV, Parquet and netCDF, by suffix."""

from pathlib import Path
from typing import Any

from ..extras import extra

SEPARATORS = {".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t"}
SUFFIXES = ".csv, .tsv, .parquet or .nc"


def read(path: str) -> Any:
    """Read a table as a pandas DataFrame; rows of text files are labelled by their lines."""
    pandas, suffix = extra("pandas", "pandas", "Reading a table"), Path(path).suffix.lower()
    if suffix in SEPARATORS:
        # A blank line is a row of missing values, so that labels are lines.
        table = pandas.read_csv(path, sep=SEPARATORS[suffix], skip_blank_lines=False, skipinitialspace=True)
        table.index = pandas.RangeIndex(2, 2 + len(table))
        return table
    if suffix in (".parquet", ".pq"):
        extra("pyarrow", "arrow", "Reading Parquet")
        return pandas.read_parquet(path)
    if suffix in (".nc", ".nc4"):
        with extra("xarray", "xarray", "Reading netCDF").open_dataset(path) as dataset:
            return dataset.to_dataframe().reset_index()
    raise ValueError(f"the suffix must be {SUFFIXES}, not {suffix!r}")


def write(table: Any, path: str) -> None:
    """Write a pandas DataFrame."""
    suffix = Path(path).suffix.lower()
    if suffix in SEPARATORS:
        table.to_csv(path, sep=SEPARATORS[suffix], index=False)
    elif suffix in (".parquet", ".pq"):
        extra("pyarrow", "arrow", "Writing Parquet")
        table.to_parquet(path, index=False)
    else:
        extra("xarray", "xarray", "Writing netCDF").Dataset.from_dataframe(table).to_netcdf(path)


def check_target(path: str) -> None:
    """Raise if a file of this name could not be written, before there is anything to write."""
    suffix = Path(path).suffix.lower()
    if suffix not in (*SEPARATORS, ".parquet", ".pq", ".nc", ".nc4", ".npz"):
        raise ValueError(f"the suffix must be {SUFFIXES}, or .npz for `nbadam.load_fit`, not {suffix!r}")
    if not Path(path).resolve().parent.is_dir():
        raise ValueError("there is no such directory")
