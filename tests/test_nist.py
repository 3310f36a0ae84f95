"""The 27 problems of NIST's reference data sets for nonlinear regression, from both starts."""

import json
from pathlib import Path

import numba
import numpy as np
import pytest

import nbadam

pytestmark = [pytest.mark.long, pytest.mark.one_point]

pytest.importorskip("sympy")

PROBLEMS = {
    problem["name"]: problem
    for problem in json.loads((Path(__file__).parent / "data/nist_strd.json").read_text())["problems"]
}
# Kernels that check indices take as long to compile as others, and plain Python takes long for many sines and
# steps: there a few problems, or all but two, must do.
SLOW = {"ENSO", "Bennett5"} if numba.config.DISABLE_JIT else {}
NAMES = ["Misra1a", "BoxBOD", "MGH10"] if numba.config.BOUNDSCHECK else [n for n in PROBLEMS if n not in SLOW]
CASES = [(name, "formula", "never") for name in NAMES]
if not (numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK):
    CASES += [(name, "formula", "failed") for name in NAMES]
    # Each of these compiles a kernel; `python benchmarks/starts.py --nist` fits all of them.
    CASES += [(name, "function", "never") for name in NAMES[::9]]


def digits(values, certified):
    """How many digits of the worst parameter agree, at most 15."""
    error = np.abs(values - certified) / np.abs(certified)
    return -np.log10(np.maximum(error, 1e-15).max(axis=-1))


def fitted(problem, kind="formula", **options):
    model = nbadam.Model(problem["formula"], problem["param_names"], problem["x_names"])
    if kind == "function":  # differentiated by dual numbers
        model = nbadam.Model(model.function, model.parameters, model.variables)
    y = problem["y_fit"] if problem["y_transform"] else problem["y"]
    starts = [problem["start1"], problem["start2"]]
    return nbadam.curve_fit(model, problem["x"], np.array([y, y]), starts, **options)


@pytest.mark.parametrize(("name", "kind", "search"), CASES)
def test_certified_values(name, kind, search):
    problem = PROBLEMS[name]
    fit = fitted(problem, kind, search=search)
    assert fit.success.all() and fit.derivatives == "exact"
    assert digits(fit.popt, np.array(problem["certified_params"])).min() >= 6
    if name == "Lanczos1":  # a residual sum of squares of 1e-25: the data have fewer digits
        return
    assert digits(fit.perr, np.array(problem["certified_sd"])).min() >= 6
    assert digits(fit.chi2[:, None], np.array([problem["certified_rss"]])).min() >= 7


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="a search takes 50,000 evaluations")
@pytest.mark.parametrize("name", NAMES)
def test_certified_values_without_start(name):
    problem = PROBLEMS[name]
    model = nbadam.Model(problem["formula"], problem["param_names"], problem["x_names"])
    y = problem["y_fit"] if problem["y_transform"] else problem["y"]
    fit = nbadam.curve_fit(model, problem["x"], y)
    assert fit.success
    assert fit.n_reached >= 2
    if name == "Lanczos1":
        assert fit.chi2 < 1e-20
        return
    assert digits(fit.chi2[None], np.array([problem["certified_rss"]])).min() >= 6
    swapped = {"Lanczos2", "Lanczos3", "Gauss1", "Gauss2", "Gauss3", "MGH17", "ENSO"}  # terms that are alike
    if name not in swapped:
        assert digits(fit.popt, np.array(problem["certified_params"])) >= 6


def test_the_page_lists_every_problem():
    page = (Path(__file__).parents[1] / "docs/nist.rst").read_text()
    assert [name for name in PROBLEMS if f"* - {name}\n" not in page] == []
