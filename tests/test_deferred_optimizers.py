"""The deferred sparse update through `Adam` and `AdamW`: nobody can tell it from the immediate one."""

import pickle

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nbadam

SHAPE = (6, 2)
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}  # of the largest parameter


class Pair:
    """A table stepped by a deferred optimizer, and the same in double precision by an immediate one."""

    def __init__(self, cls=nbadam.Adam, dtype="float64", wrap=np.array, **settings):
        start = np.random.default_rng(1).standard_normal(SHAPE).astype(dtype)
        self.tables = [wrap(start), start.astype(float)]
        self.opts = [cls(sparse_update="deferred", **settings), cls(**settings)]
        for opt, table in zip(self.opts, self.tables, strict=True):
            opt.build(table)
        self.largest = np.abs(start).max()
        self.tolerance = TOLERANCE[dtype]
        self.rng = np.random.default_rng(2)

    def apply(self, gradient):
        """Step both by what ``gradient(dtype)`` returns."""
        for opt, table in zip(self.opts, self.tables, strict=True):
            opt.apply_gradients([(gradient(table.dtype), table)])
        self.largest = max(self.largest, np.abs(self.tables[1]).max())

    def sparse(self, rows):
        values = self.rng.standard_normal((len(rows), *SHAPE[1:])).astype(np.float32)
        self.apply(lambda dtype: (values.astype(dtype), rows))

    def dense(self):
        values = self.rng.standard_normal(SHAPE).astype(np.float32)
        self.apply(lambda dtype: values.astype(dtype))

    def gather(self, rows):
        mine, reference = (o.gather(t, rows) for o, t in zip(self.opts, self.tables, strict=True))
        assert mine.shape == (len(rows), *SHAPE[1:])
        self.assert_close(mine, reference)

    def slots(self):
        for name in self.opts[1].rule.slots:
            mine, reference = (o.get_slot(t, name) for o, t in zip(self.opts, self.tables, strict=True))
            atol = 10 * self.tolerance  # the gradients are some 3 at most, their squares some 10
            assert_allclose(mine, reference, rtol=0, atol=atol)
        self.assert_current()

    def weights(self):
        self.opts[0].get_weights()
        self.assert_current()

    def minimize(self):
        def squares(table):
            return lambda: ((table**2).sum(), 2 * table)

        for opt, table in zip(self.opts, self.tables, strict=True):
            opt.minimize(squares(table), table)

    def rebuild(self):
        """Go on with optimizers that were pickled."""
        self.opts = [pickle.loads(pickle.dumps(opt)) for opt in self.opts]
        self.assert_current()
        for opt, table in zip(self.opts, self.tables, strict=True):
            opt.build(table)

    def assign(self, name, value):
        for opt in self.opts:
            setattr(opt, name, value)

    def assert_close(self, mine, reference):
        assert_allclose(mine, reference, rtol=0, atol=self.tolerance * self.largest)

    def assert_current(self):
        self.assert_close(*self.tables)


rows = st.lists(st.integers(0, SHAPE[0] - 1), max_size=4)
actions = st.one_of(
    st.tuples(st.just("sparse"), rows),
    st.tuples(st.just("sparse"), rows),
    st.tuples(st.just("gather"), rows),
    st.tuples(st.sampled_from(["dense", "slots", "weights", "minimize", "rebuild"])),
    st.tuples(st.just("assign"), st.just("learning_rate"), st.floats(0.0, 0.3)),
    st.tuples(st.just("assign"), st.just("beta_2"), st.sampled_from([0.999, 0.99, 0.9])),
)


@settings(max_examples=10 if numba.config.DISABLE_JIT else 60)
@given(
    plan=st.lists(actions, max_size=40),
    cls=st.sampled_from([nbadam.Adam, nbadam.AdamW]),
    dtype=st.sampled_from(["float32", "float64"]),
    amsgrad=st.booleans(),
    chosen=st.sampled_from([{}, {"clipnorm": 0.5}, {"use_ema": True}, {"gradient_accumulation_steps": 3}]),
    rate=st.sampled_from([0.05, nbadam.schedules.ExponentialDecay(0.1, 10, 0.5)]),
)
def test_whatever_happens_it_equals_the_immediate_update(plan, cls, dtype, amsgrad, chosen, rate):
    pair = Pair(cls, dtype, learning_rate=rate, amsgrad=amsgrad, **chosen)
    for action, *arguments in plan:
        getattr(pair, action)(*arguments)
    pair.opts[0].sync()
    pair.assert_current()


def test_untouched_rows_wait_until_they_are_asked_for():
    table = np.ones(SHAPE)
    opt = nbadam.Adam(0.1, sparse_update="deferred")
    opt.apply_gradients([((np.ones((2, 2)), [0, 1]), table)])
    before = table[0].copy()
    opt.apply_gradients([((np.ones((1, 2)), [1]), table)])
    assert_array_equal(table[0], before)
    current = opt.gather(table, [0])
    assert (current < before).all()
    assert_array_equal(table[[0]], current)
    current[:] = 5  # a copy
    assert (table < 5).all()


@pytest.mark.parametrize("by", ["sync", "sync of this variable", "variables", "finalize", "save", "load"])
def test_who_reads_a_variable_syncs_it(by, tmp_path):
    pair = Pair(learning_rate=0.1, use_ema=by == "finalize", ema_momentum=0.0)
    opt, table = pair.opts[0], pair.tables[0]
    pair.sparse([0, 1, 2])
    opt.save(tmp_path / "before")
    pair.sparse([1])
    if by == "sync":
        opt.sync()
    elif by == "sync of this variable":
        opt.sync(table)
    elif by == "variables":
        assert len(opt.variables) == 3
    elif by == "finalize":
        opt.finalize_variable_values(table)
    elif by == "save":
        opt.save(tmp_path / "after")
    else:
        opt.load(tmp_path / "before")
    pair.assert_current()


def test_resumed_from_a_file(tmp_path):
    pair = Pair(learning_rate=0.1)
    for touched in ([0, 1, 2], [1], [2, 4]):
        pair.sparse(touched)
    for k, opt in enumerate(pair.opts):
        opt.save(tmp_path / str(k))
    pair.opts = [nbadam.Adam(), nbadam.Adam()]
    for k, opt in enumerate(pair.opts):
        opt.load(tmp_path / str(k))
    assert [opt.sparse_update for opt in pair.opts] == ["deferred", "immediate"]
    for touched in ([5], [1], [0, 2]):
        pair.sparse(touched)
    pair.opts[0].sync()
    pair.assert_current()


def test_a_variable_that_is_not_contiguous():
    pair = Pair(wrap=lambda x: np.repeat(x, 2, axis=1)[:, ::2], learning_rate=0.1)
    for touched in ([0, 1], [1], [3, 1]):
        pair.sparse(touched)
        pair.gather([0, 5, 0])
    pair.opts[0].sync()
    pair.assert_current()


def test_vectors_tables_and_others_side_by_side():
    opts = [nbadam.AdamW(0.1, sparse_update="deferred"), nbadam.AdamW(0.1)]
    ends = []
    for opt in opts:
        rng = np.random.default_rng(0)
        vector, cube, dense = np.ones(5), np.ones((4, 2, 3)), np.ones(7)
        opt.exclude_from_weight_decay(cube)
        for t in range(6):
            gradients = [
                ((rng.standard_normal(2), [t % 5, 3]), vector),
                (None if t == 3 else (rng.standard_normal((1, 2, 3)), [t % 4]), cube),
                (rng.standard_normal(7), dense),
            ]
            opt.apply_gradients(gradients)
        assert opt.gather(cube, [0, 1]).shape == (2, 2, 3)
        opt.sync()
        ends.append((vector, cube, dense))
    for mine, reference in zip(*ends, strict=True):
        assert_allclose(mine, reference, rtol=1e-12)


def test_gather_without_anything_deferred():
    table = np.arange(12.0).reshape(SHAPE)
    opt = nbadam.SGD(0.5)
    assert_array_equal(opt.gather(table, [5, 0]), table[[5, 0]])
    opt.apply_gradients([(np.ones(SHAPE), table)])
    assert_array_equal(opt.gather(table, [5, 0]), table[[5, 0]])
    opt.sync(table)
    opt.sync(np.ones(3))  # of no variable: nothing waits


def test_bad_input():
    for convention in ("torch", "optax"):
        with pytest.raises(ValueError, match=f"`sparse_update` must be 'immediate' with .*'{convention}'"):
            nbadam.Adam(convention=convention, sparse_update="deferred")
    with pytest.raises(ValueError, match="`sparse_update` must be one of 'immediate', 'deferred'"):
        nbadam.AdamW(sparse_update="lazy")
    opt = nbadam.Adam(sparse_update="deferred")
    with pytest.raises(AttributeError, match="`sparse_update` is settled"):
        opt.sparse_update = "immediate"
    with pytest.raises(ValueError, match="`var` is a scalar array"):
        opt.gather(np.array(1.0), [0])
    table = np.ones(SHAPE)
    for known in (False, True):
        wrong = [([6], ValueError), ([-1], ValueError), ([0.5], TypeError), ([[0]], ValueError)]
        for indices, error in wrong:
            with pytest.raises(error, match="`gather` has ind"):
                opt.gather(table, indices)
        if not known:
            opt.apply_gradients([((np.ones((1, 2)), [0]), table)])
    opt.convention = "torch"
    with pytest.raises(ValueError, match=r"cannot change after the first step"):
        opt.apply_gradients([((np.ones((1, 2)), [0]), table)])


def test_settings_say_so():
    assert "sparse_update" not in nbadam.Adam().get_config()
    config = nbadam.AdamW(sparse_update="deferred").get_config()
    assert config["sparse_update"] == "deferred"
    assert nbadam.AdamW.from_config(config).get_config() == config
