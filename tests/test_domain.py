"""Starts near the end of a domain, with noise: a run finds the minimum, or does not say success."""

import numpy as np
import pytest

import nbadam
from nbadam.methods.domain import open_side
from nbadam.methods.noise import noise_near

LEVELS = [0.01, 0.1]
LEAST, AWAY = 1.0, 2.0  # each entry of the minimum, and its distance from that of the start
GAP = 1e-4  # from the start to the end of the domain


def walls(n, rng):
    return lambda move: move.max()


def one_wall(n, rng):
    return lambda move: move[0]


def half_space(n, rng):
    normal = rng.uniform(0.2, 1.0, n)
    return lambda move: normal @ move / np.linalg.norm(normal)


def ball(n, rng):
    return lambda move: np.linalg.norm(move + AWAY) - AWAY * np.sqrt(n)


def domain_of(shape, n, level, seed, failure=np.nan, gap=GAP):
    """Return the function, its exact values and a start at a corner, or on a side, of its domain."""
    rng = np.random.default_rng(seed)
    outwards = rng.choice([-1.0, 1.0], n)
    start = LEAST + AWAY * outwards
    beyond = shape(n, rng)

    def exact(x):
        return float(((x - LEAST) ** 2).sum())

    def fun(x):
        return failure if beyond(outwards * (x - start)) > gap else exact(x) + level * rng.standard_normal()

    return fun, exact, start


def is_found(exact, result, start):
    """Whether the excess is a small part of the one at the start; a success must be such an end."""
    found = exact(result.x) < 0.1 * exact(start)
    assert found or not result.success, (result.x, result.message)
    return found


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [walls, one_wall, half_space, ball])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_start_near_the_end_of_a_domain_is_left(n, shape, level):
    runs = [domain_of(shape, n, level, seed) for seed in range(3)]
    assert sum(is_found(exact, nbadam.adam(fun, start), start) for fun, exact, start in runs) >= 2


@pytest.mark.parametrize("gap", [0.0, 1e-8, 1e-6, 1e-2])
@pytest.mark.parametrize("failure", [np.nan, np.inf])
def test_neither_the_kind_of_failure_nor_its_distance_matters(failure, gap):
    for seed in range(3):
        fun, exact, start = domain_of(walls, 2, 0.1, seed, failure, gap)
        assert is_found(exact, nbadam.adam(fun, start), start)


def test_points_that_failed_once_are_no_end_of_the_domain():
    """Every third evaluation fails, and another one at the point may not: its value is the one to fit."""

    def is_left(seed):
        fun, exact, start = domain_of(walls, 2, 0.1, seed)
        rng = np.random.default_rng(seed + 7)
        result = nbadam.adam(lambda x: np.nan if rng.random() < 0.3 else fun(x), start)
        return is_found(exact, result, start)

    assert sum(is_left(seed) for seed in range(6)) >= 5


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("start", [1e-4, 0.01, 0.2])
@pytest.mark.parametrize("name", ["log", "sqrt"])
def test_starts_where_slopes_become_infinite(name, start, level):
    def exact(x):
        with np.errstate(all="ignore"):
            return float(x[0] - np.log(x[0]) - 1 if name == "log" else x[0] - 2 * np.sqrt(x[0]) + 1)

    for seed in range(3):
        rng = np.random.default_rng(seed)
        result = nbadam.adam(lambda x, rng=rng: exact(x) + level * rng.standard_normal(), [start])
        assert is_found(exact, result, np.array([start]))


@pytest.mark.parametrize("level", LEVELS)
def test_a_domain_so_narrow_that_noise_hides_the_slope_is_no_success(level):
    for seed in range(4):
        rng = np.random.default_rng(seed)

        def fun(x, rng=rng):
            return (x[0] - 1) ** 2 + level * rng.standard_normal() if abs(x[0] - 3) < GAP else np.nan

        result = nbadam.adam(fun, [3.0])
        assert not result.success
        assert "Noise hides how `fun` changes" in result.message


def test_a_minimum_at_the_end_of_a_domain_is_reached():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        result = nbadam.adam(
            lambda x, rng=rng: 3 - x[0] + 0.01 * rng.standard_normal() if x[0] < 3 else np.nan, [1.0]
        )
        assert 2.5 < result.x[0] < 3


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_rounded_values_near_the_end_of_a_domain(n, digits):
    fun, exact, start = domain_of(walls, n, 0.0, 0)
    result = nbadam.adam(lambda x: round(fun(x), digits) if np.isfinite(fun(x)) else np.nan, start)
    assert is_found(exact, result, start)


def test_perturbations_of_one_side_take_a_run_away_from_the_end_of_a_domain():
    for seed in range(3):
        fun, exact, start = domain_of(walls, 1, 0.1, seed)
        result = nbadam.adam(fun, start, learning_rate=0.01, maxiter=3000)
        assert is_found(exact, result, start)


@pytest.mark.parametrize("outwards", [(1, 1, 1), (-1, -1, -1), (1, -1, 1)])
def test_the_open_side_of_a_corner_is_found(outwards):
    def walled(x):
        return 0.0 if (np.array(outwards) * x).max() < GAP else np.nan

    free, step = np.full(3, np.inf), np.full(3, 0.1)
    side = open_side(walled, np.zeros(3), step, -free, free)
    assert (side == -np.array(outwards)).all()
    assert open_side(lambda x: np.nan, np.zeros(3), step, -free, free) is None
    assert open_side(lambda x: np.nan, np.zeros(1), step[:1], -free[:1], free[:1]) is None


@pytest.mark.parametrize("outwards", [(1, 1), (-1, 1)])
def test_noise_is_measured_on_the_open_side(outwards):
    rng = np.random.default_rng(0)

    def walled(x):
        return rng.standard_normal() if (np.array(outwards) * x).max() <= 0 else np.nan

    free = np.full(2, np.inf)
    assert 0.3 < noise_near(walled, np.zeros(2), 0.0, np.ones(2), -free, free, True) < 3
