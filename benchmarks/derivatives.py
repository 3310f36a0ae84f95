"""Fits a CPU second of a Gaussian peak whose derivatives come from different places.

python benchmarks/derivatives.py [--quick] [--out results]
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from timing import markdown, save

import nbadam

FITS = 100_000


def peak(x, a, m, s, c):
    z = (x - m) / s
    return a * np.exp(-0.5 * z * z) + c


def derivatives(x, a, m, s, c):
    z = (x - m) / s
    e = np.exp(-0.5 * z * z)
    slope = a * e * z / s
    return e, slope, slope * z, 1.0


def stored(x, a, m, s, c):
    """The same; derivatives do not pass through an array of floats."""
    z = (x - m) / s
    return a * np.exp(-0.5 * z * z) + np.array([c])[0]


WAYS = {
    "a plain function": (peak, {}),
    "the same with `jac`": (peak, {"jac": derivatives}),
    "a formula": ("a * exp(-0.5 * ((x - m) / s)**2) + c", {}),
    "`nbadam.models.GAUSSIAN`": (nbadam.models.GAUSSIAN, {}),
    "differences": (stored, {}),
}


def workload(fits):
    rng = np.random.default_rng(1)
    x = np.arange(48.0)
    truth = rng.uniform([50, 16, 2.5, 5], [500, 32, 7, 20], (fits, 4))
    y = rng.poisson(peak(x, *truth.T[:, :, None])).astype(float)
    return x, y, truth * rng.uniform(0.8, 1.2, truth.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # a few of the fits are undetermined
    x, y, p0 = workload(FITS // 10 if options.quick else FITS)
    results = []
    for dtype in (np.float64, np.float32):
        best = dict.fromkeys(WAYS, np.inf)
        for turn in range(4):  # the first compiles; they take turns
            for name, (model, arguments) in WAYS.items():
                few = slice(None if turn else 300)
                began = time.process_time()
                fit = nbadam.curve_fit(model, x, y[few], p0[few], dtype=dtype, workers=1, **arguments)
                if turn:
                    best[name] = min(best[name], time.process_time() - began)
                assert fit.success.mean() > 0.99, name
        results += [
            {"way": name, "dtype": np.dtype(dtype).name, "rate": len(y) / seconds}
            for name, seconds in best.items()
        ]
    rates = {(result["way"], result["dtype"]): f"{result['rate'] / 1e3:,.0f}" for result in results}
    rows = [[name, rates[name, "float64"], rates[name, "float32"]] for name in WAYS]
    print(markdown(["Derivatives of", "float64, thousand fits a CPU second", "float32"], rows))
    if options.out:
        save(options.out / "derivatives.json", results)


if __name__ == "__main__":
    main()
