"""Whether fits are true: standard errors against a simulation, real data against SciPy.

python benchmarks/truth.py [--quick] [--out results]
"""

import argparse
import csv
import gzip
import warnings
from pathlib import Path

import numpy as np
from timing import markdown, save

import nbadam

DATA = Path(__file__).parent / "data"


# --- Standard errors -------------------------------------------------------------------------------


def coverage(fits):
    """How often the truth lies within one reported standard error, and by how much estimates are off."""
    rng = np.random.default_rng(7)
    x = np.arange(48.0)
    truth = np.array([500.0, 23.4, 4.1, 60.0])
    model = nbadam.Model(gauss, jacobian=gauss_jacobian)
    mean = np.array([gauss(point, *truth) for point in x])
    rows, results = [], []
    for noise in ("Gaussian, sigma known", "Gaussian, sigma from the fit", "Poisson"):
        if noise == "Poisson":
            y, options = rng.poisson(mean, (fits, 48)).astype(float), {"loss": "poisson"}
        else:
            y = mean + 15 * rng.standard_normal((fits, 48))
            options = {"sigma": 15.0, "absolute_sigma": True} if "known" in noise else {}
        fit = nbadam.curve_fit(model, x, y, truth * [1.1, 1, 0.9, 1.1], **options)
        pulls = (fit.popt - truth) / fit.perr
        covered = (np.abs(pulls) < 1).mean(axis=0)
        bias = pulls.mean(axis=0)
        for name, share, off in zip(model.parameters, covered, bias, strict=True):
            rows.append([noise, name, f"{100 * share:.2f} %", f"{off:+.4f}"])
            results.append({"case": noise, "parameter": name, "covered": share, "bias_in_errors": off})
        if not fit.success.all():
            rows.append([noise, "not converged", str(int((~fit.success).sum())), ""])
    print(f"\n{fits:,} fits each; normal: 68.27 %, for Student's t of 44 degrees of freedom 67.7 %\n")
    print(markdown(["noise", "parameter", "truth within one error", "mean error / standard error"], rows))
    return results


def gauss(x, height, center, sigma, offset):
    z = (x - center) / sigma
    return height * np.exp(-0.5 * z * z) + offset


def gauss_jacobian(x, height, center, sigma, offset):
    z = (x - center) / sigma
    e = np.exp(-0.5 * z * z)
    return e, height * e * z / sigma, height * e * z * z / sigma, 1.0


# --- Real data: x, y, p0, bounds ---------------------------------------------------------------------


def kurtosis(b, s0, d, k):
    """Diffusion signal with kurtosis; b in ms/um2."""
    return s0 * np.exp(-b * d + b * b * d * d * k / 6)


def kurtosis_jacobian(b, s0, d, k):
    e = np.exp(-b * d + b * b * d * d * k / 6)
    return e, s0 * e * (b * b * d * k / 3 - b), s0 * e * b * b * d * d / 6


def diffusion():
    raw = gzip.decompress((DATA / "dipy_small_101D.nii.gz").read_bytes())
    y = np.frombuffer(raw, "<u2", offset=352).reshape(102, -1).T.astype(float)  # after a NIfTI header
    b = np.loadtxt(DATA / "dipy_small_101D.bval") / 1000
    guess = np.stack([y[:, :3].max(axis=1), np.full(len(y), 0.8), np.full(len(y), 0.5)], axis=1)
    return nbadam.Model(kurtosis, jacobian=kurtosis_jacobian), [b] * len(y), list(y), guess


def spoiled_echo(x, s0, t1):
    """Signal of a spoiled gradient echo at flip angle x[0] and repetition time x[1] (s)."""
    e = np.exp(-x[1] / t1)
    return s0 * np.sin(x[0]) * (1 - e) / (1 - np.cos(x[0]) * e)


def t1_mapping(name, unit):
    rows = list(csv.DictReader((DATA / f"osipi_t1_{name}_data.csv").open()))
    angles, times, signals = (
        [np.array(row[key].split(), float) for row in rows] for key in ("FA", "TR", "s")
    )
    xs = [np.stack([np.deg2rad(angle), unit * repeat]) for angle, repeat in zip(angles, times, strict=True)]
    guess = np.stack([[10 * signal.max() for signal in signals], np.ones(len(rows))], axis=1)
    return nbadam.Model(spoiled_echo, variables=["angle", "tr"]), xs, signals, guess


REAL = {
    "diffusion, dipy": diffusion,
    "T1, brain": lambda: t1_mapping("brain", 1.0),
    "T1, prostate": lambda: t1_mapping("prostate", 1e-3),
    "T1, QIBA reference object": lambda: t1_mapping("quiba", 1.0),
}


def against_scipy(sample, folder):
    rows, results = [], []
    for title, load in REAL.items():
        model, x, y, p0 = load()
        rng = np.random.default_rng(1)
        chosen = np.sort(rng.permutation(len(y))[: min(sample, len(y))])
        x, y, p0 = [x[i] for i in chosen], [y[i] for i in chosen], p0[chosen]
        fits = {method: nbadam.curve_fit(model, x, y, p0, method=method) for method in ("lm", "robust")}
        theirs = np.array([scipy_chi2(model, *case) for case in zip(x, y, p0, strict=True)])
        for method, fit in fits.items():
            both = fit.success & np.isfinite(theirs)
            excess = fit.chi2 / theirs - 1
            worse, better = both & (excess > 1e-6), both & (excess < -1e-6)
            only_ours, only_theirs = fit.success & ~np.isfinite(theirs), ~fit.success & np.isfinite(theirs)
            worst = float(np.nanmax(np.where(both, excess, np.nan)))
            counts = [int(mask.sum()) for mask in (worse, better, only_ours, only_theirs)]
            rows.append([title, method, str(len(y)), *map(str, counts), f"{worst:.1e}"])
            named = dict(zip(("worse", "better", "only_ours", "only_scipy"), counts, strict=True))
            results.append({"case": title, "method": method, "fits": len(y), **named})
        if folder is not None:
            plot_worst(title, fits["lm"], folder)
    print("\nReal data; SciPy's curve_fit (lm) from the same starts\n")
    header = [
        "data",
        "method",
        "fits",
        "chi2 worse",
        "chi2 better",
        "only we solve",
        "only SciPy",
        "worst excess",
    ]
    print(markdown(header, rows))
    return results


def scipy_chi2(model, x, y, p0):
    from scipy.optimize import curve_fit

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            popt, _ = curve_fit(model.function, x, y, p0, maxfev=20_000)
    except RuntimeError:
        return np.nan
    return ((y - model.function(x, *popt)) ** 2).sum()


def plot_worst(title, fit, folder):
    """Plot the fit whose residuals are largest beside its data."""
    total = np.array([((y - y.mean()) ** 2).sum() for y in fit.data.y])
    worst = int(np.nanargmax(np.where(fit.success, fit.chi2 / total, -1)))
    folder.mkdir(parents=True, exist_ok=True)
    fit.plot(worst).figure.savefig(folder / f"worst_{title.replace(', ', '_').replace(' ', '_')}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer fits")
    parser.add_argument("--out", type=Path, help="folder for truth.json and plots of the worst fits")
    arguments = parser.parse_args()
    results = coverage(20_000 if arguments.quick else 1_000_000)
    results += against_scipy(100 if arguments.quick else 1000, arguments.out)
    if arguments.out:
        save(arguments.out / "truth.json", results)


if __name__ == "__main__":
    main()
