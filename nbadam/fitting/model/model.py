"""Models: a formula or a function, with the names of its parameters and variables."""

import inspect
import keyword
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..kernels.generate import Pointwise
from .callables import as_function
from .formula import function_of
from .grammar import check_names, names_in, parse


class Model:
    """A curve ``y = f(x; parameters)`` that `curve_fit` can fit to many data sets at once.

    A model that ships is written like this one, in `nbadam.models`; functions come from
    `nbadam.vector_math`, of which the compiler makes vector instructions:

    >>> from nbadam.vector_math import exp
    >>> def decay(x, amplitude, rate, offset):
    ...     return amplitude * exp(-rate * x) + offset
    >>> def decay_jacobian(x, amplitude, rate, offset):
    ...     e = exp(-rate * x)
    ...     return e, -amplitude * x * e, 1.0
    >>> def decay_guess(x, y):
    ...     return np.array([y[0] - y[-1], 1 / x.mean(), y[-1]])
    >>> DECAY = Model(decay, jacobian=decay_jacobian, guess=decay_guess)
    >>> DECAY.parameters
    ('amplitude', 'rate', 'offset')

    Parameters
    ----------
    formula : str or callable
        A formula such as ``"a * exp(-b * x) + c"`` (see the notes), of which SymPy takes derivatives (extra
        ``formula``).  Or a function ``f(x, a, b, c)`` of numbers that Numba can compile.  With several
        variables its first argument is a tuple of them, as SciPy passes them in ``xdata``.  Methods,
        partials, ufuncs and objects with a `__call__` in Python will do: the attributes that they use,
        numbers, arrays and functions, are taken as they are at the time of the fit.
    parameters : sequence of str, optional
        Their names, in the order of `popt`.  By default those of the function's arguments after the
        first, or the names in the formula as they first appear in it, but for ``pi``.
    variables : sequence of str
        Names of the independent variables.  By default ``("x",)``.
    jacobian : callable, optional
        ``jacobian(x, a, b, c)`` that returns the tuple of the derivatives by ``a``, ``b`` and ``c``,
        compiled like the function.  Without it, it is exact where Numba can derive it, else taken by
        differences.
    guess : callable, optional
        ``guess(x, y)`` in NumPy that returns where to start, an array of shape ``(n_params,)``, given
        one data set: `x` of shape ``(m,)``, or ``(n_variables, m)`` if there are several, and `y` of
        shape ``(m,)``, both without the points that are left out.
    name : str, optional
        Name of the model; by default the function's name, or ``"formula"``.
    doc : str, optional
        Description of the model, with the units of its parameters.

    Raises
    ------
    ValueError
        If the parameters or variables have no legal, distinct names, or are not those of the function.  If
        the formula cannot be read, or Numba could not compile the function.

    See Also
    --------
    nbadam.curve_fit : Fits of models.
    nbadam.models : Models that ship, and sums of models: ``GAUSSIAN + LINE``.

    Notes
    -----
    A formula is parsed, never evaluated.  It holds numbers, names, ``+ - * / **``, comparisons with ``and``,
    ``or`` and ``not``, and ``value if condition else other``.  Constants are ``pi`` and, where no parameter
    has its name, ``e``.  Functions, also by NumPy's names for them, are ``abs``, ``sign``,
    ``floor``, ``ceil``, ``min``, ``max``, ``sqrt``, ``cbrt``, ``hypot``, ``exp``, ``expm1``, ``log``,
    ``log1p``, ``log2``, ``log10``, ``sin``, ``cos``, ``tan``, ``asin``, ``acos``, ``atan``, ``atan2``,
    ``sinh``, ``cosh``, ``tanh``, ``asinh``, ``acosh``, ``atanh``, ``erf``, ``erfc``, ``gamma``, ``lgamma``.
    ``where(condition, a, b)``, ``piecewise(condition, a, condition, b, ..., otherwise)``, ``heaviside(x)``
    or ``heaviside(x, at_0)`` choose.  From `scipy.special` come ``erfcx``, ``j0``, ``j1``, ``jv``, ``y0``,
    ``i0``, ``i1``, ``k0``, ``k1``, ``expi``, ``exp1``, ``ellipk``, ``ellipe``, ``gammainc``, ``betainc`` and
    ``voigt_profile``.
    """

    def __init__(
        self,
        formula: str | Callable,
        parameters: Sequence[str] | None = None,
        variables: Sequence[str] = ("x",),
        *,
        jacobian: Callable | None = None,
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
        # For sums: a formula of any model, and its grid of nonlinear parameters (`models.projection.Shapes`).
        self.expression: str | None = self.formula
        self.shapes: Any = None
        # Of a model that belongs to one fit: see `compile.identity` and `pointwise.candidates`.
        self.identity: tuple[str, int] | None = None
        self.ways: list[Pointwise] | None = None
        self.name: str = name or getattr(  # type: ignore[assignment]
            self._given, "__name__", type(self._given).__name__ if tree is None else "formula"
        )
        self.__doc__ = doc or self.__doc__

    @property
    def function(self) -> Callable:
        """The function of numbers that Numba compiles; of a method, with the object's attributes of now."""
        if self.formula is not None:
            return function_of(self.formula, self.variables, self.parameters)
        return as_function("formula", self._given)  # type: ignore[arg-type]

    def prefixed(self, prefix: str) -> "Model":
        """Return the model with other names for its parameters, for sums of like models.

        Parameters
        ----------
        prefix : str
            Beginning of the new names, such as ``"a_"``.

        Returns
        -------
        Model

        Raises
        ------
        ValueError
            If the new names are no legal names.

        Examples
        --------
        >>> from nbadam import models
        >>> models.LINE.prefixed("a_").parameters
        ('a_slope', 'a_intercept')
        """
        from ...models.sums import Prefixed

        return Prefixed(self, prefix)

    def __add__(self, other: "Model") -> "Model":
        """Return the sum of two models, with the parameters of both; see `nbadam.models`.

        Of several constants in a sum only one is kept: that of a background, which is linear in all
        parameters, else the last one.  Terms guess together: each on the data that the others leave.

        Raises
        ------
        ValueError
            If both have parameters of the same name, or another number of variables.

        Examples
        --------
        >>> from nbadam import models
        >>> two = models.GAUSSIAN.prefixed("a_") + models.GAUSSIAN.prefixed("b_") + models.LINE
        >>> two.parameters
        ('a_amplitude', 'a_center', 'a_sigma', 'b_amplitude', 'b_center', 'b_sigma', 'slope', 'intercept')
        """
        from ...models.sums import Sum

        if not isinstance(other, Model):
            return NotImplemented
        return Sum((self, other))

    def __getstate__(self) -> Any:
        """Return the state for a copy, which does not belong to the fit of this one."""
        return vars(self) | {"identity": None, "ways": None}

    def __copy__(self) -> "Model":
        """Return another model of the same functions, also where pickles refer to a name."""
        other = object.__new__(type(self))
        vars(other).update(self.__getstate__())
        return other

    def __repr__(self) -> str:
        """Show formula or function, parameters and variables."""
        what = self.name if self.formula is None else repr(self.formula)
        return f"Model({what}, parameters={self.parameters}, variables={self.variables})"

    def __call__(self, x: Any, *parameters: Any) -> Any:
        """Evaluate the model in NumPy.

        Parameters
        ----------
        x : array, shape (m,) or (n_variables, m)
            The variables.
        *parameters : floats
            The parameters, in the order of `Model.parameters`.

        Returns
        -------
        ndarray, shape (m,)
        """
        if len(parameters) != len(self.parameters):
            raise TypeError(f"{self!r} takes {len(self.parameters)} parameters, not {len(parameters)}.")
        from .evaluate import evaluate

        return evaluate(self, x, parameters)


def parameter_names(function: Callable) -> tuple[str, ...]:
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


def _names(what: str, names) -> tuple[str, ...]:
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
