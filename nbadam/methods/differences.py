"""Gradients from values alone: finite differences, and simultaneous perturbation."""

from collections.abc import Callable
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np

from .calibration import FIRST
from .difference_steps import EPS, suited_steps
from .failures import Failures
from .noise import FAINT, FAINT_ROUNDING, ROUGH, UNNOTICED, line_from, noise_near, noise_of, rounding_of
from .perturbations import Perturbations

SCHEMES = ("2-point", "3-point", "noise", "spsa")

FACTS = "noise", "level", "is_random", "count", "highest", "is_due"
SMOOTH_BUDGET = 20  # evaluations, for each variable and two more, with which steps of smooth values are found
REACH = 10.0  # longest step for noisy values, relative to `size`: noise may hide every difference
LEAST_LEFT = 0.1  # least part of a noise that may be left when it is estimated again: chance, or a wave
GROWN = 100.0  # growth of a derivative at once, for which its step is found again
PERTURBATION = 0.01  # first perturbation relative to x_scale, where the value at x0 is not finite


class Differences:
    """Gradients by finite differences, at points that stay within the bounds.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "noise"}
        Forward differences, n evaluations a gradient, or central ones, 2 n evaluations.  With
        "noise" the steps of forward differences suit the noise of the values.
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
    size : ndarray of shape (n,), or None
        Perturbations to which noisy values respond, as far as is known.
    is_random : bool
        Whether two values at one point differ.
    level : float or None
        Noise for which the steps were chosen; None for rounding.
    count : int or None
        Gradients so far, where steps follow from their effect.
    highest : float
        Value where the first of these steps were found.
    is_due : bool
        Whether they are to be found again, at the next point that is no higher.
    steepest : ndarray of shape (n,), or None
        Largest size of each derivative since steps of smooth values were found.
    """

    scheme: str
    central: bool
    lower: Any
    upper: Any
    relative: Any
    absolute: Any
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
        self.noise: float | None = None
        self.size: np.ndarray | None = None
        self.is_random: Any = False
        self.level: float | None = None
        self.count: int | None = None
        self.highest = inf
        self.is_due = False
        self.steepest: np.ndarray | None = None
        self.failures = Failures()

    def notice(
        self,
        value: Callable[..., Any],
        x: np.ndarray,
        seed: tuple[int, ...],
        most: float = inf,
        faint: float | None = None,
    ) -> "Differences | Perturbations":
        """Return the gradient estimate that the values near `x` need: this one, if noise is faint.

        It is, if it is no more than `faint` of the response; by default that depends on the kind of noise.
        Smooth values whose budget, `most` evaluations, is small have default steps.
        Neither a constant added to the values nor the distance of `x` from 0 makes a difference.
        """
        f = self.failures.finite(value, x)
        if not isfinite(f):
            return self
        f, noise = self._look(value, x, f)
        value = self._steady(value)
        scale = self._unit(x)
        if not self.is_random and noise <= ROUGH * rounding_of(f):
            least = FAINT_ROUNDING if faint is None else faint
            changes = (self._change(value, x, f, FIRST * size) for size in (scale, np.maximum(scale, abs(x))))
            if not all(noise > least * change for change in changes):  # NaN, too: the step may be too long
                if most >= SMOOTH_BUDGET * (x.size + 2):
                    self._suit(value, x, f, noise)
                return self
        perturbations = Perturbations(self.lower, self.upper, scale, seed)
        change = perturbations.calibrate(value, x, f, noise, scale)
        if faint is None:
            faint = FAINT if self.is_random else FAINT_ROUNDING
        if noise > faint * change:
            return perturbations
        if self.is_random or noise > UNNOTICED * change:
            self.scheme, self.noise, self.level, self.size = "noise", noise, noise, perturbations.size
        self._suit(value, x, f, noise)
        return self

    def _look(self, value: Callable[..., Any], x: np.ndarray, f: float) -> tuple[float, float]:
        """Return the mean of two values at `x`, and their noise; note of which kind it is."""
        again = self.failures.finite(value, x)
        self.is_random = again != f
        if isfinite(again) and self.is_random:
            f = 0.5 * (f + again)
        steady = self._steady(value)
        return f, noise_near(steady, x, f, self._unit(x), self.lower, self.upper, self.is_random)

    def _steady(self, value: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, which is called again where random values are not finite."""
        return (lambda x: self.failures.finite(value, x)) if self.is_random else value

    def _change(self, value: Callable[..., Any], x: np.ndarray, f: float, size: np.ndarray) -> float:
        """Return the change of the value over a step of all variables."""
        return abs(value(np.clip(x + size, self.lower, self.upper)) - f)

    def _unit(self, x: np.ndarray) -> np.ndarray:
        """Return the units of the variables, as far as rounding leaves room for them."""
        return np.maximum(self.x_scale, sqrt(EPS) * np.abs(x))

    def value_and_gradient(self, value: Callable[..., Any], x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return `value` at `x`, and its gradient."""
        f = value(x)
        if self.scheme == "noise" and self.count is None and isfinite(f):
            _, self.noise = self._look(value, x, f)
            self.level = self.noise if self.is_random or self.noise > ROUGH * EPS * abs(f) else None
            self._suit(value, x, f, self.noise)
        return f, self.gradient(value, x, f)

    def gradient(self, value: Callable[..., Any], x: np.ndarray, f: float) -> np.ndarray:
        """Return the gradient of `value` at `x`, where it is `f`."""
        if not np.isfinite(x).all():
            return np.full_like(x, np.nan)
        g = np.zeros_like(x)
        if self.count is not None:
            self.count += 1
            # At powers of 4, or of 2: the curvature, or the noise, may not be that of the start.
            is_power = self.count > 1 and self.count & (self.count - 1) == 0
            self.is_due |= is_power and (self.level is not None or self.count.bit_length() % 2 == 1)
            # Steps of probes far off, where smooth values are higher, would be of no use for the run.
            if self.is_due and (self.level is not None or f <= self.highest):
                self.is_due = False
                self._suit(value, x, f, self._noise_now(value, x, f))
        steps = self._steps(x)
        for i in range(x.size):
            g[i] = self._derivative(value, x, i, f, steps[i])
        # The value may have depended less on a variable where its step was found: then that is too long now.
        if self.steepest is not None and self.level is None and f <= self.highest:
            grown = np.flatnonzero(np.abs(g) > GROWN * self.steepest)
            if grown.size:
                self._suit(value, x, f, EPS * abs(f), grown)
                steps = self._steps(x)
                g[grown] = [self._derivative(value, x, int(k), f, steps[k]) for k in grown]
            self.steepest = np.maximum(np.where(self.steepest < inf, self.steepest, 0.0), np.abs(g))
        return g

    def _derivative(self, value: Callable[..., Any], x: np.ndarray, i: int, f: float, step: float) -> float:
        """Return the derivative by one variable; 0 if it is fixed."""
        below, above = x[i] - self.lower[i], self.upper[i] - x[i]
        if max(below, above) <= 0:
            return 0.0
        if self.central and step <= min(below, above):
            low, high = self._moved(x, i, -step), self._moved(x, i, step)
            return (value(high) - value(low)) / (high[i] - low[i])
        if self.central and 2 * step <= max(below, above):
            return self._one_sided(value, x, i, f, step if above > below else -step)
        step = min(step, max(below, above))
        # Random values are differenced forward and backward in turn: the errors by curvature cancel.
        is_back = self.is_random and self.count is not None and self.count % 2 == 0
        is_down = step <= below if is_back else step > above
        point = self._moved(x, i, -step if is_down else step)
        beside = value(point)
        if isfinite(f) and not isfinite(beside) and step <= min(below, above):  # the domain may end here
            point = self._moved(x, i, step if is_down else -step)
            beside = value(point)
        return (beside - f) / (point[i] - x[i])

    def _noise_now(self, value: Callable[..., Any], x: np.ndarray, f: float) -> float:
        """Return the noise at a later point, over distances as long as the steps."""
        if self.level is None:
            return EPS * abs(f)
        if isfinite(f):
            found = noise_of(line_from(value, x, f, self.absolute, self.lower, self.upper)(1.0))
            self.level = self.level if found is None else max(found, LEAST_LEFT * self.level)
        return self.level

    def _suit(
        self,
        value: Callable[..., Any],
        x: np.ndarray,
        f: float,
        noise: float,
        which: np.ndarray | None = None,
    ) -> None:
        """Find the steps of some variables, or of all, for a noise.

        The search begins at the last steps, or at those to which noisy values respond.
        """
        if not isfinite(f):
            return
        if self.count is None:
            self.count, self.highest = 0, f
        if which is None:
            which, self.steepest = np.arange(x.size), np.full(x.size, inf)
        if self.size is None and self.level is not None:
            self.size = FIRST * self._unit(x)
        scale = np.broadcast_to(self.x_scale, x.shape)
        bounds = self.lower, self.upper
        known = self.size if self.absolute is None else self.absolute
        farthest = inf if self.size is None else REACH * self.size
        found = suited_steps(value, x, f, noise, bounds, scale, known, farthest, which)
        self.absolute = found if self.absolute is None else np.array(self.absolute)
        self.absolute[which] = found[which]

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

    def facts(self) -> dict[str, Any]:
        """Return all that has changed since the start, as JSON can hold it."""
        if self.count is None:
            return {}
        facts = {name: getattr(self, name) for name in FACTS} | {"is_random": bool(self.is_random)}
        size = None if self.size is None else self.size.tolist()
        steps = {"steps": np.asarray(self.absolute).tolist(), "steepest": np.asarray(self.steepest).tolist()}
        return facts | steps | {"size": size}

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        if facts:
            self.absolute, self.steepest = np.array(facts["steps"]), np.array(facts["steepest"])
            self.size = None if facts["size"] is None else np.array(facts["size"])
            for name in FACTS:
                setattr(self, name, facts[name])
