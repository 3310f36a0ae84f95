"""Learning rates that nobody tuned, against the best of nine that were.

python benchmarks/robustness.py [--steps 2000] [--more] [--seeds 5] [--default] [--quick] [--out results]

Every problem of `problems.py` is run for a number of steps with each of nine constant learning rates,
1e-4 to 1 by half decades, and with ``learning_rate="auto"``; with noise five times, and the excess below
is the mean of the five.

*Within 2x*: the excess is the exact value at the point that a run returns less the least value of the
problem, and "auto" is within 2x where its excess is at most twice that of the best of the nine.  Excesses
below 1e-8 of that of the start count as 1e-8: eight digits are enough, and comparing rounding errors says
nothing.  (More and Wild, "Benchmarking derivative-free optimization algorithms", SIAM J. Optim. 20, 2009,
use 1e-1 to 1e-7.)  The least value is that of the best minimum known, also where a run ends in another one.

The constants of "auto" were chosen on the first two thirds of the problems; the last one was held back.

With `--more` the problems are those of `more_problems.py`, in thirds: the first was looked at while constants
were chosen, the second between, and the third not before the figures were written down.  With noise they are
compared with eleven rates, 1e-4 to 10, that fall by a cosine, too.

With `--default` the runs have all defaults but the learning rate, 0.001 or "auto": up to 50,000 steps, and
the tolerances.  A problem is solved where the excess fell below the given fraction of that of the start.
"""

import argparse
import time
from pathlib import Path

import more_problems
import numpy as np
import problems
from numba import njit
from timing import markdown, save

import nbadam

RATES = np.geomspace(1e-4, 1, 9)
COSINE_RATES = np.geomspace(1e-4, 10, 11)
SEEDS = 5
FLOOR = 1e-8
FRACTIONS = 1e-2, 1e-4, 1e-6


@njit
def seed(number):
    np.random.seed(number)  # noqa: NPY002 (Numba's own generator)


class Case:
    """A problem, ready to be run."""

    def __init__(self, problem, *, third):
        self.problem, self.third = problem, third
        self.scale = np.resize(problem.scale, problem.x0.size)
        self.start = problem.x0 / self.scale
        self.first = self.value(self.start) - problem.optimum

    def value(self, x):
        """Return the exact value."""
        return problems.objective(x, self.problem.evaluate, self.scale, self.problem.data, 0)[0]

    def run(self, number, **options):
        """Return the result and its excess."""
        seed(number)
        args = self.problem.evaluate, self.scale, self.problem.data, self.problem.batch
        result = nbadam.adam(problems.objective, self.start, args, True, **options)
        return result, self.value(result.x) - self.problem.optimum

    def excess(self, seeds=SEEDS, **options):
        """Return the mean excess."""
        numbers = range(seeds) if self.problem.noisy else range(1)
        return float(np.mean([self.run(number, **options)[1] for number in numbers]))


def cases(more):
    """Return all problems of one of the sets, by thirds."""
    if more:
        return [Case(problem, third=k % 3) for k, problem in enumerate(more_problems.more_problems())]
    return [Case(problem, third=k // 2 % 3) for k, problem in enumerate(problems.all_problems())]


def against_the_grid(case, steps, seeds):
    """Return what came of one problem."""
    grid = [case.excess(seeds, learning_rate=rate, steps=steps) for rate in RATES]
    best = int(np.nanargmin(grid))
    auto = case.excess(seeds, learning_rate="auto", steps=steps)
    floor = FLOOR * case.first
    cosines = [
        case.excess(seeds, learning_rate=nbadam.schedules.CosineDecay(rate, steps), steps=steps)
        for rate in (COSINE_RATES if case.problem.noisy else ())
    ]
    best_cosine = np.nanmin(cosines) if cosines else np.nan
    return {
        "problem": case.problem.name,
        "third": case.third,
        "noisy": case.problem.noisy,
        "rescaled": case.problem.name.endswith("rescaled"),
        "start": case.first,
        "grid": grid,
        "best": grid[best],
        "rate": RATES[best],
        "auto": auto,
        "cosine": best_cosine,
        "ratio to cosine": max(auto, floor) / max(best_cosine, floor),
        "ratio": max(auto, floor) / max(grid[best], floor),
    }


def report_grid(results):
    rows = [
        [
            f"{r['problem']}{('', ' +', ' *')[r['third']]}",
            f"{r['start']:.1e}",
            f"{r['best']:.1e} ({r['rate']:.0e})",
            f"{r['auto']:.1e}",
            f"{r['ratio']:.2g}",
            f"{r['cosine']:.1e}",
            f"{r['ratio to cosine']:.2g}",
        ]
        for r in results
    ]
    print(
        markdown(
            ["problem", "start", "best of 9 (rate)", "auto", "ratio", "best of 11 cosines", "ratio"], rows
        )
    )
    groups = {
        "all": lambda r: True,
        "first third": lambda r: r["third"] == 0,
        "second third (+)": lambda r: r["third"] == 1,
        "last third (*)": lambda r: r["third"] == 2,
        "without noise": lambda r: not r["noisy"] and not r["rescaled"],
        "without noise, rescaled": lambda r: not r["noisy"] and r["rescaled"],
        "noisy": lambda r: r["noisy"] and not r["rescaled"],
        "noisy, rescaled": lambda r: r["noisy"] and r["rescaled"],
    }
    rows = []
    for name, belongs in groups.items():
        for kind in ("ratio", "ratio to cosine"):
            ratios = np.array([r[kind] for r in results if belongs(r) and not np.isnan(r[kind])])
            if ratios.size:
                middle = np.exp(np.mean(np.log(ratios)))
                against = "9 rates" if kind == "ratio" else "11 with a cosine"
                rows.append([name, against, str(ratios.size), f"{np.mean(ratios <= 2):.0%}", f"{middle:.2g}"])
    print(
        "\n" + markdown(["problems", "best of", "number", "within 2x", "geometric mean of the ratios"], rows)
    )


def report_default(chosen, results):
    """Run all defaults and print how many problems each learning rate solves."""
    rows = []
    for rate in (0.001, "auto"):
        begun, excesses, ends = time.perf_counter(), [], []
        for case in chosen:
            result, excess = case.run(0, learning_rate=rate)
            excesses.append(excess / case.first)
            ends.append(result)
            results.append(
                {"problem": case.problem.name, "rate": rate, "excess": excess, "start": case.first}
                | {"nit": result.nit, "success": result.success, "status": result.status}
            )
        solved = [f"{sum(excess <= fraction for excess in excesses)}" for fraction in FRACTIONS]
        success = sum(end.success for end in ends)
        wrong = sum(end.success and excess > 1e-2 for end, excess in zip(ends, excesses, strict=True))
        middle = int(np.median([end.nit for end in ends]))
        seconds = time.perf_counter() - begun
        rows.append([str(rate), *solved, str(success), str(wrong), f"{middle:,}", f"{seconds:.0f}"])
    header = [f"of {len(chosen)}", *(f"solved to {fraction:g}" for fraction in FRACTIONS)]
    header += ["`success`", "of these not to 0.01", "median steps", "seconds"]
    print(markdown(header, rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2000, help="budget of each run (2000)")
    parser.add_argument("--more", action="store_true", help="the problems of more_problems.py")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each noisy problem (5)")
    parser.add_argument("--default", action="store_true", help="compare 0.001 and auto with all defaults")
    parser.add_argument("--quick", action="store_true", help="one run with noise, and every fifth problem")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of robustness.json")
    options = parser.parse_args()
    chosen = cases(options.more)[:: 5 if options.quick else 1]
    results: list[dict] = []
    if options.default:
        report_default(chosen, results)
    else:
        seeds = 1 if options.quick else options.seeds
        results += [against_the_grid(case, options.steps, seeds) for case in chosen]
        report_grid(results)
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "robustness.json", results)


if __name__ == "__main__":
    main()
