"""
Many starts on all cores
========================

A cycle of unknown frequency: the error of a sine has a minimum at every wrong frequency, too. Fifty runs
from random starts, in compiled code on all cores, find the right one: the year, in carbon dioxide at Mauna
Loa, weekly from 1990 to 2000 (Keeling and Whorf, 2004, in the public domain).
"""

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import nbadam

day, co2 = np.genfromtxt("co2.csv", delimiter=",", skip_header=1).T
t = day // 10000 + (day // 100 % 100 - 1) / 12 + (day % 100 - 1) / 365.25 - 1990  # years
chosen = (t >= 0) & (t < 10) & np.isfinite(co2)
t, y = t[chosen], co2[chosen]
y = y - np.polyval(np.polyfit(t, y, 2), t)
y = y / (np.sqrt(2) * y.std())  # a sine of amplitude 1, or nearly so


@njit
def misfit(p, t, y):
    """Mean squared error of a sine of frequency p[0] and phase p[1], and its gradient."""
    phase = 2 * np.pi * p[0] * t + p[1]
    error = np.sin(phase) - y
    slope = 2 * error * np.cos(phase) / t.size
    return (error**2).mean(), np.array([(slope * 2 * np.pi * t).sum(), slope.sum()])


# %%

box = [(0.3, 3), (0, 2 * np.pi)]
result = nbadam.multistart(
    misfit,
    bounds=box,
    args=(t, y),
    n_starts=50,
    jac=True,
    options={"learning_rate": 0.01, "steps": 1000},
    rng=0,
)
print(f"frequency {result.x[0]:.3f} / year, mean squared error {result.fun:.3f}")

# %%
# Where the 50 runs ended, on the error of the best phase at each frequency:

frequencies = np.linspace(0.3, 3, 600)
profile = []
for frequency in frequencies:
    phases = np.linspace(0, 2 * np.pi, 40)
    profile.append(min(np.mean((np.sin(2 * np.pi * frequency * t + phase) - y) ** 2) for phase in phases))
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(frequencies, profile, lw=1, color="grey")
ax.plot(
    [run.x[0] for run in result.results],
    [run.fun for run in result.results],
    "o",
    ms=4,
    color="C0",
    label="ends",
)
ax.plot(result.x[0], result.fun, "o", color="C3", label="best")
ax.set(xlabel="cycles a year", ylabel="mean squared error")
ax.legend(frameon=False)
