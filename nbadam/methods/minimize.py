"""One call of a method: its arguments are checked, and made into an objective, a plan and a run."""

from collections.abc import Callable, Collection
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from .._jit import reason
from ..caller import warn
from ..checks import positive, shown
from ..rules import ADAM, Rule
from ..shuffling import seed_numbers
from .bounds import parse_bounds, parse_starts
from .calibration import FIRST
from .differences import PERTURBATION, SCHEMES, Differences
from .driver import run_loop
from .first_passes import begin_epochs
from .minibatch import Minibatch
from .noise import rounding_of
from .objective import Objective
from .options import PLANS, implied, is_automatic, limit, parameters, state_from
from .perturbations import Perturbations
from .plan import RunPlan
from .quadratic import FAINT_FOR_MODEL, LARGEST, QuadraticModel
from .record import NO, YES
from .regression import LARGEST_FULL
from .run import Run
from .stopping import Stop

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

# Options by which a user says which differences to take.
SIZES = {"finite_diff_rel_step", "eps"}
CHOSEN = {"finite_diff", *SIZES}
LEAST = 40  # evaluations of a budget too small to spend most of it on looking for noise


def minimize(
    rule: Rule,
    settings: dict[str, Any],
    given: Collection[str],
    fun: Any,
    x0: Any,
    args: Any,
    jac: Any,
    bounds: Any,
    constraints: Any,
    callback: Any,
) -> "OptimizeResult":
    """Minimize `fun` by a rule, with the arguments of `scipy.optimize.minimize`.

    Parameters
    ----------
    rule : Rule
        The algorithm.
    settings : dict
        All options, as `options.settings_from` returns them.
    given : collection of str
        Which of them the user gave.
    fun, x0, args, jac, bounds, constraints, callback
        See `documentation.TEMPLATE`.
    """
    if constraints is not None and not (hasattr(constraints, "__len__") and len(constraints) == 0):
        raise ValueError(
            "`constraints` cannot be handled by nbadam's methods: use `bounds`, add a penalty to `fun`, "
            "or use method='SLSQP', 'COBYQA' or 'trust-constr'."
        )
    x0 = np.array(parse_starts("x0", np.atleast_1d(x0), {1: "(n,)"}), dtype=float)
    if not np.isfinite(x0).all():
        raise ValueError(f"`x0` must be finite, not {shown(x0)}.")
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
    start = np.clip(x0, lower, upper)
    if objective.jac is True and is_jitted(objective.fun):
        try:
            objective.compile()
        except NumbaError as error:
            warn(f"`fun` cannot be called from compiled code, so Python drives the run: {reason(error)}")
    may_model = is_automatic(settings) and rule is ADAM and not settings["weight_decay"]
    is_noticed = _notice_noise(objective, start, given, jac, resumed, settings, may_model)
    is_perturbed = isinstance(objective.differences, Perturbations)
    settings |= implied(
        rule, settings, given, x0.size, is_noisy=is_noticed, is_perturbed=is_perturbed,
        is_faint=isinstance(objective.differences, Differences) and is_automatic(settings),
        is_modelled=isinstance(objective.differences, QuadraticModel), is_resumed=resumed is not None,
    )  # fmt: skip
    plan = RunPlan(rule, settings, (lower, upper), objective, is_noticed)
    if settings["epochs"] is not None and plan.is_auto and resumed is None:
        x0 = begin_epochs(objective, plan, start, plan.x_scale if "x_scale" in given else None)

    points = [start] if settings["return_all"] else None
    after_each, wants_value = _adapted(callback, points)
    # Kernels are compiled here, while Ctrl-C still takes effect at once.
    run = Run(objective, plan, x0, resumed)
    result = run_loop(run, after_each, wants_value)
    result.message += _remark(objective, plan, result)
    if points is not None:
        result.allvecs = points
    if settings["disp"]:
        _report(result)
    return result


def _notice_noise(
    objective: Objective,
    start: np.ndarray,
    given: Collection[str],
    jac: Any,
    resumed: Any,
    settings: dict[str, Any],
    may_model: bool,
) -> bool:
    """Return whether the values are noisy or rough; take the differences that suit them, unless told."""
    differences = objective.differences
    if differences is None:
        is_open = is_automatic(settings) and not PLANS & set(given) and objective.minibatch is None
        return is_open and _values_differ(objective, start, resumed)
    if not (differences.lower < differences.upper).any():
        return False
    if isinstance(differences, Perturbations) and resumed is None and not SIZES & set(given):
        differences.notice(objective.value, start, positive("x_scale", settings["x_scale"], start.size))
    if not isinstance(differences, Differences) or differences.scheme == "noise":
        return True
    most = min(limit(name, settings, inf) for name in ("maxfun", "maxfev"))
    if isinstance(jac, str) or CHOSEN & set(given) or (most < LEAST and resumed is None):
        return False
    seed = seed_numbers(settings["rng"] if "rng" in given else 0)
    if resumed is None:
        objective.take(_noticed(objective, differences, start, seed, may_model, most))
    elif resumed.facts["finite_diff"] in ("spsa", "quadratic"):
        kind = QuadraticModel if resumed.facts["finite_diff"] == "quadratic" else Perturbations
        unit = np.array(resumed.arrays["x_scale"], dtype=float)
        perturbations = kind(differences.lower, differences.upper, unit, seed)
        perturbations.restore(resumed.facts["objective"]["differences"])
        objective.take(perturbations)
    elif resumed.facts["finite_diff"] == "noise":
        differences.scheme = "noise"
        differences.restore(resumed.facts["objective"]["differences"])
    if objective.differences is differences:
        is_smooth = differences.noise is None and differences.count is not None
        objective.is_noisy = False if is_smooth else differences.is_random or None
        return differences.noise is not None
    return True


class _SpentError(Exception):
    """All evaluations that there may be were spent on the look for noise."""


def _noticed(
    objective: Objective,
    differences: Differences,
    start: np.ndarray,
    seed: tuple[int, ...],
    may_model: bool,
    most: float,
) -> Differences | Perturbations:
    """Return the gradient estimate, or the quadratic model, that suits the values near the start."""
    points: list[np.ndarray] = []
    values: list[float] = []

    def value(x: Any) -> Any:
        if objective.nfev >= most:
            raise _SpentError
        if values and not np.isfinite(values[-1]) and np.array_equal(points[-1], x):  # tried again
            points.pop()
            values.pop()
        points.append(x.copy())
        values.append(objective.value(x))
        return values[-1]

    can_be_full = may_model and start.size <= LARGEST_FULL
    unit = np.array(np.broadcast_to(differences.x_scale, start.shape), dtype=float)
    found: Differences | Perturbations
    try:
        found = differences.notice(value, start, seed, most, FAINT_FOR_MODEL if can_be_full else None)
    except _SpentError:  # on values that hardly change: those known tell the lowest point
        noise = max(rounding_of(values[0]), float(np.std(values[:2], ddof=1)))
        found = Perturbations(differences.lower, differences.upper, FIRST * unit, seed, noise)
    if not may_model or not isinstance(found, Perturbations) or found.noise is None:
        return found
    if start.size > LARGEST:
        return found
    model = QuadraticModel(differences.lower, differences.upper, unit, seed, differences.is_random)
    model.begin(points, values, found.size, found.noise, found.inside)
    model.is_hidden = found.is_hidden
    return model


def _values_differ(objective: Objective, start: np.ndarray, resumed: Any) -> bool:
    """Return whether two evaluations of value and gradient at the start differ; the objective takes note."""
    if resumed is not None:
        return bool(resumed.arrays["number is_noisy"][0] == YES)
    with np.errstate(all="ignore"):
        (f, g), (again, g_again) = (objective.value_and_gradient(start) for _ in range(2))
    if np.isfinite(f) and np.isfinite(g).all():
        objective.is_noisy = f != again or not np.array_equal(g, g_again)
    return bool(objective.is_noisy)


def _remark(objective: Objective, plan: Any, result: Any) -> str:
    """Return sentences on the values that the run met."""
    differences = objective.differences
    if isinstance(differences, QuadraticModel):
        return (
            f" Values near `x0` have a noise of {differences.noise:.2g}, random or by steps, so steps go to "
            "the minimum of a quadratic that is fitted to the values around."
        )
    if isinstance(differences, Perturbations) and differences.noise is not None:
        return (
            f" Values near `x0` have a noise of {differences.noise:.2g}, random or by steps, so gradients "
            f"come from simultaneous perturbations of {plan.limits['radius']:.2g}, two evaluations each."
        )
    if differences is not None and differences.noise is not None:
        return f" Differences have steps for values with a noise of {differences.noise:.2g}."
    is_smooth = result.state.arrays["number is_noisy"][0] == NO and Stop.KINK.message not in result.message
    if is_smooth and plan.is_auto and result.success and result.nit:
        return " The values are free of noise: if they are smooth, L-BFGS-B needs fewer evaluations."
    return ""


def _objective(
    fun: Any, jac: Any, args: tuple[Any, ...], settings: dict[str, Any], lower: np.ndarray, upper: np.ndarray
) -> Objective:
    if not callable(fun):
        raise ValueError(f"`fun` must be callable, not {shown(fun)}.")
    # minimize(jac=True) hands over a memoizing wrapper, which would make a noisy objective look
    # noiseless and hides a compiled function.
    memoized = getattr(jac, "__self__", None)
    if memoized is not None and memoized is fun and type(fun).__module__.startswith("scipy.optimize."):
        fun, jac = memoized.fun, True
    if isinstance(fun, Minibatch):
        if callable(jac):
            raise ValueError("`jac` must be True for a Minibatch, whose function returns the gradient, too.")
        jac = True
    if callable(jac) or jac is True:
        return Objective(fun, jac, args, None)
    if not (jac is None or jac is False or isinstance(jac, str)):
        raise ValueError(f"`jac` must be True, callable or None, not {shown(jac)}.")
    scheme = jac if isinstance(jac, str) else settings["finite_diff"]
    if scheme not in SCHEMES:
        raise ValueError(f"`finite_diff` must be one of {', '.join(SCHEMES)}, not {shown(scheme)}.")
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


def _adapted(callback: Any, points: list[Any] | None) -> tuple[Callable[..., Any] | None, bool]:
    """Return the function to call after each iteration, and whether it needs the value at every point."""
    if callback is not None and not callable(callback):
        raise ValueError(f"`callback` must be callable, not {shown(callback)}.")
    # SciPy's rule: a single parameter of this very name asks for the new form.
    wants_value = callback is not None and set(parameters(callback)) == {"intermediate_result"}

    def after_each(run: Any) -> None:
        from scipy.optimize import OptimizeResult

        if points is not None:
            points.append(run.record.here.copy())
        if wants_value:
            callback(intermediate_result=OptimizeResult(x=run.record.here.copy(), fun=float(run.s.f)))
        elif callback is not None:
            callback(run.record.here.copy())

    return (after_each if callback is not None or points is not None else None), wants_value


def _report(result: Any) -> None:
    if not result.success:
        warn(result.message)
    else:
        print(result.message)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")
