"""Options of a run, their defaults and their checks."""

import inspect
import os
from collections.abc import Callable, Collection
from math import inf
from typing import Any

import numpy as np

from ..caller import warn
from ..checks import number, positive, shown
from ..hyperparameters import RANGES, choice, flag, fraction, integer, non_negative, optional
from ..hyperparameters import positive as above_zero
from ..rules import ADAM, AMSGRAD, FTRL, FTRL_POWER, Rule
from ..schedules import LearningRateSchedule
from .averaging import KINDS
from .record import TOLERANCES
from .state import RunState
from .stopping import PARTS

MAXITER = 50_000
SKIPS = 20  # evaluations in a row that are not finite, after which a run that skips them ends

OPTIONS: dict[str, Any] = {
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
    **dict.fromkeys(TOLERANCES),
    "patience": None,
    "reductions": 0,
    "reduction": 0.1,
    "on_nonfinite": "stop",
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
# Steps, and more for each variable, where values turn out to be noisy and nothing is said about the end.
PATIENCE, PATIENCE_EACH = 300, 20
MODEL_PATIENCE = 60  # the same for steps by a quadratic model, which take several evaluations each
# Betas of automatic rates with simultaneous perturbation, whose runs are short: with Keras's betas the first
# gradients would decide about the steps for too long (benchmarks/blackbox.py).
BETAS = {"beta_1": 0.8, "beta_2": 0.9}
# Options by which a user says when to end.
PLANS = {"steps", "epochs", "patience", "tol", *TOLERANCES}
DIVIDING = FTRL, FTRL_POWER  # rules that divide by the learning rate
AUTOMATIC = ADAM, AMSGRAD  # rules that know automatic rates


def settings_from(known: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Options with their defaults; unknown ones warn, as those of SciPy's own methods do."""
    unknown = [name for name in options if name not in known]
    if unknown:
        warn(f"Unknown solver options: {', '.join(unknown)}")
    settings = known | {name: value for name, value in options.items() if name in known}
    for name in {"amsgrad", "return_all", "progress"} & set(settings):
        flag(name, settings[name])
    return settings


def is_automatic(options: dict[str, Any]) -> bool:
    """Whether the learning rate is to be found by the run itself."""
    return isinstance(options.get("learning_rate"), str) and options["learning_rate"] == "auto"


def implied(
    rule: Rule,
    settings: dict[str, Any],
    given: Collection[str],
    n: int,
    *,
    is_noisy: bool = False,
    is_faint: bool = False,
    is_perturbed: bool = False,
    is_modelled: bool = False,
    is_resumed: bool = False,
) -> dict[str, Any]:
    """Return the options that others, and noise of the values, imply where they are not given.

    `epochs` alone will do for the rules that know automatic rates.  A run on noisy values ends by itself.  A
    run that is resumed keeps the average of its state.
    """
    kept, has_epochs = {*given, "average"} if is_resumed else set(given), settings["epochs"] is not None
    more: dict[str, Any] = {}
    if has_epochs and rule in AUTOMATIC and "learning_rate" not in given:
        more["learning_rate"] = "auto"
    if is_noisy and not PLANS & kept:
        patience = MODEL_PATIENCE if is_modelled else PATIENCE + PATIENCE_EACH * n
        # Faint noise may not matter to the last: then a mean of points is worse than the last one.
        more |= {"patience": patience} | ({} if is_faint else {"average": "tail"})
    if is_automatic(settings | more):
        more["epsilon"] = 0.0  # no unit of the gradient is special
        more |= BETAS if is_perturbed else {}
        if has_epochs:
            more["average"] = "tail"
        more.setdefault("average", "auto")
    if is_modelled:
        more["average"] = "last"  # many values have decided about it already
    return {name: value for name, value in more.items() if name not in kept}


def state_from(option: Any) -> RunState | None:
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
    return tuple(RANGES.get(name, non_negative)(name, settings[name]) for name in names)


def limit(name: str, settings: dict[str, Any], default: float) -> float:
    """Return an option that None turns off, or leaves at its default; limits may be infinite."""
    value = settings[name]
    if name in UNLIMITED and isinstance(value, float) and value == inf:
        return inf
    return default if value is None else number(name, value, low=0)


def limits_from(settings: dict[str, Any], is_noisy: bool = False) -> dict[str, float]:
    """Return the fields of `record.LIMITS` that belong to options, but for the number of steps.

    A tolerance is as given, or `tol`, or off in a planned run, or the default, which for `gtol` is 0 with
    automatic rates.  Where noise was noticed, it is off with these.
    """
    is_planned = settings["steps"] is not None or settings["epochs"] is not None
    limits = {}
    # No unit of the gradient is special for automatic rates; with noise even one of 0 may be chance.
    defaults = TOLERANCES | ({"gtol": -1.0 if is_noisy else 0.0} if is_automatic(settings) else {})
    for name, default in defaults.items():
        given = [each for each in (name, "tol") if settings[each] is not None]
        limits[name] = number(given[0], settings[given[0]], low=0) if given else -1 if is_planned else default
    patience = optional(integer(PARTS))("patience", settings["patience"])
    limits["part"] = inf if patience is None else float(-(-patience // PARTS))
    limits["reductions"] = integer(0)("reductions", settings["reductions"])
    limits["reduction"] = fraction("reduction", settings["reduction"])
    if limits["reductions"] and (patience is None or is_automatic(settings)):
        raise ValueError(
            "`reductions` of the learning rate need `patience`, the number of steps that tells when to make "
            "one, and a `learning_rate` that is not 'auto'."
        )
    is_skipping = choice("stop", "skip", "raise")("on_nonfinite", settings["on_nonfinite"]) == "skip"
    limits["skips"] = SKIPS if is_skipping else 0
    return limits | {
        "average": KINDS[choice(*KINDS)("average", settings["average"])],
        "clipvalue": limit("clipvalue", settings, inf),
        "clipnorm": limit("clipnorm", settings, inf),
        "weight_decay": limit("weight_decay", settings, 0.0),
    }


def learning_rate_from(option: Any, rule: Rule, n: int) -> tuple[Callable[..., Any], np.ndarray]:
    """Return the rate as a function of the steps done, and each variable's fraction of it (empty if equal).

    A rule that divides by it takes one number above 0 for all variables.
    """
    divides = rule in DIVIDING
    equal = np.empty(0)
    legal = "> 0" if divides else ">= 0"
    if callable(option):

        def rate(steps: Any) -> Any:
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


def _called(schedule: Callable[..., Any], steps: Any) -> np.ndarray:
    """Return the rates of a schedule at one step or several."""
    if type(schedule).__module__.startswith("nbadam.schedules."):  # these take arrays
        return np.asarray(schedule(steps), dtype=float)
    takes_step = isinstance(schedule, LearningRateSchedule) or bool(parameters(schedule))
    rates = [schedule(step) if takes_step else schedule() for step in np.ravel(steps)]
    try:
        return np.array([np.asarray(rate, dtype=float).item() for rate in rates]).reshape(np.shape(steps))
    except (TypeError, ValueError):
        raise ValueError(f"`learning_rate` must give one number for a step; it gave {rates[0]!r}.") from None


def parameters(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters of a callable; none where it does not tell, as some builtins."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
