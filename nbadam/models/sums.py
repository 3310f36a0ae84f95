"""Sums of models: names, one constant, and guesses that work together."""

from collections.abc import Sequence

import numpy as np

from ..fitting.kernels.compile import load
from ..fitting.model.formula import function_of
from ..fitting.model.model import Model
from . import grids
from .expressions import constant_of, renamed, total, without
from .projection import Projection, Shapes, Term

ROUNDS = 2  # times that each term without a grid is guessed


class Prefixed(Model):
    """A model whose parameters have a prefix.

    Parameters
    ----------
    model : Model
    prefix : str
    """

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
        self.expression = None if model.expression is None else renamed(model.expression, names)
        self.model, self.prefix, self.shapes = model, prefix, model.shapes

    def __reduce__(self):
        """Refer to the model."""
        return Prefixed, (self.model, self.prefix)


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
        self.dropped = _dropped(self.terms)
        super().__init__(
            self._formula() or self._function(),
            self._names(),
            variables,
            name=" + ".join(term.name for term in self.terms),
            doc="Sum of models.",
        )
        self.guess = self._guess()

    def __reduce__(self):
        """Refer to the terms."""
        return Sum, (self.terms,)

    def components(self, x, *parameters) -> dict[str, np.ndarray]:
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

    def _function(self):
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

    def _guess(self):
        terms = []
        for term, dropped in zip(self.terms, self.dropped, strict=True):
            model = _with_shapes(term)
            names = dict(zip(term.parameters, model.parameters, strict=True))
            terms.append(Term(model, None if dropped is None else names[dropped]))
        if all(term.model.shapes is not None for term in terms):
            return Projection(terms, len(self.variables))
        if all(term.model.shapes is not None or term.model.guess is not None for term in terms):
            return Alternating(terms)
        return None


class Alternating:
    """A guess for sums with terms that have no grid: each in turn, on the data that the others leave.

    Parameters
    ----------
    terms : sequence of Term
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = terms

    def __call__(self, x, y) -> np.ndarray:
        """Guess for one data set, `x` of shape (m,) or (n_variables, m)."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        n_variables = 1 if x.ndim == 1 else len(x)
        gridded = [k for k, term in enumerate(self.terms) if term.model.shapes is not None]
        projection = Projection([self.terms[k] for k in gridded], n_variables)
        values: dict[int, np.ndarray] = {}
        found: dict[int, np.ndarray] = {}
        groups = [[k] for k in range(len(self.terms)) if k not in gridded] + ([gridded] if gridded else [])
        for _ in range(ROUNDS):
            for group in groups:
                rest = y - sum(value for k, value in values.items() if k not in group)
                numbers = iter(projection(x, rest) if group is gridded else self._own(group[0], x, rest))
                for k in group:
                    model, dropped = self.terms[k]
                    found[k] = np.array([0.0 if p == dropped else next(numbers) for p in model.parameters])
                    values[k] = model(x, *found[k])
        return np.array(
            [
                value
                for k, (model, dropped) in enumerate(self.terms)
                for name, value in zip(model.parameters, found[k], strict=True)
                if name != dropped
            ]
        )

    def _own(self, k: int, x, y) -> np.ndarray:
        model, dropped = self.terms[k]
        guess = np.asarray(model.guess(x, y), float)
        return guess[[name != dropped for name in model.parameters]]


def _with_shapes(model: Model) -> Model:
    """Return the model that the grid belongs to; formulas that are linear in all parameters need none."""
    while isinstance(model, Prefixed) and model.shapes is not None:
        model = model.model
    if model.shapes is None and _is_background(model):
        model = Model(model.formula, model.parameters, model.variables)  # type: ignore[arg-type]
        model.shapes = Shapes(grids.nothing, model.parameters)
    return model


def _is_background(model: Model) -> bool:
    """Whether a formula is linear in all parameters, at some points and parameters."""
    if model.expression is None:
        return False
    n = len(model.parameters)
    random = np.random.default_rng(0)
    x = random.uniform(0.5, 2, (len(model.variables), 8))
    a, b = random.uniform(0.5, 2, (2, n))
    function = function_of(model.expression, model.variables, model.parameters, arrays=True)
    with np.errstate(all="ignore"):
        one, other, both = (function(x if len(x) > 1 else x[0], *p) for p in (a, b, 2 * a + 3 * b))
        return bool(np.allclose(2 * one + 3 * other, both, rtol=1e-10, atol=0))


def _dropped(terms: Sequence[Model]) -> list[str | None]:
    """Return the constant of each term, where another term supplies one."""
    constants = [
        None if term.expression is None else constant_of(term.expression, term.parameters) for term in terms
    ]
    numbers = [k for k, name in enumerate(constants) if name is not None]
    backgrounds = [k for k in numbers if _is_background(terms[k])]
    kept = (backgrounds or numbers or [-1])[-1]
    return [None if k == kept else name for k, name in enumerate(constants)]
