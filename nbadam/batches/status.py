"""What became of each problem of a batch."""

from ..status import Status


class BatchStatus(Status):
    """What became of a problem; `message` says it in words.

    A status compares with the numbers in `BatchResult.status`:

    >>> import nbadam
    >>> nbadam.BatchStatus(6) == nbadam.BatchStatus.MAXITER == 6
    True
    >>> nbadam.BatchStatus.MAXITER.success
    False
    """

    NOT_RUN = 0, "Not run: the batch was interrupted before."
    GTOL = 1, "Converged: the gradient is below `gtol`."
    FTOL = 2, "Converged: the mean value changes by less than `ftol`."
    XTOL = 3, "Converged: the mean point moves by less than `xtol`."
    STEPS = 4, "The planned number of `steps` is done."
    FIXED = 5, "No variable is free."
    MAXITER = 6, "Not converged: `maxiter` steps are done. Try a larger `learning_rate` or `maxiter`."
    NONFINITE = (
        7,
        "Failed: a value or gradient is not finite. Try a smaller `learning_rate`, `clipnorm`, or `bounds`.",
    )

    @property
    def success(self) -> bool:
        """Whether the problem has converged, or its planned steps are done."""
        return BatchStatus.GTOL <= self <= BatchStatus.FIXED
