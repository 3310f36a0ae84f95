"""Methods for ``scipy.optimize.minimize(fun, x0, method=...)``."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from .. import rules
from ..checks import positive
from ..hyperparameters import integer
from ..rules import Rule
from .bounds import parse_bounds
from .differences import PERTURBATION, SCHEMES, Differences, Perturbations
from .documentation import HYPERPARAMETERS, TEMPLATE
from .driver import drive
from .first_look import FIRST_RADIUS, first_look
from .minibatch import Minibatch
from .objective import Objective
from .options import OPTIONS, is_automatic, parameters, settings_from, state_from, warn
from .orders import seed_numbers
from .plan import plan_from


def _method(
    rule: Rule,
    name: str,
    title: str,
    reference: str,
    *,
    amsgrad: Rule | None = None,
    initial: dict[str, Any] | None = None,
    **defaults: float | str,
) -> Callable:
    """Make the method of one rule.

    Parameters
    ----------
    rule : Rule
        The algorithm.
    name, title, reference : str
        The name of the method, that of the algorithm, and where it is published.
    amsgrad : Rule, optional
        The rule that the option of this name chooses.
    initial : dict of str to float or callable, optional
        Slots that start at another value than 0; a callable gives it from x and the first step's scalars.
    **defaults
        Defaults that differ from those of the rule or of all methods.
    """
    known: dict[str, Any] = (
        rule.hyperparameters | ({"amsgrad": False} if amsgrad else {}) | OPTIONS | defaults
    )

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
        if is_automatic(options) and rule is not rules.ADAM:
            raise ValueError(
                f"`learning_rate='auto'` is for the methods adam and adamw; {name} needs a number, "
                "an array or a schedule."
            )
        settings = settings_from(known, options)
        chosen = amsgrad if amsgrad and settings["amsgrad"] else rule
        if hess is not None or hessp is not None:
            warn(f"Method {name} does not use Hessian information (hess, hessp).", RuntimeWarning)
        given = options.keys()
        return _minimize(
            chosen, settings, given, initial or {}, fun, x0, args, jac, bounds, constraints, callback
        )

    texts = [HYPERPARAMETERS[key].format(default=_literal(known[key])) for key in known if key not in OPTIONS]
    method.__name__ = method.__qualname__ = name
    method.__doc__ = TEMPLATE.format(
        name=name,
        title=title,
        reference=reference,
        hyperparameters="\n".join(texts),
        weight_decay=known["weight_decay"] or 0,
        rate=_EXAMPLE_RATES.get(name, 0.001),
    )
    return method


def _literal(value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _minimize(rule, settings, given, initial, fun, x0, args, jac, bounds, constraints, callback):
    if constraints is not None and not (hasattr(constraints, "__len__") and len(constraints) == 0):
        raise ValueError(
            "`constraints` cannot be handled by nbadam's methods: use `bounds`, add a penalty to `fun`, "
            "or use method='SLSQP', 'COBYQA' or 'trust-constr'."
        )
    x0 = _start(x0)
    lower, upper = parse_bounds(bounds, x0.size)
    if ((x0 < lower) | (x0 > upper)).any():
        warn("Initial guess is not within the specified bounds; it is moved into them.")
    args = args if isinstance(args, tuple) else (args,)
    objective = _objective(fun, jac, args, settings, lower, upper)
    resumed = state_from(settings["state"])
    if resumed is not None:
        if resumed.arrays["x"].shape != x0.shape:
            raise ValueError(f"`state` has {resumed.arrays['x'].size} variables, and `x0` {x0.size}.")
        inherited = {"average": resumed.facts["average"], "x_scale": resumed.arrays["x_scale"]}
        settings |= {name: value for name, value in inherited.items() if name not in given}
    is_free = "learning_rate" not in given or is_automatic(settings)
    only_epochs = settings["epochs"] is not None and is_free and rule in (rules.ADAM, rules.AMSGRAD)
    if only_epochs:
        settings["learning_rate"] = "auto"
        if resumed is None and "average" not in given:
            settings["average"] = "tail"
    if is_automatic(settings) and "epsilon" not in given:
        settings = settings | {"epsilon": 0.0}  # no unit of the gradient is special
    plan = plan_from(rule, settings, x0.size, lower, upper, initial, objective.minibatch)
    if only_epochs and resumed is None:
        known = plan.x_scale if "x_scale" in given else None
        start = np.clip(x0, lower, upper)
        plan.x_scale, distance = first_look(objective, start, known, (lower, upper))
        plan.radius = FIRST_RADIUS * distance or None
    interval = integer(1)("callback_interval", settings["callback_interval"])

    points = [np.clip(x0, lower, upper)] if settings["return_all"] else None
    look, wants_value = _adapted(callback, points)
    how: dict = {"resumed": resumed, "callback": look, "interval": interval, "wants_value": wants_value}
    result = None
    if is_compiled(objective) and (look is None or interval > 1) and points is None:
        try:
            result = drive(objective, plan, x0, compiled=True, **how)
        except NumbaError as error:
            reason = str(error).strip().splitlines()[0]
            warn(f"`fun` cannot be called from compiled code, so the run is driven from Python: {reason}")
            objective = _objective(fun, jac, args, settings, lower, upper)
    if result is None:
        result = drive(objective, plan, x0, **how)
    if points is not None:
        result.allvecs = points
    if settings["disp"]:
        _report(result)
    return result


def is_compiled(objective: Objective) -> bool:
    """Whether Numba compiled the function that returns value and gradient."""
    return objective.jac is True and is_jitted(objective.fun)


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


def _objective(fun, jac, args: tuple, settings: dict, lower: np.ndarray, upper: np.ndarray) -> Objective:
    if not callable(fun):
        raise ValueError(f"`fun` must be callable, not {fun!r}.")
    # minimize(jac=True) hands over a memoizing wrapper, which would make a noisy objective look
    # noiseless and hides a compiled function.
    memoized = getattr(jac, "__self__", None)
    if memoized is not None and memoized is fun and hasattr(memoized, "fun"):
        fun, jac = memoized.fun, True
    if isinstance(fun, Minibatch):
        if callable(jac):
            raise ValueError("`jac` must be True for a Minibatch, whose function returns the gradient, too.")
        jac = True
    if callable(jac) or jac is True:
        return Objective(fun, jac, args, None)
    if not (jac is None or jac is False or isinstance(jac, str)):
        raise ValueError(f"`jac` must be True, callable or None, not {jac!r}.")
    scheme = jac if isinstance(jac, str) else settings["finite_diff"]
    if scheme not in SCHEMES:
        raise ValueError(f"`finite_diff` must be one of {', '.join(SCHEMES)}, not {scheme!r}.")
    n = lower.size
    relative, absolute = (
        None if settings[name] is None else positive(name, settings[name], n)
        for name in ("finite_diff_rel_step", "eps")
    )
    x_scale = positive("x_scale", settings["x_scale"], n)
    seed = seed_numbers(settings["rng"])
    differences: Differences | Perturbations
    if scheme == "spsa":
        size = (PERTURBATION if relative is None else relative) * x_scale
        differences = Perturbations(lower, upper, size if absolute is None else absolute, seed)
    else:
        differences = Differences(scheme, lower, upper, relative, absolute, x_scale)
    return Objective(fun, None, args, differences)


def _adapted(callback, points: list | None) -> tuple[Callable | None, bool]:
    """Return what to call after each iteration, and whether it needs the value at every point."""
    if callback is not None and not callable(callback):
        raise ValueError(f"`callback` must be callable, not {callback!r}.")
    # SciPy's rule: a single parameter of this very name asks for the new form.
    wants_value = callback is not None and set(parameters(callback)) == {"intermediate_result"}

    def look(run):
        from scipy.optimize import OptimizeResult

        if points is not None:
            points.append(run.x.copy())
        if wants_value:
            callback(intermediate_result=OptimizeResult(x=run.x.copy(), fun=run.f))
        elif callback is not None:
            callback(run.x.copy())

    return (look if callback is not None or points is not None else None), wants_value


def _report(result) -> None:
    if not result.success:
        warn(result.message)
    else:
        print(result.message)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")


_ADAM = 'D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, arXiv:1412.6980'
_EXAMPLE_RATES = {
    "adadelta": 0.05,
    "adagrad": 0.5,
    "adam": 0.05,
    "adamax": 0.05,
    "adamw": 0.01,
    "ftrl": 0.5,
    "nadam": 0.005,
    "radam": 0.001,
}

# "auto" solves more of benchmarks/robustness.py within the default `maxiter` than 0.001: of 104 problems
# 97 to 1e-2 of the start's excess against 72, and 61 to 1e-6 against 39 (docs/learning_rates.rst).
adam = _method(rules.ADAM, "adam", "Adam", _ADAM, amsgrad=rules.AMSGRAD, learning_rate="auto")
adamw = _method(
    rules.ADAM,
    "adamw",
    "AdamW, which is Adam with decoupled weight decay,",
    'I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101',
    amsgrad=rules.AMSGRAD,
    weight_decay=0.004,
)
adamax = _method(rules.ADAMAX, "adamax", "Adamax", f"{_ADAM}, Algorithm 2")
nadam = _method(
    rules.NADAM,
    "nadam",
    "Nadam",
    'T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016',
)
radam = _method(
    rules.RADAM,
    "radam",
    "RAdam",
    'L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020',
)
lion = _method(
    rules.LION,
    "lion",
    "Lion",
    'X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675',
)
sgd = _method(
    rules.SGD_MOMENTUM,
    "sgd",
    "stochastic gradient descent, with momentum if so asked,",
    'I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013',
)
rmsprop = _method(
    rules.RMSPROP_MOMENTUM_INSIDE,
    "rmsprop",
    "RMSprop, with momentum if so asked,",
    'T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", Neural networks for machine learning, 2012',
)
adagrad = _method(
    rules.ADAGRAD,
    "adagrad",
    "Adagrad",
    'J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011',
    initial={"accumulator": rules.ACCUMULATOR},
)
adadelta = _method(
    rules.ADADELTA,
    "adadelta",
    "Adadelta",
    'M. D. Zeiler, "ADADELTA: An adaptive learning rate method", 2012, arXiv:1212.5701',
)


def _accumulated_start(x, *scalars):
    return rules.ftrl_start(x, rules.ACCUMULATOR, *scalars)


ftrl = _method(
    rules.FTRL_POWER,
    "ftrl",
    "FTRL-Proximal, its first proximal term centred at `x0`,",
    'H. B. McMahan et al., "Ad click prediction: A view from the trenches", KDD 2013',
    initial={"accumulator": rules.ACCUMULATOR, "linear": _accumulated_start},
)
