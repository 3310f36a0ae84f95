"""Coverage of intervals: how often those of many small samples hold the truth, by three methods.

Eight points of a decay to an offset, with known errors of a tenth of its amplitude: the interval of the
rate is far from symmetric.  ``python benchmarks/intervals.py [fits]``; the bootstrap, with 500 resamples
each, takes one fit in twenty.
"""

import sys
import time
import warnings

import numpy as np

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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
