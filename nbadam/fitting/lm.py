"""Levenberg-Marquardt over lanes: which fit is in which lane, and when it is done.

Each lane is a fit of its own: nothing in its numbers depends on the others, on how many there are or
on the thread that runs them.  A lane that is done takes the next fit at once.
"""

from functools import cache

import numpy as np
from numba import from_dtype, types

from .._jit import compile_kernel
from ..status import Status
from .sums import BLOCK

ATTEMPTS = 8  # to bring the length of a step to the radius; two do on the average
RUNNING = -1
SUCCESS, MAXITER, NONFINITE = map(int, (Status.SUCCESS, Status.MAXITER, Status.NONFINITE))

# The rows of the state that `fit` works on; "end" is the first row of the data.
ROWS = (
    "point", "trial", "chi2", "normal", "lower", "upper", "damping", "settled", "remaining", "small",
    "fresh", "failed", "end",
)  # fmt: skip


def fit(normal, judge, solve, judging, solving, memory, lanes, rows, x, data, p0, lower, upper, tolerances,
        max_nfev, f_scale, popt, information, chi2, nfev, status, S, which, count, progress,
        points):  # fmt: skip
    """Fit a block of data sets, or go on with it; return whether all are done.

    Parameters
    ----------
    normal, judge, solve : functions
        What `generate` and `trust_region` make the text of, compiled.  This kernel itself serves every model.
    judging, solving, memory : arrays
        Tapes for `judge` and `solve`, and their memory: see `fitting.tape`.  Empty for a few parameters.
    lanes : int
    rows : tuple of int
        First entries in the state of what `ROWS` lists.
    x : array of shape (n_variables, m)
    data : array of shape (fits, columns, m)
    p0 : array of shape (fits, n)
    lower, upper : arrays of shape (fits, n), or (0, 0) for a `solve` without bounds
    tolerances : array of `ftol` and `xtol`
    popt, information, chi2, nfev, status : arrays of shape (fits, ...)
        Written; `information` is the lower triangle of the normal matrix.
    S, which, count, progress : arrays
        The state of the lanes, which the next call goes on with: see `new_state`.
    points : int
        Points of each lane to evaluate before this call returns, rounded up to whole blocks.
    """
    (point, trial, chi2_row, normal_row, lower_row, upper_row, damping, settled, remaining, small, fresh,
     failed, first) = rows  # fmt: skip
    fits, columns, m = data.shape
    n, pairs = p0.shape[1], information.shape[1]
    ftol, xtol = tolerances[0], tolerances[1]
    following, busy, begin = progress[0], progress[1], progress[2]
    while True:
        for lane in range(lanes):
            if S[settled + lane] < 0:
                which[lane] = -1
                S[settled + lane] = 0
                if following < fits:
                    i = following
                    which[lane] = i
                    following += 1
                    busy += 1
                    count[lane] = 0
                    S[fresh + lane] = 1
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
        if busy == 0 or points <= 0:
            break
        end = min(m, begin + -(-points // BLOCK) * BLOCK)
        normal(x, S, m, begin, end, f_scale)
        points -= end - begin
        begin = end if end < m else 0
        if begin > 0:
            break
        judge(S, judging, memory)
        S[damping : damping + lanes] = 0
        for _ in range(ATTEMPTS):
            solve(S, solving, memory, xtol)
            unsettled = 0
            for lane in range(lanes):
                if which[lane] >= 0 and S[settled + lane] == 0:
                    unsettled += 1
            if unsettled == 0:
                break
        for lane in range(lanes):
            i = which[lane]
            if i < 0:
                continue
            count[lane] += 1
            code = RUNNING
            if S[failed + lane] > 0:
                code = NONFINITE
            elif S[damping + lane] == 0 and S[remaining + lane] <= ftol * S[chi2_row + lane]:
                code = SUCCESS  # a full step would lower chi2 by less than `ftol` of it
            elif S[small + lane] <= 0:
                code = SUCCESS  # no parameter changes by more than `xtol` of itself
            elif count[lane] >= max_nfev:
                code = MAXITER
            if code != RUNNING:
                for j in range(n):
                    popt[i, j] = S[point + j * lanes + lane]
                for j in range(pairs):
                    information[i, j] = S[normal_row + j * lanes + lane]
                chi2[i] = S[chi2_row + lane]
                nfev[i] = count[lane]
                status[i] = code
                S[settled + lane] = -1
                busy -= 1
    progress[0], progress[1], progress[2] = following, busy, begin
    return busy == 0


def new_state(lanes: int, rows: tuple[int, ...], columns: int, m: int, dtype) -> tuple[np.ndarray, ...]:
    """Return `S`, `which`, `count` and `progress` for a block that `fit` has not begun with.

    `which` is the fit in each lane, -1 when there are no more; `progress` holds the number of fits begun,
    of those in the lanes, and the point at which the evaluation goes on.
    """
    settled, first = (rows[ROWS.index(name)] for name in ("settled", "end"))
    S = np.zeros(first + columns * m * lanes, dtype)
    S[settled : settled + lanes] = -1  # wants a fit
    return S, np.full(lanes, -1), np.zeros(lanes, np.int64), np.zeros(3, np.int64)


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
            *(types.FunctionType(signature) for signature in parts.values()),
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
            types.int64,
        )
    }


@cache
def fit_kernel(dtype: str):
    """Return `fit`, compiled."""
    return compile_kernel(fit, signatures(dtype)["fit"], name=f"fit_{dtype}", mode="nogil")
