"""Grids of nonlinear parameters, from the points of a data set alone.

Each function takes `x`, ascending of shape (m,), or (n_variables, m), and returns one point of the grid
in a row.  They need no units: an x in other units makes a grid in other units.
"""

from typing import Any

import numpy as np


def pairs(rows: np.ndarray, *values: Any) -> np.ndarray:
    """Return all rows with each combination of further values."""
    for own in values:
        rows = np.concatenate([np.column_stack([rows, np.full(len(rows), value)]) for value in own])
    return rows


def extent(x: np.ndarray) -> tuple[float, float, float]:
    """Return lowest value, extent and typical distance of neighbours; 1 where all are equal."""
    span = np.ptp(x) or 1.0
    steps = np.diff(x)
    steps = steps[steps > 0]
    return float(x.min()), float(span), float(np.median(steps)) if steps.size else float(span)


def smallest_positive(x: np.ndarray) -> float:
    """Return the smallest number above 0, or 1."""
    return float(x[x > 0].min(initial=np.inf)) if (x > 0).any() else 1.0


def peaks(x: np.ndarray, spacing: float = 1.0) -> np.ndarray:
    """Return centers and standard deviations; the `spacing` of centers is in standard deviations."""
    low, span, step = extent(x)
    rows = []
    width = 0.7 * step
    while width <= max(0.5 * span, 0.7 * step):
        count = min(int(np.ceil(span / max(spacing * width, 0.5 * step))) + 1, 2 * x.size)
        rows.append(np.column_stack([np.linspace(low, low + span, count), np.full(count, width)]))
        width *= 1.7
    return np.concatenate(rows)


def half_widths(x: np.ndarray) -> np.ndarray:
    """Return centers and half widths at half maximum."""
    return peaks(x) * [1, 1.18]


def full_widths(x: np.ndarray) -> np.ndarray:
    """Return centers and full widths at half maximum."""
    return peaks(x) * [1, 2.35]


def two_widths(x: np.ndarray) -> np.ndarray:
    """Return centers and two equal widths, for Voigt's profile."""
    rows = peaks(x) * [1, 0.65]
    return np.column_stack([rows, rows[:, 1]])


def full_widths_and_shares(x: np.ndarray) -> np.ndarray:
    """Return centers, full widths at half maximum and shares of the Lorentzian."""
    return pairs(full_widths(x), (0.1, 0.5, 0.9))


def half_widths_and_asymmetries(x: np.ndarray) -> np.ndarray:
    """Return centers, half widths of both signs, and asymmetries."""
    rows = peaks(x, 0.4) * [1, 1.18]  # a center that is off looks like another asymmetry
    return pairs(np.concatenate([rows, rows * [1, -1]]), (0.05, 0.15, 0.3))


def full_widths_and_fano(x: np.ndarray) -> np.ndarray:
    """Return centers, full widths, and Fano's parameter."""
    return pairs(full_widths(x), (-6.0, -2.0, -1.0, -0.5, -0.2, 0.2, 0.5, 1.0, 2.0, 6.0))


def rates(x: np.ndarray) -> np.ndarray:
    """Return rates of decay, from a tenth over the whole extent to one within a step."""
    _, span, step = extent(x)
    return np.geomspace(0.1 / span, 3.0 / min(step, span / max(x.size - 1, 1)), 18)


def decays(x: np.ndarray) -> np.ndarray:
    """Return rates of decays and growths with the lowest x; no growth over more than e**5 in the extent."""
    low, span, _ = extent(x)
    every = np.concatenate([-np.geomspace(0.1 / span, 5.0 / span, 6)[::-1], rates(x)])
    return np.column_stack([every, np.full(every.size, low)])


def two_decays(x: np.ndarray) -> np.ndarray:
    """Return pairs of rates, the faster one first, with the lowest x."""
    every = rates(x)
    slow, fast = np.triu_indices(every.size, 1)
    return np.column_stack([every[fast], every[slow], np.full(fast.size, x.min())])


def times(x: np.ndarray) -> np.ndarray:
    """Return times of decay."""
    return 1 / rates(x)[::-1, None]


def two_times(x: np.ndarray) -> np.ndarray:
    """Return pairs of times of decay, the shorter one first."""
    every = 1 / rates(x)[::-1]
    short, long = np.triu_indices(every.size, 1)
    return np.column_stack([every[short], every[long]])


def two_rates(x: np.ndarray) -> np.ndarray:
    """Return pairs of rates of decay, the slower one first."""
    slow, fast = np.triu_indices(18, 1)
    return np.column_stack([rates(x)[slow], rates(x)[fast]])


def stretched(x: np.ndarray) -> np.ndarray:
    """Return times and exponents around 1."""
    return pairs(times(x), (0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0))


def scales_and_exponents(x: np.ndarray) -> np.ndarray:
    """Return values of x within the data and a little beyond, and exponents."""
    return pairs(positive(x), (0.5, 1.0, 1.7, 3.0, 6.0))


def scales_exponents_and_asymmetries(x: np.ndarray) -> np.ndarray:
    """Return values of x within the data, exponents, and asymmetries."""
    return pairs(positive(x), (0.5, 1.0, 1.7, 3.0, 6.0), (0.3, 1.0, 3.0))


def positive(x: np.ndarray) -> np.ndarray:
    """Return numbers from below the lowest positive x to above the highest, in a column."""
    low = smallest_positive(x)
    return np.geomspace(0.3 * low, 10 * max(x.max(), 2 * low), 24)[:, None]


def inverses(x: np.ndarray) -> np.ndarray:
    """Return 1 over numbers from below the lowest positive x to above the highest."""
    return 1 / positive(x)[::-1]


def positive_and_above(x: np.ndarray) -> np.ndarray:
    """Return pairs of positive numbers, from below the lowest positive x to above the highest."""
    return pairs(positive(x), positive(x)[::2, 0])


def positive_of_both(x: np.ndarray) -> np.ndarray:
    """Return pairs of numbers in the range of the first and of the second variable."""
    return pairs(positive(x[0])[::2], positive(x[1])[::2, 0])


def steps(x: np.ndarray) -> np.ndarray:
    """Return midpoints, and rates of both slow and steep steps."""
    low, span, step = extent(x)
    middles = np.linspace(low - 0.1 * span, low + 1.1 * span, 25)[:, None]
    return pairs(middles, np.geomspace(1.0 / span, 3.0 / step, 10))


def steps_and_asymmetries(x: np.ndarray) -> np.ndarray:
    """Return midpoints, rates and asymmetries."""
    return pairs(steps(x), (0.3, 1.0, 3.0))


def exponents(x: np.ndarray) -> np.ndarray:
    """Return exponents from -6 to 6, and the geometric mean of x, in which no power is out of range."""
    logarithms = np.log(x, where=x > 0, out=np.zeros(x.shape))
    every = np.arange(-6, 6.25, 0.25)
    return np.column_stack([every, np.full(every.size, np.exp(logarithms.mean()))])


def orders(x: np.ndarray) -> np.ndarray:
    """Return exponents above 0 as their inverses, Freundlich's n."""
    return np.geomspace(0.2, 10, 40)[:, None]


def exponents_and_cutoffs(x: np.ndarray) -> np.ndarray:
    """Return exponents and geometric means as `exponents` does, and cut-offs around the extent."""
    return pairs(exponents(x), np.geomspace(0.03, 10, 24) * x.max())


def frequencies(x: np.ndarray) -> np.ndarray:
    """Return angular frequencies up to that of which each half period has a point."""
    _, span, step = extent(x)
    count = int(np.clip(4.08 * span / min(step, span / max(x.size - 1, 1)), 8, 2048))
    return np.pi / (4 * span) * np.arange(1, count + 1)[:, None]


def damped(x: np.ndarray) -> np.ndarray:
    """Return angular frequencies, rates of damping, and the lowest x."""
    low, span, _ = extent(x)
    return pairs(frequencies(x)[1::2], np.array([0.3, 1.0, 3.0, 8.0, 20.0]) / span, (low,))


def activation_temperatures(x: np.ndarray) -> np.ndarray:
    """Return energies over the gas constant, of which the rate grows e**0.03 to e**60 fold, and a mean x."""
    low = smallest_positive(x)
    high = max(x.max(), 1.001 * low)
    every = np.geomspace(0.03, 60, 80) / (1 / low - 1 / high)
    return np.column_stack([every, np.full(every.size, np.sqrt(low * high))])


def temperatures(x: np.ndarray) -> np.ndarray:
    """Return temperatures of thermal spectra in x, by Wien's law, in K for x in micrometers."""
    return np.geomspace(2898 / (20 * max(x.max(), 1e-9)), 2898 / (0.1 * smallest_positive(x)), 60)[:, None]


def relaxation_times(x: np.ndarray) -> np.ndarray:
    """Return multiples of the second variable, a repetition time."""
    return np.geomspace(0.5, 2000, 40)[:, None] * smallest_positive(x[1])


def efficiencies(x: np.ndarray) -> np.ndarray:
    """Return times of relaxation, and efficiencies of an inversion."""
    return pairs(times(x), (0.6, 0.75, 0.85, 0.95, 1.0))


def exchange_rates(x: np.ndarray) -> np.ndarray:
    """Return rates of exchange in the extent of x."""
    return rates(x)[:, None]
