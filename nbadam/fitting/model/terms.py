"""Terms of sums of models: one constant for all, and guesses that work together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .definition import Definition
from .evaluate import evaluate
from .expressions import constant_of
from .formula import function_of
from .projection import Projection, Shapes, Term, nothing

ROUNDS = 2  # times that each term without a grid is guessed


def guess_of(terms: Sequence[Definition], dropped: Sequence[str | None]) -> Callable[..., Any] | None:
    """Return the guess of a sum, each of whose terms may lack a constant; None if a term has no guess."""
    own = []
    for term, constant in zip(terms, dropped, strict=True):
        model = _with_shapes(term)
        names = dict(zip(term.parameters, model.parameters, strict=True))
        own.append(Term(model, None if constant is None else names[constant]))
    if all(term.model.shapes is not None for term in own):
        return Projection(own, len(terms[0].variables))
    if all(term.model.shapes is not None or term.model.guess is not None for term in own):
        return Alternating(own)
    return None


class Alternating:
    """A guess for sums with terms that have no grid: each in turn, on the data that the others leave.

    Parameters
    ----------
    terms : sequence of Term
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = terms

    def __call__(self, x: Any, y: Any) -> np.ndarray:
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
                    values[k] = evaluate(model, x, found[k])
        return np.array(
            [
                value
                for k, (model, dropped) in enumerate(self.terms)
                for name, value in zip(model.parameters, found[k], strict=True)
                if name != dropped
            ]
        )

    def _own(self, k: int, x: Any, y: Any) -> np.ndarray:
        model, dropped = self.terms[k]
        guess = np.asarray(model.guess(x, y), float)
        return guess[[name != dropped for name in model.parameters]]


def _with_shapes(model: Definition) -> Definition:
    """Return the model that the grid belongs to; formulas that are linear in all parameters need none."""
    while model.unprefixed is not None and model.shapes is not None:
        model = model.unprefixed
    if model.shapes is None and _is_background(model):
        model = Definition(model.formula, model.parameters, model.variables)  # type: ignore[arg-type]
        model.shapes = Shapes(nothing, model.parameters)
    return model


def _is_background(model: Definition) -> bool:
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


def dropped_constants(terms: Sequence[Definition]) -> list[str | None]:
    """Return the constant of each term, where another term supplies one."""
    constants = [
        None if term.expression is None else constant_of(term.expression, term.parameters) for term in terms
    ]
    numbers = [k for k, name in enumerate(constants) if name is not None]
    backgrounds = [k for k in numbers if _is_background(terms[k])]
    kept = (backgrounds or numbers or [-1])[-1]
    return [None if k == kept else name for k, name in enumerate(constants)]
