"""Averages of the points of a run: less noisy than any of them.

With steps of a fixed size a noisy objective never settles, but the points scatter about the minimum.
Their average does not (Polyak and Juditsky, 1992).
"""

from .._jitable import register_jitable

# "tail" weighs a point by about the cube of its step number: three quarters of the weight are on the
# last 30 % of the run, however long that turns out to be (Shamir and Zhang, ICML 2013).
# "auto" is "tail" where the gradients are noisy in the end, and "last" elsewhere.
LAST, BEST, TAIL, EMA, AUTO = range(5)
KINDS = {"last": LAST, "best": BEST, "tail": TAIL, "ema": EMA, "auto": AUTO}
# Mean squared noise of the last part of a run, relative to the mean square of the gradient, from which on the
# average of its points is taken.  Runs without noise rarely have so much, and are evaluated twice to tell.
NOISY_END = 0.01
DECAY = 0.99  # decay factor of "ema", which reaches some 100 steps back


@register_jitable
def weight(kind, t):
    """Share of the point after step `t` (1, 2, ...) in the average of all points so far."""
    if kind != EMA:
        return 4.0 / (t + 3.0)
    return (1.0 - DECAY) / (1.0 - DECAY**t)
