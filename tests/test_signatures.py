"""Signatures as editors, type checkers and users see them."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import pytest

import nbadam
from nbadam.methods import functions
from nbadam.methods.factory import METHODS

FILE = Path(functions.__file__).with_suffix(".pyi")
STUB = """\
# Written by `python tests/test_signatures.py`.
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, OptimizeResult

from .state import RunState

__all__ = [
{names}
]

{functions}
"""


def stub(methods: Mapping[str, Callable[..., Any]]) -> str:
    """Return the text of the stub file in which type checkers see the methods."""
    functions = []
    for name, method in methods.items():
        lines, parameters = [], Signature.from_callable(method).parameters.values()
        for p in parameters:
            if p.kind == Parameter.KEYWORD_ONLY and "    *," not in lines:
                lines.append("    *,")
            default = "" if p.default is Parameter.empty else " = ..."
            lines.append(f"    {p.name}: {p.annotation}{default},")
        functions.append("\n".join([f"def {name}(", *lines, ") -> OptimizeResult: ..."]))
    names = "\n".join(f'    "{name}",' for name in sorted(methods))
    return STUB.format(names=names, functions="\n".join(functions))


@pytest.mark.parametrize("name", METHODS)
def test_options_are_keywords_with_their_defaults(name):
    parameters = inspect.signature(getattr(nbadam, name)).parameters
    assert {p.kind for p in parameters.values()} == {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
    assert parameters["maxiter"].default is None and parameters["reduction"].default == 0.1
    documented = inspect.getdoc(METHODS[name])
    for option in parameters:
        assert f"{option} :" in documented or f"{option}, " in documented


def test_the_stub_of_the_methods_is_as_they_are():
    """After a change: ``python tests/test_signatures.py``."""
    assert FILE.read_text(encoding="utf-8") == stub(METHODS)


SCRIPT = """
import numpy as np
from scipy.optimize import minimize

import nbadam


def model(x: float, a: float, k: float) -> float:
    return a * float(np.exp(-k * x))


fit = nbadam.curve_fit(model, np.arange(3.0), np.ones(3), p0=[1, 1])
values: np.ndarray = fit.popt
result = nbadam.adam(lambda x: float(x @ x), [1.0, 2.0], learning_rate=0.1, steps=10)
optimizer = nbadam.Adam(learning_rate=0.1)
count: int = optimizer.apply_gradients([(np.ones(2), np.zeros(2))])
schedule = nbadam.schedules.CosineDecay(0.1, 100)
"""


def check(script: str, folder: Path) -> subprocess.CompletedProcess:
    """Return the outcome of ``mypy --strict`` on a user's script."""
    file = folder / "script.py"
    file.write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), str(file)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_a_typed_script_of_a_user(tmp_path):
    pytest.importorskip("mypy")
    good = check(SCRIPT, tmp_path)
    assert good.returncode == 0, good.stdout
    bad = check(SCRIPT + "nbadam.adam(print, [1.0], step=10)\nnbadam.no_such_name\n", tmp_path)
    assert "step" in bad.stdout and "no_such_name" in bad.stdout and bad.returncode == 1


if __name__ == "__main__":
    FILE.write_text(stub(METHODS), encoding="utf-8")
