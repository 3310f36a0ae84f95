"""The rules of derivatives run as plain Python, too."""

import numpy as np
import pytest
import scipy.special

from nbadam.dual import registry
from nbadam.dual.arithmetic import power
from nbadam.special import RULES

pytestmark = pytest.mark.lowest

CASES = [(rule, function, arity, ()) for rule, functions, arity in registry.RULES for function in functions]
CASES += [
    (rule, getattr(scipy.special, name), getattr(scipy.special, name).nin, orders)
    for name, (rule, orders) in RULES.items()
]
CASES += [(power, pow, 2, ())]


def difference(function, point, k):
    h = 1e-4
    e = h * np.eye(len(point))[k]
    near, far = (function(*point + n * e) - function(*point - n * e) for n in (1, 2))
    return (8 * near - far) / (12 * h)


def name(case):
    return getattr(case[1], "__name__", str(case[1])) if isinstance(case, tuple) else None


@pytest.mark.parametrize("case", CASES, ids=name)
def test_slopes_are_derivatives(case):
    rule, function, arity, orders = case
    first = 2.0 if orders else 0.6
    points = np.array([[first, 0.4, 0.7], [first + len(orders), 1.3, 0.8]])[:, :arity]
    if arity == 1:
        points = np.array([[0.6], [1.7]])
    tried = 0
    with np.errstate(all="ignore"):
        for point in points:
            try:
                value, *slopes = rule(function, *point)
            except ValueError:  # of `math`, outside the domain
                continue
            if not np.isfinite(value):
                continue
            tried += 1
            assert value == pytest.approx(function(*point), rel=1e-14)
            slopes = [slope() if callable(slope) else slope for slope in slopes]
            for k, slope in enumerate(slopes):
                if k not in orders and slope is not None:
                    assert slope == pytest.approx(difference(function, point, k), rel=1e-7, abs=1e-9)
    assert tried
