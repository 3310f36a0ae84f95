"""What can be set on an optimizer, and what is refused."""

import copy
import inspect
import json
import pickle
import re

import numpy as np
import pytest

from nbadam import optimizers, rules, schedules
from nbadam.hyperparameters import Hyperparameter
from nbadam.optimizers import Adam
from nbadam.optimizers.serialization import CLASSES

every_class = pytest.mark.parametrize("cls", CLASSES)
NOT_NUMBERS = [np.nan, "0.1", True, [0.1], 1j, np.array([0.1])]


def settings_of(cls):
    """Names of all checked settings of a class."""
    return {n for base in cls.__mro__ for n, v in vars(base).items() if isinstance(v, Hyperparameter)}


@every_class
def test_config_makes_an_equal_optimizer(cls):
    config = json.loads(json.dumps(cls().get_config()))
    assert config["name"] == cls.__name__
    assert cls.from_config(config).get_config() == config == cls().get_config()
    described = json.loads(json.dumps(optimizers.serialize(cls())))
    assert described["class_name"] == cls.__name__ and described["config"] == config
    assert type(optimizers.deserialize(described)) is cls
    assert type(optimizers.get(cls.__name__.upper())) is cls


@every_class
def test_every_option_comes_back(cls):
    options = {
        "learning_rate": schedules.ExponentialDecay(0.1, 10, 0.5),
        "name": "mine",
        "decay": 0.5,
        "clipnorm": 1.0,
        "clipvalue": 2.0,
        "weight_decay": 0.25,
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 3,
        "gradient_accumulation_steps": 2,
        "on_nonfinite": "skip",
    }
    config = json.loads(json.dumps(cls(**options).get_config()))
    again = cls.from_config(config)
    assert {name: getattr(again, name) for name in options} == options
    assert again.get_config() == config


def test_config_has_the_keys_of_keras():
    # Those of legacy Keras, in its order; what it does not have appears only where it is set.
    assert optimizers.Adam().get_config() == {
        "name": "Adam",
        "learning_rate": 0.001,
        "decay": 0.0,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    }
    chosen = optimizers.Adam(global_clipnorm=1, convention="torch").get_config()
    assert chosen["global_clipnorm"] == 1.0 and chosen["convention"] == "torch"


DEFAULTS = {
    "Adadelta": {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
    "Adagrad": {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "AdamW": {"learning_rate": 0.001, "weight_decay": 0.004, "beta_1": 0.9, "beta_2": 0.999},
    "Adamax": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "Ftrl": {
        "learning_rate": 0.001,
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "beta": 0.0,
    },
    "Nadam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "SGD": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_keras(name):
    assert DEFAULTS[name].items() <= getattr(optimizers, name)().get_config().items()


@every_class
def test_defaults_are_those_of_the_rule(cls):
    """Only the values of the other libraries' conventions differ."""
    parameters = inspect.signature(cls).parameters
    for name, default in cls().rule.hyperparameters.items():
        assert parameters[name].default == default


def test_positional_arguments_as_in_keras():
    opt = optimizers.Adam(0.1, 0.8, 0.9, 1e-3, True, "A")
    assert list(opt.get_config().values()) == ["A", 0.1, 0.0, 0.8, 0.9, 1e-3, True]


CHECKED = {
    "learning_rate": [-1, np.inf, None],
    "decay": [-0.1, np.inf, None],
    "clipnorm": [-1, np.inf],
    "clipvalue": [-1, np.inf],
    "global_clipnorm": [-1, np.inf],
    "weight_decay": [-1, np.inf],
    "ema_momentum": [-0.1, 1.1, None],
    "ema_overwrite_frequency": [0, -1, 1.5],
    "gradient_accumulation_steps": [1, 0, 2.5],
    "use_ema": [1, None, "yes"],
    "on_nonfinite": ["ignore", None, 1],
    "name": [1, None],
    "beta_1": [1, -0.1, None],
    "beta_2": [1.0, -0.1, None],
    "epsilon": [-1e-7, None],
    "amsgrad": [1, None],
    "convention": ["tensorflow", None],
    "sparse_update": ["lazy", None],
    "rho": [1, -0.1, None],
    "momentum": [-0.1, 1.1, None],
    "centered": [0],
    "nesterov": ["no"],
    "momentum_decay": [-1, None],
    "initial_accumulator_value": [-0.1, None],
    "learning_rate_power": [0.5, None],
    "l1_regularization_strength": [-1],
    "l2_regularization_strength": [-1],
    "l2_shrinkage_regularization_strength": [-1],
    "beta": [-1],
}
NUMERIC = CHECKED.keys() - {
    "use_ema",
    "on_nonfinite",
    "name",
    "amsgrad",
    "convention",
    "sparse_update",
    "centered",
    "nesterov",
}


@every_class
def test_every_setting_is_checked(cls):
    assert settings_of(cls) <= CHECKED.keys()
    for name in settings_of(cls):
        for value in CHECKED[name] + (NOT_NUMBERS if name in NUMERIC else []):
            with pytest.raises(ValueError, match=f"`{name}` must be"):
                cls(**{name: value})
            opt = cls()
            with pytest.raises((ValueError, AttributeError), match=f"`{name}`"):
                setattr(opt, name, value)
            assert opt.get_config() == cls().get_config()


@every_class
def test_any_kind_of_number_will_do(cls):
    for one in (np.float32(0.5), np.float64(0.5), np.array(0.5)):
        assert type(cls(learning_rate=one).learning_rate) is float
    assert cls(learning_rate=1, clipnorm=np.int64(2)).clipnorm == 2.0


def test_special_ranges():
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number > 0"):
        optimizers.Ftrl(learning_rate=0)
    with pytest.raises(ValueError, match="`weight_decay` must be"):
        optimizers.AdamW(weight_decay=None)
    assert optimizers.Adam(weight_decay=None).weight_decay is None
    assert optimizers.SGD(momentum=1).momentum == 1.0


@every_class
def test_unknown_keyword(cls):
    with pytest.raises(TypeError, match="lr"):
        cls(lr=0.1)


def test_norms_exclude_each_other():
    with pytest.raises(ValueError, match="`clipnorm` and `global_clipnorm` exclude each other"):
        optimizers.Adam(clipnorm=1.0, global_clipnorm=1.0)
    opt = optimizers.Adam(clipnorm=1.0)
    x = np.ones(2)
    opt.global_clipnorm = 1.0
    with pytest.raises(ValueError, match="exclude each other"):
        opt.apply_gradients([(np.ones(2), x)])
    assert (x == 1).all() and opt.iterations == 0 and opt.get_weights() == []
    opt.clipnorm = None
    assert opt.apply_gradients([(np.ones(2), x)]) == 1


@pytest.mark.parametrize("name", ["use_ema", "gradient_accumulation_steps"])
def test_some_settings_are_settled(name):
    opt = optimizers.Adam()
    with pytest.raises(AttributeError, match=f"`{name}` is settled"):
        setattr(opt, name, getattr(opt, name))


def test_settings_that_choose_the_rule_cannot_change_after_a_step():
    x = np.ones(2)
    opt = optimizers.SGD()
    opt.momentum = 0.5
    opt.apply_gradients([(np.ones(2), x)])
    opt.momentum = 0.25
    opt.apply_gradients([(np.ones(2), x)])
    before = x.copy()
    opt.momentum = 0.0
    with pytest.raises(ValueError, match="cannot change after the first step"):
        opt.apply_gradients([(np.ones(2), x)])
    assert (x == before).all() and opt.iterations == 2


def test_schedule_is_asked_for_the_steps_made():
    asked = []

    class Recorded(schedules.LearningRateSchedule):
        def __call__(self, step):
            asked.append(step)
            return 0.5**step

    xs = [np.zeros(2), np.zeros(3, np.float32)]
    opt = optimizers.SGD(Recorded())
    for _ in range(3):
        opt.apply_gradients([(np.ones_like(x), x) for x in xs])
    assert asked == [0, 1, 2]
    np.testing.assert_array_equal(xs[0], -1.75)
    np.testing.assert_array_equal(xs[1], -1.75)


def test_decay_divides_the_learning_rate():
    x = np.zeros(1)
    opt = optimizers.SGD(1.0, decay=0.5)
    for _ in range(3):
        opt.apply_gradients([([1.0], x)])
    np.testing.assert_allclose(x, -(1 + 1 / 1.5 + 1 / 2))


def test_callables_are_called_once_a_step():
    calls = []

    def of(name, value):
        def call():
            calls.append(name)
            return value

        return call

    opt = optimizers.Adam(of("rate", 0.1), of("one", 0.5), of("two", np.float32(0.75)))
    plain = optimizers.Adam(0.1, 0.5, 0.75)
    xs, ys = ([np.ones(2), np.ones(3, np.float32)] for _ in range(2))
    for _ in range(2):
        opt.apply_gradients([(x * 2, x) for x in xs])
        plain.apply_gradients([(y * 2, y) for y in ys])
    assert calls == ["rate", "one", "two"] * 2
    np.testing.assert_array_equal(xs[0], ys[0])
    assert json.loads(json.dumps(opt.get_config())) == plain.get_config()


@pytest.mark.parametrize("value", [-0.1, np.nan, "a", None])
def test_callables_are_checked(value):
    x, y = np.ones(2), np.ones(2)
    opt = optimizers.Adam(lambda: 0.1)
    opt.apply_gradients([(np.ones(2), x)])
    before = opt.get_weights()
    kept = x.copy()
    opt.learning_rate = lambda: value
    with pytest.raises(ValueError, match="`learning_rate` must be"):
        opt.apply_gradients([(np.ones(2), x), (np.ones(2), y)])
    np.testing.assert_array_equal(x, kept)
    assert len(opt.get_weights()) == len(before) and opt.iterations == 1


def test_schedules_are_checked():
    opt = optimizers.Ftrl(schedules.PolynomialDecay(0.1, 1, end_learning_rate=0.0))
    x = np.ones(2)
    opt.apply_gradients([(np.ones(2), x)])
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number > 0"):
        opt.apply_gradients([(np.ones(2), x)])
    assert opt.iterations == 1


def test_unconvertible_schedule():
    class Own(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

        def get_config(self):
            return {}

    config = optimizers.serialize(optimizers.Adam(Own()))
    with pytest.raises(ValueError, match="Own"):
        optimizers.deserialize(config)
    assert isinstance(optimizers.deserialize(config, {"Own": Own}).learning_rate, Own)


@pytest.mark.parametrize(
    "identifier", [None, 3, "Adamm", {}, {"class_name": "x", "config": {}}, {"config": {}}]
)
def test_get_refuses(identifier):
    with pytest.raises(ValueError, match=r"config|no optimizer"):
        optimizers.get(identifier)


def test_get():
    opt = optimizers.Adam(0.5)
    assert optimizers.get(opt) is opt
    assert optimizers.get(optimizers.serialize(opt)).learning_rate == 0.5
    assert isinstance(optimizers.get("rmsprop"), optimizers.RMSprop)
    with pytest.raises(ValueError, match="`optimizer` must be an Optimizer"):
        optimizers.serialize("adam")


class HeavyBall(optimizers.Optimizer):
    rule = rules.SGD_MOMENTUM
    momentum = optimizers.SGD.momentum

    def __init__(self, learning_rate=0.01, momentum=0.9, name="HeavyBall", **kwargs):
        super().__init__(learning_rate, name, **kwargs)
        self.momentum = momentum


def test_own_class():
    config = optimizers.serialize(HeavyBall(0.1, clipvalue=2))
    assert config["config"] == {
        "name": "HeavyBall",
        "learning_rate": 0.1,
        "decay": 0.0,
        "momentum": 0.9,
        "clipvalue": 2.0,
    }
    own = optimizers.deserialize(config, custom_objects={"HeavyBall": HeavyBall})
    keras = optimizers.SGD(0.1, 0.9, clipvalue=2)
    x, y = np.ones(3), np.ones(3)
    for _ in range(3):
        own.apply_gradients([(5 * x, x)])
        keras.apply_gradients([(5 * y, y)])
    np.testing.assert_array_equal(x, y)


def test_base_class_has_no_rule():
    opt = optimizers.Optimizer(0.1, "base")
    with pytest.raises(NotImplementedError, match=re.escape("Optimizer must define `rule`")):
        opt.apply_gradients([(np.ones(1), np.ones(1))])


CONVENTIONS = [
    (optimizers.Adam(), rules.ADAM),
    (optimizers.Adam(amsgrad=True), rules.AMSGRAD),
    (optimizers.Adam(convention="torch"), rules.ADAM_TORCH),
    (optimizers.Adam(convention="optax"), rules.ADAM_TORCH),
    (optimizers.AdamW(convention="torch", amsgrad=True), rules.AMSGRAD_TORCH),
    (optimizers.AdamW(convention="optax", amsgrad=True), rules.AMSGRAD_OPTAX),
    (optimizers.Adamax(convention="torch"), rules.ADAMAX_TORCH),
    (optimizers.Nadam(convention="optax"), rules.NADAM_OPTAX),
    (optimizers.RAdam(convention="optax"), rules.RADAM_OPTAX),
    (optimizers.SGD(momentum=0.5, nesterov=True), rules.SGD_NESTEROV),
    (optimizers.SGD(nesterov=True), rules.SGD),
    (optimizers.Adagrad(convention="keras3"), rules.ADAGRAD_INSIDE),
    (optimizers.RMSprop(), rules.RMSPROP),
    (optimizers.RMSprop(momentum=0.5), rules.RMSPROP_MOMENTUM_INSIDE),
    (optimizers.RMSprop(momentum=0.5, convention="torch"), rules.RMSPROP_MOMENTUM),
    (optimizers.RMSprop(convention="keras3"), rules.RMSPROP_INSIDE),
    (optimizers.RMSprop(centered=True), rules.RMSPROP_CENTERED),
    (optimizers.RMSprop(centered=True, convention="keras3"), rules.RMSPROP_CENTERED_INSIDE),
    (optimizers.RMSprop(centered=True, momentum=0.5), rules.RMSPROP_MOMENTUM_CENTERED_INSIDE),
    (optimizers.RMSprop(centered=True, momentum=0.5, convention="torch"), rules.RMSPROP_MOMENTUM_CENTERED),
    (optimizers.Ftrl(learning_rate_power=-0.25), rules.FTRL_POWER),
]


@pytest.mark.parametrize(("opt", "rule"), CONVENTIONS, ids=lambda value: type(value).__name__)
def test_settings_choose_the_rule(opt, rule):
    assert opt.rule is rule


# --- Attributes ----------------------------------------------------------------------------------


def test_lr_is_another_name_of_learning_rate():
    x = np.zeros(1)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(1), x)])
    opt.lr = 0.0
    before = x.copy()
    opt.apply_gradients([(np.ones(1), x)])
    assert x == before and opt.lr == opt.learning_rate == 0.0
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number >= 0"):
        opt.lr = -1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("learnig_rate", "did you mean `learning_rate`"),
        ("beta1", "did you mean `beta_1` or `beta_2`"),
        ("iteration", "did you mean `iterations`"),
        ("weightdecay", "did you mean `weight_decay`"),
        ("clip_norm", "`clipnorm`"),
        ("qqq", r"no attribute 'qqq'\."),
    ],
)
def test_misspelt_attributes_are_refused(name, hint):
    opt = Adam()
    with pytest.raises(AttributeError, match=hint):
        setattr(opt, name, 0.5)
    assert not hasattr(opt, name)


@every_class
def test_everything_that_can_be_set_can_be_set(cls):
    opt = cls()
    settled = {"use_ema", "gradient_accumulation_steps", "sparse_update", "initial_accumulator_value"}
    for name in cls._parameters().keys() - settled:
        setattr(opt, name, getattr(opt, name))
    assert opt.get_config() == cls().get_config()


def test_subclasses_may_have_attributes_of_their_own():
    class Noted(Adam):
        declared: int
        body = 1

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.notes = []

    opt = Noted(0.5)
    opt.notes, opt.declared, opt.body, opt._private = [1], 2, 3, 4
    with pytest.raises(AttributeError, match="`Noted` has no attribute 'note'"):
        opt.note = 1
    again = pickle.loads(pickle.dumps(copy.copy(Adam(0.25))))
    assert again.learning_rate == 0.25 and copy.deepcopy(opt).notes == [1]
    with pytest.raises(AttributeError, match="did you mean"):
        again.learningrate = 1


def test_settings_assigned_between_steps_take_effect():
    """Also where lookups were kept from the step before."""
    x, y = np.ones(3), np.ones(3)
    opt = Adam(0.1)
    opt.apply_gradients([(np.ones(3), x)])
    for name, value in [
        ("learning_rate", 0.2), ("beta_1", 0.5), ("beta_2", lambda: 0.9), ("epsilon", 1.0), ("decay", 0.5),
        ("clipvalue", 0.1), ("clipnorm", 0.01), ("clipnorm", None), ("global_clipnorm", 0.01),
        ("weight_decay", 0.1), ("learning_rate", schedules.ExponentialDecay(1.0, 1, 0.5)), ("iterations", 7),
        ("on_nonfinite", "skip"),
    ]:  # fmt: skip
        setattr(opt, name, value)
        fresh = copy.deepcopy(opt)
        y[:] = x
        for _ in range(2):
            opt.apply_gradients([(np.ones(3), x)])
            fresh.apply_gradients([(np.ones(3), y)])
        np.testing.assert_array_equal(x, y)
    opt.exclude_from_weight_decay(x)
    opt.learning_rate = 0.0
    before = x.copy()
    opt.apply_gradients([(np.ones(3), x)])
    np.testing.assert_array_equal(x, before)


@every_class
def test_representation(cls):
    opt = cls(0.5, clipvalue=2.0)
    opt.apply_gradients([(np.ones(2), np.ones(2)), (np.ones(3), np.ones(3))])
    assert repr(opt) == f"<{cls.__name__}: learning_rate=0.5, clipvalue=2.0, 1 steps, 2 variables>"
