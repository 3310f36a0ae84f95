"""Schedules that fall by a law or step by step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .schedule import CheckedSchedule, check_pieces


@dataclass(frozen=True)
class ExponentialDecay(CheckedSchedule):
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

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

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
class InverseTimeDecay(CheckedSchedule):
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

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

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
class PiecewiseConstantDecay(CheckedSchedule):
    """One learning rate up to and including each boundary, the next one after it.

    Parameters
    ----------
    boundaries : sequence of float
        Increasing steps.  A boundary step itself still has the earlier value (Optax switches there).
    values : sequence of float
        Learning rates, one more than boundaries.
    name : str, optional
        Kept for `get_config`.

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

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
        check_pieces("values", self.values, self.boundaries)

    def _rates(self, s):
        return np.array(self.values)[np.searchsorted(self.boundaries, s, side="left")]


@dataclass(frozen=True)
class PolynomialDecay(CheckedSchedule):
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
        the learning rate is at its end.  A step later it follows the same curve, stretched to the
        next multiple.
    name : str, optional
        Kept for `get_config`.

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

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
