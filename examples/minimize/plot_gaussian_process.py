"""
A Gaussian process on batches
=============================

The likelihood of a Gaussian process costs the cube of the number of points, which is much for thousands. On
windows of 100 neighbouring points it costs milliseconds, and a stochastic method finds the hyperparameters
from them. The data: carbon dioxide in the air of Mauna Loa, weekly from 1958 to 2001 (Keeling and Whorf,
2004; in the public domain, as statsmodels ships it); ``co2.csv`` lies beside this script.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

import nbadam

day, co2 = np.genfromtxt("co2.csv", delimiter=",", skip_header=1).T
x = day // 10000 + (day // 100 % 100 - 1) / 12 + (day % 100 - 1) / 365.25 - 1980  # years since 1980
x, co2 = x[np.isfinite(co2)], co2[np.isfinite(co2)]

# %%
# A parabola and the seasons come first, as a fit; the process is for the rest.

season = " + ".join(f"a{k} * cos({2 * np.pi * k} * t) + b{k} * sin({2 * np.pi * k} * t)" for k in (1, 2))
parameters = ["p", "q", "r", "a1", "b1", "a2", "b2"]
trend = nbadam.Model(f"p + q * t + r * t**2 + {season}", parameters, ["t"])
fit = nbadam.curve_fit(trend, x, co2, p0=[340, 1.5, 0, 0, 0, 0, 0])
print(fit)
y = co2 - trend(x, *fit.popt)


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
# Neighbours carry the information on the length: a batch is two windows of 100 neighbouring weeks.

windows = np.arange(100)


def window_loss(theta, first):
    """Loss of the windows that begin at these points."""
    parts = [loss(theta, x[windows + i], y[windows + i]) for i in first]
    return sum(value for value, _ in parts) / len(parts), sum(slope for _, slope in parts) / len(parts)


starts = np.arange(0, x.size - 100, 25)
objective = nbadam.Minibatch(window_loss, (starts,), batch_size=2, rng=0)
run = minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options={"epochs": 15})
length, height, noise = np.exp(run.x)
print(run.message)
print(f"length {length:.2f} years, height {height:.2f} ppm, noise of a week {noise:.2f} ppm")

# %%
# The process with these hyperparameters, on ten years; without every second week, as a test:

inside = (x > 5) & (x < 15)
u, v = x[inside][::2], y[inside][::2]
grid = np.linspace(5, 15, 400)


def covariance(a, b):
    """Covariance of the function at two sets of points."""
    return height**2 * np.exp(-((a[:, None] - b) ** 2) / (2 * length**2))


factor = cho_factor(covariance(u, u) + noise**2 * np.eye(u.size))


def process(at):
    """Mean and standard deviation of the function at some points."""
    k = covariance(at, u)
    return k @ cho_solve(factor, v), np.sqrt(height**2 - np.sum(k * cho_solve(factor, k.T).T, axis=1))


mean, spread = process(grid)
held, left = x[inside][1::2], y[inside][1::2]
predicted, uncertainty = process(held)
pulls = (left - predicted) / np.hypot(uncertainty, noise)
print(f"weeks that were left out: {np.mean(abs(pulls) < 1):.0%} within one standard deviation")

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(1980 + u, v, ".", color="grey", ms=4)
ax.plot(1980 + grid, mean, color="C3", label="process")
ax.fill_between(1980 + grid, mean - 2 * spread, mean + 2 * spread, color="C3", alpha=0.25)
ax.set(xlabel="year", ylabel="CO₂ beyond trend and seasons / ppm")
ax.legend(frameon=False)
