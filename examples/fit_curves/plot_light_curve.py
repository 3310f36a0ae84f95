"""
The light curve of a variable star
==================================

Star 1.4652.1527 of the MACHO survey, in blue light: 500 measurements, each with its own error, at irregular
times with gaps. Its period, half a day, is shorter than the time between most of them. The data are in the
public domain, obtained by the MACHO Project; ``light_curve.csv`` lies beside this script.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import lombscargle

import nbadam

t, magnitude, error = np.loadtxt("light_curve.csv", delimiter=",", skiprows=1).T
t = t - t[0]  # days

# %%
# The chi-square has a minimum at every wrong frequency, too: a periodogram finds the start.

frequencies = np.linspace(0.3, 3.3, 60_000)  # cycles in a day
power = lombscargle(t, magnitude - magnitude.mean(), 2 * np.pi * frequencies, weights=1 / error**2)
start = frequencies[power.argmax()]

# %%
# A Fourier series of four harmonics, with the frequency as a parameter. A few points are far off: Cauchy's
# loss keeps them out.

terms = " + ".join(
    f"a{k} * cos({2 * np.pi * k} * f * t) + b{k} * sin({2 * np.pi * k} * f * t)" for k in (1, 2, 3, 4)
)
names = ["m", "f", *(f"{c}{k}" for k in (1, 2, 3, 4) for c in "ab")]
model = nbadam.Model(f"m + {terms}", names, ["t"])
p0 = [magnitude.mean(), start] + 8 * [0.05]
fit = nbadam.curve_fit(model, t, magnitude, p0=p0, sigma=error, loss="cauchy", f_scale=2)
period, uncertainty = 1 / fit["f"], fit.perr[1] / fit["f"] ** 2
print(f"{fit.message()}\nperiod {period:.7f} +- {uncertainty:.7f} days")

# %%
# Folded by the period, the points of 800 days are one curve: a steep rise and a slow fall, as of RR Lyrae.

phase = np.linspace(0, 2, 400)
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), width_ratios=[1, 1.2], layout="constrained")
axes[0].plot(t, magnitude, ".", ms=3, color="grey")
axes[0].set(xlabel="day", ylabel="instrumental magnitude")
folded = t / period % 1
for turn in (0, 1):
    axes[1].errorbar(folded + turn, magnitude, error, fmt=".", ms=3, lw=0.5, color="C0", alpha=0.5)
values, lower, upper = fit.band(phase * period)
axes[1].plot(phase, values, color="C3")
axes[1].fill_between(phase, lower, upper, color="C3", alpha=0.3)
axes[1].set(xlabel="phase", ylabel="instrumental magnitude")
for ax in axes:
    ax.set_ylim(magnitude.max() + 0.1, magnitude.min() - 0.1)  # bright is up
