"""A Poisson regression on the RAND data from mini-batches: samples per second, and errors after some epochs.

python benchmarks/minibatches.py [--quick] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
from timing import Contender, markdown, race, save, summary

BATCHES = [64, 256, 1024]
EPOCHS = 20
EPOCHS_OF_ERRORS = [3, 10, 30, 100]
SEEDS = 3
THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


def compiled_poisson():
    """Mean negative log-likelihood and its gradient, as a user of Numba writes them."""
    from numba import njit

    @njit
    def poisson(p, gradient, z, y):
        value = 0.0
        gradient[:] = 0.0
        for i in range(y.size):
            linear = 0.0
            for j in range(p.size):
                linear += z[i, j] * p[j]
            mean = np.exp(linear)
            value += mean - y[i] * linear
            for j in range(p.size):
                gradient[j] += (mean - y[i]) * z[i, j]
        gradient /= y.size
        return value / y.size

    return poisson


def objective_alone(batch):
    """All the data in one call: what the samples cost without gathering and stepping."""
    from nbadam.demo import load

    z, y = load()
    poisson, p, gradient = compiled_poisson(), np.zeros(10), np.empty(10)

    def run():
        poisson(p, gradient, z, y)
        return y.size

    return run


def nbadam_compiled(batch):
    return _nbadam(compiled_poisson(), batch)


def nbadam_numpy(batch):
    from nbadam.demo import poisson

    return _nbadam(poisson, batch)


def _nbadam(fun, batch):
    from scipy.optimize import minimize

    import nbadam
    from nbadam.demo import load

    z, y = load()
    objective = nbadam.Minibatch(fun, (z, y), batch_size=batch, rng=0)
    options = {"epochs": EPOCHS, "learning_rate": 0.01}

    def run():
        minimize(objective, np.zeros(10), jac=True, method=nbadam.adam, options=options)
        return EPOCHS * y.size

    return run


def torch_loop(batch):
    """The usual loop over a permutation, with the gradient in closed form."""
    import torch

    from nbadam.demo import load

    torch.set_num_threads(1)
    z, y = (torch.from_numpy(array) for array in load())

    def run():
        torch.manual_seed(0)
        p = torch.zeros(10, dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([p], lr=0.01, fused=True)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(y)).split(batch):
                part = z[rows]
                with torch.no_grad():
                    p.grad = (torch.exp(part @ p) - y[rows]) @ part / len(rows)
                adam.step()
        return EPOCHS * len(y)

    return run


CONTENDERS = {
    "`fun` alone (Numba)": objective_alone,
    "nbadam.adam (Numba)": nbadam_compiled,
    "nbadam.adam (NumPy)": nbadam_numpy,
    "torch fused, loop": torch_loop,
}


def errors(batch, epochs):
    """Largest errors in units of the standard errors, one a seed, with no option but `epochs`."""
    from scipy.optimize import minimize

    import nbadam
    from nbadam.demo import REFERENCE, load, poisson

    data = load()
    exact, standard_errors = np.array(list(REFERENCE.values())).T
    found = []
    for seed in range(SEEDS):
        objective = nbadam.Minibatch(poisson, data, batch_size=batch, rng=seed)
        result = minimize(objective, np.zeros(10), jac=True, method=nbadam.adam, options={"epochs": epochs})
        found.append(np.abs((result.x - exact) / standard_errors).max())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples, one seed, fewer epochs")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of minibatches.json")
    options = parser.parse_args()
    results: list[dict] = []
    contenders = [Contender(name, make, THREADS) for name, make in CONTENDERS.items()]
    rows = {name: [name] for name in CONTENDERS}
    for batch in BATCHES:
        medians = summary(race(contenders, (batch,), seconds=3.0 if options.quick else 20.0))
        for name, numbers in medians.items():
            results.append({"batch": batch, "contender": name} | numbers)
            rows[name].append(f"{1e-6 / numbers['median']:.3g}")
    print("**Millions of samples per second**, one thread, batches of so many\n")
    print(markdown(["", *(f"{batch:,}" for batch in BATCHES)], list(rows.values())), flush=True)

    table = []
    for batch in BATCHES:
        table.append([f"{batch:,}"])
        for epochs in EPOCHS_OF_ERRORS[: 2 if options.quick else None]:
            found = errors(batch, epochs)
            results.append({"batch": batch, "epochs": epochs, "errors": found})
            table[-1].append(f"{np.median(found):.2g} ({max(found):.2g})")
    print(
        f"\n**Largest error in standard errors**, median (largest) of {SEEDS} seeds, after so many epochs\n"
    )
    print(markdown(["batch", *map(str, EPOCHS_OF_ERRORS)], table))
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "minibatches.json", results)


if __name__ == "__main__":
    main()
