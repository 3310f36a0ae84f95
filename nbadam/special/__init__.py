"""SciPy's special functions for Numba, by the C functions of `scipy.special.cython_special`.

Nothing is registered before a model mentions one of the functions: importing SciPy's takes a while.
"""

import ctypes
import re
from functools import cache

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin

from ..dual.registry import register_rule
from ..dual.type import REAL
from .rules import RULES

DECLARATION = re.compile(r"double \((double(?:, double)*)(, int __pyx_skip_dispatch)?\)")


def learn(function: np.ufunc) -> bool:
    """Let Numba call a function from now on, if it is one of SciPy's special functions; say whether it is."""
    from scipy import special  # takes 0.3 s to import

    if getattr(special, function.__name__, None) is not function:
        return False
    _register(function)
    for name in RULES:  # a derivative may need any of these
        _register(getattr(special, name))
    return True


@cache
def _register(function: np.ufunc) -> None:
    arity, symbol, extra = _symbols().get(function.__name__, (0, "", 0))
    if arity != function.nin or function.nout != 1:
        return

    class Template(AbstractTemplate):
        key = function

        def generic(self, args, kws):
            if kws or len(args) != arity or not all(isinstance(arg, REAL) for arg in args):
                return None
            reals = {arg for arg in args if isinstance(arg, types.Float)}
            dtype = types.float32 if reals == {types.float32} else types.float64
            return dtype(*[types.float64] * arity)

    def generate(context, builder, signature, arguments):
        kinds = [ir.DoubleType()] * arity + [ir.IntType(32)] * extra
        declared = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.DoubleType(), kinds), symbol
        )
        result = builder.call(declared, [*arguments, *(kind(0) for kind in kinds[arity:])])
        return context.cast(builder, result, types.float64, signature.return_type)

    infer_global(function, types.Function(Template))
    lower_builtin(function, *[types.Float] * arity)(generate)
    if function.__name__ in RULES:
        rule, orders = RULES[function.__name__]
        register_rule(
            rule, function, arity=arity, has_limits=True, may_overflow=True, orders=orders, is_lasting=False
        )


@cache
def _symbols() -> dict[str, tuple[int, str, int]]:
    """Give LLVM names of all C functions that take doubles and return one; return how to call them.

    Names, as cached machine code must not hold the addresses of one process.  All of them, as that code
    may call others, for derivatives.
    """
    read = ctypes.pythonapi.PyCapsule_GetName
    read.restype, read.argtypes = ctypes.c_char_p, [ctypes.py_object]
    take = ctypes.pythonapi.PyCapsule_GetPointer
    take.restype, take.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    from scipy.special import cython_special

    found = {}
    for key, capsule in cython_special.__pyx_capi__.items():
        declaration = read(capsule)
        match = DECLARATION.fullmatch(declaration.decode())
        if match:
            name = re.sub(r"^__pyx_fuse_[0-9_]*", "", key)
            symbol = f"nbadam_special_{name}"
            binding.add_symbol(symbol, take(capsule, declaration))
            found[name] = match[1].count("double"), symbol, int(match[2] is not None)
    return found
