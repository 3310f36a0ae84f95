"""Factors that clip gradients by their norm."""

from numba.extending import register_jitable


@register_jitable
def clip_scale(norm, limit):
    """Factor that brings a gradient of this norm down to `limit`; NaN stays NaN."""
    return 1.0 if norm <= limit else limit / norm
