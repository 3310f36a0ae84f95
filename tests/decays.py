"""A decay to an offset, with its derivatives, and the comparison of fits bit for bit."""

import numpy as np
from numpy.testing import assert_array_equal

from nbadam import Model


def decay(x, a, k, c):
    return a * np.exp(-k * x) + c


def decay_jacobian(x, a, k, c):
    e = np.exp(-k * x)
    return e, -a * x * e, 1.0


DECAY = Model(decay, jacobian=decay_jacobian)


def assert_same_fit(fit, others, index=slice(None)):
    """The same bits in everything."""
    for name in ("popt", "chi2", "nfev", "status", "n_points", "perr"):
        assert_array_equal(getattr(fit, name), getattr(others, name)[index], err_msg=name)
