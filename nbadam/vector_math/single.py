"""Single precision.  Numba widens results of int32; LLVM narrows them again."""

import numpy as np

from .angles import UNIT, factors_32
from .double import LOG2_E
from .intrinsics import bits_of, fma, inlined, muladd, real_of

ROUND_32, LOG2_E_32 = map(np.float32, (1.5 * 2.0**23, LOG2_E))
BIASED_32, RAISED_32, LOWERED_32 = (np.float32(1.5 * 2.0**23 + 127 + k) for k in (0, 31, -1))
LN2_32, LN2_REST_32 = map(np.float32, (0.693359375, -2.12194440e-4))  # the first has 9 bits
LOWEST_32, HIGHEST_32 = map(np.float32, (-104.0, 89.0))
SMALL_32, LESS_32 = map(np.float32, (-80.0, 2.0**-31))
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
TINY, NEAR, TEN = map(np.float32, (1e-4, 0.55, 10.0))
T_0, T_1, T_2, T_3, T_4 = map(
    np.float32,
    (
        -0.3333333134651184,
        0.1333311051130295,
        -0.05390883982181549,
        0.021305792033672333,
        -0.0066034737974405,
    ),
)


@inlined
def _power_of_2(n, biased=BIASED_32):
    return real_of(np.int32(bits_of(n + biased) << np.int32(23)))


@inlined
def _reduced(x):
    """Return n and r with ``x = n * ln(2) + r``, r at most ln(2) / 2 in size."""
    n = muladd(x, LOG2_E_32, ROUND_32) - ROUND_32
    return n, muladd(-n, LN2_REST_32, muladd(-n, LN2_32, x))


@inlined
def _expm1_reduced(r):
    """exp(r) - 1 for a reduced r."""
    p = muladd(r, muladd(r, muladd(r, E_6, E_5), E_4), E_3)
    return muladd(r * r, muladd(r, p, HALF), r)


@inlined
def exp32(x):
    """Exponential."""
    bounded = LOWEST_32 if x < LOWEST_32 else x
    bounded = HIGHEST_32 if bounded > HIGHEST_32 else bounded
    n, r = _reduced(bounded)
    # 2**n itself may be out of range: it is made up of two factors.
    is_small = bounded < SMALL_32
    y = (ONE + _expm1_reduced(r)) * _power_of_2(n, RAISED_32 if is_small else LOWERED_32)
    return y * (LESS_32 if is_small else TWO)


@inlined
def log32(x):
    """Natural logarithm."""
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


@inlined
def tanh32(x):
    """Hyperbolic tangent."""
    small = ZERO if abs(x) > NEAR else x  # NaN passes
    z = small * small
    p = muladd(z, muladd(z, muladd(z, muladd(z, T_4, T_3), T_2), T_1), T_0)
    near_0 = muladd(small * z, p, small)

    bounded = TEN if abs(x) > TEN else abs(x)
    n, r = _reduced(-TWO * bounded)
    e = (ONE + _expm1_reduced(r)) * _power_of_2(n)
    beyond = ONE - TWO * e / (ONE + e)
    beyond = -beyond if x < ZERO else beyond
    near_0 = x if abs(x) < TINY else near_0  # a negative zero, too
    return beyond if abs(x) > NEAR else near_0


# Sine and cosine go through double precision: their angles need it.  One polynomial of x**2, for
# sin(2 pi x) / x on the quarter turns next to 0, serves both; the two for half of that, of which double
# precision selects one, take 1.8 ns an element in place of 1.6.
S_0, S_1, S_2 = 6.283185280154299, -41.34168061327799, 81.60247636235356
S_3, S_4 = -76.58117244815537, 39.75982529321178
ROUND_HALVES = (
    1.5 * 2.0**51
)  # summand that rounds to multiples of 1/2, whose last bit says whether they are odd


@inlined
def _sine_of_turns(turns, halves):
    z = turns * turns
    p = muladd(z, muladd(z, muladd(z, muladd(z, S_4, S_3), S_2), S_1), S_0)
    return np.float32(real_of(bits_of(turns * p) ^ (halves << 63)))


@inlined
def sin32(x):
    """Sine."""
    m, w, w_rest = factors_32(x)
    halves = fma(m, w, ROUND_HALVES)
    # A negative zero stays one, because the two entries for numbers below 2 are positive.
    turns = fma(m * UNIT, w_rest, fma(m, w, -(halves - ROUND_HALVES)))
    return _sine_of_turns(turns, bits_of(halves))


@inlined
def cos32(x):
    """Cosine: minus the sine of the angle less a quarter turn."""
    m, w, w_rest = factors_32(x)
    halves = fma(m, w, -0.25) + ROUND_HALVES
    turns = fma(m * UNIT, w_rest, fma(m, w, -(halves - ROUND_HALVES + 0.25)))
    return _sine_of_turns(turns, ~bits_of(halves))
