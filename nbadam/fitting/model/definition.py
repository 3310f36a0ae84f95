"""Definitions of models: a formula or a function, with the names of its parameters and variables."""

import inspect
import keyword
import unicodedata
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Self, TypeVar

import numpy as np

from ..._fingerprint import identify
from ..kernels.generate import Pointwise
from .callables import as_function
from .formula import function_of
from .grammar import check_names, names_in, parse


class Definition:
    """All of a `Model` that kernels are made of."""

    def __init__(
        self,
        formula: str | Callable[..., Any],
        parameters: Sequence[str] | None = None,
        variables: Sequence[str] = ("x",),
        *,
        jacobian: Callable[..., Any] | None = None,
        guess: Callable[[np.ndarray, np.ndarray], Any] | None = None,
        name: str | None = None,
        doc: str = "",
    ) -> None:
        self.formula: str | None = formula if isinstance(formula, str) else None
        self._given = None if isinstance(formula, str) else formula
        for what, text in (("name", name), ("doc", doc)):
            if not isinstance(text, str | None):
                raise ValueError(f"`{what}` must be a string, not {text!r}.")
        if jacobian is not None:
            jacobian = as_function("jacobian", jacobian)
        if jacobian is not None and self.formula is not None:
            raise ValueError("`jacobian` goes with a function: that of a formula is derived.")
        if guess is not None and not callable(guess):
            raise ValueError(f"`guess` must be a function of x and y, not {guess!r}.")
        self.variables: tuple[str, ...] = _names("variables", variables)
        tree = parse(formula) if isinstance(formula, str) else None
        if tree is None:
            as_function("formula", formula)  # type: ignore[arg-type]  # raises early
            arguments = parameter_names(formula)  # type: ignore[arg-type]
            parameters = arguments if parameters is None else parameters
            if arguments and len(parameters) != len(arguments):
                raise ValueError(
                    f"`parameters` must name the {len(arguments)} arguments of the function after the "
                    f"first, {arguments}, not {parameters!r}."
                )
        elif parameters is None:
            if not set(self.variables) & set(names_in(tree)):
                raise ValueError(
                    f"The formula {formula!r} does not depend on {' or '.join(self.variables)}: name its "
                    "variable so, or use a Model with its names as `variables` (those that ship are objects "
                    "of `nbadam.models`); a formula of no variable must have its `parameters` named."
                )
            parameters = [
                name for name in dict.fromkeys(names_in(tree)) if name not in {*self.variables, "pi"}
            ]
        if not len(parameters):
            raise ValueError("`parameters` must name at least one parameter of the model.")
        self.parameters: tuple[str, ...] = _names("parameters", parameters)
        if tree is not None:
            both = set(self.parameters) & set(self.variables)
            if both:
                raise ValueError(f"{', '.join(sorted(both))} is among the `parameters` and the `variables`.")
            roles = f"the `variables` {self.variables} nor among the `parameters` {self.parameters}"
            check_names(formula, tree, {*self.variables, *self.parameters}, roles)  # type: ignore[arg-type]
        self.jacobian = jacobian
        self.guess = guess
        # For sums: a formula of any model, and its grid of nonlinear parameters (`projection.Shapes`).
        self.expression: str | None = self.formula
        self.shapes: Any = None
        self.unprefixed: Definition | None = None  # the model whose parameters have a prefix here
        # Of a model that belongs to one fit: see `identity`, `constants.lifted` and `pointwise.candidates`.
        self.identity: tuple[str, int] | None = None
        self.lifted: Any = None
        self.ways: list[Pointwise] | None = None
        self.name: str = name or getattr(  # type: ignore[assignment]
            self._given, "__name__", type(self._given).__name__ if tree is None else "formula"
        )
        self.__doc__ = doc or self.__doc__

    @property
    def function(self) -> Callable[..., Any]:
        """The function of numbers that Numba compiles; of a method, with the object's attributes of now."""
        if self.formula is not None:
            return function_of(self.formula, self.variables, self.parameters)
        return as_function("formula", self._given)  # type: ignore[arg-type]

    def __getstate__(self) -> Any:
        """Return the state for a copy, which does not belong to the fit of this one."""
        return vars(self) | {"identity": None, "lifted": None, "ways": None}

    def __copy__(self) -> Self:
        """Return another model of the same functions, also where pickles refer to a name."""
        other = object.__new__(type(self))
        vars(other).update(self.__getstate__())
        return other

    def __repr__(self) -> str:
        """Show formula or function, parameters and variables."""
        what = self.name if self.formula is None else repr(self.formula)
        return f"Model({what}, parameters={self.parameters}, variables={self.variables})"


Own = TypeVar("Own", bound=Definition)


def identity(model: Definition) -> tuple[str, int]:
    """Return the digest of everything that decides about a model's kernels, and the bytes of arrays in it.

    It is that of the first call: `as_now` gives each fit a model of its own.
    """
    if model.identity is None:
        model.identity = current_identity(model)
    return model.identity


def current_identity(model: Definition) -> tuple[str, int]:
    """Return the same for the objects that the model refers to as they are now."""
    digest, nbytes = identify(model.formula or model.function)
    if model.jacobian is not None:
        of_jacobian, more = identify(model.jacobian)
        digest, nbytes = f"{digest} {of_jacobian}", nbytes + more
    return f"{digest} {model.parameters} {model.variables}", nbytes


def as_now(model: Own) -> Own:
    """Return a model for one fit, with everything that this one refers to as it is now."""
    model = copy(model)
    model._given = None if model.formula is not None else model.function
    identity(model)
    return model


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments after the first; none where the function does not tell, as with ``*args``."""
    if isinstance(function, np.ufunc):
        return tuple(f"p{i}" for i in range(function.nin - 1))
    if isinstance(function, np.vectorize):
        function = function.pyfunc
    function = getattr(function, "py_func", function)
    if inspect.isfunction(function) and not vars(function):  # nothing that `signature` would look at but code
        code = function.__code__
        tells = not (code.co_posonlyargcount or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS))
        return code.co_varnames[1 : code.co_argcount] if tells else ()
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return ()
    arguments = [argument for argument in arguments if argument.kind is not argument.KEYWORD_ONLY]
    if any(argument.kind is not argument.POSITIONAL_OR_KEYWORD for argument in arguments):
        return ()
    return tuple(argument.name for argument in arguments[1:])


def _names(what: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError(f"`{what}` must be names in a list or tuple, not the string {names!r}.")
    names = tuple(names)
    for name in names:
        legal = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
        if not legal or unicodedata.normalize("NFKC", name) != name:  # Python would read another name
            raise ValueError(f"`{what}` must be names such as 'x' or 'rate', not {name!r}.")
    if len(set(names)) != len(names):
        raise ValueError(f"`{what}` must differ from each other, not {names!r}.")
    return names
