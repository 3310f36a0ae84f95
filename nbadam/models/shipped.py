"""Models that ship, with what sets them apart from others."""

from ..fitting.model.model import Model


class ShippedModel(Model):
    """A model of `nbadam.models`, which pickles by its name.

    Parameters
    ----------
    constant : str
        Its name in `nbadam.models`.
    function : callable
    hint : str
        The data that it is for: advice where it is not finite at its own guess.
    **options
        As of `Model`.
    """

    def __init__(self, constant: str, function, *, hint: str = "", **options) -> None:
        super().__init__(function, **options)
        self.constant, self.hint = constant, hint

    def __reduce__(self):
        """Refer to the constant."""
        return shipped, (self.constant,)

    def __copy__(self) -> "ShippedModel":
        """Return another model of the same functions."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other


def shipped(constant: str) -> ShippedModel:
    """Return the model of a name."""
    from .. import models

    return getattr(models, constant)
