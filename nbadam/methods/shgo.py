"""A method in the form that `scipy.optimize.shgo` can use."""

from collections.abc import Callable
from typing import Any

from ..checks import shown


class ShgoMethod:
    """A method for `scipy.optimize.shgo`, which takes no plain function.

    `shgo` looks up ``method.lower()`` and passes on no options but `ftol`, so an object with that
    attribute carries them.  Every other function of SciPy takes `nbadam.adam` and its siblings as they
    are.  Where a name of a method is expected, this object may be mistaken for one.

    Parameters
    ----------
    method : callable
        `nbadam.adam` or another method of this package.
    **options
        Its options.

    See Also
    --------
    nbadam.adam : The methods as `scipy.optimize.minimize` takes them.
    scipy.optimize.shgo : The function that takes it.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import shgo
    >>> import nbadam
    >>> def bumpy(x):
    ...     return np.sum((x - 0.3) ** 2 + 0.1 * np.cos(9 * x))
    >>> method = nbadam.ShgoMethod(nbadam.adam, learning_rate=0.05)
    >>> result = shgo(bumpy, [(-1, 2), (-1, 2)], minimizer_kwargs={"method": method})
    >>> result.x.round(2)
    array([0.34, 0.34])
    """

    def __init__(self, method: Callable[..., Any], **options: Any) -> None:
        if not callable(method):
            raise ValueError(f"`method` must be a method such as nbadam.adam, not {shown(method)}.")
        self.method = method
        self.options = options

    def __call__(self, fun: Any, x0: Any, args: Any = (), **keywords: Any) -> Any:
        """Call the method with its options."""
        return self.method(fun, x0, args, **(keywords | self.options))

    def lower(self) -> str:
        """Return the name under which `shgo` knows a method that it does not know.

        See Also
        --------
        scipy.optimize.shgo : The function that calls it.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.ShgoMethod(nbadam.adam).lower()
        '_custom'
        """
        return "_custom"
