"""Losses: the cost of a residual, as text that `generate` puts into a kernel."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numba.extending import is_jitted

from ..._fingerprint import identify
from ...checks import shown

# ``rho(z)`` of `scipy.optimize.least_squares` and its first two derivatives, for
# ``z = (residual / f_scale)**2``.  `T` makes a number of the kernel's precision; `v` and `w` are scratch.
OF_SQUARE = {
    "soft_l1": (
        "v = T(1.0) / np.sqrt(T(1.0) + z)",
        "rho0 = T(2.0) * z * (v / (T(1.0) + v))",  # also of small z
        "rho1 = v",
        "rho2 = T(-0.5) * v * v * v",
    ),
    "huber": (
        "v = T(1.0) / np.sqrt(max(z, T(1.0)))",
        "rho0 = z if z <= T(1.0) else T(2.0) / v - T(1.0)",
        "rho1 = v",
        "rho2 = T(0.0) if z <= T(1.0) else T(-0.5) * v * v * v",
    ),
    "cauchy": (
        "w = T(1.0) + z",
        "v = T(1.0) / w",
        "rho0 = log(w) + (z - (w - T(1.0))) * v",  # the last is what rounding took from small z
        "rho1 = v",
        "rho2 = -v * v",
    ),
    "arctan": (
        "v = T(1.0) / (T(1.0) + z * z)",
        "rho0 = T(atan(z))",
        "rho1 = v",
        "rho2 = T(-2.0) * z * v * v",
    ),
}
EPSILON = 2.0**-52  # least curvature, as in SciPy, in either precision
OF_USER = ("rho0, rho1, rho2 = loss(z)", "rho0 = T(rho0)", "rho1 = T(rho1)", "rho2 = T(rho2)")

# The deviance, twice the log-likelihood ratio; for the curvature stands Fisher's information 1 / f.
# Below `FLOOR` counts it goes on as a parabola with the slope and the information of there, so that a fit
# finds its way back from a model that is negative.  Of no counts the logarithm does not matter; that of 1e-20
# is finite for every model, even where a library has switched off subnormal numbers.
LIKELIHOODS = {
    "poisson": (
        "v = max(f, FLOOR)",
        "u = T(1.0) / v",
        "psi = (y - f) * u",
        "rho = T(2.0) * (v - y + y * log(max(y, T(1e-20)) * u)) + (v - f) * (T(2.0) * y - v - f) * u",
    ),
}

NAMES = "linear", *OF_SQUARE, *LIKELIHOODS


@dataclass(frozen=True)
class Loss:
    """Function to minimize.

    Attributes
    ----------
    name : str
        A name that `losses.NAMES` lists, or ``"user"``.
    function : callable or None
        The user's ``rho(z) -> (rho, rho', rho'')``, for Numba to compile.
    identity : str
        The digest of the function and of everything it refers to.
    """

    name: str
    function: Callable[..., Any] | None = field(default=None, compare=False)
    identity: str = ""

    @property
    def is_likelihood(self) -> bool:
        """Whether the data tell their own errors, so that there is no `sigma`."""
        return self.name in LIKELIHOODS

    @property
    def text(self) -> tuple[str, ...]:
        """Statements that assign `rho`, `psi` (minus half its derivative by f) and the curvature `u`."""
        if self.name == "linear":
            return ("psi = r",)
        if self.is_likelihood:
            return LIKELIHOODS[self.name]
        # The curvature of the loss, as in SciPy's least_squares, where it is positive.
        return (
            "z = r * r * c",
            *OF_SQUARE.get(self.name, OF_USER),
            "rho = rho0 / c",
            "psi = rho1 * r",
            f"u = max(rho1 + T(2.0) * rho2 * z, T({EPSILON}))",
        )


NAMED = {name: Loss(name) for name in NAMES}  # the same objects always: they are keys of kernels


def parse_loss(loss: Any, sigma: Any) -> Loss:
    """Return the loss of a name or function.

    Raises
    ------
    ValueError
        If there is no loss of that name, or if it is a likelihood and errors of the data are given.
    """
    if isinstance(loss, str) and loss in NAMED:
        if NAMED[loss].is_likelihood and sigma is not None:
            raise ValueError(f"`sigma` does not go with loss={loss!r}: counts tell their own errors.")
        return NAMED[loss]
    function = loss.py_func if is_jitted(loss) else loss
    if inspect.isfunction(function):
        return Loss("user", function, identify(function)[0])
    raise ValueError(f"`loss` must be one of {', '.join(map(repr, NAMES))} or a function, not {shown(loss)}.")
