"""The bootstrap: fits of data sets that are drawn from a fit and its residuals."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import _linalg as linalg
from ...hyperparameters import choice, integer
from ...shuffling import seed_numbers
from ...status import Status
from ..data import CorrelatedSet, DataSets
from .levels import parse_level
from .predictions import data_of, linearized, points_of
from .refits import own, refit, refit_plan_of

KINDS = ("residuals", "points", "poisson", "parametric")
NUMBERS = 1 << 21  # data drawn at a time
SHARE = 0.9  # resamples that must have a fit, for an interval
MOST_COUNTS = 1e18  # largest mean of a Poisson distribution that NumPy can draw from


@dataclass(repr=False, eq=False)
class Bootstrap:
    """Fits of resampled data.

    Attributes
    ----------
    popt : ndarray, shape (..., n, n_params)
        The parameters of the resamples; NaN where a fit has failed.
    status : ndarray of int, shape (..., n)
        Members of `nbadam.Status`.
    parameters : tuple of str
        Names of the parameters.
    kind : str
        The kind of the resamples.

    See Also
    --------
    nbadam.FitResult.bootstrap : The method that returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.linspace(0, 4, 30)
    >>> y = 2 * np.exp(-x) + 0.05 * np.random.default_rng(0).standard_normal(30)
    >>> found = nbadam.curve_fit("a * exp(-k * x)", x, y[None], p0=[1, 1]).bootstrap(200, rng=0)
    >>> found.popt.shape
    (1, 200, 2)
    """

    popt: np.ndarray
    status: np.ndarray
    parameters: tuple[str, ...]
    kind: str

    def __repr__(self) -> str:
        """Show kind, sizes and the share of failed fits."""
        *batch, n = self.status.shape
        failed = np.count_nonzero(~self.success)
        return f"Bootstrap of {self.kind}: {n} resamples, batch shape {tuple(batch)}, {failed} failed fits"

    @property
    def success(self) -> np.ndarray:
        """Whether each fit has converged, shape (..., n)."""
        return self.status == Status.SUCCESS

    def conf_int(self, level: float | None = None, *, sigma: float | None = None) -> np.ndarray:
        """Return percentile intervals.

        Parameters
        ----------
        level : float, optional
            Confidence level in (0, 1); by default 68.27 %.
        sigma : float, optional
            The same as a number of standard deviations of a normal distribution.

        Returns
        -------
        ndarray, shape (..., n_params, 2)
            NaN where more than a tenth of the fits have failed: the others would be a selection.

        See Also
        --------
        nbadam.FitResult.conf_int : Intervals of the fits themselves, by three methods.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [0.1, 0.9, 2.2, 2.9, 4.1], p0=[1, 0])
        >>> sample = fit.bootstrap(200, rng=0)
        >>> low, high = sample.conf_int(0.95)[0]
        >>> bool(low < fit["a"] < high)
        True
        """
        level = parse_level(level, sigma)
        probabilities = [0.5 - level / 2, 0.5 + level / 2]
        values = self._converged()
        ends = np.full((2, *values.shape[:-2], values.shape[-1]), np.nan)
        which = self._is_enough()
        ends[:, which] = np.nanquantile(values[which], probabilities, axis=-2)
        return np.moveaxis(ends, 0, -1)

    @property
    def perr(self) -> np.ndarray:
        """Standard deviations of the parameters, shape (..., n_params); NaN like the intervals."""
        values, which = self._converged(), self._is_enough()
        errors = np.full((*values.shape[:-2], values.shape[-1]), np.nan)
        errors[which] = np.nanstd(values[which], axis=-2, ddof=1)
        return errors

    def _converged(self) -> np.ndarray:
        return np.where(self.success[..., None], self.popt, np.nan)

    def _is_enough(self) -> np.ndarray:
        success = self.success
        return (success.mean(axis=-1) >= SHARE) & (success.sum(axis=-1) > 1)


def bootstrap(fit: Any, n: int = 1000, kind: str = "residuals", rng: Any = None) -> Bootstrap:
    """Fit `n` resamples of each data set; see `FitResult.bootstrap`."""
    n = integer(2)("n", n)
    choice(*KINDS)("kind", kind)
    plan = refit_plan_of(fit)
    _check_kind(fit, plan, kind)
    seed = seed_numbers(rng)
    n_params = len(fit.parameters)
    popt = np.full((fit.chi2.size, n, n_params), np.nan, fit.popt.dtype)
    status = np.repeat(fit.status.reshape(-1, 1), n, axis=1)
    some = np.flatnonzero(fit.success.ravel())
    longest = max(fit._data.longest, 1)
    sets_at_once = 1 if isinstance(fit._data, CorrelatedSet) else max(1, NUMBERS // (n * longest))
    draws_at_once = min(n, max(1, NUMBERS // longest))
    for first in range(0, some.size, sets_at_once):
        chosen = some[first : first + sets_at_once]
        source = _Source(fit, chosen, kind, seed)
        for done in range(0, n, draws_at_once):
            count = min(draws_at_once, n - done)
            numbers = np.repeat(fit._numbers.ravel()[chosen], count)
            start = np.repeat(own(fit, fit.popt.reshape(-1, n_params)[chosen]), count, axis=0)
            found = refit(plan, source.draw(count), numbers, start)
            values = found.popt if fit._ties is None else fit._ties.all_of(found.popt)
            part = np.s_[chosen, done : done + count]
            popt[part] = values.reshape(chosen.size, count, n_params)
            status[part] = found.status.reshape(chosen.size, count)
    shape = *fit.chi2.shape, n
    return Bootstrap(popt.reshape(*shape, n_params), status.reshape(shape), fit.parameters, kind)


def _check_kind(fit: Any, plan: Any, kind: str) -> None:
    if plan.loss.is_likelihood and kind in ("residuals", "parametric"):
        raise ValueError(
            f"kind={kind!r} does not go with loss={plan.loss.name!r}: counts have no normal errors. "
            "Use 'poisson' or 'points'."
        )
    if isinstance(fit._data, CorrelatedSet) and kind in ("points", "poisson"):
        raise ValueError(
            f"kind={kind!r} does not go with a covariance matrix as `sigma`: its points are not independent. "
            "Use 'residuals' or 'parametric'."
        )


class _Source:
    """Draws data sets like those given, each from a generator of its own.

    A data set's draws depend on the seed and on its number alone, not on its company.
    """

    def __init__(self, fit: Any, chosen: np.ndarray, kind: str, seed: tuple[int, ...]) -> None:
        part = fit[np.unravel_index(chosen, fit.chi2.shape)] if fit.chi2.ndim else fit
        self.kind, self.sets = kind, fit._data
        self.x = points_of(fit, None)
        self.x = self.x[chosen] if self.x.ndim == 3 else self.x
        self.y, self.weights = data_of(part)
        self.values = linearized(fit, points_of(fit, None), chosen)[0]
        numbers = fit._numbers.ravel()[chosen]
        seeds = [np.random.SeedSequence(seed, spawn_key=(k,)) for k in numbers]
        self.generators = [np.random.default_rng(one) for one in seeds]
        self.used = self.weights > 0
        scatter = np.where(fit.dof > 0, fit.chi2 / np.maximum(fit.dof, 1), np.nan).ravel()[chosen]
        # Residuals are smaller than errors: the fit has come near to the data.
        points, dof = fit.n_points.ravel()[chosen], fit.dof.ravel()[chosen]
        self.inflation = np.sqrt(points / np.maximum(dof, 1))
        self.scale = np.ones(chosen.size) if fit._is_absolute else np.sqrt(scatter)

    def draw(self, count: int) -> DataSets:
        """Return `count` data sets for each, the first one's first."""
        fits, m = self.y.shape
        x, drawn_y = self.x, np.empty((fits, count, m))
        weights = np.repeat(self.weights[:, None], count, axis=1)
        if self.kind == "points":
            x = np.empty((fits, count, *self.x.shape[-2:]))
        for k, rng in enumerate(self.generators):
            used = np.flatnonzero(self.used[k])
            y = drawn_y[k]
            y[:] = self.y[k]
            if self.kind == "points":
                picked = used[rng.integers(used.size, size=(count, used.size))]
                own_x = self.x[k] if self.x.ndim == 3 else self.x
                x[k] = own_x
                x[k][:, :, used] = np.moveaxis(own_x[:, picked], 0, 1)
                y[:, used], weights[k][:, used] = self.y[k][picked], self.weights[k][picked]
            elif self.kind == "poisson":
                mean = self.values[k, used]
                is_mean = (mean >= 0).all() and (mean < MOST_COUNTS).all()
                y[:, used] = rng.poisson(mean, (count, used.size)) if is_mean else np.nan
            else:
                y[:, used] = self.values[k, used] + self._errors(k, used, rng, (count, used.size))
        y, weights = drawn_y.reshape(-1, m), weights.reshape(-1, m)
        if isinstance(self.sets, CorrelatedSet):
            drawn = copy.copy(self.sets)
            drawn.y, drawn.fits = y, len(y)
            return drawn
        if self.kind == "points":
            x = x.reshape(-1, *x.shape[-2:])
        elif x.ndim == 3:
            x = np.repeat(x, count, axis=0)
        with np.errstate(divide="ignore"):
            sigma = None if self.sets.sigma is None else np.where(weights > 0, 1 / weights, np.nan)
        mask = None if self.used.all() else weights == 0
        return DataSets(x, y, sigma, mask)

    def _errors(self, k: int, used: np.ndarray, rng: Any, shape: tuple[int, int]) -> np.ndarray:
        """Draw errors of the points, normal ones or from the residuals."""
        if isinstance(self.sets, CorrelatedSet):
            factor = self.sets.factor
            whitened = linalg.solve(factor, self.y[k] - self.values[k])
        else:
            factor = None
            whitened = ((self.y[k] - self.values[k]) * self.weights[k])[used]
        if self.kind == "parametric":
            drawn = rng.standard_normal(shape) * self.scale[k]
        else:
            whitened = (whitened - whitened.mean()) * self.inflation[k]
            drawn = whitened[rng.integers(used.size, size=shape)]
        return drawn / self.weights[k, used] if factor is None else drawn @ factor.T
