"""Methods for ``scipy.optimize.minimize(fun, x0, method=...)``."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from . import rules
from .bounds import parse_bounds
from .checks import positive
from .hyperparameters import integer
from .minimize import run
from .objective import SCHEMES, Differences, Objective
from .options import OPTIONS, parameters, plan_from, settings_from, state_from, warn
from .pace import UNIT_STEPS, paced
from .rules import Rule

_DOC = """Minimize a function with {title} [1]_, as a method of `scipy.optimize.minimize`.

    ``minimize(fun, x0, jac=True, method=nbadam.{name}, options={{...}})`` calls it; it can be called
    directly, too, with the options as keywords.  Everything happens in double precision.

    Parameters
    ----------
    fun : callable or nbadam.Minibatch
        ``fun(x, *args) -> float``, or ``fun(x, *args) -> (float, array)`` with ``jac=True``.  It may
        be noisy, and may give another sample at every call.  A function compiled by Numba that
        returns both is stepped inside compiled code; so is ``fun(x, gradient, *args) -> float``, which
        writes the gradient (both with ``jac=True``, and no `callback` at every step).
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
        Called after every iteration, or every `callback_interval` of them, as ``callback(x)`` or, if its only
        parameter has this name, ``callback(intermediate_result=OptimizeResult(x=..., fun=...))``, for which
        `fun` is evaluated there in any case.  StopIteration ends the run.

    Other Parameters
    ----------------
{hyperparameters}
    clipvalue : float, optional
        Every component of the gradient is clipped to ``[-clipvalue, clipvalue]``.
    clipnorm : float, optional
        A gradient whose Euclidean norm is larger is scaled down to it (after `clipvalue`).
    weight_decay : float, default {weight_decay}
        Decoupled weight decay: before each update x shrinks by the fraction
        ``learning_rate * weight_decay``.
    x_scale : float or array_like of shape (n,), default 1
        Unit of each variable.  The run happens in ``x / x_scale``, and the learning rate, the clipping,
        `gtol` and `xtol` belong to these variables.
    steps : int, optional
        Planned number of iterations, whose end is a success.  The tolerances are then off unless given.
    epochs : int, optional
        Planned number of passes over the data of a Minibatch, whose end is a success (status 5).  The
        tolerances are then off unless given.  Without a `learning_rate` a first look at up to 16 batches
        chooses `x_scale`, unless given, and a rate that falls to 0 as a cosine does; and `average` is "tail"
        unless given.  (Rules whose steps do not depend on the size of the gradient; others keep their
        defaults.)
    maxiter : int, default 50000
        Largest number of iterations, whose end is a failure (status 1).
    maxfun, maxfev : int, optional
        Largest number of evaluations of `fun`, looked at after each iteration (status 2).
    max_time : float, optional
        Seconds after which this call ends (status 6).
    gtol : float, default 1e-5
        Succeed when no component of the mean gradient over 100 iterations is larger, leaving out
        what points out of the bounds.  At `x0` the gradient itself is looked at.  Where two calls at one
        point agree `fun` counts as free of noise, and then the gradient at the mean point of these
        iterations, or at the last one, has to meet `gtol` as well: a cycle of large steps does not pass.
    ftol : float, default 1e-9
        Succeed when the mean of the values over 100 iterations differs from that of the 100 before
        by no more than this fraction (without noise: and the value at the mean point is no lower).
    xtol : float, default 0
        Succeed when no component of the mean point over 100 iterations differs from that of the
        100 before by more than ``xtol * max(1, abs(x / x_scale))``.
    patience : int, optional
        Succeed (status 4) when the mean value over so many steps (at least 10) is lower than that over as
        many steps before by no more than the standard error of the difference, as ten parts of each tell it.
    tol : float, optional
        Sets those of `gtol`, `ftol` and `xtol` that are not given.
    finite_diff : {{"2-point", "3-point"}}
        Forward differences (n evaluations a step more) or central ones (2 n) where `jac` is None.
    finite_diff_rel_step : float or array_like, optional
        Their step relative to ``max(1, abs(x))``; default 1.5e-8 or, for "3-point", 6.1e-6.
    eps : float or array_like, optional
        Their step in units of x; wins over `finite_diff_rel_step`.
    average : {{"last", "best", "tail", "ema"}}
        Which point to return: the last one; that of the lowest value seen; the mean of all points weighted by
        about the cube of the step, three quarters of it on the last 30 % [2]_; or an exponential mean over
        some 100 steps.
    callback_interval : int, default 1
        Iterations from one call of `callback` to the next.
    state : nbadam.RunState or path-like, optional
        The `state` of a result, or a checkpoint, that the run goes on from instead of `x0`.  All limits but
        `max_time` count from the beginning of the first run.
    checkpoint : path-like, optional
        File that is replaced by the state of the run from time to time, and at its end.
    checkpoint_every : int, optional
        Iterations from one time to the next; by default a minute.
    disp : bool, default False
        Print a summary at the end; a failure is an OptimizeWarning.
    return_all : bool, default False
        Keep every point in ``result.allvecs``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x`, `fun` and `jac` (at `x`), `nit`, `nfev`, `njev`, `status`, `success`, `message`, `history`
        (nbadam.History) and `state` (nbadam.RunState).  The point is the one that `average` asks for; the
        mean of the last 100 where a tolerance is met and it is better; the best one seen where that is
        worse than the start, by more than noise explains, or not finite.  `fun` and `jac` of a Minibatch are
        those over all data, once it has seen an epoch.  Other noisy objectives are evaluated there up to 20
        times, but no more than a tenth of the run's evaluations; `fun` is the mean, and `fun_stderr` its
        standard error.
        `status` is 0 for success (5 after planned `epochs`, 4 for `patience`), 1 for `maxiter`, 2 for
        `maxfun`, 3 for a value or gradient that is not finite, 6 for `max_time`, 7 for Ctrl-C, after which
        the result is what there is so far, 99 for a callback's StopIteration.

    Raises
    ------
    ValueError
        If an argument or option is invalid (the message names it and what would be right), or `fun`
        or `jac` returns something of the wrong type or shape.

    Warns
    -----
    OptimizeWarning
        For an unknown option, or an `x0` outside of the bounds (it is moved into them).

    References
    ----------
    .. [1] {reference}
    .. [2] O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization", ICML 2013

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> import nbadam
    >>> result = minimize(rosen, [0.9, 0.9], jac=rosen_der, method=nbadam.{name},
    ...                   options={{"learning_rate": {rate}, "steps": 5000}})
    >>> result.success, bool(result.fun < 0.01)
    (True, True)
    """


def _method(
    rule: Rule,
    name: str,
    title: str,
    reference: str,
    *,
    amsgrad: Rule | None = None,
    initial: dict[str, Any] | None = None,
    **defaults: float,
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
    known = rule.hyperparameters | ({"amsgrad": False} if amsgrad else {}) | OPTIONS | defaults

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
        settings = settings_from(known, options)
        chosen = amsgrad if amsgrad and settings["amsgrad"] else rule
        if hess is not None or hessp is not None:
            warn(f"Method {name} does not use Hessian information (hess, hessp).", RuntimeWarning)
        given = options.keys()
        return _minimize(
            chosen, settings, given, initial or {}, fun, x0, args, jac, bounds, constraints, callback
        )

    texts = [_HYPERPARAMETERS[key].format(default=known[key]) for key in known if key not in OPTIONS]
    method.__name__ = method.__qualname__ = name
    method.__doc__ = _DOC.format(
        name=name,
        title=title,
        reference=reference,
        hyperparameters="\n".join(texts),
        weight_decay=known["weight_decay"] or 0,
        rate=_EXAMPLE_RATES.get(name, 0.001),
    )
    return method


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
    distance = None
    if settings["epochs"] is not None and "learning_rate" not in given and rule in UNIT_STEPS:
        settings, distance = paced(
            settings, given, objective, np.clip(x0, lower, upper), (lower, upper), resumed
        )
    plan = plan_from(rule, settings, x0.size, lower, upper, initial, objective.minibatch)
    plan.distance = distance
    interval = integer(1)("callback_interval", settings["callback_interval"])

    points = [np.clip(x0, lower, upper)] if settings["return_all"] else None
    look, wants_value = _adapted(callback, points)
    how: dict = {"resumed": resumed, "callback": look, "interval": interval, "wants_value": wants_value}
    result = None
    if is_compiled(objective) and (look is None or interval > 1) and points is None:
        try:
            result = run(objective, plan, x0, compiled=True, **how)
        except NumbaError as error:
            reason = str(error).strip().splitlines()[0]
            warn(f"`fun` cannot be called from compiled code, so the run is driven from Python: {reason}")
            objective = _objective(fun, jac, args, settings, lower, upper)
    if result is None:
        result = run(objective, plan, x0, **how)
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
    wants_value = callback is not None and set(parameters(callback)) == {"intermediate_result"}

    def look(state):
        from scipy.optimize import OptimizeResult

        if points is not None:
            points.append(state.x.copy())
        if wants_value:
            callback(intermediate_result=OptimizeResult(x=state.x.copy(), fun=state.f))
        elif callback is not None:
            callback(state.x.copy())

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


_HYPERPARAMETERS = {
    "learning_rate": """\
    learning_rate : float, array_like of shape (n,) or callable, default {default}
        Size of a step, in units of ``x / x_scale`` (of that per gradient for plain SGD).  An array gives
        each variable its own.  A schedule is called with the number of steps done so far (0 at the first);
        a callable without parameters is called at every step.""",
    "beta_1": """\
    beta_1 : float, default {default}
        Decay of the running mean of the gradient, in [0, 1).""",
    "beta_2": """\
    beta_2 : float, default {default}
        Decay of the running mean of its square (Adamax: of its largest size; Lion: of the gradient in the
        momentum), in [0, 1).""",
    "epsilon": """\
    epsilon : float, default {default}
        Keeps the denominator from 0, placed where Keras has it ("epsilon hat").  With 0 a variable whose
        gradients were all zero stays where it is.""",
    "amsgrad": """\
    amsgrad : bool, default {default}
        Divide by the largest mean square so far (Reddi, Kale and Kumar, ICLR 2018).""",
    "momentum_decay": """\
    momentum_decay : float, default {default}
        How fast the momentum grows from ``beta_1 / 2`` to `beta_1`.""",
    "momentum": """\
    momentum : float, default {default}
        Fraction of the last step that is made again, in [0, 1].""",
    "rho": """\
    rho : float, default {default}
        Decay of the running means, in [0, 1).""",
    "learning_rate_power": """\
    learning_rate_power : float, default {default}
        How the learning rate falls with the sum of the squared gradients, at most 0.  `learning_rate` must
        be one number above 0, or give such.""",
    "l1_regularization_strength": """\
    l1_regularization_strength : float, default {default}
        Penalty on the absolute values of the (scaled) variables, added once to the sum of all gradients: a
        variable whose gradients add up to less is 0.""",
    "l2_regularization_strength": """\
    l2_regularization_strength : float, default {default}
        Penalty on their squares, added once as well.""",
    "l2_shrinkage_regularization_strength": """\
    l2_shrinkage_regularization_strength : float, default {default}
        Penalty on the squares that acts on the gradient only, not on the sum of its squares.""",
    "beta": """\
    beta : float, default {default}
        The paper's smoothing of the learning rate.""",
}

_ACCUMULATOR = 0.1  # what sums of squares start at, as in Keras
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

adam = _method(rules.ADAM, "adam", "Adam", _ADAM, amsgrad=rules.AMSGRAD)
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
    initial={"accumulator": _ACCUMULATOR},
)
adadelta = _method(
    rules.ADADELTA,
    "adadelta",
    "Adadelta",
    'M. D. Zeiler, "ADADELTA: An adaptive learning rate method", 2012, arXiv:1212.5701',
)


def _accumulated_start(x, *scalars):
    return rules.ftrl_start(x, _ACCUMULATOR, *scalars)


ftrl = _method(
    rules.FTRL_POWER,
    "ftrl",
    "FTRL-Proximal, its first proximal term centred at `x0`,",
    'H. B. McMahan et al., "Ad click prediction: A view from the trenches", KDD 2013',
    initial={"accumulator": _ACCUMULATOR, "linear": _accumulated_start},
)
