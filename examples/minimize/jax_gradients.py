"""
Gradients by JAX
================

nbadam computes no gradients of objectives; JAX does. Its function of value and gradient is an objective
as it is, once the precision is double. (Executed only where JAX is installed.)
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import nbadam

jax.config.update("jax_enable_x64", True)

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, 5000)
y = np.sin(2 * x) + 0.1 * rng.standard_normal(x.size)


def loss(p, x, y):
    """Mean squared error of a network of one hidden layer with 16 units."""
    w, b, v = p[:16], p[16:32], p[32:48]
    return jnp.mean((jnp.tanh(x[:, None] * w + b) @ v + p[48] - y) ** 2)


value_and_gradient = jax.jit(jax.value_and_grad(loss))


def objective(p, x, y):
    """Value and gradient as NumPy numbers."""
    value, gradient = value_and_gradient(p, x, y)
    return float(value), np.asarray(gradient)


batches = nbadam.Minibatch(objective, (x, y), batch_size=100, rng=0)
run = minimize(
    batches,
    rng.standard_normal(49),
    jac=True,
    method=nbadam.adam,
    options={"epochs": 40, "learning_rate": 0.01},
)
print(run.fun)

grid = np.linspace(-3, 3, 200)
w, b, v = run.x[:16], run.x[16:32], run.x[32:48]
plt.plot(x[:500], y[:500], ".", color="grey", ms=3)
plt.plot(grid, np.tanh(grid[:, None] * w + b) @ v + run.x[48], color="C3")
