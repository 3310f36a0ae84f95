"""The demo: a Poisson regression and a batch of fits on the data that ship with the package."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from nbadam import demo as job


def test_reference_is_the_exact_estimate():
    covariates, visits = job.load()
    assert covariates.shape == (20190, 10)
    reference = np.array([value for value, _ in job.REFERENCE.values()])
    errors = np.array([error for _, error in job.REFERENCE.values()])
    _, gradient = job.poisson(reference, covariates, visits)
    information = (covariates.T * np.exp(covariates @ reference)) @ covariates
    newton_step = np.linalg.solve(information, gradient * visits.size)
    np.testing.assert_array_less(np.abs(newton_step), 1e-9 * errors)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-6)


def test_gradient_is_that_of_the_value():
    covariates, visits = job.load()
    covariates, visits = covariates[:50], visits[:50]
    rng = np.random.default_rng(0)
    point, direction = rng.normal(size=(2, 10)) / 10
    h = 1e-6
    up, down = (job.poisson(point + s * h * direction, covariates, visits)[0] for s in (1, -1))
    slope = job.poisson(point, covariates, visits)[1] @ direction
    np.testing.assert_allclose((up - down) / (2 * h), slope, rtol=1e-7)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="takes minutes in plain Python")
def test_command_agrees_with_the_reference():
    command = [sys.executable, "-m", "nbadam", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "agrees with the reference" in done.stdout
    assert "The batch agrees with SciPy's fits" in done.stdout
    for name in job.REFERENCE:
        assert name in done.stdout


# One epoch is far from the minimum, and the run says so, too.
@pytest.mark.filterwarnings("ignore:The point is up to")
def test_a_miss_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(job, "EPOCHS", 1)
    monkeypatch.setattr(job, "TOLERANCE", 1e-6)
    monkeypatch.setattr(job, "diffusion", lambda: True)
    assert job.main() == 1
    assert "MISSES" in capsys.readouterr().out
    monkeypatch.setattr(job, "regression", lambda: True)
    assert job.main() == 0
    monkeypatch.setattr(job, "diffusion", lambda: False)
    assert job.main() == 1


def test_voxels():
    b, signals = job.load_voxels()
    assert (signals.shape, b.shape, b.max()) == ((6, 10, 10, 102), (102,), 4.065)
    assert (signals.min(), signals.max()) == (0, 1004)
    unweighted = signals[..., b < 0.1].mean(axis=-1)
    assert (unweighted > 2 * signals[..., b > 3.5].mean(axis=-1)).all()  # the signal decays


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="the command fits them all")
def test_a_voxel(monkeypatch, capsys):
    b, signals = job.load_voxels()
    monkeypatch.setattr(job, "load_voxels", lambda: (b, signals[:1, :1, :1]))
    monkeypatch.setattr(job, "PEERS", 1)
    assert job.diffusion()
    monkeypatch.setattr(job, "WORSE", -1)
    assert not job.diffusion()
    assert "MISSES" in capsys.readouterr().out


@pytest.mark.parametrize("name", job.REFERENCE)
def test_names_are_the_columns_of_the_file(name):
    path = os.path.join(os.path.dirname(job.__file__), "data", "randhie.csv")
    with open(path) as lines:
        assert name == "const" or name in next(lines).strip().split(",")
