"""Files that an optimizer saves: its settings and state, readable without pickle."""

import json
import os
from typing import Any

import numpy as np

from ..files import replaced
from .variables import Record


def write(path: str | os.PathLike, header: dict[str, Any], records: list[Record]) -> None:
    """Write a file, so that at any moment there is the old one or the new one, whole.

    Parameters
    ----------
    path : path-like
        The file.
    header : dict
        What JSON can hold.
    records : list of Record
        State of the variables, in order.
    """
    variables = [
        {
            "shape": record.shape,
            "dtype": record.dtype.name,
            "generation": record.generation,
            "decayed": record.decayed,
            "received": record.received,
            "slots": list(record.slots),
        }
        for record in records
    ]
    arrays = {f"{i}.{name}": slot for i, record in enumerate(records) for name, slot in record.slots.items()}
    arrays["header"] = np.array(json.dumps(header | {"variables": variables}))
    with replaced(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read(path: str | os.PathLike) -> tuple[dict[str, Any], list[Record]]:
    """Return header and records of a file that `write` wrote."""
    with np.load(path, allow_pickle=False) as file:
        if "header" not in file:
            raise ValueError(f"{os.fspath(path)} was not saved by an nbadam optimizer.")
        header = json.loads(str(file["header"]))
        records = []
        for i, variable in enumerate(header.pop("variables")):
            names = variable.pop("slots")
            records.append(Record(**variable, slots={name: file[f"{i}.{name}"] for name in names}))
    return header, records
