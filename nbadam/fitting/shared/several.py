"""Different models for different data sets of one fit."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...checks import shown
from ..arguments import parse_model
from ..arrays import unmasked
from ..model.model import Model
from ..result.saved import sendable


@dataclass
class Models:
    """The models of the data sets.

    Attributes
    ----------
    models : list of Model
    which : ndarray of int, shape (fits,)
        The number of each data set's model.
    parameters : tuple of str
        Those of all models, in the order in which they first appear.
    results : list
        What a result of data sets of each model has beside numbers.
    """

    models: list[Model]
    which: np.ndarray
    parameters: tuple[str, ...]
    results: list[Any]

    @classmethod
    def of(cls, f: Any, jac: Any, p0: Any, batch: tuple[int, ...], variables: int | None) -> "Models":
        """Take the argument `f` of `curve_fit`, a model or a list of them."""
        fits = int(np.prod(batch, dtype=int))
        if not isinstance(f, list | tuple):
            model = parse_model(f, jac, p0, variables)
            return cls([model], np.zeros(fits, int), model.parameters, [])
        if jac is not None:
            raise ValueError("`jac` goes with one function: a Model in a list has a `jacobian` of its own.")
        if not batch or len(f) != batch[0]:
            raise ValueError(
                "A list of models has one for each data set, or for each along the first axis of a batch; "
                f"there are {len(f)} for a batch of shape {batch}."
            )
        distinct: list[Any] = []
        numbers = []
        for one in f:
            same = [k for k, other in enumerate(distinct) if one is other or _is_same_text(one, other)]
            numbers.append(same[0] if same else len(distinct))
            distinct += [] if same else [one]
        models = [parse_model(one, None, None, variables) for one in distinct]
        names = tuple(dict.fromkeys(name for model in models for name in model.parameters))
        return cls(models, np.repeat(numbers, fits // max(len(f), 1)), names, [])

    def without_plans(self) -> "Models":
        """Return a copy that can be sent to another process."""
        facts = [vars(one) | {"_plan": None, "model": sendable(one.model)} for one in self.results]
        return replace(self, models=[], results=[SimpleNamespace(**each) for each in facts])

    def columns(self, k: int) -> list[int]:
        """Return where the parameters of model k are among all."""
        return [self.parameters.index(name) for name in self.models[k].parameters]


def _is_same_text(one: Any, other: Any) -> bool:
    return isinstance(one, str) and isinstance(other, str) and one == other


def part_of(
    p0: Any, model: Model, names: tuple[str, ...], columns: list[int], is_one_of_many: bool
) -> dict[Any, Any] | np.ndarray | None:
    """Return the part of `p0` that belongs to one of several models."""
    if not is_one_of_many or p0 is None:
        return p0
    if callable(p0):
        raise ValueError("`p0` as a function does not go with different models: give each a `guess`.")
    if isinstance(p0, dict):
        unknown = [name for name in p0 if name not in names]
        if unknown:
            raise ValueError(f"`p0` must list names of {names}, not {shown(unknown[0])}.")
        return {name: value for name, value in p0.items() if name in model.parameters}
    starts = unmasked("p0", p0)
    if starts.ndim == 0 or starts.shape[-1] != len(names):
        raise ValueError(
            f"`p0` of shape {starts.shape} must end in the number of parameters of all models, {len(names)}: "
            f"{names}. A dict by name is another way."
        )
    return starts[..., columns]


@dataclass(frozen=True)
class SeveralModels:
    """Stand-in for the model of data sets with different ones."""

    name: str
    variables: tuple[str, ...]

    def __call__(self, x: Any, *parameters: Any) -> None:
        """Raise an error that says where the models are."""
        raise TypeError("The data sets have different models: take the result of one, such as `result[0]`.")
