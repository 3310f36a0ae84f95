"""Ctrl-C while locks are taken."""

import signal
from collections import OrderedDict
from contextlib import ExitStack
from types import SimpleNamespace

import numba
import pytest
from llvmlite import binding as llvm
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from subprocesses import needs_ordinary_kernels, run, share_cache

from nbadam._calls import address_of
from nbadam._jit import compile_kernel, entry_point
from nbadam._pointers import size_of
from nbadam._signals import DeferredInterrupts


@pytest.fixture(autouse=True)
def _the_handler_of_python():
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


def double(x):
    return 2 * x


def compile_double():
    compile_kernel(double, (1.0,), name="double", mode="serial")


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.skipif(not hasattr(llvm.ffi.lib, "_lock"), reason="llvmlite has no lock")
@pytest.mark.parametrize("work", [compile_double, lambda: size_of.__wrapped__(types.float64)])
def test_ctrl_c_leaves_no_lock_of_the_compiler_taken(work):
    """Other threads would wait for it for ever, and the end of the process for them."""
    lock = llvm.ffi.lib._lock

    def strike():
        lock.unregister(strike, ignore)
        signal.raise_signal(signal.SIGINT)

    def ignore():
        pass

    lock.register(strike, ignore)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert not lock._lock._is_owned()
    assert not global_compiler_lock.is_locked()
    work()  # nothing is half done


@pytest.mark.parametrize("depth", [1, 2])
def test_a_deferred_interrupt_takes_effect_at_the_end_once(depth):
    seen = []

    def handler(number, frame):
        seen.append(number)

    signal.signal(signal.SIGINT, handler)
    with ExitStack() as contexts:
        for _ in range(depth):
            contexts.enter_context(DeferredInterrupts())
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert seen == []
    assert seen == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.lowest
def test_an_error_is_the_context_of_the_interrupt():
    with pytest.raises(KeyboardInterrupt) as interrupt, DeferredInterrupts():
        signal.raise_signal(signal.SIGINT)
        raise ValueError
    assert isinstance(interrupt.value.__context__, ValueError)


def test_ignored_interrupts_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with DeferredInterrupts():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


STRIKES = """
import signal, sys, threading
import numpy as np
from numba import njit
import nbadam
from probes import say

@njit
def bowl(x):
    return ((x - 1.0) ** 2).sum(), 2 * (x - 1.0)

starts = np.ones((4, 2))

def run():
    nbadam.multistart(bowl, starts, jac=True, options={"learning_rate": 0.1, "steps": 3}, workers=2)

def strike_at(number):
    "Return a profile function that sends SIGINT when a lock of `threading` was taken for that time."
    seen = 0
    def profile(frame, event, argument):
        nonlocal seen
        if event == "c_return" and frame.f_code is threading.Condition.__enter__.__code__:
            seen += 1
            if seen == number:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)
    return profile

signal.signal(signal.SIGINT, signal.default_int_handler)
run()
for number in range(1, 40):
    try:
        sys.setprofile(strike_at(number))
        run()
        sys.setprofile(None)
    except KeyboardInterrupt:
        pass
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(5)
waiting = [thread.name for thread in threading.enumerate()][1:]
say(waiting=waiting)
sys.stdout.flush()
if waiting:
    import os
    os._exit(0)
"""


@needs_ordinary_kernels
def test_ctrl_c_leaves_no_thread_of_multistart_waiting(tmp_path):
    """It strikes between any lock of `threading` and its `with`."""
    assert run(STRIKES, share_cache(tmp_path)) == {"waiting": []}


@pytest.mark.lowest
@needs_ordinary_kernels
@pytest.mark.parametrize("function", [entry_point, address_of])
def test_an_interrupt_is_no_missing_key(function):
    """`OrderedDict` swallows exceptions of the hash of a key, and says that the key is missing."""

    class Key:
        left = 0

        def __hash__(self):
            Key.left -= 1
            if Key.left == 0:
                signal.raise_signal(signal.SIGINT)
            return 1

    library = SimpleNamespace(get_pointer_to_function=hash)
    description = SimpleNamespace(llvm_func_name="name")
    compiled = SimpleNamespace(entry_point=abs, library=library, fndesc=description)
    kernel = SimpleNamespace(overloads=OrderedDict({Key(): compiled}))
    for Key.left in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            function(kernel)
