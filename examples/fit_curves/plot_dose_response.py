"""
Plates of an assay
==================

An immunoassay (ELISA) for the protein DNase in rat serum, run on eleven plates: eight concentrations, each
measured twice (Davidian and Giltinan, *Nonlinear Models for Repeated Measurement Data*, 1995, section
5.2.4). The model ships with nbadam and finds its own start.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

concentration = np.repeat(12.5 / 2.0 ** np.array([8, 6, 5, 4, 3, 2, 1, 0]), 2)  # ng/ml
density = 1e-3 * np.array(  # optical density, a plate in each row
    [
        [17, 18, 121, 124, 206, 215, 377, 374, 614, 609, 1019, 1001, 1334, 1364, 1730, 1710],
        [45, 50, 137, 123, 225, 207, 401, 383, 672, 681, 1116, 1078, 1554, 1526, 1932, 1914],
        [70, 68, 173, 165, 277, 248, 434, 426, 703, 689, 1067, 1077, 1629, 1479, 2003, 1884],
        [11, 16, 118, 108, 200, 206, 364, 360, 620, 640, 979, 973, 1424, 1399, 1740, 1732],
        [35, 35, 132, 135, 224, 220, 385, 390, 658, 647, 1060, 1031, 1425, 1409, 1750, 1738],
        [86, 103, 191, 189, 272, 277, 440, 426, 686, 676, 1062, 1072, 1424, 1459, 1768, 1806],
        [94, 92, 182, 182, 282, 273, 444, 439, 686, 668, 1052, 1035, 1409, 1392, 1759, 1739],
        [54, 54, 152, 148, 226, 222, 392, 383, 658, 644, 1043, 1002, 1466, 1381, 1743, 1724],
        [32, 43, 142, 155, 239, 242, 420, 395, 624, 705, 1046, 1026, 1398, 1405, 1693, 1729],
        [52, 94, 164, 166, 259, 256, 439, 439, 690, 701, 1042, 1075, 1340, 1406, 1699, 1708],
        [47, 57, 159, 155, 246, 252, 427, 411, 704, 684, 994, 980, 1421, 1385, 1715, 1721],
    ]
)  # fmt: skip

fit = nbadam.curve_fit(nbadam.models.DOSE_RESPONSE, concentration, density)
print(fit)

# %%
# A calibration curve is read backwards: a density tells a concentration. How much does it matter which
# plate's curve is used for it? The middle one of the densities, on each plate:

bottom, top, ec50, hill = (fit[name] for name in ("bottom", "top", "ec50", "hill"))
read = ec50 * ((0.65 - bottom) / (top - 0.65)) ** (1 / hill)
print(f"density 0.65: {read.min():.2f} to {read.max():.2f} ng/ml, mean {read.mean():.2f}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
grid = np.geomspace(0.04, 14, 100)
for plate, colour in ((1, "C0"), (3, "C1"), (6, "C2")):
    axes[0].semilogx(concentration, density[plate], "o", color=colour, ms=4)
    axes[0].semilogx(grid, fit[plate].predict(grid), color=colour, label=f"plate {plate + 1}")
axes[0].set(xlabel="concentration / (ng/ml)", ylabel="optical density")
axes[0].legend(frameon=False)
column = fit.model.parameters.index("ec50")
axes[1].errorbar(range(1, 12), ec50, fit.perr[:, column], fmt="o", ms=4, color="C0")
axes[1].set(xlabel="plate", ylabel="half-way concentration / (ng/ml)", xticks=range(1, 12))
