"""Stochastic gradient optimization for NumPy, SciPy and Numba."""

from .methods import adam

__version__ = "0.1.0"

__all__ = ["adam"]
