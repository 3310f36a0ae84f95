"""One step of Adam in nbadam, torch, Optax and NumPy, and the time that its memory traffic takes.

python benchmarks/dense.py [--quick] [--sizes 10 1000000] [--out results]
"""

import argparse
import os
from math import inf, sqrt
from pathlib import Path

import numpy as np
from peers import optax_adam
from timing import Contender, duration, markdown, race, ratios, save, summary

SIZES = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000]
CLIPPED_SIZES = [10, 1_000, 100_000, 10_000_000]
SMALL_ARRAYS = [int(n) for n in np.random.default_rng(0).integers(10, 1001, 200)]
CLIPNORM = 1.0
FLOOR_SIZE = 100_000  # elements from which on traffic, not the call, decides
RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def arrays(sizes, dtype):
    """Return parameters and gradients as a user of NumPy has them: where NumPy puts them."""
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal(n).astype(dtype) for n in sizes]
    return xs, [1e-2 * rng.standard_normal(n).astype(dtype) for n in sizes]


# --- Contenders: each returns a function that makes one step on arrays of the given sizes --------


def nbadam(sizes, dtype, clipnorm):
    from nbadam import rules
    from nbadam.engine import WIDTH, State

    xs, gs = arrays(sizes, dtype)
    parts = [slice(k, k + WIDTH) for k in range(0, len(xs), WIDTH)]
    groups = [(State(rules.ADAM, xs[part]), tuple(gs[part])) for part in parts]
    width = groups[0][0].width
    scales, decays = np.ones(width), np.zeros(width)
    hyper = (RATE, BETA_1, BETA_2, EPSILON)
    t = 0.0

    def step():
        nonlocal t
        t += 1
        if clipnorm < inf:
            squares = sum(sum(state.sum_squares(g).tolist()) for state, g in groups)
            scales[:] = min(1.0, clipnorm / sqrt(squares))
        for state, g in groups:
            state.step(g, t, hyper, scales=scales, decays=decays)

    return step


def floor(sizes, dtype, clipnorm):
    """Nothing but the traffic of a step, 4 reads and 3 writes, between nbadam's own arrays."""
    if len(sizes) > 1 or clipnorm < inf or sizes[0] < FLOOR_SIZE:
        return None
    from numba import from_dtype, njit, prange, types

    from nbadam import rules
    from nbadam._threads import parallel_is_safe
    from nbadam.engine import PARALLEL_SIZE, State

    def traffic(g, x, m, v):
        for i in prange(x.size):
            g_i = g[i]
            x[i] += g_i
            m[i] += g_i
            v[i] += g_i

    (x,), (g,) = arrays(sizes, dtype)
    m, v = State(rules.ADAM, [x]).slots.values()
    array = types.Array(from_dtype(x.dtype), 1, "C")
    parallel = x.size >= PARALLEL_SIZE and parallel_is_safe()
    kernel = njit(types.void(array, array, array, array), error_model="numpy", parallel=parallel)(traffic)
    return lambda: kernel(g, x, m, v)


def _torch(**implementation):
    import torch

    def make(sizes, dtype, clipnorm):
        torch.set_num_threads(int(os.environ["THREADS"]))
        parameters = []
        for x, g in zip(*arrays(sizes, dtype), strict=True):
            parameters.append(torch.tensor(x, requires_grad=True))
            parameters[-1].grad = torch.tensor(g)
        adam = torch.optim.Adam(parameters, lr=RATE, **implementation)
        if clipnorm == inf:
            return adam.step
        clip, foreach = torch.nn.utils.clip_grad_norm_, implementation.get("foreach", True)

        def step():
            clip(parameters, clipnorm, foreach=foreach)
            adam.step()

        return step

    return make


def torch_fused(*case):
    return _torch(fused=True)(*case)


def torch_foreach(*case):
    return _torch(foreach=True)(*case)


def torch_single(*case):
    return _torch(foreach=False, fused=False)(*case)


def optax_jit(sizes, dtype, clipnorm):
    return optax_adam(*arrays(sizes, dtype), RATE, clipnorm)


def numpy_in_place(sizes, dtype, clipnorm):
    xs, gs = arrays(sizes, dtype)
    ms, vs, scratch = ([np.zeros_like(x) for x in xs] for _ in range(3))
    t = 0

    def step():
        nonlocal t
        t += 1
        alpha = RATE * sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        scale = 1.0
        if clipnorm < inf:
            scale = min(1.0, clipnorm / sqrt(sum(float(g.dot(g)) for g in gs)))
        for x, g, m, v, a in zip(xs, gs, ms, vs, scratch, strict=True):
            if scale < 1.0:
                g = scale * g
            np.subtract(g, m, out=a)
            a *= 1 - BETA_1
            m += a
            np.multiply(g, g, out=a)
            a -= v
            a *= 1 - BETA_2
            v += a
            np.sqrt(v, out=a)
            a += EPSILON
            np.divide(m, a, out=a)
            a *= alpha
            x -= a

    return step


CONTENDERS = {
    "nbadam": nbadam,
    "floor": floor,
    "torch fused": torch_fused,
    "torch foreach": torch_foreach,
    "torch single-tensor": torch_single,
    "Optax": optax_jit,
    "NumPy in place": numpy_in_place,
}

# --- Tables --------------------------------------------------------------------------------------


def started(threads: int) -> list[Contender]:
    limit = str(threads)
    variables = {"THREADS": limit, "OMP_NUM_THREADS": limit, "NUMBA_NUM_THREADS": limit, "NPROC": limit}
    variables |= {"OPENBLAS_NUM_THREADS": limit, "MKL_NUM_THREADS": limit}
    if threads == 1:
        variables["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return [Contender(name, make, variables) for name, make in CONTENDERS.items()]


def table(title, contenders, cases, results, *, seconds, first_column):
    """Race through the cases, print a table as it grows, and add to the results."""
    names = [contender.name for contender in contenders]
    rows = []
    for label, case, facts in cases:
        samples = race(contenders, case, seconds=seconds)
        relative = ratios(samples, "nbadam")
        results += [facts | {"contender": name} | numbers for name, numbers in summary(samples).items()]
        cells = [f"{relative[name]:.2f}" if name in relative else "" for name in names[1:]]
        rows.append([label, duration(summary(samples)["nbadam"]["median"]), *cells])
    shown = [k for k in range(len(names) + 1) if any(row[k] for row in rows)]
    header = [first_column, *names]
    print(f"\n{title}\n")
    print(markdown([header[k] for k in shown], [[row[k] for k in shown] for row in rows]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 1e6 elements, a second per case")
    parser.add_argument("--sizes", type=int, nargs="+", default=None, metavar="N", help=f"default: {SIZES}")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of dense.json")
    options = parser.parse_args()
    most = 1_000_000 if options.quick else max(SIZES)
    sizes = options.sizes or [n for n in SIZES if n <= most]
    clipped = [n for n in CLIPPED_SIZES if n <= max(sizes)]
    seconds = 1.0 if options.quick else 15.0
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    results: list[dict] = []
    for threads in sorted({1, available}):
        contenders = started(threads)
        how = "1 thread" if threads == 1 else f"{threads} threads"
        for dtype in ("float32", "float64"):
            facts = {"threads": threads, "dtype": dtype, "clipped": False}
            table(
                f"**One step, {dtype}, {how}**; medians, the others as multiples of nbadam's time",
                contenders,
                [(f"{n:,}", ((n,), dtype, inf), facts | {"n": n}) for n in sizes],
                results,
                seconds=seconds,
                first_column="n",
            )
            table(
                f"**The same with the gradient clipped by its norm, {dtype}, {how}**",
                contenders,
                [(f"{n:,}", ((n,), dtype, CLIPNORM), facts | {"n": n, "clipped": True}) for n in clipped],
                results,
                seconds=seconds,
                first_column="n",
            )
        facts = {"threads": threads, "dtype": "float32", "clipped": False, "n": SMALL_ARRAYS}
        table(
            f"**{len(SMALL_ARRAYS)} arrays of 10 to 1,000 elements, float32, {how}**",
            contenders,
            [
                ("step", (SMALL_ARRAYS, "float32", inf), facts),
                ("clipped by global norm", (SMALL_ARRAYS, "float32", CLIPNORM), facts | {"clipped": True}),
            ],
            results,
            seconds=seconds,
            first_column="what",
        )
        for contender in contenders:
            if contender.missing:
                print(f"\n{contender.name}: {contender.missing}.")
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "dense.json", results)


if __name__ == "__main__":
    main()
