"""Trajectories of tf_keras, Keras 3, torch and Optax, replayed: see golden/README.md."""

import json
from pathlib import Path

import numba
import numpy as np
import pytest

from nbadam import optimizers, schedules
from nbadam.hyperparameters import Hyperparameter, non_negative
from nbadam.rules.adam import ADAM_OPTAX, momentum_product

GOLDEN = Path(__file__).parent / "golden"
MANIFEST = {entry["file"]: entry for entry in json.loads((GOLDEN / "manifest.json").read_text())["files"]}

# What nbadam computes otherwise, on purpose.
DEVIATIONS = {
    "k3tf_adam_sparse_dup_quirk.f64.npz": "a defect of Keras 3: duplicate rows square before they are summed",
    **dict.fromkeys(
        [
            "tfl_adadelta_sparse.f64.npz",
            "tfl_adamax_sparse.f64.npz",
            "tfl_ftrl_sparse.f64.npz",
            "tfl_nadam_sparse.f64.npz",
            "tfl_rmsprop_mom_centered_sparse.f64.npz",
            "tfl_rmsprop_mom_sparse.f64.npz",
            "tfl_sgd_mom_sparse.f64.npz",
            "tfl_sgd_nesterov_sparse.f64.npz",
        ],
        "legacy Keras steps the touched rows alone; nbadam's sparse update equals the dense one",
    ),
    "torch_sgd_mom_dampening.f64.npz": "weight decay is never L2 regularization, and there is no dampening",
    "torch_sparse_adam.f32.npz": "torch's SparseAdam leaves untouched rows alone, which is not Adam",
    "torch_sparse_adam.f64.npz": "torch's SparseAdam leaves untouched rows alone, which is not Adam",
}

# Settings that the references take as others: (to put in, to leave out).
CHANGES = {
    "tfl_adam_eps0_becomes_1e-7": ({"epsilon": 1e-7}, ()),  # legacy Keras takes 0 for "default"
    "tfn_adam_adaptive_epsilon": ({"convention": "torch"}, ("adaptive_epsilon",)),
    "tfn_adam_clip_priority": ({}, ("clipvalue",)),  # which tf_keras ignores beside clipnorm
    # What the caller does: see GRADIENTS and `average_of_tf_keras`.
    "k3_adam_loss_scale": ({}, ("loss_scale_factor",)),
    "tfn_adam_ema": ({}, ("use_ema", "ema_momentum", "ema_overwrite_frequency")),
    "torch_adam_l2": ({}, ("weight_decay",)),
    "torch_adam_maximize": ({}, ("maximize",)),
    "torch_radam_l2": ({}, ("weight_decay",)),
    "torch_nadam_decoupled": ({}, ("decoupled_weight_decay",)),
    "torch_adagrad_lrdecay": ({"initial_accumulator_value": 0.0}, ()),
}


def regularized(gradients, variables):
    """L2 regularization, which torch calls weight decay in Adam."""
    return [g + 0.1 * x for g, x in zip(gradients, variables, strict=True)]


def clipped_by_torch(gradients, variables):
    """Apply torch.nn.utils.clip_grad_norm_, which divides by the norm plus 1e-6."""
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * min(1.0, 0.5 / (norm + 1e-6)) for g in gradients]


# What has to happen to the gradients outside of the optimizer.
GRADIENTS = {
    "k3_adam_loss_scale": lambda gradients, variables: [g / 8 for g in gradients],
    "torch_adam_clipgradnorm": clipped_by_torch,
    "torch_adam_l2": regularized,
    "torch_adam_maximize": lambda gradients, variables: [-g for g in gradients],
    "torch_radam_l2": regularized,
}


def average_of_tf_keras(averages, variables, step):
    """Moving average that starts at the initial variable, where that of Keras 3 and nbadam starts at 0."""
    for average, x in zip(averages, variables, strict=True):
        average[...] = 0.75 * average + 0.25 * x
        if step % 5 == 0:
            x[...] = average


# Settings of each library's classes that make nbadam's compute the same.
CONVENTIONS = {
    ("k3", "Nadam"): {"momentum_decay": 1.0},
    ("k3", "RMSprop"): {"convention": "keras3"},
    ("k3", "Adagrad"): {"convention": "keras3"},
    ("torch", "Adam"): {"convention": "torch"},
    ("torch", "AdamW"): {"convention": "torch"},
    ("torch", "Adamax"): {"convention": "torch"},
    ("torch", "RMSprop"): {"convention": "torch"},
    ("optax", "Adam"): {"convention": "optax"},
    ("optax", "AdamW"): {"convention": "optax"},
    ("optax", "Adamax"): {"convention": "torch"},
    ("optax", "Nadam"): {"convention": "optax"},
    ("optax", "RAdam"): {"convention": "optax"},
}
CLASSES = {
    "NAdam": "Nadam",
    "adam": "Adam",
    "adamw": "AdamW",
    "adamax": "Adamax",
    "amsgrad": "Adam",
    "lion": "Lion",
    "nadam": "Nadam",
    "radam": "RAdam",
}
ARGUMENTS = {
    "lr": "learning_rate",
    "eps": "epsilon",
    "b1": "beta_1",
    "b2": "beta_2",
    "alpha": "rho",
    "eps_root": "epsilon_root",
    "lr_decay": "decay",
}
SLOTS = {
    **{"exp_avg": "m", "exp_avg_sq": "v", "max_exp_avg_sq": "vhat", "exp_inf": "v"},
    **{"mu": "m", "nu": "v", "nu_max": "vhat", "velocity_hat": "vhat", "norm": "v"},
    **{"accumulated_grad": "accum_grad", "accumulated_delta_var": "accum_var", "sum": "accumulator"},
    **{"square_avg": "rms", "momentum_buffer": "momentum", "grad_avg": "mg", "average_gradient": "mg"},
}
# The same name for different things.
SLOTS_BY_CLASS = {
    **{(cls, "momentum"): "m" for cls in ("Adam", "AdamW", "Adamax", "Nadam", "Lion")},
    **{(cls, "velocity"): "v" for cls in ("Adam", "AdamW", "Nadam")},
    ("RMSprop", "velocity"): "rms",
    ("Adadelta", "square_avg"): "accum_grad",
    ("Adadelta", "acc_delta"): "accum_var",
}


class AdamWithRoot(optimizers.Adam):
    """Optax's Adam with its second epsilon."""

    epsilon_root = Hyperparameter(non_negative)
    rule = ADAM_OPTAX

    def __init__(self, *, epsilon_root, **kwargs):
        super().__init__(**kwargs)
        self.epsilon_root = epsilon_root


def setting(value):
    if not isinstance(value, list):
        return value
    kind, content = value
    if kind == "callable":
        values = iter(content)
        return lambda: next(values)
    return getattr(schedules, kind)(**content)


def optimizer_of(meta):
    """Make the optimizer that should reproduce a case."""
    library = "k3" if meta["ref"].startswith("k3") else meta["ref"]
    name = CLASSES.get(meta["cls"], meta["cls"])
    added, dropped = CHANGES.get(meta["id"], ({}, ()))
    hyper = {k: setting(v) for k, v in meta["hyper"].items() if k not in (*dropped, "betas")}
    hyper = {ARGUMENTS.get(k, k): v for k, v in hyper.items()} | CONVENTIONS.get((library, name), {}) | added
    if "betas" in meta["hyper"]:
        hyper["beta_1"], hyper["beta_2"] = meta["hyper"]["betas"]
    if meta["mode"] == "python":
        for k in ("learning_rate", "beta_1", "beta_2"):
            hyper[k] = float(np.float32(hyper[k]))
    if meta["cls"] == "amsgrad":
        hyper["amsgrad"] = True
    if "epsilon_root" in hyper:
        del hyper["convention"]
        return AdamWithRoot(**hyper)
    return getattr(optimizers, name)(**hyper)


def gradient_at(z, i, t):
    if f"has_{i}" in z and not z[f"has_{i}"][t]:
        return None
    if f"nnz_{i}" in z:
        n = z[f"nnz_{i}"][t]
        return z[f"val_{i}"][t, :n], z[f"idx_{i}"][t, :n]
    return z[f"grad_{i}"][t]


def assert_agrees(actual, expected, tolerance, what):
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected), err_msg=what)
    largest = np.nanmax(np.abs(expected), initial=0.0)
    error = np.nanmax(np.abs(actual - expected), initial=0.0)
    assert error <= tolerance * largest, f"{what}: {error / largest:.2e} > {tolerance:.2e}"


def tolerance_of(file):
    entry = MANIFEST[file]
    return max({"float64": 1e-12, "float32": 5e-6}[entry["dtype"]], 3 * entry["err_plain"])


FILES = sorted(path.name for path in GOLDEN.glob("*.npz"))
SCHEDULES = [file for file in FILES if file.startswith("schedules")]
REPLAYED = [file for file in FILES if file not in SCHEDULES and file not in DEVIATIONS]
# In single precision rules beside Adam's run in plain Python alone: a kernel would be compiled for each.
COMPILED = [file for file in REPLAYED if MANIFEST[file]["dtype"] == "float64" or "_adam" in file]


def test_every_file_is_accounted_for():
    assert set(FILES) == set(MANIFEST) == {*REPLAYED, *SCHEDULES, *DEVIATIONS}
    assert len(FILES) == 196 and len(DEVIATIONS) == 12


@pytest.mark.parametrize("file", REPLAYED if numba.config.DISABLE_JIT else COMPILED)
def test_trajectory(file):
    z = dict(np.load(GOLDEN / file))
    meta = json.loads(str(z["meta"]))
    variables = [z[f"init_{i}"].copy() for i in range(meta["n_vars"])]
    # torch counts steps for each parameter: with gradients of None it is several optimizers in one.
    separate = meta["ref"] == "torch" and "has_0" in z
    opts = [optimizer_of(meta) for _ in variables] if separate else [optimizer_of(meta)] * len(variables)
    if meta["ref"] != "tfl" and not separate:  # legacy Keras alone creates slots with the first gradient
        opts[0].build(variables)
    if "start_iter" in meta:
        opts[0].build(variables)
        state = [z[f"init_slot.{name}.{i}"] for name in ("m", "v") for i in range(meta["n_vars"])]
        opts[0].set_weights([meta["start_iter"], *state])
    opts[0].exclude_from_weight_decay([variables[int(name[1:])] for name in meta.get("exclude", [])])

    averages = [x.copy() for x in variables]
    saved = {step: k for k, step in enumerate(meta["save_steps"])}
    for t in range(meta["T"]):
        if str(t) in meta.get("set_lr", {}):
            opts[0].learning_rate = meta["set_lr"][str(t)]
        gradients = [gradient_at(z, i, t) for i in range(meta["n_vars"])]
        if meta["id"] in GRADIENTS:
            gradients = GRADIENTS[meta["id"]](gradients, variables)
        if separate:
            for opt, g, x in zip(opts, gradients, variables, strict=True):
                if g is not None:
                    opt.apply_gradients([(g, x)])
        else:
            opts[0].apply_gradients(zip(gradients, variables, strict=True))
        if meta["id"] == "tfn_adam_ema":
            average_of_tf_keras(averages, variables, t + 1)
            for i, average in enumerate(averages):
                assert_agrees(average, z[f"slot.average.{i}"][saved[t + 1]], tolerance_of(file), "average")
        if t + 1 in saved:
            compare(z, meta, saved[t + 1], opts, variables, tolerance_of(file))
    assert t + 1 in saved


def compare(z, meta, k, opts, variables, tolerance):
    """Compare parameters, counters and every slot with the k-th saved ones."""
    for i, (opt, x) in enumerate(zip(opts, variables, strict=True)):
        assert_agrees(x, z[f"param_{i}"][k], tolerance, f"param_{i} {k}")
        for key in z:
            if key.startswith("slot.") and key.endswith(f".{i}"):
                compare_slot(key.split(".")[1], z[key][k], opt, x, tolerance, (z, meta, k))
    if len(set(opts)) == 1:
        assert opts[0].variables[0] == z["iterations"][k]


def compare_slot(name, expected, opt, x, tolerance, place):
    z, meta, k = place
    cls = CLASSES.get(meta["cls"], meta["cls"])
    if name == "step":
        assert expected == opt.iterations
        return
    if name == "mu_product":
        product = momentum_product(opt.iterations, opt.beta_1, opt.momentum_decay)
        assert_agrees(product, expected, tolerance, name)
        return
    if meta["id"] == "tfn_adam_ema" and name == "average":
        return  # it is the caller's
    name = SLOTS_BY_CLASS.get((cls, name), SLOTS.get(name, name))
    if meta["ref"] == "torch" and name == "momentum":  # whose velocity is without the learning rate
        expected = expected * (-opt.learning_rate if cls == "SGD" else opt.learning_rate)
    try:
        slot = opt.get_slot(x, name)
    except ValueError:  # no gradient yet
        assert not z["has_0"][: meta["save_steps"][k]].all() or not z["has_1"][: meta["save_steps"][k]].all()
        assert not expected.any()
        return
    assert_agrees(slot, expected, tolerance, f"{name} {k}")


@pytest.mark.parametrize("file", SCHEDULES)
def test_schedules(file):
    z = np.load(GOLDEN / file)
    meta = json.loads(str(z["meta"]))
    steps = np.arange(301)
    # Keras restarts a step late where the quotient of two logarithms rounds down.
    late = {"restarts_t3": 242, "restarts_t1p5": 211} if meta["dtype"] == "float64" else {}
    for key, entry in meta["schedules"].items():
        schedule = getattr(schedules, entry["cls"])(**entry["kwargs"])
        kept = steps != late.get(key, -1)
        assert_agrees(schedule(steps)[kept], z[key][kept], tolerance_of(file), key)


def test_momentum_product():
    for file in REPLAYED:
        z = np.load(GOLDEN / file)
        for key, decay in (("scalar.momentum_cache", 0.004), ("scalar.u_product", 1.0)):
            if key in z:
                products = [momentum_product(t, 0.9, decay) for t in range(1, 11)]
                assert_agrees(np.array(products), z[key], tolerance_of(file), file)
