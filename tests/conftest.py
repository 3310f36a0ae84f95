"""Settings that every test shares."""

import functools
import os
import signal
import sys
from time import thread_time

import numba
import pytest
from hypothesis import settings

from nbadam import _jit
from nbadam.fitting.kernels.layout import Layout

# CPU seconds of a test, and of each kernel in a test, that coverage sees: what takes longer repeats its
# loops, which take five times as long when they are traced.
SEEN = 1.0
SEEN_OF_A_KERNEL = 0.05

# No deadline: the first example may compile a kernel.  Plain Python loops get fewer examples; CI
# draws the same ones every time, a developer's machine new ones.
settings.register_profile(
    "nbadam",
    deadline=None,
    max_examples=10 if numba.config.DISABLE_JIT else 100,
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("nbadam")


_unseen: dict = {}  # what is left of `SEEN_OF_A_KERNEL` in this test


def _seen_for_a_while(function, *_, **options):
    """Compile a kernel in plain Python, where coverage looks away after a while."""

    @functools.wraps(function)
    def kernel(*arguments):
        trace, left = sys.gettrace(), _unseen.get(kernel, SEEN_OF_A_KERNEL)
        if trace is None:
            return function(*arguments)
        began = thread_time()
        if left < 0:
            sys.settrace(None)
        try:
            return function(*arguments)
        finally:
            sys.settrace(trace)
            _unseen[kernel] = left - (thread_time() - began)

    return kernel


if numba.config.DISABLE_JIT:
    _jit.compile_kernel = _seen_for_a_while


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Let the kernels of some files take one point a turn: see the marker."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("one_point") and not numba.config.BOUNDSCHECK:
            patch.setattr(Layout, "unroll", 1)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """End the measurement of coverage in the middle of a long test, and begin it again afterwards."""
    _unseen.clear()
    coverage = "coverage" in sys.modules and sys.modules["coverage"].Coverage.current()
    if not coverage:
        yield
        return
    ended = []

    def end(*_):
        ended.append(coverage.stop())

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SEEN)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if ended:
        coverage.start()
