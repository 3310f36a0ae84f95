"""
Learning rates that change
==========================

Schedules are values: pictures of them, and runs with them, need no optimizer. Here a Poisson regression on
the RAND Health Insurance Experiment, 64 of its 20,190 records a step, by momentum with four of them; a rate
that falls ends nearer to the minimum than a constant one.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam
from nbadam import demo, schedules

STEPS = 2000
covariates, visits = demo.load()
scale = np.r_[1.0, covariates[:, 1:].std(axis=0)]
shift = np.r_[0.0, covariates[:, 1:].mean(axis=0)]
features = (covariates - shift) / scale
exact = np.array([estimate for estimate, _ in demo.REFERENCE.values()])
best = demo.poisson(exact, covariates, visits)[0]  # the least value of all records
choices = {
    "constant": 0.003,
    "cosine": schedules.CosineDecay(0.003, STEPS),
    "one cycle": schedules.OneCycle(0.01, STEPS),
    "1 / t": schedules.InverseTimeDecay(0.003, 200, 1.0),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, rate in choices.items():
    rng, x = np.random.default_rng(0), np.zeros(10)
    optimizer = nbadam.SGD(rate, momentum=0.9)
    distances = []
    for step in range(STEPS):
        rows = rng.integers(visits.size, size=64)
        optimizer.apply_gradients([(demo.poisson(x, features[rows], visits[rows])[1], x)])
        if step % 20 == 19:
            distances.append(demo.poisson(x, features, visits)[0] - best)
    steps = np.arange(STEPS)
    axes[0].plot(steps, [rate(s) if callable(rate) else rate for s in steps], label=name)
    axes[1].semilogy(steps[19::20], distances, label=name)
    print(f"{name}: {np.mean(distances[-10:]):.5f}")
axes[0].set(xlabel="step", ylabel="learning rate")
axes[1].set(xlabel="step", ylabel="distance from the least value")
axes[0].legend(frameon=False)
