"""What a fit returns."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..extras import extra
from ..status import Status
from .covariance import invert_kernel

# Advice by status, added to the status's message.
ADVICE = {
    Status.MAXITER: "Try a better `p0`, a larger `max_nfev`, or search='failed'; method='lm' continues Adam.",
    Status.NONFINITE: "The model, its derivative or a square is not finite at the start. Try another `p0`.",
}


@dataclass(repr=False)
class FitResult:
    """The fits of a batch; each array has the batch's shape, followed by what its entry adds.

    Unpacks into `popt` and `pcov`, as the result of SciPy's `curve_fit` does.

    Attributes
    ----------
    popt : ndarray, shape (..., n_params)
        The parameters; NaN where the fit has failed or was not run.
    chi2 : ndarray, shape (...)
        The minimum: the sum of ``((y - f) / sigma)**2``, or of what another `loss` puts in place of the
        square (for ``"poisson"`` the deviance).
    nfev : ndarray of int, shape (...)
        Evaluations of the model and its derivatives.
    status : ndarray of int, shape (...)
        Members of `nbadam.Status`.
    n_points : ndarray of int, shape (...)
        Points that took part.
    parameters : tuple of str
        Names of the parameters.
    free : ndarray of bool, shape (n_params,)
        Which of them were fitted.
    derivatives : {"exact", "given", "differences"}
        Origin of the model's derivatives: differentiation of the model, the user's Jacobian, or central
        differences of its values.
    """

    popt: np.ndarray
    chi2: np.ndarray
    nfev: np.ndarray
    status: np.ndarray
    n_points: np.ndarray
    parameters: tuple[str, ...]
    free: np.ndarray
    derivatives: str
    is_absolute: bool
    information: np.ndarray
    model: Any
    data: Any
    ties: Any = None

    def __repr__(self) -> str:
        """Count the fits by status."""
        numbers, counts = np.unique(self.status, return_counts=True)
        found = ", ".join(
            f"{count} {Status(int(number)).name}" for number, count in zip(numbers, counts, strict=True)
        )
        return f"FitResult({self.chi2.size} fits of {', '.join(self.parameters)}: {found})"

    def __iter__(self) -> Iterator[np.ndarray]:
        """Unpack into `popt` and `pcov`."""
        return iter((self.popt, self.pcov))

    @property
    def success(self) -> np.ndarray:
        """Which fits have converged, shape (...)."""
        return self.status == Status.SUCCESS

    @property
    def dof(self) -> np.ndarray:
        """Degrees of freedom, points less fitted parameters, shape (...)."""
        return self.n_points - np.count_nonzero(self.free)

    @property
    def reduced_chi2(self) -> np.ndarray:
        """`chi2` per degree of freedom, shape (...); NaN where there is none."""
        return np.divide(self.chi2, self.dof, out=np.full(self.chi2.shape, np.nan), where=self.dof > 0)

    def message(self, index=()) -> str:
        """Say what became of one fit of the batch."""
        status = Status(int(self.status[index]))
        return f"{status.message} {ADVICE.get(status, '')}".rstrip()

    @cached_property
    def pcov(self) -> np.ndarray:
        """Covariance matrices of the parameters, shape (..., n_params, n_params).

        Computed when first asked for.  As in SciPy, the inverse of ``J.T @ J`` at the minimum, for
        residuals in units of `sigma`, times `reduced_chi2` unless ``absolute_sigma``; infinite where the
        data do not determine the parameters, NaN where there is no `popt`, and 0 for fixed parameters.
        """
        free = self.free if self.ties is None else self.free[self.ties.free]
        covariance = np.empty((self.information.shape[0], free.size, free.size))
        invert_kernel()(np.asarray(self.information, dtype=float), free, covariance)
        covariance = covariance.reshape(*self.chi2.shape, free.size, free.size)
        if not self.is_absolute:
            factor = np.where(self.dof > 0, self.reduced_chi2, np.inf)[..., None, None]
            with np.errstate(invalid="ignore"):
                covariance = np.where(covariance == 0, 0, covariance * factor)
        if self.ties is not None:
            covariance = self.ties.covariance(self.popt, covariance)
        covariance[np.isnan(self.popt).any(axis=-1)] = np.nan
        return covariance

    @property
    def perr(self) -> np.ndarray:
        """Standard errors of the parameters, shape (..., n_params)."""
        return np.sqrt(np.diagonal(self.pcov, axis1=-2, axis2=-1))

    def to_structured(self) -> np.ndarray:
        """Return a structured array of the batch's shape.

        Its fields are each parameter and its standard error, ``a`` and ``a_err``, then `chi2`,
        `reduced_chi2`, `n_points`, `nfev`, `status` and `success`.
        """
        columns = self._columns()
        table = np.empty(self.chi2.shape, [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            table[name] = column
        return table

    def to_dataframe(self):
        """Return a pandas DataFrame: the fields of `to_structured`, a row for each fit (extra ``pandas``).

        In a batch of several axes the index has as many levels.
        """
        pandas = extra("pandas", "pandas")
        columns = {name: column.ravel() for name, column in self._columns().items()}
        shape = self.chi2.shape
        index = None if len(shape) < 2 else pandas.MultiIndex.from_product([range(size) for size in shape])
        return pandas.DataFrame(columns, index=index)

    def to_xarray(self, dims=None, coords=None):
        """Return an xarray Dataset with the fields of `to_structured` as variables (extra ``xarray``).

        Parameters
        ----------
        dims : sequence of str, optional
            Names of the batch's axes; by default ``dim_0, dim_1, ...``.
        coords : dict, optional
            Coordinates along them, as `xarray.Dataset` takes them.
        """
        xarray = extra("xarray", "xarray")
        dims = [f"dim_{i}" for i in range(self.chi2.ndim)] if dims is None else list(dims)
        variables = {name: (dims, column) for name, column in self._columns().items()}
        dataset = xarray.Dataset(variables, coords)
        flags = {
            "flag_values": [int(s) for s in Status],
            "flag_meanings": " ".join(s.name for s in Status),
        }
        dataset["status"].attrs.update(flags)  # the convention of netCDF files
        return dataset

    def _columns(self) -> dict[str, np.ndarray]:
        perr = self.perr
        columns = {}
        for i, name in enumerate(self.parameters):
            columns[name] = self.popt[..., i]
            columns[f"{name}_err"] = perr[..., i]
        for name in ("chi2", "reduced_chi2", "n_points", "nfev", "status", "success"):
            columns[name] = np.asarray(getattr(self, name))
        return columns

    def plot(self, index=(), ax=None):
        """Plot one fit: its data, and the model with its parameters (extra ``plot``).

        Parameters
        ----------
        index : int or tuple of int
            Which fit of the batch.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes
            Where only one variable differs between the points, the model is a curve over it; else the
            data are plotted against the model's values, beside the line on which they would agree.
        """
        if np.size(index) != self.chi2.ndim:
            raise ValueError(
                f"`index` must name one fit of a batch of shape {self.chi2.shape}, not {index!r}."
            )
        ax = _axes(ax)
        number = int(np.ravel_multi_index(np.atleast_1d(index), self.chi2.shape)) if self.chi2.ndim else 0
        x, y, sigma = self.data.one(number)
        popt = self.popt[index]
        varying = np.flatnonzero((x != x[:, :1]).any(axis=1)) if len(x) > 1 else [0]
        if len(varying) == 1:
            v = varying[0]
            grid = np.tile(x[:, :1], 400)
            grid[v] = np.linspace(x[v].min(), x[v].max(), 400)
            horizontal, line, curve = x[v], grid[v], self.model(grid, *popt)
        else:
            horizontal = line = curve = self.model(x, *popt)
        ax.errorbar(horizontal, y, sigma, fmt=".", color="0.4", label="data")
        ax.plot(line, curve, color="C3", label="model")
        ax.set_xlabel(self.model.variables[varying[0]] if len(varying) == 1 else "model")
        ax.set_ylabel("y")
        values = ", ".join(f"{name} = {value:.4g}" for name, value in zip(self.parameters, popt, strict=True))
        ax.set_title(f"{values}\n{self.message(index)}", fontsize="small")
        ax.legend()
        return ax

    def plot_map(self, parameter: str, ax=None):
        """Plot one parameter of all fits: an image for a batch of two axes, else points (extra ``plot``).

        Parameters
        ----------
        parameter : str
            A field of `to_structured`; fits that have not converged are left blank, but for ``"status"``
            and ``"success"``.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes
        """
        columns = self._columns()
        if parameter not in columns:
            raise ValueError(f"`parameter` must be one of {', '.join(columns)}, not {parameter!r}.")
        if self.chi2.ndim not in (1, 2):
            raise ValueError(f"A map needs a batch of one or two axes; this one has {self.chi2.ndim}.")
        ax = _axes(ax)
        values = columns[parameter].astype(float)
        if parameter not in ("status", "success"):
            values = np.where(self.success, values, np.nan)
        if values.ndim == 2:
            ax.figure.colorbar(ax.imshow(values), ax=ax)
        else:
            ax.plot(values, ".")
        ax.set_title(parameter)
        return ax


def _axes(ax):
    if ax is not None:
        return ax
    return extra("matplotlib.pyplot", "plot").figure(layout="constrained").add_subplot()
