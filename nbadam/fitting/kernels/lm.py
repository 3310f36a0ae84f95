"""Levenberg-Marquardt over lanes: which fit is in which lane, and when it is done.

Each lane is a fit of its own: nothing in its numbers depends on the others, on how many there are or
on the thread that runs them.  A lane that is done takes the next fit at once.
"""

from functools import cache
from math import sqrt

import numpy as np
from numba import from_dtype, types
from numba.extending import register_jitable

from ..._jit import compile_kernel
from ..._pointers import call
from ...status import Status
from ..covariance import invert_factor
from .sums import BLOCK

ATTEMPTS = 8  # solutions for the damping that brings a step to the radius; two do on the average
RUNNING = -1
INSIDE = 1e-10  # distance of the second start from a bound, as in scipy.optimize.least_squares
ROUNDING = 4.0  # changes of chi-square by rounding, in units of eps and of the root of the number of points
RESTARTS = 3  # new trust regions that lower chi-square by less than WORTHWHILE of it
WORTHWHILE = 1e-10
STALLED = (
    1e-4  # share of chi-square that a full step promises where p0 is no minimum, though no step lowers it
)
PATIENCE = (
    50  # evaluations after which a fit must have lowered chi-square by SLOW of it, or may be running away
)
SLOW = 0.01
STARTS = 8  # further ones, between bounds
DIVERGED = 1e3  # standard error in units of the parameter
SUCCESS, MAXITER, NONFINITE, NOT_MOVED, RUNAWAY, UNDETERMINED = map(
    int,
    (
        Status.SUCCESS,
        Status.MAXITER,
        Status.NONFINITE,
        Status.NOT_MOVED,
        Status.RUNAWAY,
        Status.UNDETERMINED,
    ),
)

# The rows of the state that `fit` works on; "end" is the first row of the data.
ROWS = (
    "point", "trial", "chi2", "normal", "lower", "upper", "damping", "settled", "reduction", "small",
    "fresh", "failed", "better", "doubtful", "end",
)  # fmt: skip


def fit(normal, judge, solve, judging, solving, memory, lanes, rows, x, data, p0, lower, upper, tolerances,
        max_nfev, f_scale, popt, information, chi2, nfev, status, S, which, count, tries, levels,
        progress, points):  # fmt: skip
    """Fit a block of data sets, or go on with it; return whether all are done.

    Parameters
    ----------
    normal, judge, solve : int
        Addresses of the functions that `generate` and `trust_region` make the text of, compiled.  This kernel
        itself serves every model.
    judging, solving, memory : arrays
        Tapes for `judge` and `solve`, and their memory: see `fitting.tape`.  Empty for a few parameters.
    lanes : int
    rows : tuple of int
        First entries in the state of the rows that `ROWS` lists.
    x : array of shape (n_variables, m)
    data : array of shape (fits, columns, m)
    p0 : array of shape (fits, n)
    lower, upper : arrays of shape (fits, n), or (0, 0) for a `solve` without bounds
    tolerances : array of `ftol` and `xtol`
    popt, information, chi2, nfev, status : arrays of shape (fits, ...)
        Written; `information` is the lower triangle of the normal matrix.
    S, which, count, tries, levels, progress : arrays
        The state of the lanes, which the next call goes on with: see `new_state`.
    points : int
        Points of each lane to evaluate before this call returns, rounded up to whole blocks.
    """
    (point, trial, chi2_row, normal_row, lower_row, upper_row, damping, settled, reduction, small, fresh,
     failed, better, doubtful, first) = rows  # fmt: skip
    fits, columns, m = data.shape
    n, pairs = p0.shape[1], information.shape[1]
    ftol, xtol = tolerances[0], tolerances[1]
    eps = np.finfo(data.dtype).eps
    rounding = ROUNDING * eps * sqrt(m)
    restarts, starts = tries[:lanes], tries[lanes:]
    begun, before, origin = levels[:lanes], levels[lanes : 2 * lanes], levels[2 * lanes :]
    position, triangle, free = np.zeros(n, data.dtype), np.zeros(pairs, data.dtype), np.ones(n, np.bool_)
    following, busy, begin = progress[0], progress[1], progress[2]
    is_empty = following == 0
    while True:
        for lane in range(lanes):
            if S[settled + lane] < 0:
                S[settled + lane] = 0
                which[lane] = following if following < fits else -1
                if following < fits or (is_empty and fits > 0):
                    # A lane for which there is no fit repeats one: a model may not end, or fail, elsewhere.
                    i = following if following < fits else 0
                    for c in range(columns):
                        for k in range(m):
                            S[first + (c * m + k) * lanes + lane] = data[i, c, k]
                    for j in range(n):
                        S[point + j * lanes + lane] = p0[i, j]
                        S[trial + j * lanes + lane] = p0[i, j]
                    if lower.size > 0:
                        for j in range(n):
                            S[lower_row + j * lanes + lane] = lower[i, j]
                            S[upper_row + j * lanes + lane] = upper[i, j]
                    S[fresh + lane] = 1
                    count[lane], starts[lane], begun[lane] = 0, 0, -1
                if following < fits:
                    following += 1
                    busy += 1
        is_empty = False
        if busy == 0 or points <= 0:
            break
        end = min(m, begin + -(-points // BLOCK) * BLOCK)
        call(normal, None, (x, S, m, begin, end, f_scale))
        points -= end - begin
        begin = end if end < m else 0
        if begin > 0:
            break
        call(judge, None, (S, judging, memory))
        S[damping : damping + lanes] = 0
        for _ in range(ATTEMPTS):
            call(solve, None, (S, solving, memory, xtol))
            unsettled = 0
            for lane in range(lanes):
                if which[lane] >= 0 and S[settled + lane] == 0:
                    unsettled += 1
            if unsettled == 0:
                break
        for lane in range(lanes):
            i = which[lane]
            if i < 0:
                for j in range(n):
                    S[trial + j * lanes + lane] = S[point + j * lanes + lane]
                continue
            count[lane] += 1
            value, left = S[chi2_row + lane], S[reduction + lane] / S[chi2_row + lane]
            if begun[lane] < 0:
                begun[lane], before[lane], origin[lane], restarts[lane] = value, value, value, 0
            shrunk = S[small + lane] <= 0 and S[damping + lane] > 0
            code = RUNNING
            if S[failed + lane] > 0:
                code = NONFINITE
            elif left <= ftol or value == 0:
                code = SUCCESS  # a full step would lower chi2 by less than `ftol` of it
            elif S[small + lane] <= 0 and not shrunk:
                code = SUCCESS  # a full step would change no parameter by more than `xtol` of itself
            elif shrunk or (left <= rounding and S[better + lane] == 0):
                # Nothing is left of the trust region, or only rounding of chi-square.  Its scales may be from
                # elsewhere: the fit has converged if a region with those of here leads nowhere, either.
                gain = (begun[lane] - value) / value
                restarts[lane] += gain < WORTHWHILE
                if gain > 0 and restarts[lane] <= RESTARTS:
                    begun[lane] = value
                    S[fresh + lane] = 1
                    for j in range(n):
                        S[trial + j * lanes + lane] = S[point + j * lanes + lane]
                else:
                    code = NOT_MOVED if value == origin[lane] and left > STALLED else SUCCESS
            is_settled = code == SUCCESS
            slow = count[lane] % PATIENCE == 0 and value > (1 - SLOW) * before[lane]
            if count[lane] % PATIENCE == 0:
                before[lane] = value
            if is_settled or (slow and code == RUNNING):
                doubts = S[doubtful + lane]
                for j in range(n):
                    p, square = S[point + j * lanes + lane], S[normal_row + j * (j + 3) // 2 * lanes + lane]
                    effect = abs(p) * square * abs(p)
                    doubts += value > DIVERGED * effect * DIVERGED
                    if lower.size > 0:
                        # The next step, which changes nothing else, reaches the bounds.
                        end, start = S[trial + j * lanes + lane], p0[i, j]
                        if is_settled and (end == lower[i, j] or end == upper[i, j]):
                            p = end if abs(p - end) <= WORTHWHILE * abs(start - end) else p
                        free[j] = lower[i, j] < p < upper[i, j]
                    position[j] = p
                if doubts > 0:
                    for j in range(pairs):
                        triangle[j] = S[normal_row + j * lanes + lane]
                    doubt = judged(triangle, position, p0[i], free, value / max(m - n, 1))
                    # For now: see `finish`.
                    if doubt == RUNAWAY or (code == RUNNING and doubt == UNDETERMINED):
                        code = RUNAWAY
                    elif doubt == UNDETERMINED:
                        code = UNDETERMINED
            if code == RUNNING and (
                count[lane] >= max_nfev or (slow and lower.size > 0 and starts[lane] < STARTS)
            ):
                code = MAXITER
            if code == RUNNING:
                continue
            nfev[i] = count[lane]
            margin = (
                (1 - WORTHWHILE) if status[i] == SUCCESS else (1 + WORTHWHILE) if code == SUCCESS else 1.0
            )
            is_lower = code != NONFINITE and not value >= chi2[i] * margin
            if starts[lane] == 0 or status[i] == NONFINITE or is_lower:
                chi2[i], status[i] = value, code
                for j in range(n):
                    popt[i, j] = position[j] if is_settled else S[point + j * lanes + lane]
                for j in range(pairs):
                    information[i, j] = S[normal_row + j * lanes + lane]
            again = False
            moved = code != SUCCESS or origin[lane] - value > WORTHWHILE * value
            if lower.size > 0 and count[lane] < max_nfev and (moved or starts[lane] > 0):
                while starts[lane] < STARTS and not again:
                    starts[lane] += 1
                    again = another_start(
                        starts[lane], status[i], p0[i], lower[i], upper[i], popt[i], position
                    )
                for j in range(n if again else 0):
                    S[trial + j * lanes + lane] = position[j]
            if again:
                S[fresh + lane], begun[lane] = 1, -1
            else:
                S[settled + lane] = -1
                busy -= 1
    progress[0], progress[1], progress[2] = following, busy, begin
    return busy == 0


@register_jitable(error_model="numpy")
def another_start(number, status, p0, lower, upper, popt, start):
    """Choose a start for a fit that has failed or has parameters at bounds; return whether to fit from it.

    Number 1 lies amid the bounds, or farther from a bound that is alone; number 2, for failed fits, nearer to
    it, but off it: derivatives may vanish there, or be infinite; number 3 is `popt`, with the parameters at
    bounds back at `p0`.  Then follow points of a low-discrepancy sequence, Roberts' R: between the bounds,
    or at 0.1 to 10 times the distance of `p0` from a bound that is alone, or from 0.  A `p0` at such a bound
    tells no scale, and goes ever farther from it.  The last goes on where a slow fit was left.
    """
    if number == STARTS:
        for j in range(popt.size):  # an assignment of arrays would take a second to compile, for its message
            start[j] = popt[j]
        return status == MAXITER
    at_bound, other = False, False
    least, n = 4 * np.finfo(popt.dtype).eps, p0.size
    root = 1.0  # of x**(n + 1) = x + 1
    for _ in range(30 if number > 3 else 0):
        root = (1 + root) ** (1 / (n + 1))
    for j in range(n):
        low, high, p = lower[j], upper[j], p0[j]
        is_at = (popt[j] == low or popt[j] == high) and low < high
        at_bound |= is_at
        u = (0.5 + (number - 3) / root ** (j + 1)) % 1
        share = 3 if number == 1 else 0.3 if number == 2 else 100 ** (u - 0.5)
        is_open = low == -np.inf or high == np.inf
        if number == 3:
            p = p if is_at else popt[j]
        elif (p == low or p == high) and low < high and (number == 2 or (number > 3 and is_open)):
            unit = abs(p) if is_open else high - low
            unit = unit if unit > 0 else abs(popt[j] - p)
            unit = unit if unit > 0 else 1.0
            distance = INSIDE * unit * 1e3 ** (number - 2 - (number > 3))
            step = min(max(distance, least * abs(p)), (high - low) / 2)
            p += step if p == low else -step
        elif number != 2 and not is_open:
            u = 0.5 if number == 1 else u
            p = 0.25 * p + 0.75 * (low + u * (high - low))
        elif low > -np.inf:
            p = low + share * (p - low)
        elif high < np.inf:
            p = high - share * (high - p)
        elif number > 3:
            start[j] = share * p
            continue
        start[j] = min(max(p, low), high)
        other |= start[j] != p0[j] and start[j] != popt[j]
    return other and (status != SUCCESS or (at_bound and number != 2))


@register_jitable(error_model="numpy")
def judged(information, point, p0, free, variance):
    """Tell parameters that run away, ``RUNAWAY``, or that rounding hides, ``UNDETERMINED``, from ``RUNNING``.

    Parameters
    ----------
    information : array of shape (n * (n + 1) // 2,)
        Lower triangle of the normal matrix.
    point, p0 : arrays of shape (n,)
    free : array of bool, shape (n,)
        Parameters that are not fixed or at a bound.
    variance : float
        That of the residuals.
    """
    n = point.size
    lower, scale = np.zeros((n, n)), np.zeros(n)
    if not invert_factor(information, free, n * np.finfo(information.dtype).eps, scale, lower):
        return UNDETERMINED
    far = 0
    for i in range(n):
        error = 0.0
        for k in range(i, n):
            error += lower[k, i] * lower[k, i]
        if free[i] and sqrt(error * variance) * scale[i] > DIVERGED * abs(point[i]):
            # One parameter may be 0 by chance, unless it has grown.
            far += 2 if abs(point[i]) > 10 * abs(p0[i]) > 0 else 1
    return RUNAWAY if far > 1 else RUNNING


def new_state(lanes: int, rows: tuple[int, ...], columns: int, m: int, dtype) -> tuple[np.ndarray, ...]:
    """Return the state of a block that `fit` has not begun: all that it takes from `S` to `progress`.

    `which` is the fit in each lane, -1 when there are no more.  `tries` counts how often its trust region was
    set up anew, and its starts.  `levels` are chi-squares: where the region was set up, some evaluations ago,
    at the start.  `progress` holds the number of fits begun,
    of those in the lanes, and the point at which the evaluation goes on.
    """
    settled, first = (rows[ROWS.index(name)] for name in ("settled", "end"))
    S = np.zeros(first + columns * m * lanes, dtype)
    S[settled : settled + lanes] = -1  # wants a fit
    tries, levels = np.zeros(2 * lanes, np.int64), np.zeros(3 * lanes, dtype)
    return S, np.full(lanes, -1), np.zeros(lanes, np.int64), tries, levels, np.zeros(3, np.int64)


def signatures(dtype: str) -> dict[str, object]:
    """Types of the arguments of `normal`, `judge`, `solve` and `fit`."""
    element = from_dtype(np.dtype(dtype))
    line, table = types.Array(element, 1, "C"), types.Array(element, 2, "C")
    given = types.Array(element, 2, "C", readonly=True)
    tape = types.Array(types.uint32, 2, "C", readonly=True)
    parts = {
        "normal": types.void(given, line, *(types.int64,) * 3, element),
        "judge": types.void(line, tape, line),
        "solve": types.void(line, tape, line, element),
    }
    return parts | {
        "fit": types.boolean(
            *(types.int64,) * len(parts),
            tape,
            tape,
            line,
            types.int64,
            types.UniTuple(types.int64, len(ROWS)),
            given,
            types.Array(element, 3, "C", readonly=True),
            *(given,) * 3,
            types.Array(element, 1, "C", readonly=True),
            types.int64,
            element,
            table,
            table,
            line,
            types.Array(types.int32, 1, "C"),
            types.Array(types.int8, 1, "C"),
            line,
            *(types.Array(types.int64, 1, "C"),) * 3,
            line,
            types.Array(types.int64, 1, "C"),
            types.int64,
        )
    }


@cache
def fit_kernel(dtype: str):
    """Return `fit`, compiled."""
    return compile_kernel(fit, signatures(dtype)["fit"], name=f"fit_{dtype}", mode="nogil")
