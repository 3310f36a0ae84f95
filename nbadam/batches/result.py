"""The result of `minimize_batch`."""

from dataclasses import dataclass

import numpy as np

from ..checks import shown
from ..status import Status

ADVICE = {
    Status.MAXITER: "Try a larger `learning_rate` or `maxiter`.",
    Status.NONFINITE: "Try a smaller `learning_rate`, `clipnorm`, or `bounds`.",
}


@dataclass(repr=False)
class BatchResult:
    """Result of `minimize_batch`: one row for each problem.

    Attributes
    ----------
    x : ndarray, shape (n_problems, n)
        The last point of each run.  Where a tolerance is met, the mean of its last 100 if that is better.
        Where the last point is worse than the start or not finite, the best one seen.  NaN where the
        problem was not run.
    fun : ndarray, shape (n_problems,)
        The values there.
    nit : ndarray of int, shape (n_problems,)
        Steps made.
    status : ndarray of int, shape (n_problems,)
        Members of `nbadam.Status`.

    See Also
    --------
    nbadam.minimize_batch : The function that returns it.
    nbadam.Status : The numbers of `status`.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> def misfit(x, gradient, target):
    ...     gradient[0] = 2 * (x[0] - target)
    ...     return (x[0] - target) ** 2
    >>> result = nbadam.minimize_batch(misfit, [0.0], data=(np.arange(3.0),), learning_rate=0.1)
    >>> result.x.round(3).tolist(), result.success.all()
    ([[0.0], [1.0], [2.0]], np.True_)
    """

    x: np.ndarray
    fun: np.ndarray
    nit: np.ndarray
    status: np.ndarray

    @property
    def success(self) -> np.ndarray:
        """Whether each problem has converged or made its planned steps, shape (n_problems,)."""
        return self.status == Status.SUCCESS

    def __repr__(self) -> str:
        """Name the numbers of problems and variables, and count the statuses unless they are lazy."""
        size, n = self.x.shape
        ends = ""
        if isinstance(self.status, np.ndarray):
            codes, counts = np.unique(self.status, return_counts=True)
            names = (f"{k} {Status(int(code)).name}" for code, k in zip(codes, counts, strict=True))
            ends = f": {', '.join(names)}"
        return f"<BatchResult: {size} problems in {n} variables{ends}>"

    def message(self, index: int) -> str:
        """Describe the end of one problem.

        See Also
        --------
        nbadam.Status : The numbers and their messages.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def misfit(x, gradient, target):
        ...     gradient[0] = 2 * (x[0] - target)
        ...     return (x[0] - target) ** 2
        >>> result = nbadam.minimize_batch(misfit, [0.0], data=(np.arange(3.0),), learning_rate=0.1)
        >>> result.message(2)
        'Converged, or ended as planned.'
        """
        status = Status(int(self.status[index]))
        return f"{status.message} {ADVICE.get(status, '')}".rstrip()


def room_for(size: int, n: int, dtype: np.dtype, out: dict[str, np.ndarray] | None) -> BatchResult:
    """Return arrays for the results of `size` problems in `n` variables, of which some may be the user's."""
    shapes = {
        "x": ((size, n), dtype),
        "fun": ((size,), dtype),
        "nit": ((size,), np.dtype(np.int64)),
        "status": ((size,), np.dtype(np.int8)),
    }
    out = {} if out is None else dict(out)
    for name, array in out.items():
        if name not in shapes:
            raise ValueError(f"`out` may hold {', '.join(shapes)}, not {shown(name)}.")
        shape, dtype = shapes[name]
        fits = isinstance(array, np.ndarray) and array.shape == shape and array.flags.writeable  # type: ignore[redundant-expr]
        if not fits or array.dtype.kind not in ("f" if dtype.kind == "f" else "iu"):
            kind = "real numbers" if dtype.kind == "f" else "integers"
            raise ValueError(f"`out[{name!r}]` must be a writable array of {kind} of shape {shape}.")
    return BatchResult(**{name: out.get(name, np.empty(*spec)) for name, spec in shapes.items()})
