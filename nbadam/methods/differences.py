"""Gradients from values alone: finite differences, and simultaneous perturbation."""

from collections.abc import Callable
from math import isfinite, sqrt
from typing import Any

import numpy as np

from .difference_steps import BEST, EPS, smooth_steps
from .noise import FAINT, FAINT_ROUNDING, noise_near
from .perturbations import Perturbations

SCHEMES = ("2-point", "3-point", "noise", "spsa")

DOMINANT = 100.0  # a second difference of so many times the noise shows the curvature
VISIBLE = 100.0  # an ordinary difference of so many times the noise is a good one
PERTURBATION = 0.01  # first perturbation relative to x_scale, where the value at x0 is not finite


class Differences:
    """Gradients by finite differences, at points that stay within the bounds.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "noise"}
        Forward differences, n evaluations a gradient, or central ones, 2 n evaluations.  With
        "noise" the steps of forward differences are chosen once, for the noise at the first point.
    lower, upper : ndarray, shape (n,)
        Bounds.  Where the step of the scheme would leave them, it is turned around.
    relative, absolute : None, float or array of shape (n,)
        Step relative to ``max(x_scale, abs(x))`` (by default the root, or the cube root, of the rounding
        error of double precision), or absolute, which wins.
    x_scale : float or ndarray of shape (n,)
        Unit of each variable, which "noise" looks at, and steps by their effect.

    Attributes
    ----------
    noise : float or None
        Standard deviation of the noise of a value, estimated by the scheme "noise".
    is_random : bool
        Whether `notice` found that two values at one point differ.
    count : int or None
        Gradients so far, where `notice` found smooth values: steps then follow from their effect.
    """

    scheme: str
    central: bool
    lower: Any
    upper: Any
    relative: Any
    absolute: np.ndarray
    x_scale: float

    value_is_estimate = False

    def __init__(
        self,
        scheme: str,
        lower: Any,
        upper: Any,
        relative: Any = None,
        absolute: Any = None,
        x_scale: Any = 1.0,
    ) -> None:
        self.scheme, self.central = scheme, scheme == "3-point"
        self.lower, self.upper = lower, upper
        self.relative, self.absolute, self.x_scale = relative, absolute, x_scale
        self.is_adapted: bool = scheme != "noise"
        self.noise: float | None = None
        self.is_random: Any = False
        self.count: int | None = None

    def notice(
        self, value: Callable[..., Any], x: np.ndarray, seed: tuple[int, ...]
    ) -> "Differences | Perturbations":
        """Return the gradient estimate that the values near `x` need: this one, if they are smooth."""
        f = value(x)
        if not isfinite(f):
            return self
        again = value(x)
        self.is_random = again != f
        noise = 0.0
        if not self.is_random:
            change = abs(value(np.clip(x + self._steps(x), self.lower, self.upper)) - f)
            noise = self._noise(value, x, f)
            if not change <= VISIBLE * noise:  # or NaN: the step may be too long
                if self.relative is None and self.absolute is None:
                    self.count = 0
                    self._suit(value, x, f, noise)
                return self
        else:
            f = 0.5 * (f + again)
            noise = self._noise(value, x, f)
        scale = np.broadcast_to(self.x_scale, x.shape)
        perturbations = Perturbations(self.lower, self.upper, scale, seed)
        change = perturbations.calibrate(value, x, f, noise, scale)
        if noise > (FAINT if self.is_random else FAINT_ROUNDING) * change:
            return perturbations
        self.scheme, self.is_adapted = "noise", True
        self.noise, self.absolute = self._adapted(value, x, f, noise)
        return self

    def _noise(self, value: Callable[..., Any], x: np.ndarray, f: float) -> float:
        unit = np.broadcast_to(self.x_scale, x.shape)
        return noise_near(value, x, f, unit, self.lower, self.upper, self.is_random)

    def value_and_gradient(self, value: Callable[..., Any], x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return `value` at `x`, and its gradient."""
        f = value(x)
        if not self.is_adapted and isfinite(f):
            self.noise, self.absolute = self._adapted(value, x, f, self._noise(value, x, f))
            self.is_adapted = True
        return f, self.gradient(value, x, f)

    def gradient(self, value: Callable[..., Any], x: np.ndarray, f: float) -> np.ndarray:
        """Return the gradient of `value` at `x`, where it is `f`."""
        if not np.isfinite(x).all():
            return np.full_like(x, np.nan)
        g = np.zeros_like(x)
        if self.count is not None:
            self.count += 1
            # At every power of 4: the curvature may not be that of the start.
            if self.count > 1 and self.count & (self.count - 1) == 0 and self.count.bit_length() % 2:
                self._suit(value, x, f, EPS * abs(f))
        for i, step in enumerate(self._steps(x)):
            below, above = x[i] - self.lower[i], self.upper[i] - x[i]
            if self.central and step <= min(below, above):
                low, high = self._moved(x, i, -step), self._moved(x, i, step)
                g[i] = (value(high) - value(low)) / (high[i] - low[i])
            elif self.central and 2 * step <= max(below, above):
                g[i] = self._one_sided(value, x, i, f, step if above > below else -step)
            elif max(below, above) > 0:  # a fixed variable has no gradient
                step = min(step, max(below, above))
                point = self._moved(x, i, step if step <= above else -step)
                g[i] = (value(point) - f) / (point[i] - x[i])
        return g

    def _suit(self, value: Callable[..., Any], x: np.ndarray, f: float, noise: float) -> None:
        if isfinite(f):
            scale = np.broadcast_to(self.x_scale, x.shape)
            bounds = self.lower, self.upper
            self.absolute = smooth_steps(value, x, f, noise, bounds, scale, self.absolute)

    def is_blind(self, value: Callable[..., Any], x: np.ndarray, f: float) -> bool:
        """Whether a step of all variables leaves the value exactly as it is."""
        return value(np.clip(x + self._steps(x), self.lower, self.upper)) == f

    @property
    def evaluations(self) -> int:
        """Evaluations that a gradient costs, with the value."""
        return 1 + self.lower.size * (2 if self.central else 1)

    def _steps(self, x: np.ndarray) -> np.ndarray:
        if self.count is not None:
            return np.maximum(self.absolute, 4 * np.spacing(np.abs(x)))
        if self.absolute is not None:
            return np.broadcast_to(self.absolute, x.shape)
        default = EPS ** (1 / 3 if self.central else 1 / 2)
        return (default if self.relative is None else self.relative) * np.maximum(self.x_scale, np.abs(x))

    def _one_sided(self, value: Callable[..., Any], x: np.ndarray, i: int, f: float, step: float) -> float:
        """Second-order difference from three points on one side."""
        near, far = self._moved(x, i, step), self._moved(x, i, 2 * step)
        return (4 * value(near) - 3 * f - value(far)) / (far[i] - x[i])

    def _moved(self, x: np.ndarray, i: int, step: float) -> np.ndarray:
        point = x.copy()
        point[i] = min(max(x[i] + step, self.lower[i]), self.upper[i])
        return point

    def _adapted(
        self, value: Callable[..., Any], x: np.ndarray, f: float, noise: float
    ) -> tuple[float, np.ndarray]:
        """Return the noise of a value near `x`, and the step that suits it for each variable.

        The error of a forward difference is about ``2 noise / step`` and ``curvature * step / 2``: the
        step is ``8**(1/4) * sqrt(noise / curvature)`` (Moré and Wild 2012, ACM TOMS 38, no. 3).
        """
        unit = np.maximum(self.x_scale, np.abs(x))
        trial = unit * min(1.0, (noise / max(abs(f), noise)) ** 0.25)
        steps = np.zeros_like(x)
        for i in range(x.size):
            room = max(x[i] - self.lower[i], self.upper[i] - x[i])
            if room > 0:
                curvature = self._curvature(value, x, i, f, noise, trial[i], unit[i])
                step = trial[i] if curvature is None else BEST * sqrt(noise / curvature)
                while step < min(unit[i], room) and value(self._inward(x, i, step)) == f:
                    step *= 10.0  # a step of the output, for example after rounding, is longer
                steps[i] = min(step, room)
        return noise, steps

    def _inward(self, x: np.ndarray, i: int, step: float) -> np.ndarray:
        return self._moved(x, i, step if step <= self.upper[i] - x[i] else -step)

    def _curvature(
        self,
        value: Callable[..., Any],
        x: np.ndarray,
        i: int,
        f: float,
        noise: float,
        step: float,
        largest: float,
    ) -> float | None:
        """Return the second derivative by variable `i`, or None where the noise drowns every difference."""
        while True:
            low, high = self._moved(x, i, -step), self._moved(x, i, step)
            if not low[i] < x[i] < high[i]:  # at a bound: three points on one side
                low, high = x.copy(), self._moved(x, i, step if high[i] > x[i] else -step)
            middle = x.copy()
            middle[i] = 0.5 * (low[i] + high[i])
            second = value(high) - 2 * (f if middle[i] == x[i] else value(middle)) + value(low)
            width = 0.5 * (high[i] - low[i])
            if abs(second) >= DOMINANT * noise:
                curvature = abs(second) / width**2
                return float(curvature) if isfinite(curvature) else None
            if not step < largest:
                return None
            step = min(10 * step, largest)

    def facts(self) -> dict[str, Any]:
        """Return all that has changed since the start, as JSON can hold it."""
        if self.noise is None and self.count is None:
            return {}
        steps = np.asarray(self.absolute).tolist()
        facts = {"noise": self.noise, "steps": steps, "is_random": bool(self.is_random)}
        return facts | {"count": self.count}

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        if facts:
            self.noise, self.absolute, self.is_adapted = facts["noise"], np.array(facts["steps"]), True
            self.is_random, self.count = facts["is_random"], facts["count"]
