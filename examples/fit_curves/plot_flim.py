"""
Fluorescence lifetimes from few photons
=======================================

In a FLIM image each pixel is a histogram of photon arrival times, with some hundred photons in it. A
chi-square is biased there; the likelihood of counts, ``loss="poisson"``, is not. The photons are real ones,
of the dye Atto 550 on DNA, dealt out to 1,600 pixels: their lifetime is known from all of them together.
``atto550.csv`` beside this script is a measurement that ships with Lifefit (F. Steffen, MIT licence).
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

counts = np.loadtxt("atto550.csv", delimiter=",").ravel().astype(int)  # by channel of 27.43 ps
BIN = 8 * 0.02743484  # ns
decay = counts[1080:1592].reshape(64, 8).sum(axis=1)  # after the flash of the laser
t = BIN * (np.arange(64) + 0.5)
rng = np.random.default_rng(0)
arrivals = rng.permutation(np.repeat(np.arange(64), decay))[: 1600 * 200].reshape(1600, 200)
photons = np.stack([np.bincount(pixel, minlength=64) for pixel in arrivals]).reshape(40, 40, 64)
print(f"{decay.sum():,} photons, {photons.sum(axis=-1).mean():.0f} in a pixel")

# %%
# The decay of all photons, then the pixels: with weights of 1 / counts, as Neyman's chi-square has them,
# and by the likelihood. (All 900,000 photons show that one exponential is not the whole truth: chi2 is 18
# for each degree of freedom. Two hundred cannot tell.)

model = nbadam.Model("a * exp(-t / tau)", parameters=["a", "tau"], variables=["t"])
together = nbadam.curve_fit(model, t, decay, p0=[decay[0], 3], loss="poisson", bounds=(1e-3, np.inf))
print(together)
start, bounds = {"a": 10, "tau": 3}, {"a": (1e-3, None), "tau": (0.1, 50)}
fits = {
    "chi-square": nbadam.curve_fit(
        model, t, photons, p0=start, bounds=bounds, sigma=np.sqrt(np.maximum(photons, 1))
    ),
    "likelihood": nbadam.curve_fit(model, t, photons, p0=start, bounds=bounds, loss="poisson"),
}
for name, fit in fits.items():
    print(f"{name}: median lifetime {np.median(fit['tau']):.2f} ns, together {together['tau']:.2f} ns")

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
axes[0].semilogy(BIN / 8 * (np.arange(counts.size) - 1035), np.maximum(counts, 0.5), ".", ms=1, color="grey")
axes[0].semilogy(BIN * 5.625 + t, model(t, *together.popt) / 8, color="C3", label="fit")
axes[0].set(xlabel="time / ns", ylabel="photons in 27 ps", xlim=(-5, 30))
axes[0].legend(frameon=False)
image = axes[1].imshow(fits["likelihood"]["tau"], vmin=2.5, vmax=4.5)
axes[1].set(title="likelihood", xticks=[], yticks=[])
figure.colorbar(image, ax=axes[1], shrink=0.8, label="lifetime / ns")
for name, fit in fits.items():
    axes[2].hist(fit["tau"].ravel(), np.linspace(1.5, 5.5, 60), histtype="step", label=name)
axes[2].axvline(together["tau"], color="grey", lw=1, ls="--")
axes[2].set(xlabel="lifetime / ns", ylabel="pixels")
axes[2].legend(frameon=False, fontsize=8)
