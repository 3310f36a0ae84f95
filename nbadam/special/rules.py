"""Derivatives of SciPy's special functions: NIST Digital Library of Mathematical Functions, by section.

An order, such as that of a Bessel function, has no derivative in closed form: a model with a parameter
there is differentiated by differences.
"""

import math
from collections.abc import Callable
from typing import Any

from ..dual.digamma import digamma, trigamma
from ..dual.elementary import bell, sign
from ..dual.trace import absolute, call, exp, log, where
from ..vector_math.faddeeva import profile_slopes

ROOT_2, ROOT_PI = math.sqrt(2), math.sqrt(math.pi)
TWO_OVER_ROOT_PI = 2 / ROOT_PI
LARGE = 50.0  # smallest argument at which the asymptotic series of the error functions have all digits
HUGE = 1e3  # argument from which on five terms give all digits of the slopes of scaled Bessel functions
SMALL = 1e-3  # largest argument at which the power series of the elliptic integrals have all digits
# Squares of the binomial coefficients of (1 - x)**(-1/2), from the second.
ELLIPTIC = 1 / 4, 9 / 64, 25 / 256, 1225 / 16384, 3969 / 65536

# Coefficients of 1 / x in 1 - I1 / I0 and 1 + 1 / x - I0 / I1 (10.40.1).  For K signs alternate.
SCALED_0 = 1 / 2, 1 / 8, 1 / 8, 25 / 128, 13 / 32
SCALED_1 = 1 / 2, -3 / 8, -3 / 8, -63 / 128, -27 / 32

# The rule of each function, and the arguments that must be no parameters.
RULES: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {}


def add(rule: Callable[..., Any], *names: str, orders: tuple[int, ...] = ()) -> None:
    """Enter the rule of a function."""
    RULES.update(dict.fromkeys(names, (rule, orders)))


def special(name: str, *arguments):
    """Call a special function of SciPy, which the derivative of another one needs."""
    from scipy import special

    return call(getattr(special, name), *arguments)


# --- Section 7: error functions -------------------------------------------------------------------


def tail(x, flip: float):
    """Sum of the asymptotic series (7.12.1) without its first term, in ``flip / (2 x**2)``."""
    z = flip / (2.0 * x * x)
    return z * (1.0 + z * (3.0 + z * (15.0 + z * (105.0 + z * (945.0 + z * 10395.0)))))


def erfcx(f, x):
    y = f(x)
    near = 2.0 * x * y - TWO_OVER_ROOT_PI
    return y, where(x > LARGE, TWO_OVER_ROOT_PI * tail(x, -1.0), near)


def dawsn(f, x):
    y = f(x)
    return y, where(x * x > LARGE**2, -tail(x, 1.0), 1.0 - 2.0 * x * y)


def voigt_profile(f, x, sigma, gamma):
    """``Re(w(z)) / (sigma sqrt(2 pi))`` with ``z = (x + i gamma) / (sigma sqrt(2))`` (7.19)."""
    _, *slopes = call(profile_slopes, x, sigma, gamma)
    return f(x, sigma, gamma), *slopes


def log_ndtr(f, x):
    """``log(erfc(z) / 2)`` with ``z = -x / sqrt(2)``; its slope is ``sqrt(2 / pi) / erfcx(z)``."""
    return f(x), ROOT_2 / ROOT_PI / special("erfcx", x * (-1.0 / ROOT_2))


add(lambda f, x: (f(x), bell(x)), "erf")
add(lambda f, x: (f(x), -bell(x)), "erfc")
add(lambda f, x: (f(x), TWO_OVER_ROOT_PI * exp(x * x)), "erfi")
add(erfcx, "erfcx")
add(dawsn, "dawsn")
add(lambda f, x: (y := f(x), ROOT_PI / 2 * exp(y * y)), "erfinv")
add(lambda f, x: (y := f(x), -ROOT_PI / 2 * exp(y * y)), "erfcinv")
add(lambda f, x: (f(x), exp(-0.5 * x * x) / (ROOT_2 * ROOT_PI)), "ndtr")
add(log_ndtr, "log_ndtr")
add(lambda f, x: (y := f(x), ROOT_2 * ROOT_PI * exp(0.5 * y * y)), "ndtri")
add(voigt_profile, "voigt_profile")

# --- Sections 5, 6 and 8: gamma functions, exponential integrals, incomplete gamma functions --------


def beta(f, a, b):
    y, common = f(a, b), call(digamma, a + b)
    return y, lambda: y * (call(digamma, a) - common), lambda: y * (call(digamma, b) - common)


def betaln(f, a, b):
    common = call(digamma, a + b)
    return f(a, b), lambda: call(digamma, a) - common, lambda: call(digamma, b) - common


def gamma_density(a, x):
    """Return the derivative of the incomplete gamma function (8.8.13)."""
    return exp((a - 1.0) * log(x) - x - special("gammaln", a))


def expn(f, n, x):
    y = f(n, x)
    return y, None, where(n == 0, -y * (1.0 + 1.0 / x), -special("expn", where(n == 0, 1.0, n - 1.0), x))


def betainc(f, a, b, x):
    density = exp(special("xlogy", a - 1.0, x) + special("xlog1py", b - 1.0, -x) - special("betaln", a, b))
    return f(a, b, x), None, None, density


add(lambda f, x: (y := f(x), y * call(digamma, x)), "gamma")
add(lambda f, x: (y := f(x), -y * call(digamma, x)), "rgamma")
add(lambda f, x: (f(x), call(digamma, x)), "gammaln", "loggamma")
add(lambda f, x: (f(x), call(trigamma, x)), "psi")
add(beta, "beta")
add(betaln, "betaln")
add(lambda f, x: (f(x), exp(x) / x), "expi")
add(lambda f, x: (f(x), -exp(-x) / x), "exp1")
add(expn, "expn", orders=(0,))
add(lambda f, a, x: (f(a, x), None, gamma_density(a, x)), "gammainc", orders=(0,))
add(lambda f, a, x: (f(a, x), None, -gamma_density(a, x)), "gammaincc", orders=(0,))
add(betainc, "betainc", orders=(0, 1))

# --- Section 10: Bessel functions -----------------------------------------------------------------


def at_zero(x, limit: float, otherwise):
    """Select the limit of a derivative at 0."""
    return where(x == 0, limit, otherwise)


def cylinder(name: str, before: float, after: float) -> Callable[..., Any]:
    """Make the rule of a Bessel function of any order from its neighbours (10.6.1, 10.29.1)."""

    def rule(f, v, x):
        below, above = special(name, v - 1.0, x), special(name, v + 1.0, x)
        return f(v, x), None, before * below + after * above

    return rule


add(lambda f, x: (f(x), -special("j1", x)), "j0")
add(lambda f, x: (y := f(x), at_zero(x, 0.5, special("j0", x) - y / x)), "j1")
add(lambda f, x: (f(x), -special("y1", x)), "y0")
add(lambda f, x: (y := f(x), special("y0", x) - y / x), "y1")
add(lambda f, x: (f(x), special("i1", x)), "i0")
add(lambda f, x: (y := f(x), at_zero(x, 0.5, special("i0", x) - y / x)), "i1")
add(lambda f, x: (f(x), -special("k1", x)), "k0")
add(lambda f, x: (y := f(x), -special("k0", x) - y / x), "k1")


def scaled(near: Callable[..., Any], terms: tuple[float, ...], flip: float) -> Callable[..., Any]:
    """Make the rule of a scaled Bessel function; far from 0 the terms of its slope `near` cancel."""

    def rule(f, x):
        y = f(x)
        z, total = flip / absolute(x), 0.0
        for term in reversed(terms):
            total = (total + term) * z
        return y, where(absolute(x) > HUGE, -flip * sign(x) * y * total, near(x, y))

    return rule


def i1e_slope(x, y):
    return at_zero(x, 0.5, special("i0e", x) - sign(x) * y - y / x)


add(scaled(lambda x, y: special("i1e", x) - sign(x) * y, SCALED_0, 1.0), "i0e")
add(scaled(i1e_slope, SCALED_1, 1.0), "i1e")
add(scaled(lambda x, y: y - special("k1e", x), SCALED_0, -1.0), "k0e")
add(scaled(lambda x, y: y - special("k0e", x) - y / x, SCALED_1, -1.0), "k1e")
for name, before, after in (
    ("jv", 0.5, -0.5),
    ("yv", 0.5, -0.5),
    ("yn", 0.5, -0.5),
    ("iv", 0.5, 0.5),
    ("kv", -0.5, -0.5),
    ("kn", -0.5, -0.5),
):
    add(cylinder(name, before, after), name, orders=(0,))

# --- Section 19: elliptic integrals, of the parameter m = k**2 --------------------------------------


def elliptic_series(m, weights):
    """Sum of ``n c_n w_n m**(n - 1)``, times pi / 2."""
    total = 0.0 * m
    for n in range(len(ELLIPTIC), 0, -1):
        total = total * m + n * ELLIPTIC[n - 1] * weights(n)
    return math.pi / 2 * total


def ellipk(f, m):
    y = f(m)
    slope = (special("ellipe", m) / (1.0 - m) - y) / (2.0 * m)
    return y, where(m * m < SMALL**2, elliptic_series(m, lambda n: 1), slope)


def ellipe(f, m):
    y = f(m)
    slope = (y - special("ellipk", m)) / (2.0 * m)
    return y, where(m * m < SMALL**2, elliptic_series(m, lambda n: -1 / (2 * n - 1)), slope)


def ellipkm1(f, p):
    y = f(p)
    slope = -(special("ellipe", 1.0 - p) / p - y) / (2.0 * (1.0 - p))
    series = -elliptic_series(1.0 - p, lambda n: 1)
    return y, where((1.0 - p) * (1.0 - p) < SMALL**2, series, slope)


add(ellipk, "ellipk")
add(ellipe, "ellipe")
add(ellipkm1, "ellipkm1")

# --- Logistic functions and other elementary ones ---------------------------------------------------


def expit(f, x):
    y = f(x)
    return y, y * f(-x)


def xlogy(f, x, y):
    return f(x, y), lambda: log(y), lambda: at_zero(x, 0.0, x / y)


def xlog1py(f, x, y):
    return f(x, y), lambda: call(math.log1p, y), lambda: x / (1.0 + y)


add(expit, "expit")
add(lambda f, x: (f(x), 1.0 / (x * (1.0 - x))), "logit")
add(lambda f, x: (f(x), special("expit", -x)), "log_expit")
add(xlogy, "xlogy")
add(xlog1py, "xlog1py")
add(lambda f, x: (f(x), exp(x)), "expm1")
add(lambda f, x: (f(x), 1.0 / (1.0 + x)), "log1p")
add(lambda f, x: (y := f(x), math.log(2) * y), "exp2")
add(lambda f, x: (y := f(x), math.log(10) * y), "exp10")
add(lambda f, x: (y := f(x), 1.0 / (3.0 * y * y)), "cbrt")
add(lambda f, x: (f(x), -call(math.sin, x)), "cosm1")
