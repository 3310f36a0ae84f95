"""Starts of fits, from the data alone.

The models that ship are linear in some parameters.  Given the others, which lie on a small grid that
depends on the data, their best values follow from a linear regression.  The guess is the point of
the grid with the least sum of squares.

Data sets that share their points share the shapes on the grid, too: they are computed once.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from .._jit import array, compile_kernel
from .._jitable import register_jitable
from ..fitting.model.projection import GuessOfAll

LANES = 8  # number of sums side by side
WIDTHS = 8  # number of widths that are tried at each center
KEPT = 1 << 20  # numbers in the shapes that are kept for the next data set
plain = register_jitable(error_model="numpy")


@plain
def first_row(x):
    """Return the only variable."""
    return x[0]


@plain
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

    def __init__(self, kernel: Callable[..., Any], n: int, variables: int = 1) -> None:
        self._function, self._n, self.variables = plain(kernel), n, variables
        self._name = f"guess_{kernel.__name__}_{n}"
        self._kernel: Callable[..., Any] | None = None

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

    def _compiled(self) -> Callable[..., Any]:
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


@plain
def geometric(first, last, count):
    """Return numbers from `first` to `last` with equal ratios."""
    numbers = np.empty(count)
    for k in range(count):
        numbers[k] = first * (last / first) ** (k / (count - 1))
    return numbers


@plain
def product(a, b):
    """Return rows of all pairs."""
    rows = np.empty((a.size * b.size, 2))
    for k in range(a.size):
        for m in range(b.size):
            rows[k * b.size + m, 0], rows[k * b.size + m, 1] = a[k], b[m]
    return rows


@plain
def numbered(rows):
    """Return rows that depend on x alone, and their numbers."""
    return rows, np.arange(rows.shape[0])


@plain
def spacing(x):
    """Return lowest value, extent and typical distance of neighbours."""
    low, high = x.min(), x.max()
    span = high - low if high > low else 1.0
    return low, span, span / max(x.size - 1, 1)


@plain
def smallest_positive(x):
    """Return the smallest number above 0, or 1 if there is none."""
    low = inf
    for value in x:
        low = value if 0 < value < low else low
    return low if low < inf else 1.0


@plain
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


@plain
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


@plain
def number_at(x, i):
    """Return x at point `i`."""
    return x[i]


@plain
def pair_at(x, i):
    """Return both variables at point `i`."""
    return x[0, i], x[1, i]


def searched(
    shape: Callable[..., Any], candidates: Callable[..., Any], *, offset: bool = True, variables: int = 1
) -> Callable[..., Any]:
    """Build a search of ``amplitude * shape(x, row) + offset`` over the rows that are candidates.

    It returns the amplitude, the best row and, if there is one, the offset.  ``candidates(x, y)`` returns the
    rows and their numbers: with the same x, rows of one number are equal, or it is negative.  The memory
    holds for each number whether its shape is known for the present x, and the shape itself.  Beside it are
    its mean and the sum of its squares about the mean (about 0 without an offset).  The last place is for
    the rows of negative numbers.
    """
    shape = register_jitable(error_model="numpy", forceinline=True)(shape)  # else its loop is no SIMD code
    candidates = plain(candidates)
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

    return plain(search)
