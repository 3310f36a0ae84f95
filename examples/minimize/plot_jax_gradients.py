"""
Gradients by JAX
================

nbadam computes no gradients of objectives; JAX does. Its function of value and gradient is an objective
as it is, once the precision is double. A small network learns the seasons of carbon dioxide at Mauna Loa
(Keeling and Whorf, 2004, in the public domain).
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import nbadam

jax.config.update("jax_enable_x64", True)

day, co2 = np.genfromtxt("co2.csv", delimiter=",", skip_header=1).T
year = day // 10000 + (day // 100 % 100 - 1) / 12 + (day % 100 - 1) / 365.25
year, co2 = year[np.isfinite(co2)], co2[np.isfinite(co2)]
y = co2 - np.polyval(np.polyfit(year - 1980, co2, 3), year - 1980)  # ppm
x = 6 * (year % 1) - 3  # of the year, from -3 to 3


def loss(p, x, y):
    """Mean squared error of a network of one hidden layer with 16 units."""
    w, b, v = p[:16], p[16:32], p[32:48]
    return jnp.mean((jnp.tanh(x[:, None] * w + b) @ v + p[48] - y) ** 2)


value_and_gradient = jax.jit(jax.value_and_grad(loss))


def objective(p, x, y):
    """Value and gradient as NumPy numbers."""
    value, gradient = value_and_gradient(p, x, y)
    return float(value), np.asarray(gradient)


batches = nbadam.Minibatch(objective, (x, y), batch_size=100, rng=0, drop_last=True)
run = minimize(
    batches,
    np.random.default_rng(0).standard_normal(49),
    jac=True,
    method=nbadam.adam,
    options={"epochs": 100, "learning_rate": 0.01},
)
print(f"residuals {np.sqrt(run.fun):.2f} ppm, seasons {y.std():.2f} ppm")

grid = np.linspace(-3, 3, 200)
w, b, v = run.x[:16], run.x[16:32], run.x[32:48]
plt.plot(2 * (x + 3), y, ".", color="grey", ms=2)
plt.plot(2 * (grid + 3), np.tanh(grid[:, None] * w + b) @ v + run.x[48], color="C3")
plt.xlabel("month")
plt.ylabel("CO₂ beyond the trend / ppm")
