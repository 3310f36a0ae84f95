"""The record of a run: all that a step or an evaluation reads and changes, by name.

Compiled code finds it at an address (see `_pointers`); a checkpoint holds its arrays.
"""

from enum import IntEnum
from math import inf, nan
from typing import Any, NamedTuple

import numpy as np

from ..engine import aligned_zeros
from ..rules import Rule
from .averaging import AUTO, EMA, TAIL

# The next thing to do in a run; every larger number is a `Stop`, which ended it.
STEP, EVALUATE = 0, 1
# Whether the objective is noisy.
UNKNOWN, NO, YES = -1, 0, 1


class Phase(IntEnum):
    """Purpose of the last evaluation, or of the next one."""

    START = 0
    STEP = 1
    MEAN = 2  # stop test at the mean point of a window
    MEAN_AGAIN = 3  # second evaluation there, which shows noise
    AVERAGE = 4  # result at the average of the points, or at the best one, which takes the place of the last
    BEST = 5  # second evaluation of the best point, which shows whether a rise was noise, or the return there
    PROBE = 6  # size of variables that start at 0


TOLERANCES = {"gtol": 1e-5, "ftol": 1e-9, "xtol": 0.0}  # options, with the defaults of unplanned runs

ROWS = 512  # records in a history at most; an even number


def _layout(integers: str, reals: str) -> np.dtype:
    fields = [(name, np.int64) for name in integers.split()] + [(name, float) for name in reals.split()]
    return np.dtype((np.record, fields))


NUMBERS = _layout(
    # Steps made, `STEP`, `EVALUATE` or why the run ended, purpose of the evaluation, test that is met but
    # for the one at the mean point, whether the run is noisy, whether `f` belongs to the last point,
    # whether the result is the mean point, whether there are neither bounds nor scales, evaluations that were
    # not finite and skipped in all and in a row, reductions of the learning rate.
    "nit next phase found is_noisy is_fresh is_at_mean is_free skipped skipped_now reductions",
    # Values at the last point, or at the average that takes its place, at the start, the best and the mean
    # point; rate of the last step; product of all reductions of the rate.
    "f f_start f_best f_at_mean rate reduction "
    # Points and sum of the values of the window so far, and the mean value of the window before; squared
    # deviations from that, and the standard error of the difference of the last two means; mean logarithm of
    # the radii at the end of the window before.
    "points f_sum f_mean f_squares f_error window_log_radius "
    # For `patience`: points and sum of the part so far; number, mean and squared deviations of the parts
    # so far, and the sum of the products with their numbers; mean and squared error of the parts before;
    # mean logarithm of the radii then.
    "part_points part_sum parts parts_mean parts_squares parts_trend mean_before error_before log_radius "
    # For automatic rates: sum over the steps of the mean noise, and its mean over the last part of the run;
    # length of the probe of the size of variables, and the factor by which it changes; factor of all rates;
    # product of the last step with the change of the gradient over it, squared length of the step, and means
    # of the two over the last steps.
    "noise_sum late_noise probe probe_factor damping secant length_2 mean_secant mean_length_2 "
    # For the history: sum and number of the values since the last record, steps a record, and records.
    "trace_sum trace_points trace_every trace_rows",
)
LIMITS = _layout(
    # Kind of average, whether the run ends with its evaluation, whether every step keeps the point before it,
    # whether gradients are differences, evaluations that are not finite to skip in a row, reductions of the
    # learning rate to make.
    "average evaluates_average keeps_before has_differences skips reductions",
    # The largest number of steps and the planned one; tolerances, negative if off; steps in a part of
    # `patience`, infinite if off; factor of a reduction; clipping and decay; the first radius of automatic
    # rates, 0 if not known.
    f"maxiter horizon {' '.join(TOLERANCES)} part reduction clipvalue clipnorm weight_decay radius",
)


class Record(NamedTuple):
    """Arrays and numbers of a run in n variables.

    Scaled variables are ``x / x_scale``.  Arrays are of the precision of the run, or of float64, and of the
    shape (n,) unless another one is given.
    """

    x: np.ndarray  # scaled variables
    here: np.ndarray  # the user's variables at the same point
    point: np.ndarray  # where the objective is to be evaluated; it may write there
    g: np.ndarray  # gradient there by the user's variables; `tell` turns it into that by the scaled ones
    slope: np.ndarray  # gradient by the scaled variables at `x`
    before: np.ndarray  # scaled variables before the step, where they are needed
    x_best: np.ndarray  # the user's variables at the lowest value seen
    g_best: np.ndarray  # slope there
    x_at_mean: np.ndarray  # the user's variables at the mean point of a window
    g_at_mean: np.ndarray  # slope there; during probes, a second one at the start
    lower: np.ndarray  # bounds of the scaled variables
    upper: np.ndarray
    x_scale: np.ndarray
    x_lower: np.ndarray  # bounds of the user's variables
    x_upper: np.ndarray
    fractions: np.ndarray  # learning rates as fractions of the largest one; empty if equal
    g_sum: np.ndarray  # float64: sum of the slopes of the window so far
    x_sum: np.ndarray  # float64: sum of the points of the window so far
    x_mean: np.ndarray  # float64: mean point of the window before
    average: np.ndarray  # float64: average of the user's variables; empty if not wanted
    start: np.ndarray  # float64: where automatic rates started; empty without them, like the next two
    radius: np.ndarray  # float64: furthest distance from the start
    noise: np.ndarray  # float64: noise met so far
    history: np.ndarray  # float64, shape (rows, 4): see `history.push`
    numbers: np.ndarray  # NUMBERS, shape (1,)
    limits: np.ndarray  # LIMITS, shape (1,)


DOUBLES = "g_sum x_sum x_mean average start radius noise".split()  # arrays that are float64 in any case


class RuleState(NamedTuple):
    """The part of a run that belongs to its rule, and has another type for each."""

    slots: tuple[np.ndarray, ...]  # in the precision of the run, shape (n,)
    hyper: tuple[float, ...]  # hyperparameters but for the learning rate
    scalars: tuple[np.ndarray, ...]  # scalars of every step; empty if not tabulated


def new_rule_state(rule: Rule, n: int, dtype: Any, hyper: tuple[float, ...], scalars: Any = ()) -> RuleState:
    """Return the part of a run in n variables that belongs to its rule."""
    slots = tuple(aligned_zeros(n, np.dtype(dtype), k) for k in range(len(rule.slots)))
    return RuleState(slots, hyper, scalars or tuple(np.zeros(0) for _ in range(rule.width)))


def new_record(
    n: int, dtype: Any, limits: dict[str, float], is_auto: bool, has_fractions: bool, rows: int
) -> Record:
    """Return the record of a run that has not begun.

    Parameters
    ----------
    n : int
        Number of variables.
    dtype : numpy.dtype
        Precision of the run: float64 or float32.
    limits : dict of str to float
        Fields of `LIMITS` that are not 0.
    is_auto, has_fractions : bool
        Whether learning rates are automatic, or differ between variables.
    rows : int
        Most records of the history; 0 in batches, whose problems count as free of noise.
    """
    has_average = limits["average"] in (TAIL, EMA) or (limits["average"] == AUTO and is_auto and rows > 0)
    sizes = dict.fromkeys(Record._fields, n) | dict.fromkeys(("start", "radius", "noise"), n * is_auto)
    sizes |= {"fractions": n * has_fractions, "average": n * has_average}
    arrays = {name: np.zeros(size, float if name in DOUBLES else dtype) for name, size in sizes.items()}
    arrays |= {"history": np.zeros((rows, 4)), "numbers": new_numbers(), "limits": _filled(LIMITS, limits)}
    return Record(**arrays)


def new_numbers() -> np.ndarray:
    """Return the numbers that a run begins with."""
    unknown = dict.fromkeys(["f", "f_start", "f_mean", "mean_before"], nan)
    beginning = {"next": EVALUATE, "is_noisy": UNKNOWN, "is_fresh": 1, "f_best": inf}
    beginning |= {"trace_every": 1.0, "reduction": 1.0, "damping": 1.0}
    return _filled(NUMBERS, unknown | beginning)


def _filled(layout: np.dtype, values: dict[str, float]) -> np.ndarray:
    """Return a record of a layout, shape (1,), whose fields are 0 but for some."""
    record = np.zeros(1, layout)
    for name, value in values.items():
        record[name] = value
    return record
