"""Legal values of the settings of optimizers and schedules, and the attribute that holds one."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import number, shown

Check = Callable[[str, Any], Any]  # (name, value) -> the value to keep, or a ValueError


def non_negative(name: str, value: Any) -> float:
    """Check a finite number that is not negative."""
    return number(name, value, low=0)


def non_positive(name: str, value: Any) -> float:
    """Check a finite number that is not positive."""
    if number(name, value) > 0:
        raise ValueError(f"`{name}` must be a finite number <= 0, not {shown(value)}.")
    return float(value)


def positive(name: str, value: Any) -> float:
    """Check a finite number above 0."""
    try:
        checked = number(name, value, low=0)
    except ValueError:
        checked = 0.0
    if checked == 0:
        raise ValueError(f"`{name}` must be a finite number > 0, not {shown(value)}.")
    return checked


def fraction(name: str, value: Any) -> float:
    """Check a number in [0, 1)."""
    return number(name, value, low=0, below=1)


def closed_fraction(name: str, value: Any) -> float:
    """Check a number in [0, 1]."""
    if number(name, value, low=0) > 1:
        raise ValueError(f"`{name}` must be a finite number in [0, 1], not {shown(value)}.")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Check True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False, not {shown(value)}.")
    return bool(value)


def text(name: str, value: Any) -> str:
    """Check a string."""
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a string, not {shown(value)}.")
    return value


def integer(low: int) -> Check:
    """Make the check of an integer from `low` on."""

    def check(name: str, value: Any) -> int:
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
            raise ValueError(f"`{name}` must be an integer >= {low}, not {shown(value)}.")
        if value > sys.maxsize:
            raise ValueError(f"`{name}` must be an integer of 64 bits, not {shown(value)}.")
        return int(value)

    return check


def choice(*legal: str) -> Check:
    """Make the check of one string among several."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in legal:
            raise ValueError(f"`{name}` must be one of {', '.join(map(repr, legal))}, not {shown(value)}.")
        return value

    return check


def optional(check: Check) -> Check:
    """Make a check that accepts None, too."""
    return lambda name, value: None if value is None else check(name, value)


# Legal values of the hyperparameters of rules; of the others they are the numbers from 0 on.
RANGES: dict[str, Check] = {
    "beta_1": fraction,
    "beta_2": fraction,
    "rho": fraction,
    "momentum": closed_fraction,
    "learning_rate_power": non_positive,
}


class Hyperparameter:
    """An attribute that is checked whenever it is assigned.

    It has no ``__get__``: Python finds the value in the instance's own dict, without a call.

    Parameters
    ----------
    check : callable, optional
        ``check(name, value)`` returns the value to keep, or raises a ValueError.  By default the check
        for the name in `RANGES`, or else of a number from 0 on.
    varying : bool
        Whether a callable may stand for the value; its result is checked at every step.
    fixed : bool
        Whether the attribute is settled once it was assigned.
    """

    def __init__(self, check: Check | None = None, *, varying: bool = False, fixed: bool = False) -> None:
        self.check = check or non_negative
        self.is_default: bool = check is None
        self.varying = varying
        self.fixed = fixed

    def __set_name__(self, owner: type[Any], name: str) -> None:
        """Take the name of the attribute, and the check that belongs to it unless another one was given."""
        self.name = name
        if self.is_default:
            self.check = RANGES.get(name, non_negative)

    if TYPE_CHECKING:

        def __get__(self, instance: Any, owner: type | None = None) -> Any: ...  # noqa: D105

    def __set__(self, instance: Any, value: Any) -> None:
        """Check the value and keep it."""
        if self.fixed and self.name in instance.__dict__:
            raise AttributeError(f"`{self.name}` is settled when the optimizer is made: make a new one.")
        if not (self.varying and callable(value)):
            value = self.check(self.name, value)
        instance.__dict__[self.name] = value
