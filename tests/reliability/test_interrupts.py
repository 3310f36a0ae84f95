"""Ctrl-C at random moments of loops of calls: none is lost, and none waits."""

import os
import sys

import numpy as np
import pytest
from subprocesses import finish, needs_ordinary_kernels, share_cache, start

from nbadam._pointers import Stored

INTERRUPTS = int(os.environ.get("NBADAM_INTERRUPTS", 3))  # for each kind of call

pytestmark = [
    needs_ordinary_kernels,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]

PROGRAM = """
import json, os, random, signal, threading, time, warnings

warnings.simplefilter("ignore")
import numpy as np
from numba import njit
from scipy.optimize import minimize
import nbadam
from entry_points import CALLS, ONE, P0, X, Y, batch, bowl, decay, method, plain, starts, value

@njit
def slow_bowl(x):
    s = 0.0
    for i in range(20_000):
        s += np.sin(x[0] + i) * 1e-12
    return ((x - 1.0) ** 2).sum() + s, 2 * (x - 1.0)

def values(steps):
    return minimize(value, np.zeros(3), method=nbadam.adam, options={"steps": steps})

long = {"learning_rate": 1e-3, "gtol": 0, "steps": 10**9}
many = nbadam.curve_fit(decay, X, np.tile(Y[0], (200, 1)), P0)
calls = {
    "python": lambda: method(plain, **long),
    "compiled": lambda: method(bowl, **long),
    "compiled short": lambda: method(bowl, **long | {"steps": 50_000}),
    "compiled slow": lambda: method(slow_bowl, **long),
    "values": lambda: values(10**9),
    "batch": lambda: batch(10**7),
    "starts": lambda: starts(plain, 1, **long),
    "compiled starts": lambda: starts(bowl, 1, **long),
    "starts in threads": lambda: starts(bowl, 2, **long),
    "bootstraps": lambda: ONE.bootstrap(2_000_000, rng=0),
    "profiles": lambda: many.conf_int(method="profile"),
}
short = "minimize", "minimize_batch", "multistart", "bootstrap", "profile", "formula"
calls |= {f"short {kind}": CALLS[kind] for kind in short}
for kind in short:
    CALLS[kind]()  # compiles
method(bowl, steps=3), method(slow_bowl, steps=3), values(3)
chosen = os.environ["KINDS"].split(",")
random.seed(int(os.environ["SEED"]))
signal.signal(signal.SIGINT, signal.default_int_handler)
cost, lost = {}, {}
for kind in calls:
    if chosen != [""] and kind not in chosen:
        continue
    cost[kind], lost[kind] = 0.0, 0
    for _ in range(int(os.environ["COUNT"])):
        sent = []
        def send():
            sent.append((time.process_time(), time.monotonic()))
            os.kill(os.getpid(), signal.SIGINT)
        try:
            threading.Timer(random.uniform(0, 0.2), send).start()
            while not sent or time.process_time() < sent[0][0] + 2:
                calls[kind]()
            lost[kind] += 1
        except KeyboardInterrupt:
            cost[kind] = max(cost[kind], time.process_time() - sent[0][0])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(json.dumps({"cost": cost, "lost": lost}), flush=True)
"""


def test_no_interrupt_is_lost_or_late(tmp_path):
    """Seconds are those of the processor, which do not depend on what else the machine does.

    The process ends by itself: no thread waits for a lock that an interrupt left taken.
    """
    variables = {
        "COUNT": str(INTERRUPTS),
        "SEED": os.environ.get("NBADAM_SEED", str(os.getpid())),
        "KINDS": os.environ.get("NBADAM_KINDS", ""),
    }
    told = finish(start(PROGRAM, share_cache(tmp_path), **variables), timeout=60 + 60 * INTERRUPTS)
    assert {kind: lost for kind, lost in told["lost"].items() if lost} == {}
    assert {kind: cost for kind, cost in told["cost"].items() if cost > 0.5} == {}


COMPILING = """
import json, os, random, signal, threading, time, warnings
import numpy as np
import nbadam

warnings.simplefilter("ignore")
x = np.linspace(0, 3, 30)
nbadam.curve_fit(lambda x, a: a * x, x, x, [1.0])
signal.signal(signal.SIGINT, signal.default_int_handler)
cost, lost = 0.0, 0
for k in range(int(os.environ["COUNT"])):
    sent = []
    def send():
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)
    number = random.random()
    try:
        threading.Timer(random.uniform(0, 0.5), send).start()
        while not sent or time.process_time() < sent[0] + 8:
            number += 1e-3
            nbadam.curve_fit(lambda x, a, b: a * x + np.exp(number) * b, x, x, [1.0, 1.0])
        lost += 1
    except KeyboardInterrupt:
        cost = max(cost, time.process_time() - sent[0])
    # What was interrupted leaves nothing that is half done.
    fit = nbadam.curve_fit(lambda x, a, b: a * x + np.exp(number) * b, x, 2 * x + np.exp(number), [1.0, 1.0])
    assert abs(fit.popt - [2, 1]).max() < 1e-6, fit.popt
print(json.dumps({"cost": cost, "lost": lost}))
"""


def test_an_interrupt_of_a_compilation_leaves_nothing_half_done(tmp_path):
    """It may wait until the function is compiled."""
    count = max(3, INTERRUPTS // 3)
    told = finish(start(COMPILING, share_cache(tmp_path), COUNT=str(count)), timeout=60 + 60 * count)
    assert told["lost"] == 0, told
    assert told["cost"] < 4, told


SPAWNED = """
import json, multiprocessing, os, random, signal, sys, threading, time, warnings

sys.modules["joblib"] = None  # the standard library spawns the workers
import numpy as np
import nbadam

def plain(x):
    return float((x - 1) @ (x - 1)), 2 * (x - 1)

def starts(steps):
    options = {"learning_rate": 1e-3, "gtol": 0, "steps": steps}
    return nbadam.multistart(plain, np.eye(4, 3), jac=True, options=options, workers=2)

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cost, clock, lost = 0.0, 0.0, 0
    for number in range(int(os.environ["COUNT"])):
        sent = []
        def send():
            sent.append((time.process_time(), time.monotonic()))
            # A terminal interrupts the workers, too; `kill` does not.
            os.killpg(0, signal.SIGINT) if number % 2 else os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(random.uniform(0.1, 3), send).start()
        try:
            while not sent or time.process_time() < sent[0][0] + 2:
                starts(20 if number % 4 < 2 else 10**9)
            lost += 1
        except KeyboardInterrupt:
            cost = max(cost, time.process_time() - sent[0][0])
            clock = max(clock, time.monotonic() - sent[0][1])
    left = len(multiprocessing.active_children())
    print(json.dumps({"cost": cost, "clock": clock, "lost": lost, "left": left}))
"""


def test_interrupts_of_spawned_workers(tmp_path):
    """They strike while workers start, work, and end; none of them is left behind."""
    count = max(4, INTERRUPTS)
    told = finish(start(SPAWNED, share_cache(tmp_path), COUNT=str(count)), timeout=60 + 60 * count)
    assert told["lost"] == 0 and told["left"] == 0, told
    assert told["cost"] < 0.5 and told["clock"] < 10, told  # other processes may keep this one waiting


def test_values_in_memory_end_without_python_code():
    """Python ignores the KeyboardInterrupt of a Ctrl-C during `__del__`: one in 400 was lost so."""
    value = np.ones(3), 1.0
    stored = [Stored(value)]
    called = []
    sys.setprofile(lambda frame, event, argument: called.append(frame.f_code.co_name))
    stored.clear()
    Stored(value)
    sys.setprofile(None)
    assert "__del__" not in called
