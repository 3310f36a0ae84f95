"""Many small problems: nbadam.minimize_batch against loops over minimizers and batched Adam elsewhere.

Each problem is the likelihood of 32 counts from an exponential decay with a background, in the
logarithms of its three parameters: no sum of squares.

python benchmarks/batch_minimize.py [--quick] [--problems 20000] [--out results]
"""

import argparse
from functools import cache
from pathlib import Path

import numpy as np
from timing import Contender, markdown, race, save, summary

T = np.linspace(0, 5, 32)
START = np.log([30.0, 1.0, 3.0])
RATE, STEPS = 0.1, 300
FEW = 200  # problems that a loop in Python gets
ONE = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
TWO = ONE | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}


@cache
def counts(problems):
    rng = np.random.default_rng(0)
    amplitude, rate, offset = rng.uniform([[20], [0.5], [1]], [[80], [2], [6]], (3, problems))[..., None]
    return rng.poisson(amplitude * np.exp(-rate * T) + offset).astype(float)


def deviance(p, y):
    """Negative log-likelihood of rows of counts, less its value at a perfect fit, in NumPy."""
    a, k, c = np.exp(p.T)[..., None]
    mean = a * np.exp(-k * T) + c
    return (mean - y * np.log(mean) - np.where(y > 0, y - y * np.log(np.maximum(y, 1)), 0)).sum(axis=-1)


def objective(exp, log):
    from numba import njit

    @njit(error_model="numpy", fastmath={"reassoc", "contract"})  # else the sums keep LLVM from vectorising
    def likelihood(p, g, y, t):
        a, k, c = exp(p[0]), exp(p[1]), exp(p[2])
        f = g_a = g_k = g_c = p[0] * 0
        for i in range(t.size):
            decay = exp(-k * t[i])
            mean = a * decay + c
            f += mean - y[i] * log(mean)
            slope = (mean - y[i]) / mean  # a literal 1 would make it double precision
            g_a += slope * decay
            g_k -= slope * a * t[i] * decay
            g_c += slope
        g[0], g[1], g[2] = a * g_a, k * g_k, c * g_c
        return f

    return likelihood


def schedule():
    from nbadam.schedules import CosineDecay

    return CosineDecay(RATE, STEPS)


def batch(dtype=np.float64, **settings):
    def make(problems):
        import nbadam
        from nbadam import vector_math

        fun, y, t = (
            objective(vector_math.exp, vector_math.log),
            counts(problems).astype(dtype),
            T.astype(dtype),
        )
        start = START.astype(dtype)

        def job():
            job.x = nbadam.minimize_batch(
                fun, start, (t,), (y,), learning_rate=schedule(), steps=STEPS, **settings
            ).x
            return problems

        return job

    return make


def python_loop(problems):
    from numba import njit
    from scipy.optimize import minimize

    import nbadam
    from nbadam import vector_math

    writing = objective(vector_math.exp, vector_math.log)

    @njit(error_model="numpy")
    def fun(p, y, t):
        g = np.empty(3)
        return writing(p, g, y, t), g

    y = counts(problems)[:FEW]
    options = {"learning_rate": schedule(), "steps": STEPS}

    def job():
        runs = [minimize(fun, START, (row, T), jac=True, method=nbadam.adam, options=options) for row in y]
        job.x = np.array([run.x for run in runs])
        return len(y)

    return job


def lbfgsb_loop(problems):
    import math

    from numba import njit
    from scipy.optimize import minimize

    writing = objective(math.exp, math.log)

    @njit(error_model="numpy")
    def fun(p, y, t):
        g = np.empty(3)
        return writing(p, g, y, t), g

    y = counts(problems)[:FEW]

    def job():
        runs = [minimize(fun, START, (row, T), jac=True, method="L-BFGS-B") for row in y]
        job.x = np.array([run.x for run in runs])
        return len(y)

    return job


def torch_adam(dtype, threads):
    def make(problems):
        import torch

        torch.set_num_threads(threads)
        kind = getattr(torch, dtype)
        y, t = torch.tensor(counts(problems), dtype=kind), torch.tensor(T, dtype=kind)

        def job():
            p = torch.tensor(np.tile(START, (problems, 1)), dtype=kind, requires_grad=True)
            adam = torch.optim.Adam([p], lr=RATE, fused=True)
            rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
            for _ in range(STEPS):
                adam.zero_grad()
                a, k, c = torch.exp(p).T[..., None]
                mean = a * torch.exp(-k * t) + c
                (mean - y * torch.log(mean)).sum().backward()
                adam.step()
                rates.step()
            job.x = p.detach().numpy()
            return problems

        return job

    return make


def shares_at_the_best(make, problems):
    """Share of the problems whose deviance is within 1e-3, and 1e-6, of the best known."""
    job = make(problems)
    job()
    off = deviance(np.asarray(job.x, float), counts(problems)[: len(job.x)]) - best(problems)[: len(job.x)]
    return [float((off < tolerance).mean()) for tolerance in (1e-3, 1e-6)]


@cache
def best(problems):
    """Deviance after a run of 5000 steps."""
    import nbadam
    from nbadam import vector_math

    fun = objective(vector_math.exp, vector_math.log)
    result = nbadam.minimize_batch(
        fun,
        START,
        (T,),
        (counts(problems),),
        learning_rate=nbadam.schedules.CosineDecay(RATE, 5000),
        steps=5000,
    )
    return deviance(result.x, counts(problems))


# Functions that a process can be given by name.
batch_64, batch_32, batch_64_two = batch(), batch(np.float32), batch()
torch_64, torch_32, torch_64_two = (
    torch_adam("float64", 1),
    torch_adam("float32", 1),
    torch_adam("float64", 2),
)
MAKES = {
    "minimize_batch, float64": ("batch_64", ONE),
    "minimize_batch, float32": ("batch_32", ONE),
    "minimize_batch, float64, 2 threads": ("batch_64_two", TWO),
    "loop over nbadam.adam": ("python_loop", ONE),
    "loop over L-BFGS-B": ("lbfgsb_loop", ONE),
    "torch, batched Adam, float64": ("torch_64", ONE),
    "torch, batched Adam, float32": ("torch_32", ONE),
    "torch, batched Adam, float64, 2 threads": ("torch_64_two", TWO),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seconds per contender")
    parser.add_argument("--problems", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of batch_minimize.json")
    options = parser.parse_args()
    contenders, shares = [], {}
    for name, (make, environment) in MAKES.items():
        contenders.append(Contender(name, Job(make), environment))
    samples = race(contenders, (options.problems,), seconds=10.0 if options.quick else 60.0, least=3)
    medians = summary(samples)
    for name, (make, _) in MAKES.items():
        if name in medians:
            shares[name] = shares_at_the_best(globals()[make], options.problems)
    unit = medians["minimize_batch, float64"]["median"]
    rows = [
        [
            name,
            f"{1 / medians[name]['median']:,.0f}",
            f"{medians[name]['median'] / unit:.2f}",
            *(f"{share:.4f}" for share in shares[name]),
        ]
        for name in medians
    ]
    print(f"{options.problems:,} problems of 3 parameters and 32 counts, {STEPS} steps of Adam\n")
    print(markdown(["", "problems / s", "time", "within 1e-3", "within 1e-6"], rows), flush=True)
    for contender in contenders:
        if contender.missing:
            print(f"\n{contender.name}: {contender.missing}.")
    results = [
        {"contender": name, "within_1e-3": shares[name][0], "within_1e-6": shares[name][1]} | medians[name]
        for name in medians
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "batch_minimize.json", results)


class Job:
    """A function of this module, that another process looks up by its name."""

    def __init__(self, name):
        self.name = name

    def __call__(self, *case):
        return globals()[self.name](*case)


if __name__ == "__main__":
    main()
