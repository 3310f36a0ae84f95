"""Many starts on one core and on several.

python benchmarks/multistart.py [--quick] [--out results]

The same runs with 1, 2, ... workers, one after the other and in turn: medians, and how many times faster
than with one worker.  Threads and processes are started within what is timed; compiling is not.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
from numba import njit
from timing import duration, markdown, save

import nbadam

BOUNDS = [(-5.12, 5.12)] * 10


@njit
def rastrigin(x):
    """Rastrigin's function and its gradient, compiled."""
    f, g = 0.0, np.empty_like(x)
    for i in range(x.size):
        f += x[i] ** 2 + 10 * (1 - np.cos(2 * np.pi * x[i]))
        g[i] = 2 * x[i] + 20 * np.pi * np.sin(2 * np.pi * x[i])
    return f, g


def rastrigin_in_numpy(x):
    """The same in NumPy."""
    angle = 2 * np.pi * x
    return np.sum(x**2 + 10 * (1 - np.cos(angle))), 2 * x + 20 * np.pi * np.sin(angle)


CASES = {
    "compiled objective, threads": (rastrigin, 64, 20_000),
    "Python objective, processes": (rastrigin_in_numpy, 16, 10_000),
}


def seconds_of(fun, starts, steps, workers):
    began = time.perf_counter()
    result = nbadam.multistart(
        fun, bounds=BOUNDS, n_starts=starts, jac=True, rng=0, options={"steps": steps}, workers=workers
    )
    return time.perf_counter() - began, [one.fun for one in result.results]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of multistart.json")
    options = parser.parse_args()
    counts = sorted({1, 2, os.cpu_count() or 1})
    rows, results = [], []
    for name, (fun, starts, steps) in CASES.items():
        values = [seconds_of(fun, max(counts), 1_000, workers)[1] for workers in counts]  # compiles, imports
        times: dict[int, list[float]] = {workers: [] for workers in counts}
        for _ in range(1 if options.quick else 3):
            for workers in counts:
                seconds, values = seconds_of(fun, starts, steps, workers)
                times[workers].append(seconds)
                results.append({"case": name, "workers": workers, "seconds": seconds, "values": values})
        same = {tuple(one["values"]) for one in results if one["case"] == name}
        assert len(same) == 1, "the results depend on the number of workers"
        medians = {workers: statistics.median(seconds) for workers, seconds in times.items()}
        for workers, median in medians.items():
            rows.append([name, f"{starts} x {steps:,}", str(workers), duration(median)])
            rows[-1].append(f"{medians[1] / median:.2f}")
    print(markdown(["", "starts x steps", "workers", "time", "times as fast"], rows))
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "multistart.json", results)


if __name__ == "__main__":
    main()
