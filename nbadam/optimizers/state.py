"""State of an optimizer from step to step: read, set, saved, pickled."""

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from .. import archives
from ..caller import warn
from ..checks import shown
from ..hyperparameters import integer
from .registry import Registry, describe, read_records
from .settings import Settings
from .structures import leaves
from .variables import gathered


class Stateful(Settings):
    """Settings with a number of steps, variables and slots."""

    weights_by_variable: ClassVar[bool] = False  # whether the weights are sorted by variable, not by slot

    def __init__(self, learning_rate: Any, name: str, decay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(learning_rate, name, decay, **kwargs)
        self.skipped_steps = 0
        self._calls = 0  # calls of apply_gradients that were not left out
        self._registry = Registry()
        self._undecayed: dict[int, np.ndarray] = {}  # by identity
        self._unmatched: set[int] = set()  # keys of `_undecayed` that came by pickle and were not seen since
        self._prepared: Callable[..., Any] | None = None  # see `prepare`
        # Number of the last call with new variables, and references to its gradients.
        self._new_gradients: tuple[int, list[Any]] = (0, [])

    @property
    def iterations(self) -> int:
        """Number of steps made so far; assigning it shifts bias correction and schedules."""
        return self._calls // (self.gradient_accumulation_steps or 1)

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._calls = integer(0)("iterations", value) * (self.gradient_accumulation_steps or 1)

    def build(self, var_list: Any) -> None:
        """Create the slots of variables before their first gradients come.

        Parameters
        ----------
        var_list : ndarray, or list, tuple or dict of ndarray, possibly nested
            The variables.  Where a loaded or unpickled state waits for its variables: all of them, in
            their order.

        Raises
        ------
        TypeError, ValueError
            As in `apply_gradients`, or if the variables do not fit the state that waits for them.

        See Also
        --------
        get_weights : The state that it makes.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> x = np.zeros(3)
        >>> opt = nbadam.Adam()
        >>> opt.build([x])
        >>> opt.get_slot(x, "m")
        array([0., 0., 0.])
        """
        self._registry = self._extended(leaves(var_list))

    def _extended(self, arrays: Sequence[np.ndarray | None]) -> Registry:
        """Return a registry that knows these arrays too; None stands for none."""
        rule = self.rule
        for variable in self._registry.variables.values():
            changed = self._registry.counts_by_variable != self._counts_by_variable
            if variable.group.state.rule is not rule or changed:
                raise ValueError(
                    "Settings that choose the update rule (amsgrad, centered, nesterov, convention, whether "
                    "the momentum is 0, ...) cannot change after the first step: make a new optimizer."
                )
            break  # all have the same rule
        registry = self._registry.extended(arrays, self)
        if registry is not self._registry:
            for identity in self._undecayed.keys() & registry.variables.keys():
                registry.variables[identity].decayed = False
            if self._unmatched and self.weight_decay and not self._unmatched & registry.variables.keys():
                _warn_of_exclusions()
            self._unmatched = set()
        return registry

    def initial_slots(self) -> dict[str, float]:
        """Return the start values of those slots of the rule that do not start at zero.

        See Also
        --------
        nbadam.Optimizer : Classes of your own, which may define it.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.Adagrad(initial_accumulator_value=0.1).initial_slots()
        {'accumulator': 0.1}
        """
        return {}

    def further_slots(self, array: np.ndarray) -> dict[str, np.ndarray]:
        """Return a new variable's slots beside those of the rule.

        See Also
        --------
        get_slot : A slot of a variable.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> nbadam.Adam(use_ema=True).further_slots(np.ones(2))
        {'average': array([1., 1.])}
        """
        dtype = array.dtype.newbyteorder("=")
        slots = {}
        if self.use_ema:
            slots["average"] = array.astype(dtype, order="C")
        if self.gradient_accumulation_steps is not None:
            slots["gradient_accumulator"] = np.zeros(array.shape, dtype)
        return slots

    def get_slot(self, var: np.ndarray, slot_name: str) -> np.ndarray:
        """Return a slot of a variable.

        Parameters
        ----------
        var : ndarray
            The variable.
        slot_name : str
            Name of the slot: those of ``rule.slots``, "average" and "gradient_accumulator".

        Returns
        -------
        ndarray
            Of the variable's shape; not a copy.

        Raises
        ------
        ValueError
            If the optimizer does not know the variable, or has no such slot.

        See Also
        --------
        get_weights : All of them.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> x = np.ones(2)
        >>> opt = nbadam.SGD(0.1, momentum=0.9)
        >>> opt.apply_gradients([(np.ones(2), x)])
        1
        >>> opt.get_slot(x, "momentum")
        array([-0.1, -0.1])
        """
        variable = self._registry.variables.get(id(var))
        if variable is None:
            raise ValueError("`var` has no slots: it is none of the variables that were stepped or built.")
        if slot_name not in variable.slots:
            raise ValueError(f"`slot_name` must be one of {list(variable.slots)}, not {shown(slot_name)}.")
        variable.sync()
        return variable.slots[slot_name]

    def gather(self, var: np.ndarray, indices: Any) -> np.ndarray:
        """Return a copy of some rows of a variable, up to date even if its update is deferred.

        Parameters
        ----------
        var : ndarray, shape (n, ...)
            The variable; it need not have been stepped yet.
        indices : array_like of int, shape (k,)
            Numbers of rows, from 0.

        Returns
        -------
        ndarray, shape (k, ...)

        Raises
        ------
        TypeError, ValueError
            If `indices` are not integers in the range of the rows.

        See Also
        --------
        sync : Brings the variable itself up to date.
        nbadam.IndexedSlices : Gradients of some rows.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> table = np.ones((1000, 2))
        >>> opt = nbadam.Adam(0.1, sparse_update="deferred")
        >>> for rows in ([7, 8], [8, 9]):
        ...     forward = opt.gather(table, rows)
        ...     opt.apply_gradients([((2 * forward, rows), table)])
        1
        2
        >>> table[7]
        array([0.9, 0.9])
        >>> opt.gather(table, [7])
        array([[0.833, 0.833]])
        """
        variable = self._registry.variables.get(id(var))
        return gathered(var, indices) if variable is None else variable.gather(indices)

    def sync(self, var: np.ndarray | None = None) -> None:
        """Bring all rows of a variable up to date.

        Only `Adam` and `AdamW` with ``sparse_update="deferred"`` leave rows behind.  `minimize`,
        `get_weights`, `save` and everything else here that reads a variable or its slots do this by
        themselves.  Before your own code reads or writes the array, do it yourself.

        Parameters
        ----------
        var : ndarray, optional
            The variable; by default all of them.

        See Also
        --------
        gather : Some rows, up to date.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> table = np.ones((3, 2))
        >>> opt = nbadam.Adam(0.1, sparse_update="deferred")
        >>> for row in (0, 1):
        ...     count = opt.apply_gradients([((np.ones((1, 2)), [row]), table)])
        >>> table[0]  # after the first step
        array([0.9, 0.9])
        >>> opt.sync(table)
        >>> table[0].round(3)  # the second step moves this row, too: its moments are not zero
        array([0.833, 0.833])
        """
        known = self._registry.variables
        for variable in known.values() if var is None else filter(None, [known.get(id(var))]):
            variable.sync()

    @property
    def variables(self) -> list[np.ndarray]:
        """State of the optimizer, not copied, in the order of `get_weights`."""
        self.sync()
        counts = []
        if self._counts_by_variable:
            counts = [np.array([record.missed for record in self._registry.records], np.int64)]
        return [np.array(self._calls), *self._registry.weights(), *counts]

    def get_weights(self) -> list[np.ndarray]:
        """Return a copy of the state.

        Returns
        -------
        list of ndarray
            The number of calls, an int64 scalar, then the slots in the order of legacy Keras: the first
            one of every variable, the second one of every variable, and so on; variables that came
            later follow with theirs.  Where each variable counts its own steps (`convention`), a last
            array of int64 has how many each has missed.  Empty before the first step.

        See Also
        --------
        set_weights : The way back.
        save : Settings and state in a file.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> x = np.ones(2)
        >>> opt = nbadam.SGD(0.1, momentum=0.9)
        >>> opt.apply_gradients([(np.ones(2), x)])
        1
        >>> opt.get_weights()
        [array(1), array([-0.1, -0.1])]
        """
        return [weight.copy() for weight in self.variables] if self._registry.records else []

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Put the state back that `get_weights` returned.

        Parameters
        ----------
        weights : list of array_like
            In the same order; the variables must be known by then (`build`).

        Raises
        ------
        ValueError
            If number, shape or dtype of the arrays is not that of `get_weights`.

        See Also
        --------
        get_weights : The way there.
        load : Settings and state from a file.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> x = np.ones(2)
        >>> opt = nbadam.SGD(0.1, momentum=0.9)
        >>> opt.build([x])
        >>> opt.set_weights([7, [-0.1, -0.1]])
        >>> opt.iterations
        7
        """
        weights = [np.asarray(weight) for weight in weights]
        kept = self.variables if self._registry.records else []
        if len(weights) != len(kept):
            raise ValueError(
                f"`weights` has {len(weights)} arrays, and the optimizer has {len(kept)}"
                + (": call build(var_list) first." if not kept else ".")
            )
        for i, (weight, slot) in enumerate(zip(weights, kept, strict=True)):
            if weight.shape != slot.shape or weight.dtype != slot.dtype or (i == 0 and weight < 0):
                raise ValueError(
                    f"`weights[{i}]` must be of dtype {slot.dtype} and shape {slot.shape}, "
                    f"not {weight.dtype} and {weight.shape}" + (" or negative." if i == 0 else ".")
                )
        if weights:
            self._calls = int(weights[0])
            for weight, slot in zip(weights[1:], kept[1:], strict=True):
                slot[...] = weight
            if self._counts_by_variable:
                for record, missed in zip(self._registry.records, weights[-1], strict=True):
                    record.missed = int(missed)
            for record in self._registry.records:
                record.received = bool(record.slots.get("gradient_accumulator", np.zeros(1)).any())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save settings and state, but not the variables.

        Parameters
        ----------
        path : path-like
            The file, an ``.npz`` archive that NumPy reads without pickle.  At every moment there is
            either the old file or the whole new one.

        See Also
        --------
        load : The way back.
        nbadam.serialize : Settings alone.

        Examples
        --------
        >>> import os
        >>> import tempfile
        >>> import nbadam
        >>> import numpy as np
        >>> x = np.ones(3)
        >>> opt = nbadam.Adam(learning_rate=0.1)
        >>> opt.apply_gradients([(x.copy(), x)])
        1
        >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
        >>> opt.save(path)
        >>> resumed = nbadam.Adam()
        >>> resumed.load(path)
        >>> resumed.learning_rate, resumed.apply_gradients([(x.copy(), x)])
        (0.1, 2)
        """
        self.sync()
        variables, arrays = describe(self._registry.records)
        header = {
            "class_name": type(self).__name__,
            "config": self.get_config(),
            "callables": self._callables(),
            "calls": self._calls,
            "skipped_steps": self.skipped_steps,
            "excluded": len(self._undecayed.keys() - self._registry.variables.keys()),
            "variables": variables,
        }
        archives.write(path, "optimizer", header, arrays)

    def load(self, path: str | os.PathLike[str], custom_objects: dict[str, type] | None = None) -> None:
        """Take over settings and state that an optimizer of the same class saved.

        Parameters
        ----------
        path : path-like
            The file.
        custom_objects : dict of str to type, optional
            Your own schedule classes by name.

        Raises
        ------
        ValueError
            If the file is not of this class, or does not fit the variables that the optimizer knows.

        See Also
        --------
        save : The way there.

        Notes
        -----
        An optimizer that knows no variables yet keeps the state for its first call of `build`,
        `apply_gradients` or `minimize`.  This call must list all variables, in their order; those
        without a gradient may come with None.  Of a callable learning rate or beta a file knows nothing: this
        optimizer's stays.

        Examples
        --------
        >>> import os
        >>> import tempfile
        >>> import nbadam
        >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
        >>> nbadam.Adam(learning_rate=0.5).save(path)
        >>> opt = nbadam.Adam()
        >>> opt.load(path)
        >>> opt.learning_rate
        0.5
        """
        header, arrays = archives.read(path, "optimizer")
        with archives.refusals(path):
            if header["class_name"] != type(self).__name__:
                raise ValueError(f"it was saved by {header['class_name']}, not {type(self).__name__}")
            own = {name: getattr(self, name) for name in header["callables"] if name in self._parameters()}
            loaded = self.from_config(header["config"] | own, custom_objects)
            loaded._calls = integer(0)("calls", header["calls"])
            loaded.skipped_steps = integer(0)("skipped_steps", header["skipped_steps"])
            loaded._undecayed = self._undecayed
            slots = [*loaded.further_slots(np.empty(0)), *loaded.rule.slots]
            loaded._registry = Registry(read_records(header["variables"], arrays, slots))
            if header["excluded"] and loaded.weight_decay and not self._undecayed:
                _warn_of_exclusions()
            self.sync()
            if self._registry.variables:
                loaded.build([variable.array for variable in self._registry.variables.values()])
        self.__dict__.update(loaded.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        """Return settings and state without the variables, but with those to be excluded from decay."""
        self.sync()
        state = self.__dict__.copy()
        del state["_prepared"], state["_unmatched"]
        waiting = self._undecayed.keys() - self._registry.variables.keys()
        return state | {
            "_registry": Registry(record.copy() for record in self._registry.records),
            "_undecayed": [self._undecayed[identity] for identity in waiting],
            "_new_gradients": (0, []),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the dict of `__getstate__`."""
        self.__dict__.update(state)
        self._undecayed = {id(array): array for array in state["_undecayed"]}
        self._unmatched = set(self._undecayed)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy settings and state; variables excluded from decay stay so, and so do their copies."""
        state = self.__getstate__()
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(state, memo))
        copied._undecayed = copied._undecayed | {id(array): array for array in state["_undecayed"]}
        copied._unmatched = set(copied._undecayed)
        return copied

    def __repr__(self) -> str:
        """Name the settings that are not at their defaults, and the numbers of steps and variables."""
        parameters = self._parameters()
        values = {
            name: vars(self).get(name, parameters[name].default) for name in parameters if name != "name"
        }
        chosen = [
            f"{name}={value!r}"
            for name, value in values.items()
            if name == "learning_rate" or value != parameters[name].default
        ]
        counts = [f"{self.iterations} steps", f"{len(self._registry.records)} variables"]
        return f"<{type(self).__name__}: {', '.join(chosen + counts)}>"


def _warn_of_exclusions() -> None:
    warn(
        "Variables that `exclude_from_weight_decay` named before the first step were not among those that "
        "came with this optimizer's state, and decay: call it again.",
        RuntimeWarning,
    )
