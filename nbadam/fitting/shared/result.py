"""Results of fits with shared parameters."""

import copy
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from ... import archives
from ..result.result import FitResult
from .saved import contents_of_shared
from .sharing import SharedValues


@dataclass(repr=False, eq=False)
class SharedResult(FitResult):
    """A fit of many data sets that share parameters: one problem, with one chi-square.

    It is a `FitResult` in which each data set has an entry, with `popt` that repeats the shared values.  Its
    `chi2` is the part of each data set; `dof`, `reduced_chi2`, `aic` and `bic` are those of the whole, the
    same for each entry.  `pcov` and `perr` of a data set are the marginal ones of the whole: the errors of
    shared parameters are part of those of its own.

    Where data sets have different models, `popt` has a column for each parameter that occurs, NaN where a
    model does not have it.  A part of the result with one model, such as ``result[0]``, has the parameters of
    this model, and can be plotted and evaluated.

    Attributes
    ----------
    total_chi2 : float
        The minimum, the sum over the data sets that took part; others have a status that is no success.

    See Also
    --------
    FitResult : What it has in common with the fits of a batch.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.linspace(0, 4, 30)
    >>> y = np.array([[2.0], [3.0]]) * np.exp(-x)
    >>> y += 0.01 * np.random.default_rng(0).standard_normal((2, 30))
    >>> fit = nbadam.curve_fit("a * exp(-k * x)", x, y, p0=[1, 1], shared=["k"])
    >>> fit.popt.round(1).tolist()
    [[2.0, 1.0], [3.0, 1.0]]
    """

    total_chi2: float = float("nan")
    _total_dof: int = 0
    _total_points: int = 0
    _models: Any = None
    _together: Any = None
    _sharing: Any = None
    _shared: dict[str, SharedValues] | None = None

    @property
    def shared(self) -> dict[str, SharedValues]:
        """The shared parameters, by name: named tuples of `groups`, `values` and `errors`.

        `groups` are the labels, shape (n_groups,), or None where all data sets share one value.
        """
        if self._shared is None:
            errors, found = self._together.shared_errors(), {}
            if not self._is_absolute:
                scale = self.total_chi2 / self._total_dof if self._total_dof > 0 else np.inf
                errors = errors * np.sqrt(scale)
            for name in self._sharing.names:
                labels, first = self._sharing.groups[name], self._sharing.first[name]
                some = first if labels is None else slice(first, first + labels.size)
                found[name] = SharedValues(labels, self._together.whole.values[some], errors[some])
            self._shared = found
        return self._shared

    @property
    def dof(self) -> np.ndarray:
        """Degrees of freedom of the whole: all points less all fitted values, repeated, shape (...)."""
        return np.full(self.chi2.shape, self._total_dof)

    @property
    def reduced_chi2(self) -> np.ndarray:
        """`total_chi2` per degree of freedom, repeated, shape (...); NaN where there is none."""
        value = self.total_chi2 / self._total_dof if self._total_dof > 0 else np.nan
        return np.full(self.chi2.shape, value)

    @property
    def aic(self) -> np.ndarray:
        """Akaike's information criterion of the whole, repeated, shape (...); see `FitResult.aic`."""
        return self._deviance() + 2 * self._count()

    @property
    def bic(self) -> np.ndarray:
        """Schwarz's Bayesian information criterion of the whole, repeated, shape (...)."""
        return self._deviance() + np.log(self._total_points) * self._count()

    def _count(self) -> int:
        """Return how many values were fitted."""
        return self._total_points - self._total_dof

    def _deviance(self) -> np.ndarray:
        value, n = self.total_chi2, self._total_points
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.full(self.chi2.shape, value if self._is_absolute else n * np.log(value / n))

    def __getitem__(self, index: Any) -> Any:
        """Return the result of some data sets, or the values of the parameter of a name."""
        chosen = super().__getitem__(index)
        if isinstance(index, str) or self._models is None:
            return chosen
        which = np.unique(self._models.which[chosen._numbers])
        if which.size != 1:
            return chosen
        one = self._models.results[which[0]]
        columns = [self.parameters.index(name) for name in one.parameters]
        part = copy.copy(chosen)
        part.popt = chosen.popt[..., columns]
        part._pcov = None if chosen._pcov is None else chosen._pcov[..., columns, :][..., columns]
        for name in ("parameters", "free", "varies", "model", "_plan", "derivatives"):
            setattr(part, name, getattr(one, name))
        part._models = None
        return part

    def _covariance(self) -> np.ndarray:
        if self._models is None:
            return super()._covariance()
        n = len(self.parameters)
        numbers = self._numbers.ravel()
        covariance = np.full((numbers.size, n, n), np.nan)
        which = self._models.which[numbers]
        flat = self[np.ones(self.chi2.shape, bool)] if self.chi2.ndim else self
        for k in np.unique(which):
            some = np.flatnonzero(which == k)
            part = flat[some]
            columns = np.array([self.parameters.index(name) for name in part.parameters])
            covariance[some[:, None, None], columns[:, None], columns] = part.pcov
        return covariance.reshape(*self.chi2.shape, n, n)

    def _roots(self, numbers: np.ndarray, popt: np.ndarray, some: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return roots of the covariances of parameters that are not tied, and chi-square of the whole."""
        return self._together.roots_of(numbers), np.full(numbers.size, self.total_chi2)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the result to one file, with the shared values and their errors; see `FitResult.save`.

        See Also
        --------
        nbadam.load_fit : Reads the file.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], x + 1], [1, 0], shared=["a"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "line.npz")
        ...     fit.save(path)
        ...     again = nbadam.load_fit(path)
        >>> bool((again.shared["a"].values == fit.shared["a"].values).all())
        True
        """
        archives.write(path, "fit", *contents_of_shared(self.__getstate__()))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy in another process: without the parts for covariances."""
        state = super().__getstate__() | {"_shared": self.shared, "_together": None, "_sharing": None}
        several = self._models
        return state if several is None else state | {"_models": several.without_plans()}
