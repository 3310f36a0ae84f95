"""Curve fitting: one model, any number of data sets, each fitted to full precision."""

from .fit import curve_fit
from .model import Model
from .result import FitResult, FitStatus

__all__ = ["FitResult", "FitStatus", "Model", "curve_fit"]
