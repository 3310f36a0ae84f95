"""
Spectra with cosmic rays
========================

A Raman map: in each of 400 spectra a peak on a sloping background, whose position tells the strain.
Cosmic rays hit the detector; a robust loss keeps them out, at no more than one argument. The
spectra are simulated, so that the true positions are known.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

rng = np.random.default_rng(0)
shift = np.linspace(490, 550, 80)  # wave numbers in 1/cm
u, v = np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 20))
centre = 520 + 3 * np.exp(-(u**2 + v**2) / 0.3)
spectra = 100 / (1 + ((shift - centre[..., None]) / 4) ** 2) + 20 + 0.3 * (shift - 520)
spectra = spectra + rng.normal(0, 2, spectra.shape)
rays = rng.random(spectra.shape) < 0.01
spectra[rays] += rng.uniform(50, 1000, rays.sum())

model = "height / (1 + ((x - centre) / width)**2) + level + slope * (x - 520)"
start = {"height": 80, "centre": 520, "width": 5, "level": 20, "slope": 0}

# %%
# Least squares beside Cauchy's loss, which begins to doubt points at three standard deviations of the
# noise.

fits = {
    "least squares": nbadam.curve_fit(model, shift, spectra, p0=start),
    "Cauchy's loss": nbadam.curve_fit(model, shift, spectra, p0=start, loss="cauchy", f_scale=6),
}
for name, fit in fits.items():
    error = np.sqrt(np.nanmean((fit["centre"] - centre)[fit.success] ** 2))
    print(f"{name}: centre within {error:.2f} / cm, {fit.success.mean():.1%} successful")

figure, axes = plt.subplots(1, 3, figsize=(10, 3), width_ratios=[1, 1, 1.3], layout="constrained")
for ax, (name, fit) in zip(axes, fits.items(), strict=False):
    image = ax.imshow(fit["centre"], vmin=519, vmax=524)
    ax.set(title=name, xticks=[], yticks=[])
figure.colorbar(image, ax=axes[:2], shrink=0.8, label="centre / (1/cm)")

hit = np.unravel_index(rays.sum(axis=-1).argmax(), u.shape)
axes[2].plot(shift, spectra[hit], ".", color="grey")
for colour, (name, fit) in zip(("C0", "C3"), fits.items(), strict=True):
    axes[2].plot(shift, fit[hit].predict(shift), color=colour, label=name)
axes[2].set(xlabel="Raman shift / (1/cm)", ylabel="counts", ylim=(0, 200))
axes[2].legend(frameon=False, fontsize=8)
