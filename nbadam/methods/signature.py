"""Signatures of the methods: each option by its name, with type and default, as editors show them."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

COUNT = "int | float | None"
NUMBER = "float"
OPTIONAL = "float | None"
TYPES = {
    "fun": "Callable[..., Any]",
    "x0": "ArrayLike",
    "args": "tuple[Any, ...]",
    "jac": "bool | Callable[..., Any] | None",
    "hess": "Any",
    "hessp": "Any",
    "bounds": "Bounds | Sequence[tuple[float | None, float | None]] | None",
    "constraints": "Sequence[Any]",
    "callback": "Callable[..., Any] | None",
    "learning_rate": "float | ArrayLike | Callable[..., Any]",
    "amsgrad": "bool",
    "clipvalue": OPTIONAL,
    "clipnorm": OPTIONAL,
    "weight_decay": OPTIONAL,
    "x_scale": "ArrayLike",
    "steps": "int | None",
    "epochs": "int | None",
    "maxiter": COUNT,
    "maxfun": COUNT,
    "maxfev": COUNT,
    "max_time": OPTIONAL,
    "tol": OPTIONAL,
    "gtol": OPTIONAL,
    "ftol": OPTIONAL,
    "xtol": OPTIONAL,
    "patience": "int | None",
    "reductions": "int",
    "reduction": NUMBER,
    "on_nonfinite": 'Literal["stop", "skip", "raise"]',
    "average": 'Literal["last", "best", "tail", "ema", "auto"]',
    "callback_interval": "int",
    "state": "RunState | str | PathLike[str] | None",
    "checkpoint": "str | PathLike[str] | None",
    "checkpoint_every": "int | None",
    "progress": "bool",
    "finite_diff": 'Literal["2-point", "3-point", "noise", "spsa"]',
    "finite_diff_rel_step": "ArrayLike | None",
    "eps": "ArrayLike | None",
    "rng": "int | np.random.SeedSequence | np.random.Generator | None",
    "disp": "bool",
    "return_all": "bool",
}  # types of arguments and options; hyperparameters that are not here are numbers


def signature(function: Callable[..., Any], options: Mapping[str, Any]) -> Signature:
    """Return the signature of a method, whose options are keywords.

    Parameters
    ----------
    function : function
        The method, which takes the options as ``**options``.
    options : dict
        Each option with its default.
    """
    kept = [
        p for p in Signature.from_callable(function).parameters.values() if p.kind != Parameter.VAR_KEYWORD
    ]
    kept += [Parameter(name, Parameter.KEYWORD_ONLY, default=default) for name, default in options.items()]
    return Signature(
        [p.replace(annotation=TYPES.get(p.name, NUMBER)) for p in kept], return_annotation="OptimizeResult"
    )
