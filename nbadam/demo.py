"""Two jobs on real data, checked against reference results: ``nbadam demo``.

A Poisson regression on the RAND health insurance data, from mini-batches: every step of Adam sees 256 of
the 20,190 records.  Nothing is tuned, yet the estimates must agree with the exact maximum likelihood
within a tenth of their standard errors.  And a batch of fits: the diffusion of water in every voxel of a
piece of a human brain, where no fit may be worse than that of SciPy's `curve_fit`.
"""

import gzip
import time
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.optimize import curve_fit, minimize

import nbadam

EPOCHS = 100
BATCH = 256  # number of records in a batch
TOLERANCE = 0.1  # largest deviation in standard errors

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


def poisson(coefficients: np.ndarray, covariates: np.ndarray, counts: np.ndarray) -> tuple[Any, Any]:
    """Return mean negative log-likelihood, up to a constant, and its gradient."""
    linear = covariates @ coefficients
    mean = np.exp(linear)
    return (mean - counts * linear).mean(), (mean - counts) @ covariates / counts.size


def fit(covariates: np.ndarray, visits: np.ndarray) -> Any:
    """Minimize the mini-batch objective and return SciPy's result."""
    objective = nbadam.Minibatch(poisson, (covariates, visits), batch_size=BATCH, rng=0)
    start = np.zeros(covariates.shape[1])
    return minimize(objective, start, jac=True, method=nbadam.adam, options={"epochs": EPOCHS})


def main(options: object = None) -> int:
    """Do both jobs; return 0 if they agree with their references.  There are no options."""
    agree = [regression()]
    print()
    agree.append(diffusion())
    return 0 if all(agree) else 1


def regression() -> bool:
    """Fit twice, print the table, and return whether every estimate agrees with the reference."""
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
    return agrees


# --- Diffusion in voxels ---------------------------------------------------------------------------

PEERS = 100  # number of voxels that SciPy fits, too
WORSE = 1e-6  # allowed excess of chi-square over SciPy's


def load_voxels() -> tuple[np.ndarray, np.ndarray]:
    """Return the diffusion weightings in ms/um^2, shape (102,), and the signals, shape (6, 10, 10, 102)."""
    folder = files("nbadam") / "data"
    content = gzip.decompress((folder / "diffusion.nii.gz").read_bytes())
    shape = np.frombuffer(content, "<i2", count=4, offset=42)  # header of a NIfTI-1 file of 16-bit integers
    signals = np.frombuffer(content, "<u2", offset=352).reshape(shape[::-1]).T
    with (folder / "diffusion.bval").open() as lines:
        return np.loadtxt(lines) / 1000, signals.astype(float)


def kurtosis(b: np.ndarray, signal: np.ndarray, diffusivity: Any, kurtosis: Any) -> Any:
    """Signal at weighting b, to second order in b (Jensen et al., Magn. Reson. Med. 53, 2005)."""
    return signal * np.exp(-b * diffusivity + (b * diffusivity) ** 2 * kurtosis / 6)


def kurtosis_guess(b: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return a start: the unweighted signal, and values typical of brain tissue."""
    return np.array([y[b < 0.1].mean(), 1.0, 1.0])


def diffusion() -> bool:
    """Fit all voxels twice, print the table, and return whether no fit is worse than SciPy's."""
    b, signals = load_voxels()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        fit = nbadam.curve_fit(kurtosis, b, signals, p0=kurtosis_guess)
        seconds.append(time.perf_counter() - started)

    voxels, chi2 = signals.reshape(-1, b.size), fit.chi2.ravel()
    chosen = np.random.default_rng(0).choice(len(voxels), PEERS, replace=False)
    excess = []
    started = time.perf_counter()
    for i in chosen:
        popt, _ = curve_fit(kurtosis, b, voxels[i], p0=kurtosis_guess(b, voxels[i]))
        excess.append(chi2[i] / ((kurtosis(b, *popt) - voxels[i]) ** 2).sum() - 1)
    of_scipy = (time.perf_counter() - started) / PEERS

    print(
        f"Diffusion and kurtosis of water in {chi2.size} voxels of a brain, {b.size} measurements in each\n"
    )
    print(f"{'parameter':<12}{'lowest':>12}{'median':>12}{'highest':>12}")
    for name, column in zip(("signal", "diffusivity", "kurtosis"), fit.popt.reshape(-1, 3).T, strict=True):
        print(f"{name:<12}{column.min():12.4f}{np.median(column):12.4f}{column.max():12.4f}")
    print(f"\nfits                        {chi2.size}")
    print(f"fits per second             {chi2.size / seconds[1]:,.0f} (SciPy: {1 / of_scipy:,.0f})")
    print(f"converged                   {100 * fit.success.mean():.1f} %")
    print(f"first call, second call     {seconds[0]:.2f} s, {seconds[1]:.3f} s")
    agrees = bool(fit.success.all() and max(excess) <= WORSE)
    verdict = "agrees with" if agrees else "MISSES"
    print(
        f"The batch {verdict} SciPy's fits of {PEERS} of the voxels: chi-square at most {max(excess):.1e} "
        f"higher (allowed: {WORSE:g})."
    )
    return agrees
