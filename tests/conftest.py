"""Settings that every test shares."""

import os
import signal
import sys

import numba
import pytest
from hypothesis import settings

# CPU seconds of a test that coverage sees: a longer one repeats its loops, and tracing takes five times
# as long as they do.
SEEN = 0.5

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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """End the measurement of coverage in the middle of a long test, and begin it again afterwards."""
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
