"""Norms of gradients, and the factors that clip them."""

from math import inf, isfinite, sqrt

import numpy as np
from numba.extending import register_jitable


@register_jitable
def clip_scale(norm, limit):
    """Factor that brings a gradient of this norm down to `limit`; NaN stays NaN."""
    return 1.0 if norm <= limit else limit / norm
