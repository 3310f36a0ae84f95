"""
Variational quantum eigensolver with shot noise
===============================================

The energy of a small molecule's ground state, from a quantum circuit: each energy is the mean of
measurements ("shots"), so it is noisy, and there is no gradient. The circuit of two qubits is simulated
here, the shots are drawn.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import nbadam

rng = np.random.default_rng(0)
PAULI = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Z": np.diag([1, -1])}
Y = np.array([[0, -1j], [1j, 0]])

# Hydrogen at 0.735 Å in two qubits (parity mapping, hartree; without the repulsion of the nuclei).
TERMS = {"II": -1.052373, "ZI": 0.397937, "IZ": -0.397937, "ZZ": -0.011280, "XX": 0.180931}
HAMILTONIAN = sum(c * np.kron(PAULI[a], PAULI[b]) for (a, b), c in TERMS.items())
EXACT = np.linalg.eigvalsh(HAMILTONIAN)[0]
CNOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


def state(angles):
    """Two layers of rotations about y, with a CNOT between them."""
    psi = np.array([1, 0, 0, 0], complex)
    for pair in np.reshape(angles, (-1, 2)):
        rotations = [np.cos(a / 2) * np.eye(2) - 1j * np.sin(a / 2) * Y for a in pair]
        psi = CNOT @ np.kron(*rotations) @ psi
    return psi


def energy(angles, shots=200):
    """Mean energy of so many shots for each term; exact with shots=None."""
    psi, total = state(angles), TERMS["II"]
    for (a, b), coefficient in TERMS.items():
        if (a, b) != ("I", "I"):
            mean = (psi.conj() @ np.kron(PAULI[a], PAULI[b]) @ psi).real
            if shots is not None:
                mean = 2 * rng.binomial(shots, (1 + np.clip(mean, -1, 1)) / 2) / shots - 1
            total += coefficient * mean
    return total


# %%
# No gradient, no learning rate, no perturbation: the run notices the noise, takes simultaneous
# perturbations, and ends by itself.

start = np.array([0.5, 0.5, 0.5, 0.5])
run = minimize(energy, start, method=nbadam.adam, options={"rng": 0, "return_all": True})
print(run.message)
print(f"{run.nfev} energies; {1000 * (energy(run.x, None) - EXACT):.2f} millihartree above the ground state")

# %%
# A method for smooth functions takes the noise for slopes:

other = minimize(energy, start, method="L-BFGS-B")
print(
    f"L-BFGS-B: {1000 * (energy(other.x, None) - EXACT):.0f} millihartree above it, success={other.success}"
)

figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
ax.plot(run.history.step, run.history.fun, lw=1, label="energies that the run sees")
points = np.arange(0, len(run.allvecs), 10)
ax.plot(points, [energy(run.allvecs[i], None) for i in points], label="exact energy at its points")
ax.axhline(EXACT, color="grey", lw=1, ls="--", label="ground state")
ax.set(xlabel="step", ylabel="energy / hartree")
ax.legend(frameon=False)
