"""Schedules from points and from other schedules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .schedule import CheckedSchedule, LearningRateSchedule, check_increase, check_pieces, serialize


@dataclass(frozen=True)
class PiecewiseLinear(CheckedSchedule):
    """Straight lines from point to point; the first and the last learning rate hold outside.

    Parameters
    ----------
    boundaries : sequence of float
        Increasing steps of the points.
    values : sequence of float
        Their learning rates, as many as boundaries.
    name : str, optional
        Kept for `get_config`.

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

    Examples
    --------
    >>> import nbadam
    >>> nbadam.schedules.PiecewiseLinear([0, 100, 200], [0.0, 1.0, 0.5])([0, 50, 100, 150, 300])
    array([0.  , 0.5 , 1.  , 0.75, 0.5 ])
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str | None = None

    def __post_init__(self) -> None:
        """Check both sequences, together too."""
        super().__post_init__()
        if not self.boundaries or len(self.values) != len(self.boundaries):
            raise ValueError(
                "`values` must be as many as `boundaries`, at least one, "
                f"not {len(self.values)} beside {len(self.boundaries)}."
            )
        check_increase(self.boundaries)

    def _rates(self, s):
        return np.interp(s, self.boundaries, self.values)


@dataclass(frozen=True)
class OneCycle(CheckedSchedule):
    """Up to a peak and down to nearly nothing: the one-cycle policy [1]_.

    Parameters
    ----------
    max_learning_rate : float
        Learning rate at the peak.
    total_steps : int
        Length of the cycle, at least 2; the last learning rate, of step ``total_steps - 1``, holds after it.
    pct_start : float, default 0.3
        Fraction of the cycle, in [0, 1], that the way up takes.
    div_factor : float, default 25
        The first learning rate is `max_learning_rate` divided by it.
    final_div_factor : float, default 1e4
        The last learning rate is the first one divided by it.
    anneal_strategy : {"cos", "linear"}, default "cos"
        Form of both ways: half a cosine wave, or a straight line.
    name : str, optional
        Kept for `get_config`.

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

    Notes
    -----
    Names, defaults and formula are those of torch's ``OneCycleLR``, in two phases.

    References
    ----------
    .. [1] L. N. Smith and N. Topin, "Super-convergence: Very fast training of neural networks using large
       learning rates", 2018, https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> import nbadam
    >>> schedule = nbadam.schedules.OneCycle(1.0, total_steps=100, pct_start=0.26)
    >>> [float(rate) for rate in schedule([0, 25, 99])]
    [0.04, 1.0, 4e-06]
    """

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal_strategy: str = "cos"
    name: str | None = None

    def _rates(self, s):
        first = self.max_learning_rate / self.div_factor
        last = first / self.final_div_factor
        peak, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        up = np.clip(s / peak, 0, 1) if peak > 0 else np.ones_like(s)
        down = np.clip((s - peak) / (end - peak), 0, 1) if peak < end else np.zeros_like(s)
        rising = self._between(first, self.max_learning_rate, up)
        return np.where(s <= peak, rising, self._between(self.max_learning_rate, last, down))

    def _between(self, start, stop, share):
        if self.anneal_strategy == "linear":
            return start + (stop - start) * share
        return stop + (start - stop) / 2 * (1 + np.cos(np.pi * share))


@dataclass(frozen=True)
class Joined(CheckedSchedule):
    """Schedules one after the other, each of which counts from its own first step.

    Parameters
    ----------
    schedules : sequence of LearningRateSchedule
        The schedules; or dicts that `serialize` made of them.
    boundaries : sequence of float
        Increasing steps at which the second one begins, the third one, ...
    name : str, optional
        Kept for `get_config`.

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.PiecewiseLinear : Straight lines.

    Notes
    -----
    Optax's ``join_schedules`` is the same.

    Examples
    --------
    >>> import nbadam
    >>> from nbadam.schedules import CosineDecay, Joined, PiecewiseLinear
    >>> warmup = PiecewiseLinear([0, 100], [0.0, 0.1])
    >>> Joined([warmup, CosineDecay(0.1, 1000)], [100])([0, 50, 100, 600, 1100])
    array([0.  , 0.05, 0.1 , 0.05, 0.  ])
    """

    schedules: Sequence[LearningRateSchedule]
    boundaries: Sequence[float]
    name: str | None = None

    def __post_init__(self) -> None:
        """Check both sequences, together too."""
        super().__post_init__()
        check_pieces("schedules", self.schedules, self.boundaries)

    def _rates(self, s):
        which = np.searchsorted(self.boundaries, s, side="right")
        rates = np.empty_like(s)
        for k, (schedule, start) in enumerate(zip(self.schedules, (0.0, *self.boundaries), strict=True)):
            own = s[which == k] - start
            takes_arrays = isinstance(schedule, CheckedSchedule)
            rates[which == k] = schedule(own) if takes_arrays else [schedule(step) for step in own.tolist()]
        return rates

    def get_config(self) -> dict[str, Any]:
        """Keywords from which ``from_config`` makes an equal schedule.

        See Also
        --------
        nbadam.schedules.serialize : The same with the name of the class.

        Examples
        --------
        >>> from nbadam.schedules import CosineDecay, Joined, PiecewiseLinear
        >>> schedule = Joined([PiecewiseLinear([0, 100], [0.0, 0.1]), CosineDecay(0.1, 1000)], [100])
        >>> [part["class_name"] for part in schedule.get_config()["schedules"]]
        ['PiecewiseLinear', 'CosineDecay']
        """
        return super().get_config() | {"schedules": [serialize(schedule) for schedule in self.schedules]}
