"""Plots of fits."""

import numpy as np

from ..extras import extra


def plot_fit(fit, x: np.ndarray, y: np.ndarray, sigma: np.ndarray | None, ax):
    """Plot one fit with its data: see `FitResult.plot`."""
    ax = _axes(ax)
    varying = np.flatnonzero((x != x[:, :1]).any(axis=1)) if len(x) > 1 else [0]
    if len(varying) == 1:
        v = varying[0]
        grid = np.tile(x[:, :1], 400)
        grid[v] = np.linspace(x[v].min(), x[v].max(), 400)
        horizontal, line, curve = x[v], grid[v], fit.model(grid, *fit.popt)
    else:
        horizontal = line = curve = fit.model(x, *fit.popt)
    ax.errorbar(horizontal, y, sigma, fmt=".", color="0.4", label="data")
    ax.plot(line, curve, color="C3", label="model")
    ax.set_xlabel(fit.model.variables[varying[0]] if len(varying) == 1 else "model")
    ax.set_ylabel("y")
    values = ", ".join(f"{name} = {value:.4g}" for name, value in zip(fit.parameters, fit.popt, strict=True))
    ax.set_title(f"{values}\n{fit.message()}", fontsize="small")
    ax.legend()
    return ax


def plot_values(title: str, values: np.ndarray, ax):
    """Plot values of a batch of one or two axes."""
    ax = _axes(ax)
    if values.ndim == 2:
        ax.figure.colorbar(ax.imshow(values), ax=ax)
    else:
        ax.plot(values, ".")
    ax.set_title(title)
    return ax


def _axes(ax):
    if ax is not None:
        return ax
    return extra("matplotlib.pyplot", "plot").figure(layout="constrained").add_subplot()
