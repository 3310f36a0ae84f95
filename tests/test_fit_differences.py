"""Fits whose derivatives are differences: as right as with exact ones, or without success."""

import json
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from boxes import MODELS, TRUTHS, T, three

from nbadam import Model, curve_fit

pytestmark = pytest.mark.long

PLAIN = numba.config.DISABLE_JIT


def stored(x, a, b, c):
    p = np.array([a, b, c])  # the derivatives are lost here
    value = three(x, p[0], p[1], p[2])
    return np.floor(value * 1e6) * 1e-6 if x[2] > 0 else value


@pytest.mark.parametrize("is_rounded", [False] if PLAIN else [False, True])
def test_success_of_differences_is_that_of_exact_derivatives(is_rounded):
    """21 models, also with values of 6 digits: chi-square to 1e-6 and errors to 1e-3."""
    draw = np.random.default_rng(5)
    kinds = np.repeat(np.arange(2 if PLAIN else len(TRUTHS[3])), 1 if PLAIN else 20)
    x = np.stack([np.stack([np.full(T.size, float(kind)), T, np.full(T.size, is_rounded)]) for kind in kinds])
    truth = TRUTHS[3][kinds] * draw.uniform(0.8, 1.25, (kinds.size, 3))
    clean = np.array([three((kind, T), *p) for kind, p in zip(kinds, truth, strict=True)])
    y = clean + 0.02 * np.ptp(clean, axis=1)[:, None] * draw.standard_normal(clean.shape)
    p0 = truth * 10 ** draw.uniform(-0.2, 0.2, truth.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(Model(stored, variables=["kind", "t", "is_rounded"]), x, y, p0)
        start = np.where(fit.success[:, None], fit.popt, truth)
        best = curve_fit(MODELS[3], x[:, :2], y, start)
    assert fit.derivatives == "differences"
    assert is_rounded or fit.success.mean() > 0.9
    values = np.array([three((kind, T), *p) for kind, p in zip(kinds, start, strict=True)])
    chi2 = ((y - values) ** 2).sum(axis=1)
    assert best.success[fit.success].all()
    assert (chi2 <= best.chi2 * (1 + 1e-6))[fit.success].all()
    assert (np.abs(fit.perr / best.perr - 1) < 1e-3)[fit.success].all()


def decays(x, b1, b2, b3, b4, b5):  # MGH17
    p = np.array([b1, b2, b3, b4, b5])
    return p[0] + p[1] * np.exp(-x * p[3]) + p[2] * np.exp(-x * p[4])


@pytest.mark.skipif(PLAIN, reason="1,000 evaluations of 40 fits")
def test_success_on_reference_data_means_a_minimum():
    """MGH17 of NIST, from 40 starts about its two."""
    problems = json.loads((Path(__file__).parent / "data/nist_strd.json").read_text())["problems"]
    problem = next(problem for problem in problems if problem["name"] == "MGH17")
    y = np.stack([problem["y"]] * 40)
    starts = np.repeat([problem["start1"], problem["start2"]], 20, axis=0)
    starts = starts * 10 ** np.random.default_rng(6).uniform(-0.3, 0.3, starts.shape)
    starts[0], starts[20] = problem["start1"], problem["start2"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = curve_fit(decays, problem["x"], y, starts)
        at_minimum = np.where(fit.success[:, None], fit.popt, problem["certified_params"])
        again = curve_fit(decays, problem["x"], y, at_minimum)
    assert fit.derivatives == "differences"
    assert (again.chi2 >= fit.chi2 * (1 - 1e-6))[fit.success].all()
    is_certified = fit.success & (np.abs(fit.chi2 / problem["certified_rss"] - 1) < 1e-6)
    assert is_certified[[0, 20]].all()
    error = np.sort(fit.perr[is_certified], axis=1) / np.sort(problem["certified_sd"]) - 1
    assert (np.abs(error) < 1e-3).all()  # sorted: the terms may be swapped


def test_parameters_at_bounds_of_zero_do_not_run_away():
    def parabola(x, a, b, c):
        p = np.array([a, b, c])
        return p[0] + p[1] * x + p[2] * x * x

    x = np.linspace(0, 2, 20)
    y = 3 - 0.5 * x + 0.1 * np.random.default_rng(0).standard_normal((5, 20))
    fit = curve_fit(parabola, x, y, [1, 1, 1], bounds=(0, np.inf))
    assert fit.derivatives == "differences"
    assert (fit.popt[:, 1:] == 0).all() and fit.success.all()
