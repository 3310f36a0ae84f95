"""Whole runs through `scipy.optimize.minimize`, and what a step costs beside the objective.

python benchmarks/method.py [--quick] [--sizes 2 10] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
from timing import Contender, duration, markdown, race, save, summary

SIZES = [2, 10, 100, 1_000]
STEPS = 1_000  # of Adam
STEPS_IN_COMPILED_CODE = 50_000  # so that what a run costs once does not show
MAXITER = 200  # of SciPy's own methods, which need fewer
RATE = 1e-3
THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def rosenbrock(x):
    """Rosenbrock's function and its gradient, in NumPy."""
    gradient = np.zeros_like(x)
    valley = x[1:] - x[:-1] ** 2
    slope = 1.0 - x[:-1]
    gradient[:-1] = -400.0 * x[:-1] * valley - 2.0 * slope
    gradient[1:] += 200.0 * valley
    return 100.0 * valley.dot(valley) + slope.dot(slope), gradient


def compiled_rosenbrock():
    """The same, as a user of Numba writes it."""
    from numba import njit

    @njit
    def rosenbrock(x):
        gradient = np.zeros_like(x)
        value = 0.0
        for i in range(x.size - 1):
            valley = x[i + 1] - x[i] ** 2
            slope = 1.0 - x[i]
            value += 100.0 * valley**2 + slope**2
            gradient[i] += -400.0 * x[i] * valley - 2.0 * slope
            gradient[i + 1] += 200.0 * valley
        return value, gradient

    return rosenbrock


def rosenbrock_in_place():
    """The same, writing the gradient to an array that it is given."""
    from numba import njit

    @njit
    def rosenbrock(x, gradient):
        gradient[:] = 0.0
        value = 0.0
        for i in range(x.size - 1):
            valley = x[i + 1] - x[i] ** 2
            slope = 1.0 - x[i]
            value += 100.0 * valley**2 + slope**2
            gradient[i] += -400.0 * x[i] * valley - 2.0 * slope
            gradient[i + 1] += 200.0 * valley
        return value

    return rosenbrock


def start(n):
    return np.tile([-1.2, 1.0], n // 2)


# --- The objective in NumPy: each job returns how many evaluations or iterations it made ---------


def objective(n):
    x = start(n)
    return lambda: rosenbrock(x) and 1


def nbadam_method(n):
    return _nbadam(rosenbrock, n)


def _nbadam(fun, n, steps=STEPS):
    from scipy.optimize import minimize

    import nbadam

    options = {"steps": steps, "learning_rate": RATE}
    return lambda: minimize(fun, start(n), jac=True, method=nbadam.adam, options=options).nit


def _scipy(fun, method, count, n):
    from scipy.optimize import minimize

    options = {"maxiter": MAXITER, "gtol": 0.0}
    return lambda: minimize(fun, start(n), jac=True, method=method, options=options)[count]


def lbfgsb_evaluation(n):
    return _scipy(rosenbrock, "L-BFGS-B", "nfev", n)


def lbfgsb_iteration(n):
    return _scipy(rosenbrock, "L-BFGS-B", "nit", n)


def cg_evaluation(n):
    return _scipy(rosenbrock, "CG", "nfev", n)


def cg_iteration(n):
    return _scipy(rosenbrock, "CG", "nit", n)


def torch_loop(n):
    import torch

    torch.set_num_threads(1)

    def run():
        parameter = torch.tensor(start(n), requires_grad=True)
        x = parameter.detach().numpy()  # the same memory
        adam = torch.optim.Adam([parameter], lr=RATE, fused=True)
        for _ in range(STEPS):
            _, gradient = rosenbrock(x)
            parameter.grad = torch.from_numpy(gradient)
            adam.step()
        return STEPS

    return run


def optax_loop(n):
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    adam = optax.adam(RATE)

    @jax.jit
    def update(x, state, gradient):
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(x, updates), state

    def run():
        x = jax.numpy.asarray(start(n))
        state = adam.init(x)
        for _ in range(STEPS):
            _, gradient = rosenbrock(np.asarray(x))
            x, state = update(x, state, gradient)
        jax.block_until_ready(x)
        return STEPS

    return run


# --- The objective in each library's own form ----------------------------------------------------


def native_objective(n):
    fun, x = compiled_rosenbrock(), start(n)
    return lambda: fun(x) and 1


def nbadam_native(n):
    return _nbadam(compiled_rosenbrock(), n, STEPS_IN_COMPILED_CODE)


def nbadam_in_place(n):
    return _nbadam(rosenbrock_in_place(), n, STEPS_IN_COMPILED_CODE)


def handwritten(n):
    """Adam and nothing else, compiled for this function: no bounds, no stop rules, no history."""
    from numba import njit

    fun = rosenbrock_in_place()

    @njit(error_model="numpy")
    def adam(x, steps, rate, beta_1, beta_2, epsilon):
        g, m, v = np.empty_like(x), np.zeros_like(x), np.zeros_like(x)
        power_1 = power_2 = 1.0
        for _ in range(steps):
            fun(x, g)
            power_1 *= beta_1
            power_2 *= beta_2
            alpha = rate * np.sqrt(1 - power_2) / (1 - power_1)
            for i in range(x.size):
                m[i] += (1 - beta_1) * (g[i] - m[i])
                v[i] += (1 - beta_2) * (g[i] * g[i] - v[i])
                x[i] -= alpha * m[i] / (np.sqrt(v[i]) + epsilon)
        return x

    def run():
        adam(start(n), STEPS_IN_COMPILED_CODE, RATE, 0.9, 0.999, 1e-7)
        return STEPS_IN_COMPILED_CODE

    return run


def nbadam_native_callback(n):
    """A callback makes nbadam drive the run from Python."""
    from scipy.optimize import minimize

    import nbadam

    fun, options = compiled_rosenbrock(), {"steps": STEPS, "learning_rate": RATE}

    def callback(x):
        pass

    settings = {"jac": True, "method": nbadam.adam, "callback": callback, "options": options}
    return lambda: minimize(fun, start(n), **settings).nit


def lbfgsb_native(n):
    return _scipy(compiled_rosenbrock(), "L-BFGS-B", "nfev", n)


def torch_native(n):
    import torch

    torch.set_num_threads(1)

    def run():
        x = torch.tensor(start(n), requires_grad=True)
        adam = torch.optim.Adam([x], lr=RATE, fused=True)
        for _ in range(STEPS):
            adam.zero_grad()
            value = (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()
            value.backward()
            adam.step()
        return STEPS

    return run


def _optax_step(n):
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    adam = optax.adam(RATE)

    def value(x):
        return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

    def step(x, state):
        updates, state = adam.update(jax.grad(value)(x), state)
        return optax.apply_updates(x, updates), state

    return step, adam.init


def optax_native(n):
    import jax

    step, init = _optax_step(n)
    step = jax.jit(step, donate_argnums=(0, 1))

    def run():
        x = jax.numpy.asarray(start(n))
        state = init(x)
        for _ in range(STEPS):
            x, state = step(x, state)
        jax.block_until_ready(x)
        return STEPS

    return run


def optax_whole(n):
    import jax

    step, init = _optax_step(n)

    @jax.jit
    def whole(x):
        return jax.lax.fori_loop(0, STEPS_IN_COMPILED_CODE, lambda _, carry: step(*carry), (x, init(x)))[0]

    def run():
        jax.block_until_ready(whole(jax.numpy.asarray(start(n))))
        return STEPS_IN_COMPILED_CODE

    return run


IN_NUMPY = {
    "`fun` alone": objective,
    "nbadam.adam": nbadam_method,
    "L-BFGS-B, an evaluation": lbfgsb_evaluation,
    "L-BFGS-B, an iteration": lbfgsb_iteration,
    "CG, an evaluation": cg_evaluation,
    "CG, an iteration": cg_iteration,
    "torch fused, loop": torch_loop,
    "Optax jitted, loop": optax_loop,
}
NATIVE = {
    "`fun` alone (Numba)": native_objective,
    "nbadam.adam (Numba)": nbadam_native,
    "nbadam.adam (Numba, writes the gradient)": nbadam_in_place,
    "hand-written loop (Numba, writes the gradient)": handwritten,
    "nbadam.adam with callback (Numba)": nbadam_native_callback,
    "L-BFGS-B, an evaluation (Numba)": lbfgsb_native,
    "torch fused, loop (autograd)": torch_native,
    "Optax, step jitted, loop": optax_native,
    "Optax, whole run jitted": optax_whole,
}


def table(title, makes, sizes, results, *, seconds):
    """Race at every size and print time per unit and, in brackets, what is not `fun`."""
    contenders = [Contender(name, make, THREADS) for name, make in makes.items()]
    columns = []
    for n in sizes:
        medians = summary(race(contenders, (n,), seconds=seconds))
        results += [{"n": n, "contender": name} | numbers for name, numbers in medians.items()]
        alone = medians[contenders[0].name]["median"]
        column = {contenders[0].name: duration(alone)}
        for name in list(medians)[1:]:
            median = medians[name]["median"]
            column[name] = f"{duration(median)} ({1e6 * (median - alone):.3g})"
        columns.append(column)
    rows = [[name, *(column.get(name, "") for column in columns)] for name in makes]
    print(f"\n{title}\n")
    print(markdown(["per step", *(f"n = {n:,}" for n in sizes)], rows), flush=True)
    for contender in contenders:
        if contender.missing:
            print(f"\n{contender.name}: {contender.missing}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a second per size")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="even; default: all")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of method.json")
    options = parser.parse_args()
    seconds = 1.0 if options.quick else 15.0
    results: list[dict] = []
    table(
        "**Rosenbrock's function in NumPy**; in brackets the microseconds beyond one call of `fun`",
        IN_NUMPY,
        options.sizes,
        results,
        seconds=seconds,
    )
    table(
        "**Rosenbrock's function in each library's own form**; in brackets beyond one call of the Numba one",
        NATIVE,
        options.sizes,
        results,
        seconds=seconds,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "method.json", results)


if __name__ == "__main__":
    main()
