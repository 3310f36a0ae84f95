"""Objectives that see a part of the data at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import shown
from ..hyperparameters import flag, integer
from ..shuffling import seed_numbers
from .evaluator import writes_gradient
from .returned import as_gradient, as_value, checked_pair
from .sampler import Sampler
from .samples import as_arrays, copy_rows, n_bytes

CHUNK_BYTES = 1 << 24  # memory of the data that `full` passes to one call


class Minibatch:
    """An objective evaluated on one batch of the data after the other, for ``minimize(..., jac=True)``.

    Each call ``objective(x)`` returns value and gradient on the next batch.  Every sample is seen once an
    epoch, in an order that depends on the seed alone: not on threads, platform or NumPy's version.  Any
    method of ``minimize`` takes it.  The methods of nbadam begin with the first batch at each run and know
    the option `epochs`.  They run the whole loop in compiled code where `fun` is compiled by Numba.

    Parameters
    ----------
    fun : callable
        ``fun(x, *batch) -> (float, array of shape (n,))``: mean of the value over the samples of the batch,
        and its gradient.  `batch` has the rows of each array of `data`.  If Numba compiled it,
        ``fun(x, gradient, *batch) -> float``, which writes the gradient, will do.
    data : array, or tuple or list of arrays, each of shape (n_samples, ...)
        NumPy arrays, memory maps of files, or scipy.sparse matrices in CSR format.  `fun` gets copies, one
        batch at a time, and may overwrite them.
    batch_size : int or callable
        Samples in a batch.  A callable is given the number of the epoch (0, 1, ...) and returns the size of
        its batches.  It must return the same number at every call.
    shuffle : bool, default True
        Whether each epoch has an order of its own; otherwise all have that of the data.
    rng : None, int, array_like of ints, numpy.random.SeedSequence or numpy.random.Generator
        Seed of the orders.  A generator is drawn from once; None takes a new seed from the system.
    drop_last : bool, default False
        Whether the last batch of an epoch is left out where it would be smaller than the others.

    Raises
    ------
    ValueError
        If an argument is invalid, or the arrays differ in length.

    See Also
    --------
    nbadam.adam : A method that minimizes it.

    Examples
    --------
    Least squares on 10,000 samples, 100 at a time:

    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> import nbadam
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((10_000, 3))
    >>> b = a @ [1, 2, 3] + 0.1 * rng.standard_normal(10_000)
    >>> def loss(x, a, b):
    ...     residuals = a @ x - b
    ...     return residuals @ residuals / b.size, 2 * residuals @ a / b.size
    >>> objective = nbadam.Minibatch(loss, (a, b), batch_size=100, rng=0)
    >>> result = minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 20})
    >>> result.x.round(2)
    array([1., 2., 3.])
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        data: Any,
        *,
        batch_size: int | Callable[[int], Any],
        shuffle: bool = True,
        rng: Any = None,
        drop_last: bool = False,
    ) -> None:
        if not callable(fun):
            raise ValueError(f"`fun` must be callable, not {shown(fun)}.")
        self.fun: Callable[..., Any] = fun
        self.data: tuple[Any, ...] = as_arrays(data)
        self.n_samples: int = self.data[0].shape[0]
        self.batch_size: int | Callable[[int], Any] = (
            batch_size if callable(batch_size) else integer(1)("batch_size", batch_size)
        )
        self.shuffle: bool = flag("shuffle", shuffle)
        self.drop_last: bool = flag("drop_last", drop_last)
        self.seed: tuple[int, ...] = seed_numbers(rng)
        self.size_of(0)
        self._sampler = Sampler(self)

    def __call__(self, x: ArrayLike, *args: Any) -> tuple[float, np.ndarray]:
        """Evaluate the next batch.

        Parameters
        ----------
        x : ndarray, shape (n,)
            Where.
        *args
            Further arguments of `fun`, after the batch.

        Returns
        -------
        f : float
            Mean value over the batch.
        g : ndarray, shape (n,)
            Its gradient.
        """
        returned = self.evaluate(np.array(x, dtype=float), self._sampler.batch(), args)
        self._sampler.advance(1)
        return returned

    def full(self, x: ArrayLike, *args: Any) -> tuple[float, np.ndarray]:
        """Evaluate all the data, a chunk after the other.

        Parameters
        ----------
        x : ndarray, shape (n,)
            Where.
        *args
            Further arguments of `fun`, after the batch.

        Returns
        -------
        f : float
            Mean value over all samples: chunks count as many times as they have samples.
        g : ndarray, shape (n,)
            Its gradient.

        Raises
        ------
        TypeError
            If `fun` does not return value and gradient.

        See Also
        --------
        evaluate : The function on one batch.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def loss(x, y):
        ...     return np.mean((x - y) ** 2), 2 * np.mean(x - y, keepdims=True)
        >>> batches = nbadam.Minibatch(loss, np.arange(10.0), batch_size=4, rng=0)
        >>> value, gradient = batches.full([4.5])
        >>> round(value, 6), gradient
        (8.25, array([0.]))
        """
        x = np.asarray(x, dtype=float)
        value, gradient = 0.0, np.zeros_like(x)
        for start in range(0, self.n_samples, self.chunk):
            part = self.rows(slice(start, start + self.chunk))
            f, g = checked_pair(self.evaluate(x.copy(), part, args))
            share = part[0].shape[0] / self.n_samples
            value += share * as_value(f)
            gradient += share * as_gradient(g, x.size)
        return value, gradient

    def steps(self, epochs: int) -> int:
        """Return the number of batches in so many epochs.

        See Also
        --------
        size_of : Samples of a batch.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def loss(x, y):
        ...     return np.mean((x - y) ** 2), 2 * np.mean(x - y, keepdims=True)
        >>> batches = nbadam.Minibatch(loss, np.arange(10.0), batch_size=4, rng=0)
        >>> batches.steps(epochs=2)
        6
        """
        if not callable(self.batch_size):
            return epochs * self._batches_in(0)
        return sum(self._batches_in(epoch) for epoch in range(epochs))

    @property
    def is_whole(self) -> bool:
        """Whether each batch has all the data."""
        return not callable(self.batch_size) and self.batch_size >= self.n_samples

    def buffers(self, size: int) -> tuple[np.ndarray, ...]:
        """Return arrays that have room for a batch of so many samples.

        See Also
        --------
        rows : The samples themselves.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def loss(x, y):
        ...     return np.mean((x - y) ** 2), 2 * np.mean(x - y, keepdims=True)
        >>> batches = nbadam.Minibatch(loss, np.arange(10.0), batch_size=4, rng=0)
        >>> [array.shape for array in batches.buffers(4)]
        [(4,)]
        """
        return tuple(np.empty((size, *array.shape[1:]), array.dtype) for array in self.data)

    @property
    def chunk(self) -> int:
        """Samples that `full` looks at in one call."""
        bytes_per_sample = sum(n_bytes(array) for array in self.data) / max(self.n_samples, 1)
        return max(1, int(CHUNK_BYTES / max(bytes_per_sample, 1)))

    def rows(self, which: Any) -> tuple[Any, ...]:
        """Return copies of the rows `which`, an array of indices or a slice, of every array.

        See Also
        --------
        evaluate : The function on them.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def loss(x, y):
        ...     return np.mean((x - y) ** 2), 2 * np.mean(x - y, keepdims=True)
        >>> batches = nbadam.Minibatch(loss, np.arange(10.0), batch_size=4, rng=0)
        >>> batches.rows([7, 2])
        (array([7., 2.]),)
        """
        return tuple(copy_rows(array, which) for array in self.data)

    def evaluate(self, x: np.ndarray, batch: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
        """Return the result of `fun` on a batch, or its value and the gradient that it wrote.

        See Also
        --------
        full : The function on all the data.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def loss(x, y):
        ...     return np.mean((x - y) ** 2), 2 * np.mean(x - y, keepdims=True)
        >>> batches = nbadam.Minibatch(loss, np.arange(10.0), batch_size=4, rng=0)
        >>> value, gradient = batches.evaluate(np.zeros(1), batches.rows([0, 2]), ())
        >>> float(value), gradient
        (2.0, array([-2.]))
        """
        if writes_gradient(self.fun, 1 + len(batch) + len(args)):
            g = np.zeros_like(x)
            return self.fun(x, g, *batch, *args), g
        return self.fun(x, *batch, *args)

    def __repr__(self) -> str:
        """Name the function, the data and the batches."""
        arrays = ", ".join(f"{array.dtype}{list(array.shape)}" for array in self.data)
        function = getattr(self.fun, "__name__", type(self.fun).__name__)
        return f"<Minibatch: {function} on {arrays}, batch_size={self.batch_size}, shuffle={self.shuffle}>"

    def size_of(self, epoch: int) -> int:
        """Return the samples in a batch of an epoch, no more than there are.

        See Also
        --------
        steps : Batches of some epochs.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> def loss(x, y):
        ...     return np.mean((x - y) ** 2), 2 * np.mean(x - y, keepdims=True)
        >>> batches = nbadam.Minibatch(loss, np.arange(10.0), batch_size=4, rng=0)
        >>> batches.size_of(epoch=0)
        4
        """
        if callable(self.batch_size):
            size = self.batch_size(epoch)
            if isinstance(size, int) and size > self.n_samples:
                return self.n_samples  # a schedule that doubles outgrows 64 bits
            size = integer(1)(f"batch_size({epoch})", size)
        else:
            size = self.batch_size
        return min(size, self.n_samples)

    def _batches_in(self, epoch: int) -> int:
        size = self.size_of(epoch)
        return self.n_samples // size if self.drop_last else -(-self.n_samples // size)
