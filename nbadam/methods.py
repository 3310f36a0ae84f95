"""Methods for ``scipy.optimize.minimize(fun, x0, method=...)``."""

import inspect
import warnings
from collections.abc import Callable
from math import inf

import numpy as np
from numba.extending import is_jitted

from .bounds import parse_bounds
from .checks import hyperparameter, number, positive
from .minimize import Plan, run, run_compiled
from .objective import SCHEMES, Differences, Objective
from .rules import ADAM, AMSGRAD, Rule
from .stopping import Stop

MAXITER = 20_000
TOLERANCES = {"gtol": 1e-5, "ftol": 1e-9, "xtol": 0.0}

_OPTIONS = {
    "amsgrad": False,
    "clipnorm": None,
    "clipvalue": None,
    "weight_decay": 0.0,
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


def adam(
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
    """Minimize a function with Adam, as a method of ``scipy.optimize.minimize``."""
    rule = AMSGRAD if options.get("amsgrad", False) else ADAM
    x0 = _start(x0)
    n = x0.size
    args = args if isinstance(args, tuple) else (args,)
    _refuse_or_warn(hess, hessp, constraints)
    settings = _settings(rule, options)
    lower, upper = parse_bounds(bounds, n)
    if ((x0 < lower) | (x0 > upper)).any():
        _warn("Initial guess is not within the specified bounds; it is moved into them.")
    plan = _plan(rule, settings, n, lower, upper)
    objective = _objective(fun, jac, args, settings, lower, upper)

    points = [np.clip(x0, lower, upper)] if settings["return_all"] else None
    if objective.jac is True and is_jitted(objective.fun) and callback is None and points is None:
        result = run_compiled(objective, plan, x0)
    else:
        look, wants_value = _adapted(callback, points)
        result = run(objective, plan, x0, look, wants_value)
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
    if array.dtype.kind == "c":
        raise ValueError("`x0` must be real; stack real and imaginary parts into one real vector.")
    try:
        start = np.array(array, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"`x0` must be an array of real numbers, not of dtype {array.dtype}: {x0!r}.") from None
    if array.dtype.kind in "SU" or not np.isfinite(start).all():
        raise ValueError(f"`x0` must be finite real numbers, not {x0!r}.")
    return start


def _refuse_or_warn(hess, hessp, constraints) -> None:
    if constraints is not None and not (hasattr(constraints, "__len__") and len(constraints) == 0):
        raise ValueError(
            "`constraints` cannot be handled by nbadam's methods: use `bounds`, add a penalty to `fun`, "
            "or use method='SLSQP', 'COBYQA' or 'trust-constr'."
        )
    if hess is not None or hessp is not None:
        warnings.warn(
            "Adam does not use Hessian information (`hess`, `hessp`).", RuntimeWarning, stacklevel=4
        )


def _settings(rule: Rule, options: dict) -> dict:
    """Options with their defaults; unknown ones warn, as those of SciPy's own methods do."""
    known = rule.hyperparameters | _OPTIONS
    unknown = [name for name in options if name not in known]
    if unknown:
        _warn(f"Unknown solver options: {', '.join(unknown)}")
    settings = known | {name: value for name, value in options.items() if name in known}
    for name in ("amsgrad", "disp", "return_all"):
        if not isinstance(settings[name], bool | np.bool_ | int | None):
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
        weight_decay=number("weight_decay", settings["weight_decay"] or 0.0, low=0),
        x_scale=positive("x_scale", settings["x_scale"], n),
        lower=lower,
        upper=upper,
        tolerances=_tolerances(settings),
        maxiter=maxiter,
        maxfun=min(_limit("maxfun", settings, inf), _limit("maxfev", settings, inf)),
        at_end=at_end,
    )


def _limit(name: str, settings: dict, default: float) -> float:
    return default if settings[name] is None else number(name, settings[name], low=0)


def _tolerances(settings: dict) -> tuple[float, float, float]:
    """Return `gtol`, `ftol` and `xtol`: as given, or `tol`, or off in a planned run, or the default."""
    def tolerance(name: str, default: float) -> float:
        for given in (name, "tol"):
            if settings[given] is not None:
                return number(given, settings[given], low=0)
        return default if settings["steps"] is None else -1.0

    return tolerance("gtol", 1e-5), tolerance("ftol", 1e-9), tolerance("xtol", 0.0)


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
                raise ValueError(f"`learning_rate` must give finite numbers >= 0; after {steps} steps it gave {rates}.")
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


def _warn(message: str) -> None:
    from scipy.optimize import OptimizeWarning

    warnings.warn(message, OptimizeWarning, stacklevel=4)
