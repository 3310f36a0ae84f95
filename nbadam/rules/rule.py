"""The form of a rule, and arithmetic that several rules share."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._jitable import register_jitable
from ..lazy import lazy

NO_METHOD = (
    "{} cannot be called, and is no method of scipy.optimize.minimize. The methods have names in small "
    "letters: method=nbadam.adam, with the settings as options, {{'learning_rate': 0.1}} for example."
)


@dataclass(frozen=True)
class Rule:
    """One optimization algorithm.

    Attributes
    ----------
    update : callable
        ``update(g, x, *slots, *scalars) -> (x, *slots)``, on scalars, in the arrays' precision.
    scalars : callable
        ``scalars(t, *hyperparameters) -> tuple of float``, in double precision.  Its signature
        declares the hyperparameters and their defaults; the first one is `learning_rate`.
    slots : tuple of str
        Names of the arrays that the update carries from step to step.
    start : callable, optional
        ``start(x, *scalars) -> tuple of the first values of the slots`` of a method at the point x; by
        default they are zero.  The optimizer classes have settings for it.

    See Also
    --------
    nbadam.rules : The rules that ship.

    Examples
    --------
    >>> from nbadam import rules
    >>> rules.ADAM.slots
    ('m', 'v')
    >>> x, *slots = rules.SGD.update(2.0, 1.0, *rules.SGD.scalars(1, learning_rate=0.1))
    >>> x
    0.8
    """

    update: Callable[..., Any]
    scalars: Callable[..., Any]
    slots: tuple[str, ...]
    start: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to be the `method` of `scipy.optimize.minimize`."""
        raise TypeError(NO_METHOD.format("A rule"))

    @property
    def name(self) -> str:
        """Name that tells this rule from every other one in the same files."""
        return f"{self.update.__name__}_{self.scalars.__name__}"

    @lazy
    def hyperparameters(self) -> dict[str, float]:
        """Names and defaults of the hyperparameters, in the order that `scalars` takes them."""
        parameters = inspect.signature(self.scalars).parameters.values()
        return {p.name: p.default for p in parameters if p.name != "t"}

    @lazy
    def width(self) -> int:
        """Number of scalars of a step."""
        return len(self.scalars(1.0))


@register_jitable
def bias_correction(beta, t):
    """Return ``1 - beta**t``; late in a run, where that rounds to 1, without the power, which takes 20 ns.

    See Also
    --------
    nbadam.rules.Rule : Rules, which call it.

    Examples
    --------
    >>> from nbadam import rules
    >>> rules.bias_correction(0.9, 1), rules.bias_correction(0.9, 1000)
    (0.1, 1.0)
    """
    return 1.0 if (1 - beta) * t > 42.0 else 1 - beta**t  # exp(-42) < 2**-54


@register_jitable
def ratio(numerator, denominator):
    """Quotient in which 0 / 0 means no step: with ``epsilon=0`` a zero moment moves nothing.

    See Also
    --------
    nbadam.rules.Rule : Rules, which call it.

    Examples
    --------
    >>> from nbadam import rules
    >>> rules.ratio(1.0, 4.0), rules.ratio(0.0, 0.0)
    (0.25, 0.0)
    """
    return numerator / denominator if denominator != 0 else denominator


@register_jitable
def positive_part(value):
    """Zero for a number that is negative only by rounding; NaN stays NaN."""
    return value if value > 0 else value - value
