"""Results of fits from files."""

import os

from .. import archives
from .result import saved
from .result.result import FitResult
from .shared.result import SharedResult
from .shared.saved import fields_of_shared


def load_fit(path: str | os.PathLike[str]) -> FitResult:
    """Read a result that `FitResult.save` wrote.

    Parameters
    ----------
    path : path-like
        The file, which may come from anywhere: no code of it is run.

    Returns
    -------
    FitResult or SharedResult
        With all its arrays, `pcov` among them.  Formulas and the models that ship can be evaluated; of other
        functions only the name is kept, so that `model` and `plot` are lost.

    Raises
    ------
    ValueError
        If the file is none of a result, or is damaged.
    OSError
        If it cannot be opened.

    See Also
    --------
    FitResult.save : Writes the file.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.arange(5.0)
    >>> fit = nbadam.curve_fit("a * x + b", x, [2 * x, 3 * x + 1], p0=[1, 0])
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(os.path.join(folder, "lines.npz"))
    ...     again = nbadam.load_fit(os.path.join(folder, "lines.npz"))
    >>> again["a"].round(6)
    array([2., 3.])
    """
    header, arrays = archives.read(path, "fit")
    with archives.refusals(path):
        if "shared" in header:
            return SharedResult(**fields_of_shared(header, arrays))
        return FitResult(**saved.fields_of(header, arrays))
