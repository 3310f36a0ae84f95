"""Learning rates that depend on the step.

A schedule is a value: a frozen dataclass that is called with the number of steps made so far, 0 at
the first step, or with an array of such numbers.  Formulas and names are those of
``tf.keras.optimizers.schedules``; everything is computed in double precision, and ``schedule(steps)``
gives the same bits as ``schedule(step)`` step by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from .checks import number
from .hyperparameters import Check, flag, non_negative, optional, positive

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "plot",
    "serialize",
]


class LearningRateSchedule:
    """Base class of learning-rate schedules.

    A schedule of your own defines ``__call__(step)``, which takes a number or an array of numbers,
    and ``get_config()``, whose dict the constructor takes as keywords.

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

    def __call__(self, step):
        """Learning rate of the step after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step).")

    def get_config(self) -> dict[str, Any]:
        """Keywords from which ``from_config`` makes an equal schedule."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config(self).")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LearningRateSchedule":
        """Make a schedule from what ``get_config`` returned."""
        return cls(**config)


@dataclass(frozen=True)
class _Schedule(LearningRateSchedule):
    """What the schedules of this module share: checked fields, numbers and arrays of steps."""

    def __post_init__(self) -> None:
        """Check every field."""
        for field in fields(self):
            check = _CHECKS.get(field.name)
            if check is not None:
                object.__setattr__(self, field.name, check(field.name, getattr(self, field.name)))

    def __call__(self, step):
        """Learning rate of the step after `step` steps; an array for an array."""
        # A number is computed as an array of one: NumPy's loops and its scalars may round differently.
        steps = np.asarray(step, dtype=np.float64)
        rates = self._rates(steps.reshape(-1)).reshape(steps.shape)
        return rates if rates.ndim else float(rates)

    def _rates(self, s: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Keywords from which ``from_config`` makes an equal schedule."""
        config = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}


def _numbers(check: Check) -> Check:
    """Make the check of a sequence of numbers."""

    def check_all(name: str, values: Any) -> tuple[float, ...]:
        if not isinstance(values, Sequence | np.ndarray):
            raise ValueError(f"`{name}` must be a sequence of numbers, not {values!r}.")
        return tuple(check(name, value) for value in values)

    return check_all


_CHECKS = {
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


@dataclass(frozen=True)
class ExponentialDecay(_Schedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        Learning rate of the first step.
    decay_steps : float
        Number of steps that multiplies it by `decay_rate`.
    decay_rate : float
        The factor, at least 0.
    staircase : bool, default False
        Whether the learning rate stays where it is for `decay_steps` steps at a time.
    name : str, optional
        Kept for `get_config`.

    Examples
    --------
    >>> import nbadam
    >>> schedule = nbadam.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
    >>> schedule(200)
    0.025
    >>> schedule([0, 100, 200])
    array([0.1  , 0.05 , 0.025])
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str | None = None

    def _rates(self, s):
        return self.initial_learning_rate * self.decay_rate ** _periods(self, s)


@dataclass(frozen=True)
class InverseTimeDecay(_Schedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        Learning rate of the first step.
    decay_steps, decay_rate : float
        After `decay_steps` steps the learning rate is divided by ``1 + decay_rate``.
    staircase : bool, default False
        Whether the learning rate stays where it is for `decay_steps` steps at a time.
    name : str, optional
        Kept for `get_config`.

    Examples
    --------
    >>> import nbadam
    >>> nbadam.schedules.InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)(300)
    0.025
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str | None = None

    def _rates(self, s):
        return self.initial_learning_rate / (1 + self.decay_rate * _periods(self, s))


def _periods(schedule, s):
    """Return how many times `decay_steps` have passed."""
    periods = s / schedule.decay_steps
    return np.floor(periods) if schedule.staircase else periods


@dataclass(frozen=True)
class PiecewiseConstantDecay(_Schedule):
    """One learning rate up to and including each boundary, the next one after it.

    Parameters
    ----------
    boundaries : sequence of float
        Increasing steps.  A boundary step itself still has the earlier value (Optax switches there).
    values : sequence of float
        Learning rates, one more than boundaries.
    name : str, optional
        Kept for `get_config`.

    Examples
    --------
    >>> import nbadam
    >>> schedule = nbadam.schedules.PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
    >>> schedule([0, 100, 101, 200, 201])
    array([1. , 1. , 0.5, 0.5, 0.1])
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str | None = None

    def __post_init__(self) -> None:
        """Check both sequences, together too."""
        super().__post_init__()
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"`values` must be one more than `boundaries`, "
                f"not {len(self.values)} beside {len(self.boundaries)}."
            )
        if any(a >= b for a, b in pairwise(self.boundaries)):
            raise ValueError(f"`boundaries` must increase, not {list(self.boundaries)}.")

    def _rates(self, s):
        return np.array(self.values)[np.searchsorted(self.boundaries, s, side="left")]


@dataclass(frozen=True)
class PolynomialDecay(_Schedule):
    """From one learning rate to another in `decay_steps` steps, along a power of the time left.

    Parameters
    ----------
    initial_learning_rate : float
        Learning rate of the first step.
    decay_steps : float
        Number of steps until `end_learning_rate`.
    end_learning_rate : float, default 0.0001
        Learning rate from there on.
    power : float, default 1
        1 is a straight line.
    cycle : bool, default False
        Whether the decay starts anew instead of staying at the end: at each multiple of `decay_steps`
        the learning rate is at its end, and a step later it follows the same curve stretched to the
        next multiple.
    name : str, optional
        Kept for `get_config`.

    Examples
    --------
    >>> import nbadam
    >>> nbadam.schedules.PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)(75)
    0.025
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 1e-4
    power: float = 1.0
    cycle: bool = False
    name: str | None = None

    def _rates(self, s):
        steps = self.decay_steps
        if self.cycle:
            steps = steps * np.maximum(np.ceil(s / steps), 1)
        left = (1 - np.minimum(s, steps) / steps) ** self.power
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate


@dataclass(frozen=True)
class CosineDecay(_Schedule):
    """Half a cosine wave down, after a linear warm-up if a target is given.

    Parameters
    ----------
    initial_learning_rate : float
        Learning rate of the first step: the top of the wave, or the start of the warm-up.
    decay_steps : float
        Length of the half wave.
    alpha : float, default 0
        What remains at its end, as a fraction of the top.
    name : str, optional
        Kept for `get_config`.
    warmup_target : float, optional
        Top of the wave, to which the learning rate first goes in `warmup_steps` steps.  None is no
        warm-up, whatever `warmup_steps` is.
    warmup_steps : float, default 0
        Length of the warm-up, which comes before the `decay_steps` steps.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
       ICLR 2017, https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> import nbadam
    >>> schedule = nbadam.schedules.CosineDecay(0.0, 1000, warmup_target=0.1, warmup_steps=100)
    >>> schedule([0, 50, 100, 600, 1100])
    array([0.  , 0.05, 0.1 , 0.05, 0.  ])
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str | None = None
    warmup_target: float | None = None
    warmup_steps: float = 0.0

    def _rates(self, s):
        if self.warmup_target is None:
            return self._wave(s, self.initial_learning_rate)
        # A warm-up of less than a step has no other step than 0.
        rise = (self.warmup_target - self.initial_learning_rate) / max(self.warmup_steps, 1)
        warm = self.initial_learning_rate + rise * s
        return np.where(s < self.warmup_steps, warm, self._wave(s - self.warmup_steps, self.warmup_target))

    def _wave(self, s, top):
        wave = 0.5 * (1 + np.cos(np.pi * (np.minimum(s, self.decay_steps) / self.decay_steps)))
        return top * ((1 - self.alpha) * wave + self.alpha)


@dataclass(frozen=True)
class CosineDecayRestarts(_Schedule):
    """Half cosine waves down one after the other, each of which starts at its top.

    Parameters
    ----------
    initial_learning_rate : float
        Top of the first wave.
    first_decay_steps : float
        Its length.
    t_mul : float, default 2
        How much longer each wave is than the one before, at least 1.
    m_mul : float, default 1
        How much higher each top is than the one before.
    alpha : float, default 0
        Lowest learning rate, as a fraction of the initial one.
    name : str, optional
        Kept for `get_config`.

    Notes
    -----
    The steps ``first_decay_steps * (1 + t_mul + ... + t_mul**i)`` restart exactly.  Keras takes the
    number of the wave from a quotient of logarithms, whose rounding can delay a restart by a step.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
       ICLR 2017, https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> import nbadam
    >>> nbadam.schedules.CosineDecayRestarts(0.1, 100)([0, 50, 100, 200, 300])
    array([0.1 , 0.05, 0.1 , 0.05, 0.1 ])
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str | None = None

    def _rates(self, s):
        periods = s / self.first_decay_steps
        if self.t_mul == 1:
            wave = np.floor(periods)
        else:  # the logarithms can be one off at a restart: compare with the restarts themselves
            wave = np.floor(np.log1p(np.maximum(periods, 0) * (self.t_mul - 1)) / np.log(self.t_mul))
            wave = wave + (s >= self._start(wave + 1)) - (s < self._start(wave))
        length = self.first_decay_steps * self.t_mul**wave
        cosine = 0.5 * self.m_mul**wave * (1 + np.cos(np.pi * ((s - self._start(wave)) / length)))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)

    def _start(self, wave):
        """First step of a wave."""
        if self.t_mul == 1:
            return self.first_decay_steps * wave
        return self.first_decay_steps * ((self.t_mul**wave - 1) / (self.t_mul - 1))


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

    Examples
    --------
    >>> import nbadam
    >>> schedule = nbadam.schedules.ExponentialDecay(0.1, 100, 0.5)
    >>> nbadam.schedules.deserialize(nbadam.schedules.serialize(schedule)) == schedule
    True
    """
    if not isinstance(schedule, LearningRateSchedule):
        raise ValueError(f"`schedule` must be a LearningRateSchedule, not {schedule!r}.")
    return {
        "module": type(schedule).__module__,
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
    """
    known = {cls.__name__: cls for cls in _Schedule.__subclasses__()} | (custom_objects or {})
    if not isinstance(config, dict) or not {"class_name", "config"} <= set(config):
        raise ValueError(f"`config` must be a dict with the keys 'class_name' and 'config', not {config!r}.")
    if config["class_name"] not in known:
        raise ValueError(
            f"`config` names the schedule {config['class_name']!r}; known are {', '.join(sorted(known))}, "
            "and what `custom_objects` holds."
        )
    return known[config["class_name"]].from_config(config["config"])


def plot(schedule: LearningRateSchedule, steps: int, ax=None):
    """Draw a schedule.

    Parameters
    ----------
    schedule : callable
        Learning rate as a function of the number of steps made.
    steps : int
        How many steps to draw.
    ax : matplotlib.axes.Axes, optional
        Where; a new figure if None.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError:
            raise ImportError(
                "Plotting a schedule needs Matplotlib: install the extra, pip install 'nbadam[plot]'."
            ) from None
        ax = pyplot.figure().add_subplot()
    ax.plot(range(steps), [schedule(step) for step in range(steps)])
    ax.set(xlabel="step", ylabel="learning rate")
    return ax
