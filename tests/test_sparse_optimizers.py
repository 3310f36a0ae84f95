"""Sparse gradients through the optimizer classes: the same as the dense gradients they stand for."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

import nbadam
from nbadam.optimizers.serialization import CLASSES

SHAPE = (7, 3)


def slices(t, dtype=np.float64, duplicates=True):
    """Values and indices of a gradient that touches some rows, one of them twice."""
    rng = np.random.default_rng(t)
    rows = rng.permutation(SHAPE[0])[:3]
    indices = np.append(rows, rows[0]) if duplicates else rows
    return rng.standard_normal((indices.size, SHAPE[1])).astype(dtype), indices


def dense(values, indices):
    gradient = np.zeros(SHAPE, values.dtype)
    np.add.at(gradient, indices, values)
    return gradient


def element_coordinates(values, indices):
    rows = np.repeat(indices, SHAPE[1])
    columns = np.tile(np.arange(SHAPE[1]), indices.size)
    return scipy.sparse.coo_array((values.ravel(), (rows, columns)), shape=SHAPE)


FORMS = {
    "IndexedSlices": lambda values, indices: nbadam.IndexedSlices(values, indices, SHAPE),
    "tuple": lambda values, indices: (values, indices),
    "coo": element_coordinates,
    "csr": lambda values, indices: element_coordinates(values, indices).tocsr(),
    "csc": lambda values, indices: element_coordinates(values, indices).tocsc(),
    "bsr": lambda values, indices: element_coordinates(values, indices).tobsr(),
}


def run(form, opt, steps=6, dtype=np.float64, duplicates=True, wrap=lambda x: x):
    """Step a table by sparse gradients, and beside it a vector by dense ones."""
    table = wrap(np.linspace(-1, 1, 21).reshape(SHAPE).astype(dtype))
    beside = np.ones(4, dtype)
    for t in range(steps):
        gradient = form(*slices(t, dtype, duplicates))
        opt.apply_gradients([(gradient, table), (np.full(4, 0.1 * t, dtype), beside)])
    return np.array(table), beside, opt


@pytest.mark.parametrize(
    ("name", "dtype"), [("Adam", np.float32), *((cls.__name__, np.float64) for cls in CLASSES)]
)
def test_sparse_equals_dense_for_every_class(name, dtype):
    settings = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    results = [
        run(form, getattr(nbadam, name)(0.05, **settings), dtype=dtype) for form in (FORMS["tuple"], dense)
    ]
    (sparse_table, sparse_beside, sparse_opt), (dense_table, dense_beside, dense_opt) = results
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    assert_allclose(sparse_table, dense_table, rtol=tolerance, atol=tolerance)
    assert_array_equal(sparse_beside, dense_beside)
    for mine, reference in zip(sparse_opt.get_weights(), dense_opt.get_weights(), strict=True):
        assert_allclose(mine, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form):
    assert_allclose(run(FORMS[form], nbadam.Adam(0.05))[0], run(dense, nbadam.Adam(0.05))[0], rtol=1e-13)


@pytest.mark.parametrize(
    "settings",
    [
        {"clipvalue": 0.5},
        {"clipnorm": 0.5},
        {"global_clipnorm": 0.5},
        {"clipvalue": 0.5, "clipnorm": 0.7},
        {"weight_decay": 0.3},
        {"amsgrad": True},
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_momentum": 0.5},
        {"on_nonfinite": "raise"},
    ],
    ids=str,
)
def test_settings_act_as_on_a_dense_gradient(settings):
    # Without duplicates: those are clipped one by one, and then summed.
    mine, reference = (
        run(f, nbadam.Adam(0.05, **settings), duplicates=False) for f in (FORMS["tuple"], dense)
    )
    assert_allclose(mine[0], reference[0], rtol=1e-13)
    assert_allclose(mine[1], reference[1], rtol=1e-13)


def test_duplicates_are_clipped_one_by_one_and_then_summed():
    values, indices = np.array([[3.0], [3.0]]), [1, 1]
    clipped, summed = np.zeros((2, 1)), np.zeros((2, 1))
    nbadam.SGD(1.0, clipvalue=2.0).apply_gradients([((values, indices), clipped)])
    nbadam.SGD(1.0).apply_gradients([((values, indices), summed)])
    assert_array_equal(clipped, [[0], [-4]])
    assert_array_equal(summed, [[0], [-6]])


@pytest.mark.parametrize(
    "wrap",
    [lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, axis=1)[:, ::2]],
    ids=["Fortran", "strided"],
)
def test_variables_that_are_not_contiguous(wrap):
    assert_allclose(
        run(FORMS["tuple"], nbadam.Adam(0.05), wrap=wrap)[0], run(dense, nbadam.Adam(0.05))[0], rtol=1e-13
    )


def test_an_empty_gradient_decays_the_moments_and_moves_every_row():
    table, reference = np.ones((2, 1)), np.ones((2, 1))
    mine, other = nbadam.Adam(0.1), nbadam.Adam(0.1)
    for opt, x, empty in ((mine, table, (np.empty((0, 1)), [])), (other, reference, np.zeros((2, 1)))):
        opt.apply_gradients([(np.ones((2, 1)), x)])
        opt.apply_gradients([(empty, x)])
    assert_array_equal(table, reference)
    assert mine.iterations == 2


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        ((np.ones((1, 3)), [7]), ValueError, "Gradient 0 has index 7"),
        ((np.ones((1, 3)), [-1]), ValueError, "Gradient 0 has index -1"),
        ((np.ones((1, 3)), [0.5]), TypeError, "Gradient 0 has indices of dtype"),
        ((np.ones((2, 3)), [1]), ValueError, "Gradient 0 has values of shape"),
        ((np.ones((1, 3)), [1], 3, 4), ValueError, "Gradient 0 is a tuple of 4"),
        (nbadam.IndexedSlices(np.ones((1, 3)), [1], (8, 3)), ValueError, "Gradient 0 has dense_shape"),
        (scipy.sparse.csr_array(np.eye(3)), ValueError, "Gradient 0 has shape"),
    ],
    ids=["high", "negative", "float", "values", "tuple", "dense_shape", "scipy"],
)
def test_a_bad_sparse_gradient_changes_nothing(gradient, error, message):
    table, beside = np.ones(SHAPE), np.ones(2)
    opt = nbadam.Adam(0.1)
    opt.apply_gradients([(np.ones(2), beside), (np.ones(SHAPE), table)])
    before = [table.copy(), beside.copy(), *(w.copy() for w in map(np.asarray, opt.get_weights()))]
    with pytest.raises(error, match=message):
        opt.apply_gradients([(gradient, table), (np.ones(2), beside)])
    for now, then in zip([table, beside, *opt.get_weights()], before, strict=True):
        assert_array_equal(now, then)


def test_a_sparse_gradient_that_is_not_finite_is_skipped():
    table = np.ones(SHAPE)
    opt = nbadam.Adam(0.1, on_nonfinite="skip")
    assert opt.apply_gradients([((np.full((1, 3), np.nan), [1]), table)]) == 0
    assert_array_equal(table, 1)
    assert opt.skipped_steps == 1
