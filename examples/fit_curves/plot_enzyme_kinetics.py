"""
Enzyme kinetics: one constant or two?
=====================================

The data of Bates and Watts (1988): velocity of an enzymatic reaction with and without puromycin. Does the
treatment change the half-saturation constant, or only the highest velocity?
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

concentration = np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1])  # ppm
treated = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200])  # counts / min²
untreated = np.array([67, 51, 84, 86, 98, 115, 131, 124, 144, 158, 160])
data = [concentration, concentration[:-1]], [treated, untreated]

# %%
# Each by itself, and both with one constant:

model = "v * x / (k + x)"
each = nbadam.curve_fit(model, *data, p0=[200, 0.1])
both = nbadam.curve_fit(model, *data, p0=[200, 0.1], shared=["k"])
print(each[0], each[1], sep="\n\n")
print("\nshared k:", both.shared["k"].values.round(4), "+-", both.shared["k"].errors.round(4))

# %%
# The constants differ by less than two standard errors: the data do not ask for two.

difference = each["k"][0] - each["k"][1]
print(f"difference {difference:.4f}, standard error {np.hypot(*each.perr[:, 1]):.4f}")

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
grid = np.linspace(0, 1.15, 100)
values, lower, upper = both.band(grid)
for i, (name, colour) in enumerate([("treated", "C0"), ("untreated", "C1")]):
    ax.plot(data[0][i], data[1][i], "o", color=colour, ms=4)
    ax.plot(grid, values[i], color=colour, label=f"{name}, one constant")
    ax.fill_between(grid, lower[i], upper[i], color=colour, alpha=0.2)
    ax.plot(grid, each[i].predict(grid), "--", color=colour, lw=1, label=f"{name}, by itself")
ax.set(xlabel="concentration / ppm", ylabel="velocity / (counts/min²)", ylim=(0, None))
ax.legend(frameon=False)
