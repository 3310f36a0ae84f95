"""Status codes of all results, with messages."""

from enum import IntEnum


class CodedEnum(IntEnum):
    """Integer enumeration whose members carry a message."""

    message: str

    def __new__(cls, value: int, message: str = "") -> "CodedEnum":
        """Make a member."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member


class Status(CodedEnum):
    """Status codes of runs, problems and fits; 0 is success, every other number is not.

    A status compares with the numbers in the `status` of a result:

    >>> import nbadam
    >>> nbadam.Status(1) == nbadam.Status.MAXITER == 1
    True
    >>> nbadam.Status.SUCCESS.success, nbadam.Status.MAXITER.success
    (True, False)

    See Also
    --------
    nbadam.curve_fit : Fits, whose `status` has these numbers.
    nbadam.adam : Runs, whose `status` has them, too.
    """

    SUCCESS = 0, "Converged, or ended as planned."
    MAXITER = 1, "Not converged: the largest number of iterations or evaluations is reached."
    MAXFUN = 2, "Not converged: the largest number of function evaluations is reached."
    NONFINITE = 3, "Failed: a value or a derivative is not finite."
    NOT_RUN = 4, "Not run: interrupted before."
    NO_PROGRESS = 5, "Not converged: the run ended no lower than it began; the best point seen is returned."
    MAX_TIME = 6, "Not converged: the time is up."
    INTERRUPTED = 7, "Interrupted by the user."
    TOO_FEW_POINTS = 10, "Failed: there are fewer points than parameters."
    UNDERFLOW = 11, "Failed: squares of the residuals are too small for `dtype`. Use other units, or float64."
    UNDETERMINED = 12, "Not determined: the data do not fix every parameter; their variances are infinite."
    MODEL_ERROR = 13, "Failed: the model raised an error for this data set."
    NOT_MOVED = 14, "Failed: no step lowers chi2, though derivatives promise it. Try another `p0`."
    RUNAWAY = 15, "Ran away: parameters diverge while chi2 hardly falls. Try another `p0`, or bounds."
    CALLBACK = 99, "`callback` raised `StopIteration`."

    @classmethod
    def flags(cls) -> dict[str, object]:
        """Return the attributes by which netCDF files explain codes, by the CF conventions.

        See Also
        --------
        nbadam.FitResult.to_xarray : A dataset with these attributes.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.Status.flags()["flag_meanings"].split()[:3]
        ['SUCCESS', 'MAXITER', 'MAXFUN']
        """
        return {
            "flag_values": [int(status) for status in cls],
            "flag_meanings": " ".join(status.name for status in cls),
        }

    @property
    def success(self) -> bool:
        """Whether the run, problem or fit converged, or ended as planned."""
        return self == 0
