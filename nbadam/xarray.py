"""Fits of arrays with names: xarray's `curvefit` with the engine of `nbadam.curve_fit`.

Importing the module gives every DataArray and Dataset an accessor, ``data.nbadam.curvefit(...)``.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from .checks import shown
from .dask import in_turn, is_lazy
from .extras import extra
from .fitting import Model, curve_fit
from .fitting.model.model import model_over
from .hyperparameters import choice
from .status import Status

xarray: Any = extra("xarray", "xarray", "`nbadam.xarray`")

NUMBERS = ("chi2", "nfev", "status")  # results that are one number for each fit
PARAMETERS, ROWS, COLUMNS = "param", "cov_i", "cov_j"  # the names of xarray
CONFLICTS = "xdata", "ydata", "check_finite", "nan_policy"


def curvefit(
    data: Any,
    coords: Any,
    func: Any,
    reduce_dims: Any = None,
    skipna: bool = True,
    p0: Mapping[str, Any] | None = None,
    bounds: Mapping[str, tuple[Any, Any]] | None = None,
    param_names: Sequence[str] | None = None,
    errors: str = "raise",
    kwargs: Mapping[str, Any] | None = None,
    *,
    sigma: Any = None,
    mask: Any = None,
    **options: Any,
) -> Any:
    """Fit a model along dimensions of an array, as `xarray.DataArray.curvefit` does, all fits at once.

    The arguments are those of xarray, in its order; after them come `nbadam.curve_fit`'s.  Dimensions may
    stand in any order.  Arrays of Dask stay lazy: each block is fitted when it is computed, to the same bits.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        The data; of a Dataset each variable is fitted that has the dimensions to fit along.
    coords : hashable, DataArray, or sequence of them
        The variables: names of coordinates, or arrays over dimensions of `data`, along which to fit.
    func : callable, str or Model
        The model, as in `nbadam.curve_fit`.  With several `coords` a function takes a tuple of them.  In a
        formula without ``x`` coordinates have their own names.
    reduce_dims : hashable, sequence of hashable, or ..., optional
        Further dimensions whose points belong to the same fit; ``...`` means all.
    skipna : bool
        Whether to leave out missing values; otherwise they are an error.
    p0 : dict of str to number or DataArray, optional
        Where to start; a DataArray is broadcast to the fits, a parameter without an entry starts from 1.
    bounds : dict of str to pair of numbers or DataArrays, optional
        Lower and upper bounds.
    param_names : sequence of str, optional
        Names of the parameters, for a function that does not tell them.
    errors : {"raise", "ignore"}
        Whether a fit without success is an error, or has its status and NaN.
    kwargs : dict, optional
        Further arguments of `nbadam.curve_fit`, as xarray passes them.
    sigma, mask : DataArray, optional
        Standard errors of the data, and True for points to leave out; broadcast to `data` by names.
    **options
        Further arguments of `nbadam.curve_fit`: `loss`, `fixed`, `tied`, `dtype`, `search`, ...

    Returns
    -------
    xarray.Dataset
        ``curvefit_coefficients``, ``curvefit_standard_errors`` (dimension ``param``), ``curvefit_covariance``
        (``cov_i``, ``cov_j``), ``curvefit_chi2``, ``curvefit_nfev`` and ``curvefit_status``, with CF's
        attributes for flags, over the remaining dimensions.  Coordinates and attributes are kept.  Of a
        Dataset the names begin with those of its variables, as in xarray.

    Raises
    ------
    ValueError
        If a name is none of `data`, and as in `nbadam.curve_fit`.
    RuntimeError
        With ``errors="raise"``, if a fit does not succeed.

    See Also
    --------
    nbadam.curve_fit : The same for plain arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import nbadam.xarray
    >>> t = np.arange(11.0)
    >>> tau = np.array([1.0, 2.0, 3.0])
    >>> stack = xr.DataArray(
    ...     np.exp(-t[:, None] / tau) * tau, coords={"time": t, "pixel": [10, 20, 30]}
    ... )
    >>> fit = nbadam.xarray.curvefit(stack, "time", "a * exp(-x / tau)", p0={"a": 1, "tau": 1})
    >>> fit.curvefit_coefficients.sel(param="tau").values.round(6)
    array([1., 2., 3.])
    >>> fit.curvefit_coefficients.dims
    ('pixel', 'param')
    """
    choice("raise", "ignore")("errors", errors)
    options |= dict(kwargs or {})
    for name in CONFLICTS:
        if name in options:
            raise ValueError(f"`{name}` does not go with named arrays: `skipna` says what to do with NaN.")
    if isinstance(data, xarray.Dataset):
        named = {f"{name}_": array for name, array in data.data_vars.items()}
    elif isinstance(data, xarray.DataArray):
        named = {"": data}
    else:
        raise ValueError(f"`data` must be an xarray DataArray or Dataset, not {shown(data)}.")
    results: dict[str, Any] = {}
    for prefix, array in named.items():
        variables = _variables(data, coords)
        dims = _dims(array, variables, reduce_dims)
        missing = [dim for dim in dims if dim not in array.dims]
        if missing and prefix:
            continue
        if missing:
            raise ValueError(
                f"`data` has no dimension {missing[0]!r} along which to fit; it has {array.dims}."
            )
        model = _model(func, param_names, variables)
        given = _Given(model, p0, bounds, {"sigma": sigma, "mask": mask}, array, dims)
        options["nan_policy"] = "omit" if skipna else "raise"
        found = _fit(array, _points(array, variables, dims), dims, given, errors == "raise", options)
        results |= {f"{prefix}curvefit_{name}": values for name, values in found.items()}
    return xarray.Dataset(results, attrs=data.attrs)


class _Given:
    """Arguments for each parameter or point, numbers and arrays with names.

    Parameters
    ----------
    model : Model
    p0, bounds : dict or None
        As in `curvefit`.
    of_points : dict of str to DataArray or None
        Arguments with a value for each point.
    array : DataArray
        The data.
    dims : list
        Dimensions along which to fit.
    """

    def __init__(self, model: Any, p0: Any, bounds: Any, of_points: Any, array: Any, dims: Any) -> None:
        self.model = model
        self._numbers: dict[tuple[str, ...], Any] = {}
        self._places: list[tuple[str, ...]] = []
        self.arrays: list[Any] = []
        self.core_dims: list[list[Any]] = []
        if p0 is not None:
            for name, value in (dict.fromkeys(self.model.parameters, 1.0) | dict(p0)).items():
                self._add(value, "p0", name)
        for name, pair in ({} if bounds is None else bounds).items():
            for side, value in zip(("low", "high"), pair, strict=True):
                self._add(value, "bounds", name, side)
        for argument, value in of_points.items():
            if value is not None:
                self._places.append((argument,))
                self.arrays.append(value.broadcast_like(array))
                self.core_dims.append(dims)

    def _add(self, value: Any, *place: str) -> None:
        if isinstance(value, xarray.DataArray):
            self._places.append(place)
            self.arrays.append(value)
            self.core_dims.append([])
        else:
            self._numbers[place] = value

    def arguments(self, values: Any, batch: tuple[int, ...]) -> dict[str, Any]:
        """Return the arguments of `curve_fit` for a block, from the values of `arrays` in it."""
        found: dict[str, Any] = {}
        for place, value in [*self._numbers.items(), *zip(self._places, values, strict=True)]:
            if len(place) == 1:
                found[place[0]] = np.reshape(value, (*batch, -1))
            elif place[0] == "p0":
                found.setdefault("p0", {})[place[1]] = np.broadcast_to(value, batch)
            else:
                pair = found.setdefault("bounds", {}).setdefault(place[1], [-np.inf, np.inf])
                pair[place[2] == "high"] = np.broadcast_to(value, batch)
        return found


def _names(count: int) -> list[str]:
    return ["x"] if count == 1 else [f"x{i}" for i in range(count)]


def _variables(data: Any, coords: Any) -> list[Any]:
    """Return the variables as DataArrays."""
    several = isinstance(coords, list | tuple)
    found = []
    for entry in coords if several else [coords]:
        if isinstance(entry, xarray.DataArray):
            found.append(entry)
        elif isinstance(entry, Hashable) and (entry in data.coords or entry in data.dims):
            found.append(data[entry])
        else:
            raise ValueError(f"`coords`: there is no coordinate {entry!r}; there are {[*data.coords]}.")
    if not found:
        raise ValueError("`coords` must name at least one coordinate.")
    return found


def _model(func: Any, param_names: Any, variables: list[Any]) -> Model:
    """Return the model of the coordinates."""
    if isinstance(func, Model):
        return func
    if not isinstance(func, str):
        return Model(func, param_names, _names(len(variables)))
    return model_over(func, [str(variable.name) for variable in variables])


def _dims(array: Any, variables: list[Any], reduce_dims: Any) -> list[Hashable]:
    """Return the dimensions along which to fit."""
    if reduce_dims is ...:
        return list(array.dims)
    more = [] if reduce_dims is None else [reduce_dims] if isinstance(reduce_dims, str) else list(reduce_dims)
    dims = list(dict.fromkeys([*(dim for variable in variables for dim in variable.dims), *more]))
    missing = [dim for dim in more if dim not in array.dims]
    if missing:
        raise ValueError(f"`reduce_dims`: there is no dimension {missing[0]!r}; there are {array.dims}.")
    if not dims:
        raise ValueError("`coords` must have a dimension along which to fit.")
    return dims


def _points(array: Any, variables: list[Any], dims: list[Any]) -> np.ndarray:
    """Return the variables at the points of a fit, shape (n_variables, m)."""
    grid = xarray.DataArray(np.zeros([array.sizes[dim] for dim in dims]), dims=dims)
    return np.stack([(grid + variable.drop_vars(variable.coords)).values.ravel() for variable in variables])


def _fit(
    array: Any, x: np.ndarray, dims: list[Any], given: _Given, must_succeed: bool, options: Any
) -> dict[str, Any]:
    """Return the arrays of results of one DataArray by name."""

    def block(y: Any, *values: Any) -> Any:
        batch = y.shape[: y.ndim - len(dims)]
        fit = curve_fit(
            given.model, x, np.reshape(y, (*batch, -1)), **given.arguments(values, batch), **options
        )
        if must_succeed and not fit.success.all():
            raise RuntimeError(f"{fit.message()}  With errors='ignore' each fit has its status.")
        numbers = (np.asarray(getattr(fit, name)) for name in NUMBERS)
        return fit.popt, fit.perr, fit.pcov, *numbers

    def later(y: Any, *values: Any) -> Any:
        return in_turn(name, lambda: block(y, *values))

    parameters, name = list(given.model.parameters), repr(given.model)
    labels = dict.fromkeys((PARAMETERS, ROWS, COLUMNS), parameters)
    real = np.dtype(options.get("dtype", float))
    found = xarray.apply_ufunc(
        later if is_lazy(array.data) else block,
        array,
        *given.arrays,
        input_core_dims=[dims, *given.core_dims],
        output_core_dims=[[PARAMETERS], [PARAMETERS], [ROWS, COLUMNS], *([] for _ in NUMBERS)],
        dask="parallelized",
        output_dtypes=[real, float, float, real, np.int32, np.int8],
        dask_gufunc_kwargs={
            "output_sizes": dict.fromkeys(labels, len(parameters)),
            "allow_rechunk": True,
        },
    )
    results = dict(zip(("coefficients", "standard_errors", "covariance", *NUMBERS), found, strict=True))
    for name, result in results.items():
        results[name] = result.assign_coords({dim: labels[dim] for dim in result.dims if dim in labels})
        results[name].attrs = dict(array.attrs) if name in ("coefficients", "standard_errors") else {}
    results["status"].attrs = Status.flags()
    return results


@xarray.register_dataarray_accessor("nbadam")
@xarray.register_dataset_accessor("nbadam")
class Accessor:
    """Methods of nbadam on arrays with names: ``data.nbadam``."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def curvefit(self, coords: Any, func: Any, *args: Any, **options: Any) -> Any:
        """Fit a model along dimensions: see `nbadam.xarray.curvefit`."""
        return curvefit(self._data, coords, func, *args, **options)
