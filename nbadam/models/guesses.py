"""Starts of fits, from the data alone.

The models that ship are linear in some parameters.  Given the others, which lie on a small grid that
depends on the data, their best values follow from a linear regression.  The guess is the point of
the grid with the least sum of squares.
"""

from collections.abc import Callable
from functools import cache
from math import atan2, exp, inf, log, pi, sqrt

import numpy as np
from numba import types
from numba.extending import register_jitable

from .._jit import compile_kernel
from ..vector_math import cos, sin

_plain = register_jitable(error_model="numpy")


def guess_of(kernel: Callable, variables: int = 1) -> Callable:
    """Compile ``kernel(x, y)`` when it is first called, and give it arrays as it wants them, x in order."""
    double = types.float64
    x_type = types.Array(double, variables if variables == 1 else 2, "C", readonly=True)
    y_type, returned = types.Array(double, 1, "C", readonly=True), types.Array(double, 1, "C")

    @cache
    def compiled():
        return compile_kernel(kernel, returned(x_type, y_type), name=kernel.__name__, mode="nogil")

    def guess(x, y):
        if variables == 1 and (x[1:] < x[:-1]).any():
            order = np.argsort(x, kind="stable")
            x, y = x[order], y[order]
        return compiled()(np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.float64))

    return guess


@_plain
def geometric(first, last, count):
    """Return numbers from `first` to `last` with equal ratios."""
    numbers = np.empty(count)
    for k in range(count):
        numbers[k] = first * (last / first) ** (k / (count - 1))
    return numbers


@_plain
def product(a, b):
    """Return rows of all pairs."""
    rows = np.empty((a.size * b.size, 2))
    for k in range(a.size):
        for m in range(b.size):
            rows[k * b.size + m, 0], rows[k * b.size + m, 1] = a[k], b[m]
    return rows


@_plain
def spacing(x):
    """Return lowest value, extent and typical distance of neighbours."""
    low, high = x.min(), x.max()
    span = high - low if high > low else 1.0
    return low, span, span / max(x.size - 1, 1)


@_plain
def smallest_positive(x):
    """Return the smallest number above 0, or 1 if there is none."""
    low = inf
    for value in x:
        low = value if 0 < value < low else low
    return low if low < inf else 1.0


@_plain
def regression(b, y, offset):
    """Return best amplitude and offset (or 0) of ``amplitude * b + offset``, and sum of squares."""
    mean_b = b.mean() if offset else 0.0
    mean_y = y.mean() if offset else 0.0
    bb = by = yy = 0.0
    for i in range(y.size):
        db, dy = b[i] - mean_b, y[i] - mean_y
        bb += db * db
        by += db * dy
        yy += dy * dy
    amplitude = by / bb if bb > 0 else 0.0
    return amplitude, mean_y - amplitude * mean_b, yy - amplitude * by


@_plain
def regression_2(b, c, y):
    """Return the best amplitudes of two shapes and offset, and the sum of squares."""
    mean_b, mean_c, mean_y = b.mean(), c.mean(), y.mean()
    bb = bc = cc = by = cy = yy = 0.0
    for i in range(y.size):
        db, dc, dy = b[i] - mean_b, c[i] - mean_c, y[i] - mean_y
        bb += db * db
        bc += db * dc
        cc += dc * dc
        by += db * dy
        cy += dc * dy
        yy += dy * dy
    determinant = bb * cc - bc * bc
    if not determinant > 1e-12 * bb * cc:
        return 0.0, 0.0, mean_y, inf
    first = (by * cc - cy * bc) / determinant
    second = (cy * bb - by * bc) / determinant
    return first, second, mean_y - first * mean_b - second * mean_c, yy - first * by - second * cy


@_plain
def number_at(x, i):
    """Return x at point `i`."""
    return x[i]


@_plain
def pair_at(x, i):
    """Return both variables at point `i`."""
    return x[0, i], x[1, i]


def searched(shape: Callable, candidates: Callable, *, offset: bool = True, variables: int = 1) -> Callable:
    """Build a search of ``amplitude * shape(x, row) + offset`` over the rows of ``candidates(x, y)``.

    It returns the amplitude, the best row and, if there is one, the offset.
    """
    shape = register_jitable(error_model="numpy", forceinline=True)(shape)  # else its loop is no SIMD code
    candidates = _plain(candidates)
    at = number_at if variables == 1 else pair_at

    def search(x, y):
        rows = candidates(x, y)
        n = rows.shape[1]
        found = np.zeros(n + 2 if offset else n + 1)
        for j in range(n):
            found[1 + j] = rows[0, j]
        b = np.empty(y.size)
        least = inf
        for k in range(rows.shape[0]):
            for i in range(y.size):
                b[i] = shape(at(x, i), rows[k])
            amplitude, constant, squares = regression(b, y, offset)
            if squares < least:
                least = squares
                found[0] = amplitude
                for j in range(n):  # an assignment of slices takes Numba seconds to compile
                    found[1 + j] = rows[k, j]
                if offset:
                    found[n + 1] = constant
        return found

    return _plain(search)


# --- Peaks ----------------------------------------------------------------------------------------


@_plain
def peak_candidates(x, y):
    """Return centres where the data are highest and lowest, smoothed by two lengths, and widths."""
    low, span, step = spacing(x)
    centers = np.empty(4)
    for k in range(2):
        reach = min(1 + 3 * k, max(0, (y.size - 1) // 4))
        highest, lowest = -inf, inf
        centers[2 * k] = centers[2 * k + 1] = low
        for i in range(y.size):
            first, last = max(0, i - reach), min(y.size, i + reach + 1)
            mean = y[first:last].mean()
            if mean > highest:
                highest, centers[2 * k] = mean, x[i]
            if mean < lowest:
                lowest, centers[2 * k + 1] = mean, x[i]
    return product(centers, geometric(0.5 * step, 0.5 * span, 8))


@_plain
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
    return rows


# --- Decays ---------------------------------------------------------------------------------------


@_plain
def rates(x):
    """Return rates of decay from a tenth over the whole extent to one within a step."""
    _, span, step = spacing(x)
    return geometric(0.1 / span, 3.0 / step, 14)


@_plain
def rate_candidates(x, y):
    """Return decays and growths; a growth over more than e**5 in the extent has no start of its own."""
    _, span, _ = spacing(x)
    falling, growing = rates(x), geometric(0.1 / span, 5.0 / span, 5)
    rows = np.empty((falling.size + growing.size, 2))
    for k in range(rows.shape[0]):
        rows[k, 0] = falling[k] if k < falling.size else -growing[k - falling.size]
        rows[k, 1] = x.min()
    return rows


def two_rates(x, y):
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


@_plain
def stretched_candidates(x, y):
    """Return times, and exponents around 1."""
    _, span, step = spacing(x)
    return product(geometric(step, 3.0 * span, 10), np.array([0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0]))


# --- Curves that saturate, and powers ---------------------------------------------------------------


@_plain
def dose_candidates(x, y):
    """Return half-way doses within the data, and slopes."""
    return product(geometric(smallest_positive(x), max(x.max(), 2 * smallest_positive(x)), 14),
                   np.array([0.5, 1.0, 1.7, 3.0, 6.0]))  # fmt: skip


@_plain
def michaelis_candidates(x, y):
    """Return constants from below the lowest concentration to above the highest."""
    low = smallest_positive(x)
    return geometric(0.3 * low, 10 * max(x.max(), 2 * low), 24).reshape(-1, 1)


@_plain
def exponent_candidates(x, y):
    """Return exponents from -6 to 6, and the middle of the logarithms of x."""
    middle = 0.0
    for value in x:
        middle += log(value) if value > 0 else 0.0
    rows = np.empty((49, 2))
    for k in range(49):
        rows[k, 0], rows[k, 1] = -6 + 0.25 * k, exp(middle / x.size)
    return rows


# --- Sine -----------------------------------------------------------------------------------------


def sine_guess(x, y):
    """Guess from a periodogram: frequencies up to that of the typical distance of two points."""
    low, span, step = spacing(x)
    found = np.array([0.0, pi / span, 0.0, y.mean()])
    a, b = np.empty(y.size), np.empty(y.size)
    least = inf
    for k in range(1, 4 * y.size):
        frequency = k * pi / (4 * span)
        if frequency > 1.02 * pi / step:
            break
        for i in range(y.size):
            angle = frequency * (x[i] - low)
            a[i], b[i] = sin(angle), cos(angle)
        along_sin, along_cos, offset, squares = regression_2(a, b, y)
        if squares < least:
            least = squares
            phase = atan2(along_cos, along_sin) - frequency * low
            found[0], found[1] = sqrt(along_sin**2 + along_cos**2), frequency
            found[2], found[3] = phase - 2 * pi * round(phase / (2 * pi)), offset
    return found
