"""One `apply_gradients` of the optimizer objects: many small variables, and one of any size.

    python benchmarks/optimizers.py [--quick] [--out results]

Every contender steps its own arrays by gradients that are there already; torch by ``optimizer.step()``.
"""

import argparse
from math import inf
from pathlib import Path

import numpy as np
from peers import optax_adam
from timing import Contender, duration, markdown, race, ratios, save, summary

SMALL = [int(n) for n in np.random.default_rng(0).integers(10, 1001, 200)]
CASES = {
    "200 variables of 10 to 1,000": SMALL,
    "10 variables of 100": [100] * 10,
    "1 variable of 10": [10],
    "1 variable of 1e4": [10_000],
    "1 variable of 1e6": [1_000_000],
}
CLIPNORM = 1.0
RATE = 1e-3
CLASSES = [
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "RAdam",
    "Lion",
    "SGD",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Ftrl",
]
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")}
THREADS["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"


def arrays(sizes, dtype):
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal(n).astype(dtype) for n in sizes]
    return xs, [1e-2 * rng.standard_normal(n).astype(dtype) for n in sizes]


# --- Contenders: each returns a function that makes one step -------------------------------------


def _nbadam(name, sizes, dtype, clipped):
    import nbadam

    xs, gs = arrays(sizes, dtype)
    optimizer = getattr(nbadam, name)(RATE, global_clipnorm=CLIPNORM if clipped else None)
    pairs = list(zip(gs, xs, strict=True))
    return lambda: void(optimizer.apply_gradients(pairs))


def nbadam_adam(*case):
    return _nbadam("Adam", *case)


def void(_):
    """Drop what a step returns: it is not a number of units."""


def _torch(name, sizes, dtype, clipped, **implementation):
    import torch

    if not hasattr(torch.optim, name):
        return None
    torch.set_num_threads(1)
    parameters = []
    for x, g in zip(*arrays(sizes, dtype), strict=True):
        parameters.append(torch.tensor(x, requires_grad=True))
        parameters[-1].grad = torch.tensor(g)
    optimizer = getattr(torch.optim, name)(parameters, lr=RATE, **implementation)
    if not clipped:
        return lambda: void(optimizer.step())

    def step():
        torch.nn.utils.clip_grad_norm_(parameters, CLIPNORM, foreach=True)
        optimizer.step()

    return step


def torch_fused(*case):
    return _torch("Adam", *case, fused=True)


def torch_foreach(*case):
    return _torch("Adam", *case, foreach=True)


def optax_jit(sizes, dtype, clipped):
    return optax_adam(*arrays(sizes, dtype), RATE, CLIPNORM if clipped else inf)


def nbadam_class(name, n):
    return _nbadam(name, [n], "float32", False)


def torch_class(name, n):
    """The fastest implementation that torch has of the class."""
    torch_name = {"AdamW": "AdamW", "Nadam": "NAdam"}.get(name, name)
    fused = torch_name in ("Adam", "AdamW", "SGD", "Adagrad")
    return _torch(torch_name, [n], "float32", False, **({"fused": True} if fused else {"foreach": True}))


ADAM = {
    "nbadam": nbadam_adam,
    "torch fused": torch_fused,
    "torch foreach": torch_foreach,
    "Optax": optax_jit,
}

# --- Tables --------------------------------------------------------------------------------------


def row(label, contenders, case, facts, results, seconds):
    """Race the contenders, add to the results, and return a row of a table."""
    samples = race(contenders, case, seconds=seconds)
    numbers = summary(samples)
    results += [facts | {"contender": name} | figures for name, figures in numbers.items()]
    relative = ratios(samples, contenders[0].name)
    others = [f"{relative[c.name]:.2f}" if c.name in relative else "" for c in contenders[1:]]
    return [label, duration(numbers[contenders[0].name]["median"]), *others]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a second per case")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of optimizers.json")
    options = parser.parse_args()
    seconds = 1.0 if options.quick else 10.0
    results: list[dict] = []

    contenders = [Contender(name, make, THREADS) for name, make in ADAM.items()]
    for clipped in (False, True):
        rows = [
            row(
                label,
                contenders,
                (sizes, "float32", clipped),
                {"case": label, "clipped": clipped},
                results,
                seconds,
            )
            for label, sizes in CASES.items()
        ]
        how = "clipped by global norm, " if clipped else ""
        print(f"\n**Adam, one step, {how}float32, 1 thread**; medians, the others as multiples\n")
        print(markdown(["", *ADAM], rows), flush=True)
    for contender in contenders:
        if contender.missing:
            print(f"\n{contender.name}: {contender.missing}.")

    contenders = [Contender("nbadam", nbadam_class, THREADS), Contender("torch", torch_class, THREADS)]
    rows = []
    for name in CLASSES:
        cells = [name]
        for n in (100, 1_000_000):
            facts = {"class": name, "n": n}
            cells += row("", contenders, (name, n), facts, results, seconds / 2)[1:]
        rows.append(cells)
    print("\n**Every class, one variable, float32, 1 thread**; torch's fastest implementation as multiples\n")
    print(markdown(["class", "n = 100", "torch", "n = 1e6", "torch"], rows), flush=True)
    if contenders[1].missing:
        print(f"\ntorch: {contenders[1].missing}.")

    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "optimizers.json", results)


if __name__ == "__main__":
    main()
