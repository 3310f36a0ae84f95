"""Starts of fits, from the data alone.

The models that ship are linear in some parameters.  Given the others, which lie on a small grid that
depends on the data, their best values follow from a linear regression.  The guess is the point of
the grid with the least sum of squares.

Data sets that share their points share the shapes on the grid, too: they are computed once.
"""

from collections.abc import Callable
from math import atan2, exp, inf, log, pi, sqrt

import numpy as np

from .._jit import array, compile_kernel
from .._jitable import register_jitable
from ..fitting.model.projection import GuessOfAll
from ..vector_math import cos, sin

LANES = 8  # number of sums side by side
WIDTHS = 8  # number of widths that are tried at each center
KEPT = 1 << 20  # numbers in the shapes that are kept for the next data set
WHOLE = 8  # number of frequencies up to one period in the extent
PEAKS = 10  # peaks of the periodogram that are compared
_plain = register_jitable(error_model="numpy")


@_plain
def first_row(x):
    """Return the only variable."""
    return x[0]


@_plain
def all_rows(x):
    """Return all variables."""
    return x


class Guess(GuessOfAll):
    """A guess of the parameters from the data, compiled when first called.

    Parameters
    ----------
    kernel : function
        ``kernel(x, y, memory)`` of the points of one data set that take part, for Numba to compile.  A single
        variable comes in order, several are the rows of `x`.  For the `memory` see `searched`.
    n : int
        Numbers that it returns.
    variables : int
    """

    def __init__(self, kernel: Callable, n: int, variables: int = 1) -> None:
        self._function, self._n, self.variables = _plain(kernel), n, variables
        self._name = f"guess_{kernel.__name__}_{n}"
        self._kernel: Callable | None = None

    def of_all(self, x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Guess for each of many data sets: see `GuessOfAll`."""
        if self.variables == 1 and (x[..., 1:] < x[..., :-1]).any():
            order = np.argsort(x[:, 0], axis=1, kind="stable")
            x = np.take_along_axis(x, order[:, None], axis=2)
            order = np.broadcast_to(order, y.shape)
            y, used = np.take_along_axis(y, order, axis=1), np.take_along_axis(used, order, axis=1)
        found = np.full((len(y), self._n), np.nan)
        if self._kernel is None:
            self._kernel = self._compiled()
        with np.errstate(all="ignore"):  # matters where Numba is disabled
            self._kernel(*(np.ascontiguousarray(part) for part in (x, y, used)), found)
        return found

    def _compiled(self) -> Callable:
        function, variables = self._function, self.variables
        points = first_row if variables == 1 else all_rows

        def of_all(x, y, used, found):
            fits, m = y.shape
            rows = min(WIDTHS * m, KEPT // m) if fits > 1 else 0
            memory = np.zeros(rows + 1, np.bool_), np.empty((rows + 1, 2)), np.empty((rows + 1, m))
            kept, values = np.empty((variables, 0)), np.empty(m)
            is_shared = False
            for f in range(fits):
                count = 0
                for i in range(m):
                    if used[f, i]:
                        values[count] = y[f, i]
                        count += 1
                if count == 0:
                    continue
                is_known, is_shared = is_shared, x.shape[0] == 1 and count == m
                if not (is_known and is_shared):  # other points than those of the data set before
                    memory[0][:] = False
                    kept = np.empty((variables, count))
                    own = f if x.shape[0] > 1 else 0
                    at = 0
                    for i in range(m):
                        if used[f, i]:
                            for v in range(variables):
                                kept[v, at] = x[own, v, i]
                            at += 1
                guess = function(points(kept), values[:count], memory)
                for j in range(found.shape[1]):
                    found[f, j] = guess[j]

        stack, table, used = array(float, 3, True), array(float, 2, True), array(bool, 2, True)
        return compile_kernel(of_all, (stack, table, used, array(axes=2)), name=self._name, mode="nogil")


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
def numbered(rows):
    """Return rows that depend on x alone, and their numbers."""
    return rows, np.arange(rows.shape[0])


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
def dot(a, b, sums):
    """Return the scalar product, as `LANES` sums: each addition to one sum would wait for that before."""
    whole = a.size // LANES * LANES
    for lane in range(LANES):
        sums[lane] = 0.0
    for i in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += a[i + lane] * b[i + lane]
    total = 0.0
    for lane in range(LANES):
        total += sums[lane]
    for i in range(whole, a.size):
        total += a[i] * b[i]
    return total


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
    """Build a search of ``amplitude * shape(x, row) + offset`` over the rows that are candidates.

    It returns the amplitude, the best row and, if there is one, the offset.  ``candidates(x, y)`` returns the
    rows and their numbers: with the same x, rows of one number are equal, or it is negative.  The memory
    holds for each number whether its shape is known for the present x, and the shape itself.  Beside it are
    its mean and the sum of its squares about the mean (about 0 without an offset).  The last place is for
    the rows of negative numbers.
    """
    shape = register_jitable(error_model="numpy", forceinline=True)(shape)  # else its loop is no SIMD code
    candidates = _plain(candidates)
    at = number_at if variables == 1 else pair_at

    def search(x, y, memory):
        rows, numbers = candidates(x, y)
        known, moments, shapes = memory
        n, others = rows.shape[1], known.size - 1
        found = np.zeros(n + 2 if offset else n + 1)
        for j in range(n):
            found[1 + j] = rows[0, j]
        centre = y.mean() if offset else 0.0
        rest, sums = y - centre, np.empty(LANES)
        least = inf
        for k in range(rows.shape[0]):
            number = numbers[k] if 0 <= numbers[k] < others else others
            b = shapes[number, : y.size]
            if not known[number]:
                for i in range(y.size):
                    b[i] = shape(at(x, i), rows[k])
                mean = b.mean() if offset else 0.0
                square = dot(b, b, sums)
                bb = square - mean * mean * y.size
                moments[number, 0], moments[number, 1] = mean, bb if bb > 1e-13 * square else 0.0
                known[number] = number < others
            by, bb = dot(b, rest, sums), moments[number, 1]
            amplitude = by / bb if bb > 0 else 0.0
            if -amplitude * by < least:
                least = -amplitude * by
                found[0] = amplitude
                for j in range(n):  # an assignment of slices takes Numba seconds to compile
                    found[1 + j] = rows[k, j]
                if offset:
                    found[n + 1] = centre - amplitude * moments[number, 0]
        return found

    return _plain(search)


# --- Peaks ----------------------------------------------------------------------------------------


@_plain
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
    return rows, np.full(k, -1)


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


@_plain
def stretched_candidates(x, y):
    """Return times, and exponents around 1."""
    _, span, step = spacing(x)
    return numbered(product(geometric(step, 3.0 * span, 10), np.array([0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0])))


# --- Curves that saturate, and powers ---------------------------------------------------------------


@_plain
def dose_candidates(x, y):
    """Return half-way doses within the data, and slopes."""
    low = smallest_positive(x)
    doses = geometric(low, max(x.max(), 2 * low), 14)
    return numbered(product(doses, np.array([0.5, 1.0, 1.7, 3.0, 6.0])))


@_plain
def michaelis_candidates(x, y):
    """Return constants from below the lowest concentration to above the highest."""
    low = smallest_positive(x)
    return numbered(geometric(0.3 * low, 10 * max(x.max(), 2 * low), 24).reshape(-1, 1))


@_plain
def exponent_candidates(x, y):
    """Return exponents from -6 to 6, and the middle of the logarithms of x."""
    middle = 0.0
    for value in x:
        middle += log(value) if value > 0 else 0.0
    rows = np.empty((49, 2))
    for k in range(49):
        rows[k, 0], rows[k, 1] = -6 + 0.25 * k, exp(middle / x.size)
    return numbered(rows)


# --- Sine -----------------------------------------------------------------------------------------


@_plain
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


@_plain
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


@_plain
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
