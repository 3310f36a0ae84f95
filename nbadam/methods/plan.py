"""The plan of a run, which the options make."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

import numpy as np

from ..checks import number, positive
from ..files import checked_target
from ..hyperparameters import integer, optional
from ..rules import Rule
from .minibatch import Minibatch
from .objective import Objective
from .options import MAXITER, hyper_from, is_automatic, learning_rate_from, limit, limits_from
from .perturbations import Perturbations
from .stopping import Stop

PART = 0.01  # first radius by differences, relative to perturbations to which the values respond
PASSES = 5  # epochs for which there may be one more pass over all the data at the end


@dataclass(frozen=True)
class Plan:
    """Everything about a run that is not the objective: its steps, and its end.

    The run happens in scaled variables, ``x / x_scale``; clipping and tolerances see their gradients.
    """

    rule: Rule
    learning_rate: Callable[..., Any]  # of the number of steps done before, an int or an array of them
    is_auto: bool  # whether `apply_dog` finds the rates instead, and `learning_rate` is 1
    hyper: tuple[float, ...]  # the hyperparameters after the learning rate
    fractions: np.ndarray  # each variable's learning rate as a fraction of `learning_rate`; empty if equal
    limits: dict[str, float]  # see `record.LIMITS`
    x_scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    is_cut: bool  # whether `maxiter` cuts the planned number of steps short
    maxfun: float
    max_time: float  # seconds
    at_end: Stop  # the reason if `maxiter` is reached
    average: str  # which point to return
    raises: bool  # whether an evaluation that is not finite is an exception
    checkpoint: str | None = None  # path of a file
    checkpoint_every: int | None = None  # steps
    progress: bool = False  # whether to show a bar
    passes: int | None = None  # over all the data at the end, at most; None if the last point is left alone


def plan_from(
    rule: Rule,
    settings: dict[str, Any],
    n: int,
    lower: np.ndarray,
    upper: np.ndarray,
    objective: Objective,
    is_noticed: bool,
) -> Plan:
    """Check the settings and make the plan of a run in `n` variables; noise of the values may be known."""
    differences = objective.differences
    is_auto = is_automatic(settings)
    rate = 1.0 if is_auto else settings["learning_rate"]
    learning_rate, fractions = learning_rate_from(rate, rule, n)
    maxiter, budget, at_end = budget_from(settings, objective.minibatch)
    maxfun = min(limit("maxfun", settings, inf), limit("maxfev", settings, inf))
    if is_auto and min(budget, maxfun) == inf:
        raise ValueError("`learning_rate='auto'` needs a finite `maxiter`, `maxfun` or `steps` to count on.")
    checkpoint = settings["checkpoint"]
    x_scale = np.array(positive("x_scale", settings["x_scale"], n))
    limits = limits_from(settings, is_noticed) | {"maxiter": maxiter, "radius": 0.0}
    limits["keeps_before"] = limits["skips"] > 0 or not objective.is_compiled
    evaluations = 1 if differences is None else differences.evaluations
    limits["horizon"] = min(budget, max(1.0, maxfun / evaluations))  # steps that a schedule can count on
    if differences is not None and differences.noise is not None and differences.size is not None:
        part = 1.0 if isinstance(differences, Perturbations) else PART
        limits["radius"] = part * float(np.max(differences.size / x_scale))
    return Plan(
        rule=rule,
        learning_rate=learning_rate,
        is_auto=is_auto,
        hyper=hyper_from(rule, settings),
        fractions=fractions,
        limits=limits,
        x_scale=x_scale,
        lower=lower,
        upper=upper,
        is_cut=maxiter < budget,
        maxfun=maxfun,
        max_time=limit("max_time", settings, inf),
        at_end=at_end,
        average=settings["average"],
        raises=settings["on_nonfinite"] == "raise",
        checkpoint=None if checkpoint is None else os.fspath(checked_target(checkpoint, "checkpoint")),
        checkpoint_every=optional(integer(1))("checkpoint_every", settings["checkpoint_every"]),
        progress=settings["progress"],
        passes=_passes(settings, is_auto),
    )


def budget_from(settings: dict[str, Any], minibatch: Minibatch | None = None) -> tuple[float, float, Stop]:
    """Return the largest number of steps, the planned one, and the reason to end after the former."""
    planned: dict[Stop, float] = {}
    if settings["epochs"] is not None:
        if minibatch is None:
            raise ValueError("`epochs` is for objectives of the class Minibatch; give `steps` instead.")
        planned[Stop.EPOCHS] = minibatch.steps(integer(0)("epochs", settings["epochs"]))
    if settings["steps"] is not None:
        planned[Stop.STEPS] = number("steps", settings["steps"], low=0)
    limits = dict(planned)
    if settings["maxiter"] is not None or not limits:
        limits[Stop.MAXITER] = limit("maxiter", settings, MAXITER)
    at_end = min(limits, key=limits.__getitem__)  # the first of equals, which is a success
    return limits[at_end], min(planned.values(), default=limits[at_end]), at_end


def _passes(settings: dict[str, Any], is_auto: bool) -> int | None:
    """Return how many passes over all the data may end a run that `epochs` alone plan."""
    is_asked = is_auto and settings["epochs"] is not None and settings["average"] == "tail"
    return ceil(settings["epochs"] / PASSES) if is_asked and not settings["weight_decay"] else None
