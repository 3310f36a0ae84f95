"""Candidates of the nonlinear parameters, for searches of the best start (`guesses.searched`)."""

from math import exp, inf, log, sqrt

import numpy as np

from .guesses import WIDTHS, geometric, numbered, plain, product, regression_2, smallest_positive, spacing

# --- Peaks ----------------------------------------------------------------------------------------


@plain
def peak_candidates(x, y):
    """Return centres where the data are highest and lowest, smoothed by two lengths, and widths."""
    _, span, step = spacing(x)
    places, count = np.zeros(4, np.int64), 0
    for k in range(2):
        reach = min(1 + 3 * k, max(0, (y.size - 1) // 4))
        highest, lowest = -inf, inf
        top = bottom = 0
        for i in range(y.size):
            first, last = max(0, i - reach), min(y.size, i + reach + 1)
            mean = 0.0
            for j in range(first, last):
                mean += y[j]
            mean /= last - first
            if mean > highest:
                highest, top = mean, i
            if mean < lowest:
                lowest, bottom = mean, i
        for place in (top, bottom):
            if not (places[:count] == place).any():
                places[count] = place
                count += 1
    numbers = np.empty(count * WIDTHS, np.int64)
    for k in range(numbers.size):
        numbers[k] = places[k // WIDTHS] * WIDTHS + k % WIDTHS
    return product(x[places[:count]], geometric(0.5 * step, 0.5 * span, WIDTHS)), numbers


@plain
def image_candidates(x, y):
    """Return centres at the brightest and the darkest pixel and amid the bright ones, and widths."""
    span, reach = np.empty(2), np.empty(2)
    for d in range(2):
        _, span[d], _ = spacing(x[d])
        reach[d] = span[d] / max(sqrt(y.size) - 1, 1)
    bright, dark = np.argmax(y), np.argmin(y)
    threshold = 0.5 * (y.max() + y.mean())
    middle = np.zeros(2)
    weight = 0.0
    for i in range(y.size):
        if y[i] >= threshold:
            weight += y[i] - threshold
            middle[0] += (y[i] - threshold) * x[0, i]
            middle[1] += (y[i] - threshold) * x[1, i]
    widths = np.array([0.5, 1.0, 2.0, 4.0])
    rows = np.empty((3 * widths.size**2, 4))
    k = 0
    for c in range(3):
        for a in widths:
            for b in widths:
                if c == 0 and weight > 0:
                    rows[k, 0], rows[k, 1] = middle[0] / weight, middle[1] / weight
                else:
                    rows[k, 0], rows[k, 1] = x[0, bright if c < 2 else dark], x[1, bright if c < 2 else dark]
                rows[k, 2], rows[k, 3] = min(a * reach[0], span[0]), min(b * reach[1], span[1])
                k += 1
    return rows, np.full(k, -1)


# --- Decays ---------------------------------------------------------------------------------------


@plain
def rates(x):
    """Return rates of decay from a tenth over the whole extent to one within a step."""
    _, span, step = spacing(x)
    return geometric(0.1 / span, 3.0 / step, 14)


@plain
def rate_candidates(x, y):
    """Return decays and growths; a growth over more than e**5 in the extent has no start of its own."""
    _, span, _ = spacing(x)
    falling, growing = rates(x), geometric(0.1 / span, 5.0 / span, 5)
    rows = np.empty((falling.size + growing.size, 2))
    for k in range(rows.shape[0]):
        rows[k, 0] = falling[k] if k < falling.size else -growing[k - falling.size]
        rows[k, 1] = x.min()
    return numbered(rows)


def two_rates(x, y, memory):
    """Guess two decays, the faster one first."""
    low, k = x.min(), rates(x)
    shapes = np.empty((k.size, y.size))
    for n in range(k.size):
        for i in range(y.size):
            shapes[n, i] = exp(-k[n] * (x[i] - low))
    found = np.array([0.0, k[1], 0.0, k[0], 0.0])
    least = inf
    for fast in range(1, k.size):
        for slow in range(fast):
            a, b, c, squares = regression_2(shapes[fast], shapes[slow], y)
            if squares < least:
                least = squares
                found[0], found[1] = a * exp(k[fast] * low), k[fast]
                found[2], found[3], found[4] = b * exp(k[slow] * low), k[slow], c
    return found


@plain
def stretched_candidates(x, y):
    """Return times, and exponents around 1."""
    _, span, step = spacing(x)
    return numbered(product(geometric(step, 3.0 * span, 10), np.array([0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0])))


# --- Curves that saturate, and powers ---------------------------------------------------------------


@plain
def dose_candidates(x, y):
    """Return half-way doses within the data, and slopes."""
    low = smallest_positive(x)
    doses = geometric(low, max(x.max(), 2 * low), 14)
    return numbered(product(doses, np.array([0.5, 1.0, 1.7, 3.0, 6.0])))


@plain
def michaelis_candidates(x, y):
    """Return constants from below the lowest concentration to above the highest."""
    low = smallest_positive(x)
    return numbered(geometric(0.3 * low, 10 * max(x.max(), 2 * low), 24).reshape(-1, 1))


@plain
def exponent_candidates(x, y):
    """Return exponents from -6 to 6, and the middle of the logarithms of x."""
    middle = 0.0
    for value in x:
        middle += log(value) if value > 0 else 0.0
    rows = np.empty((49, 2))
    for k in range(49):
        rows[k, 0], rows[k, 1] = -6 + 0.25 * k, exp(middle / x.size)
    return numbered(rows)
