"""Angles as turns, whatever their size, after Payne and Hanek (SIGNUM Newsletter 18(1), 1983).

An angle x is M * 2**(e - 52) with its exponent e >= 0 and an integer M below 2**53.  Smaller ones
have e = 0 and an M that need not be an integer.  In turns it is M times 2**(e - 52) / (2 pi), of
which the whole part makes whole turns and may be left out.  The rest is taken from a table, 52
bits at a time: 2**(e - 52) / (2 pi) = w_0 + 2**-52 w_1 + 2**-104 w_2 + ... (modulo 1).
"""

import math

import numpy as np

from .intrinsics import bits_of, fma, inlined, real_of

BITS = 52  # bits in an entry
UNIT = 2.0**-BITS
LARGEST_EXPONENT = 1024  # exponent of infinity, whose entries make NaN of it


def _table() -> np.ndarray:
    """Entry k: of 2**k / (2 pi), rounded to an integer, the last 52 bits, signed, as multiples of 2**-52.

    That is 2**(k - 52) / (2 pi) modulo 1 to the nearest multiple of 2**-52.  The missing part is 2**-52
    times the number of entry k + 52.
    """
    size = LARGEST_EXPONENT + 3 * BITS + 1
    digits = size + 64
    one = 1 << digits

    def arctan_of_inverse(n):
        power, total, k = one // n, 0, 1
        while power:
            total += power // k if k % 4 == 1 else -(power // k)
            power //= n * n
            k += 2
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))  # Machin's formula
    inverse = (one << size) // (2 * pi)
    half = 1 << BITS - 1
    rounded = [((inverse >> size - k - 1) + 1) >> 1 for k in range(size)]
    table = np.array([((n + half) % (2 * half) - half) * UNIT for n in rounded])
    table.flags.writeable = False
    return table


# Compiled code holds a copy: the compiler knows that no loop writes to it.
TABLE = _table()
# Unsigned: an index that might be negative would cost a branch.
SECOND, THIRD, FOURTH = np.uint64(BITS), np.uint64(2 * BITS), np.uint64(3 * BITS)
TWO_PI, TWO_PI_REST = 2 * math.pi, 2.4492935982947064e-16
# Adding these and taking them away rounds to integers.  The first may round to even ones, but it serves for
# numbers up to 2**52 in size; the low bits of sums with the second hold the integer.
ROUND_LARGE, ROUND = 2.0**53, 1.5 * 2.0**52


@inlined
def _split(m, w):
    """Return an integer and a rest, 1 at most in size, whose sum is m * w: exactly, if m is an integer."""
    n = fma(m, w, ROUND_LARGE) - ROUND_LARGE
    return n, fma(m, w, -n)


@inlined
def quarter_turns(x):
    """Quarter turns of an angle, as an integer modulo 4, and the rest of it in radians, in two parts.

    The parts add up to at most pi / 4.  No double but 0 is nearer to a multiple of a quarter turn
    than 2**-63.6 turns.  The rest is right to 2**-150 turns before it is rounded to two parts, so all
    their digits are right.
    """
    exponent = (bits_of(x) >> 52) & 0x7FF  # and 1023
    exponent = exponent if exponent > 1023 else 1023
    m = x * real_of((1023 + 52 + 1023 - exponent) << 52)
    k = np.uint64(exponent - 1023)
    _, r_0 = _split(m, TABLE[k])
    n_1, r_1 = _split(m, TABLE[k + SECOND])
    n_2, r_2 = _split(m, TABLE[k + THIRD])
    # The first two sums are exact: multiples of 2**-52, 2 at most.  (Where m is no integer, the angle is
    # below 1, its first sum exact, and the second as good as the angle's own digits.)
    first = fma(n_1, UNIT, r_0)
    second = fma(n_2, UNIT, r_1)
    third = fma(m * UNIT, TABLE[k + FOURTH], r_2)
    quarters = fma(first, 4.0, ROUND)
    first = fma(quarters - ROUND, -0.25, first)
    turns = fma(second, UNIT, first)
    rest = fma(third, UNIT * UNIT, fma(second, UNIT, first - turns))
    angle = turns * TWO_PI
    return bits_of(quarters), angle, fma(turns, TWO_PI, -angle) + fma(turns, TWO_PI_REST, rest * TWO_PI)


@inlined
def factors_32(x):
    """Return m, w and w_rest of a float32: in turns it is ``m * (w + UNIT * w_rest)``, modulo 1.

    Here `m` is below 2**24: two entries give it to 2**-81 turns.  No float32 but 0 is nearer to a multiple
    of a quarter turn than 2**-31.9 turns.
    """
    exponent = (bits_of(x) >> 23) & 0xFF  # and 127
    exponent = exponent if exponent > 127 else 127
    m = np.float64(x * real_of(np.int32((127 + 23 + 127 - exponent) << 23)))
    k = np.uint64(exponent - 127 + (BITS - 23))
    return m, TABLE[k], TABLE[k + SECOND]
