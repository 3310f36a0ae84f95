"""
Fluorescence lifetimes from few photons
=======================================

In a FLIM image each pixel is a histogram of photon arrival times, with some hundred photons in it. A
chi-square is biased there; the likelihood of counts, ``loss="poisson"``, is not. Photons are
simulated here, so that the true lifetimes are known.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

rng = np.random.default_rng(0)
t = np.linspace(0.1, 12.4, 64)  # ns
u, v = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40))
tau = np.where(u**2 + v**2 < 0.5, 2.5, 1.5)  # a cell with another lifetime in its middle
photons = rng.poisson(12 * np.exp(-t / tau[..., None]) + 0.2).astype(float)
print(f"{photons.sum(axis=-1).mean():.0f} photons a pixel")

# %%
# Weights of 1 / counts, as Neyman's chi-square has them, and the likelihood:

model = "a * exp(-t / tau) + c"
start, bounds = {"a": 10, "tau": 2, "c": 0.5}, {"a": (1e-3, None), "tau": (0.1, 20), "c": (1e-3, None)}
model = nbadam.Model(model, parameters=["a", "tau", "c"], variables=["t"])
fits = {
    "chi-square": nbadam.curve_fit(
        model, t, photons, p0=start, bounds=bounds, sigma=np.sqrt(np.maximum(photons, 1))
    ),
    "likelihood": nbadam.curve_fit(model, t, photons, p0=start, bounds=bounds, loss="poisson"),
}
for name, fit in fits.items():
    for truth in (1.5, 2.5):
        print(f"{name}: median lifetime {np.median(fit['tau'][tau == truth]):.2f} ns where it is {truth} ns")

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
for ax, (name, fit) in zip(axes, fits.items(), strict=False):
    image = ax.imshow(fit["tau"], vmin=0.8, vmax=3.2)
    ax.set(title=name, xticks=[], yticks=[])
figure.colorbar(image, ax=axes[:2], shrink=0.8, label="lifetime / ns")
for name, fit in fits.items():
    axes[2].hist(fit["tau"].ravel(), np.linspace(0.5, 4, 60), histtype="step", label=name)
for truth in (1.5, 2.5):
    axes[2].axvline(truth, color="grey", lw=1, ls="--")
axes[2].set(xlabel="lifetime / ns", ylabel="pixels")
axes[2].legend(frameon=False, fontsize=8)
