"""Computations of a kernel at a point, from a formula or from a user's functions."""

from dataclasses import replace
from typing import Any

import numba

from ... import dual
from ..kernels.generate import Pointwise
from .constants import lifted, packed
from .definition import Definition
from .differences import differences
from .symbolic import derive

TOGETHER = 8  # derivatives that a dual number carries where all have to be of one type


def candidates(model: Definition) -> list[Pointwise]:
    """Ways to compute the value of a model at a point and its derivatives, the best first.

    Whether Numba can carry dual numbers through a function is known when it has tried: then there is one.
    """
    if model.ways is None:
        model.ways = _candidates(model)
    return model.ways


def _candidates(model: Definition) -> list[Pointwise]:
    if model.formula is not None:
        text = derive(model.formula, model.variables, model.parameters)
        if text is not None:
            return [text]
    x = "x0" if len(model.variables) == 1 else f"({', '.join(f'x{i}' for i in range(len(model.variables)))})"
    n, apart = len(model.parameters), lifted(model)
    constants = [f"constant{i}" for i in range(apart.constants.size)]
    own, further = constants[: len(apart.data[0])], constants[len(apart.data[0]) :]
    known: dict[str, Any] = {"function": apart.inlined(0)}
    if model.jacobian is not None:
        known["jacobian"] = apart.inlined(1)
        ways = [_given(packed(x, own), packed(x, further), n, known)]
    else:
        ways = [_differences(len(model.variables), own, n, known)]
    if model.jacobian is None and not numba.config.DISABLE_JIT:
        ways = [_exact(packed(x, own), n, known), _exact_in_parts(packed(x, own), n, known), *ways]
    return [replace(way, constants=len(constants)) for way in ways]


def pointwise(model: Definition) -> Pointwise:
    """Write down the value of a model at a point and its derivatives."""
    return candidates(model)[0]


def _given(x: str, x_of_jacobian: str, n: int, known: dict[str, Any]) -> Pointwise:
    parameters = ", ".join(f"p{i}" for i in range(n))
    derivatives = ", ".join(f"g{i}" for i in range(n)) + ","
    value = f"f = T(function({x}, {parameters}))"
    slopes = f"{derivatives} = jacobian({x_of_jacobian}, {parameters})"
    return Pointwise((), (value, slopes, *(f"g{i} = T(g{i})" for i in range(n))), known, "given")


def _exact(x: str, n: int, known: dict[str, Any]) -> Pointwise:
    """Value and derivatives from one pass, with dual numbers."""
    seeds = ", ".join(f"seeded(p{i}, {i})" for i in range(n))
    statements = [f"h0 = function({x}, {seeds})", "f = T(value_of(h0))"]
    statements += [f"g{i} = T(known_derivative_of(h0, {i}))" for i in range(n)]
    ways = {name: getattr(dual, name) for name in dual.__all__}
    return Pointwise((), tuple(statements), known | ways, "exact")


def _exact_in_parts(x: str, n: int, known: dict[str, Any]) -> Pointwise:
    """Value and derivatives by `TOGETHER` parameters at a time, with dual numbers all of one type.

    A function with a loop over its parameters, ``f(x, *p)``, compiles only with these.
    """
    statements = []
    for first in range(0, n, TOGETHER):
        numbers = [i - first if first <= i < first + TOGETHER else TOGETHER for i in range(n)]
        seeds = (f"one_of(p{i}, {number}, {TOGETHER})" for i, number in enumerate(numbers))
        statements += [f"h{first} = function({x}, {', '.join(seeds)})"]
        statements += [
            f"g{i} = T(known_derivative_of(h{first}, {i - first}))"
            for i in range(first, min(first + TOGETHER, n))
        ]
    ways = {name: getattr(dual, name) for name in dual.__all__}
    return Pointwise((), (*statements, "f = T(value_of(h0))"), known | ways, "exact")


def _differences(n_variables: int, constants: list[str], n: int, known: dict[str, Any]) -> Pointwise:
    def row(entries: list[str]) -> str:
        return f"({', '.join(f'np.float64({entry})' for entry in entries)},)"

    variables = [f"x{i}" for i in range(n_variables)]
    x = f"np.float64({variables[0]})" if n_variables == 1 else row(variables)
    x = packed(x, constants)
    low, high = (row([f"{end}{i}" for i in range(n)]) for end in ("low", "high"))
    value, slopes = differences(known["function"], n)
    statements = [
        f"h0 = {row([f'p{i}' for i in range(n)])}",
        f"h1 = value({x}, h0)",
        "f = T(h1)",
        f"h2 = slopes({x}, h0, h1, {low}, {high})",
        *(f"g{i} = T(h2[{i}])" for i in range(n)),
    ]
    return Pointwise((), tuple(statements), {"value": value, "slopes": slopes}, "differences")
