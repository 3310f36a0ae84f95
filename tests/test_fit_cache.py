"""What is compiled for a fit is found on disk by the next process, and only what belongs to it."""

import pytest
from subprocesses import needs_ordinary_kernels, run

pytestmark = needs_ordinary_kernels

PROGRAM = """
import os
import numpy as np
import nbadam
from probes import compilations, say

FACTOR = 1.0
WEIGHTS = np.full(3, float(os.environ.get("WEIGHT", 1)))
shape = np.sinh

def model(x, a, b):
    return FACTOR * a * WEIGHTS[int(2 * x)] * shape(x) + b

x = np.linspace(0, 1, 6)
with compilations() as names:
    fit = nbadam.curve_fit(model, x, 2 * shape(x) + 1, [1, 1])
say(compiled=sorted(name.split("_")[0] for name in names), popt=fit.popt.tolist())
"""


def test_the_next_process_compiles_nothing_and_an_edited_model_is_seen(tmp_path):
    first = run(PROGRAM, tmp_path)
    assert {"fit", "normal", "judge", "solve"} <= set(first["compiled"])
    again = run(PROGRAM, tmp_path)
    assert again["compiled"] == []
    assert again["popt"] == first["popt"]
    other = run(PROGRAM, tmp_path, WEIGHT="2")  # another global array under the same text
    assert "normal" in other["compiled"] and not {"fit", "judge", "solve"} & set(other["compiled"])
    assert other["popt"] == pytest.approx([1.0, 1.0])
    assert run(PROGRAM, tmp_path) == again
    edits = (("FACTOR = 1.0", "FACTOR = 2.0", [1.0, 1.0]), ("np.sinh", "np.arctan", [2.0, 1.0]))
    for old, new, expected in edits:
        edited = run(PROGRAM.replace(old, new), tmp_path)
        assert {"normal"} <= set(edited["compiled"])
        assert not {"fit", "judge", "solve"} & set(edited["compiled"])
        assert edited["popt"] == pytest.approx(expected)


def test_text_that_cannot_be_kept_is_no_error(tmp_path):
    """There is a file where the folder should be."""
    (tmp_path / "file").write_text("")
    facts = run(PROGRAM, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert facts["popt"] == pytest.approx([2.0, 1.0])
