"""Pictures of schedules."""

from collections.abc import Callable
from typing import Any

from ..extras import extra


def plot(schedule: Callable[..., Any], steps: int, ax: Any = None) -> Any:
    """Draw a schedule.

    Parameters
    ----------
    schedule : callable
        Learning rate as a function of the number of steps made.
    steps : int
        How many steps to draw.
    ax : matplotlib.axes.Axes, optional
        Where; a new figure if None.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.

    See Also
    --------
    nbadam.schedules.LearningRateSchedule : Schedules of your own.

    Examples
    --------
    >>> import nbadam
    >>> ax = nbadam.schedules.plot(nbadam.schedules.CosineDecay(0.1, 100), 100)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('step', 'learning rate')
    """
    if ax is None:
        pyplot = extra("matplotlib.pyplot", "plot", "Plotting a schedule")
        ax = pyplot.figure().add_subplot()
    ax.plot(range(steps), [schedule(step) for step in range(steps)])
    ax.set(xlabel="step", ylabel="learning rate")
    return ax
