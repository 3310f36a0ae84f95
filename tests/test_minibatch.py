"""Objectives that see a batch of the data at a time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit
from numpy.testing import assert_allclose, assert_array_equal
from runs import assert_same
from scipy import sparse
from scipy.optimize import minimize

import nbadam
from nbadam.methods.sampler import Sampler
from nbadam.shuffling import order_of

RNG = np.random.default_rng(0)
A = RNG.standard_normal((203, 3))
B = A @ [1.0, -2.0, 0.5] + 0.1 * RNG.standard_normal(203)
EXACT = np.linalg.lstsq(A, B, rcond=None)[0]


@njit
def loss(x, a, b):
    residuals = np.zeros(b.size)
    for i in range(b.size):
        for j in range(x.size):
            residuals[i] += a[i, j] * x[j]
        residuals[i] -= b[i]
    g = np.zeros(x.size)
    for i in range(b.size):
        for j in range(x.size):
            g[j] += 2 * residuals[i] * a[i, j] / b.size
    return (residuals * residuals).mean(), g


@njit
def loss_in_place(x, g, a, b):
    f, gradient = loss(x, a, b)
    for j in range(x.size):
        g[j] = gradient[j]
    return f


def plain_loss(x, a, b):
    residuals = a @ x - b
    return residuals @ residuals / b.size, 2 * residuals @ a / b.size


def fit(objective, x0=(0.0, 0.0, 0.0), method=nbadam.adam, **options):
    options = {"learning_rate": 0.05, "epochs": 3} | options
    callback = options.pop("callback", None)
    return minimize(objective, x0, jac=True, method=method, callback=callback, options=options)


def ignore(x):
    """Call back, and so keep the run in Python."""


# --- Order ---------------------------------------------------------------------------------------


class Recorder:
    """An objective of one variable that keeps the samples it was given."""

    def __init__(self):
        self.batches = []

    def __call__(self, x, samples):
        self.batches.append(samples.copy())
        return float(samples.mean()), np.zeros(1)


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 50),
    epochs=st.integers(1, 4),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**70),
)
def test_every_sample_is_seen_once_an_epoch(n, size, epochs, shuffle, drop_last, seed):
    recorder = Recorder()
    objective = nbadam.Minibatch(
        recorder, np.arange(n), batch_size=size, shuffle=shuffle, rng=seed, drop_last=drop_last
    )
    steps = objective.steps(epochs)
    for _ in range(steps):
        objective(np.zeros(1))
    seen = np.concatenate(recorder.batches).reshape(epochs, -1)
    size = min(size, n)
    for order in seen:
        assert np.unique(order).size == order.size == (n - n % size if drop_last else n)
    assert [b.size for b in recorder.batches[:-1]].count(size) >= steps - epochs
    if not shuffle:
        assert_array_equal(seen, np.tile(np.arange(seen.shape[1]), (epochs, 1)))


@pytest.mark.lowest
@given(n=st.integers(1, 60), sizes=st.lists(st.integers(1, 70), min_size=4, max_size=4), data=st.data())
def test_batches_at_once_are_those_one_by_one(n, sizes, data):
    objective = nbadam.Minibatch(Recorder(), np.arange(n), batch_size=lambda epoch: sizes[epoch % 4], rng=1)
    one, many = Sampler(objective), Sampler(objective)
    while one.epoch < 6:
        rows, starts = many.batches(data.draw(st.integers(1, 30)))
        for start, stop in pairwise(starts):
            assert_array_equal(one.batch()[0], rows[start:stop])
            one.advance(1)
        many.advance(starts.size - 1)
        assert one.facts() == many.facts()


def test_few_rows_at_once():
    objective = nbadam.Minibatch(Recorder(), np.zeros(300_000), batch_size=7, rng=0)
    rows, starts = Sampler(objective).batches(10**9)
    assert rows.size == 300_000 == starts[-1]
    assert starts.size == objective.steps(1) + 1


def test_the_order_depends_on_the_seed_and_on_nothing_else():
    # The numbers are part of the contract: a seed gives the same run everywhere, in every version.
    assert_array_equal(order_of((0,), 0, 10), ORDERS[0])
    assert_array_equal(order_of((0,), 1, 10), ORDERS[1])
    for seed in (0, [1, 2], np.random.SeedSequence(3), None, np.random.default_rng(4)):
        objective = nbadam.Minibatch(loss, (A, B), batch_size=7, rng=seed)
        assert_same(fit(objective), fit(objective))
    first, second = (nbadam.Minibatch(loss, (A, B), batch_size=7, rng=seed) for seed in (1, 2))
    assert not np.array_equal(fit(first).x, fit(second).x)


ORDERS = [9, 3, 7, 1, 6, 8, 4, 0, 5, 2], [6, 3, 0, 5, 8, 4, 1, 9, 2, 7]


def test_orders_are_fair():
    counts = np.zeros((5, 5))
    for epoch in range(600):
        counts[np.arange(5), order_of((9,), epoch, 5)] += 1
    assert np.abs(counts - 120).max() < 5 * np.sqrt(120)


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kind", ["array", "Fortran", "memory map", "CSR matrix", "CSR array", "float32"])
def test_full_is_the_mean_over_all_samples(kind, tmp_path, monkeypatch):
    a = {
        "Fortran": np.asfortranarray,
        "CSR matrix": sparse.csr_matrix,
        "CSR array": sparse.csr_array,
        "float32": np.float32,
    }.get(kind, lambda array: array)(A)
    if kind == "memory map":
        a = np.memmap(tmp_path / "a", dtype=float, mode="w+", shape=A.shape)
        a[:] = A
    monkeypatch.setattr("nbadam.methods.minibatch.CHUNK_BYTES", 1000)
    objective = nbadam.Minibatch(plain_loss, (a, B), batch_size=50, rng=0)
    assert 1 < objective.chunk <= 50
    f, g = objective.full([0.1, 0.2, 0.3])
    exact = plain_loss(np.array([0.1, 0.2, 0.3]), A, B)
    assert_allclose(f, exact[0], rtol=1e-6)
    assert_allclose(g, exact[1], rtol=1e-6)
    assert_allclose(fit(objective, epochs=30).x, EXACT, atol=0.03)


def test_batches_weighted_by_their_size_make_the_whole():
    objective = nbadam.Minibatch(plain_loss, (A, B), batch_size=60, rng=0)
    x = np.ones(3)
    values = [objective(x) for _ in range(4)]
    shares = np.array([60, 60, 60, 23]) / 203
    f, g = objective.full(x)
    assert_allclose(shares @ [value for value, _ in values], f)
    assert_allclose(shares @ np.array([gradient for _, gradient in values]), g)


def test_args_come_after_the_batch():
    def scaled(x, a, b, factor):
        f, g = plain_loss(x, a, b)
        return factor * f, factor * g

    objective = nbadam.Minibatch(scaled, (A, B), batch_size=60, rng=0)
    reference = nbadam.Minibatch(plain_loss, (A, B), batch_size=60, rng=0)
    assert objective(np.ones(3), 2.0)[0] == 2 * reference(np.ones(3))[0]
    result = minimize(
        objective, np.zeros(3), args=(2.0,), jac=True, method=nbadam.adam, options={"epochs": 20}
    )
    assert result.fun == objective.full(result.x, 2.0)[0]


def test_any_method_of_scipy_takes_it():
    whole = nbadam.Minibatch(plain_loss, (A, B), batch_size=203, shuffle=False)
    assert_allclose(minimize(whole, np.zeros(3), jac=True, method="BFGS").x, EXACT, atol=1e-6)


def test_result_has_the_value_over_all_samples():
    objective = nbadam.Minibatch(plain_loss, (A, B), batch_size=20, rng=0)
    result = fit(objective)
    assert result.fun == plain_loss(result.x, A, B)[0]
    assert_allclose(result.jac, plain_loss(result.x, A, B)[1], rtol=1e-12)
    assert result.fun_stderr == 0.0
    assert (result.success, result.status, result.nit) == (True, 0, 33)
    assert result.nfev == 33 + 1 + 1  # the start, and all the data at the end
    short = fit(objective, epochs=None, steps=5)  # has not seen all the data, and need not
    assert short.nfev == 6


def test_a_run_that_made_things_worse_returns_the_start():
    def wrong(x, a, b):
        f, g = plain_loss(x, a, b)
        return f, -g

    objective = nbadam.Minibatch(wrong, (A, B), batch_size=20, rng=0)
    result = fit(objective)
    assert_array_equal(result.x, np.zeros(3))
    assert result.fun == objective.full(np.zeros(3))[0]


# --- Compiled ------------------------------------------------------------------------------------

needs_compiler = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


@pytest.mark.lowest
@needs_compiler
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": lambda epoch: 10 * 2**epoch, "drop_last": True},
        {"shuffle": False, "batch_size": 300},
    ],
    ids=["plain", "schedule", "whole"],
)
def test_a_compiled_run_equals_the_run_from_python(settings):
    objective = nbadam.Minibatch(loss, (A, B), **{"batch_size": 20, "rng": 5} | settings)
    compiled, driven = fit(objective), fit(objective, callback=ignore)
    assert_same(compiled, driven)
    assert compiled.nit == objective.steps(3)


@needs_compiler
def test_a_compiled_function_that_writes_the_gradient():
    objective = nbadam.Minibatch(loss, (A, B), batch_size=20, rng=5)
    in_place = nbadam.Minibatch(loss_in_place, (A, B), batch_size=20, rng=5)
    assert_same(fit(in_place), fit(objective))
    assert_same(fit(in_place, callback=ignore), fit(objective))
    assert_array_equal(in_place.full(np.ones(3))[1], objective.full(np.ones(3))[1])


@needs_compiler
def test_data_of_three_dimensions_and_of_a_read_only_map(tmp_path):
    @njit
    def mean_image(x, images):
        g = np.zeros(x.size)
        f = 0.0
        for k in range(images.shape[0]):
            for i in range(images.shape[1]):
                for j in range(images.shape[2]):
                    d = x[i * images.shape[2] + j] - images[k, i, j]
                    f += d * d / images.shape[0]
                    g[i * images.shape[2] + j] += 2 * d / images.shape[0]
        return f, g

    images = np.arange(60.0).reshape(10, 2, 3)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    objective = nbadam.Minibatch(mean_image, mapped, batch_size=3, rng=0)
    result = fit(objective, np.zeros(6), epochs=5)
    assert_same(result, fit(objective, np.zeros(6), epochs=5, callback=ignore))


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fun": 3}, "`fun` must be callable, not 3"),
        ({"data": ()}, "at least one array"),
        ({"data": (A, B[:-1])}, r"one length along axis 0; theirs are \[203, 202\]"),
        ({"data": (np.zeros((0, 3)), np.zeros(0))}, "at least one sample"),
        ({"data": 3.0}, r"data\[0\] must be an array"),
        ({"data": [None, "a"]}, r"data\[0\] must be an array"),
        ({"data": sparse.csc_matrix(A)}, r"data\[0\] is in CSC format: convert it with \.tocsr"),
        ({"data": np.ma.masked_less(B, 0)}, "masked"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1, not 0"),
        ({"batch_size": 2.5}, "`batch_size` must be an integer >= 1, not 2.5"),
        ({"batch_size": lambda epoch: 0}, r"`batch_size\(0\)` must be an integer >= 1, not 0"),
        ({"shuffle": 1}, "`shuffle` must be True or False, not 1"),
        ({"drop_last": None}, "`drop_last` must be True or False"),
        ({"rng": -1}, "`rng` must be"),
        ({"rng": "seed"}, "`rng` must be"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nbadam.Minibatch(**{"fun": plain_loss, "data": (A, B), "batch_size": 5} | arguments)


def test_a_minibatch_has_its_gradient():
    objective = nbadam.Minibatch(plain_loss, (A, B), batch_size=100, rng=0)
    options = {"epochs": 20}
    without = minimize(objective, np.zeros(3), method=nbadam.adam, options=options)
    assert_same(without, minimize(objective, np.zeros(3), jac=True, method=nbadam.adam, options=options))
    with pytest.raises(ValueError, match="`jac` must be True for a Minibatch"):
        minimize(objective, np.zeros(3), jac=lambda x: x, method=nbadam.adam, options=options)


def test_a_list_of_arrays_will_do():
    assert_same(*(fit(nbadam.Minibatch(plain_loss, data, batch_size=20, rng=0)) for data in ([A, B], (A, B))))
    numbers = nbadam.Minibatch(lambda x, a: (a.mean(), x), [1.0, 2.0, 3.0], batch_size=3, rng=0)
    assert numbers(np.zeros(1))[0] == 2.0


def test_epochs_are_whole_and_of_minibatches():
    objective = nbadam.Minibatch(plain_loss, (A, B), batch_size=100, rng=0)
    with pytest.raises(ValueError, match="`epochs` is for objectives of the class Minibatch"):
        fit(lambda x: (0.0, x))
    with pytest.raises(ValueError, match="`epochs` must be an integer >= 0"):
        fit(objective, epochs=1.5)
    assert fit(objective, epochs=0).nit == 0
    assert fit(objective, epochs=3, maxiter=5).status == 1
    assert fit(objective, epochs=3, steps=5).status == 0
    assert fit(objective, epochs=3, steps=9, maxiter=9).status == 0


# --- Data stay as they are -----------------------------------------------------------------------


def in_place(p, a, b):
    """Return mean squares and their gradient, and overwrite everything."""
    b -= a @ p
    returned = b @ b / b.size, -2 * b @ a / b.size
    for argument in (p, b, a.data if sparse.issparse(a) else a):
        np.asarray(argument)[...] = 7.0
    return returned


@pytest.mark.parametrize("batch_size", [100, 1000])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", ["C", "Fortran", "strided", "memory map", "read-only", "sparse"])
def test_a_function_that_works_in_place_changes_no_data(kind, shuffle, batch_size, tmp_path):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((1000, 3))
    b = a @ [1, 2, 3]
    kept = a.copy(), b.copy()
    given = {
        "Fortran": np.asfortranarray(a),
        "strided": np.repeat(a, 2, axis=0)[::2],
        "sparse": sparse.csr_matrix(a),
    }.get(kind, a)
    if kind == "memory map":
        np.save(tmp_path / "a.npy", a)
        np.save(tmp_path / "b.npy", b)
        given = np.load(tmp_path / "a.npy", mmap_mode="r+")
        b = np.load(tmp_path / "b.npy", mmap_mode="r")
    if kind == "read-only":
        a.flags.writeable = b.flags.writeable = False
    objective = nbadam.Minibatch(in_place, (given, b), batch_size=batch_size, shuffle=shuffle, rng=0)
    x = np.full(3, 0.5)
    for _ in range(3):
        objective(x)
        value, gradient = objective.full(x)
    residuals = kept[1] - kept[0] @ x
    np.testing.assert_allclose(value, residuals @ residuals / 1000)
    np.testing.assert_allclose(gradient, -2 * residuals @ kept[0] / 1000)
    assert (x == 0.5).all()
    np.testing.assert_array_equal(given.toarray() if kind == "sparse" else given, kept[0])
    np.testing.assert_array_equal(b, kept[1])


@pytest.mark.skipif(config.DISABLE_JIT, reason="only of compiled functions is it known that they write")
def test_points_may_be_lists_of_integers():
    @njit
    def loss(x, gradient, a):
        gradient[:] = a.sum() * 0.5
        return x.sum() * 0.5

    objective = nbadam.Minibatch(loss, np.ones((4, 2)), batch_size=4, rng=0)
    for value, gradient in (objective([1, 2]), objective.full([1, 2])):
        assert value == 1.5 and gradient.tolist() == [4.0, 4.0]


def test_a_function_that_returns_a_value_only_is_told():
    objective = nbadam.Minibatch(lambda p, a: float(p @ p), np.ones((10, 2)), batch_size=5, rng=0)
    with pytest.raises(
        TypeError, match=r"`fun` of the Minibatch must return \(value, gradient\), not float 5.0"
    ):
        objective.full([1.0, 2.0])


def test_representation_names_function_and_data():
    objective = nbadam.Minibatch(in_place, (np.ones((10, 2)), np.ones(10, "f4")), batch_size=5, rng=0)
    expected = "<Minibatch: in_place on float64[10, 2], float32[10], batch_size=5, shuffle=True>"
    assert repr(objective) == expected
