"""Batches of problems whose data are arrays of Dask, which stay lazy."""

from collections.abc import Callable
from typing import Any

from ..dask import Arguments, refuse
from .result import BatchResult

ARRAYS = "x", "fun", "nit", "status"


def minimize_lazily(minimize_batch: Callable[..., Any], arguments: dict[str, Any]) -> BatchResult:
    """Return what `minimize_batch` returns for each block; wrong arguments raise at once."""
    refuse(arguments, "out", "progress", "callback")
    own = Arguments()
    columns = [f"data[{k}]" for k in range(len(arguments["data"]))]
    for name, column in zip(columns, arguments["data"], strict=True):
        if not hasattr(column, "ndim"):
            raise ValueError(f"`{name}` must be an array beside arrays of Dask, not a list or a pair.")
        own.add(name, column, column.ndim - 1)
    bounds = arguments["bounds"]
    of_both = {} if bounds is None or not hasattr(bounds, "lb") else {"lb": bounds.lb, "ub": bounds.ub}
    options = arguments["options"]
    for name, value in arguments.items():
        if name in ("x0", "learning_rate"):
            own.add(name, value, 1)
        elif name not in ("data", "options"):
            own.given[name] = value
    for name, value in (options | of_both).items():
        own.add(name, value, 1)

    def call(**given: Any) -> Any:
        if of_both:
            given["bounds"] = type(bounds)(given.pop("lb"), given.pop("ub"))
        result = minimize_batch(data=tuple(given.pop(name) for name in columns), **given)
        return tuple(getattr(result, name) for name in ARRAYS)

    sample = call(**own.of_none())
    outputs = {name: (array.shape[1:], array.dtype) for name, array in zip(ARRAYS, sample, strict=True)}
    return BatchResult(**own.apply(call, outputs))
