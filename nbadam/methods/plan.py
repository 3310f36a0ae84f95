"""What a run is given: the plan that the options make."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from ..checks import number, positive
from ..files import checked_target
from ..hyperparameters import choice, integer, optional
from ..rules import Rule
from .averaging import KINDS
from .minibatch import Minibatch
from .options import MAXITER, hyper_from, is_automatic, learning_rate_from, limit, tolerances_from
from .stopping import Stop


@dataclass
class Plan:
    """Everything about a run that is not the objective: what a step is, and when to end.

    The run happens in scaled variables, ``x / x_scale``; clipping and tolerances see their gradients.
    """

    rule: Rule
    # Slots that do not start at 0: numbers, or functions of x and the scalars of step 1.
    initial: dict[str, Any]
    learning_rate: Callable  # of the number of steps done before, an int or an array of them
    is_auto: bool  # whether `apply_dog` finds the rates instead, and `learning_rate` is 1
    hyper: tuple[float, ...]  # the hyperparameters after the learning rate
    fractions: np.ndarray  # each variable's learning rate as a fraction of `learning_rate`; empty if equal
    clipvalue: float
    clipnorm: float
    weight_decay: float
    x_scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    tolerances: tuple[float, float, float, float]  # gtol, ftol, xtol, negative if off; steps a patience part
    maxiter: float
    budget: float  # the planned number of steps, which `maxiter` may cut short; or `maxiter`
    maxfun: float
    max_time: float  # seconds
    at_end: Stop  # what reaching `maxiter` means
    average: str  # which point to return
    checkpoint: str | None = None  # path of a file
    checkpoint_every: int | None = None  # steps
    progress: bool = False  # whether to show a bar
    passes: int | None = None  # over all the data at the end, at most; None if the last point is left alone
    radius: float | None = None  # where automatic rates begin, if a first look has told
    evaluations: int = 1  # that a step costs

    @property
    def horizon(self) -> float:
        """Number of steps that a schedule can count on."""
        return float(min(self.budget, max(1.0, self.maxfun / self.evaluations)))


def plan_from(
    rule: Rule,
    settings: dict[str, Any],
    n: int,
    lower: np.ndarray,
    upper: np.ndarray,
    initial: dict[str, Any],
    minibatch: Minibatch | None,
) -> Plan:
    """Check the settings and make the plan of a run in `n` variables, of a `Minibatch` if it is one."""
    is_auto = is_automatic(settings)
    rate = 1.0 if is_auto else settings["learning_rate"]
    learning_rate, fractions = learning_rate_from(rate, rule, n)
    planned = {Stop.EPOCHS: _epochs(settings["epochs"], minibatch), Stop.STEPS: _steps(settings)}
    limits = {end: steps for end, steps in planned.items() if steps is not None}
    if settings["maxiter"] is not None or not limits:
        limits[Stop.MAXITER] = limit("maxiter", settings, MAXITER)
    at_end = min(limits, key=limits.__getitem__)  # the first of equals, which is a success
    budget = min((steps for steps in planned.values() if steps is not None), default=limits[at_end])
    maxfun = min(limit("maxfun", settings, inf), limit("maxfev", settings, inf))
    if is_auto and min(budget, maxfun) == inf:
        raise ValueError("`learning_rate='auto'` needs a finite `maxiter`, `maxfun` or `steps` to count on.")
    return Plan(
        rule=rule,
        initial=initial,
        learning_rate=learning_rate,
        is_auto=is_auto,
        hyper=hyper_from(rule, settings),
        fractions=fractions,
        clipvalue=limit("clipvalue", settings, inf),
        clipnorm=limit("clipnorm", settings, inf),
        weight_decay=limit("weight_decay", settings, 0.0),
        x_scale=positive("x_scale", settings["x_scale"], n),
        lower=lower,
        upper=upper,
        tolerances=tolerances_from(settings),
        maxiter=limits[at_end],
        budget=budget,
        maxfun=maxfun,
        max_time=limit("max_time", settings, inf),
        at_end=at_end,
        average=choice(*KINDS)("average", settings["average"]),
        checkpoint=_path(settings["checkpoint"]),
        checkpoint_every=optional(integer(1))("checkpoint_every", settings["checkpoint_every"]),
        progress=settings["progress"],
    )


def _steps(settings: dict) -> float | None:
    return None if settings["steps"] is None else number("steps", settings["steps"], low=0)


def _epochs(epochs, minibatch: Minibatch | None) -> float | None:
    """Return the steps of a planned number of epochs, or None."""
    if epochs is None:
        return None
    if minibatch is None:
        raise ValueError("`epochs` is for objectives of the class Minibatch; give `steps` instead.")
    return minibatch.steps(integer(0)("epochs", epochs))


def _path(option) -> str | None:
    """Return the path of a file whose directory exists, or None."""
    if option is None:
        return None
    checked_target(option, "checkpoint")
    return os.path.abspath(os.fsdecode(option))
