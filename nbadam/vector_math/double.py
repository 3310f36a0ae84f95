"""Double precision.  The polynomials interpolate at the Chebyshev nodes of their intervals."""

import numpy as np

from .angles import quarter_turns
from .intrinsics import bits_of, inlined, muladd, real_of

INF, NAN = np.inf, np.nan
# Adding this and taking it away rounds to an integer, which the low bits of the sum hold in between.
ROUND = 1.5 * 2.0**52
BIASED = ROUND + 1023.0  # 1023 is the bias of exponents
LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has 32 bits, so that its product with an exponent is exact.
LN2, LN2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
SQRT_HALF = 0x3FE6A09E667F3BCD  # bits of the square root of 1/2
SMALLEST = 2.0**-1022  # smallest normal number


@inlined
def _power_of_2(n, biased=BIASED):
    """2**n for an integer n from -1022 to 1023, given as a float; times 2**k with ``BIASED + k``."""
    return real_of(bits_of(n + biased) << 52)


@inlined
def _reduced(x):
    """Return n and r with ``x = n * ln(2) + r``, r at most ln(2) / 2 in size."""
    n = muladd(x, LOG2_E, ROUND) - ROUND
    return n, muladd(-n, LN2_REST, muladd(-n, LN2, x))


@inlined
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


@inlined
def exp64(x):
    """Exponential."""
    bounded = -746.0 if x < -746.0 else x  # NaN passes
    bounded = 710.0 if bounded > 710.0 else bounded
    n, r = _reduced(bounded)
    # 2**n itself may be out of range: it is made up of two factors.
    is_small = bounded < -700.0
    y = (1.0 + _expm1_reduced(r)) * _power_of_2(n, BIASED + 127.0 if is_small else BIASED - 1.0)
    return y * (2.0**-127 if is_small else 2.0)


@inlined
def log64(x):
    """Natural logarithm."""
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


@inlined
def tanh64(x):
    """Hyperbolic tangent."""
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


@inlined
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


@inlined
def sin64(x):
    """Sine."""
    quarters, r, rest = quarter_turns(x)
    sine, cosine = _sine_cosine(r, rest)
    y = sine if quarters & 1 == 0 else cosine
    y = real_of(bits_of(y) ^ (quarters & 2) << 62)
    return x if abs(x) < 1e-9 else y  # a negative zero, too


@inlined
def cos64(x):
    """Cosine."""
    quarters, r, rest = quarter_turns(x)
    sine, cosine = _sine_cosine(r, rest)
    y = cosine if quarters & 1 == 0 else sine
    return real_of(bits_of(y) ^ ((quarters + 1) & 2) << 62)
