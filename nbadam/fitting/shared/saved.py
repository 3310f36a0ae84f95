"""Results of fits with shared parameters in files: what they have beside those of other fits."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from ..result import saved
from .several import Models, SeveralModels
from .sharing import SharedValues

SHARED, SEVERAL = "shared.", "several."  # begin the names of arrays of shared values, or of different models
NUMBERS = "total_chi2", "_total_dof", "_total_points"


def contents_of_shared(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a file for the fields of a result with shared parameters."""
    several: Models | None = state["_models"]
    header, arrays = saved.contents(state)
    groups = {}
    for name, values in state["_shared"].items():
        arrays |= {f"{SHARED}values.{name}": np.asarray(values.values)}
        arrays |= {f"{SHARED}errors.{name}": np.asarray(values.errors)}
        labels = values.groups
        groups[name] = None if labels is None else [labels.dtype.str, labels.astype(str).tolist()]
    header["shared"] = {name: state[name] for name in NUMBERS} | {"groups": groups}
    if several is not None:
        arrays[SEVERAL + "which"] = several.which
        header["several"] = []
        for k, one in enumerate(several.results):
            arrays |= {f"{SEVERAL}free.{k}": one.free, f"{SEVERAL}varies.{k}": one.varies}
            facts = {"parameters": one.parameters, "derivatives": one.derivatives}
            header["several"].append(facts | {"model": saved.described(one.model)})
    return header, arrays


def fields_of_shared(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the fields of the result with shared parameters for the contents of a file."""
    arrays = dict(arrays)
    values, several = saved.taken(arrays, SHARED), saved.taken(arrays, SEVERAL)
    fields = saved.fields_of(header, arrays) | {name: header["shared"][name] for name in NUMBERS}
    fields["_shared"] = {
        name: SharedValues(_labels(told), values[f"values.{name}"][()], values[f"errors.{name}"][()])
        for name, told in header["shared"]["groups"].items()
    }
    if several:
        results = [
            SimpleNamespace(
                parameters=tuple(facts["parameters"]),
                free=several[f"free.{k}"],
                varies=several[f"varies.{k}"],
                model=saved.restored(**facts["model"]),
                _plan=None,
                derivatives=facts["derivatives"],
            )
            for k, facts in enumerate(header["several"])
        ]
        fields["_models"] = Models([], several["which"], fields["parameters"], results)
        fields["model"] = SeveralModels(fields["model"].name, fields["model"].variables)
    return fields


def _labels(told: tuple[str, list[str]] | None) -> np.ndarray | None:
    """Return the labels of groups; their text is exact for numbers and for dates."""
    if told is None:
        return None
    kind = np.dtype(told[0])
    if kind.kind not in "biufUSMm":
        raise ValueError(f"it has labels of dtype {kind}")
    labels = np.array(told[1], str)
    return labels == "True" if kind.kind == "b" else labels.astype(kind)
