"""What a user may ask of a run: options, their defaults, and the plan they make."""

import inspect
import os
import warnings
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from .averaging import KINDS
from .checks import number, positive
from .hyperparameters import (
    choice,
    closed_fraction,
    flag,
    fraction,
    integer,
    non_negative,
    non_positive,
    optional,
)
from .hyperparameters import positive as above_zero
from .minibatch import Minibatch
from .minimize import Plan
from .rules import FTRL, FTRL_POWER, Rule
from .run_state import RunState
from .schedules import LearningRateSchedule
from .stopping import PARTS, Stop

MAXITER = 50_000
GTOL, FTOL, XTOL = 1e-5, 1e-9, 0.0

OPTIONS = {
    "clipvalue": None,
    "clipnorm": None,
    "weight_decay": None,
    "x_scale": 1.0,
    "steps": None,
    "epochs": None,
    "maxiter": None,
    "maxfun": None,
    "maxfev": None,
    "max_time": None,
    "tol": None,
    "gtol": None,
    "ftol": None,
    "xtol": None,
    "patience": None,
    "average": "last",
    "callback_interval": 1,
    "state": None,
    "checkpoint": None,
    "checkpoint_every": None,
    "finite_diff": "2-point",
    "finite_diff_rel_step": None,
    "eps": None,
    "disp": False,
    "return_all": False,
}

# What is not listed is a number from 0 on.
_CHECKS = {
    "beta_1": fraction,
    "beta_2": fraction,
    "rho": fraction,
    "momentum": closed_fraction,
    "learning_rate_power": non_positive,
}
DIVIDING = (FTRL, FTRL_POWER)  # by the learning rate


def settings_from(known: dict, options: dict) -> dict:
    """Options with their defaults; unknown ones warn, as those of SciPy's own methods do."""
    unknown = [name for name in options if name not in known]
    if unknown:
        warn(f"Unknown solver options: {', '.join(unknown)}")
    settings = known | {name: value for name, value in options.items() if name in known}
    for name in {"amsgrad", "return_all"} & set(settings):
        flag(name, settings[name])
    return settings


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
    learning_rate, rates = _learning_rate(settings["learning_rate"], n, divides=rule in DIVIDING)
    names = list(rule.hyperparameters)[1:]
    hyper = tuple(_CHECKS.get(name, non_negative)(name, settings[name]) for name in names)
    planned = {Stop.EPOCHS: epochs_to_steps(settings["epochs"], minibatch), Stop.STEPS: _steps(settings)}
    limits = {end: steps for end, steps in planned.items() if steps is not None}
    if settings["maxiter"] is not None or not limits:
        limits[Stop.MAXITER] = _limit("maxiter", settings, MAXITER)
    at_end = min(limits, key=limits.__getitem__)  # the first of equals, which is a success
    return Plan(
        rule=rule,
        initial=initial,
        learning_rate=learning_rate,
        hyper=hyper,
        rates=rates,
        clipvalue=_limit("clipvalue", settings, inf),
        clipnorm=_limit("clipnorm", settings, inf),
        weight_decay=_limit("weight_decay", settings, 0.0),
        x_scale=positive("x_scale", settings["x_scale"], n),
        lower=lower,
        upper=upper,
        tolerances=_tolerances(settings),
        maxiter=limits[at_end],
        maxfun=min(_limit("maxfun", settings, inf), _limit("maxfev", settings, inf)),
        max_time=_limit("max_time", settings, inf),
        at_end=at_end,
        average=choice(*KINDS)("average", settings["average"]),
        checkpoint=_path(settings["checkpoint"]),
        checkpoint_every=optional(integer(1))("checkpoint_every", settings["checkpoint_every"]),
    )


def _steps(settings: dict) -> float | None:
    return None if settings["steps"] is None else number("steps", settings["steps"], low=0)


def epochs_to_steps(epochs, minibatch: Minibatch | None) -> float | None:
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
    try:
        path = os.path.abspath(os.fsdecode(option))
    except TypeError:
        raise ValueError(f"`checkpoint` must be the path of a file, not {option!r}.") from None
    if not os.path.isdir(os.path.dirname(path)) or os.path.isdir(path):
        raise ValueError(f"`checkpoint` must be the path of a file in an existing directory, not {option!r}.")
    return path


def state_from(option) -> RunState | None:
    """Return the state that a run goes on from, read from its file if need be."""
    if option is None or isinstance(option, RunState):
        return option
    if isinstance(option, str | os.PathLike):
        return RunState.load(option)
    raise ValueError(f"`state` must be the `state` of a result, or the path of a checkpoint, not {option!r}.")


def _limit(name: str, settings: dict, default: float) -> float:
    """Return an option that None turns off, or leaves at its default."""
    return default if settings[name] is None else number(name, settings[name], low=0)


def _tolerances(settings: dict) -> tuple[float, float, float, float]:
    """Return `gtol`, `ftol` and `xtol`, and the number of steps in each part of `patience`.

    A tolerance is as given, or `tol`, or off in a planned run, or the default.
    """
    is_planned = settings["steps"] is not None or settings["epochs"] is not None

    def tolerance(name: str, default: float) -> float:
        for given in (name, "tol"):
            if settings[given] is not None:
                return number(given, settings[given], low=0)
        return -1.0 if is_planned else default

    patience = optional(integer(PARTS))("patience", settings["patience"])
    part = inf if patience is None else float(-(-patience // PARTS))
    return tolerance("gtol", GTOL), tolerance("ftol", FTOL), tolerance("xtol", XTOL), part


def _learning_rate(option, n: int, divides: bool) -> tuple[Callable, np.ndarray]:
    """Learning rate as a function of the steps done, and each variable's fraction of it (empty if equal).

    A rule that divides by it takes one number above 0 for all variables.
    """
    equal = np.empty(0)
    legal = "> 0" if divides else ">= 0"
    if callable(option):
        if isinstance(option, LearningRateSchedule):
            schedule: Callable = option
        elif parameters(option):
            schedule = np.vectorize(option, otypes=[float])
        else:
            schedule = np.vectorize(lambda step: option(), otypes=[float])

        def rate(steps):
            rates = np.asarray(schedule(steps), dtype=float)
            if not (np.isfinite(rates) & (rates > 0 if divides else rates >= 0)).all():
                raise ValueError(
                    f"`learning_rate` must give finite numbers {legal}; at step {steps} it gave {rates}."
                )
            return rates

        return rate, equal
    if np.ndim(option) == 0 or divides:
        constant = (above_zero if divides else non_negative)("learning_rate", option)
        return lambda steps: constant, equal
    each = positive("learning_rate", option, n, zero=True)
    largest = each.max()
    return lambda steps: largest, each / largest if largest > 0 else equal


def parameters(function: Callable) -> list[str]:
    """Names of the parameters of a callable; none where it does not tell, as some builtins."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def warn(message: str, category: type[Warning] | None = None) -> None:
    """Warn the caller of the method, by default with SciPy's `OptimizeWarning`."""
    from scipy.optimize import OptimizeWarning

    warnings.warn(message, category or OptimizeWarning, stacklevel=5)
