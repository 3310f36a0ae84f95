"""Pictures of schedules."""

from .schedule import LearningRateSchedule


def plot(schedule: LearningRateSchedule, steps: int, ax=None):
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
    ImportError
        If Matplotlib is not installed.
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError:
            raise ImportError(
                "Plotting a schedule needs Matplotlib: install the extra, pip install 'nbadam[plot]'."
            ) from None
        ax = pyplot.figure().add_subplot()
    ax.plot(range(steps), [schedule(step) for step in range(steps)])
    ax.set(xlabel="step", ylabel="learning rate")
    return ax
