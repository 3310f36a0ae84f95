"""Curve fitting: one model, any number of data sets, each fitted to full precision."""

from .fit import curve_fit
from .model import Model
from .result import FitResult

__all__ = ["FitResult", "Model", "curve_fit"]
