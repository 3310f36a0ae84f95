"""Fits without starting values: how many are right, and how fast.

python benchmarks/starts.py [--nist] [--models] [--peers] [--seeds 10] [--fits 20000] [--quick]

`--nist`: the 27 problems of NIST's reference data sets for nonlinear regression, with no start, from
formulas and from functions, for several seeds.  A problem is solved where the residual sum of squares is
within 1e-6 of the certified one.

`--models`: batches of 25 models of many fields, whose parameters are spread by factors between 1.1 and 2.
A fit is right where its chi-square is within 1e-6 of the best known, of a fit that starts at the truth and
of those of this table.  Speeds are fits per second of processor time in one thread, best of three, without
compilation, beside fits that start at the truth.

`--peers`: single data sets of these models, by `scipy.optimize.differential_evolution` between bounds of
a factor of 10 around the truth, polished by `curve_fit`, which is told more than nbadam is.
"""

import argparse
import json
import time
import warnings
from math import log
from pathlib import Path

import numpy as np
from timing import markdown, save

import nbadam

NIST = Path(__file__).parents[1] / "tests/data/nist_strd.json"

# Field and model, parameters at the centre, factors by which each is spread, x, noise in units of the range.
MODELS = {
    "fluorescence decay": ("a*exp(-x/tau) + c", (5, 2.0, 0.5), 2, (0, 10, 64), 0.01),
    "two decays": ("a*exp(-k*x) + b*exp(-q*x)", (4, 2.0, 3, 0.3), 1.3, (0, 8, 80), 0.003),
    "peak on a slope": (
        "a*exp(-(x - mu)**2/(2*s**2)) + b + d*x",
        (8, 50, 4, 2, 0.02),
        1.5,
        (0, 100, 100),
        0.01,
    ),
    "Lorentz line": (
        "a/(1 + ((x - mu)/g)**2) + c",
        (3, 1420, 0.02, 0.2),
        (2, 1.0001, 2, 2),
        (1419.5, 1420.5, 100),
        0.02,
    ),
    "two peaks": (
        "a*exp(-((x - m)/s)**2) + b*exp(-((x - n)/u)**2)",
        (3, 4, 1, 2, 7, 1.2),
        1.15,
        (0, 12, 96),
        0.01,
    ),
    "dose and response": (
        "low + (high - low)/(1 + (x/ec)**h)",
        (1, 9, 30, 1.2),
        2,
        (0.3, 3000, 24, "log"),
        0.01,
    ),
    "enzyme kinetics": ("v*x/(k + x)", (6, 20), 2, (1, 200, 16), 0.02),
    "Hill binding": ("b*x**n/(k**n + x**n)", (4, 2, 15), (2, 1.5, 2), (0.5, 100, 24), 0.01),
    "logistic growth": ("k/(1 + exp(-r*(x - m)))", (10, 0.6, 12), 1.5, (0, 30, 40), 0.01),
    "Gompertz growth": ("a*exp(-b*exp(-c*x))", (8, 5, 0.3), 1.5, (0, 25, 40), 0.01),
    "damped oscillation": ("a*exp(-x/t)*cos(w*x + f) + c", (2, 6, 3, 0.8, 0.3), 1.5, (0, 12, 120), 0.02),
    "sinusoid": ("a*sin(2*pi*x/p + f) + c", (3, 24, 1, 10), 1.3, (0, 72, 72), 0.05),
    "power law": ("a*x**b + c", (2, 1.6, 1), 1.4, (0.1, 10, 40), 0.005),
    "stretched exponential": ("a*exp(-(x/t)**b)", (5, 3, 0.7), 1.4, (0.05, 15, 60), 0.005),
    "Arrhenius with offset": (
        "a*exp(-e/(0.008314*x)) + c",
        (3e9, 60, 2),
        (2, 1.1, 1.5),
        (300, 400, 40),
        0.005,
    ),
    "diode": ("i*(exp(x/n) - 1) + g*x", (1e-6, 0.045, 1e-3), (2, 1.1, 2), (0, 0.6, 60), 0.001),
    "saturation recovery": ("m*(1 - b*exp(-x/t))", (100, 1.9, 0.8), (2, 1.1, 2), (0.02, 5, 20), 0.01),
    "diffusion, two pools": (
        "s*(f*exp(-x*p) + (1 - f)*exp(-x*d))",
        (1, 0.25, 0.06, 0.0011),
        1.3,
        (0, 900, 32),
        0.002,
    ),
    "pharmacokinetics": (
        "f*ka/(ka - ke)*(exp(-ke*x) - exp(-ka*x))",
        (5, 1.2, 0.15),
        1.5,
        (0.25, 24, 20),
        0.01,
    ),
    "Planck-like": ("a*x**3/(exp(x/t) - 1)", (2, 1.5), 2, (0.2, 15, 60), 0.01),
    "Morse potential": ("d*(1 - exp(-a*(x - r)))**2 + c", (4.5, 1.9, 0.75, 0.1), 1.2, (0.45, 3, 50), 0.005),
    "supernova": (
        "a*exp(-(x - t)/f)/(1 + exp(-(x - t)/r)) + c",
        (10, 5, 20, 3, 0.5),
        1.5,
        (-30, 100, 80),
        0.01,
    ),
    "breakthrough": ("0.5*c*(1 + erf((x - t)/s)) + b", (6, 40, 8, 0.5), 1.5, (0, 100, 60), 0.01),
    "Langmuir, two sites": (
        "a*k*x/(1 + k*x) + b*q*x/(1 + q*x)",
        (3, 5, 4, 0.05),
        1.3,
        (0.01, 100, 40, "log"),
        0.002,
    ),
    "rational": ("(a + b*x)/(1 + c*x + d*x**2)", (2, 3, 0.4, 0.15), 1.5, (0, 12, 60), 0.005),
}


def batch_of(name, fits, seed=0):
    """Return model, x, y and truth of a batch."""
    formula, centre, spreads, (low, high, points, *scale), noise = MODELS[name]
    rng = np.random.default_rng(seed)
    centre = np.array(centre, float)
    truth = centre * np.exp(
        rng.uniform(-1, 1, (fits, centre.size)) * np.log(np.broadcast_to(spreads, centre.size))
    )
    x = np.geomspace(low, high, points) if scale else np.linspace(low, high, points)
    model = nbadam.Model(formula)
    y = np.array([model(x, *p) for p in truth])
    y += noise * np.ptp(y, axis=1)[:, None] * rng.standard_normal(y.shape)
    return model, x, y, truth


def seconds(job, times=3):
    """Return the result and the least processor time."""
    best = np.inf
    for _ in range(times):
        begun = time.process_time()
        result = job()
        best = min(best, time.process_time() - begun)
    return result, best


def models(fits, names):
    """Fit batches of all models, with no start and from the truth."""
    results = []
    for name in names:
        model, x, y, truth = batch_of(name, fits)
        known, well = seconds(lambda: nbadam.curve_fit(model, x, y, truth, workers=1))  # noqa: B023
        found, none = seconds(lambda: nbadam.curve_fit(model, x, y, workers=1))  # noqa: B023
        best = np.fmin(known.chi2, found.chi2)
        right = found.success & (found.chi2 <= best * (1 + 1e-6))
        results.append(
            {"model": name, "parameters": truth.shape[1], "points": x.size, "right": right.mean()}
            | {"from truth": (known.success & (known.chi2 <= best * (1 + 1e-6))).mean()}
            | {"fits/s": fits / none, "from truth fits/s": fits / well, "ratio": well / none}
        )
        print(
            {k: v if isinstance(v, str) else round(float(v), 4) for k, v in results[-1].items()}, flush=True
        )
    header = ["model", "parameters", "points", "share right", "from the truth", "fits/s", "ratio of speeds"]
    rows = [
        f"{r['model']}|{r['parameters']}|{r['points']}|{r['right']:.4f}|{r['from truth']:.4f}|"
        f"{r['fits/s']:,.0f}|{r['ratio']:.2f}".split("|")
        for r in results
    ]
    mean = [f"{np.mean([r[key] for r in results]):.4f}" for key in ("right", "from truth")]
    ratio = np.exp(np.mean([log(r["ratio"]) for r in results]))
    print(markdown(header, [*rows, ["mean", "", "", *mean, "", f"{ratio:.2f}"]]))
    return results


def function_of(problem):
    """Return the formula as a function for Numba."""
    arguments = ", ".join([*problem["param_names"]])
    scope = {name: getattr(np, name) for name in ("exp", "cos", "sin", "arctan", "pi", "log")}
    scope["atan"] = np.arctan
    if len(problem["x_names"]) > 1:
        unpacked = f"def f(x, {arguments}):\n    {', '.join(problem['x_names'])} = x\n"
        exec(f"{unpacked}    return {problem['formula']}", scope)
    else:
        exec(f"def f({problem['x_names'][0]}, {arguments}):\n    return {problem['formula']}", scope)
    return scope["f"]


def nist(seeds, names=None):
    """Solve NIST's problems without starts."""
    results = []
    for problem in json.loads(NIST.read_text())["problems"]:
        if names and problem["name"] not in names:
            continue
        formula = nbadam.Model(problem["formula"], problem["param_names"], problem["x_names"])
        x = np.array(problem["x"])
        y = np.array(problem["y_fit"] if problem["y_transform"] else problem["y"])
        certified = float(problem["certified_rss"])
        for kind, model in (("formula", formula), ("function", function_of(problem))):
            nbadam.curve_fit(model, x, y, workers=1)  # compiles
            solved, shares, times = 0, [], []
            for seed in range(seeds):
                fit, second = seconds(lambda: nbadam.curve_fit(model, x, y, rng=seed, workers=1), 1)  # noqa: B023
                solved += bool(fit.success and (abs(fit.chi2 / certified - 1) < 1e-6 or fit.chi2 < 1e-20))
                shares.append(fit.n_reached / fit.n_starts)
                times.append(second)
            results.append(
                {"problem": problem["name"], "kind": kind, "solved": solved, "seeds": seeds}
                | {"starts": int(fit.n_starts), "share": float(np.median(shares))}
                | {"seconds": float(np.median(times)), "minima": len(fit.minima.chi2)}
            )
            print(results[-1], flush=True)
    header = ["problem", "from", "solved", "seconds", "share of starts", "minima"]
    rows = [
        f"{r['problem']}|{r['kind']}|{r['solved']}/{r['seeds']}|{r['seconds']:.3f}|{r['share']:.3f}|"
        f"{r['minima']}".split("|")
        for r in results
    ]
    print(markdown(header, rows))
    return results


def peers(names, fits=3):
    """Fit single data sets by differential evolution, and with no start."""
    from scipy.optimize import curve_fit, differential_evolution

    results = []
    for name in names:
        model, x, y, truth = batch_of(name, fits)
        right, times = np.zeros(2, int), np.zeros(2)
        nbadam.curve_fit(model, x, y[0], workers=1)  # compiles
        for data, p in zip(y, truth, strict=True):
            known = nbadam.curve_fit(model, x, data, p)
            bounds = [sorted((value / 10, value * 10)) for value in p]

            def scipys(data=data, bounds=bounds, model=model, x=x):
                def square(q):
                    return np.nan_to_num(((data - model(x, *q)) ** 2).sum(), nan=1e300, posinf=1e300)

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = differential_evolution(square, bounds, rng=0, polish=False).x
                    popt, _ = curve_fit(lambda x, *q: model(x, *q), x, data, found, maxfev=10_000)
                    return ((data - model(x, *popt)) ** 2).sum()

            ways = scipys, lambda data=data: float(nbadam.curve_fit(model, x, data, workers=1).chi2)  # noqa: B023
            for k, way in enumerate(ways):
                try:
                    chi2, second = seconds(way, 1)
                except RuntimeError:
                    continue
                right[k] += chi2 <= known.chi2 * (1 + 1e-6)
                times[k] += second / fits
        results.append({"model": name, "right": right.tolist(), "seconds": times.tolist()})
        print(results[-1], flush=True)
    rows = [
        [r["model"], *(f"{n}/{fits}" for n in r["right"]), *(f"{s:.3f}" for s in r["seconds"])]
        for r in results
    ]
    print(markdown(["model", "right, SciPy", "nbadam", "seconds, SciPy", "nbadam"], rows))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for part in ("nist", "models", "peers"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--seeds", type=int, default=10, help="seeds for each of NIST's problems (10)")
    parser.add_argument("--fits", type=int, default=20_000, help="data sets of each model (20,000)")
    parser.add_argument("--quick", action="store_true", help="a few problems")
    parser.add_argument("--only", nargs="*", help="names of models or problems")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory of starts.json")
    options = parser.parse_args()
    names = options.only or list(MODELS)[:: 5 if options.quick else 1]
    every = not (options.nist or options.models or options.peers)
    results = {}
    if options.nist or every:
        results["nist"] = nist(options.seeds, ["Misra1a", "BoxBOD"] if options.quick else options.only)
    if options.models or every:
        results["models"] = models(options.fits, names)
    if options.peers or every:
        results["peers"] = peers(names)
    options.out.mkdir(parents=True, exist_ok=True)
    save(options.out / "starts.json", results)


if __name__ == "__main__":
    main()
