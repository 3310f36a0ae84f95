"""The user's function behind one interface: value and gradient at a point, and their count."""

from collections.abc import Callable

import numpy as np

SCHEMES = ("2-point", "3-point")


class Objective:
    """Value and gradient of what the user gave to ``minimize``.

    Every call of the user's code gets a copy of the point, and what comes back is checked and
    copied: code that writes to its argument or reuses a buffer does no harm.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``, returning the value, or ``(value, gradient)`` if `jac` is True.
    jac : True, callable or None
        True if `fun` returns both, ``jac(x, *args)`` for the gradient alone, None for differences.
    args : tuple
        Further arguments of `fun` and `jac`.
    differences : Differences or None
        How to difference `fun`; used where `jac` is None.

    Attributes
    ----------
    nfev, njev : int
        Values and gradients computed so far; differences count in `nfev` as well.
    value_is_free : bool
        Whether the gradient comes with the value at no further cost.
    """

    def __init__(self, fun: Callable, jac, args: tuple, differences: "Differences | None") -> None:
        self.fun, self.jac, self.args, self.differences = fun, jac, args, differences
        self.nfev = self.njev = 0
        self.value_is_free = not callable(jac)

    def value(self, x: np.ndarray) -> float:
        """Return the value at `x`."""
        if self.jac is True:
            return self.value_and_gradient(x)[0]
        self.nfev += 1
        return _as_value(self.fun(x.copy(), *self.args))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient at `x`, by `jac` alone."""
        self.njev += 1
        return _as_gradient(self.jac(x.copy(), *self.args), x.size)

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both at `x`."""
        if self.jac is True:
            self.nfev += 1
            self.njev += 1
            result = self.fun(x.copy(), *self.args)
            try:
                f, g = result
            except (TypeError, ValueError):
                raise ValueError(
                    "With `jac=True`, `fun` must return the value and the gradient as (f, g); "
                    f"it returned {_described(result)}."
                ) from None
            return _as_value(f), _as_gradient(g, x.size)
        f = self.value(x)
        if callable(self.jac):
            return f, self.gradient(x)
        assert self.differences is not None
        self.njev += 1
        return f, self.differences.gradient(self.value, x, f)


class Differences:
    """Gradients by finite differences, at points that stay within the bounds.

    Parameters
    ----------
    scheme : {"2-point", "3-point"}
        Forward differences, n evaluations a gradient, or central ones, 2 n evaluations.
    lower, upper : ndarray, shape (n,)
        Bounds.  Where the step of the scheme would leave them, it is turned around.
    relative, absolute : None, float or array of shape (n,)
        Step relative to ``max(1, abs(x))`` (by default the root, or the cube root, of the rounding
        error of double precision), or absolute, which wins.
    """

    def __init__(self, scheme: str, lower, upper, relative=None, absolute=None) -> None:
        self.central = scheme == "3-point"
        self.lower, self.upper = lower, upper
        self.relative, self.absolute = relative, absolute

    def gradient(self, value: Callable, x: np.ndarray, f: float) -> np.ndarray:
        """Return the gradient of `value` at `x`, where it is `f`."""
        g = np.zeros_like(x)
        for i, step in enumerate(self._steps(x)):
            below, above = x[i] - self.lower[i], self.upper[i] - x[i]
            if self.central and step <= min(below, above):
                low, high = self._moved(x, i, -step), self._moved(x, i, step)
                g[i] = (value(high) - value(low)) / (high[i] - low[i])
            elif self.central and 2 * step <= max(below, above):
                g[i] = self._one_sided(value, x, i, f, step if above > below else -step)
            elif max(below, above) > 0:  # a fixed variable has no gradient
                step = min(step, max(below, above))
                point = self._moved(x, i, step if step <= above else -step)
                g[i] = (value(point) - f) / (point[i] - x[i])
        return g

    def _steps(self, x: np.ndarray) -> np.ndarray:
        if self.absolute is not None:
            return np.broadcast_to(self.absolute, x.shape)
        default = np.finfo(float).eps ** (1 / 3 if self.central else 1 / 2)
        return (default if self.relative is None else self.relative) * np.maximum(1.0, np.abs(x))

    def _one_sided(self, value: Callable, x: np.ndarray, i: int, f: float, step: float) -> float:
        """Second-order difference from three points on one side."""
        near, far = self._moved(x, i, step), self._moved(x, i, 2 * step)
        return (4 * value(near) - 3 * f - value(far)) / (far[i] - x[i])

    def _moved(self, x: np.ndarray, i: int, step: float) -> np.ndarray:
        point = x.copy()
        point[i] = min(max(x[i] + step, self.lower[i]), self.upper[i])
        return point


def _as_value(value) -> float:
    if type(value) is float or type(value) is np.float64:
        return float(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"The user-provided objective function must return a scalar value, a real number; `fun` returned "
            f"{_described(value)}."
        )
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value; "
            f"`fun` returned an array of shape {array.shape}."
        )
    return float(array.item())


def _as_gradient(gradient, n: int) -> np.ndarray:
    array = np.asarray(gradient)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"The gradient must be an array of real numbers; it is {_described(gradient)}.")
    if array.shape != (n,) and not (n == 1 and array.size == 1):
        raise ValueError(f"The gradient must have the shape of `x0`, ({n},); its shape is {array.shape}.")
    return np.array(array, dtype=float).reshape(n)


def _described(value) -> str:
    """Type and, where it is short, value."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else f"a {type(value).__name__}"
