"""Batches of curve fits: fits per second, and how many of them reach the minimum.

python benchmarks/batch.py [--quick] [--only speeds|starts|losses|scaling|first] [--out results]
"""

import argparse
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
from timing import Contender, markdown, race, save, summary

FEW = 300  # fits that a loop in Python gets
BOUNDS = -1e6, 1e6  # which no fit reaches
ONE = {
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
TWO = ONE | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}


# --- Workloads: x, y, p0, truth --------------------------------------------------------------------


def gaussians(fits=100_000, points=48, seed=1):
    """Peaks with Poisson noise, four parameters, started from quantile, maximum and area of the data."""
    rng = np.random.default_rng(seed)
    x = np.arange(points, dtype=float)
    low, high = [50, points / 3, 2.5, 5], [500, points / 1.5, 7, 20]
    truth = rng.uniform(low, high, (fits, 4))
    y = rng.poisson(gauss(x, *truth.T[:, :, None])).astype(float)
    offset = np.quantile(y, 0.2, axis=1)
    height = y.max(axis=1) - offset
    width = np.clip((y - offset[:, None]).sum(axis=1) / (height * math.sqrt(2 * math.pi)), 1, 15)
    return x, y, np.stack([height, x[y.argmax(axis=1)], width, offset], axis=1), truth


def decays(fits=20_000, points=32, seed=2):
    """Exponential decays with Gaussian noise, three parameters, started from the data."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 10, points)
    rate = np.exp(rng.uniform(math.log(0.2), math.log(2), fits))
    truth = np.stack([rng.uniform(1, 10, fits), rate, rng.uniform(0, 2, fits)], axis=1)
    y = decay(x, *truth.T[:, :, None]) + 0.05 * truth[:, :1] * rng.standard_normal((fits, points))
    offset = y[:, -4:].mean(axis=1)
    height = y[:, 0] - offset
    below = (y - offset[:, None]) < (height / math.e)[:, None]
    return x, y, np.stack([height, 1 / np.maximum(x[below.argmax(axis=1)], 0.3), offset], axis=1), truth


def spots(fits=20_000, side=5, seed=3):
    """Two-dimensional spots, five parameters, 5 x 5 or 12 x 12 pixels."""
    rng = np.random.default_rng(seed)
    u, v = (axis.ravel() for axis in np.meshgrid(*[np.arange(side, dtype=float)] * 2))
    centre = (side - 1) / 2
    low, high = (
        [300, centre - 0.5, centre - 0.5, side / 6, 5],
        [800, centre + 0.5, centre + 0.5, side / 4, 15],
    )
    truth = rng.uniform(low, high, (fits, 5))
    xy = np.stack([u, v])
    y = rng.poisson(spot(xy, *truth.T[:, :, None])).astype(float)
    p0 = np.tile([500.0, centre, centre, side / 5, 10], (fits, 1))
    return xy, y, p0, truth


def gauss(x, a, mu, s, c):
    return a * np.exp(-((x - mu) ** 2) / (2 * s**2)) + c


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def spot(xy, a, u0, v0, s, c):
    return a * np.exp(-((xy[0] - u0) ** 2 + (xy[1] - v0) ** 2) / (2 * s**2)) + c


FORMULAS = {
    "gaussians": ("a*exp(-(x - mu)**2 / (2*s**2)) + c", ["a", "mu", "s", "c"], ["x"]),
    "decays": ("a*exp(-k*x) + c", ["a", "k", "c"], ["x"]),
    "spots": ("a*exp(-((u - u0)**2 + (v - v0)**2) / (2*s**2)) + c", ["a", "u0", "v0", "s", "c"], ["u", "v"]),
}
FUNCTIONS = {"gaussians": gauss, "decays": decay, "spots": spot}
CASES = {
    "W1: Gaussian peaks, 4 parameters, 48 points": ("gaussians", {}),
    "W2: decays, 3 parameters, 32 points": ("decays", {}),
    "spots, 5 parameters, 5 x 5 pixels": ("spots", {"side": 5}),
    "spots, 5 parameters, 12 x 12 pixels": ("spots", {"side": 12}),
}


@cache
def workload(name, options=()):
    return globals()[name](**dict(options))


# --- Contenders: each job returns how many fits it made, and leaves popt behind ----------------------


def nbadam_fits(dtype=np.float64, **settings):
    def make(name, options):
        import nbadam

        x, y, p0, _ = workload(name, options)
        model = nbadam.Model(*FORMULAS[name])
        x, y, p0 = (array.astype(dtype) for array in (x, y, p0))

        def job():
            job.popt = nbadam.curve_fit(model, x, y, p0, dtype=dtype, **settings).popt
            return len(y)

        return job

    return make


def function_of_numpy(name, options):
    """The model as SciPy's users write it, without derivatives."""
    import nbadam

    x, y, p0, _ = workload(name, options)

    def job():
        job.popt = nbadam.curve_fit(FUNCTIONS[name], x, y, p0, ftol=1e-10).popt
        return len(y)

    return job


def scipy_loop(**settings):
    def make(name, options):
        from scipy.optimize import curve_fit

        x, y, p0, _ = workload(name, options)

        def job():
            job.popt = np.array([_scipy_fit(curve_fit, name, x, y[i], p0[i], **settings) for i in range(FEW)])
            return FEW

        return job

    return make


def _scipy_fit(curve_fit, name, x, y, p0, **settings):
    try:
        return curve_fit(FUNCTIONS[name], x, y, p0, **settings)[0]
    except RuntimeError:
        return np.full(len(p0), np.nan)


def _scipy_fits(name, x, y, p0):
    from scipy.optimize import curve_fit

    return np.array([_scipy_fit(curve_fit, name, x, *pair) for pair in zip(y, p0, strict=True)])


def joblib_loop(name, options):
    from joblib import Parallel, delayed

    # A contender's process is a daemon, which multiprocessing forbids to have children.
    multiprocessing.current_process()._config["daemon"] = False
    x, y, p0, _ = workload(name, options)
    count = 20 * FEW
    blocks = [slice(start, start + 500) for start in range(0, min(count, len(y)), 500)]
    pool = Parallel(n_jobs=2, backend="multiprocessing")

    def job():
        job.popt = np.concatenate(pool(delayed(_scipy_fits)(name, x, y[b], p0[b]) for b in blocks))
        return len(job.popt)

    return job


def torch_adam(dtype="float64", steps=200):
    """Adam on all fits at once, in coordinates scaled by the start, with a cosine schedule."""

    def make(name, options):
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        x, y, p0, _ = workload(name, options)
        y, p0 = y[:5000], p0[:5000]
        kind = getattr(torch, dtype)
        xt, yt = (torch.tensor(array, dtype=kind) for array in (x, y))
        start = torch.tensor(p0, dtype=kind)
        scale = start.abs()

        def job():
            z = torch.zeros_like(start, requires_grad=True)
            adam = torch.optim.Adam([z], lr=0.1, fused=True)
            rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
            for _ in range(steps):
                adam.zero_grad()
                residual = _peer_model(torch, name, xt, (start + scale * z).T[:, :, None]) - yt
                (residual * residual).sum().backward()
                adam.step()
                rates.step()
            job.popt = (start + scale * z.detach()).numpy()
            return len(y)

        return job

    return make


def _peer_model(library, name, x, p):
    if name == "gaussians":
        return p[0] * library.exp(-((x - p[1]) ** 2) / (2 * p[2] ** 2)) + p[3]
    if name == "decays":
        return p[0] * library.exp(-p[1] * x) + p[2]
    return p[0] * library.exp(-((x[0] - p[1]) ** 2 + (x[1] - p[2]) ** 2) / (2 * p[3] ** 2)) + p[4]


def jax_lm(dtype="float64", steps=12):
    """A batched Levenberg-Marquardt as one writes it in JAX: a fixed number of steps, all fits in step."""

    def make(name, options):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", dtype == "float64")
        x, y, p0, _ = workload(name, options)
        y, p0 = jnp.asarray(y[:20_000], dtype), jnp.asarray(p0[:20_000], dtype)
        x = jnp.asarray(x, dtype)

        def model(p):
            return _peer_model(jnp, name, x, p)

        jacobian = jax.jacfwd(model)

        def step(_, state, y):
            p, damping = state
            r, j = y - model(p), jacobian(p)
            a = j.T @ j
            trial = p + jnp.linalg.solve(a + damping * jnp.diag(jnp.diag(a)), j.T @ r)
            better = ((y - model(trial)) ** 2).sum() < (r**2).sum()
            return jnp.where(better, trial, p), jnp.where(better, damping / 10, damping * 10)

        @jax.jit
        @jax.vmap
        def fit(y, p0):
            start = p0, jnp.asarray(1e-3, dtype)
            return jax.lax.fori_loop(0, steps, lambda k, state: step(k, state, y), start)[0]

        def job():
            job.popt = np.asarray(fit(y, p0).block_until_ready())
            return len(y)

        return job

    return make


def cpufit(tolerance=None, iterations=None):
    """Gpufit's twin for CPUs, where a user has built it: its Python package is `pycpufit`."""

    def make(name, options):
        import pycpufit.cpufit as library

        if name == "decays":
            return None
        _, y, p0, _ = workload(name, options)
        model = library.ModelID.GAUSS_1D if name == "gaussians" else library.ModelID.GAUSS_2D
        y, p0 = y.astype(np.float32), p0.astype(np.float32)

        def job():
            job.popt = library.fit(y, None, model, p0, tolerance, iterations)[0]
            return len(y)

        return job

    return make


# Functions that a process can be given by name.
fits_64, fits_64_loose = nbadam_fits(), nbadam_fits(ftol=1e-10)
fits_32 = nbadam_fits(np.float32)
searched = nbadam_fits(search="all")
fits_between_bounds = nbadam_fits(ftol=1e-10, bounds=BOUNDS)
scipy_plain, scipy_between_bounds = scipy_loop(), scipy_loop(bounds=BOUNDS)
torch_64, torch_32 = torch_adam(), torch_adam("float32")
jax_64, jax_32 = jax_lm(), jax_lm("float32")
cpufit_default, cpufit_tight = cpufit(), cpufit(1e-6, 50)
MAKES = {
    "curve_fit, float64, ftol=1e-10": ("fits_64_loose", ONE),
    "curve_fit, float64": ("fits_64", ONE),
    "curve_fit, float32": ("fits_32", ONE),
    "curve_fit of a NumPy function": ("function_of_numpy", ONE),
    "curve_fit between bounds, float64, ftol=1e-10": ("fits_between_bounds", ONE),
    "curve_fit, search='all'": ("searched", ONE),
    "curve_fit, float64, ftol=1e-10, 2 threads": ("fits_64_loose", TWO),
    "Cpufit, float32, its defaults": ("cpufit_default", ONE),
    "Cpufit, float32, tolerance 1e-6": ("cpufit_tight", ONE),
    "scipy curve_fit, loop": ("scipy_plain", ONE),
    "scipy curve_fit between bounds, loop": ("scipy_between_bounds", ONE),
    "scipy curve_fit, joblib, 2 processes": ("joblib_loop", ONE),
    "torch Adam, 200 steps, float64": ("torch_64", ONE),
    "torch Adam, 200 steps, float32": ("torch_32", ONE),
    "JAX Levenberg-Marquardt, 12 steps, float64": ("jax_64", ONE),
    "JAX Levenberg-Marquardt, 12 steps, float32": ("jax_32", ONE),
}


# --- Accuracy --------------------------------------------------------------------------------------


def chi2(name, options, popt):
    x, y, _, _ = workload(name, options)
    popt = np.asarray(popt, float)
    return ((y[: len(popt)] - FUNCTIONS[name](x, *popt.T[:, :, None])) ** 2).sum(axis=1)


@cache
def best(name, options):
    """The lowest chi-square known: of fits started at the truth and at p0, the latter with a search."""
    import nbadam

    x, y, p0, truth = workload(name, options)
    model = nbadam.Model(*FORMULAS[name])
    ours = nbadam.curve_fit(model, x, y, p0, search="failed"), nbadam.curve_fit(model, x, y, truth)
    return np.fmin(*(chi2(name, options, fit.popt) for fit in ours))


def share_at_the_best(make, name, options):
    job = make(name, options)
    if job is None:
        return math.nan
    job()
    return float((chi2(name, options, job.popt) <= best(name, options)[: len(job.popt)] * (1 + 1e-6)).mean())


def speeds(quick, which):
    results = []
    for title, (name, settings) in CASES.items():
        if which not in title:
            continue
        options = tuple((settings | ({"fits": 5000} if quick else {})).items())
        contenders = [Contender(label, Job(make), env) for label, (make, env) in MAKES.items()]
        timed = summary(race(contenders, (name, options), 5 if quick else 30, 3))
        rows = []
        for label, times in timed.items():
            share = share_at_the_best(globals()[MAKES[label][0]], name, options)
            rate = 1 / times["median"]
            rows.append([label, f"{rate:,.0f}", f"{1 / times['p10']:,.0f}", f"{share:.4f}"])
            results.append({"case": title, "contender": label, "rate": rate, "at_best": share, **times})
        print(f"\n{title}\n")
        print(markdown(["", "fits/s, median", "fits/s, best tenth", "within 1e-6 of the best"], rows))
        missing = [f"{c.name} ({c.missing})" for c in contenders if c.missing]
        if missing:
            print("\nMissing:", ", ".join(missing))
        sys.stdout.flush()
    return results


# --- Poor starts -----------------------------------------------------------------------------------


def starts(quick):
    """Share of the fits that reach the best chi-square from poor starts, without and with a search."""
    import nbadam

    fits = 2000 if quick else 20_000
    rng = np.random.default_rng(11)
    peaks, falls = (("fits", fits),), (("fits", fits),)
    _, _, p0, truth = workload("gaussians", peaks)
    off_centre = p0.copy()
    off_centre[:, 1] = truth[:, 1] + rng.choice([-1, 1], fits) * rng.uniform(2, 3, fits) * truth[:, 2]
    rate = np.exp(rng.uniform(math.log(0.02), math.log(20), fits))
    wide = [rng.uniform(0.1, 30, fits), rate, rng.uniform(-5, 5, fits)]
    cases = {
        "W1, from the data": ("gaussians", peaks, p0),
        "W1, centre off by 2 to 3 sigma": ("gaussians", peaks, off_centre),
        "W1, all ones": ("gaussians", peaks, np.ones_like(p0)),
        "W2, wide": ("decays", falls, np.stack(wide, axis=1)),
        "W2, all ones": ("decays", falls, np.ones((fits, 3))),
    }
    rows, results = [], []
    for title, (name, options, start) in cases.items():
        x, y, _, _ = workload(name, options)
        model = nbadam.Model(*FORMULAS[name])
        row = [title]
        for label, settings in (
            ("lm", {}),
            ("failed", {"search": "failed"}),
            ("all", {"search": "all"}),
            ("adam", {"method": "adam"}),
        ):
            began = time.process_time()
            fit = nbadam.curve_fit(model, x, y, start, workers=1, **settings)
            seconds = time.process_time() - began
            share = float((fit.chi2 <= best(name, options) * (1 + 1e-6)).mean())
            row.append(f"{share:.4f} ({fits / seconds / 1e3:,.0f} k/s)")
            results.append({"case": title, "contender": label, "at_best": share, "rate": fits / seconds})
        rows.append(row)
    print("\nShare of the fits at the best chi-square, from poor starts (and fits per CPU second)\n")
    print(markdown(["start", "lm", "search='failed'", "search='all'", "adam, 1000 steps"], rows))
    return results


# --- Losses ----------------------------------------------------------------------------------------

F_SCALE = 10.0  # of the robust losses, about the standard deviation of the peaks' noise


def spiked_or_dim(loss, start, fits):
    """W1 with spikes in 5 % of the points; for counts, with a tenth of the light."""
    rng = np.random.default_rng(12)
    x, y, p0, truth = gaussians(fits)
    if loss == "poisson":
        truth = truth * [0.1, 1, 1, 0.1]
        y = rng.poisson(gauss(x, *truth.T[:, :, None])).astype(float)
    else:
        y = y + (rng.random(y.shape) < 0.05) * rng.uniform(100, 1000, y.shape)
        if start == "clean":
            return x, y, p0, truth
    offset = np.quantile(y, 0.2, axis=1)
    height = y.max(axis=1) - offset
    width = np.clip((y - offset[:, None]).sum(axis=1) / (height * math.sqrt(2 * math.pi)), 1, 15)
    return x, y, np.stack([height, x[y.argmax(axis=1)], width, offset], axis=1), truth


def cost(loss, x, y, popt):
    """What each fit has minimized, written down once more in NumPy."""
    f = gauss(x, *np.asarray(popt, float).T[:, :, None])
    if loss == "poisson":
        f = np.maximum(f, 1e-6)
        return 2 * (f - y + y * np.log(np.maximum(y, 1e-300) / f)).sum(axis=1)
    z = ((y - f) / F_SCALE) ** 2
    rho = np.log1p(z) if loss == "cauchy" else np.where(z <= 1, z, 2 * np.sqrt(z) - 1)
    return F_SCALE**2 * rho.sum(axis=1)


def scipy_losses(loss, x, y, p0):
    """SciPy's ways to do one such fit: name and function that returns the parameters."""
    from scipy.optimize import least_squares, minimize

    def jacobian(p):
        a, mu, s, _ = p
        u = (x - mu) / s
        e = np.exp(-0.5 * u * u)
        return np.stack([e, a * e * u / s, a * e * u * u / s, np.ones_like(x)], axis=1)

    def value_and_gradient(p):
        f = gauss(x, *p)
        if loss == "poisson":
            f = np.maximum(f, 1e-6)
            return 2 * (f - y * np.log(f)).sum(), 2 * (1 - y / f) @ jacobian(p)
        r = y - f
        z = (r / F_SCALE) ** 2
        if loss == "cauchy":
            value, slope = np.log1p(z), 1 / (1 + z)
        else:
            value = np.where(z <= 1, z, 2 * np.sqrt(z) - 1)
            slope = 1 / np.sqrt(np.maximum(z, 1))
        return F_SCALE**2 * value.sum(), -2 * (slope * r) @ jacobian(p)

    options = {"maxiter": 2000, "maxfun": 20_000, "ftol": 1e-13, "gtol": 1e-8}
    yield (
        "SciPy, L-BFGS-B",
        lambda: minimize(value_and_gradient, p0, jac=True, method="L-BFGS-B", options=options).x,
    )
    if loss != "poisson":
        settings = {"loss": loss, "f_scale": F_SCALE, "x_scale": "jac", "max_nfev": 2000}
        yield (
            "SciPy, least_squares, trf",
            lambda: least_squares(lambda p: gauss(x, *p) - y, p0, jacobian, **settings).x,
        )


def losses(quick):
    """Share of the fits at the lowest value known, for losses that are no sums of squares."""
    import nbadam

    fits = 2000 if quick else 20_000
    model = nbadam.Model(*FORMULAS["gaussians"])
    methods = {
        "lm": {},
        "search='failed'": {"search": "failed"},
        "search='all'": {"search": "all"},
        "adam, 1000 steps": {"method": "adam"},
    }
    rows, results = [], []
    cases = [(loss, start) for start in ("clean", "spiked") for loss in ("huber", "cauchy")]
    for loss, start in [*cases, ("poisson", "counts")]:
        x, y, p0, truth = spiked_or_dim(loss, start, fits)
        settings = {"loss": loss, "workers": 1} | ({} if loss == "poisson" else {"f_scale": F_SCALE})
        found = {}
        for label, options in methods.items():
            nbadam.curve_fit(model, x, y, p0, **settings, **options)  # compiles, also what few fits need
            began = time.process_time()
            fit = nbadam.curve_fit(model, x, y, p0, **settings, **options)
            found[label] = fit.popt, fits / (time.process_time() - began)
        for i in range(FEW):
            for label, job in scipy_losses(loss, x, y[i], p0[i]):
                began = time.process_time()
                try:
                    with np.errstate(all="ignore"):
                        popt = job()
                except ValueError:  # not finite on the way
                    popt = np.full(4, np.nan)
                found.setdefault(label, []).append((popt, time.process_time() - began))
        for label in [label for label in found if label.startswith("SciPy")]:
            popt, seconds = zip(*found[label], strict=True)
            found[label] = np.array(popt), FEW / sum(seconds)
        values = {label: cost(loss, x, y[: len(popt)], popt) for label, (popt, _) in found.items()}
        from_truth = nbadam.curve_fit(model, x, y, truth, **settings, search="all").popt
        lowest = cost(loss, x, y, from_truth)
        for value in values.values():
            lowest[: len(value)] = np.fmin(lowest[: len(value)], value)
        # Of the deviance, whose scale is fixed, 1e-4 of its unit; of the others a share.
        margin = 1e-4 if loss == "poisson" else 1e-6 * lowest
        for label, value in values.items():
            share = float((value <= (lowest + margin)[: len(value)]).mean())
            first = float((value[:FEW] <= (lowest + margin)[:FEW]).mean())
            rate = found[label][1]
            rows.append([loss, start, label, str(len(value)), f"{share:.4f}", f"{first:.3f}", f"{rate:,.0f}"])
            results.append({"case": f"{loss}, {start}", "contender": label, "at_best": share, "rate": rate})
    print(
        "\nPeaks of W1 with spikes in 5 % of the points, started from the data without and with the spikes;"
    )
    print("and with a tenth of the light, as counts\n")
    header = [
        "loss",
        "start",
        "",
        "fits",
        "at the lowest known",
        f"of the first {FEW}",
        "fits per CPU second",
    ]
    print(markdown(header, rows))
    return results


# --- First calls -----------------------------------------------------------------------------------

FIRST_CALL = """
import time, sys
import numpy as np, nbadam
from numba import njit
x = np.linspace(0, 3, 40)
began = time.perf_counter()
model = nbadam.Model({formula!r})
p0 = np.linspace(0.5, 1.5, len(model.parameters))
nbadam.curve_fit(model, x, np.cos(x)[None].repeat(100, 0), p0)
print(time.perf_counter() - began)
"""


def first_calls():
    """Seconds of the first `curve_fit` of a process, imports of nbadam and SymPy apart."""
    formulas = {
        2: "a*exp(-b*x)",
        3: "a*exp(-k*x) + c",
        4: "a*exp(-(x - mu)**2 / (2*s**2)) + c",
        5: "a*exp(-(x - mu)**2 / (2*s**2)) + c + d*x",
    }
    rows, results = [], []
    for count, formula in formulas.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", FIRST_CALL.format(formula=formula)]
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            ask = {"env": environment, "check": True, "capture_output": True, "text": True}
            times = [float(subprocess.run(command, **ask).stdout) for _ in range(3)]
        rows.append([str(count), f"{times[0]:.2f}", f"{min(times[1:]):.2f}"])
        results.append({"case": "first call", "parameters": count, "cold": times[0], "next": min(times[1:])})
    print("\nFirst call of a process, seconds\n")
    print(markdown(["parameters", "nothing cached", "next process"], rows))
    return results


class Job:
    """A function of this module, that another process looks up by its name."""

    def __init__(self, name):
        self.name = name

    def __call__(self, *case):
        return globals()[self.name](*case)


# --- What the time depends on ------------------------------------------------------------------------


def scaling():
    """Fits per second of sums of exponential decays, by points, parameters and precision."""
    import nbadam

    rng = np.random.default_rng(5)
    rows, results = [], []
    for terms in (1, 2, 3):
        formula = " + ".join(f"a{i}*exp(-k{i}*x)" for i in range(terms)) + " + c"
        model = nbadam.Model(formula)
        truth = np.array([*np.ravel([(3.0, 0.2 * 6**i) for i in range(terms)]), 0.5])
        for points in (16, 64, 256, 1024):
            x = np.linspace(0, 10, points)
            fits = 1_000_000 // points
            y = model(x, *truth) + 0.01 * rng.standard_normal((fits, points))
            cells = []
            for dtype in (np.float64, np.float32):
                seconds = []
                for _ in range(4):
                    began = time.process_time()
                    fit = nbadam.curve_fit(model, x, y, truth * 1.1, dtype=dtype, workers=1, ftol=1e-7)
                    seconds.append(time.process_time() - began)
                cells.append(fits / min(seconds))
                case = {"parameters": truth.size, "points": points, "dtype": dtype.__name__}
                results.append({"case": "scaling", "rate": cells[-1], "evaluations": fit.nfev.mean(), **case})
            rows.append(
                [str(truth.size), str(points), f"{fit.nfev.mean():.1f}", *(f"{c:,.0f}" for c in cells)]
            )
    print("\nFits per CPU second by parameters and points, one thread, ftol=1e-7\n")
    print(markdown(["parameters", "points", "evaluations", "float64", "float32"], rows))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="rough figures of small batches")
    parser.add_argument(
        "--only", choices=["speeds", "starts", "losses", "scaling", "first"], help="one part of it"
    )
    parser.add_argument("--case", default="", help="only the speeds of cases with this in their title")
    parser.add_argument("--out", type=Path, help="folder for the JSON file")
    arguments = parser.parse_args()
    results = []
    if arguments.only in (None, "speeds"):
        results += speeds(arguments.quick, arguments.case)
    if arguments.only in (None, "starts"):
        results += starts(arguments.quick)
    if arguments.only in (None, "losses"):
        results += losses(arguments.quick)
    if arguments.only in (None, "scaling"):
        results += scaling()
    if arguments.only in (None, "first"):
        results += first_calls()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        save(arguments.out / "batch.json", results)


if __name__ == "__main__":
    main()
