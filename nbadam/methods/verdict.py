"""Verdicts on ends of runs: rules that overrule the reason for which a run stopped, with their messages."""

from math import isfinite
from typing import NamedTuple

import numpy as np

from .around import Around, look_around
from .differences import Differences
from .end import SIGNIFICANT, End, no_worse_than_the_start
from .kinks import is_at_kink
from .perturbations import Perturbations
from .quadratic import QuadraticModel
from .run import Run
from .stopping import Stop

BLIND = (
    "Differences of `fun` are exactly zero where the run ended, which says nothing about a minimum. "
    "Leave out `finite_diff`, or give a larger `finite_diff_rel_step` or `eps`."
)
STATIONARY = (
    "The gradient is zero at `x0`, but values around are lower: it is a saddle point or a maximum. Try "
    "another `x0`."
)
HIDDEN = (
    "Noise hides how `fun` changes as far as it is finite around the end of the run, or around `x0`, which "
    "is no higher. Try an `x0` that is farther from where values are not finite."
)


class Verdict(NamedTuple):
    """The reason for the end of a run, as its result has it, and the message."""

    stop: Stop
    message: str


def verdict_on(run: Run, stop: Stop, end: End) -> tuple[Verdict, End]:
    """Return the verdict on a run that stopped, and the point to return.

    The first rule that applies to the end gives the verdict, else the reason to stop does.  Then a better
    point takes the place of one that is not finite, or worse than the start.  A success that is no lower than
    the start is none, unless the start is a minimum.
    """
    found = (rule(run, stop, end) for rule in (_not_finite, _zero_gradient, _kink, _hidden))
    verdict = next((each for each in found if each is not None), Verdict(stop, stop.message))
    kept = no_worse_than_the_start(run, verdict.stop, end)
    is_success = verdict.stop.status.success
    if is_success and (kept is not end or _is_no_lower(run, verdict.stop, end) or _is_within_noise(run, end)):
        verdict = _without_progress(run, kept)
    return verdict, kept


def _not_finite(run: Run, stop: Stop, end: End) -> Verdict | None:
    """Tell where a value or a gradient was not finite."""
    return Verdict(stop, _where_not_finite(run)) if stop is Stop.NONFINITE else None


def _zero_gradient(run: Run, stop: Stop, end: End) -> Verdict | None:
    """Let values around decide about a gradient of zero, by differences, or at the start.

    Differences may be zero because they see no change, and the start may be a saddle point.
    """
    if stop is not Stop.GTOL or end.g.any():
        return None
    differences = run.objective.differences
    is_blind = isinstance(differences, Differences) and differences.is_blind(
        run.objective.value, end.x, end.f
    )
    if not is_blind and run.nit > 0:
        return None
    around = look_around(run, end.x, end.f)
    if is_blind and around is not Around.HIGHER:
        return Verdict(Stop.NO_PROGRESS, BLIND)
    return Verdict(Stop.NO_PROGRESS, STATIONARY) if around is Around.LOWER else None


def _kink(run: Run, stop: Stop, end: End) -> Verdict | None:
    """Take a run of all its steps for converged if gradients around its end cancel."""
    if stop is not Stop.MAXITER or not is_at_kink(run, end.x, end.f):
        return None
    return Verdict(Stop.KINK, Stop.KINK.message)


def _hidden(run: Run, stop: Stop, end: End) -> Verdict | None:
    """Tell where the domain ends around a point before values change by more than noise."""
    differences = run.objective.differences
    if not (stop.status.success and isinstance(differences, Perturbations)):
        return None
    noise = max(differences.noise or 0.0, end.deviation)
    is_hidden = differences.is_hidden and not run.s.f_start - end.f > SIGNIFICANT * noise
    if isinstance(differences, QuadraticModel):
        is_hidden = is_hidden or differences.is_walled_in(end.x)
    return Verdict(Stop.NO_PROGRESS, HIDDEN) if is_hidden else None


def _without_progress(run: Run, kept: End) -> Verdict:
    """Return the verdict on a run that has found nothing lower: its start may be a minimum."""
    objective = run.objective
    f_start = objective.value(run.x_start) if objective.value_is_estimate else run.s.f_start
    is_minimum = run.plan.is_auto and kept.f == f_start
    is_minimum = is_minimum and look_around(run, kept.x, kept.f) is Around.HIGHER
    stop = Stop.MINIMUM if is_minimum else Stop.NO_PROGRESS
    return Verdict(stop, stop.message)


def _is_no_lower(run: Run, stop: Stop, end: End) -> bool:
    """Whether steps led back to the start, or differences nowhere lower; a small gradient is enough."""
    if run.nit == 0 or stop is Stop.GTOL:
        return False
    has_not_fallen = isinstance(run.objective.differences, Differences) and end.f == run.s.f_start
    return has_not_fallen or np.array_equal(end.x, run.x_start)


def _is_within_noise(run: Run, end: End) -> bool:
    """Whether exact values that are rounded or rough have not fallen by more than that explains."""
    differences = run.objective.differences
    if not isinstance(differences, Differences) or differences.noise is None or run.nit == 0:
        return False
    return not differences.is_random and run.s.f_start - end.f <= SIGNIFICANT * differences.noise


def _where_not_finite(run: Run) -> str:
    where = f"at step {run.nit}" if run.nit else "at `x0`"
    x, slope = run.record.here, run.record.slope
    bad = np.flatnonzero(~np.isfinite(x))
    if bad.size:
        found = f"x[{bad[0]}] is {x[bad[0]]} {where}"
    elif not isfinite(run.s.f):
        found = f"The value of `fun` is {run.s.f} {where}"
    else:
        i = np.flatnonzero(~np.isfinite(slope))[0]
        found = f"The gradient is {slope[i]} in entry {i} {where}, where x[{i}] = {x[i]:g}"
    cure = "a smaller `learning_rate`, `clipnorm`, or `bounds` that keep x where `fun` is defined"
    kept = " The best point seen is returned." if run.nit else ""
    return f"{found}.{kept} Try {cure if run.nit else 'another `x0`'}."
