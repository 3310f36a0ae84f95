"""The course of a run in a table of bounded size."""

from dataclasses import dataclass

import numpy as np

from ..extras import extra

ROWS = 512  # at most; an even number


def new_history() -> tuple[np.ndarray, np.ndarray]:
    """Return an empty table, one row a record, and its trace.

    Columns are the step, the value (the mean over the steps since the record before), the norm of the
    gradient and the learning rate.  The trace holds the sum of the values and the number of steps since
    the last record, the steps from one record to the next, and the number of records.
    """
    return np.zeros((ROWS, 4)), np.array([0.0, 0.0, 1.0, 0.0])


def push(step, rate, norm, table, trace):
    """Add a record; when the table is full, make one of every two records, and records half as often."""
    row = int(trace[3])
    table[row, 0], table[row, 1] = step, trace[0] / trace[1]
    table[row, 2], table[row, 3] = norm, rate
    row += 1
    trace[0] = trace[1] = 0.0
    if row == table.shape[0]:
        row //= 2
        trace[2] *= 2.0
        for i in range(row):
            table[i, 0] = table[2 * i + 1, 0]
            for column in range(1, 4):
                table[i, column] = 0.5 * (table[2 * i, column] + table[2 * i + 1, column])
    trace[3] = row


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
    """

    step: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    learning_rate: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, trace: np.ndarray) -> "History":
        """Make it from the table of a run."""
        step, fun, grad_norm, learning_rate = table[: int(trace[3])].T.copy()
        return cls(step.astype(np.int64), fun, grad_norm, learning_rate)

    def __len__(self) -> int:
        """Return the number of records."""
        return self.step.size

    def __repr__(self) -> str:
        """Name the number of records and of steps."""
        return f"<History: {len(self)} records of {self.step[-1] if len(self) else 0} steps>"


def plot_history(result, axes=None):
    """Draw the course of a run: the value, the norm of the gradient and the learning rate by step.

    Parameters
    ----------
    result : scipy.optimize.OptimizeResult or History
        What a method of nbadam returned, or its `history`.
    axes : sequence of three matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    list of three matplotlib.axes.Axes

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.
    """
    history = result if isinstance(result, History) else result.history
    if axes is None:
        pyplot = extra("matplotlib.pyplot", "plot", "Plotting a history")
        axes = pyplot.subplots(3, 1, sharex=True, figsize=(6.4, 6.4), layout="constrained")[1]
    value, norm, rate = axes
    for ax, curve, label in (
        (value, history.fun, "value"),
        (norm, history.grad_norm, "gradient norm"),
        (rate, history.learning_rate, "learning rate"),
    ):
        ax.plot(history.step, curve)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    if history.fun.size and (history.fun > 0).all() and history.fun.max() > 20 * history.fun.min():
        value.set_yscale("log")
    if (history.grad_norm > 0).any():
        norm.set_yscale("log")
    rate.set_xlabel("step")
    return [value, norm, rate]
