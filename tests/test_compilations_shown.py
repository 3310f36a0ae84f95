"""The line that tells how long kernels compile."""

import random
import re
import time

import numpy as np
import pytest
from numba import config, njit
from scipy.optimize import minimize

import nbadam
from nbadam import progress

pytest.importorskip("tqdm")
LINE = r"compiling {}, once: (\d+) s"
RANDOM = random.SystemRandom().random()  # a constant that no cached kernel has
needs_compiler = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(progress, "TICK", 0.001)


def seconds(capsys, subject):
    return [int(text) for text in re.findall(LINE.format(subject), capsys.readouterr().err)]


@needs_compiler
def test_of_a_model(capsys):
    x = np.arange(5.0)
    fit = nbadam.curve_fit(f"a * x + {RANDOM}", x, 2 * x + RANDOM, p0=[1], progress=True)
    assert fit.success
    shown = seconds(capsys, "the model")
    assert shown and shown == sorted(shown)  # they count up, over all kernels of the call


@needs_compiler
def test_of_a_run(capsys):
    offset = RANDOM

    @njit
    def bowl(x):
        return (x * x).sum() + offset, 2 * x

    minimize(bowl, [1.0], jac=True, method=nbadam.adam, options={"steps": 5, "progress": True})
    assert seconds(capsys, "the run")


def test_seconds_of_all_compilations_add_up(capsys):
    with progress.compilations_shown("a thing", True):
        for _ in range(3):
            with progress.compiling(), progress.compiling():  # one within another counts once
                time.sleep(0.4)
            time.sleep(0.3)  # is no compilation
    shown = seconds(capsys, "a thing")
    assert shown[-1] == 1 and max(shown) <= 1


def test_nothing_is_shown_unless_asked_for_or_where_all_is_at_hand(capsys, monkeypatch):
    with progress.compilations_shown("a thing", False), progress.compiling():
        time.sleep(0.01)
    monkeypatch.setattr(progress, "TICK", 60.0)
    with progress.compilations_shown("a thing", True), progress.compiling():
        pass
    assert capsys.readouterr().err == ""


def test_errors_pass_and_the_line_ends(capsys):
    with pytest.raises(ZeroDivisionError), progress.compilations_shown("a thing", True):
        with progress.compiling():
            time.sleep(0.02)
            raise ZeroDivisionError
    assert capsys.readouterr().err.endswith("\n")
    assert progress._current.get() is None
