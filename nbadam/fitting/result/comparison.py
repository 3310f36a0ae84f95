"""Comparison of models that were fitted to the same data."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...checks import shown
from ...hyperparameters import choice, flag
from .predictions import data_of, points_of
from .result import FitResult


@dataclass(repr=False, eq=False)
class Comparison:
    """Models beside each other; the last axis of arrays is that of the models.

    Attributes
    ----------
    aic, bic : ndarray, shape (..., n_models)
        Akaike's and Schwarz's criteria; infinite where a fit has no success.
    best : ndarray of int, shape (...)
        The number of the model with the least `criterion`; -1 where no fit has success.
    weights : ndarray, shape (..., n_models)
        ``exp(-d / 2)`` for the difference `d` to the least `criterion`, divided by their sum: Akaike
        weights, or for the BIC approximate probabilities of the models.
    statistic, pvalue : ndarray, shape (..., n_models - 1), or None
        For nested models the test of each against the one before: F, or, where the errors of the data are
        known, the difference of `chi2`.  NaN where a fit has no success.
    models : tuple of str
        Names of the models.
    criterion : {"aic", "bic"}
        The criterion of `best` and `weights`.

    See Also
    --------
    nbadam.compare : The function that returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.linspace(0, 4, 30)
    >>> y = 2 * np.exp(-x) + 0.05 * np.random.default_rng(0).standard_normal((1, 30))
    >>> fits = [nbadam.curve_fit(f, x, y, p0=[1, 1]) for f in ("a * exp(-k * x)", "a + b * x")]
    >>> found = nbadam.compare(fits)
    >>> found.best.tolist(), bool(found.weights[0, 0] > 0.99)
    ([0], True)
    """

    aic: np.ndarray
    bic: np.ndarray
    best: np.ndarray
    weights: np.ndarray
    statistic: np.ndarray | None
    pvalue: np.ndarray | None
    models: tuple[str, ...]
    criterion: str

    def __repr__(self) -> str:
        """Count how often each model is the best, or show the weights of one data set."""
        lines = [f"Comparison by {self.criterion.upper()}, batch shape {self.best.shape}"]
        for k, name in enumerate(self.models):
            count = np.count_nonzero(self.best == k)
            weight = np.nanmean(self.weights[..., k]) if (self.best >= 0).any() else np.nan
            lines.append(f"{k}: {name}, best for {count:,}, mean weight {weight:.3f}")
        return "\n".join(lines)


def compare(fits: Sequence[FitResult], *, criterion: str = "aic", nested: bool = False) -> Comparison:
    """Compare models that were fitted to the same data, data set by data set.

    Parameters
    ----------
    fits : sequence of FitResult
        Results of `curve_fit`, of one batch shape and of the same data, `sigma` and loss.
    criterion : {"aic", "bic"}
        Which criterion decides: Akaike's [1]_ or Schwarz's.
    nested : bool
        Whether each model is a special case of the next one: then it is tested, too.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the fits are not of the same data or not comparable; if nested models do not grow.

    See Also
    --------
    FitResult.aic, FitResult.bic : The criteria of one fit.

    Notes
    -----
    Criteria tell which model predicts better, not whether any of them is good: see `reduced_chi2`.  They
    hold for many points; with fewer than 40 for each parameter, Akaike's favours the larger model.  The
    tests suppose normal errors, and parameters of the smaller model inside of their bounds.

    References
    ----------
    .. [1] K. P. Burnham and D. R. Anderson, "Model Selection and Multimodel Inference", Springer, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.linspace(0, 4, 30)
    >>> noise = 0.05 * np.random.default_rng(0).standard_normal((2, 30))
    >>> y = np.array([2 * np.exp(-x), 2 * np.exp(-x) + 0.5]) + noise
    >>> without = nbadam.curve_fit("a * exp(-k * x)", x, y, p0=[1, 1])
    >>> with_offset = nbadam.curve_fit("a * exp(-k * x) + c", x, y, p0=[1, 1, 0])
    >>> found = nbadam.compare([without, with_offset], nested=True)
    >>> int(found.best[1]), bool(found.pvalue[1, 0] < 1e-6)
    (1, True)
    """
    choice("aic", "bic")("criterion", criterion)
    flag("nested", nested)
    fits = _checked(fits)
    good = np.stack([fit.success for fit in fits], axis=-1)
    criteria = {
        name: np.where(good, np.stack([getattr(fit, name) for fit in fits], axis=-1), np.inf)
        for name in ("aic", "bic")
    }
    values = criteria[criterion]
    least = values.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        likelihoods = np.where(values == least, 1, np.exp((least - values) / 2))
        weights = likelihoods / likelihoods.sum(axis=-1, keepdims=True)
    any_good = good.any(axis=-1)
    weights[~any_good] = np.nan
    statistic, pvalue = _tests(fits, good) if nested else (None, None)
    best = np.where(any_good, values.argmin(axis=-1), -1)
    names = tuple(fit.model.name if fit.model.formula is None else fit.model.formula for fit in fits)
    return Comparison(criteria["aic"], criteria["bic"], best, weights, statistic, pvalue, names, criterion)


def _checked(fits: Any) -> list[FitResult]:
    if isinstance(fits, FitResult) or not isinstance(fits, Sequence) or len(fits) < 2:
        raise ValueError(f"`fits` must be a list of two or more results, not {shown(fits)}.")
    for fit in fits:
        if not isinstance(fit, FitResult):
            raise ValueError(f"`fits` must hold results of curve_fit, not {shown(fit)}.")
        if hasattr(type(fit), "shared"):
            raise ValueError(
                "Fits with `shared` parameters are one problem each: compare their `aic` or `bic`."
            )
    first = fits[0]
    for k, fit in enumerate(fits[1:], 1):
        problem = _difference(first, fit)
        if problem:
            raise ValueError(f"`fits[{k}]` cannot be compared with `fits[0]`: {problem}.")
    return list(fits)


def _difference(one: FitResult, other: FitResult) -> str:
    """Say why two fits cannot be compared."""
    if one.chi2.shape != other.chi2.shape:
        return f"their batches have the shapes {one.chi2.shape} and {other.chi2.shape}"
    if one._is_absolute != other._is_absolute:
        return "`absolute_sigma` differs"
    if one._plan is not None and other._plan is not None:
        losses = [(fit._plan.loss, fit._plan.f_scale) for fit in (one, other)]
        if losses[0] != losses[1]:
            return "their losses differ"
    if one.chi2.size and not _same_data(one, other):
        return "they are fits of different points, data or `sigma`"
    return ""


def _same_data(one: FitResult, other: FitResult) -> bool:
    parts = [(*data_of(fit), points_of(fit, None)) for fit in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*parts, strict=True))


def _tests(fits: list[FitResult], good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Test each model against the one before; shapes (..., n_models - 1)."""
    from scipy.special import chdtrc, fdtrc

    statistics, pvalues = [], []
    for k, (small, large) in enumerate(pairwise(fits)):
        more = np.count_nonzero(large.free) - np.count_nonzero(small.free)
        if more < 1:
            raise ValueError(
                f"`fits[{k + 1}]` must have more fitted parameters than `fits[{k}]`: with nested=True each "
                "model is a special case of the next one."
            )
        gain = np.maximum(small.chi2.astype(float) - large.chi2, 0)
        both = good[..., k] & good[..., k + 1]
        with np.errstate(all="ignore"):
            if large._is_absolute:
                statistic, pvalue = gain, chdtrc(more, gain)
            else:
                statistic = gain / more / large.reduced_chi2
                pvalue = fdtrc(more, large.dof, statistic)
        statistics.append(np.where(both, statistic, np.nan))
        pvalues.append(np.where(both, pvalue, np.nan))
    return np.stack(statistics, axis=-1), np.stack(pvalues, axis=-1)
