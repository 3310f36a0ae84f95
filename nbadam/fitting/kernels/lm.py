"""Levenberg-Marquardt over lanes: which fit is in which lane, and when it is done.

Each lane is a fit of its own: nothing in its numbers depends on the others, on how many there are or
on the thread that runs them.  A lane that is done takes the next fit at once.
"""

from functools import cache
from math import sqrt
from typing import Any

import numpy as np

from ..._calls import call
from ..._jit import array, compile_kernel
from ..._jitable import register_jitable
from ...status import Status
from .lanes import (
    BETTER,
    CHI2,
    DAMPING,
    DOUBTFUL,
    FAILED,
    FRESH,
    NORMAL,
    POINT,
    REDUCTION,
    SETTLED,
    SMALL,
    TRIAL,
    UNSURE,
    common_examples,
    load,
    take,
)
from .restarts import STARTS
from .sums import BLOCK
from .trust_region import least_chi2

ATTEMPTS = 8  # solutions for the damping that brings a step to the radius; two do on the average
RUNNING = -1
# Rows of `counts`, with a number for each lane: its fit, -1 if there are no more; the evaluations of this
# fit, and how many more there are before it is looked at in any case; how often its trust region was set up
# anew; its starts; whether it may end.  The last row lists lanes: first those that want a fit.
COUNTS = WHICH, COUNT, DUE, RESTART, START, ENDS, CHOSEN = range(7)
# Rows of `levels`, chi-squares of each lane: where the region was set up, some evaluations ago, at the start.
LEVELS = BEGUN, BEFORE, ORIGIN = range(3)
# Entries of `progress`: the fits begun, those in the lanes, the point at which the evaluation goes on.  Then
# numbers of lanes: those that want a fit, those that have got one since the last evaluation, and those listed
# as perhaps at an end, first how many of these are done.
PROGRESS = FOLLOWING, BUSY, BEGIN, IDLE, NEW, DONE, LISTED = range(7)
ROUNDING = 4.0  # changes of chi-square by rounding, in units of eps and of the root of the number of points
NOTHING = 10  # evaluations after which a fit whose residuals are all rounding ends, and again after as many
RESTARTS = 3  # new trust regions that lower chi-square by less than WORTHWHILE of it
WORTHWHILE = 1e-10
STALLED = (
    1e-4  # share of chi-square that a full step promises where p0 is no minimum, though no step lowers it
)
PATIENCE = (
    50  # evaluations after which a fit must have lowered chi-square by SLOW of it, or may be running away
)
SLOW = 0.01
AGAIN = 2  # mark of a lane whose trust region is set up away from p0; at p0 it is 1
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


def fit(normal, rows, S, state, x, data, lower, upper, f_scale, accept_step, solve, restart, determination,
        accepting, solving, memory, p0, poor, tolerances, max_nfev, popt, information, chi2, nfev, status,
        unsure, counts, levels, triangle, factor, free, progress, points):  # fmt: skip
    """Fit a block of data sets, or go on with it; return whether all are done.

    Parameters
    ----------
    normal, rows, S, state, x, data, lower, upper, f_scale
        See `lanes`; there are bounds if `solve` knows them.
    accept_step, solve, restart, determination : int
        Addresses of the functions that `trust_region` makes the text of, of `next_start`, between bounds, and
        of `determination`, compiled, or 0: then this kernel returns where it wants that, and is to be called
        again.  This kernel itself serves every model.
    accepting, solving, memory : arrays
        Tapes for `accept_step` and `solve`, and their memory: see `tape`.  Empty for a few parameters.
    p0 : array of shape (fits, n)
    poor : array of shape (fits,)
        Chi-squares above which a fit between bounds tries further starts, wherever it ends; or empty.
    tolerances : array
        `ftol`, `xtol`, the share of chi-square that is rounding, the unit of rounding, and a chi-square whose
        terms may have lost digits.  Then the larger one of `ftol` and that share, and the variance of the
        residuals, 0 if chi-square has to tell it.
    popt, information, chi2, nfev, status, unsure : arrays of shape (fits, ...)
        Written; `information` is the lower triangle of the normal matrix.  `unsure` becomes False for fits
        in which `covariance.unsure` would find nothing.
    counts, levels, triangle, factor, free, progress : arrays
        What the next call goes on with, and scratch: see `new_state`.
    points : int
        Points of each lane to evaluate before this call returns, rounded up to whole blocks.
    """
    point, trial, normal_row = rows[POINT], rows[TRIAL], rows[NORMAL]
    fresh = rows[FRESH]
    fits, m, n, lanes = data.shape[0], data.shape[2], p0.shape[1], state.shape[1]
    xtol, least, variance = tolerances[1], tolerances[5], tolerances[6]
    first_due = NOTHING if NOTHING < max_nfev else max_nfev
    # Numba takes four times the time for arrays that are unpacked.
    which, count, due, chosen = counts[WHICH], counts[COUNT], counts[DUE], counts[CHOSEN]
    restarts, starts = counts[RESTART], counts[START]
    begun, before, origin = levels[BEGUN], levels[BEFORE], levels[ORIGIN]
    values, reductions, changes = state[rows[CHI2]], state[rows[REDUCTION]], state[rows[SMALL]]
    failures, settled, damping = state[rows[FAILED]], state[rows[SETTLED]], state[rows[DAMPING]]
    following, busy, begin = progress[FOLLOWING], progress[BUSY], progress[BEGIN]
    idle, new, done, listed = progress[IDLE], progress[NEW], progress[DONE], progress[LISTED]
    is_empty = following == 0
    while True:
        if done == listed:
            for k in range(idle):
                lane = chosen[k]
                which[lane] = following if following < fits else -1
                if following < fits or (is_empty and fits > 0):
                    # A lane for which there is no fit repeats one: a model may not end, or fail, elsewhere.
                    own = state[:, lane]
                    load(own, rows, data, p0, lower, upper, following if following < fits else 0)
                    own[fresh] = 1
                    count[lane], due[lane], restarts[lane], starts[lane] = 0, first_due, 0, 0
                if following < fits:
                    following += 1
                    busy += 1
            is_empty, new, idle = False, new + idle, 0
            if busy == 0 or points <= 0:
                break
            end = begin + -(-points // BLOCK) * BLOCK
            end = m if end > m else end
            call(normal, None, (x, S, m, begin, end, f_scale))
            points -= end - begin
            begin = end if end < m else 0
            if begin > 0:
                break
            call(accept_step, None, (S, accepting, memory, xtol))
            for lane in range(lanes):
                damping[lane] = 0
            for _ in range(ATTEMPTS):
                call(solve, None, (S, solving, memory, xtol))
                unsettled = 0
                for lane in range(lanes):
                    unsettled += which[lane] >= 0 and settled[lane] == 0
                if unsettled == 0:
                    break
            listed = choose(values, reductions, changes, failures, least, tolerances[4], new, counts, levels)
            new = done = 0
        wants = False
        for k in range(done, listed):
            lane = chosen[k]
            i, value, own = which[lane], values[lane], state[:, lane]
            done = k + 1
            if i < 0:
                stay(own, trial, point, n)
                continue
            doubtful = own[rows[DOUBTFUL]] > 0 or value < variance
            if doubtful and determination == 0:
                done, wants = k, True
                break
            if begun[lane] < 0:  # a further start
                begun[lane] = before[lane] = origin[lane] = value
            due[lane], rest = NOTHING - count[lane] % NOTHING, max_nfev - count[lane]
            due[lane] = rest if rest < due[lane] else due[lane]
            left, is_small, is_failed = reductions[lane] / value, changes[lane] <= 0, failures[lane] > 0
            shrunk = is_small and damping[lane] > 0
            code = RUNNING
            if is_failed:
                code = NONFINITE
            elif left <= tolerances[0] or value == 0:
                code = SUCCESS  # a full step would lower chi2 by less than `ftol` of it
            elif value <= tolerances[4] and count[lane] >= PATIENCE and has_no_zero(data[i, 0]):
                code = SUCCESS  # squares have lost their digits: `Problem` says so if the data are as small
            elif is_small and not shrunk:
                code = SUCCESS  # a full step would change no parameter by more than `xtol` of itself
            elif count[lane] % NOTHING == 0 and is_rounding(own, point, normal_row, n, value, tolerances[3]):
                code = SUCCESS  # steps towards 0 may go on for ever
            elif shrunk or (left <= tolerances[2] and own[rows[BETTER]] == 0):
                # Nothing is left of the trust region, or only rounding of chi-square.  Its scales may be from
                # elsewhere: the fit has converged if a region with those of here leads nowhere, either.
                gain = (begun[lane] - value) / value
                restarts[lane] += gain < WORTHWHILE
                if gain > 0 and restarts[lane] <= RESTARTS:
                    begun[lane] = value
                    own[fresh] = AGAIN
                    stay(own, trial, point, n)
                else:
                    # A kink may be a minimum; where values end there is none.
                    stalled = value == origin[lane] or failures[lane] < 0
                    code = NOT_MOVED if stalled and left > STALLED else SUCCESS
            is_settled = code == SUCCESS
            slow = count[lane] % PATIENCE == 0 and value > (1 - SLOW) * before[lane]
            if count[lane] % PATIENCE == 0:
                before[lane] = value
            if is_settled and lower.size > 0:
                for j in range(n):
                    p, end = own[point + j], own[trial + j]  # the next step, which changes nothing else
                    is_at = end == lower[i, j] or end == upper[i, j]
                    if is_at and abs(p - end) <= WORTHWHILE * abs(p0[i, j] - end):
                        own[point + j] = end
            if doubtful and (is_settled or (slow and code == RUNNING)):
                scatter = variance if variance > 0 else value / (m - n if m > n else 1)
                given = own, point, normal_row, i, p0, lower, upper, scatter, n * tolerances[3]
                verdict = call(determination, 0, (*given, triangle, factor, free))
                if verdict != SUCCESS:  # for now: see `finish`
                    code = UNDETERMINED if is_settled and verdict == UNDETERMINED else RUNAWAY
            if code == RUNNING and (rest <= 0 or (slow and lower.size > 0 and starts[lane] < STARTS)):
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
                    popt[i, j] = own[point + j]
                unsure[i] = code != SUCCESS or own[rows[UNSURE]] > 0
                take(own, normal_row, information[i])
            again = False
            if lower.size > 0 and rest > 0:
                moved = code != SUCCESS or origin[lane] - value > WORTHWHILE * value
                is_poor = poor.size > 0 and status[i] == SUCCESS and chi2[i] > poor[i]
                starts[lane] = call(
                    restart,
                    0,
                    (starts[lane], moved, is_poor, status[i], i, p0, lower, upper, popt, own, trial),
                )
                again = starts[lane] <= STARTS
            if again:
                own[fresh], begun[lane], due[lane], restarts[lane] = AGAIN, -1, 1, 0
            else:
                chosen[idle] = lane
                idle += 1
                busy -= 1
        if wants:
            break
    progress[FOLLOWING], progress[BUSY], progress[BEGIN] = following, busy, begin
    progress[IDLE], progress[NEW], progress[DONE], progress[LISTED] = idle, new, done, listed
    return busy == 0


@register_jitable(error_model="numpy")
def choose(values, reductions, changes, failures, least, smallest, new, counts, levels):
    """Count an evaluation in every lane, and list those lanes that may have come to an end.

    There are no branches: they would be guessed wrong for each fit that begins or ends.
    """
    which, count, due, ends = counts[WHICH], counts[COUNT], counts[DUE], counts[ENDS]
    chosen = counts[CHOSEN]
    for k in range(new):
        lane = chosen[k]
        levels[BEGUN, lane] = levels[BEFORE, lane] = levels[ORIGIN, lane] = values[lane]
    for lane in range(values.size):
        count[lane] += 1
        due[lane] -= 1
    for lane in range(values.size):
        falls = (reductions[lane] / values[lane] > least) & (values[lane] > smallest)
        is_small, is_failed = changes[lane] <= 0, failures[lane] > 0
        ends[lane] = (
            0 if falls & (not is_small) & (not is_failed) & (due[lane] > 0) & (which[lane] >= 0) else 1
        )
    number = 0
    for lane in range(values.size):
        chosen[number] = lane
        number += ends[lane]
    return number


@register_jitable(error_model="numpy")
def stay(own, trial, point, n):
    """Evaluate a lane once more where it is."""
    for j in range(n):
        own[trial + j] = own[point + j]


@register_jitable(error_model="numpy")
def is_rounding(own, point, normal_row, n, chi2, eps):
    """Whether residuals are no larger than the rounding of the model's terms."""
    terms, diagonal = own[point] * 0, normal_row
    for j in range(n):
        p = own[point + j]
        terms += p * own[diagonal] * p
        diagonal += j + 2
    return chi2 <= ROUNDING * eps * terms * (ROUNDING * eps)


@register_jitable(error_model="numpy")
def has_no_zero(y):
    """Whether no data are 0: if all are, the solution may be, too."""
    for k in range(y.size):
        if y[k] == 0:
            return False
    return True


def tolerances(ftol: float, xtol: float, variance: float, m: int, dtype) -> np.ndarray:
    """Return the tolerances of `fit` for data sets of `m` points."""
    eps = np.finfo(dtype).eps
    share = ROUNDING * eps * sqrt(m)
    return np.array([ftol, xtol, share, eps, least_chi2(dtype), max(ftol, share), variance], dtype)


def new_state(lanes: int, n: int, dtype) -> tuple[np.ndarray, ...]:
    """Return the arguments of `fit` from `counts` to `progress` for a block that it has not begun.

    `triangle`, `factor` and `free` are scratch.
    """
    counts, levels = np.zeros((len(COUNTS), lanes), np.int64), np.zeros((len(LEVELS), lanes), dtype)
    counts[WHICH], counts[CHOSEN] = -1, np.arange(lanes)
    scratch = np.zeros(n * (n + 1) // 2), np.zeros((n + 1, n)), np.ones(n, bool)
    progress = np.zeros(len(PROGRESS), np.int64)
    progress[IDLE] = lanes
    return counts, levels, *scratch, progress


def is_held_up(progress: np.ndarray) -> bool:
    """Whether `fit` has returned since it wants `determination`."""
    return bool(progress[DONE] < progress[LISTED])


def examples(dtype: str) -> dict[str, tuple[Any, ...]]:
    """Return examples of the arguments of `normal`, `tape.run` and `fit`."""
    common, table = common_examples(dtype), array(dtype, 2)
    _, _, S, _, x, _, lower, _, f_scale = common
    point, tape = array(dtype, readonly=True), array(np.uint32, 2, readonly=True)
    results = table, table, S, array(np.int32), array(np.int8), array(bool)
    return {
        "normal": (x, S, 0, 0, 0, f_scale),
        "run": (S, tape, S, f_scale),
        "fit": (*common, *(0,) * 4, tape, tape, S, lower, point, point, 0, *results,
                *new_state(0, 0, dtype), 0),
    }  # fmt: skip


@cache
def fit_kernel(dtype: str):
    """Return `fit`, compiled."""
    return compile_kernel(fit, examples(dtype)["fit"], name=f"fit_{dtype}", mode="uncounted_nogil")
