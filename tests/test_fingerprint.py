"""Digests of functions differ whenever results may, and only then."""

import ctypes
import enum
import functools
import math
import os
import random
import threading
from collections import namedtuple
from types import FunctionType, ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit, types
from numba.extending import overload, register_jitable
from subprocesses import run

from nbadam import rules, vector_math
from nbadam._fingerprint import Digest, OpaqueError, fingerprint, identify, readings
from nbadam.kernels import dense


def digest_of(*objects) -> str:
    digest = Digest()
    digest.add(objects)
    return digest.hexdigest()


def function_in(text: str, file: str = "<text>", **scope) -> FunctionType:
    exec(compile(text, file, "exec"), scope)
    return scope["f"]


# --- What counts ---------------------------------------------------------------------------------

TEXTS = [
    "def f(x): return x + 1.0",
    "def f(x): return x + 2.0",  # another constant under the same bytecode
    "def f(x): return x + -1.0",
    "def f(x): return x + 1",
    "def f(x): return x + True",
    "def f(x): return x - 1.0",
    "def f(x): return 1.0 + x",
    "def f(x): return x * 0.0",
    "def f(x): return x * -0.0",
    "def f(x): return sin(x)",  # another name under the same bytecode
    "def f(x): return cos(x)",
    "def f(x): return x.real",
    "def f(x): return x.imag",
    "def f(x, y=1.0): return x + y",
    "def f(x, y=2.0): return x + y",
    "def f(x, *, y=1.0): return x + y",
    "def f(x, *, y=2.0): return x + y",
    "def f(x): return (lambda u: u + 1.0)(x)",
    "def f(x): return (lambda u: u + 2.0)(x)",
    "def f(x): return sum([u + 1.0 for u in (x,)])",
    "def f(x): return sum([u + 2.0 for u in (x,)])",
    "def f(x): return 10**400 // x",
    "def f(x): return (10**400 + 1) // x",
    "def f(x): return x in {1, 2}",
    "def f(x): return x in {1, 3}",
    "def make(k):\n  def f(x): return k + x\n  return f\nf = make(1.0)",
    "def make(k):\n  def f(x): return k + x\n  return f\nf = make(2.0)",
]


def test_digests_of_different_texts_differ():
    digests = [digest_of(function_in(text, sin=math.sin, cos=math.cos)) for text in TEXTS]
    assert len(set(digests)) == len(TEXTS)


def test_neither_file_nor_line_nor_time_counts():
    for text in TEXTS:
        functions = [function_in(text, sin=math.sin, cos=math.cos)]
        functions += [function_in("\n\n" + text, file=__file__, sin=math.sin, cos=math.cos, unused=3)]
        first, other = map(digest_of, functions)
        assert first == other


def values():
    """Pairs of values that functions may refer to; each is unlike its partner."""
    point, swapped = namedtuple("point", "x y"), namedtuple("point", "y x")
    colour, other = enum.IntEnum("colour", {"RED": 1}), enum.IntEnum("colour", {"RED": 2})
    array = np.arange(6.0)
    large = np.zeros(200_000)
    edited = large.copy()
    edited[-1] = 5e-324
    class_of = lambda k: type("C", (), {"k": k, "method": lambda self: k})  # noqa: E731
    module = lambda **names: vars(m := ModuleType("m")).update(names) or m  # noqa: E731
    wrapped = lambda k: functools.wraps(math.sin)(lambda x: k * math.sin(x))  # noqa: E731
    yield from [
        (1, 1.0), (1, True), (0.0, -0.0), ("a", b"a"), ((1, 2), (2, 1)), ((1, 2), [1, 2]), ({1: 2}, {2: 1}),
        (frozenset({1}), frozenset({2})), (None, 0), (range(3), range(4)), (1j, -1j),
        (point(1.0, 2.0), swapped(1.0, 2.0)), (point, swapped), (colour.RED, other.RED), (colour, other),
        (array, array.reshape(2, 3)), (array, array[::-1]), (array, array.astype("f4")), (large, edited),
        (array.reshape(2, 3), np.asfortranarray(array.reshape(2, 3))), (np.float32(1), np.float64(1)),
        (np.dtype("f4"), np.dtype("f8")), (class_of(1), class_of(2)), (module(k=1), module(k=2)),
        (module(sub=module(k=1)), module(sub=module(k=2))), (wrapped(2.0), wrapped(3.0)),
        (functools.partial(math.pow, 2), functools.partial(math.pow, 3)), (np.sin, np.cos),
        (math.sin, np.sin), (types.float32, types.float64), (njit(lambda x: x), njit(lambda x: -x)),
        (math.pi, math.e), (vector_math.sin, math.sin),
        *([] if config.DISABLE_JIT else [(njit(lambda x: x), njit(fastmath=True)(lambda x: x))]),
        (ctypes.CFUNCTYPE(ctypes.c_double)(lambda: 1.0), ctypes.CFUNCTYPE(ctypes.c_double)(lambda: 2.0)),
    ]  # fmt: skip


@pytest.mark.lowest
@pytest.mark.parametrize("way", ["global", "closure", "default", "helper", "module", "wrapped"])
def test_digests_see_every_value_however_it_is_reached(way):
    def reaching(value):
        if way == "closure":
            return lambda: (value.k, value.sub)
        if way == "default":
            return function_in("def f(x=value): return x", value=value)
        if way == "helper":
            helper = function_in("def f(): return value.k, value.sub.k", value=value)
            return function_in("def f(): return helper()", helper=helper)
        if way == "module":
            module = ModuleType("module")
            module.value = value
            return function_in("def f(): return module.value.k, module.value.sub", module=module)
        if way == "wrapped":
            return functools.wraps(math.sin)(lambda: (value.k, value.sub.k))
        return function_in("def f(): return [value.k, value.sub][0]", value=value)

    for first, second in values():
        if way == "default" and isinstance(first, ModuleType):
            continue  # code that takes a module from a default must name it first
        one, again, other = (digest_of(reaching(value)) for value in (first, first, second))
        assert one == again, first
        assert one != other, (first, second)


@given(st.integers(0, 2**32))
def test_changes_in_place_are_seen_and_taken_back(seed):
    """Of all the ways to change what a function computes, take one at random."""
    draw = random.Random(seed)
    number = draw.uniform(0.5, 2.0)
    table = np.full(3, number)
    module = ModuleType("constants")
    module.k = number

    def helper(x, *, u=number):
        return x * module.k + u

    def f(x, y=number):
        return helper(x) + y + table[0] + number

    ways = [
        (lambda v: setattr(module, "k", v), lambda: module.k),
        (lambda v: table.__setitem__(0, v), lambda: table[0]),
        (lambda v: setattr(f, "__defaults__", (v,)), lambda: f.__defaults__[0]),
        (lambda v: setattr(helper, "__kwdefaults__", {"u": v}), lambda: helper.__kwdefaults__["u"]),
        (lambda v: setattr(helper, "__code__", v), lambda: helper.__code__),
        (lambda v: setattr(f.__closure__[1], "cell_contents", v), lambda: f.__closure__[1].cell_contents),
    ]
    change, current = draw.choice(ways)
    before, value, result = digest_of(f), current(), f(1.0)
    change(value + draw.uniform(0.1, 1.0) if isinstance(value, float) else code_of_another_helper())
    assert f(1.0) != result
    assert digest_of(f) != before
    change(value)
    assert (f(1.0), digest_of(f)) == (result, before)


def code_of_another_helper():
    module = ModuleType("constants")

    def helper(x, *, u=0.0):
        return x * module.k - u

    return helper.__code__


def test_implementations_registered_with_numba_count():
    def implemented(body, options=None):
        def f(x):
            return x

        overload(f, jit_options=options or {})(function_in(f"def f(x): return lambda x: {body}"))
        return f

    functions = [implemented("x"), implemented("-x"), implemented("x", {"fastmath": True}), lambda x: x]
    assert len({digest_of(f) for f in functions}) == 4
    assert digest_of(implemented("x")) == digest_of(functions[0])
    assert digest_of(register_jitable(fastmath=True)(lambda x: x)) != digest_of(register_jitable(lambda x: x))


def test_a_patched_library_is_seen(monkeypatch):
    def f(x):
        return np.sin(x)

    before = digest_of(f)
    monkeypatch.setattr(np, "sin", np.cos)
    patched = digest_of(f)
    monkeypatch.setattr(np, "sin", lambda x: x)
    assert len({before, patched, digest_of(f)}) == 3


# --- What is remembered --------------------------------------------------------------------------


def _told_from_outside():
    """A function that refers to something by each way there is, and changes of each."""
    module = ModuleType("constants")
    module.rate = 2.0
    scope = {"module": module, "sin": math.sin, "scale": 3.0, "jitted": njit(lambda x: x + 1.0)}
    text = """
def scale_of_helper():
    return 5.0
def helper(x):
    return x + scale_of_helper()
def made(k):
    def f(x, shift=1.0):
        return jitted(helper(sin(x))) * scale + module.rate * k + module.later + abs(x) + shift
    return f
f = made(1.0)
g = made(2.0)
"""
    exec(text, scope)
    f, cell = scope["f"], scope["f"].__closure__[0]

    changes = {
        "code": functools.partial(setattr, f, "__code__", scope["g"].__code__.replace(co_consts=(None, 7.0))),
        "defaults": functools.partial(setattr, f, "__defaults__", (2.0,)),
        "keyword defaults": functools.partial(setattr, f, "__kwdefaults__", {"shift": 2.0}),
        "cell": functools.partial(setattr, cell, "cell_contents", 9.0),
        "cell of an equal number": functools.partial(setattr, cell, "cell_contents", 1),
        "empty cell": lambda: delattr(cell, "cell_contents"),
        "global": lambda: scope.update(scale=4.0),
        "global function": lambda: scope.update(sin=math.cos),
        "missing global": lambda: scope.pop("scale"),
        "builtin": lambda: scope.update(abs=math.fabs),
        "attribute": functools.partial(setattr, module, "rate", 2.5),
        "new attribute": functools.partial(setattr, module, "later", 2.5),
        "lost attribute": lambda: delattr(module, "rate"),
        "module": lambda: scope.update(module=math),
        "helper's code": functools.partial(setattr, scope["helper"], "__code__", (lambda x: x).__code__),
        "helper of the helper": functools.partial(
            setattr, scope["scale_of_helper"], "__code__", (lambda: 6.0).__code__
        ),
        "compiled function": lambda: scope.update(jitted=njit(lambda x: x + 2.0)),
        "its function": functools.partial(setattr, scope["jitted"], "py_func", lambda x: x + 2.0),
        "its options": lambda: scope["jitted"].targetoptions.update(fastmath=True),
        "its locals": lambda: scope["jitted"].locals.update(x=types.float32),
        "wrapped": functools.partial(setattr, f, "__wrapped__", scope["g"]),
        "signature": functools.partial(setattr, f, "__signature__", 1),
        "list": lambda: scope.update(scale=[4.0]),
        "array": lambda: scope.update(scale=np.ones(2)),
    }
    return f, changes


@pytest.mark.skipif(config.DISABLE_JIT, reason="njit returns the function itself")
@pytest.mark.parametrize("change", _told_from_outside()[1])
def test_a_remembered_digest_is_forgotten_once_anything_differs(change):
    f, changes = _told_from_outside()
    before = identify(f)
    assert identify(f) == before
    assert readings._readings[id(f)].is_current()
    changes[change]()
    after = identify(f)
    assert after[0] != before[0]
    readings._readings.clear()
    assert identify(f) == after


def test_what_may_change_in_place_is_read_each_time():
    table, listed = np.ones(2), [1.0]

    def f(x):
        return x + table[0] + listed[0]

    digests = [identify(f)]
    table[0] = 2
    digests.append(identify(f))
    listed[0] = 2.0
    digests.append(identify(f))
    assert len(set(digests)) == 3
    assert id(f) not in readings._readings


def test_implementations_of_calls_are_noticed_later():
    def own(x):
        return x

    def f(x):
        return own(x)

    before = identify(f)
    assert identify(f) == before
    overload(own)(lambda x: lambda x: x + 1)
    assert identify(f) != before


def test_only_so_many_digests_are_remembered():
    made = [function_in(f"def f(x): return x + {k}.5") for k in range(200)]
    assert len({identify(f) for f in made}) == 200
    assert len(readings._readings) <= readings.READINGS


# --- What cannot be known ------------------------------------------------------------------------


@pytest.mark.lowest
@pytest.mark.parametrize(
    "value", [SimpleNamespace(k=1), np.array([None]), iter([1]), threading.Lock(), random.Random(0)]
)
def test_what_may_change_unseen_is_never_the_same(value):
    def f(x):
        return value.k * x

    with pytest.raises(OpaqueError):
        digest_of(f)
    assert identify(f) != identify(f)
    assert fingerprint(f) == ""


def test_addresses_are_for_this_process_only():
    pointer = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x)

    def f(x):
        return pointer(x)

    assert identify(f) == identify(f)
    assert fingerprint(f) == ""


def test_functions_that_refer_to_themselves_and_each_other_have_digests():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    loop = []
    loop.append(loop)
    assert digest_of(even) != digest_of(odd)
    assert digest_of(loop) == digest_of(loop)


def test_digests_are_those_of_other_processes(tmp_path):
    program = """
        import numpy as np
        from nbadam import kernels, rules, vector_math
        from nbadam._fingerprint import fingerprint
        from probes import say

        def f(x):
            return vector_math.sin(x) in {"a", "b", "c"} or np.exp(x)

        say(dense=fingerprint(kernels.dense(rules.ADAM), "any"), f=fingerprint(f))
    """
    settings = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    first = run(program, tmp_path, **settings, PYTHONHASHSEED="1")
    other = run(program, tmp_path, **settings, PYTHONHASHSEED="2", PYTHONDONTWRITEBYTECODE=None)
    assert first == other == first | {"dense": fingerprint(dense(rules.ADAM), "any")}
    assert first["f"]


def test_a_digest_covers_all_of_vector_math():
    seen = Digest(inside_package=True)
    seen.add(vector_math.sin)
    functions = [value for _, value in seen._seen.values() if isinstance(value, FunctionType)]
    found = {function.__module__.removeprefix("nbadam.vector_math.") for function in functions}
    assert found >= {"nbadam.vector_math", "double", "single", "angles", "intrinsics"}
