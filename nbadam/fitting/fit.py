"""`curve_fit`: SciPy's function, for any number of data sets at a time."""

import inspect
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..blocks import default_workers
from ..checks import number, shown
from ..dask import is_lazy
from ..hyperparameters import choice, flag, integer
from ..progress import compilations_shown
from ..shuffling import seed_numbers
from ..status import Status
from .arguments import check_all_finite, parse_dtype, parse_model, parse_options, positive
from .batch import fit_all
from .data import CorrelatedSet
from .kernels.losses import parse_loss
from .model.elementwise import check_elementwise
from .model.model import Model
from .model.pointwise import pointwise
from .outcome import check_batch, check_shared, check_single
from .parameters import check_tied, parse_bounds, parse_fixed, parse_start
from .parsing import parse_data
from .problem import Plan
from .result.lazy import fit_lazily
from .result.result import FitResult
from .search.library import fit_without_start
from .search.neighbours import improve
from .shared.fit import fit_shared
from .ties import Ties

METHODS = ("lm", "adam")
SCIPY_METHODS = ("trf", "dogbox")  # find the same minimum, and "lm" knows bounds
DIFFERENCES = ("2-point", "3-point", "cs")  # derivatives are at least as good
SEARCHES = ("never", "failed", "all", "neighbours")
MAX_NFEV = {"lm": 2000, "adam": 1000}


def curve_fit(
    f: Any,
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = False,
    bounds: Any = (-inf, inf),
    method: str | None = "lm",
    jac: Callable[..., Any] | str | None = None,
    *,
    loss: Any = "linear",
    f_scale: float = 1.0,
    mask: Any = None,
    fixed: Sequence[Any] | dict[str, Any] = (),
    tied: dict[str, str] | None = None,
    dtype: DTypeLike = np.float64,
    ftol: float | None = None,
    xtol: float | None = None,
    max_nfev: int | None = None,
    batch_size: int | None = None,
    rng: int | np.random.SeedSequence | np.random.Generator | None = None,
    search: str = "never",
    shared: Any = None,
    workers: int | None = None,
    progress: bool = False,
    nan_policy: str | None = None,
    **options: Any,
) -> FitResult:
    """Fit a model to one data set, or to each of many.

    One data set is fitted as by :func:`scipy.optimize.curve_fit`.  A whole batch is fitted in
    one call: the fits run side by side in vector registers, each to full precision and with its own
    steps, stop and status.  A fit gives the same bits alone, in any batch and on any number of threads.

    Parameters
    ----------
    f : callable, str or Model
        The model: a function ``f(x, a, b, ...)`` of numbers that Numba can compile, in which `x` is one
        value, or a tuple of them if there are several variables.  Or a formula in `x` such as
        ``"a * exp(-b * x) + c"``, which is parsed and never evaluated, or a `Model`.  With `shared`, a list
        of models has one for each data set, or for each along the first axis of a batch.
    xdata : array, shape (m,), (n_variables, m), (..., m) or (..., n_variables, m)
        The variables: the same for all data sets, or each one's own.  Points that are not finite, or masked,
        are left out.
    ydata : array, shape (..., m)
        The data, one data set in each row.  Points that are not finite, or masked in a masked array,
        are left out.  Data sets of different lengths come as lists, of `xdata` and of `ydata`.  Arrays of
        Dask stay lazy, also where they are other arguments with an entry for each data set.
    p0 : array, shape (n_params,) or (..., n_params), dict or callable, optional
        Where to start, for all or for each; ``{"a": 1, "b": 2}`` names the parameters.  A function is called
        as ``p0(x, y)`` with one data set after the other, without the points that are left out.  By default
        the model's `guess`; without one, starts are searched for (see the notes).  With
        ``method="adam"`` it is 1, as in SciPy, or a point within the bounds.
    sigma : array, shape (m,), (..., m) or (m, m), optional
        Standard errors of the data, > 0; a point whose error is NaN, infinite or masked is left out.  For one
        data set it may be the covariance matrix of the data.  Any `loss` is then that of the whitened
        residuals, the solution of ``L @ residuals = y - f`` for the Cholesky factor `L` of the matrix.
    absolute_sigma : bool
        Whether `sigma` is to be taken as it is; otherwise only ratios count, and `pcov` is scaled so that
        ``reduced_chi2`` becomes 1.
    check_finite : bool
        Raise an error for data that are not finite, as SciPy does by default.
    bounds : 2-tuple of arrays, scipy.optimize.Bounds, or dict
        Lower and upper bounds, each a number or an array of shape (n_params,) or (..., n_params); or those
        of some parameters, ``{"a": (0, 5)}``.
    method : {"lm", "adam"}
        ``"lm"``: the Levenberg-Marquardt algorithm in the trust-region form of MINPACK [1]_, with bounds.
        ``"adam"``: Adam [2]_ alone, `max_nfev` steps, which seldom reaches full precision and says so.
    jac : callable, optional
        ``jac(x, a, b, ...)``, compiled by Numba like `f`, that returns the tuple of the derivatives by the
        parameters.  By default exact ones where Numba can derive them, else differences.
    loss : str or callable
        The function to minimize: the sum over the points of ``f_scale**2 * rho(z)`` with
        ``z = ((y - f) / sigma / f_scale)**2``, in which `rho` is that of
        :func:`scipy.optimize.least_squares`: ``"linear"``, ``"soft_l1"``, ``"huber"``, ``"cauchy"`` or
        ``"arctan"``.  A function ``rho(z)`` returns the tuple of its value and first two derivatives.
        ``"poisson"`` is the deviance of counts, which takes no `sigma`; where the model is below 1e-6, it
        goes on as a parabola.
    f_scale : float
        Residual, in units of `sigma`, from which on a point counts as an outlier.
    mask : array of bool, shape (m,), (..., m) or (...), optional
        True for points to leave out, or for whole data sets.
    fixed : sequence of str or int, or dict
        Parameters, by name or number, that stay at `p0`; ``{"c": 0.5}`` says where else, with a number or
        one for each data set.
    tied : dict of str to str, optional
        Parameters that follow from others: ``{"sigma_2": "2 * sigma_1"}``.  Their `p0` does not matter;
        their standard errors follow to first order.  They are formulas like those of a `Model`.
    dtype : {numpy.float64, numpy.float32}
        Precision of the fits.  Single precision is two to three times faster, and good for noisy data.
    ftol, xtol : float, optional
        Tolerances.  A fit has converged if a full step promises less than `ftol` of `chi2`, or changes no
        parameter by more than `xtol` of itself.  Both are 4 units of rounding by default; ``ftol=1e-10``
        is a third faster and finds the minimum to 1e-5 standard errors.
    max_nfev : int, optional
        Evaluations of the model and its derivatives that a fit may take, by default 2000; with
        ``method="adam"`` the number of steps, by default 1000.
    batch_size : int, optional
        With ``method="adam"``, how many points of each data set a step sees, or all if there are fewer; all
        fits see the same points.  They are drawn without replacement until less than a batch is left,
        then all anew.  The result is the mean of the last tenth of the steps, or `p0` if that is better,
        with `chi2` and `pcov` of all points.  It is near the minimum, with the status ``MAXITER``, which
        here raises no error for one data set.
    rng : None, int, array_like of ints, numpy.random.SeedSequence or numpy.random.Generator
        With `batch_size`, the seed of the order of the points; None takes a new one from the system.  In a
        search for starts, their seed; None is always the same one.  A generator is drawn from once.
    search : {"never", "failed", "all", "neighbours"}
        Which fits of ``method="lm"`` are tried again from other starting points, to which Adam [2]_ takes
        them: none, those that have not converged or whose residuals are not random, as neighbouring points
        have similar ones, or all.  Each keeps its best `chi2`; its own data alone decide.  Where no start is
        given, ``"all"`` searches for the starts of each data set by its own data alone.
        ``"neighbours"``: all fits start again from the solutions next to them along the axes of the batch,
        such as those of an image.  Where a fit has gained, its neighbours try again, so that each fit
        depends on the others.
    shared : sequence of str, or dict of str to array, optional
        Parameters that data sets have in common: ``["tau"]`` for one value, ``{"tau": labels}`` for one in
        each group of data sets with equal labels.  These are an array of the batch's shape, or None for a
        single group.  All data sets are then one fit, with one chi-square.  A value starts at the median of
        its data sets' `p0`, and its bounds are the tightest of theirs.
    workers : int, optional
        Threads.  By default ``NUMBA_NUM_THREADS``, but one where this is not the main thread.
    progress : bool
        Show a progress bar (extra ``progress``).
    nan_policy : {None, "omit", "raise"}
        Points that are not finite are omitted unless it is ``"raise"``, or `check_finite` is True.
    **options
        Other arguments of SciPy's: ``maxfev`` is `max_nfev`; one that has no meaning here is an error that
        says the way out.  As `method`, ``"trf"`` and ``"dogbox"`` are ``"lm"``.

    Returns
    -------
    FitResult
        Arrays with one entry for each data set.  It unpacks into `popt` and `pcov`.  With `shared`, a
        `SharedResult`, which has the shared values and their errors, too.  With arrays of Dask a
        `LazyFit`, whose blocks are fitted when they are asked for, to the same bits.

    Raises
    ------
    ValueError
        If an argument is out of range or shapes do not go together; if Numba cannot compile the model.
    TypeError
        For one data set, if there are fewer points than parameters.
    RuntimeError
        For one data set, if the fit fails.  In a batch it is marked in `status` and harms no other.
    Exception
        For one data set, any that the model raises.  In a batch that data set has the status `MODEL_ERROR`.
    KeyboardInterrupt
        If Ctrl-C is pressed.  Once fits are under way, the exception has them as its attribute `result`, a
        `FitResult` in which the others have the status `NOT_RUN`.

    Warns
    -----
    scipy.optimize.OptimizeWarning
        For one data set, if the covariance cannot be estimated, or if fewer than two starts of a search led
        to the best minimum.

    See Also
    --------
    scipy.optimize.curve_fit : One data set, any Python function.
    nbadam.fit_table : Groups of rows of a table.
    nbadam.Model : Formulas, names, derivatives of your own.
    nbadam.models : Models that start themselves.

    Notes
    -----
    With neither `p0` nor a guess, starts are searched for.  Parameters in which the model is linear are
    found and solved for [3]_.  The others are drawn at random, within the bounds: positions, lengths and
    inverse lengths of `xdata`, and plain numbers of all sizes.  1,024 starts go side by side, and more
    until starts that are independent of the best solution have reached it twice.  Starts after the first
    ones share some parameters with the best solutions so far.  `max_nfev` is a limit for each start.  The
    result tells in `n_starts` and `n_reached` how many there were and how many led to the minimum, and in
    `minima` which others there are.
    Mirror images, exchanged terms and aliases of a frequency have the same `chi2`: of these solutions the
    one with the smallest absolute values is returned, in the order of the parameters.

    In a batch of more than 16 data sets some are searched in this way, and their solutions are the
    starts of the others: which minimum a fit ends in may then depend on the other data sets.  With
    ``search="all"`` it does not.  With `shared` parameters, each data set is first fitted by itself.  The
    whole then starts from the medians of the shared values, and from those of single data sets.  It ends when
    two starts have led to the lowest `chi2`; `n_starts` and `n_reached` count these.

    References
    ----------
    .. [1] J. J. More, "The Levenberg-Marquardt algorithm: implementation and theory", in Numerical
       Analysis, Lecture Notes in Mathematics 630, Springer, 1978.
    .. [2] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980, 2015.
    .. [3] G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
       problems whose variables separate", SIAM J. Numer. Anal. 10, 1973.

    Examples
    --------
    Ten thousand decays, each with its own amplitude, rate and offset:

    >>> import numpy as np
    >>> import nbadam
    >>> rng = np.random.default_rng(0)
    >>> x = np.linspace(0, 4, 30)
    >>> truth = rng.uniform([1, 0.5, 0], [5, 2, 1], (10_000, 3))
    >>> def decay(x, a, k, c):
    ...     return a * np.exp(-k * x) + c
    >>> y = decay(x, *truth.T[:, :, None]) + 0.01 * rng.standard_normal((10_000, 30))
    >>> fit = nbadam.curve_fit(decay, x, y, p0=[3, 1, 0.5])
    >>> bool(fit.success.all())
    True
    >>> fit.popt.shape, fit.pcov.shape
    ((10000, 3), (10000, 3, 3))
    >>> pulls = (fit.popt - truth) / fit.perr
    >>> bool(abs(pulls.std() - 1) < 0.05)
    True

    One rate for all of them, as in global analysis:

    >>> truth[:, 1] = 1.2
    >>> y = decay(x, *truth.T[:, :, None]) + 0.01 * rng.standard_normal((10_000, 30))
    >>> fit = nbadam.curve_fit(decay, x, y, p0=[3, 1, 0.5], shared=["k"])
    >>> groups, values, errors = fit.shared["k"]
    >>> print(f"{values:.3f} +- {errors:.5f}")
    1.200 +- 0.00006

    One data set, as with SciPy:

    >>> popt, pcov = nbadam.curve_fit(decay, x, y[0], p0=[3, 1, 0.5])

    Without a start:

    >>> fit = nbadam.curve_fit("a * exp(-k * x) + b * sin(w * x + phi)", x, y[0] + np.sin(5 * x + 1))
    >>> float(fit["w"].round(1)), bool(fit.n_reached >= 2)
    (5.0, True)
    """
    if is_lazy(xdata, ydata, sigma, mask, p0, bounds, fixed):
        return fit_lazily(curve_fit, locals())  # type: ignore[return-value]
    flags = {"absolute_sigma": absolute_sigma, "progress": progress}
    for name, value in (flags if check_finite is None else flags | {"check_finite": check_finite}).items():
        flag(name, value)
    if options:
        max_nfev = parse_options(options, max_nfev, inspect.signature(curve_fit).parameters)
    if nan_policy is not None:
        choice("omit", "raise")("nan_policy", nan_policy)
    if check_finite or nan_policy == "raise":
        for name, value in (("xdata", xdata), ("ydata", ydata)):
            check_all_finite(name, value)
    is_of_scipy = method is None or (isinstance(method, str) and method in SCIPY_METHODS)  # type: ignore[redundant-expr]
    method = "lm" if is_of_scipy else choice(*METHODS)("method", method)
    jac = None if isinstance(jac, str) and jac in DIFFERENCES else jac
    choice(*SEARCHES)("search", search)
    if shared is not None or isinstance(f, list | tuple):
        with compilations_shown("the model", progress):
            whole = fit_shared(
                f, xdata, ydata, p0, sigma, absolute_sigma, bounds, method, jac, shared, loss=loss,
                f_scale=f_scale, mask=mask, fixed=fixed, tied=tied, dtype=dtype, ftol=ftol, xtol=xtol,
                max_nfev=max_nfev, batch_size=batch_size, rng=rng, search=search, workers=workers,
                progress=progress,
            )  # fmt: skip
        check_batch(whole, method)
        check_shared(whole)
        return whole
    if search != "never" and method != "lm":
        raise ValueError(f"`search` goes with method='lm', not {method!r}.")
    loss = parse_loss(loss, sigma)
    dtype = parse_dtype(dtype)
    sets, batch, variables = parse_data(f, p0, xdata, ydata, sigma, mask)
    if search == "neighbours" and not batch:
        raise ValueError("One data set has no neighbours: use search='failed' or 'all'.")
    model = parse_model(f, jac, p0, variables)
    n = len(model.parameters)
    is_fixed, fixed_at = parse_fixed(fixed, model.parameters)
    lower, upper = parse_bounds(bounds, batch, model.parameters)
    if not isinstance(tied, dict | None):
        raise ValueError(f"`tied` must be a dict such as {{'b': '2 * a'}}, not {shown(tied)}.")
    start = parse_start(p0, model, sets, batch, lower, upper, is_fixed, fixed_at, tied or ())
    check_elementwise(model, sets, start)
    ties = Ties(model, tied) if tied else None
    keep: Any = slice(None) if ties is None else ties.free
    if ties is not None:
        check_tied(keep, is_fixed, lower, upper, model.parameters)
    if batch_size is not None:
        integer(1)("batch_size", batch_size)
        if method != "adam":
            raise ValueError(f"`batch_size` goes with method='adam', not {method!r}.")
        if isinstance(sets, CorrelatedSet):
            raise ValueError(
                "`batch_size` does not go with a covariance matrix: it takes all points at once."
            )
    is_searched = p0 is None and model.guess is None and method == "lm"
    if rng is not None and batch_size is None and not is_searched:
        raise ValueError("`rng` goes with `batch_size`, or a search for starts: nothing else is random.")
    precision = 4 * float(np.finfo(dtype).eps)
    plan = Plan(
        method=method,
        search="never" if search == "neighbours" else search,
        model=model if ties is None else ties.reduced,
        loss=loss,
        f_scale=positive("f_scale", f_scale),
        dtype=dtype,
        start=start if ties is None else lambda chosen: start(chosen)[:, keep],
        lower=None if lower is None else lower[..., keep],
        upper=None if upper is None else upper[..., keep],
        fixed=is_fixed[keep],
        ftol=precision if ftol is None else number("ftol", ftol, low=0),
        xtol=precision if xtol is None else number("xtol", xtol, low=0),
        max_nfev=MAX_NFEV[method] if max_nfev is None else integer(1)("max_nfev", max_nfev),
        batch_size=batch_size,
        workers=default_workers() if workers is None else integer(1)("workers", workers),
        progress=progress,
        seed=_seed(rng, batch_size, is_searched),  # last: bad input draws nothing
    )
    minima = None
    with compilations_shown("the model", progress):
        if is_searched:
            fits, error, minima = fit_without_start(sets, plan)
        else:
            fits, error = fit_all(sets, plan)
    if search == "neighbours" and not isinstance(error, KeyboardInterrupt):
        error = improve(sets, plan, fits, batch)
    result = FitResult(
        popt=(fits.popt if ties is None else ties.all_of(fits.popt)).reshape(*batch, n),
        chi2=fits.chi2.reshape(batch),
        nfev=fits.nfev.reshape(batch),
        status=fits.status.reshape(batch),
        n_points=fits.n_points.reshape(batch),
        n_starts=fits.n_starts.reshape(batch),
        n_reached=fits.n_reached.reshape(batch),
        minima=None if minima is None or batch else minima.of_all(ties),
        parameters=model.parameters,
        free=~is_fixed if ties is None else ~is_fixed & keep,
        varies=~is_fixed,
        derivatives=pointwise(plan.model).derivatives,
        model=model,
        _is_absolute=absolute_sigma or loss.is_likelihood,
        _information=fits.information.reshape(*batch, fits.information.shape[1]),
        _is_inverse=fits.is_inverse.reshape(batch),
        _numbers=np.arange(sets.fits).reshape(batch),
        _data=sets,
        _plan=plan,
        _ties=ties,
        _advice=_advice(model) if p0 is None and model.guess is not None else {},
    )
    if isinstance(error, KeyboardInterrupt):
        error.result = result  # type: ignore[attr-defined]
    if error is not None and (batch == () or isinstance(error, KeyboardInterrupt)):
        raise error
    if batch == ():
        check_single(result, batch_size is not None)
    else:
        check_batch(result, method)
    return result


def _seed(rng: Any, batch_size: int | None, is_searched: bool) -> tuple[int, ...]:
    """Return the numbers of the seed, which do not matter where nothing is random."""
    if batch_size is None and (rng is None or not is_searched):
        return (0,)
    return seed_numbers(rng)


def _advice(model: Model) -> dict[Status, str]:
    """Return messages for fits that start at the model's own guess."""
    hint = getattr(model, "hint", "")
    where = f"The model is not finite at its own guess, as no `p0` is given. {hint}".rstrip()
    return {Status.NONFINITE: where} | ({Status.UNDETERMINED: hint} if hint else {})
