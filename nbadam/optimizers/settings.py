"""Settings of all optimizers."""

import difflib
import inspect
from typing import Any, ClassVar, Self

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
    `Hyperparameter`, for each of its parameters.  Further attributes of a subclass appear in its
    ``__init__`` or its body, or begin with an underscore; all others are refused.
    """

    learning_rate: Hyperparameter = Hyperparameter(non_negative, varying=True)
    name: Hyperparameter = Hyperparameter(text)
    decay: Hyperparameter = Hyperparameter(non_negative)
    clipnorm: Hyperparameter = Hyperparameter(optional(non_negative))
    clipvalue: Hyperparameter = Hyperparameter(optional(non_negative))
    global_clipnorm: Hyperparameter = Hyperparameter(optional(non_negative))
    weight_decay: Hyperparameter = Hyperparameter(optional(non_negative))
    use_ema: Hyperparameter = Hyperparameter(flag, fixed=True)
    ema_momentum: Hyperparameter = Hyperparameter(closed_fraction)
    ema_overwrite_frequency: Hyperparameter = Hyperparameter(optional(integer(1)))
    gradient_accumulation_steps: Hyperparameter = Hyperparameter(optional(integer(2)), fixed=True)
    on_nonfinite: Hyperparameter = Hyperparameter(choice("propagate", "skip", "raise"))
    sparse_update: str = "immediate"  # `Adam` lets it be chosen
    _recent_keras: ClassVar[
        dict[str, Any]
    ] = {}  # settings that give the formulas of Keras since TensorFlow 2.11

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

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that exists; a misspelt one would change nothing."""
        if not name.startswith("_") and not self._declares(name):
            near = difflib.get_close_matches(name, [*self._parameters(), "iterations"], cutoff=0.5)
            hint = f": did you mean {' or '.join(f'`{match}`' for match in near)}?" if near else "."
            raise AttributeError(f"`{type(self).__name__}` has no attribute {name!r}{hint}")
        super().__setattr__(name, value)
        self.__dict__["_prepared"] = None  # the quick step was made for other settings

    @classmethod
    def _declares(cls, name: str) -> bool:
        """Whether the class has an attribute of this name, or annotates it, or a constructor mentions it."""
        if hasattr(cls, name):
            return True
        for base in cls.__mro__:
            constructor = inspect.unwrap(vars(base).get("__init__", object.__init__))
            mentioned = getattr(getattr(constructor, "__code__", None), "co_names", ())
            if name in mentioned or name in vars(base).get("__annotations__", ()):
                return True
        return False

    @property
    def lr(self) -> Any:
        """Another name of `learning_rate`, as in Keras."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    @property
    def _counts_by_variable(self) -> bool:
        """Whether the bias correction counts the steps of each variable, as torch does."""
        return getattr(self, "convention", None) == "torch" and "beta_1" in self.rule.hyperparameters

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
        """Return the settings as keywords of the constructor, for JSON.

        Returns
        -------
        dict
            A schedule is described by a dict; of a callable it is the current value.  Keywords that
            only the constructor's signature names after its ``*`` appear where they are not at their
            default.

        See Also
        --------
        from_config : The way back.
        nbadam.serialize : The same with the name of the class.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.SGD(0.1, momentum=0.9).get_config()
        {'name': 'SGD', 'learning_rate': 0.1, 'decay': 0.0, 'momentum': 0.9, 'nesterov': False}
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
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, type[Any]] | None = None) -> Self:
        """Make an optimizer from settings.

        Parameters
        ----------
        config : dict
            Settings that `get_config` returned, here or in Keras.  Of a Keras since TensorFlow 2.11 the
            formulas are taken over too: see `convention` of `RMSprop` and `Adagrad`, and
            `momentum_decay` of `Nadam`.
        custom_objects : dict of str to type, optional
            Your own schedule classes by name.

        See Also
        --------
        get_config : The way there.
        nbadam.deserialize : The same for a dict that names the class.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.Adam.from_config({"learning_rate": 0.1, "beta_1": 0.8}).beta_1
        0.8
        """
        config = cls._from_keras(dict(config))
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    @classmethod
    def _from_keras(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Translate the settings of any version of Keras."""
        if config.get("loss_scale_factor") is not None:
            raise ValueError(
                "`loss_scale_factor` must be None: divide the gradients by it before they are applied."
            )
        is_recent = "loss_scale_factor" in config or config.get("is_legacy_optimizer") is False
        for name in ("loss_scale_factor", "is_legacy_optimizer", "jit_compile"):
            config.pop(name, None)
        for old, new in (("lr", "learning_rate"), ("schedule_decay", "momentum_decay")):
            if old in config:
                config.setdefault(new, config.pop(old))
        if is_recent:
            for name, value in cls._recent_keras.items():
                config.setdefault(name, value)
        return config

    def _callables(self) -> list[str]:
        """Names of the settings that are callables of the user's."""
        values = {name: getattr(self, name) for name in self._parameters()}
        return [n for n, v in values.items() if callable(v) and not isinstance(v, LearningRateSchedule)]
