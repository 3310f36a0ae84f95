"""One step with a sparse gradient on a large table: nbadam's two updates, torch and legacy Keras.

    python benchmarks/sparse.py [--quick] [--large] [--out results]

A step gathers the rows of a batch, as a forward pass does, and then updates the table with their
gradients.  The rows of a batch are drawn from a Zipf distribution, duplicates included.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from timing import Contender, duration, markdown, race, ratios, save, summary

WIDTH, TOUCHED = 64, 1024
HEIGHTS = [10_000, 100_000, 1_000_000]
LARGE = 10_000_000  # rows; the table and its moments take 7.7 GB
IDLE_HEIGHT, IDLE_STEPS = 20_000, 10_000
BATCHES = 2000  # after which the same ones come again
RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def batches(height):
    """Return rows of Zipf-distributed frequency, scattered over the table, and gradients for them."""
    rng = np.random.default_rng(0)
    frequencies = 1 / np.arange(1.0, height + 1)
    ranks = np.searchsorted(np.cumsum(frequencies / frequencies.sum()), rng.random((BATCHES, TOUCHED)))
    rows = rng.permutation(height)[np.minimum(ranks, height - 1)]
    return rows, 1e-2 * rng.standard_normal((TOUCHED, WIDTH), np.float32)


def table(height):
    return np.random.default_rng(1).standard_normal((height, WIDTH), np.float32)


def moments(x):
    """Return nbadam's slots of Adam, all of whose memory is in use, as in a run that goes on."""
    from nbadam import rules
    from nbadam.engine import State

    slots = tuple(State(rules.ADAM, [x.reshape(-1)]).slots.values())
    for slot in slots:
        slot.fill(0)
    return slots


# --- Contenders: each returns a function that makes one step -------------------------------------


def nbadam_deferred(height):
    return _nbadam(height, "deferred")


def nbadam_default(height):
    return _nbadam(height, "immediate")


def _nbadam(height, update):
    import nbadam

    x = table(height)
    rows, values = batches(height)
    adam = nbadam.Adam(RATE, BETA_1, BETA_2, EPSILON, sparse_update=update)
    adam.build(x)
    for name in ("m", "v"):
        adam.get_slot(x, name).fill(0)  # all of their memory in use, as in a run that goes on
    t = 0

    def step():
        nonlocal t
        t += 1
        indices = rows[t % BATCHES]
        adam.gather(x, indices)
        adam.apply_gradients([((values, indices), x)])

    return step


def traffic(height):
    """Nothing but the traffic of the default update, 3 reads and 3 writes of an element."""
    from numba import float32, njit, prange, types

    from nbadam._threads import parallel_is_safe

    def kernel(x, m, v, factor):
        for i in prange(x.size):
            x[i] *= factor
            m[i] *= factor
            v[i] *= factor

    x = table(height).reshape(-1)
    m, v = moments(x)
    array = types.Array(float32, 1, "C")
    signature = types.void(array, array, array, float32)
    compiled = njit(signature, error_model="numpy", parallel=parallel_is_safe())(kernel)
    return lambda: compiled(x, m, v, 0.999)


def _torch(height, make_optimizer, make_gradient):
    import torch

    torch.set_num_threads(int(os.environ["THREADS"]))
    torch.sparse.check_sparse_tensor_invariants.disable()
    parameter = torch.nn.Parameter(torch.from_numpy(table(height)))
    optimizer = make_optimizer(torch, [parameter])
    rows, values = (torch.from_numpy(array) for array in batches(height))
    t = 0

    def step():
        nonlocal t
        t += 1
        indices = rows[t % BATCHES]
        with torch.no_grad():
            parameter.index_select(0, indices)
            make_gradient(torch, parameter, indices, values)
        optimizer.step()

    return step


def torch_sparse_adam(height):
    """Not equivalent: the rows that a batch does not touch stand still."""

    def gradient(torch, parameter, indices, values):
        parameter.grad = torch.sparse_coo_tensor(indices[None], values, parameter.shape)

    def adam(torch, parameters):
        return torch.optim.SparseAdam(parameters, lr=RATE)

    return _torch(height, adam, gradient)


def torch_dense(height):
    """Favoured: only the rows of the last batch are zeroed, where autograd would zero the table."""
    last = None

    def gradient(torch, parameter, indices, values):
        nonlocal last
        if last is None:
            parameter.grad = torch.zeros_like(parameter)
        else:
            parameter.grad.index_fill_(0, last, 0.0)
        parameter.grad.index_add_(0, indices, values)
        last = indices

    return _torch(
        height, lambda torch, parameters: torch.optim.Adam(parameters, lr=RATE, fused=True), gradient
    )


def keras_legacy(height):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["THREADS"]))
    variable = tf.Variable(table(height))
    optimizer = tf_keras.optimizers.legacy.Adam(RATE)
    rows, values = (tf.constant(array) for array in batches(height))

    @tf.function
    def step_with(indices):
        tf.gather(variable, indices)
        optimizer.apply_gradients([(tf.IndexedSlices(values, indices, variable.shape), variable)])

    t = 0

    def step():
        nonlocal t
        t += 1
        step_with(rows[t % BATCHES])

    return step


# --- Contenders: the default update of a table whose moments have decayed for some steps ---------


def nbadam_after(idle_steps):
    from nbadam import rules, sparse

    x = table(IDLE_HEIGHT)
    slots = moments(x)
    hyper = (RATE, BETA_1, BETA_2, EPSILON)
    rows, values = batches(IDLE_HEIGHT)
    everything = sparse.row_gradient((x.copy(), np.arange(len(x))), x.shape, x.dtype, "The gradient").summed()
    nothing = sparse.row_gradient((x[:0], []), x.shape, x.dtype, "The gradient").summed()
    batch = sparse.row_gradient((values, rows[0]), x.shape, x.dtype, "The gradient").summed()
    sparse.step(rules.ADAM, x.reshape(-1), slots, everything, 1.0, hyper)
    for t in range(idle_steps):
        sparse.step(rules.ADAM, x.reshape(-1), slots, nothing, t + 2.0, hyper)
    return lambda: sparse.step(rules.ADAM, x.reshape(-1), slots, batch, idle_steps + 2.0, hyper)


def torch_after(idle_steps):
    import torch

    torch.set_num_threads(int(os.environ["THREADS"]))
    parameter = torch.nn.Parameter(torch.from_numpy(table(IDLE_HEIGHT)))
    optimizer = torch.optim.Adam([parameter], lr=RATE, fused=True)
    parameter.grad = parameter.detach().clone()
    optimizer.step()
    parameter.grad.zero_()
    for _ in range(idle_steps):
        optimizer.step()
    return lambda: void(optimizer.step())


def nbadam_fresh():
    return nbadam_after(0)


def nbadam_idle():
    return nbadam_after(IDLE_STEPS)


def torch_fresh():
    return torch_after(0)


def torch_idle():
    return torch_after(IDLE_STEPS)


def void(_):
    """Drop what a job returns: it is not a number of units."""


UPDATES = {
    "nbadam deferred": nbadam_deferred,
    "nbadam default": nbadam_default,
    "traffic of the default": traffic,
    "torch SparseAdam": torch_sparse_adam,
    "torch Adam fused, dense": torch_dense,
    "legacy Keras Adam": keras_legacy,
}
IDLE = {
    "nbadam, fresh": nbadam_fresh,
    "nbadam, idle": nbadam_idle,
    "torch Adam fused, fresh": torch_fresh,
    "torch Adam fused, idle": torch_idle,
}

# --- Tables --------------------------------------------------------------------------------------


def started(makers, threads):
    limit = str(threads)
    variables = {"THREADS": limit, "OMP_NUM_THREADS": limit, "NUMBA_NUM_THREADS": limit}
    return [Contender(name, make, variables) for name, make in makers.items()]


def measured(contenders, case, facts, results, seconds):
    """Race the contenders, add to the results, and return a row of a table."""
    samples = race(contenders, case, seconds=seconds)
    numbers = summary(samples)
    results += [facts | {"contender": name} | figures for name, figures in numbers.items()]
    relative = ratios(samples, contenders[0].name)
    return [
        f"{duration(numbers[c.name]['median'])} ({relative[c.name]:.2f})" if c.name in numbers else ""
        for c in contenders
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="5 rounds of everything")
    parser.add_argument("--large", action="store_true", help=f"also {LARGE:,} rows: 8 GB of memory")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of sparse.json")
    options = parser.parse_args()
    seconds = 0.0 if options.quick else 60.0
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    results: list[dict] = []

    contenders = started(UPDATES, threads)
    rows = []
    for height in HEIGHTS:
        facts = {"threads": threads, "rows": height, "width": WIDTH, "touched": TOUCHED}
        rows.append([f"{height:,}", *measured(contenders, (height,), facts, results, seconds)])
    if options.large:
        facts |= {"rows": LARGE}
        rows.append([f"{LARGE:,}", *measured(contenders[:1], (LARGE,), facts, results, seconds)])
        rows[-1] += [""] * (len(UPDATES) - 1)
    print(
        f"\n**One step with {TOUCHED:,} rows of {WIDTH} float32, {threads} threads**; medians (multiples)\n"
    )
    print(markdown(["rows of the table", *UPDATES], rows), flush=True)
    for contender in contenders:
        if contender.missing:
            print(f"\n{contender.name}: {contender.missing}.")

    facts = {"threads": threads, "rows": IDLE_HEIGHT, "width": WIDTH}
    row = measured(started(IDLE, threads), (), facts, results, seconds)
    print(f"\n**A table of {IDLE_HEIGHT:,} rows, fresh and after {IDLE_STEPS:,} idle steps**\n")
    print(markdown(list(IDLE), [row]), flush=True)

    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "sparse.json", results)


if __name__ == "__main__":
    main()
