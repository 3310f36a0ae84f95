"""
Diffusion MRI: maps of a brain
==============================

Water diffuses in tissue; magnetic field gradients of weighting *b* dampen its signal. To second order in
*b* the signal is :math:`S \\exp(-b D + b^2 D^2 K / 6)`, with the diffusivity *D* and the excess kurtosis
*K* (Jensen et al., 2005). The data, 6 x 10 x 10 voxels of a human brain with 102 measurements each, ship
with nbadam.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam
from nbadam.demo import load_voxels

b, signals = load_voxels()
print(signals.shape)

# %%
# One call fits all 600 voxels. The start is a function of one voxel's data.


def kurtosis(b, signal, diffusivity, kurtosis):
    """Signal at weighting b."""
    return signal * np.exp(-b * diffusivity + (b * diffusivity) ** 2 * kurtosis / 6)


def start(b, y):
    """Unweighted signal, and values typical of brain tissue."""
    return np.array([y[b < 0.1].mean(), 1.0, 1.0])


fit = nbadam.curve_fit(kurtosis, b, signals, p0=start)
print(fit)

# %%
# Each parameter is an array of the shape of the image, and so are the standard errors.

figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
labels = {"signal": "signal", "diffusivity": "D / (µm²/ms)", "kurtosis": "K"}
for ax, (name, label) in zip(axes, labels.items(), strict=True):
    values = fit[name][3]
    low, high = np.percentile(fit[name], [2, 98])
    image = ax.imshow(values, vmin=low, vmax=high)
    ax.set(title=label, xticks=[], yticks=[])
    figure.colorbar(image, ax=ax, shrink=0.8)

# %%
# The voxels that agree least with the model: there water diffuses along fibres, and the signal depends on
# the direction of the gradient, of which this model knows nothing.

fit.plot_worst(2)
