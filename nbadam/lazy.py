"""Attributes that are computed when they are first asked for."""

from collections.abc import Callable
from typing import Any


class lazy:
    """`functools.cached_property` without the lock that Python 3.11 holds meanwhile.

    A child that is forked while another thread computes the attribute, of whatever object, would wait for
    ever.  Two threads that ask at once both compute it.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        """Remember the attribute's name."""
        self.name = name

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """Compute the attribute; from then on the instance has it."""
        if instance is None:
            return self
        value = vars(instance)[self.name] = self.function(instance)
        return value
