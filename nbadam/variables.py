"""The arrays that an optimizer steps, their gradients, and how both go to the engine."""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

import numpy as np

from .engine import WIDTH, State
from .rules import Rule

SMALL = 4096  # elements below which arrays share kernel calls: a call costs as much as 1,000 elements


class Record:
    """What an optimizer remembers about one variable, be it at hand or only loaded from a file.

    Attributes
    ----------
    shape, dtype : tuple of int, numpy.dtype
        Of the variable.
    generation : int
        Variables first seen by the same call are of one generation; the order of the weights needs it.
    decayed : bool
        Whether weight decay applies.
    received : bool
        Whether the gradient accumulator holds something.
    slots : dict of str to ndarray
        Arrays of the variable's shape.
    """

    def __init__(self, shape, dtype, generation: int, *, decayed=True, received=False, slots=None) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.generation = generation
        self.decayed = decayed
        self.received = received
        self.slots: dict[str, np.ndarray] = slots or {}

    def copy(self) -> "Record":
        """Return a record that shares nothing with this one."""
        slots = {name: slot.copy() for name, slot in self.slots.items()}
        return Record(
            self.shape, self.dtype, self.generation, decayed=self.decayed, received=self.received, slots=slots
        )


class Variable(Record):
    """An array that is optimized.

    Attributes
    ----------
    array : ndarray
        The user's array.
    buffer : ndarray or None
        Where the array is stepped if the kernels cannot take it as it lies in memory.
    flat : ndarray, shape (size,)
        The array or its buffer, for the kernels.
    group, position : Group, int
        Where it is stepped.
    """

    group: "Group"
    position: int

    def __init__(self, array: np.ndarray, i: int, generation: int) -> None:
        """Check that the array can be optimized; `i` is its number for messages."""
        if type(array) not in (np.ndarray, np.memmap):
            raise TypeError(f"Variable {i} must be a plain NumPy array, not a {type(array).__name__}.")
        dtype = array.dtype.newbyteorder("=")
        if dtype.type not in (np.float32, np.float64):
            raise TypeError(
                f"Variable {i} must be of dtype float32 or float64, not {array.dtype}: it is updated in place."
            )
        if not array.flags.writeable:
            raise ValueError(f"Variable {i} is read-only, and is to be updated in place: pass a writable copy.")
        super().__init__(array.shape, dtype, generation)
        self.array = array
        as_it_lies = array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative
        self.buffer = None if as_it_lies else np.empty(array.shape, dtype)
        self.flat = np.asarray(array if self.buffer is None else self.buffer).reshape(-1)


class Group:
    """Variables that are stepped by one call of a kernel.

    Attributes
    ----------
    state : State
        The rule's slots for all of them.
    scales, decays : ndarray of float64, shape (state.width,)
        Factor of each gradient and fraction by which each variable decays, for the next step.
    """

    def __init__(self, rule: Rule, variables: list[Variable], initial: dict[str, float]) -> None:
        self.variables = variables
        self.buffered = [variable for variable in variables if variable.buffer is not None]
        self.state = State(rule, [variable.flat for variable in variables])
        self.scales = np.ones(self.state.width)
        self.decays = np.zeros(self.state.width)
        for name, value in initial.items():
            self.state.slots[name][:] = value
        for k, variable in enumerate(variables):
            variable.group, variable.position = self, k
            part = slice(self.state.starts[k], self.state.starts[k] + variable.flat.size)
            for name, slot in self.state.slots.items():
                variable.slots[name] = slot[part].reshape(variable.shape)


Batch = list[tuple[Group, list[np.ndarray | None]]]  # for each group, a flat gradient or None per variable


def grouped(rule: Rule, variables: list[Variable], initial: dict[str, float]) -> list[Group]:
    """Put small variables of one dtype together, in equal parts, and large ones into groups of one."""
    groups = []
    for dtype in (np.float32, np.float64):
        small = [v for v in variables if v.dtype == dtype and v.flat.size < SMALL]
        large = [v for v in variables if v.dtype == dtype and v.flat.size >= SMALL]
        count = ceil(len(small) / WIDTH)
        parts = [small[k::count] for k in range(count)] + [[v] for v in large]
        groups += [Group(rule, part, initial) for part in parts]
    return groups


def owner(array: np.ndarray) -> int:
    """Identity of the object that holds an array's memory."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return id(base)


def check_apart(variable: Variable, i: int, others: Iterable[Variable]) -> None:
    """Refuse a variable that shares memory with another one."""
    for other in others:
        if np.may_share_memory(variable.array, other.array) and np.shares_memory(variable.array, other.array):
            raise ValueError(f"Variable {i} overlaps another variable in memory: each update would spoil the other.")


def leaf_pairs(grads_and_vars: Iterable) -> list[tuple[Any, np.ndarray]]:
    """Pair each array with its gradient, also where both are in lists, tuples and dicts of one structure."""
    pairs = []
    for entry in grads_and_vars:
        try:
            gradient, variable = entry
        except (TypeError, ValueError):
            raise ValueError(
                f"`grads_and_vars` must hold (gradient, variable) pairs, not {type(entry).__name__} {entry!r:.80}."
            ) from None
        if isinstance(variable, np.ndarray):
            pairs.append((gradient, variable))
        else:
            pairs.extend(_paired(gradient, variable))
    return pairs


def leaves(variables: Any) -> list[np.ndarray]:
    """Return the arrays of a nested structure in order."""
    return [variable for _, variable in _paired(None, variables)]


def _paired(gradient: Any, variable: Any) -> Iterator[tuple[Any, np.ndarray]]:
    if isinstance(variable, np.ndarray):
        yield gradient, variable
        return
    if not isinstance(variable, dict | list | tuple):
        raise TypeError(
            f"A variable must be a NumPy array, which is updated in place, or a list, tuple or dict of them, "
            f"not {type(variable).__name__} {variable!r:.80}."
        )
    keys = list(variable) if isinstance(variable, dict) else range(len(variable))
    if gradient is not None:
        alike = isinstance(gradient, dict) == isinstance(variable, dict) and isinstance(gradient, dict | list | tuple)
        if not alike or set(gradient if isinstance(gradient, dict) else range(len(gradient))) != set(keys):
            raise ValueError(
                f"The gradients of a {type(variable).__name__} of variables with {len(keys)} entries must have "
                f"the same structure and keys, not be a {type(gradient).__name__}."
            )
    for key in keys:
        yield from _paired(None if gradient is None else gradient[key], variable[key])


def flat_gradient(gradient: Any, variable: Variable, i: int, owners: dict) -> np.ndarray:
    """Return a gradient as the kernels take it; refuse what does not fit the variable.

    Parameters
    ----------
    gradient : array_like
        Of the variable's shape and dtype; numbers and lists are converted.
    variable : Variable
        Whose gradient it is.
    i : int
        Its number, for messages.
    owners : container of int
        Identities of the objects that hold the variables' memory.
    """
    if (
        type(gradient) is np.ndarray
        and gradient.dtype is variable.dtype
        and gradient.shape == variable.shape
        and gradient.base is None
        and gradient.flags.c_contiguous
        and id(gradient) not in owners
    ):
        return gradient.reshape(-1)
    if isinstance(gradient, np.ma.MaskedArray):
        raise TypeError(f"Gradient {i} is a masked array: fill it, for example with gradient.filled(0).")
    if not isinstance(gradient, np.ndarray):
        gradient = _converted(gradient, variable, i)
    if gradient.dtype.newbyteorder("=") != variable.dtype:
        raise TypeError(
            f"Gradient {i} has dtype {gradient.dtype} and its variable {variable.dtype}: convert one of them, "
            f"for example with gradient.astype(np.{variable.dtype})."
        )
    if gradient.shape != variable.shape:
        raise ValueError(f"Gradient {i} has shape {gradient.shape} and its variable {variable.shape}.")
    if owner(gradient) in owners:  # stepping one variable must not change the gradient of another
        gradient = gradient.copy()
    return np.require(gradient, variable.dtype, ["C", "A"]).reshape(-1)


def _converted(gradient: Any, variable: Variable, i: int) -> np.ndarray:
    """Turn a number or a list into an array; Python's numbers take on any dtype."""
    if isinstance(gradient, tuple) or hasattr(gradient, "indices") or hasattr(gradient, "tocoo"):
        raise TypeError(f"Gradient {i} is sparse ({type(gradient).__name__}): only arrays are supported.")
    try:
        array = np.asarray(gradient)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"Gradient {i} must be an array of real numbers, not {type(gradient).__name__}.")
    return array.astype(variable.dtype) if isinstance(gradient, list | int | float) else array
