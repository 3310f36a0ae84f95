"""Steps by noisy values alone: to the minimum of a quadratic that is fitted to the values around.

An iteration evaluates pairs of points opposite to each other, in random orthogonal directions around the
center.  A quadratic is fitted to all values nearby, old and new, so that noise averages out.  The next center
is the minimum of the quadratic within a trust radius.  The radius follows two questions.  Does the fit with
the new values confirm the fall that the fit before promised?  And do residuals exceed the noise?  If they do,
the function is no quadratic so far out, and the radius shrinks.  Otherwise it grows, because noise matters
less over a longer way, unless noise grows with the value.  The noise is known from second evaluations of
single points.

In a narrow valley a sphere that fits between its walls is too small for the slope along it to stand above the
noise.  So the trust region becomes an ellipsoid, in which the fitted curvatures differ less.

Far out, a flat or a wavy function misleads the fit.  So the best center is remembered.  Where a later one
seems worse, a fit to all values around the best one, those of today, has to confirm that.  Then the run goes
back with half of the radius.  Values that are not random, such as rounded ones, have no standard error; the
lowest one is no luck, so it is remembered itself.  Centers are evaluated once the roughness hides the
promised falls.  It does not average out as noise does: the trust region stays a sphere, and shrinks where
terms beyond a quadratic are clear.  Of values that are steps, too, a model does not find the lowest plateau:
an evolution strategy around the lowest point takes turns with it, and goes on alone at the end.

For other methods of this kind see C. Cartis, J. Fiala, B. Marteau and L. Roberts, "Improving the flexibility
and robustness of model-based derivative-free optimization solvers", ACM TOMS 45, 2019.
"""

from collections.abc import Callable
from dataclasses import asdict
from math import hypot, sqrt
from typing import Any, NamedTuple

import numpy as np

from .. import _linalg as linalg
from .evolution import Evolution, Lowest
from .failures import Failures
from .noise import step_of_output
from .perturbations import Perturbations
from .regression import LARGEST_FULL, Fit, fit_quadratic, rounded_axes, step_within

LARGEST = 100  # variables; beyond, two evaluations a step (SPSA) cost less arithmetic
FAINT_FOR_MODEL = 1e-9  # noise, relative to the response, below which a quadratic of all terms is not needed
# Least number of pairs of points in an iteration, and variables for each pair.
LEAST_PAIRS, EVERY = 2, 4
SPREAD = 0.5, 1.5  # squared distances of the points from the center, in radii
REACH = 3.0  # radii beyond which values do not count
# Number of values that a fit counts: the least one, the largest one, and the number of multiplications that
# their inner products may cost in between.
LEAST_VALUES, MOST_VALUES, MULTIPLICATIONS = 200, 5000, 2e7
HIGHEST = 10.0  # largest excess of a value over the median, relative to the median's over the least
MISFIT = 1.5  # residuals, in standard deviations of the noise, that the noise does not explain
MEMORY = 0.15  # weight of a second evaluation in the variance of the noise
GROW, WIDEN, SHRINK, FAIL, SHORTEN = 1.4, 1.1, 0.75, 0.5, 0.8  # factors of the radius
SMALLEST = 1e-9  # radius, relative to the first one
LOUD = 10.0  # noise a radius away, relative to the one at the center, beyond which a longer way tells less
CLEAR = 0.1  # least promise, relative to rounding, whose failure counts
CONFIRMED, DOUBTED = 0.5, 0.25  # parts of a promised fall
WALL = 0.05  # part of the values nearby that are not finite where the domain ends
WORSE = 2.5  # rise above the best center, in standard errors, that ends the way there
NEAR = 10  # iterations in a row whose promises roughness hides, from which on an evolution takes turns
NUMBERS = "radius", "first", "variance", "promised", "is_short", "near"


class Best(NamedTuple):
    """The center whose value is least, at the most."""

    center: np.ndarray  # shape (n,)
    value: float
    error: float
    radius: float  # when it was found


def _is_worse(fit: Fit, best: Best) -> bool:
    """Return whether a center is worse than the best one, by more than chance."""
    return fit.value - best.value > WORSE * hypot(fit.error, best.error)


class QuadraticModel(Perturbations):
    """Steps to the minimum of a quadratic that is fitted to the values around.

    Parameters
    ----------
    lower, upper : ndarray, shape (n,)
        Bounds, which points stay within.
    unit : ndarray, shape (n,)
        Units of the variables.
    seed : sequence of int
        Seed on which the directions depend, with their number.
    is_random : bool
        Whether two evaluations at one point may differ.

    Attributes
    ----------
    proposal : ndarray of shape (n,), or None
        The next center, after an evaluation at this one.
    evolution : Evolution
        Points around the lowest one, of values that are steps.
    near : int
        Number of iterations in a row in which roughness has hidden the promised fall.
    """

    scheme = "quadratic"

    def __init__(self, lower: Any, upper: Any, unit: np.ndarray, seed: Any, is_random: bool = True) -> None:
        super().__init__(lower, upper, np.ones_like(unit), seed)
        self.free = lower < upper
        self.unit, self.is_random = unit[self.free], is_random
        n = self.unit.size
        self.low, self.high = lower[self.free] / self.unit, upper[self.free] / self.unit
        self.pairs = max(LEAST_PAIRS, n // EVERY)
        self.evaluations = 2 * self.pairs + 1
        terms = (n + 1) * (n + 2) // 2 if n <= LARGEST_FULL else 2 * n
        affordable = min(MOST_VALUES, int(MULTIPLICATIONS / terms**2))
        self.most = max(LEAST_VALUES, 3 * terms if n <= LARGEST_FULL else 4 * terms, affordable)
        self.points, self.values = np.zeros((0, n)), np.zeros(0)
        self.axes = np.eye(n)  # of the trust region, which is an ellipsoid of points ``radius * axes @ s``
        self.radius = self.first = self.variance = self.promised = 0.0
        self.failures = Failures()
        self.is_short = False  # whether the radius cut the last step
        self.before: np.ndarray | None = None  # center
        self.best: Best | None = None
        self.evolution = Evolution(seed)
        self.near = 0
        self.proposal: np.ndarray | None = None

    def begin(
        self,
        points: list[Any],
        values: list[Any],
        size: np.ndarray,
        noise: float,
        inside: np.ndarray | None = None,
    ) -> None:
        """Take in known values, the size of perturbations that suits them, and their noise.

        The first iteration is around the point `inside` in place of the start, if that is given.
        """
        self.inside = inside
        for point, known in zip(points, values, strict=True):
            self.evolution.note(point, known)
        self.take_in(np.array(points)[:, self.free] / self.unit, np.array(values))
        self.size, self.noise = size, noise
        if not self.is_random:
            noise = max(noise, step_of_output(np.array(values)) / sqrt(12))
        self.variance = noise**2
        self.radius = self.first = float(np.linalg.norm(size[self.free] / self.unit))

    def take_in(self, points: np.ndarray, values: np.ndarray) -> None:
        """Remember values; the oldest ones are forgotten."""
        self.points = np.concatenate([self.points, points])[-2 * self.most :]
        self.values = np.concatenate([self.values, values])[-2 * self.most :]

    @property
    def lowest(self) -> Lowest | None:
        """The point evaluated that has the lowest value; None if values are random."""
        return None if self.is_random else self.evolution.lowest

    def gradient_at(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient at a point of a quadratic that is fitted to the values known around it."""
        gradient = np.zeros_like(x)
        fit = self._fit(x[self.free] / self.unit, self.radius)
        if fit is not None:
            gradient[self.free] = self._to_s(fit.slope, self.radius) / self.unit
        return gradient

    def value_and_gradient(self, value: Callable[..., Any], x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both as the quadratic has them, after new evaluations around `x`; propose the next point."""
        start = center = x[self.free] / self.unit
        if self.before is None and self.inside is not None:
            center = self.inside[self.free] / self.unit
        evolves = self._evolves()
        if evolves:
            self._evolve(value, x)
        else:
            self._evaluate(value, x, center)
        fit = self._fit(center, self.radius)
        gradient = np.zeros_like(x)
        if fit is None:
            return np.nan, gradient
        here = fit.value + (0.0 if center is start else fit.change(self._to_s(start - center, self.radius)))
        slope = self._to_s(fit.slope, self.radius)
        gradient[self.free] = slope / self.unit
        self.proposal = x.copy()
        if evolves:
            return here, gradient
        if not self.is_random:
            self._learn_noise(fit)
        best = self.best
        if best is not None and _is_worse(fit, best):
            again = self._fit(best.center, best.radius)
            if again is not None:
                best = self.best = best._replace(value=again.value, error=again.error)
        if best is not None and _is_worse(fit, best):
            center = best.center
            self.radius *= FAIL
            fit = self._fit(center, self.radius) or fit
            best = None  # what is known of it has changed
        elif self.before is not None:
            back = self._to_s(self.before - center, self.radius)
            rise = fit.change(back)  # the fall over the last step, as it looks now
            is_clear = self.is_random or self.promised > CLEAR * sqrt(self.variance)
            if rise < 0:
                center = self.before
                self.radius *= FAIL if is_clear else 1.0
            elif rise < DOUBTED * self.promised:
                self.radius *= SHORTEN if is_clear else 1.0
            elif rise > CONFIRMED * self.promised and self.is_short:
                self.radius *= GROW
            fit = self._fit(center, self.radius) or fit
        if self.is_random and (best is None or fit.value + fit.error < best.value + best.error):
            self.best = Best(center, fit.value, fit.error, self.radius)
        step, self.is_short = step_within(fit)
        self.promised = -fit.change(step)
        self.before = center
        moved = np.clip(center + self.radius * self.axes @ step, self.low, self.high) * self.unit
        self.proposal[self.free] = np.clip(moved, self.lower[self.free], self.upper[self.free])
        if not self.is_short:
            self.radius *= self._growth(fit)
        self.radius = min(max(self.radius, SMALLEST * self.first), self.first / SMALLEST)
        if self.is_random:
            self.axes = rounded_axes(self.axes, fit.curvature)
        return here, gradient

    def _to_s(self, moves: np.ndarray, radius: float) -> np.ndarray:
        """Return moves from the center as the fit has them; slopes are brought back in the same way."""
        return linalg.solve(self.axes, moves) / radius

    def _learn_noise(self, fit: Fit) -> None:
        """Take the residuals for the noise: values may be less rough than at the start."""
        steps = step_of_output(self.values) / sqrt(12)
        found = max(min(fit.deviation, self.noise or 0.0), steps)
        self.variance += MEMORY * (found**2 - self.variance)

    def _growth(self, fit: Fit) -> float:
        """Return the factor of the radius after a step that it did not cut short."""
        if fit.misfit > MISFIT * sqrt(self.variance):
            return SHRINK
        if self.is_random and fit.loudness > LOUD:
            return SHORTEN
        return FAIL if fit.is_bent and not self.is_random else WIDEN

    def _evaluate(self, value: Callable[..., Any], x: np.ndarray, center: np.ndarray) -> None:
        """Evaluate new points around the center, and the lowest of them again, or the center itself."""
        n, found = self.unit.size, self.evolution.found
        points, values = [], []

        def at(point: Any) -> Any:
            points.append(point)
            values.append(self._value(value, x, point))
            return values[-1]

        block, directions = -1, np.zeros((0, n))
        for k in range(self.count, self.count + self.pairs):
            if k // n != block:
                block = k // n
                rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(block,)))
                directions = linalg.qr(rng.standard_normal((n, n)))[0].T
                directions *= np.sqrt(rng.uniform(*SPREAD, n))[:, None]
            move = self.radius * self.axes @ directions[k % n]
            for point in (center + move, center - move):
                at(np.clip(point, self.low, self.high))
        if self.is_random and self.before is not None and np.isfinite(values).any():
            k = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
            again = at(points[k])
            if np.isfinite(again):
                self.variance += MEMORY * (0.5 * (again - values[k]) ** 2 - self.variance)
        # Near the minimum, points a radius away are higher than roughness makes the center.
        is_near = not self.is_random and self.promised <= sqrt(self.variance)
        if is_near and not (self.points == center).all(axis=1).any():
            at(center)
        self.near = self.near + 1 if is_near else 0
        self.evolution.leads &= self.evolution.found == found
        self.count += self.pairs
        self.take_in(np.array(points), np.array(values))

    def _value(self, value: Callable[..., Any], x: np.ndarray, point: np.ndarray) -> float:
        """Return the value at a point, in units; fixed variables are those of `x`."""
        there = x.copy()
        there[self.free] = np.clip(point * self.unit, self.lower[self.free], self.upper[self.free])
        f = self.failures.finite(value, there) if self.is_random else value(there)
        self.evolution.note(there, f)
        return f

    def _evolves(self) -> bool:
        """Whether it is the turn of the evolution strategy."""
        is_begun = self.evolution.is_alone or (self.near >= NEAR and step_of_output(self.values) > 0)
        return is_begun and self.evolution.has_turn(self.near)

    def _evolve(self, value: Callable[..., Any], x: np.ndarray) -> None:
        """Evaluate a generation; the model does not take it in: its points are not spread around a center."""
        found, self.near = self.evolution.found, self.near + 1
        latest = self.evolution.latest[self.free] / self.unit
        points = np.clip(self.evolution.ask(latest, self.radius, self.first), self.low, self.high)
        self.evolution.tell(points, np.array([self._value(value, x, point) for point in points]))
        self.evolution.leads |= self.evolution.found > found

    def _fit(self, center: np.ndarray, radius: float) -> Fit | None:
        """Fit the values near a center; None if none of them is finite."""
        s = self._to_s((self.points - center).T, radius).T
        near = np.flatnonzero((s * s).sum(axis=1) < REACH**2)[-self.most :]
        values = self.values[near]
        finite = values[np.isfinite(values)]
        if not finite.size:
            return None
        middle = float(np.median(finite))
        highest = middle + HIGHEST * (middle - float(finite.min()))
        return fit_quadratic(s[near], np.where(values < highest, values, highest))

    def is_walled_in(self, x: np.ndarray) -> bool:
        """Whether the domain ends around a point before values change by more than noise."""
        s = self._to_s((self.points - x[self.free] / self.unit).T, self.radius).T
        near = self.values[(s * s).sum(axis=1) < REACH**2]
        finite = near[np.isfinite(near)]
        is_cut = finite.size < (1 - WALL) * near.size
        return bool(is_cut and (finite.size < 2 or finite.std(ddof=1) <= MISFIT * sqrt(self.variance)))

    def facts(self) -> dict[str, Any]:
        """Return all that has changed since the start, as JSON can hold it."""
        numbers = {name: getattr(self, name) for name in NUMBERS}
        arrays = {name: getattr(self, name) for name in ("points", "values", "axes", "before", "proposal")}
        listed = {name: None if array is None else array.tolist() for name, array in arrays.items()}
        best = None if self.best is None else [self.best.center.tolist(), *self.best[1:]]
        known = {"is_random": self.is_random, "best": best, "evolution": self.evolution.facts()}
        return super().facts() | numbers | asdict(self.failures) | listed | known

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        super().restore(facts)
        for name in (*NUMBERS, "is_random"):
            setattr(self, name, facts[name])
        self.failures = Failures(facts["failed"], facts["recovered"])
        for name in ("points", "values", "axes", "before", "proposal"):
            setattr(self, name, None if facts[name] is None else np.array(facts[name], dtype=float))
        self.points = self.points.reshape(-1, self.unit.size)
        best = facts["best"]
        self.best = None if best is None else Best(np.array(best[0], dtype=float), *best[1:])
        self.evolution.restore(facts["evolution"])
