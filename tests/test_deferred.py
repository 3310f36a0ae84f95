"""The deferred sparse update: after `sync` it is the dense run, whatever was touched when."""

from functools import partial
from math import sqrt

import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nbadam import rules, sparse
from nbadam.sparse import DeferredRows, deferred, gradients, steps

TOLERANCE = {"float32": 2e-6, "float64": 1e-12}  # of the largest parameter
HYPER = (0.01, 0.9, 0.999, 1e-7)
TINY = np.finfo(np.float32).tiny


class Run:
    """A table stepped deferred, densely in double precision and, if so asked, by the default update."""

    def __init__(self, shape, dtype="float64", rule=rules.ADAM, seed=0, by_default=False):
        self.rng = np.random.default_rng(seed)
        self.rule, self.shape = rule, shape
        self.exact = self.rng.normal(size=shape).astype(dtype).astype(float)
        self.m, self.v, self.v_hat = (np.zeros(shape) for _ in range(3))
        self.largest = np.zeros(4)  # of x, m, v and v_hat, so far
        self.keep_largest()
        self.x, self.default = (self.exact.astype(dtype).ravel() for _ in range(2))
        self.slots, self.default_slots = (tuple(np.zeros_like(self.x) for _ in rule.slots) for _ in range(2))
        self.by_default = by_default
        self.table = DeferredRows(rule, self.x, self.slots, shape[1])
        self.t = 0

    def step(self, values, rows, hyper=HYPER, decay=0.0):
        self.t += 1
        gradient = sparse.row_gradient((values, rows), self.shape, self.x.dtype, "g").summed()
        self.table.step(gradient, float(self.t), hyper, decay)
        if self.by_default:
            sparse.step(self.rule, self.default, self.default_slots, gradient, float(self.t), hyper, decay)
        self.dense_step(gradient.dense(self.shape).astype(float), *hyper, decay)

    def dense_step(self, g, learning_rate, beta_1, beta_2, epsilon, decay):
        self.m = beta_1 * self.m + (1 - beta_1) * g
        self.v = beta_2 * self.v + (1 - beta_2) * g * g
        self.v_hat = np.maximum(self.v_hat, self.v)
        alpha = learning_rate * sqrt(1 - beta_2**self.t) / (1 - beta_1**self.t)
        denominator = np.sqrt(self.v if self.rule is rules.ADAM else self.v_hat) + epsilon
        moving = denominator > 0
        movement = np.divide(self.m, denominator, out=np.zeros(self.shape), where=moving)
        self.exact = self.exact - decay * self.exact - alpha * movement
        self.keep_largest()

    def keep_largest(self):
        sizes = [np.abs(array).max() for array in (self.exact, self.m, self.v, self.v_hat)]
        self.largest = np.maximum(self.largest, sizes)

    def random_values(self, rows, scale=1.0):
        return (self.rng.normal(size=(rows.size, self.shape[1])) * scale).astype(self.x.dtype)

    def random_step(self, touched=1, scale=1.0, **settings):
        rows = self.rng.integers(0, self.shape[0], touched)
        self.step(self.random_values(rows, scale), rows, **settings)

    def idle(self, steps, **settings):
        for _ in range(steps):
            self.random_step(0, **settings)

    def error(self, rows=slice(None)):
        """Largest difference from the dense run, in terms of the largest parameter that it came across."""
        difference = self.x.reshape(self.shape)[rows] - self.exact[rows]
        return np.abs(difference).max() / self.largest[0]

    def assert_exact(self):
        self.table.sync()
        tolerance = TOLERANCE[self.x.dtype.name]
        assert self.error() <= tolerance
        moments = (self.m, self.v, self.v_hat)[: len(self.slots)]
        for slot, exact, largest in zip(self.slots, moments, self.largest[1:], strict=False):
            assert np.abs(slot - exact.ravel()).max() <= tolerance * largest

    def assert_same_as_default(self):
        assert self.by_default
        self.table.sync()
        for ours, theirs in zip((self.x, *self.slots), (self.default, *self.default_slots), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[rules.ADAM, rules.AMSGRAD], ids=["adam", "amsgrad"])
def rule(request):
    return request.param


# --- Exactness -----------------------------------------------------------------------------------

learning_rates = st.one_of(st.floats(1e-6, 1.0), st.just(0.0))
betas = st.one_of(
    st.sampled_from(
        [(0.9, 0.999), (0.9, 0.99), (0.9, 0.95), (0.95, 0.999), (0.9, 0.9), (0.0, 0.999), (0.0, 0.5)]
    ),
    st.tuples(st.floats(0, 0.99), st.floats(0.1, 0.9999)),
)
# How the learning rate comes about at each step: as a constant, a schedule, or assigned at will.
histories = st.one_of(
    learning_rates.map(lambda rate: lambda rng, t: rate),
    st.floats(0.9, 1.0).map(lambda ratio: lambda rng, t: 0.1 * ratio**t),
    st.integers(1, 200).map(lambda warmup: lambda rng, t: 0.1 * min(1.0, t / warmup)),
    st.just(lambda rng, t: 10 ** rng.uniform(-6, 0) * (rng.random() < 0.8)),
)


@pytest.mark.lowest
@given(
    dtype=st.sampled_from(["float32", "float64"]),
    rule=st.sampled_from([rules.ADAM, rules.AMSGRAD]),
    betas=betas,
    epsilon=st.sampled_from([1e-7, 1e-3, 1.0, 0.0]),
    history=histories,
    weight_decay=st.sampled_from([0.0, 0.0, 0.004, 0.1]),
    shape=st.tuples(st.integers(1, 8), st.integers(1, 3)),
    chances=st.tuples(st.floats(0, 1), st.floats(0, 0.3)),  # of a touch, of a gather
    scale=st.floats(-3, 3).map(lambda exponent: 10**exponent),
    idle=st.sampled_from([0, 1, 30, 300]),
    seed=st.integers(0, 1000),
)
def test_deferred_equals_dense(
    dtype, rule, betas, epsilon, history, weight_decay, shape, chances, scale, idle, seed
):
    beta_1, beta_2 = betas
    # Without epsilon, moments count that are too small for the dtype.
    assume(epsilon > 0 or beta_2 >= 0.99)
    dies_away = rule is rules.AMSGRAD or beta_1 == 0 or beta_1 < sqrt(beta_2)
    run = Run(shape, dtype, rule, seed, by_default=not dies_away)
    touch, gather = chances
    for t in range(60 + idle):
        hyper = (float(history(run.rng, t)), beta_1, beta_2, epsilon)
        touched = run.rng.integers(0, 4) if run.rng.random() < touch and not 30 <= t < 30 + idle else 0
        run.random_step(touched, scale, hyper=hyper, decay=weight_decay * hyper[0])
        if run.rng.random() < gather:
            rows = run.rng.integers(0, shape[0], 2)
            gathered = run.table.gather(rows)
            np.testing.assert_array_equal(gathered, run.x.reshape(shape)[rows])
            if dies_away:
                assert run.error(rows) <= TOLERANCE[dtype]
    if dies_away:
        run.assert_exact()
    else:
        run.assert_same_as_default()


@pytest.mark.long
@pytest.mark.parametrize("gap", [1, 2, 150] if numba.config.DISABLE_JIT else [1, 2, 150, 2000])
def test_gaps_of_any_length(rule, dtype, gap):
    run = Run((4, 3), dtype, rule)
    for _ in range(3):
        run.step(run.random_values(np.arange(3)), [0, 1, 2], decay=1e-6)
        run.idle(gap - 1, decay=1e-6)
        run.random_step(decay=1e-6)
    run.assert_exact()


@pytest.mark.parametrize(
    ("betas", "terms"),
    [((0.9, 0.999), 8), ((0.9, 0.99), 17), ((0.95, 0.99), 34), ((0.9, 0.95), None), ((0.9, 0.82), None)],
)
def test_long_and_short_series(betas, terms):
    hyper = (0.01, *betas, 1e-7)
    found = deferred.series(*betas, "float64", False).terms
    assert (found if found is None else found.shape[1]) == terms
    run = Run((6, 2))
    for _ in range(4):
        run.random_step(2, hyper=hyper)
        run.idle(100, hyper=hyper)
    run.assert_exact()


def test_float32_needs_four_terms():
    assert deferred.series(0.9, 0.999, "float32", False).terms.shape == (214, 4)


def test_rows_touched_at_every_step_are_stepped_as_by_default(rule, dtype):
    run = Run((5, 2), dtype, rule, by_default=True)
    for _ in range(20):
        run.step(run.random_values(np.arange(5)), np.arange(5), decay=0.01)
    run.assert_same_as_default()


@pytest.mark.parametrize("hyper", [(0.01, 0.95, 0.9, 1e-7), (0.01, 0.9, 0.0, 1e-3)])
def test_movements_that_do_not_die_away_are_made_at_once(hyper):
    run = Run((5, 2), by_default=True)
    for _ in range(30):
        run.random_step(hyper=hyper)
        np.testing.assert_array_equal(run.x, run.default)
    run.assert_same_as_default()
    run.assert_exact()


@pytest.mark.parametrize("betas", [(0.0, 0.0), (0.9, 0.0), (0.0, 0.999)])
def test_betas_of_zero(rule, betas):
    run = Run((5, 2), rule=rule, by_default=True)
    for _ in range(30):
        run.random_step(hyper=(0.01, *betas, 1e-7))
    run.table.sync()
    np.testing.assert_allclose(run.x, run.default, rtol=1e-12)


def test_changed_betas_and_epsilon():
    run = Run((6, 2))
    for hyper in [HYPER, (0.1, 0.8, 0.99, 1e-3), (0.1, 0.8, 0.7, 1e-3), HYPER, (0.01, 0.9, 0.999, 1.0)]:
        for _ in range(15):
            run.random_step(2, hyper=hyper)
    run.assert_exact()


@pytest.mark.parametrize("decay", [0.9, 1.0, 1.5])
def test_strong_decay(decay):
    run = Run((6, 2))
    for t in range(400):
        run.random_step(int(t % 20 == 0), decay=decay * (t % 10 > 5))
    run.assert_exact()


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.9)], ids=["series", "steps"])
def test_full_history(monkeypatch, betas):
    monkeypatch.setattr(deferred, "CAPACITY", 7)
    deferred.series.cache_clear()
    run = Run((20, 2))
    for _ in range(50):
        run.random_step(hyper=(0.01, *betas, 1e-7), decay=1e-3)
    run.assert_exact()
    deferred.series.cache_clear()


# --- Numbers at the edge -------------------------------------------------------------------------


def test_rows_that_never_moved_stay():
    run = Run((5, 2))
    before = run.x.reshape(run.shape)[[0, 4]].copy()
    for _ in range(20):
        run.step(run.random_values(np.arange(2)), [1, 2], hyper=(0.01, 0.9, 0.999, 0.0))
    np.testing.assert_array_equal(run.table.gather([0, 4]), before)
    run.assert_exact()


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # of NumPy, where the kernels are plain Python
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_bad_gradients_spoil_the_elements_that_they_spoil_by_default(rule, bad):
    run = Run((5, 2), rule=rule, by_default=True)
    run.random_step(5)
    values = np.array([[1.0, bad]])
    for gap in (0, 1, 7):
        run.step(values, [gap % 5])
        run.idle(gap)
    run.table.sync()
    np.testing.assert_array_equal(np.isfinite(run.x), np.isfinite(run.default))
    good = np.isfinite(run.default)
    np.testing.assert_allclose(run.x[good], run.default[good], rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("betas", [(0.9, 0.9), (0.9, 0.99), (0.5, 0.7)])
def test_moments_do_not_turn_subnormal(betas):
    run = Run((4, 2), "float32")
    run.random_step(8)
    for gap in (300, 500, 100, 700, 1500):  # the powers pass through the subnormals one after another
        for _ in range(gap):
            run.t += 1
            nothing = sparse.row_gradient((np.empty((0, 2), "f4"), []), run.shape, run.x.dtype, "g").summed()
            run.table.step(nothing, float(run.t), (0.01, *betas, 1e-7), 0.0)
        run.table.gather(np.arange(4))
        for slot in run.slots:
            assert ((slot == 0) | (abs(slot) >= TINY)).all()


# --- Interface -----------------------------------------------------------------------------------


def test_gather_returns_copies_of_current_rows():
    run = Run((6, 2))
    for _ in range(10):
        run.random_step(2)
    stale = run.x.copy()
    rows = run.table.gather([3, 0, 3])
    np.testing.assert_allclose(rows, run.exact[[3, 0, 3]], rtol=1e-12)
    others = [1, 2, 4, 5]
    np.testing.assert_array_equal(run.x.reshape(6, 2)[others], stale.reshape(6, 2)[others])
    rows[:] = 0
    run.assert_exact()


def test_gather_before_the_first_step():
    run = Run((6, 2))
    np.testing.assert_array_equal(run.table.gather([5]), run.exact[[5]])
    assert run.table.gather([]).shape == (0, 2)
    run.table.sync()


@pytest.mark.parametrize(
    ("rows", "error"), [([6], ValueError), ([-1], ValueError), ([0.0], TypeError), ([[0]], ValueError)]
)
def test_gather_refuses_what_are_no_rows(rows, error):
    with pytest.raises(error, match="`gather`"):
        Run((6, 2)).table.gather(rows)


def test_vector_and_gradient_by_element():
    run = Run((30, 4))
    for _ in range(20):
        place = run.rng.integers(0, 120, 3)
        values = run.rng.normal(size=3)
        run.t += 1
        gradient = sparse.RowGradient(place, values, 1).summed()
        run.table.step(gradient, float(run.t), HYPER, 0.0)
        sparse.step(rules.ADAM, run.default, run.default_slots, gradient, float(run.t), HYPER, 0.0)
    run.table.sync()
    np.testing.assert_allclose(run.x, run.default, rtol=1e-12)


@pytest.mark.parametrize("other", [rules.ADAMAX, rules.ADAM_TORCH, rules.SGD])
def test_other_rules_are_refused(other):
    with pytest.raises(ValueError, match="default sparse update"):
        DeferredRows(other, np.zeros(4), tuple(np.zeros(4) for _ in other.slots), 2)


@pytest.mark.lowest
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="one kernel for all modes")
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.9)], ids=["series", "steps"])
def test_same_bits_in_every_mode(monkeypatch, betas):
    results = []
    for mode in ("serial", "parallel"):
        for module in (gradients, steps, deferred):
            monkeypatch.setattr(module, "mode", partial(lambda mode, *sizes: mode, mode))
        run = Run((300, 5))
        for _ in range(10):
            run.random_step(40, hyper=(0.01, *betas, 1e-7), decay=1e-4)
        run.table.sync()
        results.append(b"".join(a.tobytes() for a in (run.x, *run.slots)))
    assert results[0] == results[1]
