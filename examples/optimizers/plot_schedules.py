"""
Learning rates that change
==========================

Schedules are values: pictures of them, and runs with them, need no optimizer. Here a noisy bowl of 20
variables is minimized by momentum with four of them; a rate that falls ends nearer to the minimum than
any constant one.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam
from nbadam import schedules

STEPS = 1000
choices = {
    "constant": 0.03,
    "cosine": schedules.CosineDecay(0.03, STEPS),
    "one cycle": schedules.OneCycle(0.1, STEPS),
    "1 / t": schedules.InverseTimeDecay(0.03, 100, 1.0),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
curvature = np.geomspace(0.1, 3, 20)
for name, rate in choices.items():
    rng, x = np.random.default_rng(0), np.ones(20)
    optimizer = nbadam.SGD(rate, momentum=0.9)
    distances = []
    for _ in range(STEPS):
        optimizer.apply_gradients([(curvature * x + rng.standard_normal(20), x)])
        distances.append(np.sum(curvature * x**2))
    steps = np.arange(STEPS)
    axes[0].plot(steps, [rate(s) if callable(rate) else rate for s in steps], label=name)
    axes[1].semilogy(np.convolve(distances, np.full(30, 1 / 30), mode="valid"), label=name)
    print(f"{name}: {np.mean(distances[-30:]):.3f}")
axes[0].set(xlabel="step", ylabel="learning rate")
axes[1].set(xlabel="step", ylabel="distance from the minimum")
axes[0].legend(frameon=False)
