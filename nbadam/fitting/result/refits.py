"""Fits made again from a result: of the same data sets, or of others in their place."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..batch import fit_all
from ..data import Block, DataSets, RaggedSets
from ..problem import Fits, Plan, bounds_of

MAX_NFEV = 2000  # evaluations, if the plan's limit counts steps of Adam


class Selection:
    """Some data sets of others, each as often as its number is given.

    Parameters
    ----------
    sets : DataSets or RaggedSets
    numbers : ndarray of int
    """

    sets: DataSets | RaggedSets
    numbers: np.ndarray
    fits: int
    longest: int

    def __init__(self, sets: DataSets | RaggedSets, numbers: np.ndarray) -> None:
        self.sets, self.numbers, self.fits, self.longest = sets, numbers, numbers.size, sets.longest

    def order(self) -> np.ndarray:
        """Return the order in which to fit them."""
        if isinstance(self.sets, RaggedSets):
            return np.argsort(self.sets.lengths[self.numbers], kind="stable")
        return np.arange(self.fits)

    def parted(self, chosen: np.ndarray, points: int) -> list[np.ndarray]:
        """Part the chosen into those of fewer points and the others."""
        if isinstance(self.sets, RaggedSets):
            is_long = self.sets.lengths[self.numbers[chosen]] >= points
            return [part for part in (chosen[~is_long], chosen[is_long]) if part.size]
        return [chosen]

    def block(self, chosen: np.ndarray, dtype: Any) -> Block:
        """Prepare the chosen."""
        return self.sets.block(self.numbers[chosen], dtype)


def plan_of(fit: Any) -> Plan:
    """Return the plan of a result.

    Raises
    ------
    ValueError
        If the result comes from a file or another process, which could not send it; if data sets have
        different models.
    """
    if getattr(fit, "_models", None) is not None:
        raise ValueError("The data sets have different models: take the result of one, such as `result[0]`.")
    if fit._plan is None:
        raise ValueError(
            "A result that was saved or pickled cannot evaluate or refit its model: call `curve_fit` again."
        )
    return fit._plan


def refit_plan_of(fit: Any) -> Plan:
    """Return the plan of a result whose data sets can be fitted again, each by itself.

    Raises
    ------
    ValueError
        If they share parameters; or as `plan_of`.
    """
    if hasattr(type(fit), "shared"):
        raise ValueError(
            "Data sets with `shared` parameters cannot be fitted again one by one; "
            "`conf_int(method='normal')` takes `perr`, which is that of the whole."
        )
    return plan_of(fit)


def own(fit: Any, values: np.ndarray) -> np.ndarray:
    """Take the entries of the parameters that are not tied, along the last axis."""
    return values if fit._ties is None else values[..., fit._ties.free]


def refit(plan: Plan, sets: Any, numbers: np.ndarray, start: np.ndarray, fixed: int | None = None) -> Fits:
    """Fit again with Levenberg-Marquardt.

    Parameters
    ----------
    plan : Plan
    sets : DataSets, RaggedSets or Selection
        As many as `numbers`.
    numbers : ndarray of int, shape (fits,)
        The data sets of the plan whose bounds each fit has.
    start : ndarray, shape (fits, n)
        The parameters that are not tied.
    fixed : int, optional
        A parameter that stays at its start, beside those of the plan.
    """
    is_fixed = plan.fixed.copy()
    if fixed is not None:
        is_fixed[fixed] = True
    lower, upper = (None, None) if plan.lower is None else bounds_of(plan, numbers, start.shape[1])
    again = replace(
        plan,
        method="lm",
        search="never",
        start=lambda chosen: start[chosen],
        lower=lower,
        upper=upper,
        fixed=is_fixed,
        max_nfev=plan.max_nfev if plan.method == "lm" else MAX_NFEV,
        batch_size=None,
        progress=False,
    )
    fits, error = fit_all(sets, again)
    if isinstance(error, KeyboardInterrupt):
        raise error
    return fits
