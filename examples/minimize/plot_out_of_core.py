"""
Regression on a file
====================

Data that do not fit into memory stay in a file; each step reads one batch. Here the 20,190 records of the
RAND Health Insurance Experiment, which ship with nbadam, stand for more: the lines are the same for a file
of any size. With `epochs` as the only option, scales and learning rate are found from a first look at the
data, and the result comes with the distance that is left to the optimum.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import nbadam
from nbadam import demo

covariates, visits = demo.load()  # units of all sizes
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "table.npy"
np.save(path, np.column_stack([covariates, visits]))


def poisson(p, rows):
    """Mean negative log-likelihood of a Poisson regression on some rows of the file, and its gradient."""
    features, count = rows[:, :-1], rows[:, -1]
    linear = features @ p
    mean = np.exp(linear)
    return np.mean(mean - count * linear), (mean - count) @ features / count.size


# %%

table = np.load(path, mmap_mode="r")
objective = nbadam.Minibatch(poisson, (table,), batch_size=256, rng=0)
run = minimize(objective, np.zeros(10), jac=True, method=nbadam.adam, options={"epochs": 30})
print(run.message)
exact, errors = np.array(list(demo.REFERENCE.values())).T  # by Newton's method
print("in standard errors from the exact estimate:", ((run.x - exact) / errors).round(2))

# %%
# The loss of the batches falls within the first steps; afterwards the steps average over the noise.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].plot(run.history.step, run.history.fun, lw=0.8)
axes[0].set(xlabel="step of 256 records", ylabel="mean loss of the batches")
axes[1].errorbar(range(10), run.x / exact, 2 * errors / abs(exact), fmt="o", ms=4)
axes[1].axhline(1, color="grey", lw=1)
axes[1].set_xticks(range(10), list(demo.REFERENCE), rotation=60, fontsize="small")
axes[1].set(ylabel="estimate / exact one")
folder.cleanup()
