"""Values of fitted models, their bands, and quantities that follow from the parameters."""

from typing import Any, NamedTuple

import numpy as np

from ... import _linalg as linalg
from ...checks import shown
from ...hyperparameters import choice
from ..arrays import floats
from ..kernels.losses import Loss
from ..kernels.rows import rows_kernel
from ..model.constants import lifted
from ..model.grammar import check_names, parse
from ..problem import bounds_of
from ..ties import Expressions
from .levels import factors_of, parse_level
from .refits import own, plan_of

NUMBERS = 1 << 21  # entries of a Jacobian in memory at a time


class Band(NamedTuple):
    """Values of a model and the ends of their intervals, each of shape (..., m)."""

    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class Derived(NamedTuple):
    """A quantity that follows from the parameters, and its standard error, each of the batch's shape."""

    value: np.ndarray
    error: np.ndarray


def points_of(fit: Any, x: Any) -> np.ndarray:
    """Return the variables, shape (n_variables, m) for all fits, or (fits, n_variables, m).

    Without `x` they are those of the data; the places of points that a data set does not have are NaN.
    """
    n = len(fit.model.variables)
    if x is None:
        numbers = fit._numbers.ravel()
        if not numbers.size:
            return np.empty((n, fit._data.longest))
        block = fit._data.block(numbers, np.float64)
        return block.data[:, 1 + block.weighted :] if block.own_x else block.x[:n]
    points, batch = floats("x", x), fit.chi2.shape
    if n == 1 and points.ndim < 2:
        return points.reshape(1, -1)
    if points.ndim == 2 and len(points) == n and not (n == 1 and batch == (1,)):
        return points
    if points.shape[:-2] == batch and points.ndim == len(batch) + 2 and points.shape[-2] == n:
        return points.reshape(-1, n, points.shape[-1])
    if n == 1 and points.shape[:-1] == batch:
        return points.reshape(-1, 1, points.shape[-1])
    legal = f"(m,) or {(*batch, 'm')}" if n == 1 else f"({n}, m) or {(*batch, n, 'm')}"
    raise ValueError(f"`x` must have the shape {legal}; it has {points.shape}.".replace("'", ""))


def linearized(fit: Any, x: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and derivatives by the parameters that are not tied, shapes (fits, m), (fits, m, n).

    Parameters
    ----------
    x : ndarray
        As `points_of` returns it.
    some : ndarray of int
        Which fits of the flat batch; their parameters are finite.
    """
    plan = plan_of(fit)
    p = np.ascontiguousarray(own(fit, fit.popt.reshape(-1, len(fit.parameters))[some]), float)
    x = x[some] if x.ndim == 3 else x
    m = x.shape[-1]
    zeros = np.zeros((len(p), 1, m))  # as data: the residuals are the model's negative values
    out, cost = np.empty((len(p), m, p.shape[1] + 1)), np.zeros(len(p))
    own_x = x.ndim == 3
    data = np.concatenate([zeros, x], axis=1) if own_x else zeros
    rows = rows_kernel(plan.model, False, own_x, False, Loss("linear"))
    numbers = fit._numbers.ravel()[some]
    bounds = (np.ascontiguousarray(bound, float) for bound in bounds_of(plan, numbers, p.shape[1]))
    shared = np.empty((x.shape[-2], 0)) if own_x else np.ascontiguousarray(x)
    apart = lifted(plan.model)
    with np.errstate(all="ignore"):
        rows(shared, apart.constants, data, p, *bounds, 1.0, 0, m, out, cost)
    return -out[..., -1], out[..., :-1]


def pieces(fit: Any, m: int) -> Any:
    """Yield the numbers of fits that have parameters, some at a time."""
    n = len(fit.parameters)
    known = np.flatnonzero(np.isfinite(fit.popt.reshape(-1, n)).all(axis=1))
    step = max(1, NUMBERS // max(1, m * (n + 1)))
    for first in range(0, known.size, step):
        yield known[first : first + step]


def predict(fit: Any, x: Any = None) -> np.ndarray:
    """Return the values of the models, shape (..., m)."""
    plan_of(fit)
    points = points_of(fit, x)
    values = np.full((fit.chi2.size, points.shape[-1]), np.nan)
    for some in pieces(fit, points.shape[-1]):
        values[some] = linearized(fit, points, some)[0]
    values = values.reshape(*fit.chi2.shape, points.shape[-1])
    return values[..., 0] if x is not None and np.ndim(x) == 0 else values


def data_of(fit: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return y and weights, 1 / sigma or 1, of the data; both 0 where a point is left out."""
    numbers = fit._numbers.ravel()
    if not numbers.size:
        return np.empty((0, fit._data.longest)), np.empty((0, fit._data.longest))
    block = fit._data.block(numbers, np.float64)
    weights = block.data[:, 1] if block.weighted else np.ones(block.data[:, 0].shape)
    return block.data[:, 0], weights


def residuals(fit: Any) -> np.ndarray:
    """Return the data less the models, shape (..., m); NaN where a point is left out."""
    y, weights = data_of(fit)
    values = predict(fit).reshape(y.shape)
    return np.where(weights > 0, y - values, np.nan).reshape(*fit.chi2.shape, y.shape[-1])


def r_squared(fit: Any) -> np.ndarray:
    """Return the coefficient of determination, shape (...)."""
    y, weights = data_of(fit)
    squares = weights**2
    left = np.nan_to_num(residuals(fit).reshape(y.shape)) * weights
    with np.errstate(all="ignore"):
        mean = (squares * y).sum(axis=1) / squares.sum(axis=1)
        share = (left**2).sum(axis=1) / (squares * (y - mean[:, None]) ** 2).sum(axis=1)
    share[np.isnan(fit.chi2.ravel())] = np.nan
    return (1 - share).reshape(fit.chi2.shape)


def roots_of(fit: Any, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return roots of covariances of the parameters that are not tied, and scales of their squares.

    Infinite roots belong to parameters that are not determined, infinite scales to an unknown scatter.
    """
    n = len(fit.parameters)
    roots, chi2 = fit._roots(fit._numbers.ravel()[some], fit.popt.reshape(-1, n)[some], some)
    if fit._is_absolute:
        return roots, np.ones(some.size)
    dof = fit.dof.ravel()[some]
    return roots, np.where(dof > 0, chi2 / np.maximum(dof, 1), np.inf)


def variances(fit: Any, slopes: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Return variances of functions of the parameters that are not tied, shape (fits, m).

    Parameters
    ----------
    slopes : ndarray, shape (fits, m, n)
        Their derivatives.
    """
    roots, scale = roots_of(fit, some)
    unknown = np.isinf(roots).any(axis=(1, 2)) | np.isinf(scale)
    roots, scale = np.where(unknown[:, None, None], 0, roots), np.where(unknown, 1, scale)
    # The squares of products with a root: products with a covariance matrix may cancel.
    found = (linalg.matmul(slopes, roots) ** 2).sum(axis=-1) * scale[:, None]
    depends = (np.abs(slopes[..., ~plan_of(fit).fixed]) > 0).any(axis=-1)
    return np.where(unknown[:, None] & depends, np.inf, found)


def band(
    fit: Any, x: Any = None, kind: str = "confidence", level: float | None = None, sigma: Any = None
) -> Band:
    """Return values and bands of the models; see `FitResult.band`."""
    choice("confidence", "prediction")("kind", kind)
    level = parse_level(level, sigma)
    plan = plan_of(fit)
    if kind == "prediction" and (plan.loss.name != "linear" or fit._data.sigma is not None):
        raise ValueError(
            "A prediction band needs one normal error at every `x`, so a fit with loss='linear' and without "
            "`sigma`: else add the errors of new points to the confidence band, in quadrature."
        )
    points = points_of(fit, x)
    values = np.full((fit.chi2.size, points.shape[-1]), np.nan)
    half = np.full(values.shape, np.nan)
    for some in pieces(fit, points.shape[-1]):
        values[some], slopes = linearized(fit, points, some)
        square = variances(fit, slopes, some)
        if kind == "prediction":
            square += roots_of(fit, some)[1][:, None]
        half[some] = np.sqrt(square) * factors_of(fit, level).ravel()[some, None]
    shape = (*fit.chi2.shape, points.shape[-1])
    with np.errstate(invalid="ignore"):
        found = Band(values.reshape(shape), (values - half).reshape(shape), (values + half).reshape(shape))
    return Band(*(part[..., 0] for part in found)) if x is not None and np.ndim(x) == 0 else found


def derive(fit: Any, formula: str) -> Derived:
    """Return a quantity and its standard error; see `FitResult.derive`."""
    if not isinstance(formula, str):
        raise ValueError(f"`formula` must be a string such as '2 * a', not {shown(formula)}.")
    names = fit.parameters
    check_names(formula, parse(formula), names, f"the parameters {names}, nor a constant")
    plan_of(fit)
    label = next(name for name in map("derived_{}".format, range(len(names) + 1)) if name not in names)
    expressions = Expressions((*names, label), {label: formula})
    popt = fit.popt.reshape(-1, len(names)).astype(float)
    everything = expressions.all_of(popt)
    error = np.full(len(popt), np.nan)
    for some in pieces(fit, 1):
        slopes = expressions.slopes(everything[some])[:, -1:]
        if fit._ties is not None:
            slopes = slopes @ fit._ties.slopes(popt[some])
        error[some] = np.sqrt(variances(fit, slopes, some)[:, 0])
    value = np.where(np.isnan(popt).any(axis=1), np.nan, everything[:, -1])
    return Derived(value.reshape(fit.chi2.shape), error.reshape(fit.chi2.shape))
