"""Steps of the optimizer classes: clipping, weight decay, averages, accumulation, losses.

The numbers are compared with other libraries in test_golden.
"""

import numba
import numpy as np
import pytest
from arrays import normal, snapshot
from hypothesis import given
from hypothesis import strategies as st

from nbadam import optimizers, schedules
from nbadam.optimizers import SGD, Adam
from nbadam.optimizers.serialization import CLASSES
from nbadam.optimizers.variables import SMALL

# Plain Python loops warn where compiled ones do not.
beyond_doubles = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")


# --- Clipping ------------------------------------------------------------------------------------


def clipped(gs, clipvalue=None, clipnorm=None, global_clipnorm=None):
    """The formulas of legacy Keras."""
    if clipvalue is not None:
        gs = [np.clip(g, -clipvalue, clipvalue) for g in gs]
    if clipnorm is not None:
        gs = [g * clipnorm / max(np.linalg.norm(g), clipnorm) for g in gs]
    if global_clipnorm is not None:
        norm = np.sqrt(sum((g**2).sum() for g in gs))
        gs = [g * global_clipnorm * min(1 / norm, 1 / global_clipnorm) for g in gs]
    return gs


limits = st.sampled_from([None, 0.25, 1.0, 100.0])


@given(clipvalue=limits, norm=limits, together=st.booleans(), seed=st.integers(0, 9))
def test_clipping(clipvalue, norm, together, seed):
    options = {"clipvalue": clipvalue, "global_clipnorm" if together else "clipnorm": norm}
    shapes = [(3,), (2, 2), (), (SMALL,)]
    gs = [normal(seed + k, *shape) for k, shape in enumerate(shapes)]
    xs = [np.zeros(shape) for shape in shapes]
    SGD(1.0, **options).apply_gradients(zip(gs, xs, strict=True))
    for x, expected in zip(xs, clipped(gs, **options), strict=True):
        np.testing.assert_allclose(-x, expected, rtol=1e-14)


def test_limits_can_be_lifted():
    x = np.zeros(2)
    opt = SGD(1.0, clipnorm=1.0, clipvalue=2.0, weight_decay=0.5)
    opt.apply_gradients([([3.0, 4.0], x)])
    opt.clipnorm = opt.clipvalue = opt.weight_decay = None
    x[:] = 10
    opt.apply_gradients([([3.0, 4.0], x)])
    np.testing.assert_array_equal(x, [7.0, 6.0])


@beyond_doubles
@pytest.mark.parametrize("limit", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("size", [1e154, 1e200, 1.7e308])
def test_norms_of_huge_gradients(limit, size):
    x, y = np.zeros(2), np.zeros(SMALL)
    opt = SGD(1.0, **{limit: 2.0})
    opt.apply_gradients([(np.full(2, size), x), (np.zeros(SMALL), y)])
    np.testing.assert_allclose(x, -np.sqrt(2.0), rtol=1e-14)
    assert not y.any()


@beyond_doubles
def test_huge_gradients_of_mixed_dtypes():
    x, y = np.zeros(2), np.zeros(2, np.float32)
    opt = SGD(1.0, global_clipnorm=1e200)
    opt.apply_gradients([(np.full(2, 3e200), x), (np.full(2, 1e38, np.float32), y)])
    np.testing.assert_allclose(x, -1e200 / np.sqrt(2), rtol=1e-14)
    np.testing.assert_allclose(y, -1e38 / (3 * np.sqrt(2)), rtol=1e-6)


@pytest.mark.parametrize("limit", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_limit_zero(limit):
    x, y = np.ones(2), np.ones(2)
    SGD(1.0, **{limit: 0}).apply_gradients([(np.zeros(2), x), (np.ones(2), y)])
    assert (x == 1).all() and (y == 1).all()


@beyond_doubles
@pytest.mark.parametrize(
    ("options", "gradient", "expected"),
    [
        ({"clipvalue": 1.0}, [np.inf, -np.inf, np.nan, 0.5], [-1.0, 1.0, np.nan, -0.5]),
        ({"clipnorm": 1.0}, [np.inf, 1.0, 0.0, 2.0], [np.nan, 0.0, 0.0, 0.0]),
        ({"clipnorm": 1.0}, [np.nan, 1.0, 0.0, 2.0], [np.nan] * 4),
        ({"global_clipnorm": 1.0}, [np.inf, 1.0, 0.0, 2.0], [np.nan] * 4),
        ({"global_clipnorm": 1.0}, [np.nan, 1.0, 0.0, 2.0], [np.nan] * 4),
        ({"clipvalue": 3.0, "clipnorm": 1.0}, [np.inf, -4.0, 0.0, 0.0], [-(0.5**0.5), 0.5**0.5, 0.0, 0.0]),
    ],
)
def test_gradients_that_are_not_finite(options, gradient, expected):
    x, y = np.zeros(4), np.zeros(1)
    SGD(1.0, **options).apply_gradients([(gradient, x), ([0.5], y)])
    np.testing.assert_allclose(x, expected, rtol=1e-15)
    assert np.isnan(y[0]) if "global_clipnorm" in options else y[0] == -0.5


# --- What is not finite --------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [{}, {"clipvalue": 1.0}, {"clipnorm": 1.0}, {"use_ema": True}])
def test_skip(bad, options):
    x, y, z = np.ones(2), np.ones(SMALL), np.ones(2)
    opt = Adam(0.1, on_nonfinite="skip", **options)
    opt.apply_gradients([(np.ones(2), x), (np.ones(SMALL), y)])
    before = snapshot(opt, [x, y, z])
    g = np.ones(SMALL)
    g[17] = bad
    assert opt.apply_gradients([(np.ones(2), x), (g, y), (np.ones(2), z)]) == 1
    assert opt.skipped_steps == 1
    assert snapshot(opt, [x, y, z]) == (1, 1, *before[2:])
    assert opt.apply_gradients([(np.ones(2), x), (np.ones(SMALL), y)]) == 2


@beyond_doubles
def test_raise():
    x, y = np.ones(3), np.ones((2, 2))
    opt = Adam(0.1, on_nonfinite="raise")
    with pytest.raises(FloatingPointError, match=r"shape \(2, 2\) is inf in entry 2 of 4"):
        opt.apply_gradients([(np.ones(3), x), (np.array([[1.0, 2.0], [np.inf, np.nan]]), y)])
    assert opt.iterations == opt.skipped_steps == 0 and (x == 1).all() and (y == 1).all()
    assert opt.apply_gradients([(np.full(3, 1e300), x), (np.ones((2, 2)), y)]) == 1  # its square is infinite


def test_propagate():
    x, y = np.ones(2), np.ones(2)
    opt = Adam(0.1)
    opt.apply_gradients([([np.nan, 1.0], x), (np.ones(2), y)])
    assert np.isnan(x[0]) and np.isfinite(x[1]) and np.isfinite(y).all()
    assert np.isnan(opt.get_slot(x, "m")).tolist() == [True, False]


# --- Weight decay, averages, accumulation --------------------------------------------------------


def test_weight_decay_comes_first_and_can_be_left_out():
    x, y, z = np.full(2, 4.0), np.full(2, 4.0), np.full(2, 4.0)
    opt = SGD(0.5, weight_decay=0.25)
    opt.exclude_from_weight_decay(y)
    opt.apply_gradients([(np.ones(2), x), (np.ones(2), y)])
    np.testing.assert_array_equal(x, 4 * (1 - 0.125) - 0.5)
    np.testing.assert_array_equal(y, 3.5)
    opt.exclude_from_weight_decay({"x": x})
    opt.apply_gradients([(np.zeros(2), x), (None, y), (np.zeros(2), z)])
    np.testing.assert_array_equal(x, 3.0)
    np.testing.assert_array_equal(y, 3.5)
    np.testing.assert_array_equal(z, 3.5)


def test_averages():
    x, late = np.full(2, 4.0), np.full(2, 4.0, np.float32)
    opt = SGD(1.0, use_ema=True, ema_momentum=0.75)
    opt.apply_gradients([(np.ones(2), x)])
    np.testing.assert_array_equal(opt.get_slot(x, "average"), 3.0)  # the first step is the average
    opt.apply_gradients([(np.ones(2), x), (np.ones(2, np.float32), late)])
    np.testing.assert_array_equal(opt.get_slot(x, "average"), 0.75 * 3 + 0.25 * 2)
    np.testing.assert_array_equal(opt.get_slot(late, "average"), 0.75 * 4 + 0.25 * 3)
    np.testing.assert_array_equal(x, 2.0)
    opt.finalize_variable_values([x, late])
    np.testing.assert_array_equal(x, 2.75)
    np.testing.assert_array_equal(late, 3.75)
    with pytest.raises(ValueError, match="no slots"):
        opt.finalize_variable_values(np.ones(2))


def test_averages_overwrite():
    x = np.full(2, 4.0)
    opt = SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)
    opt.apply_gradients([(np.ones(2), x)])
    opt.apply_gradients([(np.ones(2), x)])
    np.testing.assert_array_equal(x, 2.5)


def test_no_averages():
    opt = Adam()
    x = np.ones(2)
    opt.build(x)
    with pytest.raises(ValueError, match=r"must be one of \['m', 'v'\], not 'average'"):
        opt.finalize_variable_values(x)


@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.5}, {"weight_decay": 0.1}])
def test_accumulated_gradients_are_averaged(options):
    x, y = np.ones(3), np.ones(3)
    opt = Adam(0.1, gradient_accumulation_steps=3, **options)
    plain = Adam(0.1, **options)
    for step in range(2):
        gs = [normal(10 * step + k, 3) for k in range(3)]
        for k, g in enumerate(gs):
            assert opt.apply_gradients([(g, x)]) == step + (k == 2)
        plain.apply_gradients([((gs[0] + gs[1] + gs[2]) / 3, y)])
        np.testing.assert_array_equal(x, y)
    assert opt.iterations == 2


def test_accumulation_leaves_variables_alone_in_between():
    x = np.ones(2)
    opt = SGD(1.0, gradient_accumulation_steps=2)
    g = np.ones(2)
    opt.apply_gradients([(g, x)])
    assert (x == 1).all() and (g == 1).all()
    np.testing.assert_array_equal(opt.get_slot(x, "gradient_accumulator"), 1.0)
    opt.apply_gradients([(np.full(2, 3.0), x)])
    assert (x == -1).all()
    assert not opt.get_slot(x, "gradient_accumulator").any()


def test_accumulation_keeps_what_came_before_a_missing_gradient():
    x, y, z = np.ones(2), np.ones(2), np.ones(2)
    opt = SGD(1.0, gradient_accumulation_steps=2, weight_decay=0.5)
    opt.build([x, y, z])
    opt.apply_gradients([(np.ones(2), x), (None, y)])
    opt.apply_gradients([(None, x), (np.ones(2), y)])
    np.testing.assert_array_equal(x, 0.0)
    np.testing.assert_array_equal(y, 0.0)
    np.testing.assert_array_equal(z, 1.0)  # none in the whole cycle: not even decayed
    x[:] = 5
    opt.apply_gradients([(np.ones(2), z)])
    opt.apply_gradients([(np.ones(2), z)])
    np.testing.assert_array_equal(x, 5.0)
    np.testing.assert_array_equal(opt.get_slot(x, "gradient_accumulator"), 0.0)
    np.testing.assert_array_equal(z, -0.5)


def test_accumulation_with_schedule_counts_calls():
    x = np.zeros(1)
    opt = SGD(schedules.PiecewiseConstantDecay([1, 3], [1.0, 0.5, 0.25]), gradient_accumulation_steps=2)
    for _ in range(6):
        opt.apply_gradients([([1.0], x)])
    np.testing.assert_array_equal(x, -(1.0 + 0.5 + 0.25))


def test_accumulation_skips_calls_that_are_not_finite():
    x = np.zeros(1)
    opt = SGD(1.0, gradient_accumulation_steps=2, on_nonfinite="skip")
    for g in (1.0, np.nan, 3.0):
        opt.apply_gradients([([g], x)])
    assert x == -2.0 and opt.iterations == 1 and opt.skipped_steps == 1


# --- minimize ------------------------------------------------------------------------------------


def test_minimize_with_the_gradients_of_the_loss():
    tree = {"a": np.array([1.0, 2.0]), "b": [np.array(3.0)]}
    calls = []

    def loss():
        calls.append(1)
        return 0.0, {"b": [2.0], "a": 2 * tree["a"]}

    assert SGD(0.5).minimize(loss, tree) == 1
    assert len(calls) == 1
    np.testing.assert_array_equal(tree["a"], 0.0)
    assert tree["b"][0] == 2.0


def test_minimize_with_a_gradient_function():
    x = np.array([1.0, 2.0])
    never = pytest.fail
    assert SGD(0.5).minimize(never, x, grad=lambda: 2 * x) == 1
    np.testing.assert_array_equal(x, 0.0)


def test_minimize_refuses_differences_for_many_elements():
    calls = []

    def loss():
        calls.append(1)
        return float((x**2).sum())

    x = np.ones(5001)
    opt = SGD(0.5)
    with pytest.raises(
        ValueError, match=r"5,001 elements would take 10,002 evaluations a step, about .* seconds"
    ):
        opt.minimize(loss, x)
    assert len(calls) == 1 and opt.iterations == 0 and (x == 1).all()
    assert opt.minimize(lambda: (0.0, 2 * x), x) == 1
    assert opt.minimize(loss, np.ones(2)) == 2


def test_minimize_takes_a_function_of_variables():
    x = np.ones(2)
    assert SGD(0.5).minimize(lambda: (0.0, [np.ones(2)]), lambda: [x]) == 1
    np.testing.assert_array_equal(x, 0.5)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-8), (np.float32, 1e-3), (">f8", 1e-8)])
def test_minimize_by_differences(dtype, rtol):
    tree = ({"a": np.array([[1.0, -2.0], [0.5, 3.0]], dtype).T}, [np.array(3.0, dtype)])
    start = tree[0]["a"].astype(float)
    evaluations = []

    def loss():
        evaluations.append(1)
        return (tree[0]["a"].astype(float) ** 3).sum() * float(tree[1][0])

    SGD(1e-3).minimize(loss, tree)
    assert len(evaluations) == 1 + 2 * 5
    np.testing.assert_allclose(start - tree[0]["a"], 1e-3 * 9 * start**2, rtol=rtol)
    np.testing.assert_allclose(3 - tree[1][0], 1e-3 * (start**3).sum(), rtol=rtol)


def test_differences_put_everything_back():
    x = np.array([0.1, 0.2, 0.3])
    kept = x.copy()
    calls = []

    def loss():
        calls.append(1)
        if len(calls) == 5:
            raise ZeroDivisionError
        return float(x.sum())

    opt = Adam()
    with pytest.raises(ZeroDivisionError):
        opt.minimize(loss, x)
    np.testing.assert_array_equal(x, kept)
    assert opt.iterations == 0


@pytest.mark.parametrize("result", [None, "1", np.ones(2), 1j, (1.0,), (1.0, 2.0, 3.0)])
def test_minimize_refuses_what_is_no_loss(result):
    x = np.ones(2)
    with pytest.raises(ValueError, match="`loss` must return"):
        Adam().minimize(lambda: result, x)
    assert (x == 1).all()


def test_minimize_checks_the_variables_first():
    x = np.ones(2, int)
    with pytest.raises(TypeError, match="Variable 0 must be of dtype float32 or float64, not int64"):
        Adam().minimize(pytest.fail, [x])


@pytest.mark.parametrize("cls", CLASSES)
def test_minimizes(cls):
    target = np.array([1.0, -0.5, 0.25])
    x = np.array([0.5, 0.5, 0.5])
    start = ((x - target) ** 2).sum()
    opt = cls(learning_rate=1.0 if cls in (optimizers.Adadelta, optimizers.Ftrl) else 0.01)
    for _ in range(200):
        opt.minimize(lambda: (0.0, 2 * (x - target)), x)
    assert ((x - target) ** 2).sum() < 0.9 * start


# --- Steps with and without the lookups of the step before ---------------------------------------


# Compiled ones take four kernels each: two do, all in plain Python.  What is prepared knows no rule.
@pytest.mark.parametrize("cls", CLASSES if numba.config.DISABLE_JIT else CLASSES[::6])
def test_a_prepared_step_is_the_step(cls):
    rng = np.random.default_rng(1)
    shapes = [(3,), (2, 4), (), (0,), (4097,), (1,), (5,), (2,)]
    dtypes = [np.float64] * 4 + [np.float32] * 4
    for count in (1, 2, len(shapes)):
        quick, plain = cls(0.01, clipvalue=1.5, weight_decay=0.1), cls(0.01, clipvalue=1.5, weight_decay=0.1)
        xs = [np.asarray(rng.normal(size=s), d) for s, d in zip(shapes, dtypes, strict=True)][:count]
        ys = [x.copy() for x in xs]
        used = 0
        for step in range(8):
            gs = [np.asarray(rng.normal(size=x.shape), x.dtype) for x in xs]
            forms = {
                3: [np.asarray(g, ">f8") for g in gs],
                4: [np.repeat(g[None], 2, axis=0)[1] for g in gs],  # views
                5: [None if k == 1 else g for k, g in enumerate(gs)],
                6: [xs[k] if k == count - 1 else g for k, g in enumerate(gs)],  # a variable as gradient
            }
            for opt, variables in ((quick, xs), (plain, ys)):
                given = forms.get(step, gs)
                if step == 6:
                    given = [*gs[:-1], variables[-1]]
                if opt is plain:
                    opt._prepared = None
                used += opt._prepared is not None
                opt.apply_gradients(list(zip(given, variables, strict=True)))
        assert used == 7
        for x, y in zip(xs, ys, strict=True):
            np.testing.assert_array_equal(x, y)
        assert quick.iterations == plain.iterations == 8


def test_a_prepared_step_refuses_all_that_a_first_step_refuses():
    x, y = np.ones(3), np.ones((2, 2), np.float32)
    opt = Adam(0.1)
    good = [(np.ones(3), x), (np.ones((2, 2), np.float32), y)]
    for _ in range(2):
        opt.apply_gradients(good)
    before = snapshot(opt, [x, y])
    bad = [
        [(np.ones(4), x), good[1]],
        [(np.ones((3, 1)), x), good[1]],
        [good[0], (np.ones(4, np.float32), y)],
        [good[0], (np.ones((2, 2), complex), y)],
        [good[0], (np.ma.ones((2, 2)), y)],
        [good[0], good[0]],
        [good[0], (np.ones(3),)],
        [good[0], 3],
        [good[0], (good[1][0], "y")],
        [(None, x), (None, y)],
    ]
    for pairs in bad:
        with pytest.raises((TypeError, ValueError)):
            opt.apply_gradients(pairs)
        assert snapshot(opt, [x, y]) == before
    assert opt.apply_gradients([]) == 2
