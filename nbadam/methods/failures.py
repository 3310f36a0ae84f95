"""Simulations that fail now and then: the value is not finite, but may be at another evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

# Further evaluations at a point, at most, and points without a finite value at which they are tried in vain:
# from there on the function is taken for one that is not defined everywhere.
FURTHER, IN_VAIN = 3, 5


@dataclass
class Failures:
    """Numbers of points whose first value was not finite: where no later one was, and where one was."""

    failed: int = 0
    recovered: int = 0

    def finite(self, value: Callable[..., Any], x: np.ndarray) -> float:
        """Return the first finite value at `x` of some evaluations, or the last one."""
        f = value(x)
        if isfinite(f):
            return f
        for _ in range(FURTHER if self.recovered or self.failed < IN_VAIN else 0):
            f = value(x)
            if isfinite(f):
                self.recovered += 1
                return f
        self.failed += 1
        return f
