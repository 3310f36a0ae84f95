"""Fuzzer of models that read arrays: fits always see them as plain Python does, however they change."""

import functools
import os
import random
import time
from collections import namedtuple
from types import ModuleType

import numpy as np
import pytest
from numba import njit
from subprocesses import needs_ordinary_kernels

import nbadam

SECONDS = float(os.environ.get("NBADAM_FUZZ", 3))  # of the processor

pytestmark = [needs_ordinary_kernels, pytest.mark.filterwarnings("ignore")]

# Ways from a model to an entry of a table `t`: statements before the model, and an expression.
WAYS = [
    ("", "np.float64(t[int(x)AXES])"),
    ("def at(u, k=1.5): return k * np.float64(t[int(u)AXES])", "at(x, 0.5)"),
    ("def at(u): return np.float64(t[int(u)AXES])\ndef twice(u): return at(u) + 0.5 * at(u)", "twice(x)"),
    ("@njit\ndef at(u): return np.float64(t[int(u)AXES]) + t.shape[0]", "at(x)"),
    ("def at(u, some): return np.float64(some[int(u)AXES])", "at(x, t)"),
    ("pair = 1.5, t", "np.float64(pair[1][int(x)AXES]) * pair[0]"),
    ("pair = t, (t[:3], 2.5)", "np.float64(pair[0][int(x)AXES]) + pair[1][0].size * pair[1][1]"),
    ("named = Pair(t, 2)", "np.float64(named.table[int(x)AXES]) * named.number"),
    ("", "(lambda u: np.float64(t[int(u)AXES]) + 0.5)(x)"),
    ("def at(u): return np.float64(t[int(u)AXES])", "at(u=x)"),
    ("def first(): return t.shape[0] + 0.5", "(first() + np.float64(t[int(x)AXES]))"),
    ("module = ModuleType('tables')\nmodule.t = t", "np.float64(module.t[int(x)AXES])"),
]
KINDS = {
    "global": "def model(x, a, b): return a * VALUE + b * x * K + L",
    "closure": "def make(t, k):\n    def model(x, a, b): return a * VALUE + b * x * k + L\n    return model\n"
    "model = make(t, K)",
    "method": "class Owner:\n    def line(self, x, a, b):\n"
    "        return a * self.t[int(x)AXES] * VALUE + b * x * self.k\n"
    "owner = Owner()\nowner.t, owner.k = t, K\nmodel = owner.line",
    "partial": "def line(x, a, b, k, t): return a * VALUE + b * x * k + L\n"
    "model = functools.partial(line, k=K, t=t)",
}
Pair = namedtuple("Pair", "table number")


def drawn_table(draw: random.Random, rows: int, axes: tuple[int, ...], dtype: str) -> np.ndarray:
    numbers = np.random.default_rng(draw.randrange(2**32)).uniform(1, 90, (2 * rows, *axes)).astype(dtype)
    return {
        "every other": lambda: numbers[::2],
        "backwards": lambda: numbers[:rows][::-1],
        "C": lambda: numbers[:rows].copy(),
        "F": lambda: np.asfortranarray(numbers[:rows]),
        "read-only": lambda: np.frombuffer(numbers[:rows].tobytes(), dtype).reshape(rows, *axes),
    }[draw.choice(["every other", "backwards", "C", "F", "read-only"])]()


def test_models_that_read_tables():
    seed = random.randrange(2**32) if "NBADAM_FUZZ" in os.environ else 0
    draw = random.Random(seed)
    end, number = time.process_time() + SECONDS, 0
    while number < 2 or time.process_time() < end:
        number += 1
        rows, axes = draw.choice([6, 20, 511, 512, 513, 4097, 5000]), draw.choice([(), (), (3,), (2, 4)])
        dtype = draw.choice(["f8", "f8", "f4", "i4", "u1"])
        (before, value), kind = draw.choice(WAYS), draw.choice(list(KINDS))
        text = f"{before}\n{KINDS[kind].replace('VALUE', value)}"
        text = text.replace("AXES", "".join(f", {draw.randrange(size)}" for size in axes))
        scope = {"np": np, "njit": njit, "Pair": Pair, "ModuleType": ModuleType, "functools": functools}
        scope |= {"t": drawn_table(draw, rows, axes, dtype), "K": 1.7, "L": 0.3}
        exec(text, scope)
        x, told = np.arange(6) % rows + 0.25, []
        for edit in ["none", *draw.choices(["in place", "other", "rows", "K", "none"], k=4)]:
            if edit == "in place" and scope["t"].flags.writeable:
                scope["t"][draw.randrange(6)] = draw.randrange(1, 90)
            elif edit in ("other", "rows"):
                rows += edit == "rows"
                scope["t"] = drawn_table(draw, rows, axes, dtype)
            elif edit == "K":
                scope["K"] = draw.uniform(1, 2)
            # A function that Numba has compiled keeps the values of then.  Others see some of the new ones.
            is_new = edit in ("other", "rows", "K") and (kind != "global" or draw.randrange(2))
            if is_new or "@njit" in text:
                exec(text, scope)
            told.append(edit)
            note = seed, number, told, rows, axes, dtype, text
            model, precision = nbadam.Model(scope["model"], ["a", "b"]), draw.choice(["float64", "float32"])
            y = np.array([scope["model"](u, np.float64(2.5), np.float64(-0.75)) for u in x])
            found = nbadam.curve_fit(model, [x], [y], p0=[2.0, -0.5], dtype=precision)  # of many: none raises
            tolerance = 1e-5 if dtype == "f4" else 1e-9  # numbers in Python are of no dtype
            np.testing.assert_allclose(model(x, 2.5, -0.75), y, rtol=tolerance, err_msg=str(note))
            np.testing.assert_allclose(found.predict()[0], y, rtol=1e-4, err_msg=str(note))
