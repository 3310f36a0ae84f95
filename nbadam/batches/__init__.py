"""Many independent problems at once."""

from .batch import minimize_batch
from .result import BatchResult, BatchStatus

__all__ = ["BatchResult", "BatchStatus", "minimize_batch"]
