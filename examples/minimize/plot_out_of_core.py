"""
Regression on a file
====================

Data that do not fit into memory stay in a file; each step reads one batch. Here 400,000 simulated rows of 8
features, mapped into memory by NumPy. With `epochs` as the only option, scales and learning rate are
found from a first look at the data, and the result comes with the distance that is left to the optimum.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import nbadam

rng = np.random.default_rng(0)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "table.npy"
table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(400_000, 9))
weights = np.array([1.0, -0.5, 0.25, 0, 0, 0.1, -0.1, 0.5])
for rows in np.split(np.arange(400_000), 8):
    table[rows, :8] = rng.standard_normal((rows.size, 8)) * 10.0 ** np.arange(-2, 6)  # units of all sizes
    z = table[rows, :8] / 10.0 ** np.arange(-2, 6) @ weights
    table[rows, 8] = rng.random(rows.size) < 1 / (1 + np.exp(-z))
table.flush()


def logistic(p, rows):
    """Mean negative log-likelihood of a logistic regression on some rows of the file, and its gradient."""
    features, label = rows[:, :8].astype(float), rows[:, 8]
    linear = features @ p
    return np.mean(np.logaddexp(0, linear) - label * linear), (
        1 / (1 + np.exp(-linear)) - label
    ) @ features / label.size


# %%

objective = nbadam.Minibatch(logistic, (np.load(path, mmap_mode="r"),), batch_size=1000, rng=0)
run = minimize(objective, np.zeros(8), jac=True, method=nbadam.adam, options={"epochs": 5})
print(run.message)
units = 10.0 ** np.arange(-2, 6)
print("weights in the units of the features:", (run.x * units).round(3))

# %%
# The loss of the batches falls within the first steps; afterwards the steps average over the noise.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].plot(run.history.step, run.history.fun, lw=0.8)
axes[0].set(xlabel="step of 1,000 rows", ylabel="mean loss of the batches")
axes[1].plot(weights, run.x * units, "o")
axes[1].plot([-0.5, 1], [-0.5, 1], color="grey", lw=1)
axes[1].set(xlabel="true weight", ylabel="estimate")
folder.cleanup()
