"""The course of a run in a table of bounded size."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._jitable import register_jitable
from ..extras import extra


@register_jitable
def push(step, rate, norm, history, s):
    """Add a record; when the table is full, make one of every two records, and records half as often.

    Parameters
    ----------
    step, rate, norm : int, float, float
        Number of the step, learning rate and norm of the gradient.
    history : float64 array of shape (rows, 4)
        One row a record: the step, the mean of the values since the record before, `norm` and `rate`.
    s : record
        Numbers of the run, of which those of the trace are changed.
    """
    row = int(s.trace_rows)
    history[row, 0], history[row, 1] = step, s.trace_sum / s.trace_points
    history[row, 2], history[row, 3] = norm, rate
    row += 1
    s.trace_sum = s.trace_points = 0.0
    if row == history.shape[0]:
        row //= 2
        s.trace_every *= 2.0
        for i in range(row):
            history[i, 0] = history[2 * i + 1, 0]
            for column in range(1, 4):
                history[i, column] = 0.5 * (history[2 * i, column] + history[2 * i + 1, column])
    s.trace_rows = row


@dataclass(frozen=True, repr=False)
class History:
    """The course of a run: arrays of at most 512 records, each a mean over equally many steps.

    Attributes
    ----------
    step : ndarray of int
        Number of steps made at the end of each record.
    fun : ndarray
        Mean of the values of the steps since the record before.  With a separate gradient the value is
        known at every 100th step only.
    grad_norm : ndarray
        Euclidean norm of the gradient by ``x / x_scale``.
    learning_rate : ndarray
        Learning rate.

    See Also
    --------
    nbadam.plot_history : A picture of it.

    Examples
    --------
    >>> from scipy.optimize import minimize
    >>> import nbadam
    >>> run = minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, method=nbadam.adam, options={"steps": 100})
    >>> run.history.step.size, bool(run.history.fun[-1] < run.history.fun[0])
    (100, True)
    """

    step: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    learning_rate: np.ndarray

    @classmethod
    def of(cls, history: np.ndarray, rows: int) -> "History":
        """Make it from the table of a run, of which so many rows are filled.

        See Also
        --------
        nbadam.plot_history : A picture of it.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> nbadam.History.of(np.array([[10, 0.5, 0.1, 0.01], [20, 0.25, 0.05, 0.01]]), rows=2).fun
        array([0.5 , 0.25])
        """
        step, fun, grad_norm, learning_rate = history[:rows].T.copy()
        return cls(step.astype(np.int64), fun, grad_norm, learning_rate)

    def __len__(self) -> int:
        """Return the number of records."""
        return self.step.size

    def __repr__(self) -> str:
        """Name the number of records and of steps."""
        return f"<History: {len(self)} records of {self.step[-1] if len(self) else 0} steps>"


def plot_history(result: Any, axes: Any = None) -> list[Any]:
    """Draw the course of a run: the value, the norm of the gradient and the learning rate by step.

    Parameters
    ----------
    result : scipy.optimize.OptimizeResult or History
        Result of a method of nbadam, or its `history`.
    axes : sequence of three matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    list of three matplotlib.axes.Axes

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.

    See Also
    --------
    nbadam.History : The numbers.

    Examples
    --------
    >>> from scipy.optimize import minimize
    >>> import nbadam
    >>> run = minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, method=nbadam.adam, options={"steps": 100})
    >>> [ax.get_ylabel() for ax in nbadam.plot_history(run)]
    ['value', 'gradient norm', 'learning rate']
    """
    history = result if isinstance(result, History) else result.history
    if axes is None:
        pyplot = extra("matplotlib.pyplot", "plot", "Plotting a history")
        axes = pyplot.subplots(3, 1, sharex=True, figsize=(6.4, 6.4), layout="constrained")[1]
    value, norm, rate = axes
    curves = history.fun, history.grad_norm, history.learning_rate
    for ax, curve, label in zip(axes, curves, ("value", "gradient norm", "learning rate"), strict=True):
        ax.plot(history.step, curve)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    if history.fun.size and (history.fun > 0).all() and history.fun.max() > 20 * history.fun.min():
        value.set_yscale("log")
    if (history.grad_norm > 0).any():
        norm.set_yscale("log")
    rate.set_xlabel("step")
    return [value, norm, rate]
