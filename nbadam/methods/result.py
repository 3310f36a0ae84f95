"""The result of a run, as SciPy's methods return it."""

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from ..caller import warn
from .end import End, end_of
from .history import History
from .refine import is_too_large
from .run import Run
from .state import RunState
from .stopping import Stop
from .verdict import verdict_on

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

TOO_FAR = 1.0  # standard errors of the minimum at which the distance from it is worth a warning
FAR = (
    "The point is up to {:.2g} standard errors (of the answer, with so few data) away from the minimum over "
    "all the data: give more `epochs`. If that does not help, there may be no minimum, as with separable "
    "classes, or more variables than the data determine."
)
NEGLIGIBLE = (
    "The point is up to {:.2g} standard errors away from the minimum over all the data, which is next to "
    "nothing beside the way from the start. That is of no account where the data have no noise; else give "
    "more `epochs`, or a start that is nearer."
)
NOT_ESTIMATED = (
    "How far the point is from the minimum over all the data was not estimated: there are more than 300 "
    "variables, or fewer than 16 samples for each. Compare a run of more `epochs`."
)


def result_of(run: Run, stop: Stop, snapshot: RunState) -> "OptimizeResult":
    """Describe the end of a run: the point wanted, its value and the error of the value.

    `end_of` and `verdict_on` tell which point it is, and why the reason to stop may not be the last word.
    """
    from scipy.optimize import OptimizeResult  # costs 0.2 s: not before somebody minimizes

    (stop, message), end = verdict_on(run, stop, end_of(run, stop))
    result = OptimizeResult(
        x=end.x.copy(),
        fun=float(end.f),
        jac=end.g / run.plan.x_scale,
        nit=run.nit,
        nfev=run.objective.nfev,
        njev=run.objective.njev,
        status=int(stop.status),
        success=stop.status.success,
        message=" ".join([message, *_remarks(run, stop, end)]),
        state=snapshot,
        history=History.of(run.record.history, int(run.s.trace_rows)),
    )
    if end.error is not None:
        result.fun_stderr = end.error
    if end.refined is not None:
        result.x_stderr = end.refined.stderr
        if end.refined.distance > TOO_FAR and not end.refined.is_negligible:
            warn(FAR.format(end.refined.distance))
    if run.plan.limits["skips"] or run.s.skipped:
        result.skipped_steps = int(run.s.skipped)
    differences = run.objective.differences
    if differences is not None and differences.noise is not None:
        result.fun_noise = differences.noise
    return result


def _remarks(run: Run, stop: Stop, end: End) -> Iterator[str]:
    """Yield sentences on values that are left out, and on the distance from the minimum."""
    lost = sum(not isfinite(each) for each in end.values)
    if lost:
        yield f"{lost} of {len(end.values)} values at this point are not finite, and left out."
    if end.refined is not None:
        if end.refined.distance > TOO_FAR:
            yield (NEGLIGIBLE if end.refined.is_negligible else FAR).format(end.refined.distance)
    elif run.plan.passes is not None and stop.status.success and is_too_large(run.objective, end.x.size):
        yield NOT_ESTIMATED
