"""The functions of nbadam.vector_math in a compiled loop, against math's there and NumPy's loops.

python benchmarks/vector_math.py [--quick] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
from timing import Contender, markdown, race, save, summary

FUNCTIONS = ["exp", "log", "tanh", "sin", "cos"]
LARGE = "sin, large angles"  # of every size that there is
N = 4096  # elements: two arrays of them stay in cache
THREADS = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def sample(name, dtype):
    rng = np.random.default_rng(0)
    if name == LARGE:
        return np.exp2(rng.uniform(0, np.finfo(dtype).maxexp, N)).astype(dtype)
    return rng.uniform(0.1, 30, N).astype(dtype)


def named(module, name):
    return getattr(module, "sin" if name == LARGE else name)


def loop(function, x):
    from numba import njit

    @njit(error_model="numpy")
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    out = np.empty_like(x)

    def job():
        run(x, out)
        return N

    return job


def ours(name, dtype):
    from nbadam import vector_math

    return loop(named(vector_math, name), sample(name, dtype))


def of_math(name, dtype):
    import math

    return loop(named(math, name), sample(name, dtype))


def of_numpy(name, dtype):
    function, x = named(np, name), sample(name, dtype)
    out = np.empty_like(x)

    def job():
        function(x, out=out)
        return N

    return job


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of a second per function")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of vector_math.json")
    options = parser.parse_args()
    contenders = [
        Contender("nbadam", ours, THREADS),
        Contender("math, in njit", of_math, THREADS),
        Contender("NumPy", of_numpy, THREADS),
    ]
    results: list[dict] = []
    rows = []
    for dtype in ("float64", "float32"):
        for name in [*FUNCTIONS, LARGE]:
            medians = summary(race(contenders, (name, dtype), seconds=0.2 if options.quick else 2.0))
            results += [
                {"function": name, "dtype": dtype, "contender": contender} | numbers
                for contender, numbers in medians.items()
            ]
            times = [1e9 * medians[contender.name]["median"] for contender in contenders]
            ratios = [f"{time:.2f} ({time / times[0]:.1f})" for time in times[1:]]
            rows.append([f"{name}, {dtype}", f"{times[0]:.2f}", *ratios])
    print("ns per element; in brackets, the multiple of nbadam's\n")
    print(markdown(["", *(contender.name for contender in contenders)], rows), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "vector_math.json", results)


if __name__ == "__main__":
    main()
