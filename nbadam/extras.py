"""Imports of optional dependencies."""

from importlib import import_module
from typing import Any


def extra(module: str, name: str, feature: str = "This") -> Any:
    """Import a module that an optional extra of the installation brings.

    Parameters
    ----------
    module : str
        The module.
    name : str
        The extra.
    feature : str
        Subject of the message: the feature that needs the module.

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
            f"{feature} needs {package}: install `nbadam[{name}]`.", name=package
        ) from error
