"""Tests of whether the data determine the parameters of a fit, at its end."""

from typing import Any

import numpy as np

from .jacobians import EPSILON, Jacobians, inverses
from .kernels.trust_region import DIVERGED, EXACT, least_chi2
from .problem import Plan

NEARBY = 1e-2  # standard errors; at points so near, differences must agree about the errors
NONE = 100  # units of rounding of the model; parameters that change it by less may be 0
SAME = 2  # largest ratio of standard errors, one error apart, of fits that do not run away


def size_of_terms(p: Any, factor: Any) -> Any:
    """Return the size of the terms of models: of each parameter times the derivative by it."""
    return np.linalg.norm(p * np.linalg.norm(factor[..., :-1], axis=1), axis=1)


def is_exact(plan: Plan, p: Any, factor: Any, chi2: Any) -> np.ndarray:
    """Tell where the residuals are nothing but rounding."""
    terms = size_of_terms(p, factor)
    return chi2 <= np.maximum((EXACT * np.finfo(plan.dtype).eps * terms) ** 2, least_chi2(plan.dtype))


def vanishing(jacobians: Jacobians, plan: Plan, p: Any, factor: Any, chi2: Any, inverse: Any) -> np.ndarray:
    """Tell where parameters are determined only by terms of the model that rounding does not tell from 0.

    The rate of a decay whose amplitude is 1e-16 of the data, for example: of constant data.  Data that are
    all 0 have no size: their amplitude is any number on the way to 1e-160, where chi-square has lost its
    digits.  It counts as rounding beside the root of chi-square.
    """
    terms = size_of_terms(p, factor)
    least = np.maximum(np.finfo(plan.dtype).eps * terms, np.sqrt(least_chi2(plan.dtype)))
    is_zero = jacobians.data_rounding() == 0
    lost = plan.f_scale * np.sqrt(least_chi2(plan.dtype))  # residuals whose loss has lost digits
    least = np.where(is_zero, np.maximum(least, np.maximum(np.sqrt(chi2), lost)), least)
    # Not the residuals: `is_exact` leaves room for 100 units, and there may be noise of that size.
    scatter = least / np.sqrt(jacobians.n_points)
    insignificant = np.abs(p) <= NONE * scatter[:, None] * np.linalg.norm(inverse, axis=2)
    none = (is_zero | is_exact(plan, p, factor, chi2))[:, None] & insignificant & (p != 0) & ~plan.fixed
    found = np.zeros(len(p), bool)
    without = p.copy()
    # One after another: a width, without effect as long as there is no peak, cannot be 0.
    for i in np.flatnonzero(none.any(axis=0)):
        which = np.flatnonzero(none[:, i])
        trial = without[which]
        trial[:, i] = 0
        factor, value = jacobians.of(which, trial)
        error = inverses(factor, ~plan.fixed, jacobians.rounding[which])[1]
        found[which] |= np.isfinite(value) & (error > jacobians.accuracy)
        remains = is_exact(plan, trial, factor, value)
        remains |= is_zero[which] & (value <= NONE**2 * chi2[which])
        without[which[remains]] = trial[remains]
    return found


def shaky(jacobians: Jacobians, plan: Plan, p: Any, factor: Any, chi2: Any, inverse: Any) -> np.ndarray:
    """Tell where standard errors depend on the rounding of the model.

    They are computed again for parameters that differ by some units of rounding: a phase in radians since
    1970, for example, has few digits left.  The size of the residuals does not count where rounding the
    data, or the values of any model, changes it by more than the accuracy.  Differences may err by more than
    units of rounding tell, where the values of a model have few digits: for them parameters differ by a part
    of their errors.
    """
    rounded = chi2 <= (jacobians.data_rounding() / jacobians.accuracy) ** 2
    rounded |= is_exact(plan, p, factor, chi2)

    def ratios(change: Any) -> Any:
        near = np.clip(p + change, jacobians.lower, jacobians.upper)
        again, value = jacobians.of(np.arange(len(p)), near)
        other = inverses(again, ~plan.fixed, jacobians.rounding)[0]
        ratio = np.linalg.norm(other, axis=2) / np.linalg.norm(inverse, axis=2)
        return (ratio * np.where(rounded, 1, np.sqrt(value / chi2))[:, None])[:, ~plan.fixed]

    if jacobians.exact:
        off = np.maximum(*(np.abs(ratios(change) - 1) for change in (4 * EPSILON * p, -4 * EPSILON * p)))
    else:
        scatter = standard_residual(jacobians, plan, p, chi2)
        change = NEARBY * scatter[:, None] * inverse.sum(axis=2)
        room = np.minimum(p - jacobians.lower, jacobians.upper - p)
        change = np.where(np.abs(change) <= room, change, 0)
        # Errors that change in proportion to the parameters do so to both sides.
        off = np.abs((ratios(change) + ratios(-change)) / 2 - 1)
    found: np.ndarray = (off > 0.5 * jacobians.accuracy).any(axis=1)
    return found


def diverging(jacobians: Jacobians, plan: Plan, p: Any, factor: Any, chi2: Any, inverse: Any) -> np.ndarray:
    """Tell where two parameters far less than their standard errors run away together.

    This is the last of three tests.  `trust_region` counts doubtful steps, by their pivots.  Of these fits
    `lm.runs_away` ends some by their normal matrices, and `finish` makes few more steps with these.  Unless
    they converge, the status is theirs even if this test finds nothing.

    Symmetric or orthogonal data have parameters of 0, to rounding, that are well determined: there the
    errors of all parameters are about the same one error away.
    """
    errors = standard_residual(jacobians, plan, p, chi2)[:, None] * np.linalg.norm(inverse, axis=2)
    far = np.isfinite(errors) & (errors > DIVERGED * np.abs(p))
    far &= (p > jacobians.lower) & (p < jacobians.upper)
    found: np.ndarray = far.sum(axis=1) > 1
    which = np.flatnonzero(found)
    if which.size:
        far, size = far[which], np.linalg.norm(inverse[which], axis=2)
        holds = np.ones(far.shape, bool)
        for change in (errors[which], -errors[which]):
            near = np.clip(p[which] + far * change, jacobians.lower[which], jacobians.upper[which])
            other = inverses(jacobians.of(which, near)[0], ~plan.fixed, jacobians.rounding[which])[0]
            ratio = np.linalg.norm(other, axis=2) / size
            holds &= (ratio < SAME) & (ratio > 1 / SAME)
        # Of all: an amplitude is linear, its peak's width is not.
        found[which] = ~holds[:, ~plan.fixed].all(axis=1)
    return found


def standard_residual(jacobians: Jacobians, plan: Plan, p: Any, chi2: Any) -> np.ndarray:
    """Return the standard deviations of the residuals; likelihoods know them."""
    if plan.loss.is_likelihood:
        return np.ones(len(p))
    return np.sqrt(chi2 / np.maximum(jacobians.n_points - p.shape[1], 1))
