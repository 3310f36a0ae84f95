"""Minima of chi-square that a search has found, besides the best one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass
class Minima:
    """Different minima of chi-square that a search found for one data set, the lowest first.

    Attributes
    ----------
    popt : ndarray, shape (k, n_params)
        Of mirror images, aliases and exchanged terms, which have the same `chi2`, one stands for all: that
        of the smallest absolute values, in the order of the parameters, and positive ones.
    chi2 : ndarray, shape (k,)
    n_reached : ndarray of int, shape (k,)
        Starts that led there.  Starts that were made from the minimum itself do not count.
    """

    popt: np.ndarray
    chi2: np.ndarray
    n_reached: np.ndarray

    def of_all(self, ties: Any) -> "Minima":
        """Return the same with the tied parameters, of `Ties` or None."""
        return self if ties is None else replace(self, popt=ties.all_of(self.popt))

    def count(self, ratio: float = 2.0) -> int:
        """Count the minima whose `chi2` is at most `ratio` times the lowest."""
        return int(np.count_nonzero(self.chi2 <= ratio * self.chi2[:1]))
