"""What the programs of the cache and thread tests have in common; they run in other processes."""

import contextlib
import hashlib
import json
import os

import numpy as np
from numba import prange
from numba.core import event
from numba.extending import register_jitable

import nbadam
from nbadam import _jit, engine, kernels, rules


def say(**facts) -> None:
    """Tell the process that started this one; in one write, whoever else writes."""
    os.write(1, (json.dumps(facts) + "\n").encode())


@contextlib.contextmanager
def compilations():
    """Names of the functions that Numba compiles meanwhile; loading from the cache is no compiling."""
    names: list[str] = []
    with event.install_recorder("numba:compile") as recorder:
        yield names
    names += [e.data["dispatcher"].py_func.__qualname__ for _, e in recorder.buffer if e.is_start]


@register_jitable
def doubled(x):
    return 2 * x


@register_jitable
def halved(x):
    return x / 2


@register_jitable
def negated(x):
    return -x


SMALL = [(function, dtype) for function in (doubled, halved, negated) for dtype in ("float32", "float64")]


def small(function, dtype, mode="serial"):
    """Compile or load a kernel that costs little and shares its text with others, as those of rules do."""

    def kernel(x):
        for i in prange(x.size):
            x[i] = function(x[i])

    name = f"small_{function.__name__}_{dtype}"
    return _jit.compile_kernel(kernel, (_jit.array(dtype),), name=name, mode=mode)


def small_result(function, dtype, mode="serial") -> float:
    """Compile or load a small kernel and call it."""
    x = np.array([0.1], dtype)
    small(function, dtype, mode)(x)
    return float(x[0])


def small_results(first=0) -> dict[str, float]:
    """Results of all the small kernels, beginning with the given one."""
    return {f"{f.__name__} {dtype}": small_result(f, dtype) for f, dtype in SMALL[first:] + SMALL[:first]}


def dense(rule, dtype="float64", mode="serial"):
    """Compile or load the dense kernel of a rule for one array, even if this process has it already."""
    return kernels.dense_kernel.__wrapped__(rule, dtype, 1, mode)


def bits(*arrays) -> str:
    """Digest of the bits of some arrays."""
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def kernel_steps(kernel, rule, dtype="float64") -> str:
    """Bits of a short array and its slots after some steps by a dense kernel."""
    x = np.linspace(-1, 1, 101).astype(dtype)
    g = np.cos(np.arange(101)).astype(dtype)
    slots = tuple(np.zeros_like(x) for _ in rule.slots)
    hyper = tuple(rule.hyperparameters.values())
    for t in range(1, 4):
        kernel((g,), (x,), slots, np.zeros(1, np.int64), float(t), hyper, np.inf, np.ones(1), np.zeros(1))
    return bits(x, *slots)


SIZE = engine.PARALLEL_SIZE + 1  # a step of so many elements runs in parallel where that is safe


def large_steps() -> str:
    """Bits of a large array after some steps of the engine."""
    x = np.linspace(-1, 1, SIZE)
    g = np.cos(np.arange(float(SIZE)))
    state = engine.State(rules.ADAM, [x])
    hyper = tuple(rules.ADAM.hyperparameters.values())
    for t in range(1, 51):
        state.step((g,), float(t), hyper, scales=np.ones(1), decays=np.zeros(1))
    return bits(x, *state.slots.values())


def large_fit(callback=None) -> str:
    """Bits of the end of a large fit."""
    from scipy.optimize import minimize  # costs 0.3 s that most programs need not pay

    target = np.sin(np.arange(float(SIZE)))

    def fun(x):
        return float(np.abs(x - target).max()), x - target

    options = {"learning_rate": 0.01, "clipnorm": 100.0, "steps": 20}
    fit = minimize(fun, np.zeros(SIZE), jac=True, method=nbadam.adam, callback=callback, options=options)
    return bits(fit.x)


def work(_=None) -> str:
    """Bits of all that large arrays go through."""
    return large_steps() + large_fit()
