"""Results of fits in files: arrays and a JSON header, read without pickle."""

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

import nbadam

from ...status import Status
from ..data import CorrelatedSet, DataSets, RaggedSets
from ..model.model import Model
from ..search.minima import Minima

DATA, MINIMA = "data.", "minima."  # begin the names of arrays that belong to the data sets, or to the minima


@dataclass(frozen=True)
class LostModel:
    """Stand-in for a model whose function could not be sent or saved."""

    name: str
    variables: tuple[str, ...]

    def __call__(self, x: Any, *parameters: Any) -> None:
        """Raise an error that says why there is no function."""
        raise TypeError(
            f"The function of `{self.name}` is not there: a file of a fit keeps formulas, and a pickle also "
            "functions that are defined in a module."
        )


def sendable(model: Any) -> LostModel:
    """Return the model, or a stand-in if it cannot be pickled."""
    try:
        pickle.dumps(model)
    except Exception:  # a function that is no attribute of a module, for example
        return LostModel(model.name, model.variables)
    return model


def contents(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a file for the fields of a result."""
    header = {
        "parameters": state["parameters"],
        "derivatives": state["derivatives"],
        "is_absolute": state["_is_absolute"],
        "advice": {str(int(status)): text for status, text in state["_advice"].items()},
        "model": described(state["model"]),
        "data": type(state["_data"]).__name__,
    }
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    arrays |= {DATA + name: value for name, value in _parts(state["_data"]).items() if value is not None}
    if state["minima"] is not None:
        arrays |= {MINIMA + name: value for name, value in vars(state["minima"]).items()}
    return header, arrays


def fields_of(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the fields of the result for the contents of a file."""
    arrays = dict(arrays)
    data, minima = taken(arrays, DATA), taken(arrays, MINIMA)
    n = len(header["parameters"])
    if arrays["popt"].shape[-1:] != (n,) or arrays["_pcov"].shape != (*arrays["popt"].shape, n):
        raise ValueError("its arrays do not belong together")
    return arrays | {
        "parameters": tuple(header["parameters"]),
        "derivatives": header["derivatives"],
        "model": restored(**header["model"]),
        "_is_absolute": header["is_absolute"],
        "_advice": {Status(int(status)): text for status, text in header["advice"].items()},
        "_data": _data(header["data"], data),
        "_plan": None,
        "_ties": None,
        "minima": Minima(**minima) if minima else None,
    }


def taken(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Remove the arrays whose names have a prefix, and return them without it."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in [*arrays] if name.startswith(prefix)}


def described(model: Any) -> dict[str, Any]:
    """Return the description of a model in a file."""
    facts = {"name": model.name, "variables": list(model.variables)}
    if isinstance(model, LostModel):
        return facts
    if getattr(model, "formula", None) is not None:
        return facts | {"formula": model.formula, "parameters": list(model.parameters)}
    constant = getattr(model, "constant", None)
    return facts if constant is None else facts | {"constant": constant}


def restored(
    name: Any, variables: Any, formula: Any = None, parameters: Any = None, constant: Any = None
) -> Any:
    """Return the model that a file describes."""
    if formula is not None:
        return Model(formula, parameters=parameters, variables=variables, name=name)
    if constant is not None:
        models = nbadam.models  # imported by this: few files need the models that ship
        if constant not in models.__all__:
            raise ValueError(f"there is no model {constant!r}")
        return getattr(models, constant)
    return LostModel(str(name), tuple(variables))


def _parts(sets: Any) -> dict[str, np.ndarray | None]:
    """Return the arrays of data sets, as their class takes them."""
    if isinstance(sets, CorrelatedSet):
        return {"x": sets.x, "y": sets.y[0], "covariance": sets.factor @ sets.factor.T}
    parts = {"x": sets.x, "y": sets.y, "sigma": sets.sigma, "mask": sets.mask}
    return parts | {"lengths": sets.lengths} if isinstance(sets, RaggedSets) else parts


def _data(kind: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return the data sets that a file holds."""
    kinds: dict[str, Any] = {known.__name__: known for known in (DataSets, RaggedSets, CorrelatedSet)}
    optional = {} if kind == "CorrelatedSet" else {"sigma": None, "mask": None}
    return kinds[kind](**(optional | arrays))
