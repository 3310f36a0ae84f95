"""Comparison of two results of a method, all that they carry included."""

from numpy.testing import assert_array_equal


def assert_same(first, second, *, but=()) -> None:
    """Assert that two results have the same bits, state and history included."""
    assert first.keys() == second.keys()
    for name in first.keys() - {"state", "history", *but}:
        assert_array_equal(first[name], second[name], err_msg=name)
    for name in ("step", "fun", "grad_norm", "learning_rate"):
        assert_array_equal(getattr(first.history, name), getattr(second.history, name), err_msg=name)
    assert_same_state(first.state, second.state)


def assert_same_state(first, second) -> None:
    """Assert that two states have the same bits."""
    assert first.facts == second.facts
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        assert_array_equal(array, second.arrays[name], err_msg=name)
