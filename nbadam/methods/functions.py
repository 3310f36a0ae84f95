"""The methods by name; the stub beside this file has their signatures for type checkers."""

from .factory import METHODS

globals().update(METHODS)

__all__ = [*METHODS]
