"""The base of the optimizer classes: gradients in, steps out."""

import weakref
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, NoReturn, Self

import numpy as np

from ..rules.rule import NO_METHOD
from ..sparse import RowGradient
from . import clipping, losses
from .prepared import prepare
from .registry import Registry
from .state import Stateful
from .structures import leaf_pairs, leaves
from .variables import Batch, checked_gradient


class Optimizer(Stateful):
    """Base of all optimizer classes.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        Size of a step.  A schedule is called once a step with the number of steps made so far, 0 at
        the first one.  A callable of your own is called once a step without arguments.
    name : str
        Kept for `get_config`.
    decay : float, default 0
        The learning rate after k steps is divided by ``1 + decay * k``.
    clipnorm : float, optional
        Each gradient whose Euclidean norm is larger is scaled down to it.
    clipvalue : float, optional
        Every component of the gradients is clipped to ``[-clipvalue, clipvalue]``, before norms are
        taken.
    global_clipnorm : float, optional
        All gradients are scaled down together if the norm of all is larger.  Not with `clipnorm`.
    weight_decay : float, optional
        Decoupled weight decay: before its update a variable loses the fraction
        ``learning_rate * weight_decay`` of itself.  Never L2 regularization.
    use_ema : bool, default False
        Keep a moving average of each variable; `finalize_variable_values` copies it to the variable.
    ema_momentum : float, default 0.99
        Decay factor of the average, in [0, 1].
    ema_overwrite_frequency : int, optional
        Every so many steps the variables are overwritten with their averages.
    gradient_accumulation_steps : int, optional
        At least 2.  Only every so many calls make a step, with the mean of the gradients since the
        last one.  Schedules and `decay` count calls, all else counts steps.
    on_nonfinite : {"propagate", "skip", "raise"}
        Action if a gradient holds NaN or infinity: nothing in particular, leave out the whole call
        and count it in `skipped_steps`, or raise a FloatingPointError.

    Attributes
    ----------
    skipped_steps : int
        How many calls were left out.

    Raises
    ------
    ValueError
        If a setting has the wrong type or is out of its range, here or when it is assigned later.

    See Also
    --------
    nbadam.Adam : An optimizer.
    nbadam.schedules : Learning rates that depend on the step.
    nbadam.serialize : Settings as a dict.

    Notes
    -----
    An optimizer remembers variables by identity and holds on to them and their slots as long as it
    lives.  A further optimizer is a class with a `rule` and a `Hyperparameter` for each of the rule's
    hyperparameters but the learning rate.

    Examples
    --------
    >>> import nbadam
    >>> from nbadam.hyperparameters import Hyperparameter, fraction
    >>> class HeavyBall(nbadam.Optimizer):
    ...     rule = nbadam.rules.SGD_MOMENTUM
    ...     momentum = Hyperparameter(fraction)
    ...     def __init__(self, learning_rate=0.01, momentum=0.9, name="HeavyBall", **kwargs):
    ...         super().__init__(learning_rate, name, **kwargs)
    ...         self.momentum = momentum
    >>> HeavyBall(clipnorm=1.0).get_config()
    {'name': 'HeavyBall', 'learning_rate': 0.01, 'decay': 0.0, 'momentum': 0.9, 'clipnorm': 1.0}
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse to be the `method` of `scipy.optimize.minimize`, which passes `hessp` whatever happens."""
        if "hessp" in kwargs:
            raise TypeError(NO_METHOD.format("An optimizer class"))
        return super().__new__(cls)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse it as well."""
        raise TypeError(NO_METHOD.format("An optimizer"))

    def minimize(self, loss: Callable[[], Any], var_list: Any, grad: Callable[[], Any] | None = None) -> int:
        """Make one step that makes a loss smaller.

        Parameters
        ----------
        loss : callable
            ``loss()`` reads the variables and returns its value, or ``(value, gradients)``.
        var_list : ndarray, or list, tuple or dict of ndarray, possibly nested, or callable
            The variables, of float32 or float64, updated in place; a callable returns them.
        grad : callable, optional
            ``grad()`` returns the gradients, in the structure of `var_list`; `loss` is then not called.

        Returns
        -------
        int
            Number of steps made so far.

        See Also
        --------
        apply_gradients : The step from gradients.
        nbadam.adam : Whole runs of `scipy.optimize.minimize`.

        Notes
        -----
        Where neither gives gradients, they are central differences: the loss is evaluated twice for
        every element of every variable, and once more; for more than 5,000 elements this is refused.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> var1 = np.array(10.0)
        >>> opt = nbadam.Adam(learning_rate=0.1)
        >>> opt.minimize(lambda: (var1 ** 2) / 2.0, [var1])
        1
        >>> round(float(var1), 4)
        9.9
        """
        self.sync()
        variables = var_list() if callable(var_list) else var_list
        gradients = losses.gradients(loss, variables) if grad is None else grad()
        return self.apply_gradients([(gradients, variables)])

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> int:
        """Make one step from gradients.

        Parameters
        ----------
        grads_and_vars : iterable of (gradient, variable)
            A variable is an array of float32 or float64 of any shape, updated in place, or a list,
            tuple or dict of arrays, possibly nested.  Its gradient has the same structure and
            shapes, and is cast to the variable's dtype; None leaves a variable and its slots alone.
            The gradient of an array may be sparse: see `IndexedSlices`.  Variables may come and go from
            call to call; the slots of a new one start with its first gradient.

        Returns
        -------
        int
            Number of steps made so far.

        Raises
        ------
        TypeError
            If a variable is not a plain array of float32 or float64, or a gradient does not hold real
            numbers.
        ValueError
            If all gradients are None, or a gradient has the wrong shape or structure.  If a variable is
            read-only, listed twice, or overlaps another one.  If pairs are swapped, as far as that can
            be seen: the gradient is a variable of an earlier call.
        FloatingPointError
            If a gradient is not finite and `on_nonfinite` is "raise".

        See Also
        --------
        minimize : A step that asks a function for the gradients.
        nbadam.IndexedSlices : Gradients of some rows.

        Notes
        -----
        The order is: mean of the accumulated gradients, clipping by value, then by norm, weight
        decay, update, averages.  A call that raises has changed nothing.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> weights, bias = np.ones((2, 2)), np.zeros(2)
        >>> opt = nbadam.SGD(learning_rate=0.5)
        >>> opt.apply_gradients([(np.ones((2, 2)), weights), (np.ones(2), bias)])
        1
        >>> bias
        array([-0.5, -0.5])
        """
        given = grads_and_vars if type(grads_and_vars) is list else list(grads_and_vars)
        if self._prepared is not None and (count := self._prepared(self, given)):
            return count
        pairs = leaf_pairs(given)
        if not pairs:
            return self.iterations
        registry, batch = self._matched(pairs)
        if self.on_nonfinite != "propagate":
            try:
                clipping.check_finite(batch)
            except FloatingPointError:
                if self.on_nonfinite == "raise":
                    raise
                self.skipped_steps += 1
                return self.iterations
        every = self.gradient_accumulation_steps or 1
        complete = (self._calls + 1) % every == 0
        hyper = self._hyperparameters(self._calls) if complete else ()
        if registry is not self._registry:
            self._registry = registry
        if every > 1:
            self._accumulate(batch)
        if complete:
            self._step(batch if every == 1 else self._accumulated(every), hyper)
        if self.use_ema:
            self._update_averages()
        self.__dict__["_calls"] += 1
        if self._prepared is None:
            self.__dict__["_prepared"] = prepare(self, given)
        return self.iterations

    def _matched(self, pairs: list[tuple[Any, np.ndarray]]) -> tuple[Registry, Batch]:
        """Return the gradients by group, all checked, and the registry that knows all the variables."""
        if all(gradient is None for gradient, _ in pairs):
            raise ValueError(f"No gradients provided for any variable: all {len(pairs)} are None.")
        loaded = self._registry.loaded  # ... state belongs to all variables, also those without gradient
        registry = self._extended([None if g is None and not loaded else x for g, x in pairs])
        if registry is not self._registry:
            self._check_order(pairs)
        variables, owners = registry.variables, registry.owners
        batch: Batch = {}
        for i, (gradient, array) in enumerate(pairs):
            if gradient is None:
                continue
            variable = variables[id(array)]
            row = batch.get(variable.group)
            if row is None:
                row = batch[variable.group] = [None] * len(variable.group.variables)
            if row[variable.position] is not None:
                raise ValueError(
                    f"Variable {i} is listed twice: list it once, with the sum of its gradients."
                )
            row[variable.position] = checked_gradient(gradient, variable, i, owners)
        return registry, batch

    def _check_order(self, pairs: list[tuple[Any, np.ndarray]]) -> None:
        """Refuse pairs (variable, gradient), where new variables come with gradients that came before."""
        known = self._registry.variables
        calls, references = self._new_gradients
        last = {id(reference()) for reference in references} - {id(None)} if calls == self._calls else set()
        repeats = all(id(g) in last and id(x) not in known for g, x in pairs)
        for i, (gradient, array) in enumerate(pairs):
            if repeats or (id(gradient) in known and id(array) not in known):
                raise ValueError(
                    f"Pair {i} looks like (variable, gradient), and must be (gradient, variable): its first "
                    "array came in an earlier call, and its second is new.  If not, copy the gradient."
                )
        arrays = [weakref.ref(g) for g, _ in pairs if isinstance(g, np.ndarray)]
        self._new_gradients = self._calls + 1, arrays

    def _step(self, batch: Batch, hyper: tuple[float, ...]) -> None:
        limit = inf if self.clipvalue is None else self.clipvalue
        clipping.scale(batch, limit, self.clipnorm, self.global_clipnorm)
        decay = 0.0 if self.weight_decay is None else hyper[0] * self.weight_decay
        t = self.iterations + 1.0
        for group, row in batch.items():
            group.decays.fill(0.0)
            if decay:
                group.decays[: len(row)] = [decay * variable.decayed for variable in group.variables]
            group.step(row, t, hyper, limit, self.sparse_update == "deferred")
        if self._counts_by_variable:
            rows = [zip(group.variables, row, strict=True) for group, row in batch.items()]
            stepped = [variable for row in rows for variable, g in row if g is not None]
            for variable in set(self._registry.variables.values()).difference(stepped):
                variable.missed += 1
                self._prepared = None

    def _accumulate(self, batch: Batch) -> None:
        for group, row in batch.items():
            for variable, g in zip(group.variables, row, strict=True):
                if g is not None:
                    dense = g.summed().dense(variable.shape) if isinstance(g, RowGradient) else g
                    variable.slots["gradient_accumulator"] += dense.reshape(variable.shape)
                    variable.received = True

    def _accumulated(self, every: int) -> Batch:
        """Return the mean gradients, and start to accumulate anew."""
        batch: Batch = {}
        for variable in self._registry.variables.values():
            if variable.received:
                row = batch.setdefault(variable.group, [None] * len(variable.group.variables))
                row[variable.position] = variable.slots["gradient_accumulator"].reshape(-1) / every
                variable.slots["gradient_accumulator"].fill(0)
                variable.received = False
        return batch

    def _update_averages(self) -> None:
        kept = self.ema_momentum if self.iterations else 0.0  # as in Keras 3: it starts after the first step
        every = self.ema_overwrite_frequency
        self.sync()
        for variable in self._registry.variables.values():
            average = variable.slots["average"]
            average *= kept
            average += (1 - kept) * variable.array
            if every is not None and (self.iterations + 1) % every == 0:
                variable.array[...] = average

    def exclude_from_weight_decay(self, var_list: Any) -> None:
        """Leave variables out of the weight decay, for example biases.

        Parameters
        ----------
        var_list : ndarray, or list, tuple or dict of ndarray, possibly nested
            The variables, seen before or not.

        See Also
        --------
        nbadam.AdamW : Adam with weight decay.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> weights, bias = np.ones(2), np.ones(2)
        >>> opt = nbadam.SGD(learning_rate=0.1, weight_decay=0.5)
        >>> opt.exclude_from_weight_decay([bias])
        >>> opt.apply_gradients([(np.zeros(2), weights), (np.zeros(2), bias)])
        1
        >>> weights, bias
        (array([0.95, 0.95]), array([1., 1.]))
        """
        self._unmatched = set()  # the user has told anew
        for array in leaves(var_list):
            self._undecayed = self._undecayed | {id(array): array}  # assigned: see `Settings.__setattr__`
            if id(array) in self._registry.variables:
                self._registry.variables[id(array)].decayed = False

    def finalize_variable_values(self, var_list: Any) -> None:
        """Overwrite variables with their moving averages.

        Parameters
        ----------
        var_list : ndarray, or list, tuple or dict of ndarray, possibly nested
            The variables.

        Raises
        ------
        ValueError
            If the optimizer does not keep averages, or does not know a variable.

        See Also
        --------
        get_slot : The averages, without a change of the variables.

        Examples
        --------
        >>> import nbadam
        >>> import numpy as np
        >>> x = np.array([1.0])
        >>> opt = nbadam.SGD(learning_rate=0.1, use_ema=True, ema_momentum=0.5)
        >>> for _ in range(2):
        ...     count = opt.apply_gradients([(np.ones(1), x)])
        >>> x, opt.finalize_variable_values([x]), x
        (array([0.8]), None, array([0.8]))
        """
        averages = [(array, self.get_slot(array, "average")) for array in leaves(var_list)]
        for array, average in averages:
            array[...] = average
