"""The point that a run ends at: the one that `average` asks for, or a better one that is known."""

from dataclasses import dataclass
from math import hypot, inf, isfinite, nan, sqrt

import numpy as np

from .averaging import NOISY_END
from .differences import Differences
from .perturbations import Perturbations
from .quadratic import QuadraticModel
from .record import NO, UNKNOWN, YES
from .refine import Refined, refine
from .run import Run
from .stopping import WINDOW, Stop

SAMPLES = 20  # values at most that are averaged at the end, if the objective is noisy
SIGNIFICANT = 3.0  # standard deviations
FAR_OFF = 1000.0  # distance from the start, in first radii, for which values should have fallen
# Ends at which time is short: nothing is evaluated that need not be.
QUICK = (Stop.INTERRUPTED, Stop.MAX_TIME, Stop.MAXFUN)


@dataclass
class End:
    """A point with the value and the gradient there (by scaled variables)."""

    x: np.ndarray
    f: float
    g: np.ndarray
    error: float | None = None  # standard error of the value; None if it is not noisy, or not known
    deviation: float = 0.0  # standard deviation of one value
    values: tuple[float, ...] = ()  # `f` is the mean of the finite ones
    refined: Refined | None = None  # after the last passes over the data


def end_of(run: Run, stop: Stop) -> End:
    """Return the point that `average` asks for, or the mean point of the last window if the run ended there.

    With automatic rates a lower one that is known takes its place.  So does the lowest point of a quadratic
    model, if values are not random.
    """
    record, s = run.record, run.s
    if stop is Stop.NONFINITE:
        return End(record.here, s.f, record.slope)
    if s.is_at_mean:
        return End(record.x_at_mean, s.f_at_mean, record.g_at_mean)
    return _no_worse_than_seen(run, _evaluated(run, stop))


def _evaluated(run: Run, stop: Stop) -> End:
    """Return the point that `average` asks for, with a value that is not the luckiest of many."""
    objective, plan = run.objective, run.plan
    x, f, g = _chosen(run)
    is_noisy = run.s.is_noisy
    if stop is Stop.INTERRUPTED:  # nothing is evaluated any more
        return End(x, nan if f is None else f, np.full(x.size, nan) if g is None else g)
    if objective.sampler is not None and objective.sampler.is_past_an_epoch and stop not in QUICK:
        if plan.passes is not None and stop.status.success:
            refined = refine(objective, x, run.x_start, plan.lower, plan.upper, plan.passes)
            if refined is not None:
                return End(refined.x, refined.f, refined.g * plan.x_scale, 0.0, refined=refined)
        f, g = objective.full(x)
        return End(x, f, g * plan.x_scale, 0.0)
    if f is None and g is not None:
        f = objective.value(x)
    elif f is None or g is None:
        f, g = objective.value_and_gradient(x)
        g *= plan.x_scale
        if objective.value_is_estimate:
            f = objective.value(x)
    if is_noisy == NO:
        end = End(x, f, g)
    elif run.nit < WINDOW or stop in QUICK:
        return End(x, f, g)
    else:
        end = _sampled(run, x, [f], [g], is_noisy)
    is_open = plan.settings["average"] == "auto" and plan.is_auto and stop is not Stop.GTOL
    return _or_lower(run, end) if is_open and not run.is_pending else end


def _or_lower(run: Run, end: End) -> End:
    """Return the end, or another point of the run that is lower by more than noise explains.

    Where values are free of noise, that is the best one.  Else the last point may be lower than the average
    where noise vanishes at the minimum.  It may be higher where noise is small beside the first gradients.
    """
    record, s, plan, objective = run.record, run.s, run.plan, run.objective
    is_last = end.x is record.here
    if end.deviation == 0:
        if objective.value_is_estimate or not s.f_best < end.f:
            return end
        f, g = float(s.f_best), record.g_best
        if s.is_noisy != NO:
            f, g = objective.value_and_gradient(record.x_best)
            g *= plan.x_scale
        return End(record.x_best, f, g, end.error) if f == s.f_best else end
    if not is_last and not s.f < end.f:
        return end
    x = np.clip(record.average, plan.lower, plan.upper) if is_last else record.here
    other = _sampled(run, x, [], [])
    return other if _is_lower(other, end) else end


def _no_worse_than_seen(run: Run, end: End) -> End:
    """Return the end, or the lowest point that a quadratic model was fitted to, if values are not random.

    An average that is asked for is returned in any case.
    """
    model = run.objective.differences
    if not isinstance(model, QuadraticModel) or run.plan.settings["average"] != "last":
        return end
    if model.lowest is None or end.f <= model.lowest.value:
        return end
    x, f = model.lowest
    return End(x, f, model.gradient_at(x) * run.plan.x_scale)


def _sampled(
    run: Run, x: np.ndarray, values: list[float], gradients: list[np.ndarray], is_noisy: int = YES
) -> End:
    """Return a point with the mean of its values, those given and new ones.

    The new ones are no more than a tenth of the evaluations of the run; one, if values are not noisy.
    """
    objective, plan = run.objective, run.plan
    for _ in range(int(min(SAMPLES - len(values), run.nit / 10, plan.maxfun - objective.nfev))):
        if objective.jac is True:
            f, g = objective.value_and_gradient(x)
            gradients.append(g * plan.x_scale)
        else:
            f = objective.value(x)
        values.append(f)
        if is_noisy == UNKNOWN and f == values[0]:
            return End(x, f, gradients[0])
        is_noisy = YES
    g = np.mean(gradients, axis=0) if gradients else np.full_like(x, nan)
    finite = [each for each in values if isfinite(each)]
    if len(finite) < 2:
        return End(x, (finite or values or [nan])[0], g)
    deviation = float(np.std(finite, ddof=1))
    return End(x, float(np.mean(finite)), g, deviation / sqrt(len(finite)), deviation, tuple(values))


def _chosen(run: Run) -> tuple[np.ndarray, float | None, np.ndarray | None]:
    """Return the point that `average` asks for, and value and gradient there as far as they are known."""
    record, s, plan, average = run.record, run.s, run.plan, run.plan.settings["average"]
    if run.is_pending:
        x_before = np.clip(record.before * plan.x_scale, plan.lower, plan.upper)
        return x_before, float(s.f) if s.is_fresh else None, record.slope
    if record.average.size and run.nit and (average != "auto" or _is_noisy_at_the_end(run)):
        return np.clip(record.average, plan.lower, plan.upper), None, None
    if average == "best" and isfinite(s.f_best):
        if s.is_noisy != NO and run.nit:
            return record.x_best, None, None
        return record.x_best, float(s.f_best), record.g_best
    is_known = s.is_fresh and not run.objective.value_is_estimate
    return record.here, float(s.f) if is_known else None, record.slope


def _is_noisy_at_the_end(run: Run) -> bool:
    """Whether the average of the points is better than the last one, for all that is known."""
    s = run.s
    if s.is_noisy == NO or s.late_noise <= NOISY_END:
        return False
    if s.is_noisy == UNKNOWN and run.objective.nfev >= run.plan.maxfun:
        return False  # no evaluation is left that would tell
    if s.is_noisy == UNKNOWN and s.is_fresh:  # oscillations without noise look alike
        record, objective = run.record, run.objective
        f, g = objective.value_and_gradient(record.here)
        is_same = isinstance(objective.differences, Differences)  # steps may have changed in between
        if f == s.f and (is_same or np.array_equal(g * run.plan.x_scale, record.slope)):
            average = np.clip(record.average, run.plan.lower, run.plan.upper)
            return objective.value(average) < f
    return True


def no_worse_than_the_start(run: Run, stop: Stop, end: End) -> End:
    """Return the end, or a better point where noise does not explain that it is worse than the start."""
    if run.objective.sampler is not None and end.error == 0.0:
        if not end.f <= run.s.f_start:  # `f_start` was the value on one batch
            f, g = run.objective.full(run.x_start)
            if not end.f <= f:
                return End(run.x_start, f, g * run.plan.x_scale, 0.0)
        return end
    f_best = float(run.s.f_best)
    if stop is Stop.INTERRUPTED and not isfinite(end.f):
        return end
    if stop.status.success and _has_wandered(run, end):
        return End(run.x_start, run.objective.value(run.x_start), np.full_like(end.g, nan))
    if end.error is not None and isfinite(end.f):
        return _no_worse_by_samples(run, end)
    is_worse = not end.f <= run.s.f_start
    if run.s.is_noisy == YES and isfinite(end.f):
        is_worse = False  # two single values say nothing
    if f_best < inf and (is_worse or stop is Stop.NONFINITE):
        return End(run.record.x_best, f_best, run.record.g_best)
    return end


def _no_worse_by_samples(run: Run, end: End) -> End:
    """Return the end of a noisy run, or a better point where it is worse than the start, or cannot be told.

    Noise may be larger, or much smaller, at the start than at the end.
    """
    if run.s.f_start - end.f > SIGNIFICANT * end.deviation:
        return end
    start = _sampled(run, run.x_start, [], [])
    if start.error is None or _is_lower(end, start):
        return end
    if not _is_lower(start, end) and (end.error or 0.0) <= SIGNIFICANT * start.deviation:
        return end
    best = _sampled(run, run.record.x_best, [], [])
    return best if _is_lower(best, start) else start


def _is_lower(end: End, other: End) -> bool:
    """Whether a value with a standard error is lower than another one by more than noise explains.

    Where means tell nothing, as with rare values that are far off, ranks may.
    """
    if end.error is None or other.error is None:
        return False
    fall, error = other.f - end.f, SIGNIFICANT * hypot(end.error, other.error)
    return fall > error or (fall >= -error and _ranks_lower(end.values, other.values))


def _ranks_lower(values: tuple[float, ...], others: tuple[float, ...]) -> bool:
    """Whether values are lower than others by the test of Wilcoxon, Mann and Whitney."""
    n, m = len(values), len(others)
    below = np.sign(np.subtract.outer(others, values))  # NaN counts on neither side
    count = np.nansum(below)
    return bool(count > SIGNIFICANT * sqrt(n * m * (n + m + 1) / 3))


def _has_wandered(run: Run, end: End) -> bool:
    """Whether a run on noisy values went far, but they did not fall by more than their noise."""
    differences, radius = run.objective.differences, run.plan.limits["radius"]
    if not isinstance(differences, Perturbations) or differences.noise is None or radius == 0:
        return False
    distance = np.max(np.abs(end.x - run.x_start) / run.plan.x_scale)
    return bool(distance > FAR_OFF * radius and run.s.f_start - end.f <= SIGNIFICANT * differences.noise)
