"""The sequence of batches of a `Minibatch`, and a place in it."""

from typing import Any

import numpy as np

from ..shuffling import order_of


class Sampler:
    """A place in the sequence of batches of one `Minibatch`.

    Attributes
    ----------
    epoch, number : int
        The epoch, and how many of its batches were used.
    seed : tuple of int
        Seed of the orders.
    """

    epoch: Any
    number: Any

    def __init__(self, minibatch: Any) -> None:
        self.minibatch: Any = minibatch
        self.seed: tuple[Any, ...] = minibatch.seed
        self.epoch = self.number = 0
        self._order: tuple[int, np.ndarray] | None = None  # an epoch and its order

    @property
    def is_past_an_epoch(self) -> bool:
        """Whether all batches of an epoch were used."""
        return self.epoch > 0

    def batch(self) -> tuple[Any, ...]:
        """Return the rows of the batch that comes next."""
        first, last = self._span(self.number)
        return self.minibatch.rows(self._rows(first, last))

    def batches(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the next batches, one after the other, and where each begins and ends.

        Parameters
        ----------
        count : int
            How many; there may be fewer, so that the rows are no more than those of an epoch, or 100,000.

        Returns
        -------
        rows : ndarray of int64
        starts : ndarray of int64, shape (batches + 1,)
            Batch k has ``rows[starts[k]:starts[k + 1]]``.
        """
        epoch, number = self.epoch, self.number
        most = max(self.minibatch.n_samples, 100_000)
        parts, starts = [], [np.zeros(1, np.int64)]
        samples = 0
        while count and samples < most:
            size, batches = self.minibatch.size_of(self.epoch), self.minibatch._batches_in(self.epoch)
            taken = min(count, batches - self.number, max(1, (most - samples) // size))
            ends = np.arange(self.number, self.number + taken + 1) * size
            ends[-1] = min(ends[-1], self.minibatch.n_samples)
            parts.append(self._rows(ends[0], ends[-1]))
            starts.append(ends[1:] - ends[0] + samples)
            samples += int(ends[-1] - ends[0])
            count -= taken
            self.advance(taken)
        self.epoch, self.number = epoch, number
        return np.concatenate(parts), np.concatenate(starts)

    def facts(self) -> dict[str, Any]:
        """Return the place, and all settings on which its meaning depends, as JSON can hold it."""
        whole = self.minibatch
        return {
            "seed": list(self.seed),
            "epoch": self.epoch,
            "number": self.number,
            "n_samples": whole.n_samples,
            "batch_size": whole.size_of(self.epoch),
            "shuffle": whole.shuffle,
            "drop_last": whole.drop_last,
        }

    def restore(self, facts: dict[str, Any]) -> None:
        """Go to the place that `facts` returned, in the orders of its seed."""
        self.seed = tuple(facts["seed"])
        self.epoch, self.number = facts["epoch"], facts["number"]
        for name, here in self.facts().items():
            if facts[name] != here:
                raise ValueError(f"`state` belongs to a Minibatch with {name}={facts[name]}, not {here}.")

    def advance(self, batches: int) -> None:
        """Go on by so many batches."""
        self.number += batches
        while self.number >= (count := self.minibatch._batches_in(self.epoch)):
            self.number -= count
            self.epoch += 1

    def _span(self, number: int) -> tuple[int, int]:
        size = self.minibatch.size_of(self.epoch)
        return number * size, min((number + 1) * size, self.minibatch.n_samples)

    def _rows(self, first: int, last: int) -> np.ndarray:
        """Return the places from `first` to `last` of the order of the epoch."""
        if not self.minibatch.shuffle:
            return np.arange(first, last)
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, order_of(self.seed, self.epoch, self.minibatch.n_samples)
        return self._order[1][first:last]
