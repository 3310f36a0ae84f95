"""Profiles of chi-square and the intervals of parameters that follow from them, for all fits at once."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...caller import warn
from ...checks import shown
from ...hyperparameters import choice, integer
from ..arrays import floats
from ..problem import Fits, Plan, bounds_of
from .levels import factors_of, parse_level
from .refits import Selection, own, refit, refit_plan_of

TOLERANCE = 1e-6  # relative error of the root of chi-square's rise: of an interval, about the same
ROUNDS = 60  # steps of the search of an end, at most
PATIENCE = 16  # growth of the steps outwards from which on they follow no secant
FARTHEST = 1e9  # symmetric half widths beyond which an interval does not close
WIDTHS = 3.0  # standard errors on each side of a profile
LOWER = 1e-3  # share of the allowed rise; a deeper minimum by more says that the fit was not at its own


class Profile(NamedTuple):
    """Trial values of a parameter, and the least chi-squares with them, each of shape (..., n_values)."""

    values: np.ndarray
    chi2: np.ndarray


class Base(NamedTuple):
    """Fits in double precision that a profile leaves from, of `fits` data sets."""

    plan: Plan
    numbers: np.ndarray  # numbers of the data sets
    popt: np.ndarray  # shape (fits, n): the parameters that are not tied
    pcov: np.ndarray
    chi2: np.ndarray


def base_of(fit: Any, some: np.ndarray) -> Base:
    """Prepare the given fits of the flat batch."""
    n = len(fit.parameters)
    plan = replace(refit_plan_of(fit), dtype=np.dtype(float))
    popt = own(fit, fit.popt.reshape(-1, n)[some].astype(float))
    pcov = own(fit, np.swapaxes(own(fit, fit.pcov.reshape(-1, n, n)[some]), 1, 2))
    numbers, chi2 = fit._numbers.ravel()[some], fit.chi2.ravel()[some].astype(float)
    if fit.popt.dtype != float:
        again = refit(plan, Selection(fit._data, numbers), numbers, popt)
        popt, chi2 = again.popt, again.chi2
    return Base(plan, numbers, popt, pcov, chi2)


def refit_at(fit: Any, base: Base, which: np.ndarray, start: np.ndarray, i: int) -> Fits:
    """Fit the other parameters of the given fits of `base`, with parameter `i` where `start` has it."""
    numbers = base.numbers[which]
    lower, upper = bounds_of(base.plan, numbers, start.shape[1])
    held = start[:, i].copy()
    start = np.clip(start, lower, upper)
    start[:, i] = held
    found = refit(base.plan, Selection(fit._data, numbers), numbers, start, fixed=i)
    found.chi2[np.isnan(found.chi2)] = np.inf  # where the model is not finite there is no fit
    return found


def profile(fit: Any, parameter: str, values: Any = None, points: int = 25) -> Profile:
    """Return the least chi-squares with a parameter at given values; see `FitResult.profile`."""
    i = _number_of(fit, parameter)
    integer(2)("points", points)
    batch = fit.chi2.shape
    popt, perr = fit.popt[..., i], fit.perr[..., i]
    if values is None:
        with np.errstate(invalid="ignore"):
            trial = popt[..., None] + np.linspace(-WIDTHS, WIDTHS, points) * perr[..., None]
        low, high = (bound[:, own_number(fit, i)].reshape(batch) for bound in _bounds(fit))
        trial = np.clip(trial, low[..., None], high[..., None])
    else:
        given = floats("values", values)
        if given.ndim not in (1, len(batch) + 1) or (given.ndim > 1 and given.shape[:-1] != batch):
            legal = "(n,)" if not batch else f"(n,) or {(*batch, 'n')}".replace("'", "")
            raise ValueError(f"`values` must have the shape {legal}, not {given.shape}.")
        trial = np.broadcast_to(given, (*batch, given.shape[-1]))
    trial = trial.reshape(popt.size, trial.shape[-1]).astype(float)
    chi2 = np.full(trial.shape, np.nan)
    some = _at_minimum(fit)
    if some.size:
        base, j = base_of(fit, some), own_number(fit, i)
        with np.errstate(all="ignore"):
            direction = base.pcov[:, :, j] / base.pcov[:, j, j][:, None]
        order = np.argsort(trial[some], axis=1)
        sorted_trial = np.take_along_axis(trial[some], order, axis=1)
        first = (sorted_trial < base.popt[:, j, None]).sum(axis=1)
        found = np.full(sorted_trial.shape, np.nan)
        # From the minimum to both sides, each fit from its neighbour's parameters.
        for sign in (1, -1):
            at, column = base.popt.copy(), first if sign > 0 else first - 1
            for _ in range(trial.shape[1]):
                inside = (column >= 0) & (column < trial.shape[1])
                which = np.flatnonzero(inside)
                which = which[np.isfinite(sorted_trial[which, column[which]])]
                if not which.size:
                    break
                value = sorted_trial[which, column[which]]
                start = at[which] + (value - at[which, j])[:, None] * direction[which]
                start[:, j] = value
                fits = refit_at(fit, base, which, start, j)
                found[which, column[which]] = fits.chi2
                fine = np.isfinite(fits.popt).all(axis=1)
                at[which[fine]] = fits.popt[fine]
                column = column + sign
        back = np.empty_like(found)
        np.put_along_axis(back, order, found, axis=1)
        chi2[some] = back
    return Profile(trial.reshape(*batch, trial.shape[-1]), chi2.reshape(*batch, trial.shape[-1]))


def conf_int(
    fit: Any, level: float | None = None, *, sigma: Any = None, method: str = "profile", **options: Any
) -> np.ndarray:
    """Return intervals of the parameters, shape (..., n_params, 2); see `FitResult.conf_int`."""
    choice("profile", "normal", "bootstrap")("method", method)
    level = parse_level(level, sigma)
    if method == "bootstrap":
        return fit.bootstrap(**options).conf_int(level)
    if options:
        raise TypeError(f"{', '.join(map(repr, options))}: options go with method='bootstrap'.")
    if method == "normal":
        with np.errstate(invalid="ignore"):
            half = fit.perr * factors_of(fit, level)[..., None]
        half[..., ~fit.varies] = np.where(np.isnan(fit.popt[..., ~fit.varies]), np.nan, 0)
        return np.stack([fit.popt - half, fit.popt + half], axis=-1)
    ends = np.full((fit.chi2.size, len(fit.parameters), 2), np.nan)
    fixed = np.flatnonzero(~fit.varies)
    ends[:, fixed] = fit.popt.reshape(-1, len(fit.parameters))[:, fixed, None]
    rise = _rise(fit, level)
    deeper = np.zeros(fit.chi2.size, bool)
    for i in np.flatnonzero(fit.free).tolist():
        some = _at_minimum(fit)
        if some.size:
            ends[some, i], deeper[some] = _ends(fit, some, i, rise[some], deeper[some])
    if deeper.any():
        _warn(deeper)
    return ends.reshape(*fit.popt.shape, 2)


def own_number(fit: Any, i: int) -> int:
    """Return a parameter's number among those that are not tied."""
    return i if fit._ties is None else int(np.count_nonzero(fit._ties.free[:i]))


def _number_of(fit: Any, parameter: str) -> int:
    names = [name for name, is_free in zip(fit.parameters, fit.free, strict=True) if is_free]
    if not isinstance(parameter, str) or parameter not in names:  # type: ignore[redundant-expr]
        raise ValueError(
            f"`parameter` must be one of {', '.join(names)}, which were fitted, not {shown(parameter)}."
        )
    return fit.parameters.index(parameter)


def _bounds(fit: Any) -> tuple[np.ndarray, np.ndarray]:
    plan = refit_plan_of(fit)
    return bounds_of(plan, fit._numbers.ravel(), plan.fixed.size)


def _at_minimum(fit: Any) -> np.ndarray:
    """Return which fits of the flat batch have a profile: those at a minimum."""
    return np.flatnonzero(fit.success.ravel())


def _rise(fit: Any, level: float) -> np.ndarray:
    """Return by how much chi-square may rise inside of an interval, for the flat batch."""
    square = factors_of(fit, level) ** 2
    if fit._is_absolute:
        return square.ravel()
    with np.errstate(invalid="ignore"):
        scale = np.where(fit.dof > 0, fit.reduced_chi2.astype(float), 1)
        return (square * scale).ravel()


def _ends(fit: Any, some: Any, i: int, rise: np.ndarray, deeper: np.ndarray) -> Any:
    """Find both ends of the intervals of one parameter, shape (fits, 2)."""
    base, j = base_of(fit, some), own_number(fit, i)
    lower, upper = bounds_of(base.plan, base.numbers, base.popt.shape[1])
    # The lower ends first, then the upper ones.
    side = np.repeat([-1.0, 1.0], some.size)
    rows = np.tile(np.arange(some.size), 2)
    centre, allowed = base.popt[rows, j], rise[rows]
    bound = np.where(side < 0, lower[rows, j], upper[rows, j])
    with np.errstate(all="ignore"):
        unit = np.sqrt(base.pcov[rows, j, j])
        scale = np.ones(some.size) if fit._is_absolute else fit.reduced_chi2.ravel()[some].astype(float)
        unit = unit * np.sqrt(allowed / scale[rows])
        direction = base.pcov[rows, :, j] / base.pcov[rows, j, j][:, None]
    known = np.isfinite(unit) & (unit > 0)
    end = np.where(np.isinf(allowed) | np.isinf(unit), side * np.inf, centre)
    end = np.where(known, end, np.clip(end, lower[rows, j], upper[rows, j]))
    search = _Search(centre, side, unit, bound, known & (bound != centre))
    # Parameters at the inner and outer point of the bracket, to start from.
    inner_p, outer_p = base.popt[rows].copy(), np.full((rows.size, base.popt.shape[1]), np.nan)
    for _ in range(ROUNDS):
        active = np.flatnonzero(search.active)
        if not active.size:
            break
        trial = search.trials()[active]
        at, outer = search.inner[active], search.outer[active]
        with np.errstate(all="ignore"):
            share = ((trial - at) / (outer - at))[:, None]
            between = inner_p[active] + share * (outer_p[active] - inner_p[active])
        start = inner_p[active] + (trial - at)[:, None] * direction[active]
        start = np.where(np.isfinite(between).all(axis=1)[:, None], between, start)
        start[:, j] = trial
        found = refit_at(fit, base, rows[active], start, j)
        with np.errstate(all="ignore"):
            risen = (found.chi2 - base.chi2[rows[active]]) / allowed[active]
        below = risen < -LOWER
        deeper[rows[active[below]]] = True
        height = np.sqrt(np.maximum(risen, 0))
        search.take(active, trial, height)
        is_inner = (height <= 1)[:, None]
        inner_p[active] = np.where(is_inner, found.popt, inner_p[active])
        outer_p[active] = np.where(is_inner, outer_p[active], found.popt)
    end = np.where(search.begun, search.end, end)
    ends = end.reshape(2, -1).T
    ends[deeper] = np.nan
    return ends, deeper


class _Search:
    """Search of the points at which heights pass 1, side by side.

    The height is the root of chi-square's rise in units of the one that is allowed: for a linear model it
    grows in proportion to the distance, so that secants find the end in few steps.
    """

    def __init__(self, centre: Any, side: Any, unit: Any, bound: Any, begun: Any) -> None:
        self.centre, self.side, self.unit, self.bound, self.begun = centre, side, unit, bound, begun
        self.active = begun.copy()
        self.inner, self.inner_height = centre.copy(), np.zeros(centre.size)
        self.outer, self.outer_height = np.full(centre.size, np.nan), np.full(centre.size, np.nan)
        self.weight = np.ones(centre.size)  # weight of the outer height, by the Illinois rule
        self.last_inner = np.ones(centre.size, bool)
        self.growth = np.full(centre.size, 2.0)
        self.end = np.full(centre.size, np.nan)

    def trials(self) -> np.ndarray:
        """Return the next points."""
        with np.errstate(all="ignore"):
            distance = self.side * (self.inner - self.centre)
            secant = distance / self.inner_height
            widest = np.where(distance > 0, distance * self.growth, self.unit)
            # A profile that levels off misleads secants.
            near = np.where(self.growth > PATIENCE, widest, np.clip(secant * 1.02, 1.1 * distance, widest))
            open_end = np.where(distance > 0, near, self.unit)
            open_end = self.centre + self.side * np.where(np.isnan(open_end), widest, open_end)
            share = (1 - self.inner_height) / (1 - self.inner_height + self.weight * (self.outer_height - 1))
            share = np.where(np.isfinite(self.outer_height), share, 0.5)
            closed = self.inner + np.clip(share, 1e-3, 1 - 1e-3) * (self.outer - self.inner)
            trial = np.where(np.isnan(self.outer), open_end, closed)
        low, high = np.where(self.side < 0, self.bound, -np.inf), np.where(self.side > 0, self.bound, np.inf)
        return np.clip(trial, low, high)

    def take(self, which: np.ndarray, trial: np.ndarray, height: np.ndarray) -> None:
        """Take in the heights at the trial points, and end the searches that are done."""
        inside = height <= 1
        inner, outer = which[inside], which[~inside]
        # The end that stays twice in a row weighs less the next time.
        again_in, again_out = self.last_inner[inner], ~self.last_inner[outer]
        self.weight[inner] = np.where(again_in, self.weight[inner] / 2, 1)
        self.weight[outer] = np.where(again_out, self.weight[outer] * 2, 1)
        self.last_inner[inner], self.last_inner[outer] = True, False
        self.inner[inner], self.inner_height[inner] = trial[inside], height[inside]
        self.outer[outer], self.outer_height[outer] = trial[~inside], height[~inside]
        self.growth[which] = np.minimum(self.growth[which] * 2, 100)
        met = np.abs(height - 1) <= TOLERANCE
        width = np.abs(self.outer[which] - self.inner[which])
        met |= width <= TOLERANCE * np.abs(trial - self.centre[which])
        met |= width <= 4 * np.finfo(float).eps * np.abs(trial)
        at_bound = inside & (trial == self.bound[which])
        with np.errstate(all="ignore"):
            far = np.abs(trial - self.centre[which]) > FARTHEST * self.unit[which]
        endless = inside & (far | ~np.isfinite(trial)) & ~at_bound
        self.end[which[met | at_bound]] = trial[met | at_bound]
        self.end[which[endless]] = self.side[which[endless]] * np.inf
        self.active[which[met | at_bound | endless]] = False


def _warn(deeper: np.ndarray) -> None:
    warn(
        f"{np.count_nonzero(deeper):,} of {deeper.size:,} fits are not at their least chi-square: the search "
        "of their intervals found lower ones, and the intervals are NaN. Fit again with search='all'."
    )
