"""
Simulation-based calibration
============================

Are standard errors true? Simulate data from known parameters, fit, and count how often the truth lies
within the stated interval. With a batch that takes one call for 5,000 simulations.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

import nbadam

rng = np.random.default_rng(0)
x = np.linspace(0, 4, 12)
model = nbadam.Model("a * exp(-k * x) + c")
levels = np.linspace(0.05, 0.95, 19)


def coverage(noise):
    """Share of the simulations whose rate lies within its interval, by level; and the pulls."""
    truth = rng.uniform([2, 0.8, 0], [4, 1.6, 1], (5_000, 3))
    y = truth[:, :1] * np.exp(-truth[:, 1:2] * x) + truth[:, 2:] + noise * rng.standard_normal((5_000, 12))
    fit = nbadam.curve_fit(model, x, y, p0=[3, 1.2, 0.5], sigma=np.full(12, noise), absolute_sigma=True)
    pulls = ((fit["k"] - truth[:, 1]) / fit.perr[:, 1])[fit.success]
    return (
        np.array([np.mean(abs(pulls) < norm.ppf(0.5 + level / 2)) for level in levels]),
        pulls,
        fit.success.mean(),
    )


# %%
# With noise of 1 % of the amplitude the intervals are right at all levels. With 10 % the model is no longer
# linear within the error bars: the pulls are skewed, although the levels are hardly off.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
axes[0].plot([0, 1], [0, 1], color="grey", lw=1)
for noise in (0.03, 0.3):
    shares, pulls, success = coverage(noise)
    print(f"noise {noise}: {shares[12]:.3f} within the interval of 65 %; {success:.1%} determined")
    axes[0].plot(levels, shares, "o", ms=3, label=f"noise {noise}")
    axes[1].hist(pulls, np.linspace(-6, 6, 90), histtype="step", density=True, label=f"noise {noise}")
axes[0].set(xlabel="stated level", ylabel="share of the simulations")
axes[1].set(xlabel="(estimate - truth) / standard error", ylabel="density")
grid = np.linspace(-6, 6, 200)
axes[1].plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color="grey", lw=1)
axes[0].legend(frameon=False)

# %%
# For such data :meth:`nbadam.FitResult.profile` and :meth:`nbadam.FitResult.bootstrap` give intervals
# that need not be symmetric.
