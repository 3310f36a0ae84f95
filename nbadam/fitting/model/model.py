"""Models, and sums of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.text import load
from .definition import Definition
from .evaluate import evaluate
from .expressions import renamed, total, without
from .grammar import names_in, parse
from .terms import dropped_constants, guess_of


class Model(Definition):
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
        return evaluate(self, x, parameters)

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

        See Also
        --------
        nbadam.models : Models that ship, and sums of them.

        Examples
        --------
        >>> from nbadam import models
        >>> models.LINE.prefixed("a_").parameters
        ('a_slope', 'a_intercept')
        """
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
        if not isinstance(other, Model):
            return NotImplemented
        return Sum((self, other))


class Prefixed(Model):
    """A model whose parameters have a prefix.

    Parameters
    ----------
    model : Model
    prefix : str
    """

    unprefixed: Any
    prefix: str
    shapes: Any

    def __init__(self, model: Model, prefix: str) -> None:
        if not isinstance(prefix, str):
            raise ValueError(f"`prefix` must be a string such as 'a_', not {prefix!r}.")
        if isinstance(model, Sum):
            raise ValueError("`prefix` goes with the terms of a sum: write `A.prefixed('a_') + B`.")
        names = dict(zip(model.parameters, [prefix + name for name in model.parameters], strict=True))
        super().__init__(
            model.function if model.formula is None else renamed(model.formula, names),
            list(names.values()),
            model.variables,
            jacobian=model.jacobian,
            guess=model.guess,
            name=prefix + model.name,
            doc=model.__doc__ or "",
        )
        self.expression: Any = None if model.expression is None else renamed(model.expression, names)
        self.unprefixed, self.prefix, self.shapes = model, prefix, model.shapes

    def __reduce__(self) -> Any:
        """Refer to the model."""
        return Prefixed, (self.unprefixed, self.prefix)


class Sum(Model):
    """A sum of models; see `Model.__add__`.

    Parameters
    ----------
    models : sequence of Model
        Sums among them give their terms.

    Attributes
    ----------
    terms : tuple of Model
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.terms: tuple[Model, ...] = tuple(
            term for model in models for term in (model.terms if isinstance(model, Sum) else (model,))
        )
        variables = self.terms[0].variables
        for term in self.terms:
            if len(term.variables) != len(variables):
                raise ValueError(
                    f"The terms of a sum must have as many variables: {self.terms[0].name} has {variables}, "
                    f"{term.name} has {term.variables}."
                )
        self.dropped: list[str | None] = dropped_constants(self.terms)
        super().__init__(
            self._formula() or self._function(),
            self._names(),
            variables,
            name=" + ".join(term.name for term in self.terms),
            doc="Sum of models.",
        )
        self.guess: Any = guess_of(self.terms, self.dropped)

    def __reduce__(self) -> Any:
        """Refer to the terms."""
        return Sum, (self.terms,)

    def components(self, x: Any, *parameters: Any) -> dict[str, np.ndarray]:
        """Evaluate each term by itself.

        Parameters
        ----------
        x : array, shape (m,) or (n_variables, m)
        *parameters : float
            Those of the sum, such as `popt`.

        Returns
        -------
        dict of str to ndarray, shape (m,)
            By the names of the terms; their sum is the model.

        Examples
        --------
        >>> from nbadam.models import GAUSSIAN, LINE
        >>> (GAUSSIAN + LINE).components([0.0, 1.0], 3, 1, 0.5, 2, 1)["line"]
        array([1., 3.])
        """
        if len(parameters) != len(self.parameters):
            raise TypeError(f"{self!r} takes {len(self.parameters)} parameters, not {len(parameters)}.")
        given, found = iter(parameters), {}
        for term, dropped in zip(self.terms, self.dropped, strict=True):
            found[term.name] = term(x, *(0.0 if p == dropped else next(given) for p in term.parameters))
        return found

    def _names(self) -> list[str]:
        owners: dict[str, Model] = {}
        for term, dropped in zip(self.terms, self.dropped, strict=True):
            for name in term.parameters:
                if name == dropped:
                    continue
                if name in owners:
                    raise ValueError(
                        f"{owners[name].name} and {term.name} both have a parameter `{name}`: give one of "
                        "them a prefix, as `model.prefixed('a_')`."
                    )
                owners[name] = term
        return list(owners)

    def _formula(self) -> str | None:
        """Return the sum as a formula, if all terms are known as formulas."""
        formulas = []
        for term, dropped in zip(self.terms, self.dropped, strict=True):
            formula = term.expression
            if formula is None:
                return None
            formula = formula if dropped is None else without(formula, dropped)
            if formula is not None:
                formulas.append(
                    renamed(formula, dict(zip(term.variables, self.terms[0].variables, strict=True)))
                )
        return total(formulas)

    def _function(self) -> Any:
        """Return the sum as a function."""
        calls, at = [], 0
        for i, (term, dropped) in enumerate(zip(self.terms, self.dropped, strict=True)):
            arguments = []
            for name in term.parameters:
                arguments.append("0.0" if name == dropped else f"p{at}")
                at += name != dropped
            calls.append(f"term{i}(x, {', '.join(arguments)})")
        parameters = ", ".join(f"p{i}" for i in range(at))
        text = f"def total(x, {parameters}):\n    return {' + '.join(calls)}\n"
        return load("float64", text, {f"term{i}": term.function for i, term in enumerate(self.terms)})[
            "total"
        ]


def model_over(formula: str, names: Sequence[str]) -> Model:
    """Return the model of a formula in ``x``, or in the names of its coordinates or columns."""
    used = set(names_in(parse(formula)))
    is_named = used.intersection(names) and ("x" in names or "x" not in used)
    return Model(formula, variables=names if is_named else ["x"])
