"""Weights, files and pickles of the optimizer classes."""

import copy
import json
import os
import pickle

import numpy as np
import pytest
from subprocesses import needs_ordinary_kernels, run

from nbadam import optimizers, schedules
from nbadam.optimizers import SGD, Adam
from nbadam.optimizers.serialization import CLASSES
from nbadam.schedules import ExponentialDecay, LearningRateSchedule

every_class = pytest.mark.parametrize("cls", CLASSES)
OPTIONS = {
    "use_ema": True,
    "gradient_accumulation_steps": 2,
    "weight_decay": 0.1,
    "ema_overwrite_frequency": 3,
}


def gradients(step, variables):
    rng = np.random.default_rng(step)
    return [rng.normal(size=x.shape).astype(x.dtype) for x in variables]


def train(opt, variables, first, last):
    for step in range(first, last):
        opt.apply_gradients(zip(gradients(step, variables), variables, strict=True))


def variables():
    return [np.ones((2, 3)), np.ones(5, np.float32), np.array(1.0)]


# --- Weights -------------------------------------------------------------------------------------


def test_order_of_weights():
    a, b, c = np.ones(1), np.ones(2), np.ones(3)
    opt = Adam(0.1, amsgrad=True)
    assert opt.get_weights() == []
    opt.apply_gradients([(np.ones(1), a), (None, c), (np.ones(2), b)])
    opt.apply_gradients([(np.ones(3), c), (np.ones(1), a)])
    names = [
        ("m", a),
        ("m", b),
        ("v", a),
        ("v", b),
        ("vhat", a),
        ("vhat", b),
        ("m", c),
        ("v", c),
        ("vhat", c),
    ]
    calls, *weights = opt.get_weights()
    assert calls.dtype == np.int64 and calls.shape == () and calls == 2
    for (name, x), weight in zip(names, weights, strict=True):
        np.testing.assert_array_equal(weight, opt.get_slot(x, name))
    live = opt.variables
    weights[0][:] = 7
    assert opt.get_slot(a, "m") != 7
    live[1][:] = 7
    assert opt.get_slot(a, "m") == 7


def test_order_of_weights_of_ftrl():
    a, b = np.ones(1), np.ones(2)
    opt = optimizers.Ftrl()
    opt.build([a, b])
    assert [weight.shape for weight in opt.get_weights()] == [(), (1,), (1,), (2,), (2,)]
    np.testing.assert_array_equal(opt.get_weights()[1], 0.1)


@pytest.mark.lowest
def test_averages_and_accumulators_come_first():
    a, b = np.full(1, 3.0), np.full(2, 4.0)
    opt = SGD(momentum=0.5, use_ema=True, gradient_accumulation_steps=2)
    opt.build([a, b])
    assert [weight.tolist() for weight in opt.get_weights()] == [0, [3], [4, 4], [0], [0, 0], [0], [0, 0]]


@pytest.mark.lowest
@every_class
def test_resumed_run_has_the_bits_of_one_run(cls):
    whole, parts = variables(), variables()
    opt = cls(ExponentialDecay(0.1, 3, 0.5), **OPTIONS)
    train(opt, whole, 0, 10)
    first = cls(ExponentialDecay(0.1, 3, 0.5), **OPTIONS)
    train(first, parts, 0, 5)
    second = cls.from_config(first.get_config())
    second.build(parts)
    second.set_weights(first.get_weights())
    train(second, parts, 5, 10)
    for x, y in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(opt.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


BAD_WEIGHTS = [
    (lambda w: w[:-1], "has 4 arrays, and the optimizer has 5"),
    (lambda w: [*w, w[0]], "has 6 arrays"),
    (lambda w: [w[0], w[1][:1], *w[2:]], r"`weights\[1\]` must be of dtype float64 and shape \(2,\)"),
    (lambda w: [w[0], w[1].astype("f"), *w[2:]], "not float32"),
    (lambda w: [w[0].astype(float), *w[1:]], r"`weights\[0\]` must be of dtype int64"),
    (lambda w: [w[0] - 3, *w[1:]], "or negative"),
    (lambda w: [], "has 0 arrays"),
]


@pytest.mark.parametrize(("change", "message"), BAD_WEIGHTS)
def test_bad_weights(change, message):
    x, y = np.ones(2), np.ones(3)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x), (np.ones(3), y)])
    before = opt.get_weights()
    with pytest.raises(ValueError, match=message):
        opt.set_weights(change([2 * weight for weight in before]))
    assert opt.iterations == 1
    for weight, kept in zip(opt.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_weights_before_there_are_variables():
    opt = Adam()
    opt.set_weights([])
    with pytest.raises(ValueError, match="call build"):
        opt.set_weights([np.array(1)])


def test_weights_as_lists():
    x = np.ones(2)
    opt = SGD(momentum=0.5)
    opt.build(x)
    opt.set_weights([3, [1.0, 2.0]])
    assert opt.iterations == 3 and opt.get_slot(x, "momentum").tolist() == [1.0, 2.0]


@pytest.mark.lowest
def test_iterations_can_be_assigned():
    asked = []

    class Recorded(LearningRateSchedule):
        def __call__(self, step):
            asked.append(step)
            return 0.1

    x, y = np.ones(1), np.ones(1)
    opt = Adam(Recorded())
    opt.iterations = 10
    assert opt.apply_gradients([([1.0], x)]) == 11 and asked == [10]
    np.testing.assert_allclose(1 - x, 0.1 * 0.1 / (1 - 0.9**11) / np.sqrt(0.001 / (1 - 0.999**11)), rtol=1e-5)
    for value in (-1, 1.5, True, None):
        with pytest.raises(ValueError, match="`iterations` must be an integer >= 0"):
            opt.iterations = value
    opt = Adam(gradient_accumulation_steps=3)
    opt.iterations = 2
    opt.build(y)
    assert opt.iterations == 2 and opt.get_weights()[0] == 6


def test_slots():
    x = np.ones((2, 2))
    opt = Adam()
    with pytest.raises(ValueError, match="`var` has no slots"):
        opt.get_slot(x, "m")
    opt.build([x])
    assert opt.get_slot(x, "m").shape == (2, 2)
    with pytest.raises(ValueError, match=r"`slot_name` must be one of \['m', 'v'\], not 'w'"):
        opt.get_slot(x, "w")


def test_build_is_no_step():
    x = np.ones(2)
    opt = Adam()
    opt.build({"x": x})
    opt.build(x)
    assert opt.iterations == 0 and len(opt.get_weights()) == 3


# --- Files and pickles ---------------------------------------------------------------------------


def saved(opt, tmp_path):
    opt.save(tmp_path / "run.npz")
    again = type(opt)()
    again.load(tmp_path / "run.npz")
    return again


def pickled(opt, tmp_path):
    return pickle.loads(pickle.dumps(opt))


def copied(opt, tmp_path):
    return copy.deepcopy(opt)


every_way = pytest.mark.parametrize("way", [saved, pickled, copied])


@pytest.mark.long
@every_way
@every_class
def test_everything_is_kept(cls, way, tmp_path):
    whole = variables()
    opt = cls(ExponentialDecay(0.1, 3, 0.5), on_nonfinite="skip", **OPTIONS)
    opt.exclude_from_weight_decay(whole[0])
    opt.apply_gradients([([np.nan] * 5, whole[1])])
    train(opt, whole[:2], 0, 3)  # three calls are one and a half accumulated steps
    train(opt, whole, 3, 6)
    again = way(opt, tmp_path)
    assert again.get_config() == opt.get_config()
    assert again.skipped_steps == 1
    parts = [x.copy() for x in whole]
    for x, y in zip(opt.get_weights(), again.get_weights(), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    train(opt, whole, 6, 12)
    train(again, parts, 6, 12)
    for x, y in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(opt.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


@every_way
def test_state_waits_for_all_its_variables(way, tmp_path):
    x, y = np.ones(2), np.ones(3)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x), (np.ones(3), y)])
    again = way(opt, tmp_path)
    wrong = [[x], [y, x], [x, y, np.ones(1)], [x, y.astype(np.float32)]]
    for variables in wrong:
        with pytest.raises(ValueError, match=r"waits for all its variables.*float64\[2\], float64\[3\]"):
            again.apply_gradients([(np.ones_like(v), v) for v in variables])
        with pytest.raises(ValueError, match="waits for all its variables"):
            again.build(variables)
    again.apply_gradients([(None, x), (np.ones(3), y)])
    np.testing.assert_allclose(again.get_slot(x, "m"), 0.1)
    np.testing.assert_allclose(again.get_slot(y, "m"), 0.19)
    assert again.iterations == 2 and opt.iterations == 1


@pytest.mark.lowest
@every_way
def test_before_the_first_step(way, tmp_path):
    again = way(Adam(0.25, clipnorm=1.0), tmp_path)
    assert again.learning_rate == 0.25 and again.clipnorm == 1.0 and again.get_weights() == []
    assert again.apply_gradients([(np.ones(1), np.ones(1))]) == 1


@every_way
def test_waiting_state_can_be_passed_on(way, tmp_path):
    x = np.ones(2)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x)])
    again = way(way(opt, tmp_path), tmp_path)
    again.set_weights([5, *again.get_weights()[1:]])
    again.build(x)
    assert again.iterations == 5
    np.testing.assert_allclose(again.get_slot(x, "m"), 0.1)


def test_load_into_an_optimizer_with_variables(tmp_path):
    x, y = np.ones(2), np.ones(3)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(2), x), (np.ones(3), y)])
    opt.save(tmp_path / "run")
    kept = opt.get_weights()
    opt.learning_rate = 0.5
    opt.apply_gradients([(np.ones(2), x), (np.ones(3), y)])
    opt.load(tmp_path / "run")
    assert opt.iterations == 1 and opt.learning_rate == 0.1
    for weight, expected in zip(opt.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert opt.apply_gradients([(np.ones(3), y)]) == 2
    other = Adam(0.5)
    other.build(y)
    with pytest.raises(ValueError, match="waits for all its variables"):
        other.load(tmp_path / "run")
    assert other.learning_rate == 0.5 and other.iterations == 0
    other.apply_gradients([(np.ones(3), y)])


def test_exclusions_stay_those_of_both(tmp_path):
    x, y, z = (np.full(2, 4.0) for _ in range(3))
    opt = SGD(0.5, weight_decay=0.25)
    opt.exclude_from_weight_decay(x)
    opt.build([x, y, z])
    opt.save(tmp_path / "run")
    again = SGD()
    again.exclude_from_weight_decay(y)
    again.load(tmp_path / "run")
    again.apply_gradients([(np.zeros(2), v) for v in (x, y, z)])
    assert (x[0], y[0], z[0]) == (4.0, 4.0, 3.5)


def test_callables_stay_those_of_the_optimizer(tmp_path):
    opt = Adam(lambda: 0.5, beta_1=lambda: 0.25)
    opt.save(tmp_path / "run")
    again = Adam(0.125, beta_1=lambda: 0.75, beta_2=0.5)
    again.load(tmp_path / "run")
    assert again.learning_rate == 0.125 and again.beta_1() == 0.75 and again.beta_2 == 0.999


class Own(LearningRateSchedule):
    def __call__(self, step):
        return 0.25

    def get_config(self):
        return {}


def test_own_schedule(tmp_path):
    Adam(Own()).save(tmp_path / "run")
    opt = Adam()
    with pytest.raises(ValueError, match="custom_objects"):
        opt.load(tmp_path / "run")
    opt.load(tmp_path / "run", custom_objects={"Own": Own})
    assert isinstance(opt.learning_rate, Own)


def test_files_of_others(tmp_path):
    SGD().save(tmp_path / "sgd")
    with pytest.raises(ValueError, match=r"sgd' is no saved state .*: it was saved by SGD, not Adam"):
        Adam().load(tmp_path / "sgd")
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    with pytest.raises(ValueError, match=r"other\.npz' is no saved state .*: it has no header"):
        Adam().load(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError):
        Adam().load(tmp_path / "nothing")


def test_file_needs_no_pickle(tmp_path):
    x = np.ones((2, 2), np.float32)
    opt = Adam()
    opt.apply_gradients([(np.ones((2, 2), np.float32), x)])
    opt.save(str(tmp_path / "run.npz"))
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert json.loads(arrays.pop("header").tobytes())["header"]["class_name"] == "Adam"
    assert {name: (a.dtype, a.shape) for name, a in arrays.items()} == {
        "0.m": (np.float32, (2, 2)),
        "0.v": (np.float32, (2, 2)),
    }
    assert os.listdir(tmp_path) == ["run.npz"]


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_failure_while_saving_leaves_the_old_file(where, tmp_path, monkeypatch):
    x = np.ones(1000)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(1000), x)])
    opt.save(tmp_path / "run")
    old = (tmp_path / "run").read_bytes()
    opt.apply_gradients([(np.ones(1000), x)])

    def savez(file, **arrays):
        file.write(b"half of it")
        raise OSError("disk full")

    def fail(*args):
        raise OSError("disk full")

    module = np if where == "savez" else os
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(module, where, savez if where == "savez" else fail)
        opt.save(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == old
    assert os.listdir(tmp_path) == ["run"]
    opt.save(tmp_path / "run")
    again = Adam()
    again.load(tmp_path / "run")
    assert again.iterations == 2


@needs_ordinary_kernels
@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the processes that are killed are forks: starting costs nothing"
)
def test_killed_while_saving(tmp_path):
    program = """
    import os, random, signal, time
    import numpy as np
    import nbadam
    from probes import say

    def save_on_and_on(opt):
        while True:
            opt.iterations += 1
            opt.get_slot(x, "m").fill(opt.iterations)
            opt.save("run")

    x = np.zeros(50_000)
    opt = nbadam.Adam()
    opt.build(x)
    begun = time.perf_counter()
    for _ in range(5):
        opt.save("run")
    duration = (time.perf_counter() - begun) / 5
    rng = random.Random(0)
    whole = halves = 0
    for _ in range(50):
        child = os.fork()
        if child == 0:
            save_on_and_on(opt)
        time.sleep(rng.uniform(0.0, 6 * duration))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        opt = nbadam.Adam()
        opt.load("run")
        opt.build(x)
        whole += bool((opt.get_slot(x, "m") == opt.iterations).all())
        halves += sum(name.startswith(".run.") for name in os.listdir())
    opt.save("run")
    say(whole=whole, last=opt.iterations, halves=halves, files=sorted(os.listdir()))
    """
    facts = run(program, tmp_path)
    assert facts["whole"] == 50
    assert facts["last"] > 10  # many a file was finished ...
    assert facts["halves"] > 10  # ... many a kill came in the middle of one ...
    assert not any(name.startswith(".") for name in facts["files"])  # ... and the next one cleared it away


def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    SGD().save(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_pickle_with_schedule_and_copy():
    opt = Adam(schedules.CosineDecay(0.1, 10), amsgrad=True)
    x = np.ones(2)
    opt.apply_gradients([(np.ones(2), x)])
    again = pickle.loads(pickle.dumps(opt))
    assert again.learning_rate == opt.learning_rate and again.rule is opt.rule
    shallow = copy.copy(opt)
    shallow.build(x)
    shallow.get_slot(x, "m")[:] = 5
    np.testing.assert_allclose(opt.get_slot(x, "m"), 0.1)


# --- Exclusions from weight decay before the first step ------------------------------------------


class Model:
    """Owns its variables and their optimizer, as users write it."""

    def __init__(self):
        self.weights, self.bias = np.ones(2), np.ones(1)
        self.opt = optimizers.AdamW(0.1, weight_decay=0.1)
        self.opt.exclude_from_weight_decay(self.bias)

    def step(self, opt=None):
        pairs = [(np.zeros(2), self.weights), (np.zeros(1), self.bias)]
        (opt or self.opt).apply_gradients(pairs)
        return self.weights[0] < 1 and self.bias[0] == 1


@pytest.mark.parametrize("is_built", [False, True])
def test_exclusions_are_copied_and_pickled(is_built):
    model = Model()
    if is_built:
        model.opt.build([model.weights, model.bias])
    for again in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(copy.deepcopy(model)),
    ):
        assert again.step()
    for opt in (copy.copy(model.opt), copy.deepcopy(model.opt)):
        assert Model.step(model, opt)
        model.weights[:] = 1
    assert model.step()


def test_exclusions_that_are_lost_are_told(tmp_path):
    model = Model()
    apart = pickle.loads(pickle.dumps(model.opt))
    with pytest.warns(RuntimeWarning, match="call it again"):
        model.step(apart)
    apart = pickle.loads(pickle.dumps(model.opt))
    apart.exclude_from_weight_decay(model.bias)
    model.bias[:] = 1
    assert model.step(apart)
    model.opt.save(tmp_path / "run")
    again = optimizers.AdamW()
    with pytest.warns(RuntimeWarning, match="call it again"):
        again.load(tmp_path / "run")
    again = optimizers.AdamW()
    again.exclude_from_weight_decay(model.bias)
    again.load(tmp_path / "run")
    model.weights[:] = 1
    assert model.step(again)


# --- Steps that each variable counts for itself --------------------------------------------------

COUNTING = [
    (Adam, {"amsgrad": False}),
    (Adam, {"amsgrad": True}),
    (optimizers.Adamax, {}),
    (optimizers.RAdam, {}),
]


@pytest.mark.lowest
@pytest.mark.parametrize(("cls", "options"), COUNTING)
@pytest.mark.parametrize("n", [2, 30])
def test_with_torchs_convention_each_variable_has_its_own_count(cls, options, n):
    """It steps as if it had an optimizer of its own."""
    rng = np.random.default_rng(0)
    together = cls(0.01, convention="torch", **options)
    alone = [cls(0.01, convention="torch", **options) for _ in range(n)]
    xs = [np.ones(3, np.float32 if k % 3 else np.float64) for k in range(n)]
    ys = [x.copy() for x in xs]
    together.build(xs)
    for step in range(12):
        gs = [rng.normal(size=3).astype(x.dtype) for x in xs]
        present = [step > 3 * (k % 3) and rng.random() < 0.7 for k in range(n)]
        if step == 8:  # kept in every way
            together = pickle.loads(pickle.dumps(together))
            weights = together.get_weights()
            together = cls(0.01, convention="torch", **options)
            together.build(xs)
            together.set_weights(weights)
        if any(present):
            pairs = zip(gs, xs, present, strict=True)
            together.apply_gradients([(g if there else None, x) for g, x, there in pairs])
        for opt, g, y, there in zip(alone, gs, ys, present, strict=True):
            if there:
                opt.apply_gradients([(g, y)])
    for x, y in zip(xs, ys, strict=True):
        np.testing.assert_array_equal(x, y)


def test_own_counts_are_saved(tmp_path):
    x, y = np.ones(2), np.ones(2)
    opt = Adam(0.1, convention="torch")
    for _ in range(3):
        opt.apply_gradients([(np.ones(2), x)])
    opt.apply_gradients([(np.ones(2), x), (np.ones(2), y)])
    assert opt.get_weights()[-1].tolist() == [0, 3]
    again = saved(opt, tmp_path)
    a, b = x.copy(), y.copy()
    opt.apply_gradients([(np.ones(2), x), (np.ones(2), y)])
    again.apply_gradients([(np.ones(2), a), (np.ones(2), b)])
    np.testing.assert_array_equal([x, y], [a, b])
    with pytest.raises(ValueError, match="cannot change after the first step"):
        opt.convention = "optax"
        opt.apply_gradients([(np.ones(2), x), (np.ones(2), y)])


def test_own_counts_with_accumulated_gradients():
    x, y, z = np.ones(2), np.ones(2), np.ones(2)
    opt = Adam(0.1, convention="torch", gradient_accumulation_steps=2)
    alone = Adam(0.1, convention="torch", gradient_accumulation_steps=2)
    for k in range(8):
        pairs = [(np.full(2, k + 1.0), x), (np.full(2, k + 1.0) if k >= 4 else None, y)]
        opt.apply_gradients(pairs)
        if k >= 4:
            alone.apply_gradients([(np.full(2, k + 1.0), z)])
    np.testing.assert_array_equal(y, z)


def test_finalizing_an_unknown_variable_changes_none():
    x, y = np.ones(2), np.ones(2)
    opt = SGD(0.5, use_ema=True)
    for _ in range(2):
        opt.apply_gradients([(np.ones(2), x)])
    before = x.copy()
    with pytest.raises(ValueError, match="no slots"):
        opt.finalize_variable_values([x, y])
    np.testing.assert_array_equal(x, before)


# --- Settings of Keras 3 -------------------------------------------------------------------------

KERAS_3 = {
    "name": "adam",
    "learning_rate": {
        "module": "keras.optimizers.schedules",
        "class_name": "CosineDecay",
        "config": {
            "initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.0, "name": "CosineDecay",
            "warmup_target": None, "warmup_steps": 0,
        },
        "registered_name": None,
    },
    "weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None, "use_ema": False,
    "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}  # fmt: skip
OWN = {
    "Adadelta": {"rho": 0.95, "epsilon": 1e-7},
    "Adagrad": {"initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "Adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "AdamW": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False, "weight_decay": 0.004},
    "Adamax": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "Ftrl": {
        "learning_rate_power": -0.5, "initial_accumulator_value": 0.1, "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0, "l2_shrinkage_regularization_strength": 0.0, "beta": 0.0,
    },
    "Lion": {"beta_1": 0.9, "beta_2": 0.99},
    "Nadam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "RMSprop": {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "SGD": {"momentum": 0.0, "nesterov": False},
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_settings_of_keras_3_are_read(name):
    config = json.loads(json.dumps(KERAS_3 | OWN[name]))
    described = {"module": "keras.optimizers", "class_name": name, "config": config, "registered_name": name}
    kept = json.dumps(described)
    opt = optimizers.deserialize(described)
    assert json.dumps(described) == kept
    assert type(opt).__name__ == name
    assert opt.learning_rate == schedules.CosineDecay(0.1, 100, name="CosineDecay")
    expected = {"RMSprop": "keras3", "Adagrad": "keras3"}.get(name, "keras")
    assert getattr(opt, "convention", "keras") == expected
    if name == "Nadam":
        assert opt.momentum_decay == 1.0
    assert type(opt).from_config(config).get_config() == opt.get_config()
    with pytest.raises(ValueError, match="`loss_scale_factor` must be None"):
        type(opt).from_config(config | {"loss_scale_factor": 2.0})
    old = type(opt).from_config({"name": "x", "lr": 0.5, "decay": 0.0})
    assert old.learning_rate == 0.5 and getattr(old, "convention", "keras") == "keras"
