"""What is compiled for a fit is found on disk by the next process, and only what belongs to it."""

import random
from collections import OrderedDict

import pytest
from subprocesses import needs_ordinary_kernels, run, share_cache

from nbadam.fitting.kernels import compile

pytestmark = needs_ordinary_kernels

PROGRAM = """
import os
import numpy as np
import nbadam
from probes import compilations, say

FACTOR = 1.0
WEIGHTS = np.array([1, 1, NUMBER]) * float(os.environ.get("WEIGHT", 1))
shape = np.sinh

def model(x, a, b):
    return FACTOR * a * WEIGHTS[int(2 * x)] * shape(x) + b

x = np.linspace(0, 0.9, 6)
with compilations() as names:
    fit = nbadam.curve_fit(model, x, 2 * shape(x) + 1, [1, 1])
say(compiled=sorted(name.split("_")[0] for name in names), popt=fit.popt.tolist())
"""


def test_the_next_process_compiles_nothing_and_an_edited_model_is_seen(tmp_path):
    share_cache(tmp_path)
    program = PROGRAM.replace("NUMBER", str(random.random()))  # not in the cache
    first = run(program, tmp_path)
    assert "normal" in first["compiled"]
    again = run(program, tmp_path)
    assert again["compiled"] == []
    assert again["popt"] == first["popt"]
    other = run(program, tmp_path, WEIGHT="2")  # another global array under the same text
    assert "normal" in other["compiled"] and not {"fit", "accept_step", "solve"} & set(other["compiled"])
    assert other["popt"] == pytest.approx([1.0, 1.0])
    assert run(program, tmp_path) == again
    edits = (("FACTOR = 1.0", "FACTOR = 2.0", [1.0, 1.0]), ("np.sinh", "np.arctan", [2.0, 1.0]))
    for old, new, expected in edits:
        edited = run(program.replace(old, new), tmp_path)
        assert {"normal"} <= set(edited["compiled"])
        assert not {"fit", "accept_step", "solve"} & set(edited["compiled"])
        assert edited["popt"] == pytest.approx(expected)


TABLE = """
import os
import numpy as np
import nbadam
from probes import compilations, say

table = np.full((100_000, 2), float(os.environ["VALUE"]))[: int(os.environ["ROWS"])]

def look_up(k):
    return table[int(k), 1] * NUMBER

def model(x, a):
    return a * x + look_up(10 * x) * table[3, 0]

x = np.linspace(0, 0.9, 6)
with compilations() as names:
    fit = nbadam.curve_fit(model, x, 2 * x + NUMBER * table[0, 0] ** 2, [1])
say(compiled=sorted(name.split("_")[0] for name in names), popt=fit.popt.tolist())
"""


def test_large_arrays_are_data_of_kernels_on_disk(tmp_path):
    share_cache(tmp_path)
    program = TABLE.replace("NUMBER", str(1 + random.random()))  # not in the cache
    compiled = []
    for value, rows in (("1.5", "100000"), ("1.5", "100000"), ("-3.25", "100000"), ("1.5", "99999")):
        found = run(program, tmp_path, VALUE=value, ROWS=rows)
        assert found["popt"] == pytest.approx([2])
        compiled.append("normal" in found["compiled"])
    assert compiled == [True, False, False, True]  # the shape is part of the code


def test_kernels_are_counted_while_other_threads_add_some(monkeypatch):
    class Key:
        is_interrupted = False

        def __hash__(self):
            if self.is_interrupted:
                Key.is_interrupted = False
                kept["other"] = entry  # as another thread may do wherever Python code runs
            return 1

    entry, kept, key = compile.Kept(None, None, None, 1), OrderedDict(), Key()
    kept[key] = entry
    monkeypatch.setattr(compile, "_kept", kept)
    Key.is_interrupted = True
    compile._keep(("new",), entry)
    assert set(kept) == {key, "other", ("new",)}
