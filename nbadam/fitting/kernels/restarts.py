"""Further starts of fits between bounds, where Levenberg-Marquardt may end at a false minimum."""

from functools import cache
from typing import Any

import numpy as np

from ..._jit import array, compile_kernel
from ..._jitable import register_jitable
from ...status import Status

STARTS = 24  # further starts of a fit that ends at bounds, or fails between them
FEW = 6  # further starts of a fit that ends off its bounds but leaves much of the data's variation
BESIDE = 7  # further starts while a slow fit waits, which leave it evaluations to go on with
INSIDE = 1e-10  # distance of the second start from a bound, as in scipy.optimize.least_squares
SUCCESS, MAXITER, UNDETERMINED = map(int, (Status.SUCCESS, Status.MAXITER, Status.UNDETERMINED))


def next_start(number, moved, is_poor, status, i, p0, lower, upper, popt, own, first):
    """Choose the next start of a fit that has ended; return its number, STARTS + 1 if there is none.

    Parameters
    ----------
    number : int
        Of the start from which it has ended; 0 is `p0`.
    moved : bool
        Whether it has left this start, or failed.
    is_poor : bool
        Whether it leaves much of the data's variation.
    status : int
        Of its best end so far.
    i : int
        Of the fit.
    p0, lower, upper, popt : arrays of shape (fits, n)
    own, first
        Where to write the start: see `another_start`.
    """
    is_bounded, at_bound = False, False
    for j in range(popt.shape[1]):
        low, high, p = lower[i, j], upper[i, j], popt[i, j]
        if low < high:  # others are fixed
            is_bounded |= low > -np.inf or high < np.inf
            at_bound |= p == low or p == high
    is_poor = is_poor and number < FEW
    if is_bounded and (moved or is_poor or number > 0):
        while number < STARTS:
            number = STARTS if status == MAXITER and number >= BESIDE else number + 1
            ended = UNDETERMINED if is_poor and number <= FEW else status
            if ended == SUCCESS and not at_bound:
                break
            if another_start(number, ended, p0[i], lower[i], upper[i], popt[i], own, first):
                return number
    return STARTS + 1


@register_jitable(error_model="numpy")
def another_start(number, status, p0, lower, upper, popt, own, first):
    """Choose a start for a fit that has failed or has parameters at bounds; return whether to fit from it.

    It is written to rows of the fit's lane, from number `first` on.

    Number 1 lies amid the bounds, or farther from a bound that is alone; number 2, for failed fits, nearer to
    it, but off it: derivatives may vanish there, or be infinite; number 3 is `popt`, with the parameters at
    bounds back at `p0`.  Then follow points of a low-discrepancy sequence, Roberts' R: between the bounds,
    or at 0.1 to 10 times the distance of `p0` from a bound that is alone, or from 0.  A `p0` at such a bound
    tells no scale, and goes ever farther from it.  The last, which may come earlier, goes on where a slow fit
    was left.
    """
    other, least, n = False, 4 * np.finfo(popt.dtype).eps, p0.size
    if number == STARTS:
        for j in range(n):
            own[first + j] = popt[j]
        return status == MAXITER
    root, before = 1.0, 0.0  # root of x**(n + 1) = x + 1
    while number > 3 and root - before > 1e-15:
        root, before = (1 + root) ** (1 / (n + 1)), root
    power = 1.0
    for j in range(n):
        low, high, p = lower[j], upper[j], p0[j]
        power *= root
        is_at = (popt[j] == low or popt[j] == high) and low < high
        u = (0.5 + (number - 3) / power) % 1
        share = 3 if number == 1 else 0.3 if number == 2 else 100 ** (u - 0.5)
        is_open = low == -np.inf or high == np.inf
        if number == 3:
            p = p if is_at else popt[j]
        elif (p == low or p == high) and low < high and (number == 2 or (number > 3 and is_open)):
            unit = abs(p) if is_open else high - low
            unit = unit if unit > 0 else abs(popt[j] - p)
            unit = unit if unit > 0 else 1.0
            distance = INSIDE * unit * 1e3 ** float(number - 2 - (number > 3))
            step = distance if distance > least * abs(p) else least * abs(p)
            step = step if step < (high - low) / 2 else (high - low) / 2
            p += step if p == low else -step
        elif number > 3 and number % 2 > 0 and not is_open:
            # By factors where both bounds have one sign: most of a range of decades lies in the last one.
            p = low * (high / low) ** u if low > 0 or high < 0 else low + u * (high - low)
        elif number != 2 and not is_open:
            u = 0.5 if number == 1 else u
            p = 0.25 * p + 0.75 * (low + u * (high - low))
        elif low > -np.inf:
            p = low + share * (p - low)
        elif high < np.inf:
            p = high - share * (high - p)
        elif number > 3:
            own[first + j] = share * p
            continue
        own[first + j] = low if p < low else high if p > high else p
        other |= own[first + j] != p0[j] and own[first + j] != popt[j]
    return other and (status != SUCCESS or number != 2)


@cache
def restart_kernel(dtype: str) -> Any:
    """Return `next_start`, compiled."""
    points, own = array(dtype, 2, readonly=True), np.empty((2, 2), dtype)[:, 0]  # a column of the state
    popt = array(dtype, 2)
    examples = 0, True, True, np.int8(0), 0, points, points, points, popt, own, 0
    return compile_kernel(next_start, examples, name=f"next_start_{dtype}", mode="uncounted")
