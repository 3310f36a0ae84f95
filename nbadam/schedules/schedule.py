"""Parts that all schedules share: the base class, checked fields, numbers and arrays of steps."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from ..checks import number, shown
from ..hyperparameters import Check, choice, closed_fraction, flag, integer, non_negative, optional, positive


class LearningRateSchedule:
    """Base class of learning-rate schedules.

    A schedule of your own defines ``__call__(step)``, which takes a number or an array of numbers,
    and ``get_config()``, whose dict the constructor takes as keywords.

    See Also
    --------
    nbadam.schedules : The schedules that ship.

    Examples
    --------
    >>> import nbadam
    >>> class Halving(nbadam.schedules.LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5 ** step
    ...     def get_config(self):
    ...         return {}
    >>> nbadam.Adam(learning_rate=Halving()).learning_rate(2)
    0.025
    """

    def __call__(self, step: Any) -> Any:
        """Learning rate of the step after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step).")

    def get_config(self) -> dict[str, Any]:
        """Keywords from which ``from_config`` makes an equal schedule.

        See Also
        --------
        from_config : The way back.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.schedules.ExponentialDecay(0.1, 100, 0.5).get_config()["decay_rate"]
        0.5
        """
        raise NotImplementedError(f"{type(self).__name__} must define get_config(self).")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LearningRateSchedule":
        """Make a schedule from a dict of ``get_config``.

        See Also
        --------
        get_config : The way there.
        nbadam.schedules.deserialize : The same for a dict that names the class.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.schedules.CosineDecay.from_config({"initial_learning_rate": 0.1, "decay_steps": 100})(100)
        0.0
        """
        return cls(**config)


@dataclass(frozen=True)
class CheckedSchedule(LearningRateSchedule):
    """Base of the schedules here: checked fields, numbers and arrays of steps."""

    def __post_init__(self) -> None:
        """Check every field."""
        for field in fields(self):
            check = CHECKS.get(field.name)
            if check is not None:
                object.__setattr__(self, field.name, check(field.name, getattr(self, field.name)))

    def __call__(self, step: Any) -> Any:
        """Learning rate of the step after `step` steps; an array for an array."""
        # A number is computed as an array of one: NumPy's loops and its scalars may round differently.
        steps = np.asarray(step, dtype=np.float64)
        rates = self._rates(steps.reshape(-1)).reshape(steps.shape)
        return rates if rates.ndim else float(rates)

    def _rates(self, s: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Keywords from which ``from_config`` makes an equal schedule.

        See Also
        --------
        from_config : The way back.
        nbadam.schedules.serialize : The same with the name of the class.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.schedules.ExponentialDecay(0.1, 100, 0.5).get_config()["decay_rate"]
        0.5
        """
        config = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """Describe a schedule by a dict, as Keras does.

    Parameters
    ----------
    schedule : LearningRateSchedule
        One of this module, or of your own.

    Returns
    -------
    dict
        With the keys ``"module"``, ``"class_name"``, ``"config"`` and ``"registered_name"``.

    See Also
    --------
    nbadam.schedules.deserialize : The way back.

    Examples
    --------
    >>> import nbadam
    >>> schedule = nbadam.schedules.ExponentialDecay(0.1, 100, 0.5)
    >>> nbadam.schedules.deserialize(nbadam.schedules.serialize(schedule)) == schedule
    True
    """
    if not isinstance(schedule, LearningRateSchedule):
        raise ValueError(f"`schedule` must be a LearningRateSchedule, not {shown(schedule)}.")
    return {
        "module": __package__ if isinstance(schedule, CheckedSchedule) else type(schedule).__module__,
        "class_name": type(schedule).__name__,
        "config": schedule.get_config(),
        "registered_name": None,
    }


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, type[Any]] | None = None
) -> LearningRateSchedule:
    """Make a schedule from the dict that `serialize` returned.

    Parameters
    ----------
    config : dict
        At least ``"class_name"`` and ``"config"``; dicts that Keras made will do.
    custom_objects : dict of str to type, optional
        Your own classes by name.

    Returns
    -------
    LearningRateSchedule

    Raises
    ------
    ValueError
        If the keys are missing or no class has the name.

    See Also
    --------
    nbadam.schedules.serialize : The way there.

    Examples
    --------
    >>> import nbadam
    >>> settings = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 100}}
    >>> round(nbadam.schedules.deserialize(settings)(50), 3)
    0.05
    """
    known = {cls.__name__: cls for cls in CheckedSchedule.__subclasses__()} | (custom_objects or {})
    if not isinstance(config, dict) or not {"class_name", "config"} <= set(config):  # type: ignore[redundant-expr]
        raise ValueError(
            f"`config` must be a dict with the keys 'class_name' and 'config', not {shown(config)}."
        )
    if config["class_name"] not in known:
        raise ValueError(
            f"`config` names the schedule {config['class_name']!r}; known are {', '.join(sorted(known))}, "
            "and what `custom_objects` holds."
        )
    settings = {key: _made(value, custom_objects) for key, value in config["config"].items()}
    return known[config["class_name"]].from_config(settings)


def _made(value: Any, custom_objects: dict[str, type[Any]] | None) -> Any:
    """Replace a list of dicts that describe schedules by these."""
    if isinstance(value, list) and value and all(isinstance(v, dict) and "class_name" in v for v in value):
        return [deserialize(v, custom_objects) for v in value]
    return value


def check_pieces(name: str, pieces: Sequence[Any], boundaries: Sequence[float]) -> None:
    """Refuse pieces that are not one more than the boundaries between them."""
    if len(pieces) != len(boundaries) + 1:
        raise ValueError(
            f"`{name}` must be one more than `boundaries`, not {len(pieces)} beside {len(boundaries)}."
        )
    check_increase(boundaries)


def check_increase(boundaries: Sequence[float]) -> None:
    """Refuse boundaries that do not increase."""
    if any(a >= b for a, b in pairwise(boundaries)):
        raise ValueError(f"`boundaries` must increase, not {list(boundaries)}.")


def _numbers(check: Check) -> Check:
    """Make the check of a sequence of numbers."""

    def check_all(name: str, values: Any) -> tuple[float, ...]:
        if not isinstance(values, Sequence | np.ndarray):
            raise ValueError(f"`{name}` must be a sequence of numbers, not {shown(values)}.")
        return tuple(check(name, value) for value in values)

    return check_all


def _schedules(name: str, values: Any) -> tuple[LearningRateSchedule, ...]:
    """Check a sequence of schedules; dicts of `serialize` are made to schedules."""
    if not isinstance(values, Sequence):
        raise ValueError(f"`{name}` must be a sequence of schedules, not {shown(values)}.")
    made = tuple(deserialize(value) if isinstance(value, dict) else value for value in values)
    for value in made:
        if not isinstance(value, LearningRateSchedule):
            raise ValueError(f"`{name}` must hold instances of LearningRateSchedule, not {shown(value)}.")
    return made


CHECKS: dict[str, Any] = {
    "schedules": _schedules,
    "max_learning_rate": non_negative,
    "total_steps": integer(2),
    "pct_start": closed_fraction,
    "div_factor": positive,
    "final_div_factor": positive,
    "anneal_strategy": choice("cos", "linear"),
    "boundaries": _numbers(number),
    "values": _numbers(non_negative),
    "initial_learning_rate": non_negative,
    "end_learning_rate": non_negative,
    "warmup_target": optional(non_negative),
    "decay_steps": positive,
    "first_decay_steps": positive,
    "warmup_steps": non_negative,
    "decay_rate": non_negative,
    "power": non_negative,
    "alpha": non_negative,
    "m_mul": non_negative,
    # A shorter next cycle would leave no learning rate from step first_decay_steps / (1 - t_mul) on.
    "t_mul": lambda name, value: number(name, value, low=1),
    "staircase": flag,
    "cycle": flag,
}
