"""Schedules from dicts, and dicts from schedules."""

from typing import Any

from ..checks import shown
from .schedule import CheckedSchedule, LearningRateSchedule


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
    config: dict[str, Any], custom_objects: dict[str, type] | None = None
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


def _made(value: Any, custom_objects: dict[str, type] | None) -> Any:
    """Replace a list of dicts that describe schedules by these."""
    if isinstance(value, list) and value and all(isinstance(v, dict) and "class_name" in v for v in value):
        return [deserialize(v, custom_objects) for v in value]
    return value
