"""Whether fits are true: standard errors against a simulation, real data against SciPy and references.

python benchmarks/truth.py [--quick] [--out results]
"""

import argparse
import csv
import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from timing import markdown, save

import nbadam
from nbadam.demo import load_voxels

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


# --- Real data -------------------------------------------------------------------------------------


@dataclass
class Case:
    """One set of data with its model: for nbadam, and as SciPy takes it, a function of arrays."""

    model: nbadam.Model
    function: Callable
    x: list
    y: list
    p0: np.ndarray
    truth: np.ndarray | None = None
    groups: list | None = None


def kurtosis(b, s0, d, k):
    """Diffusion signal with kurtosis; b in ms/um2."""
    return s0 * np.exp(-b * d + b * b * d * d * k / 6)


def kurtosis_jacobian(b, s0, d, k):
    e = np.exp(-b * d + b * b * d * d * k / 6)
    return e, s0 * e * (b * b * d * k / 3 - b), s0 * e * b * b * d * d / 6


def diffusion():
    b, signals = load_voxels()
    y = signals.transpose(2, 1, 0, 3).reshape(-1, b.size)  # voxels in the order of the file
    guess = np.stack([y[:, :3].max(axis=1), np.full(len(y), 0.8), np.full(len(y), 0.5)], axis=1)
    model = nbadam.Model(kurtosis, variables=["b"], jacobian=kurtosis_jacobian)
    return Case(model, kurtosis, [b] * len(y), list(y), guess)


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
    model = nbadam.Model(spoiled_echo, variables=["angle", "tr"])
    return Case(model, spoiled_echo, xs, signals, guess)


def perfusion_data():
    """Arterial inputs, times (min), curves, true parameters (Ktrans in 1/min) and signal to noise."""
    csv.field_size_limit(10**7)
    with gzip.open(DATA / "osipi_dce_DRO_data_tofts.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    inputs, curves = (np.array([row[key].split() for row in rows], float) for key in ("ca", "C"))
    times = np.array(rows[0]["t"].split(), float) / 60
    truth = np.array([[float(row["Ktrans"]), float(row["ve"])] for row in rows])
    return inputs, times, curves, truth, [row["label"].rpartition("_")[2] for row in rows]


INPUTS, T, CURVES, TRUTH, CLASSES = perfusion_data()
STEP = T[1] - T[0]  # minutes


def tofts(x, ktrans, ve):
    """Concentration in tissue at time x[1] (min): the arterial input number x[0], convolved.

    By the trapezoidal rule, with ktrans * exp(-ktrans / ve * t).
    """
    curve, last = int(x[0]), int(x[1] / STEP + 0.5)
    decay = np.exp(-ktrans / ve * STEP)
    total = 0.0
    for i in range(1, last + 1):
        total = (total + 0.5 * INPUTS[curve, i - 1]) * decay + 0.5 * INPUTS[curve, i]
    return ktrans * STEP * total


def tofts_jacobian(x, ktrans, ve):
    curve, last = int(x[0]), int(x[1] / STEP + 0.5)
    decay = np.exp(-ktrans / ve * STEP)
    total = slope = 0.0  # the sum, and its derivative by ktrans / ve
    for i in range(1, last + 1):
        before = total + 0.5 * INPUTS[curve, i - 1]
        slope = (slope - STEP * before) * decay
        total = before * decay + 0.5 * INPUTS[curve, i]
    by_rate = ktrans * STEP * slope / ve
    return STEP * total + by_rate, -by_rate * ktrans / ve


def perfusion():
    at_a_point = njit(tofts)

    @njit
    def at_all(x, ktrans, ve):
        return np.array([at_a_point((x[0, i], x[1, i]), ktrans, ve) for i in range(x.shape[1])])

    xs = [np.stack([np.full(T.size, float(i)), T]) for i in range(len(CURVES))]
    guess = np.tile([0.1, 0.3], (len(CURVES), 1))
    model = nbadam.Model(tofts, variables=["curve", "t"], jacobian=tofts_jacobian)
    return Case(model, at_all, xs, list(CURVES), guess, TRUTH, CLASSES)


REAL = {
    "diffusion, dipy": diffusion,
    "T1, brain": lambda: t1_mapping("brain", 1.0),
    "T1, prostate": lambda: t1_mapping("prostate", 1e-3),
    "T1, QIBA reference object": lambda: t1_mapping("quiba", 1.0),
    "Tofts, QIBA reference object": perfusion,
}
OURS = {
    "lm": {},
    "search='failed'": {"search": "failed"},
    "search='all'": {"search": "all"},
}
THEIRS = {
    "curve_fit": {"maxfev": 20_000},
    "curve_fit, trf": {"method": "trf", "x_scale": "jac", "max_nfev": 20_000},
}


def against_scipy(sample, folder):
    """Compare each fit with SciPy's from the same start, at most `sample` of each set."""
    rows, estimates, results = [], [], []
    for title, load in REAL.items():
        case = load()
        rng = np.random.default_rng(1)
        chosen = np.sort(rng.permutation(len(case.y))[:sample])
        x, y, p0 = [case.x[i] for i in chosen], [case.y[i] for i in chosen], case.p0[chosen]
        fits = {label: nbadam.curve_fit(case.model, x, y, p0, **options) for label, options in OURS.items()}
        for peer, options in THEIRS.items():
            theirs = np.array(
                [scipy_chi2(case.function, *data, options) for data in zip(x, y, p0, strict=True)]
            )
            for label, fit in fits.items():
                counts, worst = compared(fit, theirs)
                rows.append([title, label, peer, str(len(y)), *map(str, counts.values()), f"{worst:.1e}"])
                results.append({"case": title, "method": label, "peer": peer, "fits": len(y), **counts})
        if case.truth is not None:
            groups = np.array(case.groups)[chosen]
            estimates += against_truth(fits["lm"], case.truth[chosen], groups)
        if folder is not None:
            plot_worst(title, fits["lm"], y, folder)
    print("\nReal data; SciPy from the same starts\n")
    header = ["data", "method", "SciPy", "fits", "chi2 worse", "chi2 better", "only we solve", "only SciPy"]
    print(markdown([*header, "worst excess"], rows))
    print("\nTofts, QIBA reference object: estimates beside the truth\n")
    print(
        markdown(
            ["signal to noise", "parameter", "mean error", "largest error", "in standard errors"], estimates
        )
    )
    return results


def compared(fit, theirs):
    """Count fits that end above, or below, SciPy's chi-square by 1e-6; and those that one side solves."""
    both = fit.success & np.isfinite(theirs)
    excess = fit.chi2 / theirs - 1
    masks = {
        "worse": both & (excess > 1e-6),
        "better": both & (excess < -1e-6),
        "only_ours": fit.success & ~np.isfinite(theirs),
        "only_scipy": ~fit.success & np.isfinite(theirs),
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return counts, float(np.nanmax(np.where(both, excess, np.nan)))


def scipy_chi2(function, x, y, p0, options):
    from scipy.optimize import curve_fit

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            popt, _ = curve_fit(function, x, y, p0, **options)
    except (RuntimeError, ValueError):  # not converged; not finite on the way (trf)
        return np.nan
    return ((y - function(x, *popt)) ** 2).sum()


def against_truth(fit, truth, groups):
    rows = []
    for group in dict.fromkeys(groups):
        which = groups == group
        off = fit.popt[which] / truth[which] - 1
        pulls = (fit.popt[which] - truth[which]) / fit.perr[which]
        for j, name in enumerate(fit.parameters):
            largest = np.abs(off[:, j]).max()
            rms = np.sqrt((pulls[:, j] ** 2).mean())
            rows.append([str(group), name, f"{off[:, j].mean():+.3%}", f"{largest:.3%}", f"{rms:.2f} (rms)"])
    return rows


def plot_worst(title, fit, curves, folder):
    """Plot the fit that leaves the largest share of its data's variation."""
    total = np.array([((curve - curve.mean()) ** 2).sum() for curve in curves])
    share = np.where(fit.success, fit.chi2 / total, -1)
    worst = int(np.nanargmax(share))
    folder.mkdir(parents=True, exist_ok=True)
    name = f"worst_{title.replace(', ', '_').replace(' ', '_')}.png"
    fit.plot(worst).figure.savefig(folder / name)
    print(f"{title}: the worst fit, number {worst}, leaves {share[worst]:.2%} of the variance: {name}")


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
