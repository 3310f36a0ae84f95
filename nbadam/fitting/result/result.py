"""Results of fits."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

import numpy as np

from ... import archives
from ...status import Status
from ..covariance import factored
from ..jacobians import inverses_at
from ..search.minima import Minima
from . import report, saved
from .exports import Exports
from .inference import Inference
from .plots import Plots

# Advice by status, added to the status's message.
ADVICE = {
    Status.MAXITER: "Try a better `p0`, a larger `max_nfev`, or search='failed'; method='lm' continues Adam.",
    Status.NONFINITE: "The model, its derivative or a square is not finite at the start. Try another `p0`.",
    Status.UNDETERMINED: "Fix a parameter, or subtract a point amid the data from the variable.",
}
FITS = 4096  # covariance matrices at a time


@dataclass(repr=False, eq=False)
class FitResult(Inference, Exports, Plots):
    """The fits of a batch; each array has the batch's shape, and more axes if its entries are arrays.

    Unpacks into `popt` and `pcov`, as the result of SciPy's `curve_fit` does.  ``result[0]``,
    ``result[2:5]`` and ``result[mask]`` are the results of these fits, ``result["k"]`` the values of a
    parameter.  Printed, one fit is a table, a batch a summary.  Results can be pickled and copied; where the
    model's function cannot be pickled (a `lambda`, for example), only `model` and `plot` are lost.

    Attributes
    ----------
    popt : ndarray, shape (..., n_params)
        The parameters; NaN where the fit has failed or was not run.
    chi2 : ndarray, shape (...)
        The minimum: the sum of ``((y - f) / sigma)**2``, or of another `loss` in place of the square (for
        ``"poisson"`` the deviance).
    nfev : ndarray of int, shape (...)
        Evaluations of the model and its derivatives.
    status : ndarray of int, shape (...)
        Members of `nbadam.Status`.
    n_points : ndarray of int, shape (...)
        Points that took part.
    n_starts : ndarray of int, shape (...)
        Starts that were searched for, 0 where the start was given.
    n_reached : ndarray of int, shape (...)
        Starts that led to the minimum, of those that the search did not give up early, nor made from it.
    minima : Minima or None
        Of one data set whose starts were searched for: all minima that were found.
    parameters : tuple of str
        Names of the parameters.
    free : ndarray of bool, shape (n_params,)
        Which of them were fitted.
    varies : ndarray of bool, shape (n_params,)
        Which of them were fitted or tied to one that was.
    derivatives : {"exact", "given", "differences"}
        Origin of the model's derivatives: differentiation of the model, the user's Jacobian, or central
        differences of its values.
    model : Model
        The model, which can be called as ``model(x, *popt)``.

    See Also
    --------
    nbadam.curve_fit : The function that returns it.
    nbadam.load_fit : Results from files.
    nbadam.Status : The numbers of `status`.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.linspace(0, 4, 30)
    >>> y = 3 * np.exp(-1.2 * x) + 0.5 + 0.02 * np.random.default_rng(0).standard_normal((2, 30))
    >>> fit = nbadam.curve_fit("a * exp(-k * x) + c", x, y, p0=[1, 1, 1])
    >>> fit[0]
    Fit of formula: SUCCESS
    parameter   value  standard error  correlation
    a           3.011           0.012
    k           1.207           0.011
    c          0.4987          0.0060
    chi2 0.00758428 for 30 points and 3 free parameters, reduced 0.0002809
    derivatives: exact; ... evaluations
    Converged, or ended as planned.
    >>> fit["k"].round(2)
    array([1.21, 1.18])
    >>> fit
    2 fits of formula, shape (2,)
    parameter   median   spread  median standard error
    a            2.995    0.011  0.012
    k           1.1935   0.0093  0.011
    c          0.49948  0.00055  0.0064
    spread: half of the interval that holds the middle 68 %
    2 SUCCESS: Converged, or ended as planned.
    """

    popt: np.ndarray
    chi2: np.ndarray
    nfev: np.ndarray
    status: np.ndarray
    n_points: np.ndarray
    n_starts: np.ndarray
    n_reached: np.ndarray
    minima: Minima | None
    parameters: tuple[str, ...]
    free: np.ndarray
    varies: np.ndarray
    derivatives: str
    model: Any
    _is_absolute: bool
    _information: np.ndarray
    _is_inverse: np.ndarray
    _numbers: np.ndarray  # numbers of the data sets
    _data: Any
    _plan: Any
    _ties: Any
    _advice: dict[Status, str]  # in place of the general one
    _pcov: np.ndarray | None = None

    def __repr__(self) -> str:
        """Lay out a table of one fit, or a summary of many."""
        return report.as_text(self)

    def _repr_html_(self) -> str:
        """Lay it out in HTML, for notebooks."""
        return report.as_html(self)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Unpack into `popt` and `pcov`."""
        return iter((self.popt, self.pcov))

    def __getitem__(self, index: Any) -> Any:
        """Return the result of some fits, or the values of the parameter of a name.

        A result of one fit is the pair ``popt, pcov``, as SciPy's is.
        """
        if isinstance(index, str):
            if index not in self.parameters:
                raise KeyError(f"There is no parameter {index!r}; there are {', '.join(self.parameters)}.")
            return self.popt[..., self.parameters.index(index)]
        if self.chi2.ndim == 0 and isinstance(index, int | np.integer | slice):
            try:
                return tuple(self)[index]
            except IndexError:
                raise IndexError(f"This is the result of one fit, which has no [{index!r}].") from None
        try:
            numbers = np.asarray(self._numbers[index])
        except IndexError:
            if self.chi2.ndim == 0:
                raise IndexError(f"This is the result of one fit, which has no [{index!r}].") from None
            raise IndexError(f"[{index!r}] is outside the batch of shape {self.chi2.shape}.") from None
        names = ["popt", "chi2", "nfev", "status", "n_points", "n_starts", "n_reached"]
        names += ["_information", "_is_inverse"]
        names += ["_pcov"] if self._pcov is not None else []
        chosen = copy.copy(self)
        for name in names:
            setattr(chosen, name, np.asarray(getattr(self, name)[index]))
        chosen._numbers = numbers
        return chosen

    def __copy__(self) -> "FitResult":
        """Return another result with the same arrays."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __deepcopy__(self, memo: Any) -> "FitResult":
        """Return another result with copies of the arrays, of the same model and data."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(other, name, value.copy())
        return other

    @property
    def success(self) -> np.ndarray:
        """Whether each fit is at a minimum with determined parameters, shape (...)."""
        return self.status == Status.SUCCESS.value  # NumPy takes long to compare with the member itself

    @property
    def dof(self) -> np.ndarray:
        """Degrees of freedom, points less fitted parameters, shape (...)."""
        return self.n_points - np.count_nonzero(self.free)

    @property
    def reduced_chi2(self) -> np.ndarray:
        """`chi2` per degree of freedom, shape (...); NaN where there is none."""
        return np.divide(self.chi2, self.dof, out=np.full(self.chi2.shape, np.nan), where=self.dof > 0)

    def message(self, index: Any = ()) -> str:
        """Describe the end of one fit of the batch; without an index, of all of them.

        Parameters
        ----------
        index : int or tuple of int
            Which fit.

        See Also
        --------
        nbadam.Status : The numbers and their messages.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> fit.message(1)
        'Converged, or ended as planned.'
        """
        chosen = self[index]
        if chosen.chi2.ndim:
            return report.counted(chosen)
        status = Status(int(chosen.status))
        return f"{status.message} {(ADVICE | self._advice).get(status, '')}".rstrip()

    @property
    def pcov(self) -> np.ndarray:
        """Covariance matrices of the parameters, shape (..., n_params, n_params).

        Computed when first asked for, in double precision.  As in SciPy, the inverse of ``J.T @ J`` at the
        minimum, for residuals in units of `sigma`, times `reduced_chi2` unless ``absolute_sigma``.  Infinite
        where the data do not determine the parameters, or where as many points as parameters leave their
        scatter unknown.  NaN where there is no `popt`, and 0 for fixed parameters.
        """
        if self._pcov is None:  # no lock: two threads would compute the same
            self._pcov = self._covariance()
        return self._pcov

    def _covariance(self) -> np.ndarray:
        n = len(self.parameters)
        numbers, popt = self._numbers.ravel(), self.popt.reshape(-1, n)
        covariance = np.empty((numbers.size, n, n))
        for first in range(0, numbers.size, FITS):
            some = slice(first, first + FITS)
            roots, chi2 = self._roots(numbers[some], popt[some], some)
            unknown = np.isinf(roots).any(axis=(1, 2))
            unknown |= self.status.ravel()[some] == Status.UNDETERMINED.value
            dof = self.dof.ravel()[some]
            if not self._is_absolute:
                unknown |= dof <= 0
            is_any_unknown = unknown.any()
            if is_any_unknown:
                roots[unknown] = 0
            # Not by BLAS: another thread may have its lock at a fork, and the child would wait for ever.
            if self._ties is not None:
                roots = np.einsum("fij,fjk->fik", self._ties.slopes(popt[some]), roots)
            with np.errstate(all="ignore"):
                covariance[some] = np.einsum("fik,fjk->fij", roots, roots)
                if not self._is_absolute:
                    covariance[some] *= (chi2 / np.maximum(dof, 1))[:, None, None]
            if is_any_unknown:
                covariance[some][unknown] = np.where(self.varies & self.varies[:, None], np.inf, 0)
        covariance[np.isnan(popt).any(axis=1)] = np.nan
        return covariance.reshape(*self.chi2.shape, n, n)

    def _roots(self, numbers: np.ndarray, popt: np.ndarray, some: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return roots of the covariances of the parameters that are not tied, and chi-squares."""
        if popt.dtype == np.float32:
            own = popt if self._ties is None else popt[:, self._ties.free]
            return inverses_at(self._data, self._plan, numbers, own)
        information = np.ascontiguousarray(self._information.reshape(-1, self._information.shape[-1])[some])
        is_inverse = np.ascontiguousarray(self._is_inverse.ravel()[some])
        free = self.free if self._ties is None else self.free[self._ties.free]
        return factored(information, is_inverse, free), self.chi2.ravel()[some]

    @property
    def perr(self) -> np.ndarray:
        """Standard errors of the parameters, shape (..., n_params)."""
        return np.sqrt(np.diagonal(self.pcov, axis1=-2, axis2=-1))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the result to one file, NumPy's npz with a header, which holds no code.

        It keeps the data and all arrays, `pcov` among them; of the model a formula or the name of one that
        ships.  Functions are not kept, nor the plan that refits need.

        Parameters
        ----------
        path : path-like
            The file, whatever its suffix.  It is replaced whole or not at all.

        Raises
        ------
        ValueError
            If `path` is a directory, a device or a pipe.
        OSError
            If the file cannot be written.

        See Also
        --------
        load_fit : Reads the file.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [0.1, 0.9, 2.2, 2.9, 4.1], p0=[1, 0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "line.npz")
        ...     fit.save(path)
        ...     again = nbadam.load_fit(path)
        >>> bool((again.popt == fit.popt).all())
        True
        """
        archives.write(path, "fit", *saved.contents(self.__getstate__()))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy in another process: without the parts for covariances."""
        state = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        state |= {"_pcov": self.pcov, "_plan": None, "_ties": None}
        return state | {"model": saved.sendable(self.model)}
