"""``nbadam models``: the models that ship, and models by their names."""

import argparse
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

from .. import models
from ..fitting.model.model import Model, model_over


def main(options: argparse.Namespace) -> int:
    """Print parameters, theme and formula of each model that ships."""
    shipped = [getattr(models, name) for name in models.__all__]
    for group in dict.fromkeys(model.group for model in shipped):
        print(f"{group}\n")
        for model in shipped:
            if model.group == group:
                print(f"  {model.constant}({', '.join(model.parameters)})")
                print(f"      {model.summary}\n      {model.expression}")
        print()
    print("Sums are models, too: GAUSSIAN + LINE, or a_GAUSSIAN + b_GAUSSIAN + LINE with prefixes.")
    return 0


def _shipped(text: str) -> Any:
    """Return the shipped model of a name, also with a prefix as in ``a_GAUSSIAN``, or None."""
    if text.upper() in models.__all__:
        return getattr(models, text.upper())
    for name in sorted(models.__all__, key=len, reverse=True):
        prefix = text.removesuffix(name)
        if prefix != text and prefix.isidentifier() and prefix.endswith("_"):
            return getattr(models, name).prefixed(prefix)
    return None


def model_of(text: str, names: Sequence[str] = ()) -> Model:
    """Return the shipped model of a name, a sum of such models, or that of a formula in ``x`` or `names`."""
    terms = [_shipped(term.strip()) for term in text.split("+")]
    if all(term is not None for term in terms):
        return reduce(operator.add, terms)
    model = model_over(text, names)
    for name in model.parameters:
        if name in models.__all__:
            raise ValueError(
                f"`{name}` is a model that ships, not a parameter: sums of models have no other terms."
            )
    return model
