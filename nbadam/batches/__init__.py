"""Many independent problems at once."""

from .batch import BatchResult, minimize_batch
from .status import BatchStatus

__all__ = ["BatchResult", "BatchStatus", "minimize_batch"]
