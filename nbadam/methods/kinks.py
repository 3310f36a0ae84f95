"""Minima at kinks, where no gradient becomes small, but gradients at points around cancel.

At the minimum of a convex function, 0 is a convex combination of subgradients nearby.  Bundle methods end by
that (C. Lemaréchal, "Nonsmooth optimization and descent methods", 1978).  The combination of least norm,
times the distance from the minimum, limits the excess, but for the rise of the value to these points.
"""

from typing import Any

import numpy as np

from .record import YES

MOST = 50  # variables
SAMPLES, SAMPLES_EACH = 10, 10  # points, and more for each variable
# Distances of the points, one tried after the other, relative to that of the point from the mean of the last.
AROUND = 0.25, 1.0, 4.0, 16.0, 64.0
LARGEST_SHARE = 0.02  # largest part of the evaluations of the run, for each of these
RESTLESS = 0.02  # least noise of the gradients of the last steps, see `auto`
# Least norm relative to the mean of the norms, largest excess relative to the fall, by the distance from the
# start, and largest rise of the value to the points.
CANCELLED, EXCESS, RISE = 1e-4, 1e-4, 3e-4


def least_combination(gradients: np.ndarray) -> np.ndarray:
    """Return the convex combination of least norm.

    Parameters
    ----------
    gradients : ndarray, shape (m, n)
        At least one that is not 0.
    """
    from scipy.optimize import nnls

    size = np.abs(gradients).max()
    system = np.vstack([gradients.T / size, np.ones(len(gradients))])
    weights = nnls(system, np.append(np.zeros(gradients.shape[1]), 1.0))[0]
    return weights @ gradients / weights.sum()


def is_at_kink(run: Any, x: np.ndarray, f: float) -> bool:
    """Whether a run without noise whose rates are automatic is at a kink, by gradients around `x`."""
    record, s, plan, objective = run.record, run.s, run.plan, run.objective
    n, fall = x.size, float(s.f_start - f)
    count = SAMPLES + SAMPLES_EACH * n
    cost = count * (1 if objective.differences is None else objective.differences.evaluations)
    made = max(objective.nfev, objective.njev)  # a separate gradient has few values beside it
    is_cheap = cost <= LARGEST_SHARE * made and objective.nfev + cost <= plan.maxfun
    if not (plan.is_auto and s.late_noise >= RESTLESS and fall > 0 and n <= MOST and is_cheap):
        return False
    if s.is_noisy == YES or objective.value_is_estimate or plan.limits["ftol"] < 0:
        return False
    moved = float((np.abs(record.x - record.x_mean) / record.radius).max())
    rng = np.random.default_rng(0)
    for around in AROUND:
        reach = around * moved * record.radius
        gradients = []
        for _ in range(count):
            point = np.clip(x + reach * plan.x_scale * rng.uniform(-1, 1, n), plan.lower, plan.upper)
            value, g = objective.value_and_gradient(point)
            if not (value - f <= RISE * fall and np.isfinite(g).all()):
                return False
            is_held = ((x <= plan.lower) & (g > 0)) | ((x >= plan.upper) & (g < 0))
            gradients.append(np.where(is_held, 0.0, g * plan.x_scale * record.radius))
        most = float(np.mean(np.abs(gradients).sum(axis=1)))
        left = float(np.abs(least_combination(np.array(gradients))).sum()) if most > 0 else np.inf
        if left <= min(CANCELLED * most, EXCESS * fall):
            return True
    return False
