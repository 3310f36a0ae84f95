"""Derivatives of a function by differences, where Numba can carry no dual numbers through it.

The step is found from the effect that it has on the model, not from the size of the parameter: it
shrinks until two steps agree, as far as rounding lets them.  Always in double precision.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._jitable import register_jitable

EPS = float(np.finfo(float).eps)
FIRST = 2.0**-10  # first step, relative to the parameter
FACTOR = 8.0  # between steps
FINER = FACTOR * FACTOR - 1  # the error of the finer of two central differences, in their distance
EFFECT = 1e-6  # relative change of the model that the first step must make, or be as large as 1
INFINITE = 1e3  # growth of differences, as the step shrinks, of a derivative that is infinite
STEPS = 40  # divisions by 8: 36 decades
CONSISTENT = 1e-6  # relative second difference that counts as rounding, where smaller steps do not shrink it
SAMPLES = 8  # second differences, which rounding may leave 0 by chance


def differences(function: Callable[..., Any], n: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the value and the derivatives of a function of n parameters, without a call beyond their bounds.

    Returns
    -------
    value : callable
        ``value(x, p)`` for a tuple `p`.
    slopes : callable
        ``slopes(x, p, f, low, high)`` returns a tuple, given the value `f` and the bounds.
    """
    scope: dict[Any, Any] = {"function": function, "register_jitable": register_jitable, "np": np}
    moved = ", ".join(f"t if i == {k} else p[{k}]" for k in range(n))
    text = f"""
@register_jitable(error_model="numpy")
def evaluate(x, p, i, t):
    return np.float64(function(x, {moved}))
"""
    exec(text, scope)
    evaluate = scope["evaluate"]

    @register_jitable(error_model="numpy")
    def pair(x, p, i, f, h, side):
        # First and second difference: central, or to one side where the other is beyond a bound.
        t = p[i]
        if side == 0:
            above, below = evaluate(x, p, i, t + h), evaluate(x, p, i, t - h)
            size = max(abs(f), abs(above), abs(below))
            return (above - below) / ((t + h) - (t - h)), above - f + (below - f), size
        near, far = evaluate(x, p, i, t + side * h), evaluate(x, p, i, t + side * 2 * h)
        size = max(abs(f), abs(near), abs(far))
        step = (t + side * 2 * h) - t
        return (4 * (near - f) - (far - f)) / step, far - near - (near - f), size

    @register_jitable(error_model="numpy")
    def slope(x, p, i, f, low, high):
        t = p[i]
        up, down = high - t, t - low
        h = FIRST * abs(t) if t != 0 else 1.0
        side = 0
        if h > up or h > down:
            side, room = (1, up) if up > down else (-1, down)
            if room == 0:
                return 0.0  # the bounds leave nothing to vary
            h = min(h, room / 2)
        d, second, size = pair(x, p, i, f, h, side)
        if side == 0 and not np.isfinite(d):  # one side may be beyond the domain of the model
            side = 1 if np.isfinite(evaluate(x, p, i, t + h)) else -1
            d, second, size = pair(x, p, i, f, h, side)
        while side == 0 and h < 1.0 and 2 * h * abs(d) < EFFECT * size and FACTOR * h <= min(up, down):
            h *= FACTOR
            d, second, size = pair(x, p, i, f, h, side)
        best, least, coarsest, noise = d, np.inf, abs(d), -1.0
        for _ in range(STEPS):
            h /= FACTOR
            finer, second_finer, size_finer = pair(x, p, i, f, h, side)
            is_smooth = abs(second_finer) <= abs(second) / FACTOR + 16 * EPS * size_finer
            if not is_smooth and noise < 0:
                # Second differences over steps of some units of rounding are rounding errors: those of terms
                # that cancel in the model are larger than its value tells.
                for k in range(1, SAMPLES + 1):
                    noise = max(noise, abs(pair(x, p, i, f, k * (k + 1) * EPS * abs(t), side)[1]))
            rounding = max(4 * EPS * size_finer, noise) / h
            # Where the function is smooth on the scale of the steps, second differences shrink by 64.
            is_smooth = abs(second_finer) <= abs(second) / FACTOR + 4 * rounding * h
            error = abs(d - finer) / FINER
            if not is_smooth and abs(d - finer) + abs(second_finer) / h <= CONSISTENT * abs(finer):
                is_smooth, error = True, abs(d - finer) + abs(second_finer) / h
            if is_smooth and rounding > 0.01 * abs(finer) and least == np.inf:
                best = finer  # nothing is left but rounding
                break
            if is_smooth and error + rounding < least:
                best, least = finer, error + rounding
            elif not np.isfinite(best):
                best, coarsest = finer, abs(finer)
            if rounding > least or (is_smooth and error <= 4 * rounding) or t + h == t:
                break
            d, second = finer, second_finer
        if least == np.inf and abs(d) > INFINITE * coarsest:
            return np.inf if d > 0 else -np.inf
        return best

    scope["slope"] = slope
    entries = ", ".join(f"slope(x, p, {i}, f, low[{i}], high[{i}])" for i in range(n))
    text = f"""
@register_jitable(error_model="numpy")
def value(x, p):
    return evaluate(x, p, 0, p[0])

@register_jitable(error_model="numpy")
def slopes(x, p, f, low, high):
    return ({entries},)
"""
    exec(text, scope)
    return scope["value"], scope["slopes"]
