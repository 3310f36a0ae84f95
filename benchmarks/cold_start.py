"""What a user waits for first: imports, first steps and first fits, with an empty cache and a full one.

python benchmarks/cold_start.py [--quick] [--out results]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import duration, markdown, save

IMPORT = """
import time
started = time.perf_counter()
import {module}
print([time.perf_counter() - started])
"""

STEP = """
import json, time
import numpy as np
from nbadam import rules
from nbadam.engine import State
x = np.zeros({n}, "{dtype}")
g = np.ones_like(x)
times = []
for t in (1.0, 2.0):
    started = time.perf_counter()
    if t == 1.0:
        state = State(rules.ADAM, [x])
    state.step((g,), t, (1e-3, 0.9, 0.999, 1e-7), scales=np.ones(1), decays=np.zeros(1))
    times.append(time.perf_counter() - started)
print(json.dumps(times))
"""

FIT = """
import json, time
import numpy as np
from scipy.optimize import minimize
{compiled}
def fun(x):
    return np.sum((x - 1.0) ** 2), 2.0 * (x - 1.0)
times = []
started = time.perf_counter()
import nbadam
for _ in range(2):
    minimize(fun, np.zeros(10), jac=True, method=nbadam.adam, options={{"steps": 100}})
    times.append(time.perf_counter() - started)
    started = time.perf_counter()
print(json.dumps(times))
"""

SMALL, LARGE = 1_000, 100_000  # elements, for the serial and the parallel kernel


def seconds(program: str, cache: str) -> list[float]:
    """Run a program in a process of its own and return the times that it prints."""
    variables = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 processes each instead of 9")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of cold_start.json")
    options = parser.parse_args()
    rounds = 3 if options.quick else 9
    results = []

    imports: dict[str, list[float]] = {"numpy": [], "numba": [], "nbadam": []}
    with tempfile.TemporaryDirectory() as cache:
        for k in range(rounds + 1):
            for module, times in imports.items():
                (time,) = seconds(IMPORT.format(module=module), cache)
                if k > 0:  # the first round brings the files into memory
                    times.append(time)
    medians = {module: statistics.median(times) for module, times in imports.items()}
    results += [{"import": module, "seconds": times} for module, times in imports.items()]
    rows = [[f"`import {module}`", duration(median)] for module, median in medians.items()]
    rows.append(["nbadam beyond numba", f"{1e3 * (medians['nbadam'] - medians['numba']):.0f} ms"])
    print(markdown(["What", "median"], rows), flush=True)

    jobs = {
        f"step, {dtype}, {how}": STEP.format(n=n, dtype=dtype)
        for how, n in (("serial", SMALL), ("parallel", LARGE))
        for dtype in ("float32", "float64")
    }
    jobs["`import nbadam` and fit, objective in NumPy"] = FIT.format(compiled="")
    jobs["`import nbadam` and fit, objective compiled by Numba"] = FIT.format(
        compiled="import numba\n@numba.njit"
    )
    samples: dict[str, dict[str, list[list[float]]]] = {job: {"cold": [], "warm": []} for job in jobs}
    for _ in range(rounds):
        for job, program in jobs.items():
            with tempfile.TemporaryDirectory() as cache:
                for state in ("cold", "warm"):
                    samples[job][state].append(seconds(program, cache))
    rows = []
    for job, states in samples.items():
        cold, _ = (statistics.median(times) for times in zip(*states["cold"], strict=True))
        warm, again = (statistics.median(times) for times in zip(*states["warm"], strict=True))
        rows.append([job, duration(cold), duration(warm), duration(again)])
        results += [{"job": job, "cache": state, "seconds": times} for state, times in states.items()]
    header = ["First", "empty cache", "second process", "second time in it"]
    print("\n" + markdown(header, rows))
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "cold_start.json", results)


if __name__ == "__main__":
    main()
