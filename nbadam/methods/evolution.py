"""Evolution around the lowest point met, for values that are steps, such as counts.

Steps hide the slope, and a model does not tell which plateau is lowest.  An evolution strategy only compares
values.  The mean of the better half of a generation is the center of the next one, so steps average out.  The
covariances follow the moves that were successful.  This is CMA-ES without negative weights: N. Hansen,
"The CMA evolution strategy: a tutorial", arXiv:1604.00772, 2016.

Where half of a generation is on one plateau, it begins anew at the lowest point.  Its deviation is drawn,
between the first radius and a hundredth of it: N. Hansen, "Benchmarking a BI-population CMA-ES on the
BBOB-2009 function testbed", GECCO 2009.
"""

from math import log, sqrt
from typing import Any, NamedTuple

import numpy as np

from .. import _linalg as linalg

SHORTEST, LONGEST = 1e-3, 1e3  # deviations, relative to the one it began with, at which it begins anew
# Evaluations, relative to those up to the lowest value, after which a settled run ends: without a limit of
# evaluations, and with one, which tells that so many may be made.
GOES_ON, GOES_ON_TO_LIMIT = 3.0, 10.0
# Turns, all but one of which are the strategy's: if the model found the lowest value, and if it did itself.
TURNS, TURNS_OF_LEADER = 2, 4
LEAST_FALL = 1e-6  # smallest fall of the lowest value that counts, relative to all values seen
NUMBERS = (
    "evaluations",
    "found",
    "generation",
    "generations",
    "deviation",
    "first",
    "highest",
    "is_alone",
    "leads",
)
ARRAYS = "latest", "mean", "path", "path_of_length", "covariance"


class Lowest(NamedTuple):
    """The point evaluated that has the lowest value."""

    x: np.ndarray  # shape (n,), the user's variables
    value: float


class Evolution:
    """Generations of points around the lowest one.

    Parameters
    ----------
    seed : sequence of int
        Seed on which the points depend, with the number of their generation.

    Attributes
    ----------
    lowest : Lowest or None
        The first one of equals.
    latest : ndarray, shape (n,)
        The last point that is as low, by which generations cross plateaus.
    evaluations, found : int
        Number of values seen, and the same where the lowest value was seen first, but for falls that hardly
        count.
    highest : float
        Highest value seen.
    generation, generations : int
        Number of generations since it began anew, and in all.
    leads : bool
        Whether the strategy, not the model, found the lowest value.
    is_alone : bool
        Whether the run does nothing else any more.
    """

    def __init__(self, seed: Any) -> None:
        self.seed = seed
        self.lowest: Lowest | None = None
        self.evaluations = self.found = self.generation = self.generations = 0
        self.deviation = self.first = self.highest = 0.0
        self.is_alone = self.leads = False
        self.latest = self.mean = self.path = self.path_of_length = np.zeros(0)
        self.covariance = np.zeros((0, 0))

    def note(self, x: np.ndarray, value: float) -> None:
        """Take in a value."""
        self.evaluations += 1
        if not np.isfinite(value):
            return
        if self.lowest is None:
            self.lowest, self.highest, self.found = (
                Lowest(x.copy(), float(value)),
                float(value),
                self.evaluations,
            )
        self.highest = max(self.highest, float(value))
        fall = self.lowest.value - value
        if fall > 0:
            # Values with a few digits fall for ever, by ever less.
            self.found = self.evaluations if fall > LEAST_FALL * (self.highest - value) else self.found
            self.lowest = Lowest(x.copy(), float(value))
        if value == self.lowest.value:
            self.latest = x.copy()

    @linalg.apart_from_forks
    def ask(self, center: np.ndarray, radius: float, longest: float) -> np.ndarray:
        """Return the points of the next generation.

        Parameters
        ----------
        center : ndarray, shape (n,)
            Mean of the first generation after another one has met one plateau.
        radius, longest : float
            Distances over which values change now, and over which they changed at the start of the run.
        """
        n = center.size
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.generations, 1)))
        if self.generation == 0:
            part = longest * 10 ** (-2 * rng.uniform() ** 2) if self.generations else radius
            self.deviation = self.first = part / sqrt(n)
            self.mean, self.covariance = center.copy(), np.eye(n)
            self.path, self.path_of_length = np.zeros(n), np.zeros(n)
        variances, vectors = linalg.eigh(self.covariance)
        moves = rng.standard_normal((4 + int(3 * log(n)), n)) * np.sqrt(np.maximum(variances, 0.0))
        return self.mean + self.deviation * moves @ vectors.T

    @linalg.apart_from_forks
    def tell(self, points: np.ndarray, values: np.ndarray) -> None:
        """Take in the values of a generation, with the default parameters of the tutorial."""
        half, n = len(points) // 2, points.shape[1]
        order = np.argsort(values, kind="stable")
        weights = log(half + 0.5) - np.log(np.arange(1, half + 1))
        weights /= weights.sum()
        mass = 1 / float(weights @ weights)
        moves = (points[order[:half]] - self.mean) / self.deviation
        step = weights @ moves
        self.mean = self.mean + self.deviation * step
        variances, vectors = linalg.eigh(self.covariance)
        white = vectors @ (vectors.T @ step / np.sqrt(np.maximum(variances, np.finfo(float).tiny)))
        rate = (mass + 2) / (n + mass + 5)
        self.path_of_length = (1 - rate) * self.path_of_length + sqrt(rate * (2 - rate) * mass) * white
        self.generation += 1
        self.generations += 1
        length = float(np.linalg.norm(self.path_of_length)) / (sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n)))
        is_steady = length < (1.4 + 2 / (n + 1)) * sqrt(1 - (1 - rate) ** (2 * self.generation))
        damping = 1 + rate + 2 * max(0.0, sqrt((mass - 1) / (n + 1)) - 1)
        self.deviation *= float(np.exp(rate / damping * (length - 1)))
        rate = (4 + mass / n) / (n + 4 + 2 * mass / n)
        self.path = (1 - rate) * self.path + is_steady * sqrt(rate * (2 - rate) * mass) * step
        of_path = 2 / ((n + 1.3) ** 2 + mass)
        of_points = min(1 - of_path, 2 * (mass - 2 + 1 / mass) / ((n + 2) ** 2 + mass))
        self.covariance = (
            (1 - of_path - of_points) * self.covariance
            + of_path * np.outer(self.path, self.path)
            + of_points * (moves.T * weights) @ moves
        )
        is_level = not values[order[0]] < values[order[half]]
        if is_level or not SHORTEST < self.deviation / self.first < LONGEST:
            self.generation = 0

    def has_turn(self, number: int) -> bool:
        """Whether the turn of a number belongs to the strategy, not to the model that it takes turns with."""
        return self.is_alone or number % (TURNS_OF_LEADER if self.leads else TURNS) > 0

    def goes_on(self, is_limited: bool) -> bool:
        """Whether a run that has settled looks for lower points; it does nothing else from then on."""
        most = (GOES_ON_TO_LIMIT if is_limited else GOES_ON) * self.found
        self.is_alone = self.generations > 0 and self.evaluations < most
        return self.is_alone

    def facts(self) -> dict[str, Any]:
        """Return all that has changed since the start, as JSON can hold it."""
        lowest = None if self.lowest is None else [self.lowest.x.tolist(), self.lowest.value]
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        return {name: getattr(self, name) for name in NUMBERS} | arrays | {"lowest": lowest}

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        for name in NUMBERS:
            setattr(self, name, facts[name])
        for name in ARRAYS:
            setattr(self, name, np.array(facts[name], dtype=float))
        lowest = facts["lowest"]
        self.lowest = None if lowest is None else Lowest(np.array(lowest[0], dtype=float), lowest[1])
