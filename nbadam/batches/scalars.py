"""The scalars of a rule, tabulated for every step that the problems of a batch share."""

from functools import cache
from typing import Any

from .._jit import array, compile_kernel
from .._tuples import store
from ..rules import Rule


def fill_scalars(rule: Any) -> Any:
    """Build the loop that forms the scalars of the steps from `first` to before `last`."""
    scalars = rule.scalars

    def kernel(rates, hyper, table, first, last):
        for k in range(first, last):
            store(table, k, scalars(k + 1.0, rates[k], *hyper))

    return kernel


@cache
def fill_scalars_kernel(rule: Rule) -> Any:
    """Return `fill_scalars`, compiled."""
    examples = array(), (0.0,) * (len(rule.hyperparameters) - 1), (array(),) * rule.width, 0, 0
    return compile_kernel(fill_scalars(rule), examples, name=f"fill_scalars_{rule.name}", mode="nogil")
