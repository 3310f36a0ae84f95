"""Numba's `register_jitable` with a type, which Numba does not declare.

Functions that kernels call have no types of their own: Numba compiles them for those of each call.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

Jitable = Callable[..., Any]

if TYPE_CHECKING:

    @overload
    def register_jitable(function: Jitable, /) -> Jitable: ...
    @overload
    def register_jitable(**options: Any) -> Callable[[Jitable], Jitable]: ...
    def register_jitable(*args: Any, **options: Any) -> Any:
        """Let kernels call a function: Numba compiles it with each of them."""
else:
    from numba import extending

    def register_jitable(*functions, **options):
        # Nobody calls these functions from C: without wrappers for that they compile a tenth faster.
        decorate = extending.register_jitable(**{"no_cfunc_wrapper": True} | options)
        return decorate(*functions) if functions else decorate


__all__ = ["Jitable", "register_jitable"]
