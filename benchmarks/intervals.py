"""Coverage of intervals: how often those of many small samples hold the truth, by three methods.

python benchmarks/intervals.py [fits] [--peers]

Eight points of a decay to an offset, with known errors of a tenth of its amplitude: the interval of the
rate is far from symmetric.  The bootstrap, with 500 resamples each, takes one fit in twenty.

`--peers`: instead, the intervals of some of NIST's problems by lmfit's `conf_interval` and iminuit's MINOS:
the largest difference of an end, as a share of its interval, and the time of both levels, the least of three.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

import nbadam

TRUTH = np.array([2.0, 0.8, 0.3])
ERROR = 0.2
RESAMPLES = 500
X = np.arange(8.0)


def main(fits: int) -> None:
    """Print a table of the shares of intervals that hold the truth."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    a, k, c = TRUTH
    y = a * np.exp(-k * X) + c + ERROR * rng.standard_normal((fits, X.size))
    sigma = np.full(X.size, ERROR)
    fit = nbadam.curve_fit("a * exp(-k * x) + c", X, y, TRUTH, sigma, absolute_sigma=True)
    good = fit[fit.success]
    print(f"{fits:,} fits, {good.chi2.size:,} with success")
    few = good[: fits // 20]
    sample = few.bootstrap(RESAMPLES, kind="parametric", rng=1)
    for sigmas, level in ((1, 68.27), (2, 95.45)):
        for method, chosen in (("normal", good), ("profile", good), ("bootstrap", few)):
            began = time.process_time()
            ends = sample.conf_int(sigma=sigmas) if method == "bootstrap" else good.conf_int(
                sigma=sigmas, method=method
            )  # fmt: skip
            seconds = time.process_time() - began
            known = ~np.isnan(ends).any(axis=(-1, -2))
            held = (ends[known, :, 0] <= TRUTH) & (ends[known, :, 1] >= TRUTH)
            below = (ends[known, 1, 1] < TRUTH[1]).mean()
            above = (ends[known, 1, 0] > TRUTH[1]).mean()
            shares = "  ".join(
                f"{name} {100 * share:.2f}" for name, share in zip("akc", held.mean(axis=0), strict=True)
            )
            print(
                f"{level} %  {method:9}  {shares}  k missed below {100 * below:.2f} above {100 * above:.2f}  "
                f"of {known.sum():,} of {chosen.chi2.size:,}  {seconds:.1f} s"
            )


LEVELS = 1, 2  # standard deviations
NIST = Path(__file__).parents[1] / "tests/data/nist_strd.json"
PEERS = "BoxBOD", "Misra1a", "Rat42", "Eckerle4", "MGH09", "Thurber"


def by_lmfit(f, x, y, names, start, fit) -> np.ndarray:
    """Return lmfit's intervals, shape (levels, parameters, 2)."""
    import lmfit

    model = lmfit.Model(f)
    found = model.fit(y, x=x, **dict(zip(names, start, strict=True)), fit_kws={"xtol": 1e-12, "ftol": 1e-12})
    told = lmfit.conf_interval(found, found, sigmas=list(LEVELS))
    ends = [[[told[name][2 - k][1], told[name][2 + k][1]] for name in names] for k in (1, 2)]
    return np.array(ends)


def by_iminuit(f, x, y, names, start, fit) -> np.ndarray:
    """Return MINOS's intervals for the rise of chi-square that the F test allows."""
    import iminuit

    def chi2(*p):
        return ((y - f(x, *p)) ** 2).sum()

    ends = []
    for level in LEVELS:
        minuit = iminuit.Minuit(chi2, *start, name=names)
        minuit.strategy, minuit.tol = 2, 1e-6
        minuit.errordef = student.ppf(norm.cdf(level), fit.dof) ** 2 * float(fit.reduced_chi2)
        minuit.migrad()
        minuit.minos()
        errors = [minuit.merrors[name] for name in names]
        middle = np.array(minuit.values)
        ends.append(np.stack([middle + [e.lower for e in errors], middle + [e.upper for e in errors]], 1))
    return np.array(ends)


def by_nbadam(f, x, y, names, start, fit) -> np.ndarray:
    """Return our intervals."""
    again = nbadam.curve_fit(fit.model, x, y, start, workers=1)
    return np.array([again.conf_int(sigma=level) for level in LEVELS])


def peers() -> None:
    """Print a table of differences and times."""
    warnings.simplefilter("ignore")
    for problem in json.loads(NIST.read_text())["problems"]:
        if problem["name"] not in PEERS:
            continue
        names, start = problem["param_names"], np.array(problem["certified_params"], float)
        scope = {"exp": np.exp, "pi": np.pi}
        exec(f"def f({problem['x_names'][0]}, {', '.join(names)}): return {problem['formula']}", scope)
        model = nbadam.Model(problem["formula"], names, problem["x_names"])
        x, y = np.ravel(problem["x"]), np.array(problem["y"])
        fit = nbadam.curve_fit(model, x, y, start)
        found, seconds = {}, {}
        for way in (by_nbadam, by_lmfit, by_iminuit):
            best = np.inf
            for _ in range(3):
                began = time.process_time()
                try:
                    found[way] = way(scope["f"], x, y, names, start, fit)
                except Exception as error:  # a peer that is missing, or fails
                    found[way] = np.full((2, len(names), 2), np.nan)
                    print(f"{problem['name']} {way.__name__}: {type(error).__name__}: {error}"[:200])
                best = min(best, time.process_time() - began)
            seconds[way] = best
        width = np.ptp(found[by_nbadam], axis=2)[..., None]
        line = f"{problem['name']:9} {len(names)} parameters, {len(x)} points:"
        for way in (by_lmfit, by_iminuit):
            worst = np.abs(found[way] - found[by_nbadam]) / width
            line += f"  {way.__name__} differs by {np.nanmax(worst):.1e} ({np.isnan(worst).sum()} NaN)"
        print(line, "  ms:", *(f"{1e3 * second:.1f}" for second in seconds.values()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fits", nargs="?", type=int, default=10_000, help="data sets (10,000)")
    parser.add_argument("--peers", action="store_true", help="compare with lmfit and iminuit")
    options = parser.parse_args()
    if options.peers:
        peers()
    else:
        main(options.fits)
