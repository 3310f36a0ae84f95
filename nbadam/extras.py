"""Packages that a part of nbadam needs, and that extras of its installation bring."""

from importlib import import_module
from typing import Any


def extra(module: str, name: str, what: str = "This") -> Any:
    """Import what an optional extra brings.

    Parameters
    ----------
    module : str
        The module.
    name : str
        The extra.
    what : str
        What needs it, for the message.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"{what} needs {package}: install `nbadam[{name}]`.", name=package
        ) from error
