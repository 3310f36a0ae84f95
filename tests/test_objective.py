"""Finite differences and the count of evaluations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nbadam.objective import Differences, Objective


def cubic(x):
    return float(np.sum(x**3 - 2 * x))


def exact(x):
    return 3 * x**2 - 2


def differenced(scheme, x, lower=-np.inf, upper=np.inf, fun=cubic, **steps):
    x = np.asarray(x, float)
    box = np.broadcast_to(lower, x.shape).astype(float), np.broadcast_to(upper, x.shape).astype(float)
    objective = Objective(fun, None, (), Differences(scheme, *box, **steps))
    return objective.value_and_gradient(x)[1], objective


@pytest.mark.parametrize(("scheme", "rtol", "cost"), [("2-point", 1e-4, 1), ("3-point", 1e-8, 2)])
def test_differences_approximate_the_gradient(scheme, rtol, cost):
    x = np.array([0.5, -3.0, 2.0, 0.0])
    gradient, objective = differenced(scheme, x)
    assert_allclose(gradient, exact(x), rtol=rtol)
    assert (objective.nfev, objective.njev) == (1 + cost * 4, 1)


def test_schemes_are_exact_to_their_order():
    x, h = np.array([1.0]), 0.25
    forward, _ = differenced("2-point", x, absolute=h)
    central, _ = differenced("3-point", x, absolute=h)
    one_sided, _ = differenced("3-point", x, upper=1.0, absolute=h)
    assert_allclose(forward, (cubic(x + h) - cubic(x)) / h, rtol=1e-12)
    assert_allclose(central, exact(x) + h**2, rtol=1e-12)  # the cubic term of the central difference
    assert_allclose(one_sided, exact(x) - 2 * h**2, rtol=1e-12)


def test_step_sizes():
    seen = []

    def recorded(x):
        seen.append(x.copy())
        return cubic(x)

    differenced("2-point", [10.0, 0.1], fun=recorded, relative=1e-3)
    assert_allclose(seen[1] - seen[0], [1e-2, 0], rtol=1e-9)
    assert_allclose(seen[2] - seen[0], [0, 1e-3], rtol=1e-9)
    seen.clear()
    differenced("2-point", [10.0, 0.1], fun=recorded, relative=1.0, absolute=np.array([0.5, 0.25]))
    assert_allclose(seen[1] - seen[0], [0.5, 0])
    assert_allclose(seen[2] - seen[0], [0, 0.25])


@given(
    st.sampled_from(["2-point", "3-point"]),
    st.floats(-1e3, 1e3),
    st.floats(0, 1e-4),
    st.floats(0, 1e-4),
    st.sampled_from([None, 1e-2, 1e-7]),
)
def test_no_evaluation_leaves_the_bounds(scheme, x, below, above, absolute):
    lower, upper = x - below, x + above
    points = []

    def recorded(point):
        points.append(point[0])
        return float(point[0])

    gradient, _ = differenced(scheme, [x], lower, upper, recorded, absolute=absolute)
    assert lower <= min(points) <= max(points) <= upper
    spread = max(points) - min(points)
    if spread > 0:  # all that is lost is what rounding takes from the difference
        assert_allclose(gradient, 1, atol=16 * np.finfo(float).eps * abs(x) / spread)
    else:
        assert_array_equal(gradient, 0)


def test_counts_of_joint_and_separate_objectives():
    x = np.array([1.0, 2.0])
    joint = Objective(lambda x: (cubic(x), exact(x)), True, (), None)
    separate = Objective(cubic, exact, (), None)
    for objective in (joint, separate):
        f, g = objective.value_and_gradient(x)
        assert f == cubic(x)
        assert_array_equal(g, exact(x))
        assert objective.value(x) == f
    assert (joint.nfev, joint.njev) == (2, 2)
    assert (separate.nfev, separate.njev) == (2, 1)
    assert_array_equal(separate.gradient(x), exact(x))
    assert (separate.nfev, separate.njev) == (2, 2)
