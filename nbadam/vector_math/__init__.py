"""Elementary functions that LLVM vectorises: arithmetic on one number, without a branch or a call.

In a compiled loop ``math.exp`` is a call for every element, unless Intel's SVML is there, for which
the llvmlite on PyPI is not built.  A loop over the functions here becomes SIMD code.  They take one
number and compute in single precision for a float32, in double precision for all else.  Results are
right to 2 units in the last place (ulp), subnormal ones included.  Zeros, infinities and NaN are
treated as NumPy treats them.

A result has the same bits in every loop: the compiler has no choice, whatever `fastmath` the caller
is compiled with.  Processors without a fused multiply-add, and plain Python, may differ from the
others in the last bit.  Without the instruction, sine and cosine call the C library for it, and are slow.

Functions of your own that Numba compiles can call them:

>>> import numpy as np
>>> from numba import njit
>>> from nbadam import vector_math
>>> @njit(error_model="numpy")
... def decay(t, out):
...     for i in range(t.size):
...         out[i] = vector_math.exp(-t[i])
>>> t = np.linspace(0, 5, 1000)
>>> out = np.empty_like(t)
>>> decay(t, out)
>>> np.allclose(out, np.exp(-t), rtol=5e-16, atol=0)
True
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .double import cos64, exp64, log64, sin64, tanh64
from .intrinsics import OPTIONS
from .single import cos32, exp32, log32, sin32, tanh32

__all__ = ["cos", "exp", "log", "sin", "tanh"]


def exp(x: Any) -> Any:
    """Exponential of `x`.

    Parameters
    ----------
    x : float or numpy.float32
        Any real number; other types than float32 are taken as float.  For a complex number, or an array, the
        function is NumPy's.

    Returns
    -------
    float or numpy.float32
        In the precision of `x`, within 2 ulp.

    See Also
    --------
    nbadam.vector_math.log : Its companion.

    Examples
    --------
    >>> from nbadam import vector_math
    >>> float(vector_math.exp(0.0))
    1.0
    """
    return _applied(np.exp, exp32, exp64, x)


def log(x: Any) -> Any:
    """Natural logarithm of `x`, within 2 ulp: NaN below 0, minus infinity at 0.  See `exp`.

    See Also
    --------
    nbadam.vector_math.exp : Its companion.

    Examples
    --------
    >>> from nbadam import vector_math
    >>> float(vector_math.log(0.0))
    -inf
    """
    return _applied(np.log, log32, log64, x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of `x`, within 2 ulp.  See `exp`.

    See Also
    --------
    nbadam.vector_math.exp : Its companion.

    Examples
    --------
    >>> from nbadam import vector_math
    >>> float(vector_math.tanh(0.0))
    0.0
    """
    return _applied(np.tanh, tanh32, tanh64, x)


def sin(x: Any) -> Any:
    """Sine of `x` in radians, within 2 ulp, however large.  See `exp`.

    See Also
    --------
    nbadam.vector_math.cos : Its companion.

    Examples
    --------
    >>> from nbadam import vector_math
    >>> float(vector_math.sin(0.0))
    0.0
    """
    return _applied(np.sin, sin32, sin64, x)


def cos(x: Any) -> Any:
    """Cosine of `x` in radians, within 2 ulp, however large.  See `exp`.

    See Also
    --------
    nbadam.vector_math.sin : Its companion.

    Examples
    --------
    >>> from nbadam import vector_math
    >>> float(vector_math.cos(0.0))
    1.0
    """
    return _applied(np.cos, cos32, cos64, x)


def _applied(general, single, double, x):
    if isinstance(x, complex | np.complexfloating | np.ndarray):
        return general(x)
    with np.errstate(over="ignore"):
        return single(x) if type(x) is np.float32 else double(np.float64(x))


def _compile(function, general, single, double):
    """Compile `function` as one of the three others, depending on the type of its argument."""

    def implementation(x):
        if isinstance(x, types.Complex | types.Array):
            return lambda x: general(x)
        if isinstance(x, types.Float) and x.bitwidth == 32:
            return single
        if x == types.float64:
            return double  # itself: every function between costs 0.07 s in the first call
        return lambda x: double(np.float64(x))

    overload(function, jit_options=OPTIONS)(implementation)


_compile(exp, np.exp, exp32, exp64)
_compile(log, np.log, log32, log64)
_compile(tanh, np.tanh, tanh32, tanh64)
_compile(sin, np.sin, sin32, sin64)
_compile(cos, np.cos, cos32, cos64)
