"""Progress bars, by tqdm."""

from typing import Any


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
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "`progress=True` needs tqdm: install `nbadam[progress]`.", name="tqdm"
        ) from None
    return tqdm(total=total if total < float("inf") else None, initial=done, unit=unit, unit_scale=True)
