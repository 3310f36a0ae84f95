"""What a user may ask of a run: the options, their defaults, and what they mean one by one."""

import inspect
import os
import warnings
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from ..checks import number, positive, shown
from ..hyperparameters import (
    closed_fraction,
    flag,
    fraction,
    integer,
    non_negative,
    non_positive,
    optional,
)
from ..hyperparameters import positive as above_zero
from ..rules import ADAM, AMSGRAD, FTRL, FTRL_POWER, Rule
from ..schedules import LearningRateSchedule
from .state import RunState
from .stopping import PARTS

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
    "progress": False,
    "finite_diff": "2-point",
    "finite_diff_rel_step": None,
    "eps": None,
    "rng": None,
    "disp": False,
    "return_all": False,
}

UNLIMITED = "maxiter", "maxfun", "maxfev", "max_time"  # options that may be infinite
# What is not listed is a number from 0 on.
_CHECKS = {
    "beta_1": fraction,
    "beta_2": fraction,
    "rho": fraction,
    "momentum": closed_fraction,
    "learning_rate_power": non_positive,
}
DIVIDING = FTRL, FTRL_POWER  # rules that divide by the learning rate
AUTOMATIC = ADAM, AMSGRAD  # rules that know automatic rates


def settings_from(known: dict, options: dict) -> dict:
    """Options with their defaults; unknown ones warn, as those of SciPy's own methods do."""
    unknown = [name for name in options if name not in known]
    if unknown:
        warn(f"Unknown solver options: {', '.join(unknown)}")
    settings = known | {name: value for name, value in options.items() if name in known}
    for name in {"amsgrad", "return_all", "progress"} & set(settings):
        flag(name, settings[name])
    return settings


def is_automatic(options: dict) -> bool:
    """Whether the learning rate is to be found by the run itself."""
    return isinstance(options.get("learning_rate"), str) and options["learning_rate"] == "auto"


def state_from(option) -> RunState | None:
    """Return the state that a run goes on from, read from its file if need be."""
    if option is None or isinstance(option, RunState):
        return option
    if isinstance(option, str | os.PathLike):
        return RunState.load(option)
    raise ValueError(
        f"`state` must be the `state` of a result, or the path of a checkpoint, not {shown(option)}."
    )


def hyper_from(rule: Rule, settings: dict[str, Any]) -> tuple[float, ...]:
    """Return the hyperparameters after the learning rate, checked."""
    names = list(rule.hyperparameters)[1:]
    return tuple(_CHECKS.get(name, non_negative)(name, settings[name]) for name in names)


def limit(name: str, settings: dict, default: float) -> float:
    """Return an option that None turns off, or leaves at its default; limits may be infinite."""
    value = settings[name]
    if name in UNLIMITED and isinstance(value, float) and value == inf:
        return inf
    return default if settings[name] is None else number(name, settings[name], low=0)


def tolerances_from(settings: dict) -> tuple[float, float, float, float]:
    """Return `gtol`, `ftol` and `xtol`, and the number of steps in each part of `patience`.

    A tolerance is as given, or `tol`, or off in a planned run, or the default, which for `gtol` is 0 with
    automatic rates.
    """
    is_planned = settings["steps"] is not None or settings["epochs"] is not None

    def tolerance(name: str, default: float) -> float:
        for given in (name, "tol"):
            if settings[given] is not None:
                return number(given, settings[given], low=0)
        return -1.0 if is_planned else default

    patience = optional(integer(PARTS))("patience", settings["patience"])
    part = inf if patience is None else float(-(-patience // PARTS))
    gtol = 0.0 if is_automatic(settings) else GTOL  # with automatic rates no unit of the value is special
    return tolerance("gtol", gtol), tolerance("ftol", FTOL), tolerance("xtol", XTOL), part


def learning_rate_from(option, rule: Rule, n: int) -> tuple[Callable, np.ndarray]:
    """Return the rate as a function of the steps done, and each variable's fraction of it (empty if equal).

    A rule that divides by it takes one number above 0 for all variables.
    """
    divides = rule in DIVIDING
    equal = np.empty(0)
    legal = "> 0" if divides else ">= 0"
    if callable(option):

        def rate(steps):
            rates = _called(option, steps)
            if not (np.isfinite(rates) & (rates > 0 if divides else rates >= 0)).all():
                raise ValueError(
                    f"`learning_rate` must give finite numbers {legal}; at step {steps} it gave {rates}."
                )
            return rates

        return rate, equal
    if isinstance(option, str):
        legal = "> 0" if divides else ">= 0, or 'auto'"
        raise ValueError(f"`learning_rate` must be a finite number {legal}, not {shown(option)}.")
    if np.ndim(option) == 0 or divides:
        constant = (above_zero if divides else non_negative)("learning_rate", option)
        return lambda steps: constant, equal
    each = positive("learning_rate", option, n, zero=True)
    largest = each.max()
    return lambda steps: largest, each / largest if largest > 0 and n > 1 else equal


def _called(schedule: Callable, steps) -> np.ndarray:
    """Return the rates of a schedule at one step or several."""
    if type(schedule).__module__.startswith("nbadam.schedules."):  # which take arrays
        return np.asarray(schedule(steps), dtype=float)
    takes_step = isinstance(schedule, LearningRateSchedule) or bool(parameters(schedule))
    rates = [schedule(step) if takes_step else schedule() for step in np.ravel(steps)]
    try:
        return np.array([np.asarray(rate, dtype=float).item() for rate in rates]).reshape(np.shape(steps))
    except (TypeError, ValueError):
        raise ValueError(f"`learning_rate` must give one number for a step; it gave {rates[0]!r}.") from None


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
