"""
A Gaussian process on batches
=============================

The likelihood of a Gaussian process costs the cube of the number of points, which is much for 10,000. On
windows of 100 neighbouring points it costs milliseconds, and a stochastic method finds the
hyperparameters from them. The 10,000 points are simulated.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

import nbadam

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0, 100, 10_000))
y = np.sin(x) + 0.5 * np.sin(2.3 * x + 1) + 0.3 * rng.standard_normal(x.size)


def loss(theta, x, y):
    """Negative log-likelihood for each point, and its gradient; theta: log of length, height, noise."""
    length, height, noise = np.exp(theta)
    d2 = (x[:, None] - x) ** 2
    kernel = height**2 * np.exp(-d2 / (2 * length**2))
    factor = cho_factor(kernel + noise**2 * np.eye(x.size), lower=True)
    alpha = cho_solve(factor, y)
    value = y @ alpha / 2 + np.log(np.diag(factor[0])).sum()
    outer = np.outer(alpha, alpha) - cho_solve(factor, np.eye(x.size))
    slopes = kernel * d2 / length**2, 2 * kernel, 2 * noise**2 * np.eye(x.size)
    return value / x.size, np.array([-0.5 * np.sum(outer * slope) for slope in slopes]) / x.size


# %%
# Neighbours carry the information on the length: a batch is a window of 100 neighbouring points.

windows = np.arange(100)


def window_loss(theta, first):
    """Loss of the windows that begin at these points."""
    parts = [loss(theta, x[windows + i], y[windows + i]) for i in first]
    return sum(value for value, _ in parts) / len(parts), sum(slope for _, slope in parts) / len(parts)


starts = np.arange(0, x.size - 100, 50)
objective = nbadam.Minibatch(window_loss, (starts,), batch_size=2, rng=0)
run = minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 4})
length, height, noise = np.exp(run.x)
print(run.message)
print(f"length {length:.2f}, height {height:.2f}, noise {noise:.3f} (true noise 0.3)")

# %%
# The process with these hyperparameters, on one window:

inside = (x > 20) & (x < 26)
u, v = x[inside][::4], y[inside][::4]
grid = np.linspace(20, 26, 200)


def covariance(a, b):
    """Covariance of the function at two sets of points."""
    return height**2 * np.exp(-((a[:, None] - b) ** 2) / (2 * length**2))


factor = cho_factor(covariance(u, u) + noise**2 * np.eye(u.size))
mean = covariance(grid, u) @ cho_solve(factor, v)
spread = np.sqrt(height**2 - np.sum(covariance(grid, u) * cho_solve(factor, covariance(u, grid)).T, axis=1))
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(u, v, ".", color="grey", ms=4)
ax.plot(grid, mean, color="C3", label="process")
ax.fill_between(grid, mean - 2 * spread, mean + 2 * spread, color="C3", alpha=0.25)
ax.plot(grid, np.sin(grid) + 0.5 * np.sin(2.3 * grid + 1), "--", color="C0", lw=1, label="truth")
ax.set(xlabel="x", ylabel="y")
ax.legend(frameon=False)
