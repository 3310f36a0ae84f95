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
            literal = f'"{p.default}"' if isinstance(p.default, str) else repr(p.default)
            default = "" if p.default is Parameter.empty else f" = {literal}"
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


def test_a_typed_script_of_a_user(tmp_path):
    """``mypy --strict`` as users run it; the comments in the script are errors that it must find."""
    pytest.importorskip("mypy")
    script = Path(__file__).with_name("typed_script.py")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(tmp_path),
        str(script),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    FILE.write_text(stub(METHODS), encoding="utf-8")
