"""Noisy black boxes with all defaults: nbadam beside the methods that people use for them.

python benchmarks/blackbox.py [--evaluations 300 1000 3000] [--seeds 5] [--quick] [--out results]

The figure is the share of the first excess over the least value that is left at the point that a method
returns, by the exact value there: the median over the seeds.  All methods get the same budget of evaluations.
The boxes are in `blackboxes.py`; those with a star were held back from tuning.

Peers are taken where they are installed: ``pip install cma noisyopt Py-BOBYQA qiskit-algorithms``.  SPSA of
qiskit calibrates itself, with 50 of its evaluations; Py-BOBYQA is in its mode for noise; CMA-ES begins with a
standard deviation of 0.5.
"""

import argparse
import importlib.util
import warnings
from pathlib import Path

import numpy as np
from blackboxes import boxes
from scipy.optimize import minimize
from timing import markdown, save

import nbadam


class Spent(Exception):
    """All evaluations are made."""


def counted(box, seed, evaluations):
    """Return the box as a function that can be called so many times."""
    rng, left = np.random.default_rng(1000 + seed), round(SLACK * evaluations)

    def fun(x):
        nonlocal left
        if left == 0:
            raise Spent
        left -= 1
        return box.noisy(np.asarray(x, float), rng)

    return fun


def of_nbadam(fun, x0, evaluations, seed):
    """All defaults; an iteration that has begun, and the value of the result, come after `maxfun`."""
    options = {"maxfun": evaluations - 6 - x0.size // 2, "rng": seed}
    return minimize(fun, x0, method=nbadam.adam, options=options).x


def of_nelder_mead(fun, x0, evaluations, seed):
    options = {"maxfev": evaluations - x0.size - 1, "maxiter": evaluations}
    return minimize(fun, x0, method="Nelder-Mead", options=options).x


def of_cma(fun, x0, evaluations, seed):
    import cma

    strategy = cma.CMAEvolutionStrategy(x0, 0.5, {"verbose": -9, "seed": seed + 1})
    while not strategy.stop() and strategy.countevals + strategy.popsize <= evaluations:
        points = strategy.ask()
        strategy.tell(points, [fun(x) for x in points])
    return strategy.result.xfavorite


def of_cma_with_noise_handling(fun, x0, evaluations, seed):
    import cma

    strategy = cma.CMAEvolutionStrategy(x0, 0.5, {"verbose": -9, "seed": seed + 1})
    handler = cma.NoiseHandler(x0.size, maxevals=[1, 1, 30])
    made = 0
    while not strategy.stop() and made + (strategy.popsize + 2) * handler.evaluations <= evaluations:
        points, values = strategy.ask_and_eval(fun, evaluations=handler.evaluations)
        made += strategy.popsize * int(handler.evaluations)
        strategy.tell(points, values)
        strategy.sigma *= handler(points, values, fun, strategy.ask)
        made += handler.evaluations_just_done
    return strategy.result.xfavorite


def of_qiskit(fun, x0, evaluations, seed):
    from qiskit_algorithms.optimizers import SPSA
    from qiskit_algorithms.utils import algorithm_globals

    algorithm_globals.random_seed = seed
    return SPSA(maxiter=(evaluations - 51) // 2).minimize(fun, x0).x


def of_noisyopt(fun, x0, evaluations, seed):
    import noisyopt

    np.random.seed(seed)  # noqa: NPY002 (its own generator)
    return noisyopt.minimizeSPSA(fun, x0, niter=evaluations // 2 - 1, paired=False).x


def of_noisyopt_compass(fun, x0, evaluations, seed):
    import noisyopt

    np.random.seed(seed)  # noqa: NPY002 (its own generator)
    best, left = x0.copy(), evaluations

    def limited(x):
        nonlocal left
        if left == 0:
            raise Spent
        left -= 1
        return fun(x)

    def keep(x):
        best[:] = x

    try:
        return noisyopt.minimizeCompass(limited, x0, paired=False, callback=keep).x
    except Spent:
        return best


def of_bobyqa(fun, x0, evaluations, seed):
    import pybobyqa

    np.random.seed(seed)  # noqa: NPY002 (its own generator)
    return pybobyqa.solve(fun, x0, maxfun=evaluations, objfun_has_noise=True, do_logging=False).x


SLACK = 1.2  # evaluations that a method may make beside its budget: it has to finish an iteration

METHODS = {
    "nbadam": (of_nbadam, "nbadam"),
    "qiskit's SPSA": (of_qiskit, "qiskit_algorithms"),
    "noisyopt's SPSA": (of_noisyopt, "noisyopt"),
    "noisyopt's compass": (of_noisyopt_compass, "noisyopt"),
    "CMA-ES": (of_cma, "cma"),
    "CMA-ES, noise handling": (of_cma_with_noise_handling, "cma"),
    "Py-BOBYQA": (of_bobyqa, "pybobyqa"),
    "Nelder-Mead": (of_nelder_mead, "scipy"),
}


def left_over(box, method, evaluations, seed):
    """Return the share of the first excess that is left; NaN if the method fails."""
    first = box.exact(box.x0) - box.least
    try:
        point = method(counted(box, seed, evaluations), box.x0.copy(), evaluations, seed)
    except Spent:
        return np.nan
    return (box.exact(np.asarray(point, float)) - box.least) / first


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--evaluations", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="300 evaluations, one seed, every fourth box")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of blackbox.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    budgets, seeds, chosen = options.evaluations, options.seeds, boxes()
    if options.quick:
        budgets, seeds, chosen = [300], 1, chosen[::4]
    methods = {name: f for name, (f, package) in METHODS.items() if importlib.util.find_spec(package)}
    results = []
    for budget in budgets:
        rows = []
        for box in chosen:
            shares = {
                name: float(np.median([left_over(box, method, budget, seed) for seed in range(seeds)]))
                for name, method in methods.items()
            }
            results.append({"box": box.name, "third": box.third, "evaluations": budget, "left": shares})
            star = " *" if box.third == 2 else ""
            rows.append([box.name + star, *(f"{share:.2g}" for share in shares.values())])
        print(f"\n{budget} evaluations\n\n" + markdown(["box (* held back)", *methods], rows), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "blackbox.json", results)


if __name__ == "__main__":
    main()
