"""Elementary functions that LLVM vectorises: arithmetic on one number, without a branch or a call.

In a compiled loop ``math.exp`` is a call for every element, unless Intel's SVML is there, for which
the llvmlite on PyPI is not built.  A loop over the functions here becomes SIMD code.  They take one
number and compute in single precision for a float32, in double precision for all else, to 2 units
in the last place (ulp), subnormal results included.  Zeros, infinities and NaN are treated as NumPy
treats them.

A result has the same bits in every loop: the compiler has no choice, whatever `fastmath` the caller
is compiled with.  Processors without a fused multiply-add, and plain Python, may differ from the
others in the last bit.

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

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, overload, register_jitable, type_callable

__all__ = ["cos", "exp", "log", "sin", "tanh"]

_OPTIONS = {"error_model": "numpy", "fastmath": False, "forceinline": True}
_inlined = register_jitable(**_OPTIONS)


# The compiler translates these where they are called; an `overload` would have to be compiled by itself.


def muladd(a, b, c):
    """Return ``a * b + c``, rounded once where the processor has an instruction for it."""
    return a * b + c


@type_callable(muladd)
def _type_of_muladd(context):
    return lambda a, b, c: a


@lower_builtin(muladd, *[types.Float] * 3)
def _lower_muladd(context, builder, signature, arguments):
    real = arguments[0].type
    function = builder.module.declare_intrinsic("llvm.fmuladd", [real], ir.FunctionType(real, [real] * 3))
    return builder.call(function, arguments)


INTEGERS = {types.float64: types.int64, types.float32: types.int32}
REALS = {integer: real for real, integer in INTEGERS.items()}


def bits_of(x):
    """Bits of a real number, as the integer of the same size."""
    return x.view(np.int32) if type(x) is np.float32 else np.float64(x).view(np.int64)


def real_of(bits):
    """Return the real number with these bits."""
    return bits.view(np.float32 if type(bits) is np.int32 else np.float64)


@type_callable(bits_of)
def _type_of_bits(context):
    return lambda x: INTEGERS.get(x)


@type_callable(real_of)
def _type_of_real(context):
    return lambda bits: REALS.get(bits)


@lower_builtin(bits_of, types.Float)
@lower_builtin(real_of, types.Integer)
def _lower_bits(context, builder, signature, arguments):
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))


# --- Double precision.  The polynomials interpolate at the Chebyshev nodes of their intervals. -----

INF, NAN = np.inf, np.nan
# Adding this and taking it away rounds to an integer, which the low bits of the sum hold in between.
ROUND = 1.5 * 2.0**52
LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has 32 bits, so that its product with an exponent is exact.
LN2, LN2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
SQRT_HALF = 0x3FE6A09E667F3BCD  # its bits
SMALLEST = 2.0**-1022  # normal number


@_inlined
def _power_of_2(n):
    """2**n for an integer n from -1022 to 1023, given as a float."""
    return real_of((bits_of(n + ROUND) + 1023) << 52)


@_inlined
def _reduced(x):
    """Return n and r with ``x = n * ln(2) + r``, r at most ln(2) / 2 in size."""
    n = muladd(x, LOG2_E, ROUND) - ROUND
    return n, muladd(-n, LN2_REST, muladd(-n, LN2, x))


@_inlined
def _expm1_reduced(r):
    """exp(r) - 1 for a reduced r."""
    p = muladd(r, 2.5095745887783262e-08, 2.761393316051556e-07)
    p = muladd(r, p, 2.7557279693553048e-06)
    p = muladd(r, p, 2.4801536160844582e-05)
    p = muladd(r, p, 0.0001984126985455429)
    p = muladd(r, p, 0.001388888890599572)
    p = muladd(r, p, 0.008333333333332119)
    p = muladd(r, p, 0.04166666666665122)
    p = muladd(r, p, 0.16666666666666666)
    return muladd(r * r, muladd(r, p, 0.5), r)


@_inlined
def _exp64(x):
    bounded = -746.0 if x < -746.0 else x  # NaN passes
    bounded = 710.0 if bounded > 710.0 else bounded
    n, r = _reduced(bounded)
    half = muladd(n, 0.5, ROUND) - ROUND  # 2**n itself may be out of range
    y = (1.0 + _expm1_reduced(r)) * _power_of_2(half)
    return INF if x > 709.782712893384 else y * _power_of_2(n - half)


@_inlined
def _log64(x):
    scaled = x * 2.0**54 if abs(x) < SMALLEST else x
    # Counted from the bits of sqrt(1/2), the exponent changes where the mantissa passes sqrt(2).
    bits = (bits_of(scaled) & 0x7FFFFFFFFFFFFFFF) - SQRT_HALF
    k = real_of(((bits >> 52) & 0xFFF) | 0x4330000000000000) - 2.0**52  # as a float
    k = k - 4096.0 if k > 2048.0 else k
    k = k - 54.0 if abs(x) < SMALLEST else k
    f = real_of((bits & 0xFFFFFFFFFFFFF) + SQRT_HALF) - 1.0
    s = f / (2.0 + f)  # ln(1 + f) = 2 artanh(s)
    z = s * s
    p = muladd(z, 0.14619164777231927, 0.15331501721203059)
    p = muladd(z, p, 0.1818289574680159)
    p = muladd(z, p, 0.22222211043822485)
    p = muladd(z, p, 0.28571428626533335)
    p = muladd(z, p, 0.3999999999989827)
    p = muladd(z, p, 0.666666666666667)
    half = 0.5 * f * f
    y = muladd(k, LN2, f - (half - muladd(s, muladd(z, p, half), k * LN2_REST)))
    y = y if x < INF else x
    return y if x > 0.0 else (-INF if x == 0.0 else NAN)


@_inlined
def _tanh64(x):
    small = 0.0 if abs(x) > 0.55 else x  # NaN passes
    z = small * small
    p = muladd(z, -2.0602765376321746e-05, 8.511313685570579e-05)
    p = muladd(z, p, -0.00023463474108867537)
    p = muladd(z, p, 0.0005889360520073873)
    p = muladd(z, p, -0.0014556618301007117)
    p = muladd(z, p, 0.003592110378689023)
    p = muladd(z, p, -0.008863234397814355)
    p = muladd(z, p, 0.021869488493666944)
    p = muladd(z, p, -0.053968253967434016)
    p = muladd(z, p, 0.13333333333332714)
    p = muladd(z, p, -0.3333333333333333)
    near_0 = muladd(small * z, p, small)

    bounded = -44.0 if abs(x) > 22.0 else -2.0 * abs(x)
    n, r = _reduced(bounded)
    e = (1.0 + _expm1_reduced(r)) * _power_of_2(n)
    beyond = 1.0 - 2.0 * e / (1.0 + e)
    beyond = -beyond if x < 0.0 else beyond
    near_0 = x if abs(x) < 1e-9 else near_0  # a negative zero, too
    return beyond if abs(x) > 0.55 else near_0


# pi / 2 in four parts: the products of the first three, of 33 bits each, with n are exact.
TWO_OVER_PI = 0.6366197723675814
HALF_PI_1, HALF_PI_2 = 1.57079632673412561417e00, 6.07710050630396597660e-11
HALF_PI_3, HALF_PI_4 = 2.02226624871116645580e-21, 8.47842766036889956997e-32
LARGEST_ANGLE = 2.0**20 * np.pi / 2


@_inlined
def _difference(a, b):
    """Return the rounded difference, and its rounding error (Knuth, TAOCP 2, Section 4.2.2)."""
    d = a - b
    virtual = a - d
    return d, (a - (d + virtual)) + (virtual - b)


@_inlined
def _angle(x):
    """Quarter turns, as bits, and what is left of the angle, in two parts; 0 beyond LARGEST_ANGLE."""
    bounded = x if abs(x) <= LARGEST_ANGLE else 0.0
    turns = muladd(bounded, TWO_OVER_PI, ROUND)
    n = turns - ROUND
    r, e_2 = _difference(bounded - n * HALF_PI_1, n * HALF_PI_2)
    r, e_3 = _difference(r, n * HALF_PI_3)
    rest = (e_2 + e_3) - n * HALF_PI_4
    angle = r + rest
    return bits_of(turns), angle, (r - angle) + rest


@_inlined
def _sine_cosine(r, rest):
    z = r * r
    p = muladd(z, 1.5917988979397204e-10, -2.505112989645018e-08)
    p = muladd(z, p, 2.7557316093198404e-06)
    p = muladd(z, p, -0.00019841269836740532)
    p = muladd(z, p, 0.008333333333330936)
    p = muladd(z, p, -0.16666666666666666)
    q = muladd(z, -1.1382544645349108e-11, 2.087614504941318e-09)
    q = muladd(z, q, -2.755731726587808e-07)
    q = muladd(z, q, 2.48015872987544e-05)
    q = muladd(z, q, -0.0013888888888887389)
    q = muladd(z, q, 0.041666666666666664)
    half = 0.5 * z
    top = 1.0 - half
    sine = r + muladd(z * r, p, muladd(-half, rest, rest))
    return sine, top + (((1.0 - top) - half) + muladd(z * z, q, -r * rest))


@_inlined
def _sin64(x):
    turns, r, rest = _angle(x)
    sine, cosine = _sine_cosine(r, rest)
    y = sine if turns & 1 == 0 else cosine
    y = y if turns & 2 == 0 else -y
    y = x if abs(x) < 1e-9 else y
    return y if abs(x) <= LARGEST_ANGLE else NAN


@_inlined
def _cos64(x):
    turns, r, rest = _angle(x)
    sine, cosine = _sine_cosine(r, rest)
    y = cosine if turns & 1 == 0 else sine
    y = y if (turns + 1) & 2 == 0 else -y
    return y if abs(x) <= LARGEST_ANGLE else NAN


# --- Single precision.  Numba widens what comes of int32; LLVM narrows it again. -------------------

ROUND_32, LOG2_E_32 = map(np.float32, (1.5 * 2.0**23, LOG2_E))
LN2_32, LN2_REST_32 = map(np.float32, (0.693359375, -2.12194440e-4))  # the first has 9 bits
LOWEST_32, HIGHEST_32, OVERFLOW_32 = map(np.float32, (-104.0, 89.0, 88.72284))
SMALLEST_32, SCALE_32, SCALED_BY_32 = map(np.float32, (2.0**-126, 2.0**24, 24.0))
TWO_23, OCTAVES_32, NEGATIVE_32 = map(np.float32, (2.0**23, 512.0, 256.0))
ZERO, HALF, ONE, TWO, INF_32, NAN_32 = map(np.float32, (0.0, 0.5, 1.0, 2.0, np.inf, np.nan))
E_3, E_4, E_5, E_6 = map(
    np.float32, (0.16666629910469055, 0.04166662320494652, 0.008357258513569832, 0.0013918826589360833)
)
L_1, L_2, L_3, L_4 = map(
    np.float32, (0.6666666865348816, 0.4000012278556824, 0.28550735116004944, 0.23332761228084564)
)
SQRT_HALF_32 = np.int32(0x3F3504F3)


@_inlined
def _power_of_2_32(n):
    return real_of(np.int32((bits_of(n + ROUND_32) + np.int32(127)) << np.int32(23)))


@_inlined
def _exp32(x):
    bounded = LOWEST_32 if x < LOWEST_32 else x
    bounded = HIGHEST_32 if bounded > HIGHEST_32 else bounded
    n = muladd(bounded, LOG2_E_32, ROUND_32) - ROUND_32
    r = muladd(-n, LN2_REST_32, muladd(-n, LN2_32, bounded))
    p = muladd(r, muladd(r, muladd(r, E_6, E_5), E_4), E_3)
    y = ONE + muladd(r * r, muladd(r, p, HALF), r)
    half = muladd(n, HALF, ROUND_32) - ROUND_32
    y = y * _power_of_2_32(half)
    return INF_32 if x > OVERFLOW_32 else y * _power_of_2_32(n - half)


@_inlined
def _log32(x):
    scaled = x * SCALE_32 if abs(x) < SMALLEST_32 else x
    bits = np.int32((bits_of(scaled) & np.int32(0x7FFFFFFF)) - SQRT_HALF_32)
    k = real_of(np.int32(((bits >> np.int32(23)) & np.int32(0x1FF)) | np.int32(0x4B000000))) - TWO_23
    k = k - OCTAVES_32 if k > NEGATIVE_32 else k
    k = k - SCALED_BY_32 if abs(x) < SMALLEST_32 else k
    f = real_of(np.int32((bits & np.int32(0x7FFFFF)) + SQRT_HALF_32)) - ONE
    s = f / (TWO + f)
    z = s * s
    p = muladd(z, muladd(z, muladd(z, L_4, L_3), L_2), L_1)
    half = HALF * f * f
    y = muladd(k, LN2_32, f - (half - muladd(s, muladd(z, p, half), k * LN2_REST_32)))
    y = y if x < INF_32 else x
    return y if x > ZERO else (-INF_32 if x == ZERO else NAN_32)


@_inlined
def _sin32(x):
    return np.float32(_sin64(np.float64(x)))


@_inlined
def _cos32(x):
    return np.float32(_cos64(np.float64(x)))


@_inlined
def _tanh32(x):
    return np.float32(_tanh64(np.float64(x)))


# --- The functions, for both precisions ------------------------------------------------------------


def exp(x):
    """Exponential of `x`.

    Parameters
    ----------
    x : float or numpy.float32
        Any number; numbers of other types are taken as float.

    Returns
    -------
    float or numpy.float32
        In the precision of `x`, within 2 ulp.
    """
    return _exp32(x) if type(x) is np.float32 else _exp64(np.float64(x))


def log(x):
    """Natural logarithm of `x`, within 2 ulp: NaN below 0, minus infinity at 0.  See `exp`."""
    return _log32(x) if type(x) is np.float32 else _log64(np.float64(x))


def tanh(x):
    """Hyperbolic tangent of `x`, within 2 ulp.  See `exp`."""
    return _tanh32(x) if type(x) is np.float32 else _tanh64(np.float64(x))


def sin(x):
    """Sine of `x` in radians, within 2 ulp; NaN beyond 1.6e6 (2**20 quarter turns).  See `exp`."""
    return _sin32(x) if type(x) is np.float32 else _sin64(np.float64(x))


def cos(x):
    """Cosine of `x` in radians, within 2 ulp; NaN beyond 1.6e6 (2**20 quarter turns).  See `exp`."""
    return _cos32(x) if type(x) is np.float32 else _cos64(np.float64(x))


def _by_precision(function, double, single):
    """Compile `function` as the one or the other, depending on the type of its argument."""

    def implementation(x):
        if isinstance(x, types.Float) and x.bitwidth == 32:
            return single
        if x == types.float64:
            return double  # itself: every function between costs 0.07 s in the first call
        return lambda x: double(np.float64(x))

    overload(function, jit_options=_OPTIONS)(implementation)


_by_precision(exp, _exp64, _exp32)
_by_precision(log, _log64, _log32)
_by_precision(tanh, _tanh64, _tanh32)
_by_precision(sin, _sin64, _sin32)
_by_precision(cos, _cos64, _cos32)
