"""Fits between bounds beside SciPy's two methods, on random problems from random starts.

python benchmarks/bounds.py [--problems 300] [--starts 12] [--seed 0] [--out results]

Models, bounds and starts come from `tests/boxes.py`; the tests compare a few of them.  A fit is right where
its chi-square is within 0.1 % of the least that any contender has found from any start.  SciPy's fits run in
children, which are killed after 10 s: dogbox may never return from LAPACK's `lstsq`, which no signal ends.
"""

import argparse
import multiprocessing
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from timing import markdown, save

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import boxes

METHODS = "trf", "dogbox"
LIMIT = 10.0  # seconds for one fit of SciPy; most take some hundredths


def by_scipy(problem, method):
    """Return chi-square from all starts, infinite where a fit does not end, and the CPU time."""
    found, spent = [], 0.0
    while len(found) < len(problem.starts):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        left = problem._replace(starts=problem.starts[len(found) :])
        child = multiprocessing.get_context("fork").Process(target=_send_fits, args=(left, method, theirs))
        child.start()
        theirs.close()
        for _ in left.starts:
            if not ours.poll(LIMIT):
                child.kill()
                found.append(np.inf)
                spent += LIMIT
                break
            chi2, seconds = ours.recv()
            found.append(chi2)
            spent += seconds
        child.join()
    return np.array(found), spent


def _send_fits(problem, method, pipe):
    for start in problem.starts:
        began = time.process_time()
        (chi2,) = boxes.by_scipy(problem._replace(starts=start[None]), method)
        pipe.send((chi2, time.process_time() - began))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--starts", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of bounds.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    draw = np.random.default_rng(options.seed)
    results, seconds = [], dict.fromkeys(["nbadam", *METHODS], 0.0)
    for n, share in ((3, 0.6), (5, 0.4)):
        count = round(share * options.problems)
        problems = [boxes.draw_problem(draw, n, options.starts) for _ in range(count)]
        boxes.by_nbadam(problems[:1])  # compiles
        began = time.process_time()
        fit = boxes.by_nbadam(problems)
        seconds["nbadam"] += time.process_time() - began
        for i, problem in enumerate(problems):
            some = slice(i * options.starts, (i + 1) * options.starts)
            found = {"nbadam": fit.chi2[some]}
            for method in METHODS:
                found[method], spent = by_scipy(problem, method)
                seconds[method] += spent
            right = dict(zip(found, boxes.count_right(*found.values()), strict=True))
            at_ends = (fit.popt[some] == problem.lower) | (fit.popt[some] == problem.upper)
            results.append({
                "parameters": n, "kind": problem.kind, **right,
                "at bounds": int(at_ends.any(axis=1).sum()), "nfev": float(fit.nfev[some].mean()),
            })  # fmt: skip
    total = sum(len(range(options.starts)) for _ in results)
    rows = []
    for name, spent in seconds.items():
        right = sum(r[name] for r in results)
        fewer = sum(r["nbadam"] < r[name] for r in results)
        rows.append([name, f"{right:,}", f"{right / total:.1%}", str(fewer), f"{1e3 * spent / total:.3g}"])
    header = [f"of {total:,} fits", "right", "share", "problems where nbadam has fewer", "ms of CPU a fit"]
    print(markdown(header, rows))
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "bounds.json", results)


if __name__ == "__main__":
    main()
