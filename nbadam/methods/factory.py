"""Methods for ``scipy.optimize.minimize(fun, x0, method=...)``."""

from collections.abc import Callable
from typing import Any

from .. import rules
from ..algorithms import ALGORITHMS, Algorithm
from ..caller import warn
from ..progress import compilations_shown
from .documentation import HYPERPARAMETERS, TEMPLATE
from .minimize import minimize
from .options import OPTIONS, is_automatic, settings_from
from .signature import signature


def _method(algorithm: Algorithm) -> Callable[..., Any]:
    """Make the method of an algorithm."""
    name, rule = algorithm.method, getattr(rules, algorithm.rule)
    amsgrad = getattr(rules, algorithm.amsgrad) if algorithm.amsgrad else None
    known: dict[str, Any] = (
        rule.hyperparameters | ({"amsgrad": False} if amsgrad else {}) | OPTIONS | algorithm.defaults
    )

    def method(
        fun: Any,
        x0: Any,
        args: Any = (),
        jac: Any = None,
        hess: Any = None,
        hessp: Any = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Any = None,
        **options: Any,
    ) -> Any:
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
        with compilations_shown("the run", settings["progress"]):
            return minimize(chosen, settings, given, fun, x0, args, jac, bounds, constraints, callback)

    texts = [HYPERPARAMETERS[key].format(default=_literal(known[key])) for key in known if key not in OPTIONS]
    method.__signature__ = signature(method, known)  # type: ignore[attr-defined]
    method.__name__ = method.__qualname__ = name
    method.__doc__ = TEMPLATE.format(
        name=name,
        optimizer=algorithm.optimizer,
        title=algorithm.title,
        reference=algorithm.reference,
        hyperparameters="\n".join(texts),
        weight_decay=known["weight_decay"] or 0,
        rate=algorithm.rate,
    )
    return method


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


METHODS = {algorithm.method: _method(algorithm) for algorithm in ALGORITHMS}
globals().update(METHODS)  # where pickle and doctest look for functions
