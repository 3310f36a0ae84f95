"""Rules by themselves, and the dense kernels made from them."""

import inspect
import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, types

from nbadam import kernels, rules
from nbadam.engine import PARALLEL_SIZE, WIDTH, State
from nbadam.kernels import SWEEP
from nbadam.rules import Rule, descent
from nbadam.rules.adam import momentum_at, momentum_product

pytestmark = pytest.mark.long

RULES = {name: rule for name, rule in vars(rules).items() if isinstance(rule, Rule)}
SOME = ["ADAM", "RMSPROP_MOMENTUM_CENTERED_INSIDE"]  # the loop over blocks knows no rule

RANGES = {
    "learning_rate": (1e-4, 1.0),
    "beta_1": (0.0, 0.99),
    "beta_2": (0.0, 0.999),
    "rho": (0.0, 0.99),
    "momentum": (0.0, 1.0),
    "momentum_decay": (0.0, 2.0),
    "epsilon": (1e-10, 1.0),
    "epsilon_root": (0.0, 0.1),
    "learning_rate_power": (-1.0, 0.0),
    "l1_regularization_strength": (0.0, 1.0),
    "l2_regularization_strength": (0.0, 1.0),
    "l2_shrinkage_regularization_strength": (0.0, 1.0),
    "beta": (0.0, 1.0),
}

gradients = st.lists(
    st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=3, max_size=3), min_size=1, max_size=6
)
few_examples = settings(max_examples=25)  # of each of the many rules
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about compiled code")


def hypers(rule, **fixed):
    """Draw hyperparameters for a rule."""
    return st.tuples(
        *(
            st.just(fixed[name]) if name in fixed else st.floats(*RANGES[name], allow_subnormal=False)
            for name in rule.hyperparameters
        )
    )


def start(rule, xs, accumulator=0.5):
    """Make a state; an accumulator starts above zero, as that of Ftrl must."""
    state = State(rule, xs)
    if "accumulator" in state.slots:
        state.slots["accumulator"].fill(accumulator)
    return state


def defaults(rule, **changed):
    return tuple({**rule.hyperparameters, **changed}.values())


def step(state, gs, t, hyper, **options):
    options = {"scales": np.ones(state.width), "decays": np.zeros(state.width)} | options
    state.step(tuple(gs), float(t), hyper, **options)


def run(rule, x, gs, hyper, **options):
    """Step a copy of an array; return it and the slots."""
    x = np.array(x)
    state = start(rule, [x])
    for t, g in enumerate(gs, 1):
        step(state, [np.asarray(g, x.dtype)], t, hyper, **options)
    return x, state.slots


def run_plainly(rule, x, gs, hyper, clip, scale, decay):
    """Step element by element, in Python."""
    results = []
    for i, x_i in enumerate(x):
        row = [float(x_i), *(0.5 if name == "accumulator" else 0.0 for name in rule.slots)]
        for t, g in enumerate(gs, 1):
            g_i = scale * min(max(g[i], -clip), clip)
            row = rule.update(g_i, row[0] - decay * row[0], *row[1:], *rule.scalars(float(t), *hyper))
        results.append(row)
    return np.array(results, dtype=float).T


@every_rule
@few_examples
@given(data=st.data(), gs=gradients)
def test_kernel_is_the_rule(rule, data, gs):
    hyper = data.draw(hypers(rule))
    clip = data.draw(st.floats(0.1, 200))
    scale, decay = (
        data.draw(st.sampled_from([0.0, 0.5, 1.0, 1.7])),
        data.draw(st.sampled_from([0.0, 1e-3, 0.5])),
    )
    start_at = np.array([1.0, -2.0, 0.0])
    x, slots = run(rule, start_at, gs, hyper, clip=clip, scales=np.array([scale]), decays=np.array([decay]))
    expected = run_plainly(rule, start_at, gs, hyper, clip, scale, decay)
    for actual, reference in zip([x, *slots.values()], expected, strict=True):
        largest = max(1.0, *np.abs(expected).ravel())
        np.testing.assert_allclose(actual, reference, rtol=1e-14, atol=1e-14 * largest)


@every_rule
@few_examples
@given(data=st.data(), gs=gradients)
def test_odd(rule, data, gs):
    hyper = data.draw(hypers(rule))
    x, slots = run(rule, [1.0, -2.0, 0.5], gs, hyper)
    mirrored, mirrored_slots = run(rule, [-1.0, 2.0, -0.5], [np.negative(g) for g in gs], hyper)
    np.testing.assert_array_equal(mirrored, -x)
    for name, slot in slots.items():
        np.testing.assert_array_equal(np.abs(mirrored_slots[name]), np.abs(slot))


@every_rule
@few_examples
@given(gs=gradients)
def test_learning_rate_zero_is_identity(rule, gs):
    if rule.scalars is descent.ftrl:
        pytest.skip("divides by the learning rate")
    x, _ = run(rule, [1.0, -2.0, 0.0], gs, defaults(rule, learning_rate=0.0))
    np.testing.assert_array_equal(x, [1.0, -2.0, 0.0])


@every_rule
def test_zero_gradients_move_nothing_without_epsilon(rule):
    if "epsilon" not in rule.hyperparameters:
        pytest.skip("has no epsilon")
    x = np.array([1.0, -2.0, 0.0])
    state = start(rule, [x], accumulator=0.0)
    for t in range(1, 20):
        step(state, [np.zeros(3)], t, defaults(rule, epsilon=0.0))
    np.testing.assert_array_equal(x, [1.0, -2.0, 0.0])
    assert all(not slot.any() for slot in state.slots.values())


@pytest.mark.parametrize("rule", [rules.ADAM, rules.ADAM_TORCH, rules.NADAM, rules.RADAM, rules.ADAMAX])
@given(gs=st.lists(st.lists(st.integers(-800, 800), min_size=3, max_size=3)), power=st.integers(-20, 20))
def test_scale_of_gradients_does_not_matter_without_epsilon(rule, gs, power):
    hyper = defaults(rule, epsilon=0.0, beta_2=0.9)
    if rule is rules.RADAM:  # its first steps are those of momentum
        hyper = defaults(rule, epsilon=0.0, beta_2=0.9, learning_rate=0.0)
    x, _ = run(rule, [1.0, -2.0, 0.5], gs, hyper)
    scaled, _ = run(rule, [1.0, -2.0, 0.5], [np.multiply(g, 2.0**power) for g in gs], hyper)
    np.testing.assert_array_equal(scaled, x)


G, X = 3.0, 2.0
FIRST_STEPS = {
    "ADAM": 1e-3 * G / (G + 1e-7 / math.sqrt(1e-3)),
    "ADAM_TORCH": 1e-3 * G / (G + 1e-8),
    "AMSGRAD": 1e-3 * G / (G + 1e-7 / math.sqrt(1e-3)),
    "ADAMAX": 1e-3 * G / (G + 1e-7),
    "LION": 1e-4,
    "SGD": 1e-2 * G,
    "SGD_MOMENTUM": 1e-2 * G,
    "ADAGRAD": 1e-3 * G / (math.sqrt(0.5 + G**2) + 1e-7),
    "ADAGRAD_INSIDE": 1e-3 * G / math.sqrt(0.5 + G**2 + 1e-7),
    "RMSPROP": 1e-3 * G / (math.sqrt(0.1 * G**2) + 1e-7),
    "RMSPROP_INSIDE": 1e-3 * G / math.sqrt(0.1 * G**2 + 1e-7),
    "RMSPROP_CENTERED": 1e-3 * G / (math.sqrt(0.1 * G**2 - (0.1 * G) ** 2) + 1e-7),
    "ADADELTA": 1e-3 * G * math.sqrt(1e-7) / math.sqrt(0.05 * G**2 + 1e-7),
    "RADAM": 1e-3 * G,
}


@pytest.mark.parametrize("name", FIRST_STEPS)
def test_first_step(name):
    x, _ = run(RULES[name], [X], [[G]], defaults(RULES[name]))
    np.testing.assert_allclose(x, X - FIRST_STEPS[name], rtol=2e-16)


def test_centered_second_moment_below_zero_by_rounding():
    rule = rules.RMSPROP_CENTERED
    x = np.array([1.0])
    state = State(rule, [x])
    state.slots["rms"][:], state.slots["mg"][:] = 0.25 - 1e-15, 0.5
    step(state, [np.array([0.5])], 1, defaults(rule))
    assert state.slots["rms"] < state.slots["mg"] ** 2
    np.testing.assert_allclose(x, 1.0 - 1e-3 * 0.5 / 1e-7)


def test_momentum_product_ends_where_it_no_longer_matters():
    assert momentum_product(1e9, 0.9, 0.004) < 1e-17
    exact = math.prod(momentum_at(s, 0.9, 1.0) for s in range(1, 101))
    assert momentum_product(100.0, 0.9, 1.0) == exact


@pytest.mark.lowest
@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_state_is_many_narrow_ones(name, dtype):
    rng = np.random.default_rng(0)
    rule = RULES[name]
    sizes = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 4, 4, 4, 100, 1, 7]
    assert len(sizes) == WIDTH
    alone = [rng.normal(size=size).astype(dtype) for size in sizes]
    together = [x.copy() for x in alone]
    scales, decays = rng.uniform(0.5, 2, WIDTH), rng.uniform(0, 0.1, WIDTH)
    wide, narrow = start(rule, together), [start(rule, [x]) for x in alone]
    for t in range(1, 4):
        gs = [rng.normal(size=size).astype(dtype) for size in sizes]
        step(wide, gs, t, defaults(rule), clip=1.0, scales=scales, decays=decays)
        for k, state in enumerate(narrow):
            options = {"scales": scales[k : k + 1], "decays": decays[k : k + 1]}
            step(state, gs[k : k + 1], t, defaults(rule), clip=1.0, **options)
    for k, state in enumerate(narrow):
        np.testing.assert_array_equal(together[k], alone[k])
        part = slice(wide.starts[k], wide.starts[k] + sizes[k])
        for slot in state.slots:
            np.testing.assert_array_equal(wide.slots[slot][part], state.slots[slot])


@pytest.mark.parametrize("name", SOME)
def test_absent_gradients_leave_everything_alone(name):
    xs = [np.full(3, 1.0), np.full(2, 2.0), np.full(4, 3.0)]
    state = start(RULES[name], xs)
    step(state, [np.ones(3), np.ones(2), np.ones(4)], 1, defaults(RULES[name]))
    kept = xs[1].copy(), {slot: array[3:5].copy() for slot, array in state.slots.items()}
    moved = xs[0].copy()
    decays = np.full(state.width, 0.1)
    step(state, [np.ones(3), None, np.ones(4)], 2, defaults(RULES[name]), decays=decays)
    np.testing.assert_array_equal(xs[1], kept[0])
    for slot, array in state.slots.items():
        np.testing.assert_array_equal(array[3:5], kept[1][slot])
    assert (xs[0] != moved).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_never_stay_subnormal(dtype):
    x = np.array([1.0, -1.0], dtype)
    state = State(rules.ADAM, [x])
    hyper = defaults(rules.ADAM, beta_1=0.5, beta_2=0.5)
    step(state, [np.array([1e-3, 1e3], dtype)], 1, hyper)
    tiny = np.finfo(dtype).tiny
    for t in range(2, 1200):
        step(state, [np.zeros(2, dtype)], t, hyper)
        for slot in state.slots.values() if t % SWEEP == 0 else ():
            assert ((slot == 0) | (np.abs(slot) >= tiny)).all()
    assert not any(slot.any() for slot in state.slots.values())


@compiled_only
@pytest.mark.skipif(bool(numba.config.BOUNDSCHECK), reason="has no indices")
@every_rule
def test_float32_stays_float32(rule):
    n = len(inspect.signature(rule.update).parameters)
    compiled = njit(rule.update)
    compiled.compile((types.float32,) * n)
    (signature,) = compiled.nopython_signatures
    assert signature.return_type == types.UniTuple(types.float32, 1 + len(rule.slots))


@compiled_only
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.lowest)])
def test_same_bits_on_any_number_of_threads(dtype):
    rng = np.random.default_rng(0)
    n = PARALLEL_SIZE + 1234
    x, gs = rng.normal(size=n).astype(dtype), rng.normal(size=(3, n)).astype(dtype)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            state = State(rules.ADAM, [x.copy()])
            for t, g in enumerate(gs, 1):
                step(state, [g], t, defaults(rules.ADAM), clip=1.0)
            results.append([state.xs[0], *state.slots.values(), state.sum_squares((gs[0],), 1.0)])
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.lowest
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_have_the_same_bits_in_every_mode(dtype):
    rng = np.random.default_rng(0)
    g = rng.normal(size=5000 if numba.config.DISABLE_JIT else 100_001).astype(dtype)
    sums = []
    for mode in ("serial", "nogil", "parallel"):
        sums.append(np.empty(1))
        kernels.sum_squares_kernel(np.dtype(dtype).name, 1, mode)((g,), math.inf, sums[-1])
    assert sums[0] == sums[1] == sums[2]
    np.testing.assert_allclose(sums[0], (g.astype(np.float64) ** 2).sum(), rtol=1e-12)


def test_norms_of_float32_do_not_overflow():
    g = np.full(10, 1e30, np.float32)
    np.testing.assert_allclose(State(rules.ADAM, [g]).sum_squares((g,)), 1e61, rtol=1e-6)
    np.testing.assert_allclose(State(rules.ADAM, [g]).sum_squares((g,), 2.0), 40.0)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 10**9))
def test_bias_corrections_have_the_bits_of_the_power(beta, t):
    assert rules.bias_correction(beta, float(t)) == 1 - beta ** float(t)


@given(st.integers(1, 2**53), st.floats(41, 43))
def test_bias_corrections_near_the_end_of_the_power(k, exponent):
    beta = 1 - k / 2**53
    t = float(max(1, round(exponent / (1 - beta))))
    assert rules.bias_correction(beta, t) == 1 - beta**t
