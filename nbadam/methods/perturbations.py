"""Gradients of noisy values by simultaneous perturbations."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from .calibration import FACTOR, FIRST, INWARD, LOW, RESPONSE, SHORTENED, SURE, calibrate
from .domain import open_side
from .noise import noise_near

DECAY = 0.101  # exponent of a perturbation's decrease in the number of gradients (Spall 1998)


class Perturbations:
    """Gradients from two values, whatever the number of variables: simultaneous perturbation (SPSA).

    All variables move at once by ``size / k**0.101`` up or down at random, and the other way.  This is for
    the k-th gradient, with k rounded down to a power of 4, and within the bounds.  The value at the point is
    the mean of the two.  The signs of successive gradients are orthogonal: rows of a Hadamard matrix, in
    random order with random columns and signs.

    Parameters
    ----------
    lower, upper : ndarray, shape (n,)
        Bounds.
    size : ndarray, shape (n,)
        First perturbation of each variable.
    seed : sequence of int
        Seed on which the signs depend, with the number of the gradient.
    noise : float, optional
        Standard deviation of a value, where it was noticed.

    Attributes
    ----------
    is_hidden : bool
        Whether noise hides the response at the size that the end of the domain leaves.
    inside : ndarray of shape (n,), or None
        Point away from the end of the domain to which the size belongs, if it is not the start.

    References
    ----------
    .. [1] J. C. Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient
       approximation", IEEE Transactions on Automatic Control 37, 1992
    .. [2] J. C. Spall, "Implementation of the simultaneous perturbation algorithm for stochastic
       optimization", IEEE Transactions on Aerospace and Electronic Systems 34, 1998
    """

    lower: Any
    upper: Any
    size: np.ndarray
    seed: tuple[Any, ...]
    noise: Any

    scheme = "spsa"
    value_is_estimate = True
    evaluations = 2  # a gradient

    def __init__(
        self, lower: Any, upper: Any, size: np.ndarray, seed: Any, noise: float | None = None
    ) -> None:
        self.lower, self.upper, self.size, self.seed, self.noise = lower, upper, size, seed, noise
        self.count: int = 0
        self.is_hidden = False
        self.inside: np.ndarray | None = None
        self._order: tuple[Any, ...] | None = None  # order of the signs: block, rows, columns, flips

    def notice(self, value: Callable[..., Any], x: np.ndarray, x_scale: np.ndarray) -> None:
        """Find the size that suits the values near `x`."""
        f = value(x)
        if isfinite(f):
            self.calibrate(value, x, f, noise_near(value, x, f, x_scale, self.lower, self.upper), x_scale)

    def calibrate(
        self, value: Callable[..., Any], x: np.ndarray, f: float, noise: float, x_scale: np.ndarray
    ) -> float:
        """Find the size for values of a known noise; return the change by it.

        Where the domain ends so near that noise may hide the response, take the size and the response around
        a point inside.
        """
        box, highest = (self.lower, self.upper), LOW * noise
        size, change, is_cut = calibrate(value, x, f, noise, x_scale, *box, self.seed)
        step, side = max(FIRST, FACTOR * size), None
        if is_cut and not change > SURE * noise:  # NaN, too
            while side is None and step > size:
                side = open_side(value, x, step * x_scale, *box)
                step *= SHORTENED
        if side is not None:
            size, change, _ = calibrate(value, x, f, highest, x_scale, *box, self.seed, side)
            self.inside = np.clip(x + INWARD * size * x_scale * side, *box)
        self.is_hidden = is_cut and not change > RESPONSE * highest
        self.size, self.noise = size * x_scale, noise
        return change

    def value_and_gradient(self, value: Callable[..., Any], x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the estimates of `value` and its gradient at `x`."""
        signs = self._signs(x.size)
        self.count += 1
        # In steps, so that values over `patience` do not fall because the perturbation does.
        number = 4 ** ((self.count.bit_length() - 1) // 2)
        move = self.size / number**DECAY * signs
        ahead = np.clip(x + move, self.lower, self.upper)
        behind = np.clip(x - move, self.lower, self.upper)
        f_ahead, f_behind = value(ahead), value(behind)
        if isfinite(f_ahead) != isfinite(f_behind):  # the domain may end here: one side will do
            f = value(x)
            if isfinite(f_ahead):
                behind, f_behind = x, f
            else:
                ahead, f_ahead = x, f
        width = ahead - behind  # 0 for a fixed variable, which has no gradient
        gradient = np.divide(f_ahead - f_behind, width, out=np.zeros_like(x), where=width != 0)
        return 0.5 * (f_ahead + f_behind), gradient

    def _signs(self, n: int) -> np.ndarray:
        """Return the signs of the next gradient: entries of a row of a Hadamard matrix, in random order."""
        period = 1 << (n - 1).bit_length()
        block, k = divmod(self.count, period)
        if self._order is None or self._order[0] != block:
            rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(block,)))
            rows, columns = rng.permutation(period), rng.permutation(period)[:n]
            self._order = block, rows, columns, rng.choice([-1.0, 1.0], n)
        _, rows, columns, flips = self._order
        common = rows[k] & columns
        for shift in (32, 16, 8, 4, 2, 1):  # parity of the bits
            common = common ^ (common >> shift)
        return flips * (1 - 2 * (common & 1))

    def facts(self) -> dict[str, Any]:
        """Return all that has changed since the start, as JSON can hold it."""
        facts = {"seed": list(self.seed), "count": self.count, "size": np.asarray(self.size).tolist()}
        return facts | {"noise": self.noise, "is_hidden": self.is_hidden}

    def restore(self, facts: dict[str, Any]) -> None:
        """Bring it to where it was when `facts` was called."""
        self.seed, self.count = tuple(facts["seed"]), facts["count"]
        self.size, self.noise, self._order = np.array(facts["size"]), facts["noise"], None
        self.is_hidden = facts["is_hidden"]
