"""Draw the picture of `intervals.rst`: ``python docs/pictures/intervals.py`` (extra ``plot``)."""

from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

import nbadam

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "nbadam", "font.size": 9}

import matplotlib.pyplot as plt  # noqa: E402

DAYS = np.array([1, 2, 3, 5, 7, 10.0])
DEMAND = np.array([109, 149, 149, 191, 213, 224.0])


def main(path: Path) -> None:
    """Draw the data with the band, and chi-square as a function of the rate with the ends of intervals."""
    fit = nbadam.curve_fit("b * (1 - exp(-k * x))", DAYS, DEMAND, p0=[200, 0.5])
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3), layout="constrained")
    x = np.linspace(0, 11, 90)
    values, lower, upper = fit.band(x, sigma=2)
    left.plot(DAYS, DEMAND, "o", ms=4, color="k")
    left.plot(x, values, color="C0", label="fit")
    left.fill_between(x, lower, upper, color="C0", alpha=0.2, lw=0, label="band, 95.45 %")
    left.set(xlabel="days", ylabel="oxygen demand / (mg/l)", xlim=(0, 11), ylim=(0, None))
    left.legend(loc="lower right", frameon=False)
    rate, chi2 = fit.profile("k", np.linspace(0.22, 1.4, 60))
    best, error = fit.popt[1], fit.perr[1]
    scale = float(fit.reduced_chi2)
    right.plot(rate, (chi2 - fit.chi2) / scale, color="C0", label="profile")
    right.plot(rate, ((rate - best) / error) ** 2, "--", color="grey", label="parabola of perr")
    for level in (1, 2):
        rise = student.ppf(norm.cdf(level), fit.dof) ** 2
        low, high = fit.conf_int(sigma=level)[1]
        right.plot([low, high], [rise, rise], "|-", color="C3", ms=9, lw=1)
        right.text(high + 0.02, rise, ["68.27 %", "95.45 %"][level - 1], va="center", color="C3")
    right.set(xlabel="k / (1/day)", ylabel="rise of chi2 / reduced_chi2", xlim=(0.2, 1.4), ylim=(0, 13))
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main(Path(__file__).with_suffix(".svg"))
