"""Models that ship: their descriptions, from which docstrings and pages are written."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..fitting.model.model import Model
from ..fitting.model.projection import Projection, Term

SHIPPED: dict[str, "ShippedModel"] = {}  # models by name; pickles have only the name


class ShippedModel(Model):
    """A model of `nbadam.models`, which pickles by its name.

    Parameters
    ----------
    constant : str
        Its name in `nbadam.models`.
    formula : str
        Its definition; a `function` and its `jacobian` are other forms of it.
    group : str
        Theme under which it is listed.
    summary : str
        One sentence without the formula.
    means : mapping of str to str
        Meaning and unit of each variable and parameter, in the order of the arguments.
    example : sequence of float
        Parameters of a typical curve.
    domain : sequence of float
        Lowest and highest x of that curve; a pair for each variable if there are several.
    shapes : Shapes, optional
        Grid of the guess: it is a `Projection` unless a `guess` is given.
    notes : str
        Further sentences: conventions, literature.
    hint : str
        The data that it is for: advice where it is not finite at its own guess.
    variables, guess, jacobian
        As of `Model`.
    function : callable, optional
    """

    constant: str
    group: str
    summary: str
    means: dict[str, str]
    example: tuple[float, ...]
    domain: Any
    notes: str
    hint: str
    expression: str | None
    shapes: Any
    guess: Any

    def __init__(
        self,
        constant: str,
        formula: str,
        *,
        group: str,
        summary: str,
        means: Mapping[str, str],
        example: Sequence[float],
        domain: Sequence[Any],
        shapes: Any = None,
        notes: str = "",
        hint: str = "",
        variables: Sequence[str] = ("x",),
        function: Callable[..., Any] | None = None,
        jacobian: Callable[..., Any] | None = None,
        guess: Callable[..., Any] | None = None,
    ) -> None:
        formula = " ".join(formula.split())
        super().__init__(
            formula if function is None else function,
            [name for name in means if name not in variables],
            variables,
            jacobian=jacobian,
            guess=guess,
            name=constant.lower() if function is None else None,
        )
        self.expression, self.shapes = formula, shapes
        if guess is None:
            self.guess = Projection([Term(self, None)], len(self.variables))
        self.constant, self.group, self.summary, self.means = constant, group, summary, dict(means)
        self.example, self.domain, self.notes, self.hint = tuple(example), domain, notes, hint
        self.__doc__ = self._description()
        SHIPPED[constant] = self

    def _description(self) -> str:
        entries = "\n".join(f"{name} : {text}" for name, text in self.means.items())
        parts = [self.summary, f"``{self.expression}``", entries, self.notes, self.hint]
        parts += ["See Also\n--------\nnbadam.curve_fit : Fits, which start from its guess."]
        example = f">>> from nbadam import models\n>>> models.{self.constant}.parameters\n{self.parameters}"
        parts += [f"Examples\n--------\n{example}"]
        return "\n\n".join(part for part in parts if part)

    def __reduce__(self) -> tuple[Any, ...]:
        """Refer to the constant."""
        return shipped, (self.constant,)


def shipped(constant: str) -> ShippedModel:
    """Return the model of a name."""
    return SHIPPED[constant]
