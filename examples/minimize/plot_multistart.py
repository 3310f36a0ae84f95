"""
Many starts on all cores
========================

A clock of unknown frequency: the likelihood of a sine has a minimum at every wrong frequency, too. Fifty
runs from random starts, in compiled code on all cores, find the right one.
"""

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import nbadam

rng = np.random.default_rng(0)
t = np.sort(rng.uniform(0, 10, 200))
y = np.sin(2 * np.pi * 1.7 * t + 0.4) + 0.5 * rng.standard_normal(t.size)


@njit
def misfit(p, t, y):
    """Mean squared error of a sine of frequency p[0] and phase p[1], and its gradient."""
    phase = 2 * np.pi * p[0] * t + p[1]
    error = np.sin(phase) - y
    slope = 2 * error * np.cos(phase) / t.size
    return (error**2).mean(), np.array([(slope * 2 * np.pi * t).sum(), slope.sum()])


# %%

box = [(0.5, 3), (0, 2 * np.pi)]
result = nbadam.multistart(
    misfit,
    bounds=box,
    args=(t, y),
    n_starts=50,
    jac=True,
    options={"learning_rate": 0.01, "steps": 1000},
    rng=0,
)
print(f"frequency {result.x[0]:.3f} (true 1.7), mean squared error {result.fun:.3f}")

# %%
# Where the 50 runs ended, on the error of the best phase at each frequency:

frequencies = np.linspace(0.5, 3, 600)
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
ax.set(xlabel="frequency", ylabel="mean squared error")
ax.legend(frameon=False)
