"""What a fit returns."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from .covariance import invert_kernel


class FitStatus(IntEnum):
    """What became of a fit; `message` says it in words.

    A status compares with the numbers in `FitResult.status`:

    >>> import nbadam
    >>> nbadam.FitStatus(2) == nbadam.FitStatus.MAXITER == 2
    True
    >>> nbadam.FitStatus.MAXITER.success
    False
    """

    message: str

    def __new__(cls, value: int, message: str):
        """Make a member of a number and a message."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    FTOL = 0, "Converged: a full step would lower chi2 by less than `ftol` of it."
    XTOL = 1, "Converged: no parameter changes by more than `xtol` of itself."
    MAXITER = 2, "Not converged: `maxiter` evaluations are done. Try a better `p0`, or method='robust'."
    NOT_FINITE = 3, "Failed: the model or its derivative is not finite at `p0`. Try another `p0`."
    TOO_FEW_POINTS = 4, "Failed: there are fewer points than parameters."
    NOT_RUN = 5, "Not run: the batch was interrupted before."
    ADAM = 6, "Not converged to full precision: the planned steps of Adam are done. method='lm' finishes it."

    @property
    def success(self) -> bool:
        """Whether the fit has converged."""
        return self <= FitStatus.XTOL


@dataclass
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
    nit : ndarray of int, shape (...)
        Evaluations of the model and its derivatives.
    status : ndarray of int, shape (...)
        Members of `FitStatus`.
    points : ndarray of int, shape (...)
        Points that took part.
    parameters : tuple of str
        Names of the parameters.
    free : ndarray of bool, shape (n_params,)
        Which of them were fitted.
    """

    popt: np.ndarray
    chi2: np.ndarray
    nit: np.ndarray
    status: np.ndarray
    points: np.ndarray
    parameters: tuple[str, ...]
    free: np.ndarray
    is_absolute: bool
    information: np.ndarray = field(repr=False)
    model: Any = field(repr=False)
    data: Any = field(repr=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Unpack into `popt` and `pcov`."""
        return iter((self.popt, self.pcov))

    @property
    def success(self) -> np.ndarray:
        """Which fits have converged, shape (...)."""
        return self.status <= FitStatus.XTOL

    @property
    def dof(self) -> np.ndarray:
        """Degrees of freedom, points less fitted parameters, shape (...)."""
        return self.points - np.count_nonzero(self.free)

    @property
    def reduced_chi2(self) -> np.ndarray:
        """`chi2` per degree of freedom, shape (...); NaN where there is none."""
        return np.divide(self.chi2, self.dof, out=np.full(self.chi2.shape, np.nan), where=self.dof > 0)

    def message(self, index=()) -> str:
        """Say what became of one fit of the batch."""
        return FitStatus(int(self.status[index])).message

    @cached_property
    def pcov(self) -> np.ndarray:
        """Covariance matrices of the parameters, shape (..., n_params, n_params).

        Computed when first asked for.  As in SciPy, the inverse of ``J.T @ J`` at the minimum, for
        residuals in units of `sigma`, times `reduced_chi2` unless ``absolute_sigma``; infinite where the
        data do not determine the parameters, NaN where there is no `popt`, and 0 for fixed parameters.
        """
        n = self.free.size
        covariance = np.empty((self.information.shape[0], n, n))
        invert_kernel()(self.information, self.free, covariance)
        covariance = covariance.reshape(*self.chi2.shape, n, n)
        if not self.is_absolute:
            factor = np.where(self.dof > 0, self.reduced_chi2, np.inf)[..., None, None]
            with np.errstate(invalid="ignore"):
                covariance = np.where(covariance == 0, 0, covariance * factor)
        covariance[np.isnan(self.popt).any(axis=-1)] = np.nan
        return covariance

    @property
    def perr(self) -> np.ndarray:
        """Standard errors of the parameters, shape (..., n_params)."""
        return np.sqrt(np.diagonal(self.pcov, axis1=-2, axis2=-1))
