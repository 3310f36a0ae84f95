"""From a model to compiled kernels, by way of generated text."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.errors import NumbaError

from ..._jit import compile_kernel, reason
from ...caller import warn
from ...dual.type import compared
from ..model.constants import Lifted, lifted
from ..model.definition import Definition, current_identity, identity
from ..model.inline import inlined
from ..model.pointwise import candidates
from . import generate, lm, tape, trust_region
from .generate import Pointwise
from .instructions import over_lanes
from .kernels import Kernels
from .layout import Layout, Shape
from .losses import Loss
from .text import header, load

KEPT_BYTES = 1 << 28  # kernels in memory, at most
KERNEL_BYTES = 1 << 21  # size of the kernels of a model, beside the arrays in it
CONSTANTS_BYTES = 1 << 18  # bound of the number of entries that differ from others in data only
CODE_BYTES = 1 << 22  # compiled code of a model, which LLVM never frees
MANY_BYTES = 100 * CODE_BYTES  # code of one function, compiled again and again, after which a warning follows
LANES = 32  # fits in step: so many keep the vector units busy while divisions are under way
LONG = 500  # points of a data set from which on the loop over them is vectorised, not that over fits
MANY = 10  # parameters from which on it is so for all data sets


class Kept(NamedTuple):
    """Kernels in memory, and their share of it."""

    kernels: Kernels
    way: Pointwise
    lifted: Lifted
    nbytes: int


_kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()  # the last used at the end
_sizes_of: dict[CodeType, list[int]] = {}  # bytes in use for each kernel that was compiled of a function
_refused: dict[str, int] = {}  # first ways that Numba could not compile, by the digest of the model


def kernels(
    model: Definition,
    dtype: str,
    weighted: bool,
    own_x: bool,
    bounded: bool,
    loss: Loss,
    correlated: bool,
    is_long: bool,
) -> Kernels:
    """Compile, or find, the kernels of a model: the same for models that do the same.

    Those used last are kept, up to `KEPT_BYTES`.  More would free little: LLVM keeps all compiled code, 2 MB
    for a model, and 0.05 MB for one from the cache on disk.
    """
    digest, nbytes = identity(model)
    options = dtype, weighted, own_x, bounded, loss, correlated, is_long
    key = digest, *options
    found = _kept.get(key)
    if found is None:
        key_of_code = lifted(model).identity, *options
        found = _kept.get(key_of_code)
        if found is None:
            inside = nbytes - lifted(model).nbytes
            without_data = lifted(model)._replace(data=((), ()))
            found = Kept(*_compiled_for(model, *key_of_code), without_data, KERNEL_BYTES + inside)
            _count(model, inside)
        own = found
        if key != key_of_code:
            apart = lifted(model)._replace(functions=found.lifted.functions)  # not a closure for each
            own = Kept(found.kernels.with_data(apart), found.way, apart, CONSTANTS_BYTES + apart.nbytes)
        if digest != current_identity(model)[0]:  # another thread has changed an object that the model uses
            return own.kernels
        _keep(key, own)
        _keep(key_of_code, found)  # the last to go: arrays may be larger than all that is kept
        found = own
    else:
        with contextlib.suppress(KeyError):  # another thread forgot it
            _kept.move_to_end(key)
    model.ways, model.lifted = [found.way], found.lifted
    return found.kernels


def _keep(key: tuple[Any, ...], entry: Kept) -> None:
    """Remember kernels as those used last, and forget others if there are too many."""
    if key not in _kept:
        while _kept and _bytes_kept() + entry.nbytes > KEPT_BYTES:
            with contextlib.suppress(KeyError):  # another thread was faster
                _kept.popitem(last=False)
    _kept[key] = entry
    with contextlib.suppress(KeyError):
        _kept.move_to_end(key)


def _bytes_kept() -> int:
    while True:
        with contextlib.suppress(RuntimeError):  # another thread has changed them meanwhile
            return sum(kept.nbytes for kept in _kept.values())


def _compiled_for(
    model: Definition, digest: str, dtype, weighted, own_x, bounded, loss, correlated, is_long
) -> tuple[Kernels, Pointwise]:
    ways = candidates(model)
    for number, way in enumerate(ways):
        if number < _refused.get(digest, 0):
            continue
        layout = _layout(model, way, dtype, weighted, own_x, bounded, loss, correlated, is_long)
        compared.lost.clear()
        try:
            return Kernels(layout, _normal(way, layout), *_algorithm(layout.algorithm)), way
        except Exception as error:
            if way is not ways[-1]:
                # Dual numbers of another type would lose the same derivatives, but nobody would notice.
                _refused[digest] = len(ways) - 1 if compared.lost else number + 1
            elif isinstance(error, NumbaError | NotImplementedError):
                inner = hasattr(model.function, "__wrapped__")
                raise ValueError(
                    f"Numba cannot compile the model `{model.name}`, its Jacobian or the loss, which must be "
                    f"functions of numbers, not of arrays: {reason(error)}"
                    + (" It is decorated: pass its `__wrapped__`." if inner else "")
                ) from error
            else:
                raise
    raise AssertionError("a model has at least one way to be computed")


def _count(model: Definition, nbytes: int) -> None:
    """Warn where a function is compiled again and again, as one that refers to other objects each time is."""
    if model.formula is not None or numba.config.DISABLE_JIT:
        return
    code = getattr(model.function, "py_func", model.function).__code__
    sizes = _sizes_of.setdefault(code, [])
    before = sum(sizes)
    sizes.append(CODE_BYTES + nbytes)
    if before < MANY_BYTES <= sum(sizes):
        warn(
            f"The model `{model.name}` was compiled {len(sizes)} times, each time with other values of the "
            f"objects it refers to. Each takes a second, and {sum(sizes) >> 20} MB stay in use for all: pass "
            "numbers that change as parameters, with `fixed={name: value}`, and arrays as further variables.",
            RuntimeWarning,
        )


def _layout(
    model: Definition, way: Pointwise, dtype: str, weighted, own_x, bounded, loss, correlated, is_long
) -> Layout:
    n = len(model.parameters)
    over_points = (is_long or n >= MANY) and not correlated
    one_lane = over_points or correlated or numba.config.DISABLE_JIT  # there is one correlated data set
    return Layout(
        parameters=n,
        dtype=dtype,
        bounded=bounded,
        lanes=1 if one_lane else LANES,
        over_points=over_points,
        variables=len(model.variables),
        constants=way.constants,
        invariants=len(way.invariant),
        weighted=weighted,
        own_x=own_x,
        loss=loss,
        correlated=correlated,
    )


def kernel_text(
    model: Definition, dtype: str = "float64", bounded: bool = False, is_long: bool = False
) -> str:
    """Return the text that is compiled for a model, with the loss of least squares and without weights."""
    way = candidates(model)[0]
    layout = _layout(model, way, dtype, False, False, bounded, Loss("linear"), False, is_long)
    return header(dtype) + generate.normal(layout, way) + "\n\n" + trust_region.algorithm(layout.algorithm)


@lru_cache(maxsize=64)
def _algorithm(shape: Shape) -> tuple[Any, ...]:
    """Return `accept_step`, `solve`, and their tapes and memory."""
    text = trust_region.algorithm(shape)
    constants = load(shape.dtype, text, {})
    no_tapes = tape.EMPTY, tape.EMPTY, np.empty(0, shape.dtype)
    if numba.config.DISABLE_JIT:
        accept_step, solve = constants["accept_step"], constants["solve"]
        return (
            (lambda S, *rest: accept_step(S, 0, rest[-1])),
            (lambda S, *rest: solve(S, 0, rest[-1])),
            *no_tapes,
        )
    tapes, memory = tape.translate(text, constants, shape.dtype)
    if shape.parameters >= MANY:
        run = _compiled(tape.run, "run", "tape", shape.dtype)
        return run, run, tapes["accept_step"], tapes["solve"], memory
    functions = (
        _compiled(over_lanes(each, memory, shape.lanes), "run", f"{name}_{shape.parameters}", shape.dtype)
        for name, each in tapes.items()
    )
    return *functions, *no_tapes


def _normal(way: Pointwise, layout: Layout):
    known = dict(way.functions)
    if layout.loss.function is not None:
        known["loss"] = inlined(layout.loss.function)
    module = load(layout.dtype, generate.normal(layout, way), known)
    if "point" in module:
        module["point"].__module__ = __name__  # a module of every process that finds the kernel in the cache
    return _compiled(module["normal"], "normal", f"normal_{layout.parameters}", layout.dtype)


def _compiled(function: Callable[..., Any], kind: str, name: str, dtype: str) -> Any:
    return compile_kernel(function, lm.examples(dtype)[kind], name=f"{name}_{dtype}", mode="nogil")
