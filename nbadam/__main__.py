"""Fit a Poisson regression to the RAND health insurance data, from mini-batches: ``python -m nbadam``.

Every step of Adam sees 256 of the 20,190 records, and nothing is tuned, yet the estimates must agree
with the exact maximum likelihood within a tenth of their standard errors.
"""

import sys
import time
from importlib.resources import files

import numpy as np
from scipy.optimize import minimize

import nbadam

EPOCHS = 100
BATCH = 256  # records
TOLERANCE = 0.1  # standard errors

# Exact estimate and its standard error, by Newton's method in extended precision.
REFERENCE = {
    "const": (0.700352878601, 0.0111626671),
    "lncoins": (-0.052535115354, 0.0028839892),
    "idp": (-0.247086794132, 0.0106172519),
    "lpi": (0.035290201696, 0.0018283368),
    "fmde": (-0.034577506718, 0.0016128485),
    "physlm": (0.271713978822, 0.0122391384),
    "disea": (0.033941474482, 0.0005647650),
    "hlthg": (-0.012635034402, 0.0092506112),
    "hlthf": (0.054056329894, 0.0153098707),
    "hlthp": (0.206115118440, 0.0262792827),
}


def load() -> tuple[np.ndarray, np.ndarray]:
    """Return the covariates with a leading column of ones, shape (20190, 10), and the visits."""
    with (files("nbadam") / "data" / "randhie.csv").open() as lines:
        table = np.loadtxt(lines, delimiter=",", skiprows=1)
    visits = table[:, 0].copy()
    table[:, 0] = 1.0
    return table, visits


def poisson(coefficients, covariates, counts):
    """Return mean negative log-likelihood, up to a constant, and its gradient."""
    linear = covariates @ coefficients
    mean = np.exp(linear)
    return (mean - counts * linear).mean(), (mean - counts) @ covariates / counts.size


def fit(covariates: np.ndarray, visits: np.ndarray):
    """Minimize the mini-batch objective and return SciPy's result."""
    objective = nbadam.Minibatch(poisson, (covariates, visits), batch_size=BATCH, rng=0)
    start = np.zeros(covariates.shape[1])
    return minimize(objective, start, jac=True, method=nbadam.adam, options={"epochs": EPOCHS})


def main() -> int:
    """Fit twice, print the table, and return 0 if every estimate agrees with the reference."""
    covariates, visits = load()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        result = fit(covariates, visits)
        seconds.append(time.perf_counter() - started)

    print(f"Poisson regression, {visits.size:,} records, mini-batches of {BATCH}, {EPOCHS} epochs\n")
    print(f"{'parameter':<10}{'estimate':>12}{'reference':>12}{'difference':>12}{'in std. errors':>16}")
    worst = 0.0
    for name, estimate, (reference, error) in zip(REFERENCE, result.x, REFERENCE.values(), strict=True):
        difference = estimate - reference
        worst = max(worst, abs(difference / error))
        print(f"{name:<10}{estimate:12.6f}{reference:12.6f}{difference:12.6f}{difference / error:16.3f}")

    best, _ = poisson(np.array([reference for reference, _ in REFERENCE.values()]), covariates, visits)
    print(f"\nobjective over all records  {result.fun:.9f} (reference {best:.9f})")
    print(f"steps                       {result.nit:,}: {result.message}")
    print(f"first call, second call     {seconds[0]:.2f} s, {seconds[1]:.2f} s")
    agrees = bool(result.success and worst <= TOLERANCE)
    verdict = "agrees with" if agrees else "MISSES"
    print(f"The fit {verdict} the reference: at most {worst:.3f} standard errors off (allowed: {TOLERANCE}).")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
