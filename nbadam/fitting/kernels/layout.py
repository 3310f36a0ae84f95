"""The state of fits, as generated text refers to it.

The state lies in one flat array `S` of rows, each with one number for every lane.  LLVM turns a loop
over lanes or points into vector instructions only if it can see that rows do not overlap.  Hence one
array with offsets that are constants in the text (separate arrays: eight times slower).  Data are read by
`sums.datum`, or copied to such rows before use.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._jit import has_wide_registers
from .losses import Loss
from .sums import BLOCK


@dataclass(frozen=True)
class Shape:
    """Constants in the text of the algorithm, which serves all models of this shape."""

    parameters: int
    dtype: str
    bounded: bool
    lanes: int

    @property
    def unroll(self) -> int:
        """Points a turn: as many as the registers hold."""
        few = 4 if self.parameters <= 5 else 2 if self.parameters <= 8 else 1
        return 2 * few if has_wide_registers() else few

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Entries of the lower triangle of the normal matrix, in the order of their rows."""
        return [(i, j) for i in range(self.parameters) for j in range(i + 1)]

    @property
    def sums(self) -> int:
        """Rows of chi-square, gradient and normal matrix together."""
        return 1 + self.parameters + len(self.pairs)

    @property
    def rows(self) -> dict[str, int]:
        """First row of each part of the state, and under ``"data"`` that of the data."""
        n = self.parameters
        sizes = {
            "point": n, "trial": n,
            "chi2": 1, "gradient": n, "normal": len(self.pairs),  # at the point
            "chi2_trial": 1, "gradient_trial": n, "normal_trial": len(self.pairs),
            "scale": n, "radius": 1, "damping": 1, "norm": 1, "predicted": 1, "reduction": 1,
            "doubtful": 1, "unsure": 1, "better": 1, "settled": 1, "small": 1, "fresh": 1, "failed": 1,
            "lower": n * self.bounded, "upper": n * self.bounded, "frozen": n * self.bounded,
            "move": n * self.bounded,
        }  # fmt: skip
        return _first_rows(sizes, 0)


@dataclass(frozen=True)
class Layout(Shape):
    """Further constants in the text of a model's part: the places of its data in the state."""

    variables: int
    constants: int
    invariants: int
    weighted: bool  # a weight for each point, 0 for one that is left out
    own_x: bool  # each data set has its own x
    loss: Loss
    correlated: bool  # the rows of `x` after the variables are the Cholesky factor of the data's covariance
    over_points: bool  # the vectorised loop is the one over the points of a fit, not that over fits

    @property
    def algorithm(self) -> Shape:
        """The part on which the text of the algorithm depends."""
        return Shape(self.parameters, self.dtype, self.bounded, self.lanes)

    @property
    def unroll(self) -> int:
        """Points a turn; one where each needs those before it."""
        return 1 if self.correlated else super().unroll

    @property
    def columns(self) -> list[str]:
        """Names of what the data have at each point.

        After them correlated data have room for the whitened residual and its derivatives.
        """
        return columns(self.weighted, self.variables * self.own_x)

    @property
    def rows(self) -> dict[str, int]:
        """First row of each part of the state, and under ``"end"`` that of the data."""
        rows = super().rows
        sizes = {}
        if self.constants:  # in whole rows, from an even place on
            words = self.constants * (8 // np.dtype(self.dtype).itemsize)
            sizes = {"space": rows["end"] % 2, "constant": -(-words // self.lanes)}
        if self.over_points:
            sizes |= {"lost": self.sums} | dict.fromkeys(self.block_rows, BLOCK)
        else:
            sizes["invariant"] = self.invariants
        return rows | _first_rows(sizes, rows["end"])

    @property
    def block_rows(self) -> list[str]:
        """Names of the rows that have a number for each point of a block; see `sums.add`."""
        return columns(self.weighted, self.variables) + self.results

    @property
    def results(self) -> list[str]:
        """Expressions that a block of points keeps the values of."""
        gradient = [f"g{i}" for i in range(self.parameters)]
        if self.loss.name == "linear":
            return ["psi", *gradient]
        return ["rho", "T(1.0)", "psi", *gradient, *(f"u * {g}" for g in gradient)]


def columns(weighted: bool, variables: int) -> list[str]:
    """Names of what a data set has at each point, with as many `variables` of its own, in their order."""
    return ["y", *["weight"] * weighted, *(f"x{v}" for v in range(variables))]


def _first_rows(sizes: dict[str, int], first: int) -> dict[str, int]:
    rows = {}
    for name, size in sizes.items():
        rows[name] = first
        first += size
    return rows | {"end": first}


class Text:
    """Rows by name, and blocks of text."""

    shape: Any

    rows: Any

    def __init__(self, shape: Any) -> None:
        self.shape, self.rows = shape, shape.rows

    def at(self, name: str, i: int = 0) -> str:
        """Entry of a row in lane l."""
        return f"S[{(self.rows[name] + i) * self.shape.lanes} + l]"

    def lanes(self, lines: list[str]) -> list[str]:
        """Do the same in every lane."""
        return [f"for l in range({self.shape.lanes}):", *indented(lines)]

    def load(self, **names: str) -> list[str]:
        """Assign row `name` to variables such as ``p0, p1`` for each ``p="point"``."""
        n = self.shape.parameters
        return [f"{v}{i} = {self.at(row, i)}" for v, row in names.items() for i in range(n)]


def indented(lines: list[str]) -> list[str]:
    """Indent by one level."""
    return ["    " + line for line in lines]
