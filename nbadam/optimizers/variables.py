"""The arrays that an optimizer steps, their gradients, and how both go to the engine."""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from math import ceil, prod
from typing import Any

import numpy as np

from .. import sparse
from ..engine import WIDTH, State
from ..rules import Rule
from ..sparse import DeferredRows, RowGradient

FEW = 4  # smallest number of small variables to group: the wide kernel takes twice as long to compile
SMALL = 4096  # smallest size of a variable stepped alone: a call costs as much as 1,000 elements


def check_array(array: np.ndarray, i: int) -> None:
    """Refuse arrays that cannot be stepped in place; `i` is the number for the message."""
    if type(array) not in (np.ndarray, np.memmap):
        raise TypeError(f"Variable {i} must be a plain NumPy array, not a {type(array).__name__}.")
    if array.dtype.newbyteorder("=").type not in (np.float32, np.float64):
        raise TypeError(
            f"Variable {i} must be of dtype float32 or float64, not {array.dtype}: it is updated in place."
        )
    if not array.flags.writeable:
        raise ValueError(f"Variable {i} is read-only, and is updated in place: pass a writable copy.")


class Record:
    """State of one variable, be it at hand or only loaded from a file.

    Attributes
    ----------
    shape, dtype : tuple of int, numpy.dtype
        Of the variable.
    generation : int
        Variables that were first seen in one call are of one generation; the order of the weights
        needs it.
    decayed : bool
        Whether weight decay applies.
    received : bool
        Whether the gradient accumulator holds something.
    missed : int
        Steps of the optimizer that this variable's own count leaves out; 0 where all count together.
    slots : dict of str to ndarray
        Arrays of the variable's shape: its average, its gradient accumulator, and those of the rule.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: Any,
        generation: int,
        slots: dict[str, np.ndarray],
        decayed: bool = True,
        received: bool = False,
        missed: int = 0,
    ) -> None:
        self.shape: tuple[int, ...] = tuple(shape)
        self.dtype: np.dtype = np.dtype(dtype)
        self.generation = generation
        self.slots = slots
        self.decayed = decayed
        self.received = received
        self.missed = missed

    def copy(self) -> "Record":
        """Return a record that shares no slot with this one."""
        slots = {name: slot.copy() for name, slot in self.slots.items()}
        return Record(
            self.shape, self.dtype, self.generation, slots, self.decayed, self.received, self.missed
        )


class Variable(Record):
    """An array that is optimized.

    Attributes
    ----------
    array : ndarray
        The user's array.
    buffer : ndarray or None
        Where the array is stepped if it lies in memory as the kernels cannot take it.
    flat : ndarray, shape (size,)
        The array or its buffer, for the kernels.
    deferred : DeferredRows or None
        The steps that untouched rows wait for; None before the first of them.
    group, position : Group, int
        With which others it is stepped, and where among them.
    """

    generation: int
    decayed: bool
    received: bool

    group: "Group"
    position: int

    def __init__(self, array: np.ndarray, generation: int, slots: dict[str, np.ndarray]) -> None:
        dtype = np.dtype(array.dtype.type)  # native, and the very object that arrays have
        super().__init__(array.shape, dtype, generation, slots)
        self.array = array
        as_it_lies = array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative
        self.buffer: np.ndarray | None = None if as_it_lies else np.empty(array.shape, dtype)
        self.flat: np.ndarray = np.asarray(array if self.buffer is None else self.buffer).reshape(-1)
        self.deferred: DeferredRows | None = None

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Copy the array to `flat` before, and back afterwards."""
        if self.buffer is None:
            yield
            return
        self.buffer[...] = self.array
        yield
        self.array[...] = self.buffer

    def step_rows(
        self, gradient: RowGradient, t: float, hyper: tuple[float, ...], decay: Any, defer: bool
    ) -> None:
        """Step `flat` by a summed sparse gradient."""
        rule = self.group.state.rule
        slots = tuple(self.slots[name].reshape(-1) for name in rule.slots)
        if not defer:
            sparse.step(rule, self.flat, slots, gradient, t, hyper, decay)
            return
        if self.deferred is None:
            self.deferred = DeferredRows(rule, self.flat, slots, prod(self.shape[1:]))
        self.deferred.step(gradient, t, hyper, decay)

    def gather(self, indices: Any) -> np.ndarray:
        """Bring rows up to date and return a copy of them."""
        if self.deferred is None:
            return gathered(self.array, indices)
        with self.at_hand():
            return self.deferred.gather(indices).reshape(-1, *self.shape[1:])

    def sync(self) -> None:
        """Bring all rows up to date."""
        if self.deferred is not None:
            with self.at_hand():
                self.deferred.sync()

    def restore(self, record: Record) -> None:
        """Take over the state of a record."""
        self.generation, self.decayed, self.received = record.generation, record.decayed, record.received
        self.missed: int = record.missed
        for name, slot in self.slots.items():
            slot[...] = record.slots[name]


class Group:
    """Variables that are stepped by one call of a kernel.

    Attributes
    ----------
    state : State
        The rule's slots for all of them.
    buffered : list of (Variable, ndarray)
        Those that are stepped in a buffer, with the buffer.
    scales, decays : ndarray of float64, shape (state.width,)
        Factor of each gradient and fraction that each variable loses in the next step.
    """

    def __init__(self, rule: Rule, variables: list[Variable], initial: dict[str, float]) -> None:
        self.variables = variables
        self.buffered: list[tuple[Variable, np.ndarray]] = [
            (v, v.buffer) for v in variables if v.buffer is not None
        ]
        self.state: State = State(rule, [variable.flat for variable in variables])
        self.scales: np.ndarray = np.ones(self.state.width)
        self.decays: np.ndarray = np.zeros(self.state.width)
        for name, value in initial.items():
            self.state.slots[name].fill(value)
        for k, variable in enumerate(variables):
            variable.group, variable.position = self, k
            part = slice(self.state.starts[k], self.state.starts[k] + variable.flat.size)
            for name, slot in self.state.slots.items():
                variable.slots[name] = slot[part].reshape(variable.shape)

    def step(self, row: Any, t: float, hyper: tuple[float, ...], clip: float, defer: bool) -> None:
        """Step the variables whose entry of `row` is a gradient.

        With `defer`, rows that a sparse gradient does not touch wait for `Variable.sync`.
        """
        for variable, buffer in self.buffered:
            buffer[...] = variable.array
        counts = {v.missed for v, g in zip(self.variables, row, strict=True) if g is not None}
        for missed in counts:
            those = row
            if len(counts) > 1:
                those = [g if v.missed == missed else None for v, g in zip(self.variables, row, strict=True)]
            self._step(those, t - missed, hyper, clip, defer)
        for variable, buffer in self.buffered:
            variable.array[...] = buffer

    def _step(self, row: Any, t: float, hyper: tuple[float, ...], clip: float, defer: bool) -> None:
        touched = [(k, g.summed(clip, self.scales[k])) for k, g in enumerate(row) if type(g) is RowGradient]
        if touched:
            row = [None if type(g) is RowGradient else g for g in row]
        if len(touched) < len(row):
            if defer:
                for variable, g in zip(self.variables, row, strict=True):
                    if g is not None and variable.deferred is not None:
                        variable.deferred.sync()
            self.state.step(tuple(row), t, hyper, clip=clip, scales=self.scales, decays=self.decays)
        for k, gradient in touched:
            self.variables[k].step_rows(gradient, t, hyper, self.decays[k], defer)


# For each variable of a group a flat gradient, a sparse one, or None.
Batch = dict[Group, list[np.ndarray | RowGradient | None]]


def grouped(rule: Rule, variables: list[Variable], initial: dict[str, float]) -> None:
    """Group small variables of one dtype in equal parts, and each large one alone."""
    for dtype in (np.float32, np.float64):
        of_dtype = [variable for variable in variables if variable.dtype == dtype]
        small = [variable for variable in of_dtype if variable.flat.size < SMALL]
        if len(small) < FEW:
            small = []
        alone = [variable for variable in of_dtype if variable.flat.size >= SMALL or not small]
        count = ceil(len(small) / WIDTH)
        for members in [*(small[k::count] for k in range(count)), *([variable] for variable in alone)]:
            Group(rule, members, initial)


def gathered(array: np.ndarray, indices: Any) -> np.ndarray:
    """Return a copy of rows that are up to date."""
    if array.ndim == 0:
        raise ValueError("`var` is a scalar array and has no rows.")
    return np.asarray(array)[sparse.checked_rows(indices, array.shape[0], "`gather`")]


def owner(array: np.ndarray) -> int:
    """Identity of the object that holds an array's memory."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return id(base)


def checked_gradient(
    gradient: Any, variable: Record, i: int, owners: Container[int]
) -> np.ndarray | RowGradient:
    """Return a gradient in the form of the kernels; refuse one that does not fit the variable.

    Parameters
    ----------
    gradient : array_like or sparse gradient
        Of the variable's shape; real numbers are cast to its dtype, as Keras does.
    variable : Record
        Whose gradient it is.
    i : int
        Its number, for messages.
    owners : container of int
        Identities of the objects that hold the memory of all variables.
    """
    if (
        type(gradient) is np.ndarray
        and gradient.dtype is variable.dtype
        and gradient.shape == variable.shape
        and gradient.base is None
        and gradient.flags.c_contiguous
        and id(gradient) not in owners
    ):
        return gradient if gradient.ndim == 1 else gradient.reshape(-1)
    if sparse.is_sparse(gradient):
        rows = sparse.row_gradient(gradient, variable.shape, variable.dtype, f"Gradient {i}")
        if owner(rows.values) in owners:
            rows.values = rows.values.copy()
        return rows
    if type(gradient) is not np.ndarray:
        gradient = _converted(gradient, i)
    if gradient.dtype.kind not in "fiu":
        raise TypeError(f"Gradient {i} must be an array of real numbers, not of dtype {gradient.dtype}.")
    if gradient.shape != variable.shape:
        raise ValueError(f"Gradient {i} has shape {gradient.shape} and its variable {variable.shape}.")
    if owner(gradient) in owners:  # stepping one variable must not change the gradient of another
        gradient = gradient.copy()
    return np.require(gradient, variable.dtype, ["C", "A"]).reshape(-1)


def _converted(gradient: Any, i: int) -> np.ndarray:
    """Return a plain array of a gradient that is none."""
    if isinstance(gradient, np.ma.MaskedArray):
        raise TypeError(f"Gradient {i} is a masked array: fill it, for example by gradient.filled(0).")
    try:
        array = np.asarray(gradient)
    except ValueError:  # a list of lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"Gradient {i} must be an array of real numbers, not {type(gradient).__name__}.")
    return array
