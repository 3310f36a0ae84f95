"""State and step: the one engine behind optimizer objects and SciPy methods."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from ._threads import parallel_is_safe
from .kernels import dense_kernel, sum_squares_kernel
from .lazy import lazy
from .rules import Rule

WIDTH = 16  # arrays served by one call of a wide kernel
# Elements from which on a step runs in parallel.  Two threads gain from 2e4 to 3e4 elements on (1.3
# times in float32 and 1.7 times in float64 at 65,536), but the parallel kernel takes half a second
# longer to compile and 15 ms longer to load.
PARALLEL_SIZE = 1 << 16


class State:
    """State of one rule from step to step, for up to `WIDTH` arrays that step together.

    Parameters
    ----------
    rule : Rule
        The algorithm.
    xs : sequence of ndarray
        One array, or up to `WIDTH` arrays of one dtype (float32 or float64), each 1-D and
        C-contiguous.  They are stepped in place and must not overlap.

    Attributes
    ----------
    slots : dict of str to ndarray
        One flat array per slot of the rule, in which the parts of all the `xs` follow each other.
    starts : ndarray of int64, shape (width,)
        Offsets of the parts of the arrays in each slot.
    columns : tuple of ndarray
        The values of `slots`.
    width : int
        Number of arrays that a kernel call takes: 1, or `WIDTH` for more, the rest of them empty.
    padding : tuple of ndarray
        The empty arrays that fill a call up.
    largest : int
        Size of the largest array.
    """

    def __init__(self, rule: Rule, xs: Sequence[np.ndarray]) -> None:
        dtype = xs[0].dtype
        sizes = [x.size for x in xs]
        self.rule = rule
        self.largest: int = max(sizes)
        self.width = 1 if len(xs) == 1 else WIDTH
        self._empty = np.empty(0, dtype)
        self.padding: tuple[np.ndarray, ...] = (self._empty,) * (self.width - len(xs))
        self._dtype = dtype.name
        self.xs: tuple[np.ndarray, ...] = tuple(xs)
        self.starts: np.ndarray = np.zeros(self.width, np.int64)
        self.starts[1 : len(xs)] = np.cumsum(sizes[:-1])
        self.slots: dict[str, np.ndarray] = {
            name: aligned_zeros(sum(sizes), dtype, k) for k, name in enumerate(rule.slots)
        }
        self.columns: tuple[np.ndarray, ...] = tuple(self.slots.values())

    def step(
        self, gs: Any, t: float, hyper: tuple[float, ...], *, clip: Any = inf, scales: Any, decays: Any
    ) -> None:
        """Make step number `t`, in place.

        Parameters
        ----------
        gs : tuple of ndarray or None
            One gradient for each array, of its dtype and size, 1-D and C-contiguous.  None leaves
            the array and its part of the slots as they are.
        t : float
            Number of the step, from 1.
        hyper : tuple of float
            The hyperparameters, in the order of ``rule.hyperparameters``.
        clip : float
            Gradients are clipped to ``[-clip, clip]`` first.
        scales, decays : ndarray of float64, shape (width,)
            Factor of each array's clipped gradient, and fraction of itself that each array loses
            before the update.
        """
        if self.largest < PARALLEL_SIZE:
            kernel = self.serial
        else:
            kernel = dense_kernel(self.rule, self._dtype, self.width, mode(self.largest))
        xs = self.xs
        if self.width > 1:
            xs = tuple(self._empty if g is None else x for x, g in zip(xs, gs, strict=True)) + self.padding
            gs = self._filled(gs)
        kernel(gs, xs, self.columns, self.starts, t, hyper, clip, scales, decays)

    @lazy
    def serial(self) -> Any:
        """The kernel for arrays of less than `PARALLEL_SIZE` elements."""
        return dense_kernel(self.rule, self._dtype, self.width, "serial")  # looking it up costs 0.4 us

    def sum_squares(self, gs: Any, clip: float = inf) -> np.ndarray:
        """Sum of the squares of each array's gradient, clipped by value first; shape (width,)."""
        sums = np.empty(self.width)
        sum_squares_kernel(self._dtype, self.width, mode(self.largest))(self._filled(gs), clip, sums)
        return sums

    def _filled(self, gs: Any) -> Any:
        """Put empty arrays in place of absent gradients, and of the arrays that the kernel has room for."""
        return tuple(self._empty if g is None else g for g in gs) + self.padding


def mode(size: int, parallel_from: int = PARALLEL_SIZE) -> str:
    """Mode in which a kernel that handles `size` elements runs here and now."""
    if size < parallel_from:
        return "serial"
    return "parallel" if parallel_is_safe() else "nogil"


def aligned_zeros(size: int, dtype: np.dtype, stagger: int) -> np.ndarray:
    """Zeros on a cache-line boundary, each slot some lines further into its page.

    Large NumPy arrays all sit 16 bytes into a page, where loads and stores of the same offset
    conflict: aligned and staggered, Adam's moments gain 1.1 to 1.5 times in cache.
    """
    line = 64
    raw = np.zeros(size * dtype.itemsize + 8192, np.uint8)
    first = (5 * line * (stagger + 1) - raw.ctypes.data) % 4096
    return raw[first : first + size * dtype.itemsize].view(dtype)
