"""The outcome of `curve_fit`: exceptions and warnings, as SciPy has them."""

import numpy as np

from ..caller import warn
from ..status import Status
from .result.report import counted
from .result.result import FitResult
from .search.explore import ENOUGH

EXPECTED = Status.SUCCESS, Status.UNDETERMINED  # no errors for one data set; the latter warns


def check_single(result: FitResult, is_sampled: bool) -> None:
    """Raise and warn where SciPy does."""
    status = int(result.status)
    if status == Status.TOO_FEW_POINTS:
        raise TypeError(
            f"The number of fitted parameters, {np.count_nonzero(result.free)}, must not exceed the number "
            f"of data points, {result.n_points}."
        )
    if not (status in EXPECTED or (is_sampled and status == Status.MAXITER)):
        raise RuntimeError(f"Optimal parameters not found: {result.message()}")
    if not np.isfinite(result.pcov).all():
        message = "Covariance of the parameters could not be estimated"
        if status == Status.UNDETERMINED:
            message += f". {result.message()}"
        warn(message)
    if result.n_starts > 1 and result.n_reached < ENOUGH and result.status == Status.SUCCESS:
        count = result.n_reached or "none"
        warn(
            f"Of {result.n_starts:,} starts {count} led to the best minimum: there may be a better one. "
            "Pass `p0`, or `bounds`."
        )


def check_batch(result: FitResult, method: str) -> None:
    """Count the fits of a batch that were meant to succeed and did not; data sets may be masked whole."""
    wrong = ~result.success & (result.n_points > 0)
    if method == "adam":
        wrong &= result.status != Status.MAXITER
    count = int(np.count_nonzero(wrong))
    if count:
        warn(f"{count:,} of {wrong.size:,} fits without success. {counted(result[wrong])}")


def check_shared(whole: FitResult) -> None:
    """Warn where a search for starts found the lowest `chi2` only once."""
    if (whole.success & (whole.n_starts > 0) & (whole.n_reached < ENOUGH)).any():
        warn(
            "Of the starts fewer than two led to the lowest `chi2`: there may be a lower one. Pass `p0`, or "
            "`bounds`."
        )
