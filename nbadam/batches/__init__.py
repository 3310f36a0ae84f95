"""Many independent problems at once."""

from .batch import minimize_batch
from .result import BatchResult

__all__ = ["BatchResult", "minimize_batch"]
