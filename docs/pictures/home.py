"""Draw the pictures of the home page and the README: ``python docs/pictures/home.py`` (extra ``plot``)."""

from pathlib import Path

import matplotlib
import numpy as np
from scipy.optimize import minimize

import nbadam
from nbadam import demo

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "nbadam", "font.size": 9}

import matplotlib.pyplot as plt  # noqa: E402

VOXEL = 3, 5, 5
THEMES = {"light": ("#222832", "#1f77b4", "#d62728"), "dark": ("#ced6dd", "#62b0e8", "#ff8a80")}


def main(folder: Path) -> None:
    """Fit the voxels and minimize a noisy function once; draw both for each theme."""
    b, signals = demo.load_voxels()
    fit = nbadam.curve_fit(demo.kurtosis, b, signals, p0=demo.kurtosis_guess)
    rng = np.random.default_rng(0)

    def experiment(x):
        return valley(*x) + 0.1 * rng.standard_normal()

    run = minimize(experiment, [-1.2, 1], method=nbadam.adam, options={"rng": 0, "return_all": True})
    for theme, colours in THEMES.items():
        draw(folder / f"home_{theme}.svg", colours, b, signals, fit, run)


def valley(x, y):
    """Rosenbrock's function, with a floor a tenth as steep."""
    return (1 - x) ** 2 + 10 * (y - x**2) ** 2


def draw(path, colours, b, signals, fit, run):
    """Draw one voxel, the map of all, and the path of the run."""
    ink, points, line = colours
    inks = (
        "text.color",
        "axes.labelcolor",
        "axes.edgecolor",
        "axes.titlecolor",
        "xtick.color",
        "ytick.color",
    )
    with matplotlib.rc_context(dict.fromkeys(inks, ink)):
        figure, axes = plt.subplots(
            1, 3, figsize=(9.6, 2.9), width_ratios=[1.1, 1, 1.1], layout="constrained"
        )
        grid = np.linspace(0, b.max(), 60)
        axes[0].plot(b, signals[VOXEL], "o", ms=3, color=points, alpha=0.7)
        axes[0].plot(grid, demo.kurtosis(grid, *fit.popt[VOXEL]), color=line)
        axes[0].set(xlabel="diffusion weighting b / (ms/µm²)", ylabel="signal", title="one of 600 fits")
        image = axes[1].imshow(np.hstack(fit["diffusivity"][[1, 3]]), cmap="viridis", vmin=0.3, vmax=1.5)
        axes[1].set(xticks=[], yticks=[], title="diffusivity in a brain / (µm²/ms)")
        figure.colorbar(image, ax=axes[1], shrink=0.8)
        u, v = np.meshgrid(np.linspace(-1.7, 1.7, 80), np.linspace(-0.8, 1.7, 80))
        axes[2].contour(
            u, v, np.log10(valley(u, v) + 0.1), levels=9, cmap="viridis", linewidths=0.8, alpha=0.8
        )
        axes[2].plot(*np.transpose(run.allvecs)[:, ::2], color=points, lw=1)
        axes[2].plot(*run.x, "o", color=line, ms=5)
        axes[2].set(xlabel="x", ylabel="y", title="a minimum amid noise, no gradient")
        for ax in axes:
            ax.spines[["top", "right"]].set_visible(ax is axes[1])
            ax.patch.set_alpha(0)
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main(Path(__file__).parent)
