"""Sparse gradients: forms, clipping, sums, and the update that equals the dense one."""

from functools import partial
from math import inf

import numba
import numpy as np
import pytest
import scipy
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nbadam import rules, sparse
from nbadam.engine import State
from nbadam.sparse import IndexedSlices, gradients, row_gradient, steps

RULES = [rules.SGD, rules.ADAGRAD, rules.FTRL, rules.ADAM, rules.AMSGRAD]
if numba.config.DISABLE_JIT:  # where a rule costs no compiling: all of them
    RULES = [value for value in vars(rules).values() if isinstance(value, rules.Rule)]
VALUES = np.array([[1.0, -2.0, 0.5], [3.0, 4.0, 0.0], [-1.0, 0.25, 8.0]])
ROWS = [4, 1, 4]
DENSE = np.zeros((6, 3))
np.add.at(DENSE, ROWS, VALUES)

needs_vectors = pytest.mark.skipif(
    np.lib.NumpyVersion(scipy.__version__) < "1.13.0", reason="SciPy has no sparse vectors yet"
)


def coo(data, coordinates, shape):
    return scipy.sparse.coo_matrix((data, coordinates), shape)


def checked(gradient, shape, dtype=np.float64, **clipping):
    return row_gradient(gradient, shape, np.dtype(dtype), "g").summed(**clipping)


def dense(gradient, shape, **clipping):
    return checked(gradient, shape, **clipping).dense(shape)


# --- Forms ---------------------------------------------------------------------------------------

FORMS = {
    "slices": IndexedSlices(VALUES, ROWS),
    "slices with shape": IndexedSlices(VALUES, ROWS, [6, 3]),
    "tuple": (VALUES, ROWS),
    "lists": (VALUES.tolist(), ROWS),
    "unsigned indices": (VALUES, np.array(ROWS, np.uint8)),
    "strided": (np.asfortranarray(VALUES), np.repeat(ROWS, 2)[::2]),
    "big-endian": (VALUES.astype(">f8"), np.array(ROWS, ">i4")),
    "read-only": (np.frombuffer(VALUES.tobytes()).reshape(3, 3), tuple(ROWS)),
    "csr": scipy.sparse.csr_array(DENSE),
    "csc": scipy.sparse.csc_array(DENSE),
    "coo": scipy.sparse.coo_array(DENSE),
    "bsr": scipy.sparse.bsr_array(DENSE, blocksize=(2, 3)),
    "matrix": scipy.sparse.csr_matrix(DENSE),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_mean_the_same(form):
    assert sparse.is_sparse(form)
    np.testing.assert_array_equal(dense(form, (6, 3)), DENSE)


@pytest.mark.parametrize(
    "form",
    [
        ([3.0, 4.0], [2, 2]),
        scipy.sparse.csr_matrix([[0.0, 0.0, 7.0, 0.0]]),
        scipy.sparse.csc_matrix([[0.0], [0.0], [7.0], [0.0]]),
        pytest.param(lambda: scipy.sparse.coo_array([0.0, 0.0, 7.0, 0.0]), marks=needs_vectors),
    ],
)
def test_forms_for_vectors(form):
    form = form() if callable(form) else form
    np.testing.assert_array_equal(dense(form, (4,)), [0, 0, 7, 0])


def test_slices_of_three_dimensions():
    values = np.arange(12.0).reshape(2, 3, 2)
    expected = np.zeros((4, 3, 2))
    expected[[3, 0]] = values
    np.testing.assert_array_equal(dense((values, [3, 0]), expected.shape), expected)


@pytest.mark.parametrize(
    ("gradient", "shape"),
    [
        (([], []), (6,)),
        ((np.empty((0, 3)), np.empty(0, int)), (6, 3)),
        (scipy.sparse.csr_matrix((6, 3)), (6, 3)),
    ],
)
def test_nothing_touched(gradient, shape):
    np.testing.assert_array_equal(dense(gradient, shape), np.zeros(shape))


@pytest.mark.parametrize("gradient", [np.zeros((6, 3)), [1.0, 2.0], 1.0, None])
def test_other_forms_are_not_sparse(gradient):
    assert not sparse.is_sparse(gradient)


@pytest.mark.parametrize(
    ("gradient", "shape", "error", "message"),
    [
        ((VALUES, [0, 1, 6]), (6, 3), ValueError, "g has index 6: a variable of 6 rows has 0 to 5"),
        ((VALUES, [0, -1, 2]), (6, 3), ValueError, "g has index -1"),
        (
            (VALUES, np.array([0, 1, 2**64 - 1], np.uint64)),
            (6, 3),
            ValueError,
            "g has index 18446744073709551615",
        ),
        ((VALUES, [0.0, 1.0, 2.0]), (6, 3), TypeError, "indices of dtype float64"),
        ((VALUES, [True, False, True]), (6, 3), TypeError, "indices of dtype bool"),
        ((VALUES, [[0, 1, 2]]), (6, 3), ValueError, "indices of shape"),
        ((VALUES, [0, 1]), (6, 3), ValueError, r"values of shape \(3, 3\).* must be \(2, 3\)"),
        ((VALUES[0], [0]), (6, 3), ValueError, r"must be \(1, 3\)"),
        ((VALUES, [0, 1, 2]), (6, 4), ValueError, r"must be \(3, 4\)"),
        ((1.0, [0]), (6,), ValueError, r"must be \(1,\)"),
        ((VALUES * 1j, ROWS), (6, 3), TypeError, "real numbers"),
        ((["a"], [0]), (6,), TypeError, "real numbers"),
        ((np.ma.masked_array(VALUES), ROWS), (6, 3), TypeError, "masked"),
        ((VALUES, ROWS, (6, 3)), (6, 3), ValueError, "tuple of 3"),
        (IndexedSlices(VALUES, ROWS, (7, 3)), (6, 3), ValueError, "dense_shape"),
        ((1.0, 0), (), ValueError, "0-d"),
        (scipy.sparse.csr_matrix(DENSE), (6, 4), ValueError, "shape"),
        (scipy.sparse.csr_matrix(DENSE), (18,), ValueError, "shape"),
        (scipy.sparse.csr_matrix(DENSE), (6, 3, 1), ValueError, "shape"),
        (scipy.sparse.csr_matrix(DENSE * 1j), (6, 3), TypeError, "real numbers"),
    ],
)
def test_misfits_are_refused(gradient, shape, error, message):
    with pytest.raises(error, match=message):
        row_gradient(gradient, shape, np.dtype(float), "g")


# --- Clipping and sums ---------------------------------------------------------------------------


def test_slices_are_clipped_one_by_one():
    gradient = ([3.0, 3.0, -9.0, 0.5], [1, 1, 0, 1])
    np.testing.assert_array_equal(dense(gradient, (3,), clip=2.0), [-2, 4.5, 0])
    np.testing.assert_array_equal(dense(gradient, (3,), clip=2.0, scale=0.5), [-1, 2.25, 0])


def test_stored_elements_are_clipped_one_by_one():
    gradient = coo([3.0, 3.0, -9.0], ([1, 1, 0], [0, 0, 1]), (2, 2))
    np.testing.assert_array_equal(dense(gradient, (2, 2), clip=2.0), [[0, -2], [4, 0]])


@given(
    rows=st.lists(st.integers(0, 5), max_size=30),
    dtype=st.sampled_from([np.float32, np.float64]),
    width=st.integers(1, 3),
    clip=st.sampled_from([inf, 0.7]),
    scale=st.sampled_from([1.0, 0.3]),
    data=st.data(),
)
def test_sums_are_taken_in_order(rows, dtype, width, clip, scale, data):
    elements = st.floats(-10, 10, width=32)
    values = data.draw(hnp.arrays(dtype, (len(rows), width), elements=elements))
    expected = np.zeros((6, width), dtype)
    for row, value in zip(rows, values, strict=True):
        expected[row] += dtype(scale) * np.clip(value, dtype(-clip), dtype(clip))
    summed = checked((values, rows), (6, width), dtype, clip=clip, scale=scale)
    assert summed.rows.tolist() == sorted(set(rows))
    np.testing.assert_array_equal(summed.dense((6, width)), expected)


def test_element_gradients_as_rows():
    elements = checked(scipy.sparse.csc_matrix(DENSE), DENSE.shape)
    rows = elements.widened(3)
    assert (elements.width, rows.width, rows.rows.tolist()) == (1, 3, [1, 4])
    np.testing.assert_array_equal(rows.dense(DENSE.shape), DENSE)
    assert rows.widened(3) is rows


# --- The update ----------------------------------------------------------------------------------


def random_gradient(rng, shape, dtype, by_element):
    """Sparse gradient with duplicates; now and then, one without any rows or with all of them."""
    touched = rng.choice([0, 3, 3 * shape[0]])
    if by_element:
        coordinates = tuple(rng.integers(0, n, touched) for n in shape)
        return coo(rng.normal(size=touched).astype(dtype), coordinates, shape)
    return rng.normal(size=(touched, *shape[1:])).astype(dtype), rng.integers(0, shape[0], touched)


@pytest.mark.long
@pytest.mark.parametrize("by_element", [False, True], ids=["rows", "elements"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.lowest)])
@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_step_equals_dense_step(rule, dtype, decay, by_element):
    rng = np.random.default_rng(7)
    shape = (40, 3)
    x = rng.normal(size=shape).astype(dtype)
    states = [State(rule, [np.array(x).ravel()]) for _ in range(2)]
    for state in states:
        for slot in state.slots.values():
            slot += dtype(0.1)  # where Adagrad and Ftrl start
    hyper = tuple(rule.hyperparameters.values())
    for t in range(1, 8):
        gradient = row_gradient(
            random_gradient(rng, shape, dtype, by_element), shape, np.dtype(dtype), "g"
        ).summed()
        sparse.step(rule, states[0].xs[0], tuple(states[0].slots.values()), gradient, float(t), hyper, decay)
        zeros_elsewhere = gradient.dense(shape).ravel()
        states[1].step((zeros_elsewhere,), float(t), hyper, scales=np.ones(1), decays=np.full(1, decay))
    np.testing.assert_array_equal(states[0].xs[0], states[1].xs[0])
    for name, slot in states[0].slots.items():
        np.testing.assert_array_equal(slot, states[1].slots[name])


@pytest.mark.parametrize("shape", [(5, 0), (0, 3), (1, 9000), (9000,)])
def test_step_of_any_shape(shape):
    x = np.ones(shape)
    gradient = row_gradient(
        (np.ones((min(1, shape[0]), *shape[1:])), [0][: shape[0]]), shape, x.dtype, "g"
    ).summed()
    sparse.step(rules.SGD, x.reshape(-1), (), gradient, 1.0, (0.5,))
    sparse.step(rules.SGD, x.reshape(-1), (), gradient, 1.0, (0.5,), 0.5)
    expected = np.full(shape, 0.5)
    expected[:1] = (1 - 0.5) * 0.5 - 0.5
    np.testing.assert_array_equal(x, expected)


@pytest.mark.lowest
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="one kernel for all modes")
def test_same_bits_in_every_mode(monkeypatch):
    results = []
    for mode in ("serial", "parallel"):
        for module in (gradients, steps):
            monkeypatch.setattr(module, "mode", partial(lambda mode, *sizes: mode, mode))
        rng = np.random.default_rng(5)
        x, slots = rng.normal(size=6000), tuple(np.zeros(6000) for _ in rules.ADAM.slots)
        for t in range(1, 4):
            gradient = random_gradient(rng, (300, 20), float, False)
            gradient = checked(gradient, (300, 20), clip=1.5, scale=0.7)
            sparse.step(rules.ADAM, x, slots, gradient, float(t), (0.1, 0.9, 0.999, 1e-7), 0.01)
        results.append(x.tobytes() + slots[0].tobytes() + slots[1].tobytes())
    assert results[0] == results[1]


def test_moments_do_not_turn_subnormal():
    x, slots = np.ones(4, np.float32), (np.zeros(4, np.float32), np.zeros(4, np.float32))
    for t in range(1, 1001):
        touched = int(t == 1)
        gradient = checked((np.ones((touched, 2), np.float32), [1] * touched), (2, 2), x.dtype)
        sparse.step(rules.ADAM, x, slots, gradient, float(t), (1e-3, 0.9, 0.9, 1e-7))
    assert x[2] < 1
    for slot in slots:  # rounding alone would end at 6e-45, as 0.9 * 6e-45 does
        np.testing.assert_array_equal(slot, 0)


def test_representation_of_slices():
    assert repr(IndexedSlices([[1.0, 2.0]], [7])) == "<IndexedSlices: 1 rows, values float64[1, 2]>"
    gradient = IndexedSlices(np.ones((2, 3), "f4"), [7, 7], (10, 3))
    assert repr(gradient) == "<IndexedSlices: 2 rows of (10, 3), values float32[2, 3]>"
