"""The start of a sine: the highest peaks of a periodogram, compared by regression."""

from math import atan2, inf, pi, sqrt

import numpy as np

from ..vector_math import cos, sin
from .guesses import plain, regression_2, spacing

WHOLE = 8  # number of frequencies up to one period in the extent
PEAKS = 10  # peaks of the periodogram that are compared


@plain
def transform(re, im):
    """Fourier transform in place of a power of 2 of numbers (Cooley and Tukey)."""
    n = re.size
    j = 0
    for i in range(1, n):  # in the order of reversed bits
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            re[i], re[j] = re[j], re[i]
            im[i], im[j] = im[j], im[i]
    length = 2
    while length <= n:
        half = length // 2
        for k in range(half):
            angle = -2 * pi * k / length
            c, s = cos(angle), sin(angle)
            for i in range(k, n, length):
                a, b = re[i + half] * c - im[i + half] * s, re[i + half] * s + im[i + half] * c
                re[i + half], im[i + half] = re[i] - a, im[i] - b
                re[i] += a
                im[i] += b
        length *= 2


@plain
def powers(x, y, count):
    """Return the periodogram for multiples of an eighth of the frequency of the extent.

    Points between those of a grid are shared between its neighbours.
    """
    low, span, _ = spacing(x)
    size = 8
    while size < 4 * (count + 1):  # at the highest frequency a period has four grid points
        size *= 2
    re, im = np.zeros(size + 1), np.zeros(size)
    mean = y.mean()
    for i in range(y.size):
        place = (x[i] - low) / span * (size / 8)
        k = int(place)
        re[k] += (1 - (place - k)) * (y[i] - mean)
        re[k + 1] += (place - k) * (y[i] - mean)
    transform(re[:size], im)
    found = np.zeros(count + 2)
    for k in range(count + 1):
        found[k] = re[k] * re[k] + im[k] * im[k]
    return found


@plain
def with_frequency(x, y, frequency, found, least):
    """Put the best sine of a frequency into `found` if its sum of squares is less; return the least."""
    low = x.min()
    a, b = np.empty(y.size), np.empty(y.size)
    for i in range(y.size):
        angle = frequency * (x[i] - low)
        a[i], b[i] = sin(angle), cos(angle)
    along_sin, along_cos, offset, squares = regression_2(a, b, y)
    if not squares < least:
        return least
    phase = atan2(along_cos, along_sin) - frequency * low
    found[0], found[1] = sqrt(along_sin**2 + along_cos**2), frequency
    found[2], found[3] = phase - 2 * pi * round(phase / (2 * pi)), offset
    return squares


def sine_guess(x, y, memory):
    """Guess from a periodogram: frequencies up to that of the typical distance of two points.

    Its time grows as ``m * log(m)``: only frequencies of less than a period, and those around the
    highest powers, are compared by regression.
    """
    _, span, step = spacing(x)
    found = np.array([0.0, pi / span, 0.0, y.mean()])
    unit, count = pi / (4 * span), min(4 * y.size - 1, int(4.08 * span / step))
    power = powers(x, y, count)
    least = inf
    for k in range(1, min(count, WHOLE) + 1):
        least = with_frequency(x, y, k * unit, found, least)
    for _ in range(PEAKS):
        best = 0
        for k in range(WHOLE + 1, count + 1):
            is_peak = power[k] >= power[k - 1] and power[k] >= power[k + 1]
            if is_peak and (best == 0 or power[k] > power[best]):
                best = k
        if best == 0 or not power[best] > 0:
            break
        for k in range(best - 1, min(best + 1, count) + 1):
            least = with_frequency(x, y, k * unit, found, least)
        power[best] = -1.0
    return found
