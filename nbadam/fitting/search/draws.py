"""Random starts: values of every role that a parameter may have beside the variables of the data."""

import numpy as np

# Roles with their shares: a position in x, a length, an inverse length, a plain number of any decade.
SHARES = np.cumsum([0.3, 0.25, 0.25, 0.2])
MARGIN = 0.1  # share of the range of x by which positions may lie outside
LENGTHS = -3.0, 1.0  # decades, in units of the range of x
LOWEST = -3.0  # decade of the least inverse length; half a period between points is the largest
PLAIN = -4.0, 4.0  # decades
FEWEST = 10  # points for which inverse lengths are drawn
POSITIVE = 0.75  # share of lengths and inverse lengths


def uniform_points(count: int, dimensions: int, seed: tuple[int, ...]) -> np.ndarray:
    """Return points of a Sobol sequence, shifted at random, shape (count, dimensions)."""
    from scipy.stats import qmc  # half a second

    if not dimensions:
        return np.zeros((count, 0))
    points = qmc.Sobol(dimensions, scramble=False).random(count)
    return (points + np.random.default_rng(seed).random(dimensions)) % 1


def spread(points: np.ndarray, x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Map uniform numbers to values of parameters.

    Parameters
    ----------
    points : ndarray, shape (count, n)
    x : ndarray, shape (n_variables, m)
        The variables of a data set.
    lower, upper : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (count, n)
    """
    low, span = _ranges(x)
    # The first digits choose among the variables, the next ones the role, the last ones the value.
    scaled = points * len(low)
    variable = np.minimum(scaled.astype(int), len(low) - 1)
    rest = scaled - variable
    role = np.searchsorted(SHARES, rest, side="right").clip(max=3)
    begins = np.concatenate([[0.0], SHARES[:-1]])
    value = (rest - begins[role]) / np.diff(SHARES, prepend=0)[role]
    position = low[variable] + span[variable] * ((1 + 2 * MARGIN) * value - MARGIN)
    signed = np.where(value < POSITIVE, value / POSITIVE, (1 - value) / (1 - POSITIVE))
    sign = np.where(value < POSITIVE, 1, -1)
    length = sign * 10 ** (LENGTHS[0] + (LENGTHS[1] - LENGTHS[0]) * signed)
    highest = np.log10(np.pi * max(x.shape[1], FEWEST))
    inverse = sign * 10 ** (LOWEST + (highest - LOWEST) * signed)
    plain = np.sign(value - 0.5) * 10 ** (PLAIN[0] + (PLAIN[1] - PLAIN[0]) * np.abs(2 * value - 1))
    lengths, inverses = length * span[variable], inverse / span[variable]
    drawn = np.select([role == 0, role == 1, role == 2], [position, lengths, inverses], plain)
    return between(drawn, value, lower, upper)


def _ranges(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not x.shape[1]:
        return np.zeros(len(x)), np.ones(len(x))
    low, span = x.min(axis=1), np.ptp(x, axis=1)
    size = np.where(low != 0, np.abs(low), 1)
    return low, np.where(span > 0, span, size)


def between(drawn: np.ndarray, value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Move drawn values into bounds: mirrored at one that is alone, else uniform between them."""
    low, high = np.isfinite(lower), np.isfinite(upper)
    with np.errstate(invalid="ignore"):
        inside = lower + value * (upper - lower)
    moved = np.where(low & high, inside, np.where(low, 2 * lower - drawn, 2 * upper - drawn))
    return np.where((drawn < lower) | (drawn > upper), moved, drawn)
