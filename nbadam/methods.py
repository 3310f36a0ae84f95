"""Methods for ``scipy.optimize.minimize(fun, x0, method=...)``."""

import inspect
import warnings
from collections.abc import Callable
from math import inf

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from .bounds import parse_bounds
from .checks import hyperparameter, number, positive
from .minimize import Plan, run, run_compiled
from .objective import SCHEMES, Differences, Objective
from .rules import ADAM, AMSGRAD, Rule
from .stopping import Stop

MAXITER = 50_000
GTOL, FTOL, XTOL = 1e-5, 1e-9, 0.0

_OPTIONS = {
    "clipvalue": None,
    "clipnorm": None,
    "weight_decay": None,
    "x_scale": 1.0,
    "steps": None,
    "maxiter": None,
    "maxfun": None,
    "maxfev": None,
    "tol": None,
    "gtol": None,
    "ftol": None,
    "xtol": None,
    "finite_diff": "2-point",
    "finite_diff_rel_step": None,
    "eps": None,
    "disp": False,
    "return_all": False,
}

_DOC = """Minimize a function with {title}, as a method of `scipy.optimize.minimize`.

    ``minimize(fun, x0, jac=True, method=nbadam.{name}, options={{...}})`` calls it; it can be called
    directly, too, with the options as keywords.  Everything happens in double precision.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or ``fun(x, *args) -> (float, array)`` with ``jac=True``.  It may
        be noisy, and may give another sample at every call.  A function compiled by Numba that
        returns both (with ``jac=True``, and no `callback`) is stepped inside compiled code.
    x0 : array_like, shape (n,)
        Where to start.  Never modified.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    jac : {{True, callable, None}}, optional
        True if `fun` returns the gradient too; ``jac(x, *args) -> array, shape (n,)``, which alone is
        then called at every step, `fun` only every 100 steps; None for finite differences.
    hess, hessp : ignored
        A RuntimeWarning says so.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Every step is projected onto the bounds, and differences stay within them.
    constraints : empty
        Refused with a ValueError otherwise.
    callback : callable, optional
        Called after every iteration, as ``callback(x)`` or, if its only parameter has this name,
        ``callback(intermediate_result=OptimizeResult(x=..., fun=...))``, for which `fun` is evaluated
        at every step.  StopIteration ends the run.

    Other Parameters
    ----------------
{hyperparameters}
    clipvalue : float, optional
        Every component of the gradient is clipped to ``[-clipvalue, clipvalue]``.
    clipnorm : float, optional
        A gradient whose Euclidean norm is larger is scaled down to it (after `clipvalue`).
    weight_decay : float, default 0
        Decoupled weight decay: before each update x shrinks by the fraction
        ``learning_rate * weight_decay``.
    x_scale : float or array_like of shape (n,), default 1
        Unit of each variable.  The run happens in ``x / x_scale``, and the learning rate, the clipping,
        `gtol` and `xtol` belong to these variables.
    steps : int, optional
        Planned number of iterations, whose end is a success.  The tolerances are then off unless given.
    maxiter : int, default 50000
        Largest number of iterations, whose end is a failure (status 1).
    maxfun, maxfev : int, optional
        Largest number of evaluations of `fun`, looked at after each iteration (status 2).
    gtol : float, default 1e-5
        Succeed when no component of the mean gradient over 100 iterations is larger, leaving out
        what points out of the bounds.  At `x0` the gradient itself is looked at.
    ftol : float, default 1e-9
        Succeed when the mean of the values over 100 iterations differs from that of the 100 before
        by no more than this fraction.
    xtol : float, default 0
        Succeed when no component of the mean point over 100 iterations differs from that of the
        100 before by more than ``xtol * max(1, abs(x / x_scale))``.
    tol : float, optional
        Sets those of `gtol`, `ftol` and `xtol` that are not given.
    finite_diff : {{"2-point", "3-point"}}
        Forward differences (n evaluations a step more) or central ones (2 n) where `jac` is None.
    finite_diff_rel_step : float or array_like, optional
        Their step relative to ``max(1, abs(x))``; default 1.5e-8 or, for "3-point", 6.1e-6.
    eps : float or array_like, optional
        Their step in units of x; wins over `finite_diff_rel_step`.
    disp : bool, default False
        Print a summary at the end; a failure is an OptimizeWarning.
    return_all : bool, default False
        Keep every point in ``result.allvecs``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x`, `fun` and `jac` (at `x`), `nit`, `nfev`, `njev`, `status`, `success`, `message`.  The point
        is the last one, or the best one seen where the last is worse than the start or not finite.
        `status` is 0 for success, 1 for `maxiter`, 2 for `maxfun`, 3 for a value or gradient that is
        not finite, 99 for a callback's StopIteration.

    Raises
    ------
    ValueError
        If an argument or option is invalid (the message names it and what would be right), or `fun`
        or `jac` returns something of the wrong type or shape.

    Warns
    -----
    OptimizeWarning
        For an unknown option, or an `x0` outside of the bounds (it is moved into them).

    Notes
    -----
{notes}

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> import nbadam
    >>> result = minimize(rosen, [1.3, 0.7], jac=rosen_der, method=nbadam.{name},
    ...                   options={{"learning_rate": {example_rate}}})
    >>> result.success, bool(result.fun < 1e-6)
    (True, True)
    """


def _method(name: str, rule: Rule, amsgrad: Rule | None = None, **texts: str) -> Callable:
    """Make the method of one rule; `amsgrad` is the rule that the option of this name chooses."""

    def method(
        fun,
        x0,
        args=(),
        jac=None,
        hess=None,
        hessp=None,
        bounds=None,
        constraints=(),
        callback=None,
        **options,
    ):
        known = rule.hyperparameters | _OPTIONS | ({"amsgrad": False} if amsgrad else {})
        settings = _settings(known, options)
        chosen = amsgrad if amsgrad and settings["amsgrad"] else rule
        if hess is not None or hessp is not None:
            _warn(f"Method {name} does not use Hessian information (hess, hessp).", RuntimeWarning)
        return _minimize(chosen, settings, fun, x0, args, jac, bounds, constraints, callback)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = _DOC.format(name=name, **texts)
    return method


def _minimize(rule: Rule, settings: dict, fun, x0, args, jac, bounds, constraints, callback):
    if constraints is not None and not (hasattr(constraints, "__len__") and len(constraints) == 0):
        raise ValueError(
            "`constraints` cannot be handled by nbadam's methods: use `bounds`, add a penalty to `fun`, "
            "or use method='SLSQP', 'COBYQA' or 'trust-constr'."
        )
    x0 = _start(x0)
    lower, upper = parse_bounds(bounds, x0.size)
    if ((x0 < lower) | (x0 > upper)).any():
        _warn("Initial guess is not within the specified bounds; it is moved into them.")
    plan = _plan(rule, settings, x0.size, lower, upper)
    objective = _objective(fun, jac, args if isinstance(args, tuple) else (args,), settings, lower, upper)

    points = [np.clip(x0, lower, upper)] if settings["return_all"] else None
    result = None
    if objective.jac is True and is_jitted(objective.fun) and callback is None and points is None:
        try:
            result = run_compiled(objective, plan, x0)
        except NumbaError as error:
            reason = str(error).strip().splitlines()[0]
            _warn(f"`fun` cannot be called from compiled code, so the run is driven from Python: {reason}")
            objective.nfev = objective.njev = 0
    if result is None:
        result = run(objective, plan, x0, *_adapted(callback, points))
    if points is not None:
        result.allvecs = points
    if settings["disp"]:
        _report(result)
    return result


def _start(x0) -> np.ndarray:
    """Copy of the starting point in double precision, whatever array it came in."""
    array = np.atleast_1d(np.asarray(x0))
    if array.ndim != 1:
        raise ValueError(f"'x0' must only have one dimension; its shape is {array.shape}.")
    if np.ma.is_masked(x0):
        raise ValueError("`x0` must not have masked elements; fill them, or leave these variables out.")
    if array.dtype.kind == "c":
        raise ValueError("`x0` must be real; stack real and imaginary parts into one real vector.")
    try:
        start = np.array(array, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"`x0` must be an array of real numbers, not {x0!r}.") from None
    if array.dtype.kind in "SU" or not np.isfinite(start).all():
        raise ValueError(f"`x0` must be finite real numbers, not {x0!r}.")
    return start


def _settings(known: dict, options: dict) -> dict:
    """Options with their defaults; unknown ones warn, as those of SciPy's own methods do."""
    unknown = [name for name in options if name not in known]
    if unknown:
        _warn(f"Unknown solver options: {', '.join(unknown)}")
    settings = known | {name: value for name, value in options.items() if name in known}
    for name in {"amsgrad", "return_all"} & set(settings):
        if not isinstance(settings[name], bool | np.bool_):
            raise ValueError(f"`{name}` must be True or False, not {settings[name]!r}.")
    return settings


def _plan(rule: Rule, settings: dict, n: int, lower: np.ndarray, upper: np.ndarray) -> Plan:
    learning_rate, rates = _learning_rate(settings["learning_rate"], n)
    hyper = tuple(hyperparameter(name, settings[name]) for name in list(rule.hyperparameters)[1:])
    maxiter, at_end = _limit("maxiter", settings, MAXITER), Stop.MAXITER
    if settings["steps"] is not None:
        steps = number("steps", settings["steps"], low=0)
        if settings["maxiter"] is None or steps <= maxiter:
            maxiter, at_end = steps, Stop.STEPS
    return Plan(
        rule=rule,
        learning_rate=learning_rate,
        hyper=hyper,
        rates=rates,
        clipvalue=_limit("clipvalue", settings, inf),
        clipnorm=_limit("clipnorm", settings, inf),
        weight_decay=_limit("weight_decay", settings, 0.0),
        x_scale=positive("x_scale", settings["x_scale"], n),
        lower=lower,
        upper=upper,
        tolerances=_tolerances(settings),
        maxiter=maxiter,
        maxfun=min(_limit("maxfun", settings, inf), _limit("maxfev", settings, inf)),
        at_end=at_end,
    )


def _limit(name: str, settings: dict, default: float) -> float:
    """Return an option that None turns off, or leaves at its default."""
    return default if settings[name] is None else number(name, settings[name], low=0)


def _tolerances(settings: dict) -> tuple[float, float, float]:
    """Return `gtol`, `ftol` and `xtol`: as given, or `tol`, or off in a planned run, or the default."""
    def tolerance(name: str, default: float) -> float:
        for given in (name, "tol"):
            if settings[given] is not None:
                return number(given, settings[given], low=0)
        return default if settings["steps"] is None else -1.0

    return tolerance("gtol", GTOL), tolerance("ftol", FTOL), tolerance("xtol", XTOL)


def _learning_rate(option, n: int) -> tuple[Callable, np.ndarray]:
    """Learning rate as a function of the steps done, and each variable's fraction of it (empty if equal)."""
    equal = np.empty(0)
    if callable(option):
        schedule = option
        if not inspect.signature(option).parameters:
            schedule = np.vectorize(lambda step: float(option()), otypes=[float])

        def rate(steps):
            rates = np.asarray(schedule(steps), dtype=float)
            if not (rates >= 0).all() or not np.isfinite(rates).all():
                raise ValueError(f"`learning_rate` must give finite numbers >= 0, not {rates}, at step {steps}.")
            return rates

        return rate, equal
    if np.ndim(option) == 0:
        constant = hyperparameter("learning_rate", option)
        return lambda steps: constant, equal
    each = positive("learning_rate", option, n, zero=True)
    largest = each.max()
    return lambda steps: largest, each / largest if largest > 0 else equal


def _objective(fun, jac, args: tuple, settings: dict, lower: np.ndarray, upper: np.ndarray) -> Objective:
    if not callable(fun):
        raise ValueError(f"`fun` must be callable, not {fun!r}.")
    # minimize(jac=True) hands over a memoizing wrapper, which would make a noisy objective look
    # noiseless and hides a compiled function.
    if getattr(jac, "__self__", None) is fun and hasattr(fun, "fun"):
        fun, jac = fun.fun, True
    if callable(jac) or jac is True:
        return Objective(fun, jac, args, None)
    if not (jac is None or jac is False or isinstance(jac, str)):
        raise ValueError(f"`jac` must be True, callable or None, not {jac!r}.")
    scheme = jac if isinstance(jac, str) else settings["finite_diff"]
    if scheme not in SCHEMES:
        raise ValueError(f"`finite_diff` must be one of {', '.join(SCHEMES)}, not {scheme!r}.")
    steps = {
        name: None if settings[name] is None else positive(name, settings[name], lower.size)
        for name in ("finite_diff_rel_step", "eps")
    }
    differences = Differences(scheme, lower, upper, steps["finite_diff_rel_step"], steps["eps"])
    return Objective(fun, None, args, differences)


def _adapted(callback, points: list | None) -> tuple[Callable | None, bool]:
    """Return what to call after each iteration, and whether it needs the value at every point."""
    if callback is not None and not callable(callback):
        raise ValueError(f"`callback` must be callable, not {callback!r}.")
    # SciPy's rule: a single parameter of this very name asks for the new form.
    wants_value = callback is not None and set(_parameters(callback)) == {"intermediate_result"}

    def look(state):
        from scipy.optimize import OptimizeResult

        if points is not None:
            points.append(state.x.copy())
        if wants_value:
            callback(intermediate_result=OptimizeResult(x=state.x.copy(), fun=state.f))
        elif callback is not None:
            callback(state.x.copy())

    return (look if callback is not None or points is not None else None), wants_value


def _parameters(callback) -> list[str]:
    try:
        return list(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # a builtin without a signature takes the old form
        return []


def _report(result) -> None:
    if not result.success:
        _warn(result.message)
    else:
        print(result.message)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")


def _warn(message: str, category: type[Warning] | None = None) -> None:
    from scipy.optimize import OptimizeWarning

    warnings.warn(message, category or OptimizeWarning, stacklevel=5)


_ADAM_HYPERPARAMETERS = """\
    learning_rate : float, array_like of shape (n,) or callable, default 0.001
        Size of a step, roughly, in units of ``x / x_scale``.  An array gives each variable its own.  A
        schedule is called with the number of steps done so far (0 at the first); a callable without
        parameters is called at every step.
    beta_1, beta_2 : float, defaults 0.9 and 0.999
        Decay of the running means of the gradient and of its square, in [0, 1).
    epsilon : float, default 1e-7
        Added to the root of the mean square before its bias correction ("epsilon hat", as in Keras).
        With 0 a variable whose gradients were all zero stays where it is.
    amsgrad : bool, default False
        Divide by the largest mean square so far (AMSGrad) [2]_."""

_ADAM_NOTES = """\
    Adam [1]_ in the form before its Section 2.1, as `tf.keras.optimizers.Adam` implements it.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015,
       https://arxiv.org/abs/1412.6980
    .. [2] S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018,
       https://arxiv.org/abs/1904.09237"""

adam = _method(
    "adam",
    ADAM,
    AMSGRAD,
    title="Adam",
    hyperparameters=_ADAM_HYPERPARAMETERS,
    notes=_ADAM_NOTES,
    example_rate="0.05",
)
