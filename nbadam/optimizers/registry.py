"""The variables of an optimizer, in order."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from ..hyperparameters import flag, integer
from .variables import Record, Variable, check_array, grouped, owner


class Registry:
    """Variables by identity, and state that waits for its variables.

    The registry holds on to the arrays, so that no identity is used twice.

    Attributes
    ----------
    variables : dict of int to Variable
        By identity of the array, in the order in which they came.
    owners : dict of int to list of Variable
        By identity of the owners of their memory.
    loaded : list of Record
        State from a file or a pickle, to be matched with variables by order.
    counts_by_variable : bool
        Whether each variable counts its own steps.
    """

    def __init__(self, loaded: Iterable[Record] = ()) -> None:
        self.variables: dict[int, Variable] = {}
        self.owners: dict[int, list[Variable]] = {}
        self.loaded: list[Record] = list(loaded)
        self.counts_by_variable = False

    @property
    def records(self) -> list[Record]:
        """Records of all variables, loaded or known."""
        return self.loaded or list(self.variables.values())

    def extended(self, arrays: Sequence[np.ndarray | None], optimizer: Any) -> "Registry":
        """Return a registry that knows these arrays too: this one if it knows them all.

        Parameters
        ----------
        arrays : sequence of ndarray or None
            Variables; None stands for none.
        optimizer : Optimizer
            Says which slots a variable has.
        """
        unknown = set(map(id, arrays)) - self.variables.keys() - {id(None)}
        if not unknown:
            return self
        extended = Registry()
        extended.counts_by_variable = optimizer._counts_by_variable
        extended.variables = self.variables.copy()
        extended.owners = {key: variables.copy() for key, variables in self.owners.items()}
        generation = 1 + max((v.generation for v in self.variables.values()), default=-1)
        fresh = []
        for i, array in enumerate(arrays):
            if array is None or id(array) not in unknown or id(array) in extended.variables:
                continue
            check_array(array, i)
            variable = Variable(array, generation, optimizer.further_slots(array))
            if self.variables and optimizer._counts_by_variable:
                variable.missed = optimizer.iterations
            generation += optimizer.weights_by_variable
            neighbours = extended.owners.setdefault(owner(array), [])
            if any(np.shares_memory(array, neighbour.array) for neighbour in neighbours):
                raise ValueError(
                    f"Variable {i} overlaps another variable in memory.  Variables are recognized by "
                    "identity: pass the same array each time, not a new view of it."
                )
            neighbours.append(variable)
            extended.variables[id(array)] = variable
            fresh.append(variable)
        grouped(optimizer.rule, fresh, optimizer.initial_slots())
        if self.loaded:
            _restore(fresh, self.loaded)
        return extended

    def weights(self) -> list[np.ndarray]:
        """Return the slots in the order of legacy Keras.

        That is every variable's first slot, then every variable's second one, and so on; variables
        that came later follow with all of theirs.
        """
        return [
            record.slots[name]
            for _, generation in groupby(self.records, lambda record: record.generation)
            for same in [list(generation)]
            for name in same[0].slots
            for record in same
        ]


def _restore(variables: list[Variable], records: list[Record]) -> None:
    """Give each variable the state that was loaded for it."""
    kinds = [[(r.shape, r.dtype.name, *r.slots) for r in those] for those in (variables, records)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            "The loaded state waits for all its variables, in their order: "
            f"{_listed(records)}; these are {_listed(variables)}."
        )
    for variable, record in zip(variables, records, strict=True):
        variable.restore(record)


def _listed(records: Iterable[Record]) -> str:
    return ", ".join(f"{record.dtype}{list(record.shape)}" for record in records)


def describe(records: Iterable[Record]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return records as JSON can hold them, and their slots as arrays with names of their own."""
    records = list(records)
    facts = [
        {
            "shape": record.shape,
            "dtype": record.dtype.name,
            "generation": record.generation,
            "decayed": record.decayed,
            "received": record.received,
            "missed": record.missed,
            "slots": list(record.slots),
        }
        for record in records
    ]
    arrays = {f"{i}.{name}": slot for i, record in enumerate(records) for name, slot in record.slots.items()}
    return facts, arrays


def read_records(
    facts: Iterable[dict[str, Any]], arrays: dict[str, np.ndarray], slots: list[str]
) -> list[Record]:
    """Return the records that `describe` described, which must have these slots.

    Raises
    ------
    Exception
        Of some type, if they are not consistent.
    """
    records = []
    for i, fact in enumerate(facts):
        if fact["slots"] != slots:
            raise ValueError(f"variable {i} has the slots {fact['slots']} and not {slots}")
        record = Record(
            tuple(integer(0)("shape", size) for size in fact["shape"]),
            {"float32": np.float32, "float64": np.float64}[fact["dtype"]],
            integer(0)("generation", fact["generation"]),
            {name: arrays[f"{i}.{name}"] for name in slots},
            flag("decayed", fact["decayed"]),
            flag("received", fact["received"]),
            integer(0)("missed", fact["missed"]),
        )
        for name, slot in record.slots.items():
            if (slot.shape, slot.dtype) != (record.shape, record.dtype):
                raise ValueError(f"slot {name!r} of variable {i} is {slot.dtype}{list(slot.shape)}")
        records.append(record)
    return records
