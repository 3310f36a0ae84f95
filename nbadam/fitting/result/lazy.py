"""Fits of arrays of Dask, which stay lazy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...dask import Arguments, is_lazy, refuse
from ...extras import extra
from ...status import Status
from ..model.model import Model

ARRAYS = "popt", "perr", "pcov", "chi2", "nfev", "status", "n_points"


@dataclass(eq=False, repr=False)
class LazyFit:
    """The fits of arrays of Dask: what `FitResult` has as arrays, computed block by block when asked for.

    Unpacks into `popt` and `pcov`; ``fit["k"]`` are the values of a parameter.

    Attributes
    ----------
    popt, perr : dask.array.Array, shape (..., n_params)
        The parameters and their standard errors.
    pcov : dask.array.Array, shape (..., n_params, n_params)
        Their covariances.
    chi2 : dask.array.Array, shape (...)
        The minimum.
    nfev, status, n_points : dask.array.Array of int, shape (...)
        Evaluations, members of `nbadam.Status`, and points that took part.
    parameters : tuple of str
        Names of the parameters.

    See Also
    --------
    FitResult : The result for arrays in memory.

    Examples
    --------
    >>> import dask.array
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.linspace(0, 4, 30)
    >>> y = dask.array.from_array(np.exp(-x * np.linspace(0.5, 2, 1000)[:, None]), chunks=(250, 30))
    >>> fit = nbadam.curve_fit("a * exp(-k * x)", x, y, p0=[1, 1])
    >>> fit
    <LazyFit: parameters a, k; batch shape (1000,), 4 blocks>
    >>> fit.popt.shape, fit.popt.numblocks
    ((1000, 2), (4, 1))
    >>> fit["k"].mean().compute().round(3)
    np.float64(1.25)
    >>> bool(fit.compute().success.all())
    True
    """

    popt: Any
    perr: Any
    pcov: Any
    chi2: Any
    nfev: Any
    status: Any
    n_points: Any
    parameters: tuple[str, ...]

    def __repr__(self) -> str:
        """Name the parameters, the batch and, while it is lazy, its blocks."""
        blocks = f", {self.status.npartitions} blocks" if is_lazy(self.status) else ""
        return f"<LazyFit: parameters {', '.join(self.parameters)}; batch shape {self.status.shape}{blocks}>"

    def __iter__(self) -> Iterator[Any]:
        """Unpack into `popt` and `pcov`."""
        return iter((self.popt, self.pcov))

    def __getitem__(self, name: str) -> Any:
        """Return the values of a parameter."""
        if name not in self.parameters:
            raise KeyError(f"There is no parameter {name!r}; there are {self.parameters}.")
        return self.popt[..., self.parameters.index(name)]

    @property
    def success(self) -> Any:
        """Whether each fit has converged, shape (...)."""
        return self.status == Status.SUCCESS

    def compute(self, **options: Any) -> "LazyFit":
        """Return the same with arrays in memory, all computed at once.

        Parameters
        ----------
        **options
            As `dask.compute` takes them: ``scheduler="processes"``, for example.

        See Also
        --------
        nbadam.curve_fit : The function that returns it.

        Examples
        --------
        >>> import dask.array
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> y = dask.array.from_array(np.arange(1.0, 5)[:, None] * x, chunks=(2, 5))
        >>> nbadam.curve_fit("a * x + b", x, y, p0=[1, 0]).compute()["a"].round(6)
        array([1., 2., 3., 4.])
        """
        found = extra("dask", "dask").compute(*(getattr(self, name) for name in ARRAYS), **options)
        return replace(self, **dict(zip(ARRAYS, found, strict=True)))


def fit_lazily(curve_fit: Callable[..., Any], arguments: dict[str, Any]) -> LazyFit:
    """Return what `curve_fit` returns for each block; wrong arguments raise at once.

    Raises
    ------
    ValueError
        As `curve_fit` does, and where the result of a fit would depend on the other fits of its block.
    """
    arguments |= arguments.pop("options")
    f, x, y, p0 = (arguments[name] for name in ("f", "xdata", "ydata", "p0"))
    refuse(arguments, "shared", "batch_size", "progress")
    if p0 is None and getattr(f, "guess", None) is None and arguments["search"] != "all":
        raise ValueError(
            "Arrays of Dask need a start, `p0`, or a model with a guess: a search looks at all data sets "
            "together. With search='all' it looks at each alone."
        )
    if arguments["search"] == "neighbours":
        raise ValueError("search='neighbours' does not go with arrays of Dask: it looks across their blocks.")
    y = y if is_lazy(y) else extra("dask.array", "dask").from_array(y)
    own = Arguments()
    for name, value in arguments.items():
        n_axes = 1
        if name == "ydata":
            value = y if y.ndim > 1 else y[None]
        elif name == "xdata":
            n_axes = _axes_of_x(f, x, y)
        elif name == "mask" and value is not None and np.shape(value) == y.shape[:-1] != y.shape[-1:]:
            n_axes = 0
        elif name == "bounds":
            value = _as_tuples(value)
        if name in ("xdata", "ydata", "sigma", "mask", "p0", "bounds", "fixed"):
            own.add(name, value, n_axes)
        else:
            own.given[name] = value

    def call(**given: Any) -> Any:
        fit = curve_fit(**given)
        return tuple(np.asarray(getattr(fit, name)) for name in ARRAYS)

    sample = curve_fit(**own.of_none())
    shapes = {name: getattr(sample, name) for name in ARRAYS}
    n_batch = max(y.ndim - 1, 1)
    found = own.apply(call, {name: (array.shape[n_batch:], array.dtype) for name, array in shapes.items()})
    if y.ndim == 1:
        found = {name: array[0] for name, array in found.items()}
    return LazyFit(**found, parameters=sample.parameters)


def _axes_of_x(f: Any, x: Any, y: Any) -> int:
    """Return how many axes of the variables are those of one data set."""
    if np.ndim(x) < 2:
        return 1
    is_of_all = np.ndim(x) == 2 and isinstance(f, Model) and len(f.variables) == x.shape[0]
    if x.shape == y.shape and y.ndim > 1 and not is_of_all:
        return 1
    return 2


def _as_tuples(bounds: Any) -> Any:
    """Return bounds as a tuple of two, or a dict of such tuples."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        return bounds.lb, bounds.ub
    if isinstance(bounds, dict):
        return {name: tuple(pair) for name, pair in bounds.items()}
    return tuple(bounds)
