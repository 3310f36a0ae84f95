"""Sparse gradients: which rows of a table a batch touched, and steps that equal the dense ones."""

from .deferred import DeferredRows
from .gradients import IndexedSlices, RowGradient, checked_rows, is_sparse, row_gradient
from .steps import step

__all__ = [
    "DeferredRows",
    "IndexedSlices",
    "RowGradient",
    "checked_rows",
    "is_sparse",
    "row_gradient",
    "step",
]
