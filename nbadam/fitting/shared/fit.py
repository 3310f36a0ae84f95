"""`curve_fit` where data sets share parameters, or have models of their own."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...blocks import default_workers
from ...checks import number, shown
from ...hyperparameters import integer
from ...shuffling import seed_numbers
from ...status import Status
from ..arguments import parse_dtype, positive
from ..data import CorrelatedSet
from ..kernels.losses import parse_loss
from ..model.elementwise import check_elementwise
from ..model.pointwise import pointwise
from ..parameters import check_tied, parse_bounds, parse_fixed, parse_start
from ..parsing import parse_data
from ..problem import Plan
from ..ties import Ties
from .errors import Together
from .members import Part
from .result import SharedResult
from .several import Models, SeveralModels, part_of
from .sharing import Sharing, independent, parse_shared
from .starts import Search
from .whole import Whole

MAX_NFEV = 2000


def fit_shared(
    f: Any, xdata: Any, ydata: Any, p0: Any, sigma: Any, absolute_sigma: bool, bounds: Any, method: str,
    jac: Any, shared: Any, *, loss: Any, f_scale: Any, mask: Any, fixed: Any, tied: Any, dtype: Any,
    ftol: float | None, xtol: float | None, max_nfev: int | None, batch_size: int | None, rng: Any,
    search: str, workers: int | None, progress: bool,
) -> SharedResult:  # fmt: skip
    """Fit as `curve_fit` does, with parameters that data sets share.

    Raises
    ------
    ValueError
        If an argument is out of range, or does not go with `shared`.
    """
    if shared is None:
        raise ValueError("A list of models goes with `shared`, the parameters that they have in common.")
    for name, value, default in (("method", method, "lm"), ("search", search, "never")):
        if value != default:
            raise ValueError(f"`shared` goes with {name}={default!r}, not {value!r}.")
    if batch_size is not None:
        raise ValueError("`batch_size` does not go with `shared`: all points are fitted.")
    loss = parse_loss(loss, sigma)
    dtype = parse_dtype(dtype)
    first = f[0] if isinstance(f, list | tuple) and f else f
    sets, batch, variables = parse_data(first, p0, xdata, ydata, sigma, mask)
    if isinstance(sets, CorrelatedSet):
        raise ValueError("`shared` goes with several data sets; a covariance matrix as `sigma` with one.")
    models = Models.of(f, jac, p0, batch, variables)
    names = models.parameters
    is_searched = p0 is None and any(model.guess is None for model in models.models)
    if is_searched and len(models.models) > 1:
        raise ValueError("Different models need a start: pass `p0` by name, such as {'a': 1, 'tau': 2}.")
    if rng is not None and not is_searched:
        raise ValueError("`rng` goes with a search for starts, without `p0`: nothing else is random.")
    sharing = parse_shared(shared, names, batch)
    is_fixed, fixed_at = parse_fixed(fixed, names)
    lower, upper = parse_bounds(bounds, batch, names)
    ties = _ties(models, tied)
    keep = np.ones(len(names), bool) if ties is None else ties.free
    check_tied(keep, is_fixed, lower, upper, names)
    for name in sharing.names:
        for what, has in (("fixed", is_fixed), ("tied", ~keep)):
            if has[names.index(name)]:
                raise ValueError(f"{name!r} is {what}: it cannot be `shared` as well.")
    precision = 4 * float(np.finfo(dtype).eps)
    parts = []
    for k, model in enumerate(models.models):
        columns = models.columns(k)
        numbers = np.flatnonzero(models.which == k)
        own_lower, own_upper = (None if bound is None else bound[..., columns] for bound in (lower, upper))
        at = {columns.index(i): value for i, value in fixed_at.items() if i in columns}
        start = parse_start(
            part_of(p0, model, names, columns, len(models.models) > 1), model, sets, batch, own_lower,
            own_upper, is_fixed[columns], at, tied or (),
        )  # fmt: skip
        check_elementwise(model, sets, start)
        left = model if ties is None else ties.reduced
        common = [name for name in sharing.names if name in left.parameters]
        if not common:
            raise ValueError(f"The model `{model.name}` has none of the `shared` parameters {sharing.names}.")
        is_shared = np.array([name in common for name in left.parameters])
        kept = keep[columns]
        plan = Plan(
            method="lm",
            search="never",
            model=left,
            loss=loss,
            f_scale=positive("f_scale", f_scale),
            dtype=dtype,
            start=_kept(start, kept),
            lower=None if own_lower is None else own_lower[..., kept],
            upper=None if own_upper is None else own_upper[..., kept],
            fixed=is_fixed[columns][kept] | is_shared,
            ftol=precision if ftol is None else number("ftol", ftol, low=0),
            xtol=precision if xtol is None else number("xtol", xtol, low=0),
            max_nfev=MAX_NFEV if max_nfev is None else integer(1)("max_nfev", max_nfev),
            batch_size=None,
            workers=default_workers() if workers is None else integer(1)("workers", workers),
            progress=progress,
            seed=seed_numbers(rng) if is_searched and rng is not None else (0,),
        )
        where = [sharing.names.index(name) for name in common]
        places = np.array([left.parameters.index(name) for name in common])
        parts.append(Part(plan, numbers, places, np.ascontiguousarray(sharing.values[numbers][:, where])))
    problem, slot, members = independent(sharing.count, [part.values for part in parts])
    limits = [
        _limits(sharing, names, bound, reduce, unlimited)
        for bound, reduce, unlimited in ((lower, np.maximum, -np.inf), (upper, np.minimum, np.inf))
    ]
    crossed = np.flatnonzero(~(limits[0] < limits[1]))
    if crossed.size:
        raise ValueError(
            "The `bounds` of data sets that share a value leave nothing between "
            f"{limits[0][crossed[0]]:g} and {limits[1][crossed[0]]:g}."
        )

    numbers, shares = parts[0].numbers, (parts[0].shared, parts[0].values)

    def whole_of(start: np.ndarray) -> Whole:
        plan = replace(parts[0].plan, start=lambda chosen: start[chosen])
        return Whole(sets, [Part(plan, numbers, *shares)], problem, slot, members, *limits)

    whole = Whole(sets, parts, problem, slot, members, *limits)
    together = Together(whole)
    found = interrupt = None
    try:
        if is_searched:
            found = Search(sets, replace(parts[0].plan, fixed=is_fixed[keep]), *shares)
            whole = found.best(whole_of)
            together = Together(whole)
        else:
            whole.run()
        together.finish()
    except KeyboardInterrupt as error:
        whole.interrupt()
        interrupt = error
    for part in whole.parts:
        part.problems.clear()  # they hold copies of the data
    result = _result(sets, batch, models, sharing, together, ties, is_fixed, keep, absolute_sigma)
    if found is not None:
        result.n_starts[:], result.n_reached[:] = found.n_starts, found.n_reached.reshape(batch)
        result.nfev += found.nfev.reshape(batch)
    if interrupt is not None:
        interrupt.add_note("The attribute `result` of this exception has the best point so far.")
        interrupt.result = result  # type: ignore[attr-defined]
        raise interrupt
    return result


def _kept(start: Callable[..., Any], kept: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that gives the starts of the parameters that are kept."""
    return lambda chosen: start(chosen)[:, kept]


def _ties(models: Models, tied: Any) -> Ties | None:
    if not isinstance(tied, dict | None):
        raise ValueError(f"`tied` must be a dict such as {{'b': '2 * a'}}, not {shown(tied)}.")
    if not tied:
        return None
    if len(models.models) > 1:
        raise ValueError("`tied` does not go with different models: write the formula into the models.")
    return Ties(models.models[0], tied)


def _limits(
    sharing: Sharing, names: tuple[str, ...], bound: Any, reduce: np.ufunc, unlimited: float
) -> np.ndarray:
    """Return bounds of the shared values, the tightest of their data sets'."""
    limits = np.full(sharing.count, unlimited)
    if bound is not None:
        for j, name in enumerate(sharing.names):
            numbers = sharing.values[:, j]
            each = np.broadcast_to(bound[..., names.index(name)], numbers.shape)
            reduce.at(limits, numbers, each)
    return limits


def _result(
    sets: Any, batch: Any, models: Models, sharing: Sharing, together: Together, ties: Any, is_fixed: Any,
    keep: Any, absolute_sigma: bool,
) -> SharedResult:  # fmt: skip
    whole = together.whole
    n, fits = len(models.parameters), sets.fits
    dtype = whole.plan.dtype
    popt, chi2 = np.full((fits, n), np.nan, dtype), np.full(fits, np.nan)
    nfev, status = np.zeros(fits, int), np.full(fits, Status.NOT_RUN, np.int8)
    n_points = np.zeros(fits, int)
    for k, (part, state) in enumerate(zip(whole.parts, whole.states, strict=True)):
        where = part.numbers
        ended = whole.has_parameters(k)
        own = np.where(ended[:, None], state.p, np.nan)
        own = own if ties is None else ties.all_of(own)
        popt[where[:, None], models.columns(k)] = own
        chi2[where] = np.where(ended, state.chi2, np.nan)
        nfev[where], status[where], n_points[where] = state.nfev, state.status, state.n_points
        plan = replace(part.plan, fixed=is_fixed[models.columns(k)][keep[models.columns(k)]])
        free = ~is_fixed[models.columns(k)] & keep[models.columns(k)]
        models.results.append(
            SimpleNamespace(
                parameters=models.models[k].parameters,
                free=free,
                varies=~is_fixed[models.columns(k)],
                model=models.models[k],
                _plan=plan,
                derivatives=pointwise(plan.model).derivatives,
            )
        )
    is_one = len(models.models) == 1
    one = models.results[0]
    origins = {result.derivatives for result in models.results}
    name = "different models" if not is_one else one.model.name
    total_chi2, points, dof = together.count()
    return SharedResult(
        popt=popt.reshape(*batch, n),
        chi2=chi2.reshape(batch),
        nfev=nfev.reshape(batch),
        status=status.reshape(batch),
        n_points=n_points.reshape(batch),
        n_starts=np.zeros(batch, np.int32),
        n_reached=np.zeros(batch, np.int32),
        minima=None,
        parameters=models.parameters,
        free=~is_fixed & keep,
        varies=~is_fixed,
        derivatives=next(origin for origin in ("differences", "given", "exact") if origin in origins),
        model=one.model if is_one else SeveralModels(name, one.model.variables),
        _is_absolute=absolute_sigma or whole.plan.loss.is_likelihood,
        _information=np.zeros((*batch, 0)),
        _is_inverse=np.zeros(batch, bool),
        _numbers=np.arange(fits).reshape(batch),
        _data=sets,
        _plan=one._plan,
        _ties=ties,
        _advice={},
        total_chi2=total_chi2,
        _total_dof=dof,
        _total_points=points,
        _models=None if is_one else models,
        _together=together,
        _sharing=sharing,
    )
