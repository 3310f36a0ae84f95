"""Random orders of the data, which depend on a seed alone, and the forms of a seed."""

from functools import cache
from typing import Any

import numpy as np

from ._jit import array, compile_kernel
from .checks import shown


def seed_numbers(rng: Any) -> tuple[int, ...]:
    """Return the numbers of a seed in any of its forms: None, ints, a SeedSequence or a Generator."""
    if isinstance(rng, np.random.Generator):
        return tuple(int(k) for k in rng.integers(2**63, size=2))
    if isinstance(rng, np.random.SeedSequence):
        return tuple(int(k) for k in rng.generate_state(4))
    try:
        sequence = np.random.SeedSequence(rng)
    except (TypeError, ValueError):
        raise ValueError(
            f"`rng` must be None, a non-negative int, a SeedSequence or a Generator, not {shown(rng)}."
        ) from None
    return tuple(int(k) for k in np.atleast_1d(np.asarray(sequence.entropy, dtype=object)))


def order_of(seed: tuple[int, ...], epoch: int, n: int) -> np.ndarray:
    """Return a permutation of n rows; seed and epoch decide.

    It is made from plain uniform numbers, whose sequence NumPy never changes, and takes a third of
    the time of ``Generator.permutation``.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(epoch,))))
    order = np.arange(n)
    shuffle_kernel()(rng.random(n), order)
    return order


def shuffle(uniform: Any, order: Any) -> None:
    """Shuffle `order` in place with one uniform number in [0, 1) an element (Fisher and Yates)."""
    n = order.size
    for i in range(n):
        j = i + int(uniform[i] * (n - i))  # rounds to n at no uniform < 1
        order[i], order[j] = order[j], order[i]


@cache
def shuffle_kernel() -> Any:
    """Return `shuffle`, compiled."""
    return compile_kernel(shuffle, (array(), array(int)), name="shuffle", mode="serial")
