"""Schedules along a cosine wave."""

from dataclasses import dataclass

import numpy as np

from .schedule import CheckedSchedule


@dataclass(frozen=True)
class CosineDecay(CheckedSchedule):
    """Half a cosine wave down, after a linear warm-up if a target is given.

    Parameters
    ----------
    initial_learning_rate : float
        Learning rate of the first step: the top of the wave, or the start of the warm-up.
    decay_steps : float
        Length of the half wave.
    alpha : float, default 0
        Learning rate at its end, as a fraction of the top.
    name : str, optional
        Kept for `get_config`.
    warmup_target : float, optional
        Top of the wave, to which the learning rate first goes in `warmup_steps` steps.  None is no
        warm-up, whatever `warmup_steps` is.
    warmup_steps : float, default 0
        Length of the warm-up, which comes before the `decay_steps` steps.

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

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
class CosineDecayRestarts(CheckedSchedule):
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

    See Also
    --------
    nbadam.schedules.plot : A picture of it.
    nbadam.schedules.Joined : One schedule after another.

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
