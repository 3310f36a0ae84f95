"""
Light curves of supernovae
==========================

A survey sees hundreds of supernovae, each on its own nights, with errors that change with the weather.
The function of Bazin et al. (2009) describes their rise and fall. Data sets of different lengths are
lists.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

rng = np.random.default_rng(1)


def bazin(t, amplitude, t0, rise, fall):
    """Flux at time t (days)."""
    return amplitude * np.exp(-(t - t0) / fall) / (1 + np.exp(-(t - t0) / rise))


# %%
# 300 simulated supernovae, of 15 to 60 nights each.

truth = rng.uniform([50, 20, 2, 15], [500, 40, 6, 40], (300, 4))
nights = [np.sort(rng.uniform(0, 120, rng.integers(15, 61))) for _ in truth]
sigma = [rng.uniform(2, 10, t.size) for t in nights]
flux = [bazin(t, *p) + s * rng.standard_normal(t.size) for t, p, s in zip(nights, truth, sigma, strict=True)]

fit = nbadam.curve_fit(
    bazin,
    nights,
    flux,
    p0=lambda t, y: np.array([1.5 * y.max(), t[y.argmax()] - 5, 3, 25]),
    bounds=([0, -50, 0.3, 3], [5000, 150, 30, 200]),
    sigma=sigma,
    absolute_sigma=True,
)
print(fit)

# %%
# Two of them, with the band of one standard error.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=False, layout="constrained")
t = np.linspace(0, 120, 200)
for ax, i in zip(axes, (0, 7), strict=True):
    ax.errorbar(nights[i], flux[i], sigma[i], fmt="o", ms=3, lw=1, color="C0")
    values, lower, upper = fit[i].band(t)
    ax.plot(t, values, color="C3")
    ax.fill_between(t, lower, upper, color="C3", alpha=0.25)
    ax.set(xlabel="day", ylabel="flux", title=f"supernova {i}, {nights[i].size} nights")

# %%
# The standard errors are honest: two thirds of the true days are within one of them.

good = fit.success
pulls = ((fit["t0"] - truth[:, 1]) / fit.perr[:, 1])[good]
print(f"{good.sum()} of {good.size} determined; within one standard error: {np.mean(abs(pulls) < 1):.0%}")
