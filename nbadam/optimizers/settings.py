"""What a user can set on every optimizer."""

import inspect
from typing import Any, Self

from .. import schedules
from ..hyperparameters import (
    Hyperparameter,
    choice,
    closed_fraction,
    flag,
    integer,
    non_negative,
    optional,
    text,
)
from ..rules import Rule
from ..schedules import LearningRateSchedule


class Settings:
    """Settings that are checked when they are assigned, and their dicts.

    The constructors' signatures say which there are: a subclass has an attribute, as a rule a
    `Hyperparameter`, for each of its parameters.
    """

    learning_rate = Hyperparameter(non_negative, varying=True)
    name = Hyperparameter(text)
    decay = Hyperparameter(non_negative)
    clipnorm = Hyperparameter(optional(non_negative))
    clipvalue = Hyperparameter(optional(non_negative))
    global_clipnorm = Hyperparameter(optional(non_negative))
    weight_decay = Hyperparameter(optional(non_negative))
    use_ema = Hyperparameter(flag, fixed=True)
    ema_momentum = Hyperparameter(closed_fraction)
    ema_overwrite_frequency = Hyperparameter(optional(integer(1)))
    gradient_accumulation_steps = Hyperparameter(optional(integer(2)), fixed=True)
    on_nonfinite = Hyperparameter(choice("propagate", "skip", "raise"))
    sparse_update: str = "immediate"  # `Adam` lets it be chosen

    def __init__(
        self,
        learning_rate: Any,
        name: str,
        decay: float = 0.0,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        weight_decay: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        on_nonfinite: str = "propagate",
    ) -> None:
        self.learning_rate = learning_rate
        self.name = name
        self.decay = decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.weight_decay = weight_decay
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.on_nonfinite = on_nonfinite
        self._check_together()

    @property
    def rule(self) -> Rule:
        """The update rule that the settings choose; a class attribute will do."""
        raise NotImplementedError(f"{type(self).__name__} must define `rule`.")

    def _check_together(self) -> None:
        if self.clipnorm is not None and self.global_clipnorm is not None:
            raise ValueError("`clipnorm` and `global_clipnorm` exclude each other: set one of them to None.")

    def _hyperparameters(self, calls: int) -> tuple[float, ...]:
        """Values after so many calls, in the order of the rule."""
        self._check_together()
        values = [self._value(name, calls) for name in self.rule.hyperparameters]
        values[0] /= 1 + self.decay * calls
        return tuple(values)

    def _value(self, name: str, calls: int) -> float:
        value = getattr(self, name)
        if callable(value):
            value = value(calls) if isinstance(value, LearningRateSchedule) else value()
            value = getattr(type(self), name).check(name, value)
        return value

    def get_config(self) -> dict[str, Any]:
        """Return the settings as keywords of the constructor, in what JSON can hold.

        Returns
        -------
        dict
            A schedule is described by a dict; of a callable it is the current value.  Keywords that
            only the constructor's signature names after its ``*`` appear where they are not at their
            default.
        """
        config: dict[str, Any] = {"name": self.name}
        chosen = {}
        for name, parameter in self._parameters().items():
            value = getattr(self, name)
            if isinstance(value, LearningRateSchedule):
                value = schedules.serialize(value)
            elif callable(value):
                value = getattr(type(self), name).check(name, value())
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                config[name] = value
            elif value != parameter.default:
                chosen[name] = value
        return config | chosen

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        """Return the parameters of the constructors, the base's first; a class may redefine a default."""
        found: dict[str, inspect.Parameter] = {}
        for base in reversed(cls.__mro__[:-1]):  # without object
            if "__init__" in vars(base):
                found |= inspect.signature(vars(base)["__init__"]).parameters
        return {name: p for name, p in found.items() if name not in ("self", "kwargs")}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> Self:
        """Make an optimizer from settings.

        Parameters
        ----------
        config : dict
            What `get_config` returned.
        custom_objects : dict of str to type, optional
            Your own schedule classes by name.
        """
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    def _callables(self) -> list[str]:
        """Names of the settings that are callables of the user's."""
        values = {name: getattr(self, name) for name in self._parameters()}
        return [n for n, v in values.items() if callable(v) and not isinstance(v, LearningRateSchedule)]
