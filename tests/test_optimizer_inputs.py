"""Variables and gradients that optimizers take, in every form, and those that they refuse."""

import numba
import numpy as np
import pytest
import scipy.sparse
from arrays import normal, snapshot

from nbadam import IndexedSlices
from nbadam.optimizers import SGD, Adam
from nbadam.optimizers.serialization import CLASSES
from nbadam.optimizers.variables import SMALL

# --- Variables -----------------------------------------------------------------------------------


# Compiled ones take four kernels each: a few do, all in plain Python.
@pytest.mark.long
@pytest.mark.parametrize("cls", CLASSES if numba.config.DISABLE_JIT else CLASSES[::4])
def test_many_variables_step_as_each_would_alone(cls):
    shapes = [(), (3,), (2, 5), (0,), (1,), (4, 1, 2)] * 4 + [(SMALL,), (SMALL + 1,)]
    dtypes = [np.float64, np.float32]
    xs = [normal(i, *shape, dtype=dtypes[i % 2]) for i, shape in enumerate(shapes)]
    alone = [x.copy() for x in xs]
    options = {"learning_rate": 0.1, "clipvalue": 1.0, "clipnorm": 2.0, "weight_decay": 0.1}
    opt, singles = cls(**options), [cls(**options) for _ in xs]
    for step in range(1, 4):
        gs = [normal(100 * step + i, *x.shape, dtype=x.dtype) for i, x in enumerate(xs)]
        assert opt.apply_gradients(zip(gs, xs, strict=True)) == step
        for single, g, x in zip(singles, gs, alone, strict=True):
            single.apply_gradients([(g, x)])
    for x, y in zip(xs, alone, strict=True):
        np.testing.assert_array_equal(x, y)
        assert np.isfinite(x).all()


def test_example_of_the_reference_page():
    var1 = np.array(10.0)
    opt = Adam(learning_rate=0.1)
    assert opt.minimize(lambda: (var1**2) / 2.0, [var1]) == 1
    assert var1 == pytest.approx(9.9, abs=1e-6)


def unaligned(values):
    raw = np.zeros(8 * len(values) + 1, np.uint8)
    array = raw[1:].view("<f8")
    array[:] = values
    return array


def layouts(tmp_path):
    """Arrays that do not lie in memory as the kernels take them, and some that do."""
    base = np.ones((6, 8))
    packed = np.zeros(5, dtype=[("a", "u1"), ("x", "<f8")])
    packed["x"] = 1.0
    mapped = np.memmap(tmp_path / "x.bin", dtype=np.float32, mode="w+", shape=(3, 2))
    mapped[:] = 1
    return {
        "0-d": np.array(1.0),
        "transposed": np.ones((4, 3)).T,
        "Fortran": np.ones((4, 3), order="F"),
        "strided": base[::2, 1::3],
        "reversed": np.ones(5)[::-1],
        "column": np.ones((3, 2))[:, 0],
        "memory-mapped": mapped,
        "part of a memory map": mapped[1:, ::2],
        "big-endian": np.ones(3, ">f8"),
        "unaligned": unaligned([1.0, 1.0, 1.0]),
        "packed": packed["x"],
        "empty": np.ones((0, 3)),
    }


LAYOUTS = ["0-d", "transposed", "Fortran", "strided", "reversed", "column", "memory-mapped"]
LAYOUTS += ["part of a memory map", "big-endian", "unaligned", "packed", "empty"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_layout(tmp_path, name):
    x = layouts(tmp_path)[name]
    y = np.ones(x.shape, x.dtype.newbyteorder("="))
    opt, plain = Adam(0.1, weight_decay=0.1), Adam(0.1, weight_decay=0.1)
    for seed in range(3):
        g = normal(seed, *x.shape, dtype=y.dtype)
        opt.apply_gradients([(g, x)])
        plain.apply_gradients([(g, y)])
    np.testing.assert_array_equal(x, y)
    if "memory" in name:
        x.flush()
        assert np.fromfile(tmp_path / "x.bin", np.float32).min() < 1


def test_neighbours_of_a_strided_variable_stay():
    base = np.ones(9)
    Adam(0.1).apply_gradients([(np.ones(3), base[1::3])])
    assert (base[[0, 2, 3, 5, 6, 8]] == 1).all() and (base[1::3] < 1).all()


def test_nested_structures():
    tree = {"layers": [(np.ones(2), np.ones(3)), (np.ones(1), np.ones(1))], "scale": np.array(1.0)}
    gradients = {"scale": np.array(2.0), "layers": [(np.ones(2), None), None]}
    opt = SGD(0.5)
    assert opt.apply_gradients([(gradients, tree)]) == 1
    assert tree["scale"] == 0.0
    assert (tree["layers"][0][0] == 0.5).all()
    assert (tree["layers"][0][1] == 1).all() and tree["layers"][1][0] == 1


def test_variables_come_and_go():
    x, y, z = np.ones(2), np.ones(3), np.ones(2)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x)])
    opt.apply_gradients([(np.ones(3), y), (np.ones(2), x)])
    opt.apply_gradients([(None, x), (np.ones(2), z), (np.ones(3), y)])
    assert opt.iterations == 3
    # Slots start with the first gradient, bias correction counts the steps of the optimizer.
    np.testing.assert_allclose(opt.get_slot(x, "m"), 1 - 0.9**2)
    np.testing.assert_allclose(opt.get_slot(z, "m"), 1 - 0.9)
    late = 0.1 * 0.1 / (1 - 0.9**3) / (np.sqrt(0.001 / (1 - 0.999**3)))
    np.testing.assert_allclose(z, 1 - late, rtol=1e-5)


def test_equal_arrays_are_different_variables():
    x, y = np.ones(2), np.ones(2)
    opt = SGD(0.5, momentum=0.5)
    opt.apply_gradients([(np.ones(2), x)])
    opt.apply_gradients([(np.ones(2), y)])
    np.testing.assert_array_equal(x, y)
    assert opt.get_slot(x, "momentum") is not opt.get_slot(y, "momentum")


def test_empty_call_does_nothing():
    opt = Adam()
    assert opt.apply_gradients([]) == 0
    opt.apply_gradients([(np.ones(1), np.ones(1))])
    assert opt.apply_gradients(iter([])) == 1 == opt.iterations


def overlapping():
    base = np.ones(6)
    return base, {
        "part": (base, base[:2]),
        "shifted": (base[:4], base[2:]),
        "interleaved": (base[::2], base[2:3]),
        "same memory": (base, base[:]),
    }


@pytest.mark.parametrize("name", overlapping()[1])
def test_overlapping_variables_are_refused(name):
    _, pairs = overlapping()
    x, y = pairs[name]
    opt = Adam()
    with pytest.raises(ValueError, match="Variable 1 overlaps another"):
        opt.apply_gradients([(np.ones(x.shape), x), (np.ones(y.shape), y)])
    assert (x == 1).all() and opt.iterations == 0
    opt.apply_gradients([(np.ones(x.shape), x)])
    before = snapshot(opt, [x])
    with pytest.raises(ValueError, match="overlaps another"):
        opt.apply_gradients([(np.ones(y.shape), y)])
    assert snapshot(opt, [x]) == before


def test_views_that_do_not_overlap():
    base = np.ones(6)
    opt = SGD(0.5)
    opt.apply_gradients([(np.ones(3), base[::2]), (np.full(3, 2.0), base[1::2])])
    np.testing.assert_array_equal(base, [0.5, 0.0] * 3)


def read_only():
    x = np.ones(2)
    x.flags.writeable = False
    return x


BAD_VARIABLES = {
    "read-only": (read_only(), ValueError, "Variable 1 is read-only"),
    "integer": (np.ones(2, int), TypeError, "Variable 1 must be of dtype float32 or float64, not int64"),
    "half": (np.ones(2, np.float16), TypeError, "not float16"),
    "long double": (np.ones(2, np.longdouble), TypeError, "Variable 1 must be of dtype"),
    "complex": (np.ones(2, complex), TypeError, "not complex128"),
    "object": (np.ones(2, object), TypeError, "not object"),
    "masked": (np.ma.ones(2), TypeError, "not a MaskedArray"),
    "number": (1.0, TypeError, "NumPy array, which is updated in place.*float 1.0"),
    "NumPy number": (np.float64(1.0), TypeError, "NumPy array, which is updated in place"),
    "list of numbers": ([1.0, 2.0], TypeError, "not float 1.0"),
    "string": ("x", TypeError, "not str 'x'"),
    "None": (None, TypeError, "not NoneType"),
}


@pytest.mark.parametrize("name", BAD_VARIABLES)
def test_bad_variable(name):
    bad, error, message = BAD_VARIABLES[name]
    x = np.ones(2)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x)])
    before = snapshot(opt, [x])
    gradient = [1.0, 1.0] if isinstance(bad, list) else np.ones(2)
    with pytest.raises(error, match=message):
        opt.apply_gradients([(np.ones(2), x), (gradient, bad)])
    with pytest.raises(error, match=message):
        opt.build([x, bad])
    assert snapshot(opt, [x]) == before


# --- Gradients -----------------------------------------------------------------------------------


class Sparse:
    """Looks like scipy.sparse."""

    def tocoo(self):
        raise AssertionError


BAD_GRADIENTS = {
    "shape": (np.ones(3), ValueError, r"Gradient 1 has shape \(3,\) and its variable \(2,\)"),
    "broadcastable": (np.ones(1), ValueError, r"shape \(1,\)"),
    "number": (1.0, ValueError, r"shape \(\) and its variable \(2,\)"),
    "boolean": (np.ones(2, bool), TypeError, "real numbers, not of dtype bool"),
    "complex": (np.ones(2, complex), TypeError, "real numbers, not of dtype complex128"),
    "object": (np.ones(2, object), TypeError, "real numbers, not of dtype object"),
    "masked": (np.ma.ones(2), TypeError, "Gradient 1 is a masked array"),
    "ragged": ([[1.0], [1.0, 2.0]], TypeError, "Gradient 1 must be an array of real numbers, not list"),
    "strings": (["a", "b"], TypeError, "Gradient 1 must be an array of real numbers"),
    "string": ("ab", TypeError, "real numbers, not str"),
    "dict": ({"a": 1}, TypeError, "real numbers, not dict"),
    "object like a matrix": (Sparse(), TypeError, "real numbers, not Sparse"),
    "index out of range": ((np.ones(1), [2]), ValueError, "Gradient 1 has index 2"),
}


@pytest.mark.parametrize("name", BAD_GRADIENTS)
def test_bad_gradient(name):
    bad, error, message = BAD_GRADIENTS[name]
    x, y = np.ones(2), np.ones(2)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x)])
    before = snapshot(opt, [x, y])
    with pytest.raises(error, match=message):
        opt.apply_gradients([(np.ones(2), x), (bad, y)])
    assert snapshot(opt, [x, y]) == before
    with pytest.raises(ValueError, match="no slots"):
        opt.get_slot(y, "m")


@pytest.mark.parametrize("variable", [np.float32, np.float64])
@pytest.mark.parametrize("gradient", [np.float16, np.float32, np.float64, np.longdouble, np.int32, np.uint8])
@pytest.mark.parametrize("form", ["dense", "rows", "scipy.sparse"])
def test_gradients_are_cast(form, gradient, variable):
    values = normal(0, 4, 3) if np.dtype(gradient).kind == "f" else np.arange(12).reshape(4, 3)
    values = values.astype(gradient)
    forms = {
        "dense": lambda values: values,
        "rows": lambda values: (values, [0, 1, 2, 3]),
        "scipy.sparse": lambda values: scipy.sparse.coo_array(
            (values.ravel(), np.divmod(np.arange(12), 3)), shape=(4, 3)
        ),
    }
    if form == "scipy.sparse" and gradient in (np.float16, np.longdouble):
        pytest.skip("no dtype of scipy.sparse everywhere")
    x, y = np.ones((4, 3), variable), np.ones((4, 3), variable)
    Adam(0.1).apply_gradients([(forms[form](values), x)])
    Adam(0.1).apply_gradients([(forms[form](values.astype(variable)), y)])
    np.testing.assert_array_equal(x, y, strict=True)
    assert (x != 1).any()


def test_swapped_pairs_are_refused_where_they_can_be_seen():
    x = np.ones(3)
    opt = Adam(0.1)
    opt.build(x)
    with pytest.raises(ValueError, match=r"Pair 0 looks like \(variable, gradient\)"):
        opt.apply_gradients([(x, np.ones(3))])
    opt = Adam(0.1)
    opt.apply_gradients([(x, 2 * x)])  # could be right
    before = snapshot(opt, [x])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"Pair 0 looks like \(variable, gradient\)"):
            opt.apply_gradients([(x, 2 * x)])
    assert snapshot(opt, [x]) == before
    with pytest.raises(TypeError, match=r"look like \(variable, gradient\)"):
        opt.apply_gradients([(x, IndexedSlices(np.ones(3), [0, 1, 2]))])


def test_a_gradient_may_be_another_variable():
    """The loss is x @ y."""
    x, y, z = np.full(2, 2.0), np.full(2, 3.0), np.ones(2)
    opt = SGD(0.5)
    for _ in range(2):
        opt.apply_gradients([(y, x), (x, y)])
    np.testing.assert_array_equal(x, [-0.5, -0.5])
    buffer = np.ones(2)
    opt.apply_gradients([(buffer, x)])
    opt.apply_gradients([(buffer, z)])
    opt.apply_gradients([(buffer, np.ones(2)), (buffer.copy(), z)])
    assert opt.iterations == 5


@pytest.mark.parametrize(
    ("gradient", "variable", "message"),
    [
        (np.ones(2), [np.ones(1), np.ones(1)], "same structure.*not as ndarray"),
        ([np.ones(1)], [np.ones(1), np.ones(1)], r"entries \[0, 1\]"),
        ({"a": np.ones(1)}, {"b": np.ones(1)}, r"entries \['b'\]"),
        ([np.ones(1)], {0: np.ones(1)}, "of a dict of variables"),
    ],
)
def test_gradients_of_another_structure(gradient, variable, message):
    with pytest.raises(ValueError, match=message):
        Adam().apply_gradients([(gradient, variable)])


@pytest.mark.parametrize("entry", [np.ones(3), 1.0, (np.ones(1),), (1, 2, 3)])
def test_what_is_no_pair(entry):
    with pytest.raises(ValueError, match=r"pairs \(gradient, variable\)"):
        Adam().apply_gradients([entry])


def test_no_gradients():
    opt = Adam()
    with pytest.raises(ValueError, match="No gradients provided for any variable: all 2 are None"):
        opt.apply_gradients([(None, np.ones(1)), (None, np.ones(2))])
    assert opt.iterations == 0 and opt.get_weights() == []


def test_variable_listed_twice():
    x = np.ones(2)
    opt = Adam(0.1)
    for _ in range(2):
        with pytest.raises(ValueError, match="Variable 1 is listed twice"):
            opt.apply_gradients([(np.ones(2), x), (np.ones(2), x)])
        assert (x == 1).all() and opt.iterations == 0
        opt.build(x)
    assert opt.apply_gradients([(np.ones(2), x), (None, x)]) == 1


def kept(values):
    array = np.array(values)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form",
    [
        list,
        kept,
        unaligned,
        lambda values: np.array(values, ">f8"),
        lambda values: np.repeat(values, 2)[::2],
        lambda values: np.array([values])[0],
        lambda values: [np.float64(value) for value in values],
    ],
)
def test_forms_of_a_gradient(form):
    x, y = np.ones(3), np.ones(3)
    Adam(0.1).apply_gradients([(form([1.0, -2.0, 3.0]), x)])
    Adam(0.1).apply_gradients([(np.array([1.0, -2.0, 3.0]), y)])
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gradient", [2, 2.0, np.float64(2.0)])
def test_number_as_gradient_of_a_scalar(dtype, gradient):
    x = np.array(1.0, dtype)
    SGD(0.25).apply_gradients([(gradient, x)])
    assert x == 0.5
    SGD(0.25).apply_gradients([(dtype(2), x)])
    assert x == 0.0


def test_gradients_that_are_variables():
    """As those of x . y are: stepping x must not change the gradient of y."""
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    SGD(1.0).apply_gradients([(y, x), (x, y)])
    np.testing.assert_array_equal(x, [-2.0, -2.0])
    np.testing.assert_array_equal(y, [2.0, 2.0])


def test_gradients_that_are_parts_of_variables():
    base = np.array([1.0, 2.0, 3.0, 4.0])
    x, y = base[:2], base[2:]
    opt = SGD(1.0)
    opt.apply_gradients([(base[1:3], x), (base[:2], y)])
    np.testing.assert_array_equal(base, [-1.0, -1.0, 2.0, 2.0])
    opt.apply_gradients([(base[1:3], x), (base[:2], y)])
    np.testing.assert_array_equal(base, [0.0, -3.0, 3.0, 3.0])
