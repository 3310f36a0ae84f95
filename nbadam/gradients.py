"""Norms of gradients, and the factors that clip by them."""

from math import inf, sqrt

from ._jitable import register_jitable

SHRINK = 2.0**-600  # factor that keeps the square of every finite double finite


@register_jitable
def norm_from(squares, g, limit):
    """Norm of a double gradient clipped to `limit`: from its sum of squares, or afresh if that overflowed."""
    if squares != inf:
        return sqrt(squares)
    total = 0.0
    for g_i in g:
        shrunk = max(min(g_i, limit), -limit) * SHRINK
        total += shrunk * shrunk
    return sqrt(total) / SHRINK


@register_jitable
def clip_scale(norm, limit):
    """Factor that brings a gradient of this norm down to `limit`; NaN stays NaN."""
    return 1.0 if norm <= limit else limit / norm
