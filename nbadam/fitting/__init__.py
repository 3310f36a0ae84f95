"""Curve fitting: one model, any number of data sets, each fitted to full precision."""

from .fit import curve_fit
from .load import load_fit
from .model.model import Model
from .result.bootstrap import Bootstrap
from .result.comparison import Comparison, compare
from .result.lazy import LazyFit
from .result.result import FitResult
from .shared.result import SharedResult

__all__ = [
    "Bootstrap",
    "Comparison",
    "FitResult",
    "LazyFit",
    "Model",
    "SharedResult",
    "compare",
    "curve_fit",
    "load_fit",
]
