"""Exact derivatives of a user's function: its parameters enter as dual numbers, which Numba compiles."""

from . import arithmetic, elementary, selection, tuples  # noqa: F401
from .type import derivative_of, known_derivative_of, one_of, seeded, value_of

__all__ = ["derivative_of", "known_derivative_of", "one_of", "seeded", "value_of"]
