"""Curve fitting: one model, any number of data sets, each fitted to full precision."""

from .bootstrap import Bootstrap
from .comparison import Comparison, compare
from .fit import curve_fit
from .model import Model
from .result import FitResult, load_fit
from .shared_result import SharedResult

__all__ = [
    "Bootstrap",
    "Comparison",
    "FitResult",
    "Model",
    "SharedResult",
    "compare",
    "curve_fit",
    "load_fit",
]
