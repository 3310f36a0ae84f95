"""Tuples of dual numbers that differ in their derivatives: loops, sums, and indices that are no constants.

Numba has these for tuples of one type only, which the same numbers without derivatives are.
"""

import operator
from typing import Any

from numba import types
from numba.core.typing.templates import AbstractTemplate, infer, infer_global

from .type import REAL, Dual, joined


def uniform(numbers: Any) -> types.UniTuple | None:
    """Type of a tuple of dual numbers that carry all derivatives; None where it is no tuple of numbers."""
    is_ours = isinstance(numbers, types.Tuple) and any(isinstance(kind, Dual) for kind in numbers)
    if not is_ours or not all(isinstance(kind, (Dual, *REAL)) for kind in numbers):
        return None
    return types.UniTuple(joined(*numbers), len(numbers))


@infer
class Iterate(AbstractTemplate):
    """Loops over tuples."""

    key = "getiter"

    def generic(self, args, kws):
        """Take the uniform tuple, to which Numba converts."""
        same = uniform(args[0])
        return same and same.iterator_type(same)


def _register_uniform(function) -> None:
    """Let a function take the uniform tuple in place of each tuple of dual numbers."""

    class Template(AbstractTemplate):
        key = function

        def generic(self, args, kws):
            same = tuple(uniform(arg) or arg for arg in args)
            if same == tuple(args):
                return None
            return self._function.get_call_type(self.context, same, kws)

        def get_impl_key(self, sig):
            return self._function.get_impl_key(sig)

        @property
        def _function(self):
            return self.context.resolve_value_type(function)

    infer_global(function, types.Function(Template))


for function in (operator.getitem, enumerate, zip, sum, min, max):
    _register_uniform(function)
