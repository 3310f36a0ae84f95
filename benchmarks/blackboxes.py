"""Noisy black boxes: objectives that return a value and no gradient.

Each box draws its noise from the generator that it is given, so that a run is repeatable, and has an `exact`
value (or one whose error is far below all that is compared), by which a run is judged.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from more_boxes import more_boxes


@dataclass(frozen=True)
class Box:
    """A noisy objective, where it starts, and its exact value."""

    name: str
    noisy: Callable  # noisy(x, rng) -> float
    exact: Callable  # exact(x) -> float
    x0: np.ndarray = field(repr=False)
    least: float  # least exact value known
    third: int = 0  # 2: held back from tuning


# --- Quantum circuits with shot noise ------------------------------------------------------------


@cache
def _paulis(qubits):
    """Bit table of the basis states, shape (2**qubits, qubits), as signs 1 and -1."""
    states = np.arange(2**qubits)
    return 1 - 2 * ((states[:, None] >> np.arange(qubits)) & 1)


def _rotate_y(state, qubit, angle, qubits):
    shaped = state.reshape(2 ** (qubits - 1 - qubit), 2, 2**qubit)
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    return np.stack(
        [c * shaped[:, 0] - s * shaped[:, 1], s * shaped[:, 0] + c * shaped[:, 1]], axis=1
    ).ravel()


def _rotate_x(state, qubit, angle, qubits):
    shaped = state.reshape(2 ** (qubits - 1 - qubit), 2, 2**qubit)
    c, s = np.cos(angle / 2), -1j * np.sin(angle / 2)
    return np.stack(
        [c * shaped[:, 0] + s * shaped[:, 1], s * shaped[:, 0] + c * shaped[:, 1]], axis=1
    ).ravel()


def _entangle(state, qubits):
    signs = _paulis(qubits)
    phase = np.ones(2**qubits)
    for q in range(qubits - 1):
        phase *= np.where((signs[:, q] < 0) & (signs[:, q + 1] < 0), -1, 1)
    return state * phase


def _ansatz(angles, qubits):
    state = np.zeros(2**qubits)
    state[0] = 1.0
    for layer in angles.reshape(-1, qubits):
        for q in range(qubits):
            state = _rotate_y(state, q, layer[q], qubits)
        state = _entangle(state, qubits)
    return state


def _ising_terms(qubits):
    signs = _paulis(qubits)
    return -(signs[:, :-1] * signs[:, 1:]).sum(axis=1)  # bonds; the field is measured in the other basis


def ising(qubits, layers, shots, third):
    """Variational eigensolver: transverse Ising chain, energies from counts in two bases."""
    bonds, fields = _ising_terms(qubits), -_paulis(qubits).sum(axis=1)

    def probabilities(x):
        state = _ansatz(x, qubits)
        turned = state
        for q in range(qubits):
            turned = _rotate_y(turned, q, -np.pi / 2, qubits)
        return state**2, turned**2

    def exact(x):
        one, other = probabilities(x)
        return one @ bonds + other @ fields

    def noisy(x, rng):
        one, other = probabilities(x)
        counts = rng.multinomial(shots, one / one.sum()), rng.multinomial(shots, other / other.sum())
        return (counts[0] @ bonds + counts[1] @ fields) / shots

    x0 = np.random.default_rng(1).uniform(-np.pi, np.pi, qubits * layers)
    return f"eigensolver, {x0.size} angles, {shots} shots", noisy, exact, x0, third


def maxcut(nodes, depth, shots, third):
    """QAOA on a random graph of degree 3, cut counted from shots."""
    rng = np.random.default_rng(5)
    edges = [(i, (i + 1) % nodes) for i in range(nodes)] + [(i, i + nodes // 2) for i in range(nodes // 2)]
    weights = rng.uniform(0.5, 1.5, len(edges))
    signs = _paulis(nodes)
    cut = sum(w * (1 - signs[:, i] * signs[:, j]) / 2 for w, (i, j) in zip(weights, edges, strict=True))

    def probabilities(x):
        state = np.full(2**nodes, 2 ** (-nodes / 2), complex)
        for gamma, beta in x.reshape(-1, 2):
            state = state * np.exp(-1j * gamma * cut)
            for q in range(nodes):
                state = _rotate_x(state, q, 2 * beta, nodes)
        return np.abs(state) ** 2

    def exact(x):
        return -probabilities(x) @ cut

    def noisy(x, rng):
        p = probabilities(x)
        return -(rng.multinomial(shots, p / p.sum()) @ cut) / shots

    return f"MaxCut, depth {depth}, {shots} shots", noisy, exact, np.full(2 * depth, 0.3), third


# --- Simulations ---------------------------------------------------------------------------------


def regulator(third):
    """Gains of a feedback for a double integrator with noise, from one simulated path of 200 steps."""

    def cost(x, noise):
        total, position, speed, integral = 0.0, 1.0, 0.0, 0.0
        for w in noise:
            integral += 0.05 * position
            force = -(x[0] * position + x[1] * speed + x[2] * integral)
            total += position**2 + 0.1 * force**2
            speed += 0.05 * (force - 0.2 * speed) + 0.05 * w
            position += 0.05 * speed
            if not abs(position) < 1e6:
                return 1e6
        return min(total / len(noise), 1e6)

    fixed = np.random.default_rng(8).standard_normal((60, 200))
    return (
        "regulator, 3 gains",
        lambda x, rng: cost(x, rng.standard_normal(200)),
        lambda x: float(np.mean([cost(x, noise) for noise in fixed])),
        np.array([0.5, 0.5, 0.0]),
        third,
    )


def inventory(third):
    """Order-up-to and reorder levels of 3 goods, mean daily cost over 100 simulated days."""
    demand, price = np.array([20.0, 8.0, 3.0]), np.array([1.0, 3.0, 10.0])

    def cost(x, draws):
        low, high = np.abs(x[:3]), np.abs(x[:3]) + np.abs(x[3:])
        stock, total = high.copy(), 0.0
        for d in draws:
            stock = stock - d
            order = np.where(stock < low, high - stock, 0.0)
            total += (price * (0.05 * np.maximum(stock, 0) + np.maximum(-stock, 0))).sum() + 4 * (
                order > 0
            ).sum()
            total += 0.01 * order.sum()
            stock = stock + order
        return total / len(draws)

    fixed = np.random.default_rng(9).poisson(demand, (3000, 3))
    return (
        "inventory, 6 levels",
        lambda x, rng: cost(x, rng.poisson(demand, (100, 3))),
        lambda x: cost(x, fixed),
        np.array([10.0, 10.0, 10.0, 10.0, 10.0, 10.0]),
        third,
    )


def queue(third):
    """Service rates of 5 servers in a row: waiting time plus cost of the rates, 200 customers."""

    def cost(x, arrivals, services):
        rates = 1.05 + np.log1p(np.exp(x))
        arrive = np.cumsum(arrivals)
        start = arrive
        for rate, service in zip(rates, services, strict=True):
            leave, last = np.empty_like(start), 0.0
            for k in range(start.size):
                last = max(last, start[k]) + service[k] / rate
                leave[k] = last
            start = leave
        return (start - arrive).mean() + rates.sum()

    rng0 = np.random.default_rng(3)
    fixed = [(rng0.exponential(1, 200), rng0.exponential(1, (5, 200))) for _ in range(100)]
    return (
        "queues, 5 rates",
        lambda x, rng: cost(x, rng.exponential(1, 200), rng.exponential(1, (5, 200))),
        lambda x: float(np.mean([cost(x, *sample) for sample in fixed])),
        np.zeros(5),
        third,
    )


def epidemic(third):
    """Rates of a stochastic epidemic fitted to a curve of cases."""
    days = 60

    def curves(x, rng, number=1):
        beta, gamma, first = np.exp(np.clip(x, -20, 5))
        i = np.full(number, min(first, 5000))
        s = 10_000 - i
        cases = np.empty((days, number))
        for k in range(days):
            p, q = -np.expm1(-beta * np.maximum(i, 0) / 10_000), -np.expm1(-gamma)
            if rng is None:
                new, gone = s * p, i * q
            else:
                new = rng.binomial(s.astype(int), np.clip(p, 0, 1))
                gone = rng.binomial(i.astype(int), min(q, 1))
            s, i = s - new, i + new - gone
            cases[k] = new
        return np.sqrt(cases)

    data = curves(np.log([0.4, 0.15, 20.0]), None)

    def cost(x, rng, number=1):
        return float(((curves(x, rng, number) - data) ** 2).mean())

    return (
        "epidemic, 3 rates",
        cost,
        lambda x: cost(x, np.random.default_rng(10), 100_000),
        np.log([0.25, 0.1, 50.0]),
        third,
    )


# --- Statistics ----------------------------------------------------------------------------------


def elbo(third):
    """Negative evidence bound of a logistic regression: means and log widths of 6 coefficients."""
    rng0 = np.random.default_rng(4)
    z = rng0.standard_normal((200, 6))
    y = np.where(rng0.random(200) < 1 / (1 + np.exp(-z @ np.linspace(-1, 1, 6))), 1.0, -1.0)
    fixed = rng0.standard_normal((400, 6))

    def bound(x, draws):
        mean, log_width = x[:6], np.clip(x[6:], -20, 20)
        w = mean + np.exp(log_width) * draws
        loss = np.logaddexp(0, -y * (w @ z.T)).sum(axis=1) + 0.5 * (w**2).sum(axis=1)
        return float(loss.mean() - log_width.sum())

    return (
        "ELBO, 12 numbers",
        lambda x, rng: bound(x, rng.standard_normal((5, 6))),
        lambda x: bound(x, fixed),
        np.zeros(12),
        third,
    )


def accuracy(third):
    """Share of errors of a linear classifier on 2,000 records: steps of 1/2,000 and no noise."""
    rng0 = np.random.default_rng(6)
    z = np.column_stack([np.ones(2000), rng0.standard_normal((2000, 4))])
    y = np.sign(z @ np.array([0.3, 1.0, -1.0, 0.5, 0.0]) + 0.5 * rng0.standard_normal(2000))

    def errors(x):
        return float((np.sign(z @ x) != y).mean())

    return "error counts, 5 weights", lambda x, rng: errors(x), errors, np.array([0.0, 1, 1, 1, 1.0]), third


def minibatch(third):
    """Values of a robust regression on 50 of 5,000 records."""
    rng0 = np.random.default_rng(7)
    z = rng0.standard_normal((5000, 10)) * np.geomspace(1, 10, 10)
    y = z @ (1 / np.geomspace(1, 10, 10)) + rng0.standard_t(2, 5000)

    def value(x, rows):
        r = y[rows] - z[rows] @ x
        return float(np.mean(np.sqrt(1 + r * r) - 1))

    every = np.arange(5000)
    return (
        "regression, 50 of 5,000 rows",
        lambda x, rng: value(x, rng.integers(5000, size=50)),
        lambda x: value(x, every),
        np.zeros(10),
        third,
    )


# --- Functions with noise ------------------------------------------------------------------------


def bowl(n, noise, third):
    """Bowl of n variables, all curvatures 1."""
    center = np.linspace(-1, 1, n)

    def exact(x):
        return float(((x - center) ** 2).sum())

    return f"bowl, {n}", lambda x, rng: exact(x) + noise * rng.standard_normal(), exact, np.zeros(n), third


def valley(n, noise, third):
    """Quadratic whose curvatures span a factor of 100."""
    curvature = np.geomspace(0.1, 10, n)

    def exact(x):
        return float((curvature * (x - 1) ** 2).sum())

    return (
        f"valley, {n}",
        lambda x, rng: exact(x) + noise * rng.standard_normal(),
        exact,
        np.full(n, -1.0),
        third,
    )


def rosenbrock(n, noise, third):
    """Rosenbrock's function with noise added."""

    def exact(x):
        return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())

    return (
        f"Rosenbrock, {n}", lambda x, rng: exact(x) + noise * rng.standard_normal(), exact,
        np.resize([-1.2, 1.0], n), third,
    )  # fmt: skip


def proportional(third):
    """Noise that is 5 % of the value: it vanishes at the minimum."""

    def exact(x):
        return float((np.arange(1, 9) * (x - 3) ** 2).sum() + 0.1)

    return (
        "noise of 5 %, 8",
        lambda x, rng: exact(x) * (1 + 0.05 * rng.standard_normal()),
        exact,
        np.ones(8),
        third,
    )


def rounded(third):
    """A smooth function printed with three digits."""

    def exact(x):
        return float(
            1 + (x[0] - 2) ** 2 + 3 * (x[1] + 1) ** 2 + 0.5 * (x[2] - x[0]) ** 2 + 0.3 * (x[3] * x[3])
        )

    return "three digits, 4", lambda x, rng: float(f"{exact(x):.3g}"), exact, np.array([0.0, 1, 1, 1]), third


def boxes():
    """Return all black boxes; `third` 2 was held back from tuning."""
    made = [
        ising(4, 4, 100, 0), maxcut(8, 3, 100, 1), ising(6, 3, 50, 1),
        regulator(0), inventory(1), queue(1), epidemic(0),
        elbo(1), minibatch(1), accuracy(0),
        bowl(50, 0.1, 1), valley(10, 0.1, 1), rosenbrock(2, 0.1, 0),
        proportional(1), rounded(1), bowl(5, 1.0, 0),
    ]  # fmt: skip
    made += [(*parts, 2) for parts in more_boxes()]
    return [Box(name, noisy, exact, x0, LEAST[name], third) for name, noisy, exact, x0, third in made]


# Least exact values known, from many runs of CMA-ES and L-BFGS-B on `exact`.
LEAST = {
    "eigensolver, 16 angles, 100 shots": -4.734230848278904,
    "MaxCut, depth 3, 100 shots": -9.207904208290596,
    "eigensolver, 18 angles, 50 shots": -7.163426938826209,
    "regulator, 3 gains": 0.09352767767916012,
    "inventory, 6 levels": 10.8695,
    "queues, 5 rates": 14.913464268749854,
    "epidemic, 3 rates": 0.886,
    "ELBO, 12 numbers": 123.01147098512838,
    "regression, 50 of 5,000 rows": 0.9207826658172202,
    "error counts, 5 weights": 0.099,
    "bowl, 50": 0.0,
    "valley, 10": 0.0,
    "Rosenbrock, 2": 0.0,
    "noise of 5 %, 8": 0.1,
    "three digits, 4": 1.0,
    "bowl, 5": 0.0,
    "portfolio, 10 shares": -0.04299948485943603,
    "decays, 4 numbers": -392.6408621462982,
    "Gaussian process, 4 logarithms": -53.472620150526815,
    "shifts, 7 numbers": 62.60210466033949,
    "solver, 3 logarithms": 0.02449537998942261,
    "stations, 8 coordinates": 0.7718,
    "network, 19 weights": 0.010122159986755811,
    "heavy tails, 30": 5.1959978764105164e-11,
}
