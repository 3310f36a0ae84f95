"""Learning-rate schedules; their values are compared with Keras's in test_golden."""

import json
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbadam import schedules
from nbadam.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    Joined,
    LearningRateSchedule,
    OneCycle,
    PiecewiseConstantDecay,
    PiecewiseLinear,
    PolynomialDecay,
)

OF_KERAS = [
    ExponentialDecay(0.1, 37, 0.96),
    ExponentialDecay(0.1, 37, 0.5, staircase=True, name="steps"),
    InverseTimeDecay(0.1, 30, 0.5),
    InverseTimeDecay(0.1, 30, 0.5, staircase=True),
    PiecewiseConstantDecay([50, 100.5], [1.0, 0.5, 0.1]),
    PolynomialDecay(0.1, 120, end_learning_rate=0.01, power=0.5),
    PolynomialDecay(0.1, 40, cycle=True),
    CosineDecay(0.1, 200, alpha=0.05),
    CosineDecay(0.0, 150, warmup_target=0.1, warmup_steps=50),
    CosineDecayRestarts(0.1, 20, m_mul=0.9, alpha=0.01),
    CosineDecayRestarts(0.1, 25, t_mul=1.0),
]
EXAMPLES = [
    *OF_KERAS,
    PiecewiseLinear([0, 50, 100.5], [0.0, 0.5, 0.1]),
    OneCycle(0.1, 300),
    OneCycle(0.1, 1000, pct_start=0.5, div_factor=10, anneal_strategy="linear", name="up and down"),
    Joined([PiecewiseLinear([0, 100], [0.0, 0.1]), CosineDecay(0.1, 200), OneCycle(0.1, 30)], [100, 300.5]),
    Joined([Joined([InverseTimeDecay(0.1, 30, 0.5), CosineDecay(0.1, 20)], [7])] * 2, [40]),
]
every_schedule = pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)


@pytest.mark.long
@every_schedule
@given(steps=st.lists(st.integers(0, 2000), min_size=1))
def test_array_has_the_bits_of_single_steps(schedule, steps):
    rates = schedule(np.array(steps))
    assert rates.shape == (len(steps),) and rates.dtype == np.float64
    assert rates.tolist() == [schedule(step) for step in steps]


@every_schedule
def test_what_a_step_may_be(schedule):
    assert type(schedule(3)) is float
    assert (
        schedule(3)
        == schedule(3.0)
        == schedule(np.int32(3))
        == schedule(np.float32(3))
        == schedule(np.array(3))
    )
    assert schedule([[1, 2, 3]]).tolist() == [[schedule(1), schedule(2), schedule(3)]]
    assert schedule(np.array([], dtype=int)).shape == (0,)


@every_schedule
def test_is_a_value(schedule):
    again = type(schedule).from_config(json.loads(json.dumps(schedule.get_config())))
    assert again == schedule and hash(again) == hash(schedule)
    assert schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule)))) == schedule
    with pytest.raises(FrozenInstanceError):
        schedule.name = "other"


def test_config_has_the_keys_of_keras():
    decay = ["initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name"]
    cosine = ["initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps"]
    expected = {
        ExponentialDecay: decay,
        InverseTimeDecay: decay,
        PiecewiseConstantDecay: ["boundaries", "values", "name"],
        PolynomialDecay: [
            "initial_learning_rate",
            "decay_steps",
            "end_learning_rate",
            "power",
            "cycle",
            "name",
        ],
        CosineDecay: cosine,
        CosineDecayRestarts: [
            "initial_learning_rate",
            "first_decay_steps",
            "t_mul",
            "m_mul",
            "alpha",
            "name",
        ],
    }
    for schedule in OF_KERAS:
        assert list(schedule.get_config()) == expected[type(schedule)]
    assert PiecewiseConstantDecay((1,), np.array([1, 2])).get_config()["values"] == [1.0, 2.0]


def test_serialized_form():
    assert schedules.serialize(ExponentialDecay(1, 2, 3)) == {
        "module": "nbadam.schedules",
        "class_name": "ExponentialDecay",
        "config": {
            "initial_learning_rate": 1.0,
            "decay_steps": 2.0,
            "decay_rate": 3.0,
            "staircase": False,
            "name": None,
        },
        "registered_name": None,
    }


def test_what_keras_serialized_is_read():
    keras = {
        "module": "keras.optimizers.schedules",
        "class_name": "PolynomialDecay",
        "config": {"initial_learning_rate": 0.1, "decay_steps": 10, "name": "PolynomialDecay"},
        "registered_name": None,
    }
    assert schedules.deserialize(keras) == PolynomialDecay(0.1, 10, name="PolynomialDecay")


class Own(LearningRateSchedule):
    def __init__(self, top):
        self.top = top

    def __call__(self, step):
        return self.top / (1 + step)

    def get_config(self):
        return {"top": self.top}


def test_own_schedule():
    config = schedules.serialize(Own(2.0))
    assert (config["class_name"], config["config"]) == ("Own", {"top": 2.0})
    assert schedules.deserialize(config, custom_objects={"Own": Own})(1) == 1.0
    with pytest.raises(ValueError, match=r"'Own'.*custom_objects"):
        schedules.deserialize(config)


def test_base_class_asks_for_its_methods():
    with pytest.raises(NotImplementedError, match="LearningRateSchedule must define __call__"):
        LearningRateSchedule()(0)
    with pytest.raises(NotImplementedError, match="get_config"):
        LearningRateSchedule().get_config()


@pytest.mark.parametrize("config", [None, [], {}, {"class_name": "CosineDecay"}, {"config": {}}])
def test_deserialize_refuses(config):
    with pytest.raises(ValueError, match="class_name"):
        schedules.deserialize(config)


def test_serialize_refuses():
    with pytest.raises(ValueError, match="LearningRateSchedule"):
        schedules.serialize(0.1)


NUMBERS = {
    "initial_learning_rate": (0, [-0.1]),
    "end_learning_rate": (0, [-0.1]),
    "decay_steps": (1, [0, -5]),
    "first_decay_steps": (1, [0, -5]),
    "decay_rate": (0, [-0.5]),
    "power": (0, [-1]),
    "alpha": (0, [-0.1]),
    "t_mul": (1, [0.5]),
    "m_mul": (0, [-1]),
    "warmup_target": (0, [-0.1]),
    "warmup_steps": (0, [-1]),
}
REFUSED = [np.nan, np.inf, "0.1", True, [0.1], 1j]


@every_schedule
def test_every_number_is_checked(schedule):
    config = schedule.get_config()
    for name in NUMBERS.keys() & config.keys():
        least, wrong = NUMBERS[name]
        type(schedule)(**config | {name: np.float32(least)})
        for value in REFUSED + wrong:
            with pytest.raises(ValueError, match=f"`{name}` must be"):
                type(schedule)(**config | {name: value})
    for name in {"staircase", "cycle"} & config.keys():
        with pytest.raises(ValueError, match=f"`{name}` must be True or False"):
            type(schedule)(**config | {name: 1})


@pytest.mark.parametrize(
    ("boundaries", "values", "message"),
    [
        ([1, 2], [1.0, 2.0], "one more than `boundaries`, not 2 beside 2"),
        ([2, 1], [1.0, 2.0, 3.0], "`boundaries` must increase"),
        ([1, 1], [1.0, 2.0, 3.0], "`boundaries` must increase"),
        ([1], [1.0, -2.0], "`values` must be"),
        ([np.nan], [1.0, 2.0], "`boundaries` must be"),
        (1, [1.0, 2.0], "`boundaries` must be a sequence"),
        ([1], "ab", "`values` must be"),
    ],
)
def test_piecewise_refuses(boundaries, values, message):
    with pytest.raises(ValueError, match=message):
        PiecewiseConstantDecay(boundaries, values)


def test_unknown_keyword():
    with pytest.raises(TypeError, match="decay"):
        ExponentialDecay.from_config({"initial_learning_rate": 0.1, "decay": 1})


def test_piecewise_changes_after_the_boundary():
    schedule = PiecewiseConstantDecay([2, 4.5], [3, 2, 1])
    assert schedule(range(7)).tolist() == [3, 3, 3, 2, 2, 1, 1]
    assert PiecewiseConstantDecay([], [0.5])(7) == 0.5


@pytest.mark.lowest
def test_polynomial_cycle_begins_a_step_after_its_end():
    schedule = PolynomialDecay(1.0, 4, end_learning_rate=0.0, cycle=True)
    assert schedule([0, 3, 4, 5, 8, 9]).tolist() == [1.0, 0.25, 0.0, 1 - 5 / 8, 0.0, 1 - 9 / 12]


@pytest.mark.lowest
def test_cosine_warm_up():
    schedule = CosineDecay(0.2, 10, alpha=0.5, warmup_target=1.0, warmup_steps=4)
    np.testing.assert_allclose(schedule([0, 2, 4, 9, 14, 99]), [0.2, 0.6, 1.0, 0.75, 0.5, 0.5], rtol=1e-15)
    assert CosineDecay(0.2, 10, warmup_steps=4)(0) == 0.2
    assert CosineDecay(0.2, 10, warmup_target=1.0)(0) == 1.0


@pytest.mark.lowest
@given(
    first=st.integers(1, 1000),
    t_mul=st.sampled_from([1.0, 1.5, 2.0, 3.0, 10.0]) | st.integers(1, 20).map(float),
    wave=st.integers(0, 30),
)
def test_restarts_are_exact(first, t_mul, wave):
    schedule = CosineDecayRestarts(1.0, 2 * first, t_mul=t_mul, m_mul=0.5)
    start = 2 * first * sum(t_mul**i for i in range(wave))
    if start < 2**52:
        assert schedule(start) == 0.5**wave
        if start >= 1:
            assert schedule(start - 1) < 0.5 ** (wave - 1)


class Axes:
    def plot(self, x, y):
        self.points = list(zip(x, y, strict=True))

    def set(self, **labels):
        self.labels = labels


def test_plot_on_given_axes():
    axes = Axes()
    assert schedules.plot(Own(1.0), 3, axes) is axes
    assert axes.points == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert axes.labels == {"xlabel": "step", "ylabel": "learning rate"}


def test_plot_on_new_axes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = schedules.plot(ExponentialDecay(0.1, 10, 0.5), 30)
    assert axes.lines[0].get_ydata()[10] == 0.05
    assert axes.get_xlabel() == "step"


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ModuleNotFoundError, match=r"install `nbadam\[plot\]`"):
        schedules.plot(ExponentialDecay(0.1, 10, 0.5), 30)


# --- Schedules from points and from other schedules ----------------------------------------------


@pytest.mark.lowest
def test_piecewise_linear_goes_through_its_points():
    schedule = PiecewiseLinear([10, 20, 40], [0.1, 0.3, 0.0])
    np.testing.assert_allclose(schedule([0, 10, 15, 20, 30, 40, 99]), [0.1, 0.1, 0.2, 0.3, 0.15, 0, 0])


def test_joined_schedules_count_from_their_own_starts():
    first, second = ExponentialDecay(0.1, 10, 0.5), PolynomialDecay(0.2, 10)
    joined = Joined([first, second], [25])
    assert joined(24) == first(24)
    assert joined(25) == second(0) == 0.2
    assert joined([30, 3]).tolist() == [second(5), first(3)]


def test_joined_schedules_of_the_user():
    asked = []

    class Halving(LearningRateSchedule):
        def __call__(self, step):
            asked.append(step)
            return 0.5**step if step < 2 else 0.25  # takes no arrays

        def get_config(self):
            return {}

    joined = Joined([CosineDecay(0.1, 5), Halving()], [5])
    np.testing.assert_array_equal(joined([5, 6, 9]), [1.0, 0.5, 0.25])
    assert asked == [0, 1, 4]
    config = json.loads(json.dumps(schedules.serialize(joined)))
    again = schedules.deserialize(config, {"Halving": Halving})
    assert again(6) == 0.5
    with pytest.raises(ValueError, match="names the schedule 'Halving'"):
        schedules.deserialize(config)


def one_cycle_of_torch(step, total_steps, pct_start, form):
    """OneCycleLR.get_lr of torch/optim/lr_scheduler.py in two phases, for max_lr=1 and the defaults."""
    first, last = 1 / 25, 1 / 25 / 1e4
    phases = [(float(pct_start * total_steps) - 1, first, 1.0), (total_steps - 1, 1.0, last)]
    start_step = 0.0
    for i, (end_step, start, end) in enumerate(phases):
        if step <= end_step or i == 1:
            share = (step - start_step) / (end_step - start_step)
            if form == "cos":
                return end + (start - end) / 2.0 * (np.cos(np.pi * share) + 1)
            return (end - start) * share + start
        start_step = end_step
    return None


@pytest.mark.parametrize("form", ["cos", "linear"])
@pytest.mark.parametrize(("total_steps", "pct_start"), [(10, 0.3), (101, 0.25), (1000, 0.5), (7, 0.1)])
def test_one_cycle_has_the_values_of_torchs_formula(total_steps, pct_start, form):
    schedule = OneCycle(1.0, total_steps, pct_start=pct_start, anneal_strategy=form)
    expected = [one_cycle_of_torch(step, total_steps, pct_start, form) for step in range(total_steps)]
    np.testing.assert_allclose(schedule(np.arange(total_steps)), expected, rtol=1e-12)
    assert schedule(total_steps) == schedule(total_steps - 1)


@pytest.mark.lowest
@pytest.mark.parametrize("pct_start", [0.0, 0.01, 0.1, 1.0])
def test_one_cycle_at_its_extremes(pct_start):
    rates = OneCycle(1.0, 10, pct_start=pct_start)(np.arange(12))
    assert ((rates > 0) & (rates <= 1)).all() and rates.max() > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PiecewiseLinear([1, 2], [0.1]), "`values` must be as many as `boundaries`"),
        (lambda: PiecewiseLinear([], []), "at least one"),
        (lambda: PiecewiseLinear([2, 1], [0.1, 0.2]), "`boundaries` must increase"),
        (lambda: PiecewiseLinear([1], [-0.1]), "`values` must be a finite number >= 0"),
        (lambda: Joined([CosineDecay(0.1, 1)], [3]), "`schedules` must be one more than `boundaries`"),
        (lambda: Joined([0.1, 0.2], [3]), "`schedules` must hold instances of LearningRateSchedule, not 0.1"),
        (lambda: Joined(0.1, [3]), "`schedules` must be a sequence"),
        (lambda: Joined([CosineDecay(0.1, 1)] * 3, [3, 3]), "`boundaries` must increase"),
        (lambda: OneCycle(-1.0, 10), "`max_learning_rate`"),
        (lambda: OneCycle(1.0, 1), "`total_steps` must be an integer >= 2"),
        (lambda: OneCycle(1.0, 10, pct_start=1.5), "`pct_start`"),
        (lambda: OneCycle(1.0, 10, div_factor=0), "`div_factor`"),
        (lambda: OneCycle(1.0, 10, anneal_strategy="x"), "`anneal_strategy` must be one of 'cos', 'linear'"),
    ],
)
def test_bad_schedules_of_points(make, message):
    with pytest.raises(ValueError, match=message):
        make()
