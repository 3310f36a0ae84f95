"""What the tests of optimizers share: random arrays, and all that a step may change."""

import numpy as np


def normal(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def snapshot(opt, variables):
    """Everything that a step changes, to be compared."""
    weights = [weight.tobytes() for weight in opt.get_weights()]
    return opt.iterations, opt.skipped_steps, weights, [x.tobytes() for x in variables]
