"""Mini-batch regressions with no option but `epochs`, on tables whose exact answers are known.

python benchmarks/epochs.py [--epochs 100] [--seeds 3] [--coverage] [--noise] [--out results]

The largest error of a coefficient is given in standard errors, those with which the data determine it.
Tables marked by * were not looked at while the method was written, and those marked by + only in the end.

With `--coverage` one small table is run with 200 seeds, to see how often `x_stderr` is at least the error.
With `--noise` a noisy function is run with 1,000 seeds, to see how often 1.96 `fun_stderr` is.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import tables
from scipy.optimize import minimize
from timing import markdown, save

import nbadam


def fit(kind, z, y, batch_size, seed, epochs):
    """Return the result."""
    objective = nbadam.Minibatch(tables.loss, (z, y), batch_size=batch_size, rng=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minimize(
            objective,
            np.zeros(z.shape[1]),
            args=(kind,),
            jac=True,
            method=nbadam.adam,
            options={"epochs": epochs},
        )


def errors_of(table, seeds, epochs):
    """Return the largest error of each seed, how often a warning came, and the number of steps."""
    found, warned, steps = [], 0, 0
    for seed in range(seeds):
        result = fit(table.kind, table.z, table.y, table.batch_size, seed, epochs)
        warned += "standard errors" in result.message
        found.append(np.inf if table.exact is None else np.abs((result.x - table.exact) / table.errors).max())
        steps = result.nit
    return found, warned, steps


def coverage(epochs, seeds=200):
    """Return the fraction of seeds at which each error is no larger than `x_stderr`, of three models."""
    rng = np.random.default_rng(5)
    z = np.column_stack([np.ones(1000), rng.normal(3, 1, (1000, 3))])
    z[:, 2] += 2 * z[:, 1]
    u = z @ [-1.0, 0.5, -0.3, 0.2]
    responses = {
        "squares": (tables.SQUARES, u + rng.normal(0, 3, 1000)),
        "logistic": (tables.LOGISTIC, tables.binary(rng, u)),
        "Poisson": (tables.POISSON, rng.poisson(np.exp(u)).astype(float)),
    }
    rows = []
    for name, (kind, y) in responses.items():
        exact, errors = tables.optimum(kind, z, y)
        results = [fit(kind, z, y, 32, seed, epochs) for seed in range(seeds)]
        off = np.abs([result.x - exact for result in results])
        inside = np.mean(off <= [result.x_stderr for result in results], axis=0)
        rows.append(
            [
                name,
                str(epochs),
                f"{np.median(np.max(off / errors, axis=1)):.2g}",
                " ".join(f"{share:.1%}" for share in inside),
            ]
        )
    return rows


def value_coverage(seeds=1000):
    """Return how often the value is within 1.96 `fun_stderr` of the exact one."""
    inside = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)

        def noisy(x, rng=rng):
            return float(x @ x) + rng.standard_normal(), 2 * x + rng.standard_normal(x.size)

        result = nbadam.adam(noisy, np.ones(2), jac=True, learning_rate=0.01, steps=200)
        inside += abs(result.fun - result.x @ result.x) <= 1.96 * result.fun_stderr
    return inside / seeds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of epochs.json")
    options = parser.parse_args()
    if options.noise:
        print(f"1.96 fun_stderr covers {value_coverage():.1%}")
        return
    if options.coverage:
        rows = [row for epochs in (1, 3, 10, 30) for row in coverage(epochs)]
        print(markdown(["model", "epochs", "median error", "covered by x_stderr"], rows))
        return
    rows, results = [], []
    for table in tables.all_tables():
        found, warned, steps = errors_of(table, options.seeds, options.epochs)
        name = table.name.rstrip(" *") + ["", " +", " *"][table.third]
        shape = f"{table.z.shape[0]:,} x {table.z.shape[1]}"
        rows.append([name, shape, f"{np.median(found):.2g} ({max(found):.2g})", f"{warned}/{options.seeds}"])
        results.append({"table": name, "errors": found, "warned": warned, "steps": steps})
    print(markdown(["table", "shape", "error: median (largest)", "warned"], rows))
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "epochs.json", results)


if __name__ == "__main__":
    main()
