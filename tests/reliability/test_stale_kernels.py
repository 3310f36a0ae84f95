"""Whatever a model refers to is edited at random: fits always use the function as plain Python does."""

import os
import random

from subprocesses import needs_ordinary_kernels, run, share_cache

EDITS = int(os.environ.get("NBADAM_EDITS", 3))  # in each of two processes

pytestmark = needs_ordinary_kernels

# Every number is unlike the others; an edit changes one.  What is fitted is 3 if the kernel is the model's.
MODULE = """
import enum, functools, math
from collections import namedtuple
import numpy as np
from numba import njit

class Colour(enum.IntEnum):
    RED = {0}

class Plain:
    pass

Point = namedtuple("Point", "{fields}")
POINT = Point({1}.5, 20.25)
FACTOR = {2}.25
TABLE = np.array([{3}.5, 1.0])
LARGE = np.full(150_000, {4}.125)
NESTED = ((1.0, {5}.75), 2.0)

def scaled(k):
    def decorator(f):
        @functools.wraps(f)
        def wrapper(x, a):
            return k * f(x, a)
        return wrapper
    return decorator

@njit
def helper(x):
    return {6}.5 + math.exp(-x) * {7}

def deeper(x, k={8}.5):
    return helper(x) + k

@scaled({9}.5)
def model(x, a):
    inner = lambda u: u + {10}.25
    total = POINT.x + FACTOR * x + TABLE[0] + LARGE[int(x)] + NESTED[0][1]
    return a * (total + deeper(x) {sign} inner(x) + Colour.RED.value + sum([{11}.5 for _ in range(2)]))
"""

PROGRAM = """
import random, sys
import numpy as np
import nbadam
from probes import say
import user_model as m

x = np.linspace(0.5, 1.5, 12)
draw = random.Random({seed})
wrong = []

def check(what):
    y = np.array([m.model(u, 3.0) for u in x])
    popt = nbadam.curve_fit(m.model, x, y, p0=[1.0]).popt[0]
    if abs(popt - 3.0) > 1e-6:
        wrong.append((what, popt))

def code_of(function, old, new):
    code = function.__code__
    return code.replace(co_consts=tuple(new if c == old else c for c in code.co_consts))

base = m.model.__wrapped__
number = lambda: round(draw.uniform(1, 50), 3)

def edit():
    kind = draw.randrange(8)
    if kind == 0:
        m.FACTOR = number()
    elif kind == 1:
        m.TABLE[0] = number()
    elif kind == 2:
        m.LARGE[:] = number()
    elif kind == 3:
        m.POINT = m.Point(number(), 1.0)
    elif kind == 4:
        m.model.__closure__[1].cell_contents = number()
    elif kind == 5:
        m.deeper.__defaults__ = (number(),)
    elif kind == 6:
        m.NESTED = ((1.0, number()), 2.0)
    else:
        constants = [c for c in base.__code__.co_consts if isinstance(c, float)]
        base.__code__ = code_of(base, draw.choice(constants), number()) if constants else base.__code__
    return kind

check("as it was")
for _ in range({edits}):
    check(edit())
say(wrong=wrong)
"""


def test_edits_of_all_that_a_model_refers_to(tmp_path):
    share_cache(tmp_path)
    seed = random.randrange(2**32)  # another one each time
    draw = random.Random(seed)
    numbers = [str(n) for n in draw.sample(range(1, 50), 12)]
    for _ in range(2):
        numbers[draw.randrange(12)] = str(draw.randrange(50, 1000))
        fields, sign = draw.choice(["x y", "y x"]), draw.choice("+-")
        text = MODULE.format(*numbers, fields=fields, sign=sign)
        (tmp_path / "user_model.py").write_text(text)
        os.utime(tmp_path / "user_model.py", (0, 0))  # times are no evidence
        program = PROGRAM.replace("{seed}", str(draw.randrange(2**32))).replace("{edits}", str(EDITS))
        assert run(program, tmp_path) == {"wrong": []}, seed
        assert run(program.replace(f"range({EDITS})", "range(0)"), tmp_path) == {"wrong": []}, seed
