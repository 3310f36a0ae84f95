"""Confidence levels, and the quantiles that belong to them."""

from math import erf, sqrt
from typing import Any

import numpy as np

from ...checks import number, shown
from ...hyperparameters import positive


def parse_level(level: float | None, sigma: float | None) -> float:
    """Return a level in (0, 1), given as such or as a number of standard deviations; 68.27 % by default."""
    if level is not None and sigma is not None:
        raise ValueError("`level` and `sigma` say the same: pass one of them.")
    if level is None:
        checked = erf(positive("sigma", 1 if sigma is None else sigma) / sqrt(2))
        if checked == 1:
            raise ValueError(f"`sigma` must be less than 8, not {shown(sigma)}.")
        return checked
    checked = number("level", level, low=0, below=1)
    if checked == 0:
        raise ValueError(f"`level` must be between 0 and 1, not {shown(level)}.")
    return checked


def factors_of(fit: Any, level: float) -> np.ndarray:
    """Return the half width of an interval in standard errors, shape (...).

    A quantile of the normal distribution where the errors of the data are known, else of Student's t.
    """
    from scipy.special import ndtri, stdtrit

    probability = 0.5 + level / 2
    if fit._is_absolute:
        return np.full(fit.chi2.shape, ndtri(probability))
    dof = np.where(fit.dof > 0, fit.dof, np.nan)
    return np.where(fit.dof > 0, stdtrit(dof, probability), np.inf)
