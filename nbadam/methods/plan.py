"""The plan of a run, which the options make."""

from math import ceil, inf
from typing import Any

import numpy as np

from ..checks import number, positive
from ..hyperparameters import integer
from ..rules import Rule
from .differences import Differences
from .minibatch import Minibatch
from .objective import Objective
from .options import MAXITER, hyper_from, is_automatic, learning_rate_from, limit, limits_from
from .perturbations import Perturbations
from .stopping import Stop

PART = 0.01  # first radius by differences, relative to perturbations to which the values respond
PASSES = 5  # epochs for which there may be one more pass over all the data at the end


class Plan:
    """The steps of a run and its end, which may be one of many of a batch.

    Parameters
    ----------
    rule : Rule
        The algorithm.
    settings : dict of str to Any
        All options, by name.
    minibatch : Minibatch, optional
        Objective that is evaluated on batches of data.
    is_noisy : bool
        Whether the values are known to be noisy.

    Attributes
    ----------
    is_auto : bool
        Whether `apply_dog` finds the learning rates.
    hyper : tuple of float
        Hyperparameters after the learning rate.
    limits : dict of str to float
        See `record.LIMITS`.
    at_end : Stop
        Reason to end after the largest number of steps.
    """

    def __init__(
        self, rule: Rule, settings: dict[str, Any], minibatch: Minibatch | None = None, is_noisy: bool = False
    ) -> None:
        self.rule: Rule = rule
        self.settings: dict[str, Any] = settings
        self.is_auto: bool = is_automatic(settings)
        self.hyper: tuple[float, ...] = hyper_from(rule, settings)
        ends: dict[Stop, float] = {}
        if settings["epochs"] is not None:
            if minibatch is None:
                raise ValueError("`epochs` is for objectives of the class Minibatch; give `steps` instead.")
            ends[Stop.EPOCHS] = minibatch.steps(integer(0)("epochs", settings["epochs"]))
        if settings["steps"] is not None:
            ends[Stop.STEPS] = number("steps", settings["steps"], low=0)
        planned = list(ends.values())
        if settings["maxiter"] is not None or not ends:
            ends[Stop.MAXITER] = limit("maxiter", settings, MAXITER)
        self.at_end: Stop = min(ends, key=ends.__getitem__)  # the first of equals, which is a success
        maxiter = ends[self.at_end]
        self.limits: dict[str, float] = limits_from(settings, is_noisy)
        self.limits |= {"maxiter": maxiter, "horizon": min(planned, default=maxiter), "radius": 0.0}


class RunPlan(Plan):
    """Everything about a run of `minimize` that is not the objective.

    The run happens in scaled variables, ``x / x_scale``; clipping and tolerances see their gradients.

    Attributes
    ----------
    lower, upper, x_scale : ndarray of float64, shape (n,)
        Bounds and units of the user's variables.
    learning_rate : callable
        Learning rate by the number of steps done before, an int or an array; 1 if rates are automatic.
    fractions : ndarray
        Each variable's learning rate as a fraction of `learning_rate`; empty if equal.
    maxfun, max_time : float
        Largest numbers of evaluations, and of seconds.
    interval : int
        Iterations from one call of the callback to the next.
    """

    learning_rate: Any
    fractions: np.ndarray

    def __init__(
        self, rule: Rule, settings: dict[str, Any], bounds: Any, objective: Objective, is_noticed: bool
    ) -> None:
        super().__init__(rule, settings, objective.minibatch, is_noticed)
        self.lower: np.ndarray = bounds[0]
        self.upper: np.ndarray = bounds[1]
        self.x_scale: np.ndarray = np.array(positive("x_scale", settings["x_scale"], self.lower.size))
        rate = 1.0 if self.is_auto else settings["learning_rate"]
        self.learning_rate, self.fractions = learning_rate_from(rate, rule, self.lower.size)
        self.maxfun: float = min(limit("maxfun", settings, inf), limit("maxfev", settings, inf))
        self.max_time: float = limit("max_time", settings, inf)
        self.interval: int = integer(1)("callback_interval", settings["callback_interval"])
        limits, differences = self.limits, objective.differences
        if self.is_auto and min(limits["horizon"], self.maxfun) == inf:
            raise ValueError(
                "`learning_rate='auto'` needs a finite `maxiter`, `maxfun` or `steps` to count on."
            )
        limits["keeps_before"] = limits["skips"] > 0 or not objective.is_compiled
        limits["has_differences"] = isinstance(objective.differences, Differences)
        evaluations = 1 if differences is None else differences.evaluations
        # Steps that a schedule can count on.
        limits["horizon"] = min(limits["horizon"], max(1.0, self.maxfun / evaluations))
        if differences is not None and differences.noise is not None and differences.size is not None:
            part = 1.0 if isinstance(differences, Perturbations) else PART
            limits["radius"] = part * float(np.max(differences.size / self.x_scale))

    @property
    def passes(self) -> int | None:
        """Largest number of passes over all the data that end a run planned by `epochs` alone, or None."""
        settings = self.settings
        is_asked = self.is_auto and settings["epochs"] is not None and settings["average"] == "tail"
        return ceil(settings["epochs"] / PASSES) if is_asked and not settings["weight_decay"] else None
