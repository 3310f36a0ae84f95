"""Progress bars, by tqdm."""

from math import inf
from typing import Any

from .extras import extra


def progress_bar(total: float, done: int, unit: str) -> Any:
    """Return a bar of tqdm.

    Parameters
    ----------
    total : float
        Where it ends; infinite if that is not known.
    done : int
        Where it begins.
    unit : str
        What it counts.

    Raises
    ------
    ModuleNotFoundError
        If tqdm is not installed.
    """
    tqdm = extra("tqdm.auto", "progress", "`progress=True`").tqdm
    return tqdm(total=total if total < inf else None, initial=done, unit=unit, unit_scale=True)
