"""The quick way through a step: lookups made once for calls that come with the same variables."""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from .._jit import entry_point
from ..engine import PARALLEL_SIZE
from .state import Stateful
from .variables import Variable, owner


def prepare(optimizer: Stateful, pairs: list[Any]) -> Callable[[Stateful, list[Any]], int]:
    """Return a function that makes a step from pairs like these.

    The function costs 1 us beside the kernel, the general way 5.  It takes dense gradients of the same
    arrays in the same order, of their dtypes and shapes.  For all else it returns 0 and has done nothing.
    Assigning an attribute of the optimizer makes it invalid.

    Parameters
    ----------
    optimizer : Optimizer
        Its settings are constants, or only clip by value and have schedules.
    pairs : list of (gradient, variable)
        Of a step that was just made.
    """
    known = optimizer._registry.variables
    if any(len(pair) != 2 or id(pair[1]) not in known for pair in pairs) or not _is_plain(optimizer):
        return _nothing
    variables = [known[id(array)] for _, array in pairs]
    steps = _kernel_calls(optimizer, variables)
    if steps is None:
        return _nothing
    entries = [(variable.array, variable.dtype, variable.shape) for variable in variables]
    count, owners = len(variables), optimizer._registry.owners
    constant = optimizer._hyperparameters(0) if _is_constant(optimizer) else None
    clip = inf if optimizer.clipvalue is None else optimizer.clipvalue
    ndarray = np.ndarray

    def step(optimizer: Stateful, pairs: list[Any]) -> int:
        if len(pairs) != count:
            return 0
        gradients = []
        try:
            for (g, x), (array, dtype, shape) in zip(pairs, entries):  # noqa: B905
                if x is not array or type(g) is not ndarray or g.dtype is not dtype or g.shape != shape:
                    return 0
                flags = g.flags
                if g.base is None:
                    if not flags.c_contiguous or id(g) in owners:
                        return 0
                elif not (flags.c_contiguous and flags.aligned) or owner(g) in owners:
                    return 0
                gradients.append(g if len(shape) == 1 else g.reshape(-1))
        except (TypeError, ValueError):  # no pair
            return 0
        state = optimizer.__dict__
        calls = state["_calls"]
        hyper = constant or optimizer._hyperparameters(calls)
        for kernel, order, padding, xs, slots, starts, first, scales, decays in steps:
            gs = gradients if order is None else [gradients[k] for k in order]
            kernel((*gs, *padding), xs, slots, starts, calls + first, hyper, clip, scales, decays)
        state["_calls"] = calls + 1
        return calls + 1

    return step


def _nothing(optimizer: Stateful, pairs: list[Any]) -> int:
    """Leave all steps to the general way."""
    return 0


def _is_plain(optimizer: Stateful) -> bool:
    """Whether a step is nothing but one call of a kernel for each group of variables."""
    return (
        optimizer.clipnorm is None
        and optimizer.global_clipnorm is None
        and not optimizer.use_ema
        and optimizer.gradient_accumulation_steps is None
        and optimizer.on_nonfinite == "propagate"
        and optimizer.sparse_update == "immediate"
        and (not optimizer.weight_decay or _is_constant(optimizer))
    )


def _is_constant(optimizer: Stateful) -> bool:
    values = [vars(optimizer).get(name) for name in optimizer.rule.hyperparameters]
    return not optimizer.decay and all(type(value) is float for value in values)


def _kernel_calls(optimizer: Stateful, variables: list[Variable]) -> list[tuple[Any, ...]] | None:
    """Return the kernel of each group with its arguments; None if some need more than that."""
    decay = optimizer.weight_decay or 0.0
    if decay:
        decay *= optimizer._hyperparameters(0)[0]
    place = {id(variable): k for k, variable in enumerate(variables)}
    groups = list({id(variable.group): variable.group for variable in variables}.values())
    known = optimizer._registry.variables.values()
    if optimizer._counts_by_variable and len(known) != len(variables):  # the others miss a step
        return None
    calls = []
    for group in groups:
        state = group.state
        missed = {variable.missed for variable in group.variables}
        order = [place.get(id(variable), -1) for variable in group.variables]
        if -1 in order or group.buffered or state.largest >= PARALLEL_SIZE or len(missed) > 1:
            return None
        as_given = order == list(range(len(variables)))
        decays = np.zeros(state.width)
        decays[: len(group.variables)] = [decay * variable.decayed for variable in group.variables]
        first = 1.0 - missed.pop()
        scales = np.ones(state.width)
        arguments = (
            state.padding,
            state.xs + state.padding,
            state.columns,
            state.starts,
            first,
            scales,
            decays,
        )
        calls.append((entry_point(state.serial), None if as_given else order, *arguments))
    return calls
