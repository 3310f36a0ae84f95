"""Formulas of sums: names with prefixes, and one constant for all terms."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any


def renamed(formula: str, names: Mapping[str, str]) -> str:
    """Put other names in place of parameters or variables; functions of the same name stay."""

    class Renaming(ast.NodeTransformer):
        def visit_Name(self, node: Any) -> Any:
            return ast.Name(names.get(node.id, node.id))

        def visit_Call(self, node: Any) -> Any:
            return ast.Call(node.func, [self.visit(argument) for argument in node.args], node.keywords)

    return ast.unparse(Renaming().visit(_parsed(formula)))


def constant_of(formula: str, parameters: Sequence[str]) -> str | None:
    """Return the last parameter that is a term of the whole formula and is nowhere else in it."""
    body = _parsed(formula)
    everywhere = [node.id for node in ast.walk(body) if isinstance(node, ast.Name)]
    for term in reversed([term for _, term in _terms(body)]):
        if isinstance(term, ast.Name) and term.id in parameters and everywhere.count(term.id) == 1:
            return term.id
    return None


def without(formula: str, name: str) -> str | None:
    """Leave out the term that is the given name; None if nothing remains."""
    kept = [(sign, term) for sign, term in _terms(_parsed(formula)) if getattr(term, "id", None) != name]
    if not kept:
        return None
    sign, first = kept[0]
    total: ast.expr = first if isinstance(sign, ast.Add) else ast.UnaryOp(ast.USub(), first)
    for sign, term in kept[1:]:
        total = ast.BinOp(total, sign, term)
    return ast.unparse(total)


def total(formulas: Sequence[str]) -> str:
    """Return the sum of formulas, without brackets where none are needed."""
    body = _parsed(formulas[0])
    for formula in formulas[1:]:
        for sign, term in _terms(_parsed(formula)):
            body = ast.BinOp(body, sign, term)
    return ast.unparse(body)


def _parsed(formula: str) -> ast.expr:
    return ast.parse(" ".join(formula.split()), mode="eval").body


def _terms(body: ast.expr) -> list[tuple[ast.operator, ast.expr]]:
    """Return signs and terms of a sum."""
    terms = []
    while isinstance(body, ast.BinOp) and isinstance(body.op, ast.Add | ast.Sub):
        terms.append((body.op, body.right))
        body = body.left
    return [(ast.Add(), body), *reversed(terms)]
