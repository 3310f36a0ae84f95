"""Progress bars, by tqdm."""

from math import inf
from typing import Any

from .extras import extra


def progress_bar(total: float, done: int, unit: str) -> Any:
    """Return a bar of tqdm.

    Parameters
    ----------
    total : float
        Last number; infinite if that is not known.
    done : int
        First number.
    unit : str
        Name of the things counted.

    Raises
    ------
    ModuleNotFoundError
        If tqdm is not installed.
    """
    tqdm = extra("tqdm.auto", "progress", "`progress=True`").tqdm
    return tqdm(total=total if total < inf else None, initial=done, unit=unit, unit_scale=True)
