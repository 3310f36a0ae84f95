"""Nine threads that call everything at once under each threading layer: the bits are those of one thread."""

import pytest
from subprocesses import finish, needs_ordinary_kernels, share_cache, start

pytestmark = needs_ordinary_kernels

PROGRAM = """
import threading, warnings

warnings.simplefilter("ignore")
from entry_points import CALLS as calls
from probes import say

expected = {name: call() for name, call in calls.items()}
names = list(calls)
barrier = threading.Barrier(9)
wrong = []

def all_of_them(first):
    order = names[first * 2 :] + names[: first * 2]
    barrier.wait()
    for name in order:
        try:
            if calls[name]() != expected[name]:
                wrong.append([name, "other bits"])
        except BaseException as error:
            wrong.append([name, repr(error)])

threads = [threading.Thread(target=all_of_them, args=(k,)) for k in range(8)]
for thread in threads:
    thread.start()
all_of_them(8)
for thread in threads:
    thread.join()
say(wrong=wrong, calls=len(names))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_nine_threads_call_everything_at_once(layer, tmp_path):
    process = start(PROGRAM, share_cache(tmp_path), NUMBA_THREADING_LAYER=layer)
    assert finish(process, timeout=400) == {"wrong": [], "calls": 19}
