"""Methods of results that give their numbers to other libraries."""

from typing import Any

import numpy as np

from ... import _linalg as linalg
from ...extras import extra
from ...status import Status

STATISTICS = "chi2", "reduced_chi2", "n_points", "nfev", "status", "success"  # columns of tables


class Exports:
    """Tables and correlated numbers of the fits of a batch, for `FitResult`."""

    def to_structured(self: Any) -> np.ndarray:
        """Return a structured array of the batch's shape.

        Its fields are each parameter and its standard error, ``a`` and ``a_err``, then `chi2`,
        `reduced_chi2`, `n_points`, `nfev`, `status` and `success`.  A parameter whose name is taken, such as
        ``chi2``, gets an underscore: ``chi2_``, ``chi2__err``.

        See Also
        --------
        to_dataframe : The same for pandas.
        to_xarray : The same for xarray.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> table = fit.to_structured()
        >>> table.dtype.names[:4]
        ('a', 'a_err', 'b', 'b_err')
        >>> table["a"].round(2)
        array([1., 3.])
        """
        columns = self.columns()
        table = np.empty(self.chi2.shape, [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            table[name] = column
        return table

    def to_dataframe(self: Any) -> Any:
        """Return a pandas DataFrame: the fields of `to_structured`, a row for each fit (extra ``pandas``).

        In a batch of several axes the index has as many levels.

        See Also
        --------
        nbadam.fit_table : A table in, and one out.
        to_structured : The same without pandas.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> fit.to_dataframe()[["a", "b", "n_points", "success"]].round(2)
             a     b  n_points  success
        0  1.0  0.04         5     True
        1  3.0  1.00         5     True
        """
        pandas = extra("pandas", "pandas")
        columns = {name: column.ravel() for name, column in self.columns().items()}
        shape = self.chi2.shape
        index = None if len(shape) < 2 else pandas.MultiIndex.from_product([range(size) for size in shape])
        return pandas.DataFrame(columns, index=index)

    def to_xarray(self: Any, dims: Any = None, coords: Any = None) -> Any:
        """Return an xarray Dataset with the fields of `to_structured` as variables (extra ``xarray``).

        Parameters
        ----------
        dims : sequence of str, optional
            Names of the batch's axes; by default ``dim_0, dim_1, ...``.
        coords : dict, optional
            Coordinates along them, as `xarray.Dataset` takes them.

        See Also
        --------
        to_dataframe : The same for pandas.
        to_structured : The same without xarray.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> dataset = fit.to_xarray(dims=["well"], coords={"well": ["A1", "A2"]})
        >>> float(dataset["a"].sel(well="A2").round(2))
        3.0
        """
        xarray = extra("xarray", "xarray")
        dims = [f"dim_{i}" for i in range(self.chi2.ndim)] if dims is None else list(dims)
        variables = {name: (dims, column) for name, column in self.columns().items()}
        dataset = xarray.Dataset(variables, coords)
        dataset["status"].attrs.update(Status.flags())
        return dataset

    def columns(self: Any) -> dict[str, np.ndarray]:
        """Return the fields of `to_structured` as arrays by name.

        See Also
        --------
        to_structured : One array of them.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> fit.columns()["n_points"]
        array([5, 5])
        """
        statistics = {name: np.asarray(getattr(self, name)) for name in STATISTICS}
        columns: dict[str, np.ndarray] = {}
        perr = self.perr
        for i, name in enumerate(self.parameters):
            while {name, f"{name}_err"} & {*STATISTICS, *columns}:
                name += "_"
            columns |= {name: self.popt[..., i], f"{name}_err": perr[..., i]}
        return columns | statistics

    def to_uncertainties(self: Any) -> np.ndarray:
        """Return the parameters as numbers with errors, of the package ``uncertainties`` (extra of its name).

        Returns
        -------
        ndarray of object, shape (..., n_params)
            An ``uncertainties.UFloat`` for each parameter, with the standard error `perr`.  Those of one fit
            have the correlations of `pcov`, also with what is computed from them; those of different fits
            are independent.  The error is infinite where the data do not determine the parameter, 0 where it
            is fixed, and NaN where the fit has no success.

        See Also
        --------
        derive : The same to first order, for all fits at once and without the package.

        Notes
        -----
        Each number takes microseconds to make: `derive` is the way for large batches.  With `shared`
        parameters, the errors are those of the whole, but one value appears in each data set as a number of
        its own: combine numbers of the same data set only.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [0.1, 0.9, 2.2, 2.9, 4.1], p0=[1, 0])
        >>> a, b = fit.to_uncertainties()
        >>> print(a, b)
        1.00+/-0.05 0.04+/-0.12
        >>> print(a * 2 + b)  # the line at 2: less uncertain than its offset
        2.04+/-0.07
        """
        ufloat = extra("uncertainties", "uncertainties").ufloat
        n = len(self.parameters)
        popt, pcov = self.popt.reshape(-1, n), self.pcov.reshape(-1, n, n)
        is_told = self.success[..., None] | np.isinf(self.perr)
        perr = np.where(is_told, self.perr, np.nan).reshape(-1, n)
        numbers = np.empty(popt.shape, object)
        for own, values, covariance, errors in zip(numbers, popt, pcov, perr, strict=True):
            known = np.flatnonzero(np.isfinite(errors))
            # A zero error would warn; the sum of independent numbers of error 1 is exact to first order.
            independent = np.array([ufloat(0, 1) for _ in known], object)
            for i, row in zip(known, root(covariance[np.ix_(known, known)]), strict=True):
                own[i] = float(values[i]) + row @ independent
            for i in np.flatnonzero(~np.isfinite(errors)):
                own[i] = ufloat(float(values[i]), float(errors[i]))
        return numbers.reshape(self.popt.shape)


def root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix whose product with its transpose is a covariance matrix, singular ones included."""
    scale = np.sqrt(np.diagonal(covariance))
    divisor = np.where(scale > 0, scale, 1)
    values, vectors = linalg.eigh(covariance / divisor / divisor[:, None])
    return scale[:, None] * vectors * np.sqrt(np.maximum(values, 0))
