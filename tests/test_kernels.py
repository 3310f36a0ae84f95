"""Kernels compiled in this process: their fingerprints and signatures, errors, and Ctrl-C."""

import importlib
import inspect
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba import types
from numba.core import event
from numba.extending import register_jitable
from probes import dense, kernel_steps
from subprocesses import cache_files

from nbadam import _calls, _fingerprint, _jit, kernels
from nbadam._calls import address_of, call
from nbadam._jit import compile_kernel
from nbadam._pointers import Stored
from nbadam.methods.record import new_record, new_rule_state
from nbadam.rules import ADAM, Rule

pytestmark = pytest.mark.lowest

needs_compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Numba is disabled")


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules of a user: a kernel that reaches a function and constants of two others."""
    texts = {
        "user_constants": "SCALE = 2.0\nTABLE = [1.0]\nUNUSED = 1",
        "user_helper": (
            "import user_constants\nfrom user_constants import SCALE\n"
            "def helper(x):\n    return SCALE * x + sum([user_constants.TABLE[0] for _ in range(3)])"
        ),
        "user_kernel": "from user_helper import helper\ndef kernel(x):\n    return helper(x)",
    }
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    yield {name: importlib.import_module(name) for name in texts}
    for name in texts:
        del sys.modules[name]


def test_a_fingerprint_covers_all_that_a_kernel_reaches(modules, monkeypatch):
    def fingerprint():
        return _fingerprint.fingerprint(modules["user_kernel"].kernel, signature)

    signature = types.float64(types.float64)
    original = fingerprint()
    assert len(original) == 32
    signature = types.float32(types.float32)
    assert fingerprint() not in ("", original)
    signature = types.float64(types.float64)
    assert fingerprint() == original
    monkeypatch.setattr(modules["user_helper"], "SCALE", 3.0)
    assert fingerprint() not in ("", original)
    monkeypatch.setattr(modules["user_helper"], "SCALE", 2.0)
    monkeypatch.setattr(modules["user_constants"], "TABLE", [2.0])  # in a function inside the function
    assert fingerprint() not in ("", original)
    monkeypatch.setattr(modules["user_constants"], "TABLE", [1.0])
    monkeypatch.setattr(modules["user_constants"], "UNUSED", 2)
    assert fingerprint() == original
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 2)
    assert fingerprint() not in ("", original)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_takes_one_signature_and_converts_scalars_to_it(dtype):
    kernel = dense(ADAM, dtype)
    g, x, slots = np.ones(5, dtype), np.ones(5, dtype), (np.zeros(5, dtype), np.zeros(5, dtype))
    starts, ones, zeros = np.zeros(1, np.int64), np.ones(1), np.zeros(1)
    kernel((g,), (x,), slots, starts, 1.0, (0.1, 0.9, 0.999, 1e-7), np.inf, ones, zeros)
    g.flags.writeable = False
    kernel((g,), (x,), slots, starts, 2, (np.float32(0.1), 0, np.int64(0), 1), 1, ones, zeros)
    for wrong in (g[::-1], g.astype("int64"), g.reshape(5, 1)):
        with pytest.raises(TypeError):
            kernel((wrong,), (x,), slots, starts, 1.0, (0.1, 0.9, 0.999, 1e-7), np.inf, ones, zeros)
    assert len(kernel.signatures) == 1


@needs_compiler
@pytest.mark.parametrize("mode", ["serial", "uncounted"])
def test_a_kernel_at_an_address_refuses_other_types(mode):
    """The callee would read the bits of its arguments as those of its own types."""

    def half(x, rest):
        return x / 2 + rest[0].size

    def halved(address, x, rest):
        return call(address, 0.0, (x, rest))

    def compiled(function, *examples):
        return compile_kernel(function, examples, name=function.__name__, mode=mode)

    rest = (np.zeros(3), 0)
    of_double = address_of(halves := compiled(half, 1.0, rest))
    of_single = address_of(others := compiled(half, np.float32(1), rest))
    caller = compiled(halved, 0, 1.0, rest)
    assert caller(of_double, 1.0, rest) == halves(1.0, rest) == 3.5
    with pytest.raises(TypeError, match=r"other types was called with Tuple\(float64, "):
        caller(of_single, 1.0, rest)
    assert others(1.0, rest) == 3.5


@needs_compiler
def test_threads_that_ask_at_once_get_one_address(monkeypatch):
    """The later one would free the memory of the other's."""
    kernel = compile_kernel(lambda x: 2 * x, (1.0,), name="twice", mode="uncounted")
    digest = _calls._digest

    def slow(kinds):
        time.sleep(0.2)  # meanwhile the other one asks
        return digest(kinds)

    monkeypatch.setattr(_calls, "_digest", slow)
    with ThreadPoolExecutor(2) as pool:
        addresses = list(pool.map(address_of, [kernel, kernel]))
    assert addresses == [address_of(kernel)] * 2


@needs_compiler
def test_an_error_in_a_rule_says_what_is_wrong():
    @register_jitable
    def update(g, x, alpha):
        return (x.nonsense,)

    @register_jitable
    def scalars(t, learning_rate=0.1):
        return (learning_rate,)

    with pytest.raises(numba.TypingError, match="Unknown attribute 'nonsense' of type float64"):
        dense(Rule(update, scalars, ()))


@needs_compiler
def test_ctrl_c_while_compiling_leaves_nothing_locked(tmp_path, monkeypatch):
    class Interruption(event.Listener):
        def on_start(self, event):
            raise KeyboardInterrupt

        def on_end(self, event):
            pass

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    expected = kernel_steps(kernels.dense(ADAM), ADAM)
    with pytest.raises(KeyboardInterrupt), event.install_listener("numba:compile", Interruption()):
        dense(ADAM)
    assert cache_files(tmp_path) == []
    assert not _jit.global_compiler_lock.is_locked()
    assert kernel_steps(dense(ADAM), ADAM) == expected
    assert len(cache_files(tmp_path)) == 1


def test_a_disabled_compiler_leaves_the_kernel_as_it_is(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    kernel = kernels.dense(ADAM)
    same = _jit.compile_kernel(kernel, None, name="any", mode="parallel")
    assert inspect.unwrap(same) is kernel  # which conftest may wrap


@needs_compiler
def test_types_of_stored_values_are_those_of_numba():
    limits = {"average": 0}
    record = new_record(2, np.float32, limits, is_auto=True, has_fractions=False, rows=3)
    own = new_rule_state(ADAM, 2, np.float32, (0.9, 0.999, 1e-7))
    matrix = np.zeros((2, 3))
    fixed = np.broadcast_to(matrix[0], 3)
    plain = matrix, matrix.T, matrix[:, ::2], fixed, np.zeros(1, complex), np.zeros(2, bool)
    for value in (record, own, (1, (plain, 2.0, None), ())):
        assert Stored(value).type == numba.typeof(value)
