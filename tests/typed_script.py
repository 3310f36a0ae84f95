"""A user's script, which type checkers read and nobody runs."""

import numpy as np

import nbadam


def model(x: float, a: float, k: float) -> float:
    """Decay at one point."""
    return a * float(np.exp(-k * x))


fit = nbadam.curve_fit(model, np.arange(3.0), np.ones(3), p0=[1, 1])
values: np.ndarray = fit.popt
worked: bool = bool(fit.success)
result = nbadam.adam(lambda x: float(x @ x), [1.0, 2.0], learning_rate=0.1, steps=10)
optimizer = nbadam.Adam(learning_rate=nbadam.schedules.CosineDecay(0.1, 100), clipnorm=1.0)
count: int = optimizer.apply_gradients([(np.ones(2), np.zeros(2))])
status: nbadam.Status = nbadam.Status.SUCCESS
peak = nbadam.curve_fit(nbadam.models.GAUSSIAN, np.arange(9.0), np.ones(9))

nbadam.adam(model, [1.0], step=10)  # type: ignore[call-arg]
nbadam.sgd(model, [1.0], beta_1=0.9)  # type: ignore[call-arg]
nbadam.curve_fits(model)  # type: ignore[attr-defined]
