"""
A plate of dose responses
=========================

96 compounds, one in each well of a plate, at ten doses. The model ships with nbadam and finds its own
start. Some compounds do nothing: their fits are marked, and no number is invented for them.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

rng = np.random.default_rng(0)
dose = np.geomspace(1e-3, 100, 10)  # µM
ec50 = np.exp(rng.uniform(np.log(0.02), np.log(5), (8, 12, 1)))
top = np.where(rng.random((8, 12, 1)) < 0.15, 0, 80)  # percent; 0 for compounds without effect
response = 5 + top / (1 + (dose / ec50) ** -1.2) + 3 * rng.standard_normal((8, 12, 10))

fit = nbadam.curve_fit(
    nbadam.models.DOSE_RESPONSE, dose, response, bounds={"hill": (0.3, 5), "ec50": (1e-4, 1e3)}
)
print(fit)

# %%
# The map of the plate. A compound counts as active if its effect is more than five standard errors.

names = fit.model.parameters
effect = fit["top"] - fit["bottom"]
error = np.hypot(fit.perr[..., names.index("top")], fit.perr[..., names.index("bottom")])
active = fit.success & (abs(effect) > 5 * error)
print(f"{active.sum()} active compounds, {(top[..., 0] > 0).sum()} in truth")

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), width_ratios=[1.4, 1], layout="constrained")
plate = axes[0].imshow(np.where(active, np.log10(fit["ec50"]), np.nan), cmap="viridis")
axes[0].set_xticks(range(12), range(1, 13))
axes[0].set_yticks(range(8), "ABCDEFGH")
axes[0].set_title("log10(EC50 / µM); empty: no effect")
figure.colorbar(plate, ax=axes[0], shrink=0.9)

grid = np.geomspace(1e-3, 100, 100)
for (row, column), colour in zip(np.argwhere(active)[[0, 20, 40]], ("C0", "C1", "C2"), strict=True):
    axes[1].semilogx(dose, response[row, column], "o", color=colour, ms=4)
    axes[1].semilogx(
        grid, fit[row, column].predict(grid), color=colour, label=f"{'ABCDEFGH'[row]}{column + 1}"
    )
axes[1].set(xlabel="dose / µM", ylabel="response / %")
axes[1].legend(frameon=False)
