"""The state of a run, from which another one goes on: in memory or in a file."""

import json
import os
import time
from math import inf
from typing import Any

import numpy as np

from .. import archives
from ..caller import warn
from ..files import checked_target
from ..hyperparameters import integer, optional

SECONDS = 60.0  # default time between two checkpoints


class RunState:
    """All that a run of a method needs to go on: point, moments, counts, stop rules, place in the data.

    ``result.state`` is one, and ``options={"state": result.state}`` goes on from there, as if the run had
    never ended.  Automatic learning rates count on the planned budget: give the whole of it, as `steps` or
    `epochs`, in every part, and let `maxiter` end an early one.

    It can be pickled; `save` writes a file that is read without pickle.

    Attributes
    ----------
    facts : dict
        Numbers and names, as JSON can hold them.
    arrays : dict of str to ndarray
        The arrays of the run.

    See Also
    --------
    nbadam.adam : Methods that take and return it.

    Examples
    --------
    >>> import os, tempfile
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> import nbadam
    >>> def fit(**options):
    ...     return minimize(rosen, [2, 2], jac=rosen_der, method=nbadam.adam, options=options)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "half.npz")
    ...     fit(steps=600, maxiter=300).state.save(path)
    ...     result = fit(steps=600, state=nbadam.RunState.load(path))
    >>> bool((result.x == fit(steps=600).x).all())
    True
    """

    def __init__(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.facts: dict[str, Any] = facts
        self.arrays: dict[str, np.ndarray] = arrays

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, so that at any moment there is the old one or the new one, whole.

        Parameters
        ----------
        path : path-like
            The file, in NumPy's npz format whatever its name.

        See Also
        --------
        load : The way back.

        Examples
        --------
        >>> import os, tempfile
        >>> from scipy.optimize import minimize
        >>> import nbadam
        >>> def square(x):
        ...     return x @ x, 2 * x
        >>> run = minimize(square, [1.0], jac=True, method=nbadam.adam, options={"steps": 100})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run.state.save(os.path.join(folder, "run.npz"))
        """
        archives.write(path, "run", self.facts, self.arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "RunState":
        """Read a file that `save`, or the option `checkpoint`, wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        RunState

        Raises
        ------
        ValueError
            If it is something else.
        OSError
            If it cannot be read.

        See Also
        --------
        save : The way there.

        Examples
        --------
        >>> import os, tempfile
        >>> from scipy.optimize import minimize
        >>> import nbadam
        >>> def square(x):
        ...     return x @ x, 2 * x
        >>> run = minimize(square, [1.0], jac=True, method=nbadam.adam, options={"steps": 100})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.npz")
        ...     run.state.save(path)
        ...     nbadam.RunState.load(path)
        <RunState: adam_update_epsilon_hat, 100 steps, 1 variables>
        """
        return cls(*archives.read(path, "run"))

    def __repr__(self) -> str:
        """Name the rule, the number of steps and that of variables."""
        rule, nit = self.facts["rule"], self.facts["nit"]
        return f"<RunState: {rule}, {nit} steps, {self.arrays['x'].size} variables>"


class Checkpoints:
    """The file that a run writes from time to time, if it was asked to.

    Parameters
    ----------
    settings : dict
        Options `checkpoint`, a path or None, and `checkpoint_every`, the number of steps from one time to the
        next; None for `SECONDS` instead.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        file = settings["checkpoint"]
        self.path: Any = None if file is None else os.fspath(checked_target(file, "checkpoint"))
        every = optional(integer(1))("checkpoint_every", settings["checkpoint_every"])
        self.every: float = inf if file is None or every is None else every
        self.seconds: float = SECONDS if file is not None and every is None else inf
        self._saved = time.monotonic()

    def until_due(self, nit: int) -> float:
        """Return the number of steps until the file is to be written."""
        return self.every - nit % self.every

    def is_due(self, nit: int) -> bool:
        """Whether the file is to be written now."""
        return nit % self.every == 0 or time.monotonic() - self._saved > self.seconds

    def save(self, state: RunState) -> None:
        """Write the file; where that fails, warn: the run is worth more, and the old file is whole."""
        if self.path is None:
            return
        try:
            state.save(self.path)
        except OSError as error:
            warn(f"`checkpoint` was not written at step {state.facts['nit']}: {error}", UserWarning)
        self._saved = time.monotonic()


def generator_states(args: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return the states of the random generators among the arguments, as JSON can hold them."""
    states = [generator.bit_generator.state for generator in _generators(args)]
    return json.loads(json.dumps(states, default=lambda array: array.tolist()))


def restore_generators(args: tuple[Any, ...], states: list[dict[str, Any]]) -> None:
    """Bring the random generators among the arguments to the states that `generator_states` returned."""
    kinds = [type(generator.bit_generator).__name__ for generator in _generators(args)]
    saved = [state["bit_generator"] for state in states]
    if kinds != saved:
        raise ValueError(f"`state` has the random generators {saved}, but `args` has {kinds}.")
    for generator, state in zip(_generators(args), states, strict=True):
        generator.bit_generator.state = state


def _generators(args: tuple[Any, ...]) -> list[np.random.Generator]:
    return [argument for argument in args if isinstance(argument, np.random.Generator)]
