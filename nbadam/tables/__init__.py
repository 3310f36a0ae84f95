"""Fits of long tables, in which one data set is a group of rows: pandas, polars and Arrow."""

from .fit import fit_table

__all__ = ["fit_table"]
