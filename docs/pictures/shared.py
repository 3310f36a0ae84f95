"""Draw the picture of `shared.rst`: ``python docs/pictures/shared.py`` (extra ``plot``)."""

from pathlib import Path

import matplotlib
import numpy as np

import nbadam

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "nbadam", "font.size": 9}

import matplotlib.pyplot as plt  # noqa: E402

CONCENTRATION = np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1])
TREATED = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200])
UNTREATED = np.array([67, 51, 84, 86, 98, 115, 131, 124, 144, 158, 160])
DATA = [CONCENTRATION, CONCENTRATION[:-1]], [TREATED, UNTREATED]
MODEL = "v * x / (k + x)"


def main(path: Path) -> None:
    """Draw data, both fits and their bands, and the estimates of the constant beside them."""
    each = nbadam.curve_fit(MODEL, *DATA, p0=[200, 0.1])
    both = nbadam.curve_fit(MODEL, *DATA, p0=[200, 0.1], shared=["k"])
    x = np.linspace(0, 1.15, 70)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3), width_ratios=[2.4, 1], layout="constrained")
    values, lower, upper = both.band(x)
    apart = each.predict(x)
    for i, (name, colour) in enumerate([("treated", "C0"), ("untreated", "C1")]):
        left.plot(DATA[0][i], DATA[1][i], "o", ms=4, color=colour)
        left.plot(x, values[i], color=colour, label=name)
        left.fill_between(x, lower[i], upper[i], color=colour, alpha=0.2, lw=0)
        left.plot(x, apart[i], "--", color=colour, lw=1)
        right.errorbar([i], each["k"][i], each.perr[i, 1], fmt="s", color=colour, capsize=3)
    left.set(xlabel="concentration / ppm", ylabel="rate / (counts/min²)", ylim=(0, None), xlim=(0, 1.15))
    left.plot([], [], "--", color="grey", lw=1, label="each by itself")
    left.legend(loc="lower right", frameon=False)
    right.errorbar([2], both.shared["k"].values, both.shared["k"].errors, fmt="o", color="k", capsize=3)
    right.set_xticks([0, 1, 2], ["treated", "untreated", "shared"], rotation=30)
    right.set(ylabel="k / ppm", xlim=(-0.5, 2.5))
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(__file__).with_suffix(".svg"))
