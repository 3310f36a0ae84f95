"""Interpreters, threads and moments that are not those of a plain script."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest
from subprocesses import needs_ordinary_kernels, run, share_cache, start

pytestmark = needs_ordinary_kernels

FIT = """
import numpy as np
import nbadam

x = np.linspace(1, 2, 20)

def line(x, a):
    return a * x

def fit():
    opt, v = nbadam.Adam(), np.ones(3)
    opt.apply_gradients([(v.copy(), v)])
    return [*nbadam.curve_fit(line, x, 3 * x, p0=[1.0]).popt, float(v[0] < 1)]
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Folder with a cache that holds what `FIT` needs."""
    folder = share_cache(tmp_path_factory.mktemp("warm"))
    assert run(FIT + "from probes import say; say(result=fit())", folder) == {"result": [3.0, 1.0]}
    return folder


def test_no_docstrings_and_no_asserts(warm):
    program = """
from probes import compilations, say
import pkgutil, importlib, sys
for module in pkgutil.walk_packages(nbadam.__path__, "nbadam."):
    if module.name not in ("nbadam.__main__", "nbadam.xarray"):  # a program, and a module that needs an extra
        importlib.import_module(module.name)
nbadam.Adam.__doc__, nbadam.adam.__doc__, repr(nbadam.Adam())
say(optimize=sys.flags.optimize, result=fit())
"""
    facts = run(FIT + program, warm, PYTHONOPTIMIZE="2")
    assert facts == {"optimize": 2, "result": [3.0, 1.0]}


def test_at_exit_and_in_daemon_threads(warm):
    program = """
import atexit, json, threading, time

def last():
    print(json.dumps({"at_exit": fit()}), flush=True)

atexit.register(last)
begun = threading.Event()

def forever():
    while True:
        fit()
        begun.set()

threading.Thread(target=forever, daemon=True).start()
begun.wait()
"""
    process = start(FIT + program, warm)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert json.loads(out) == {"at_exit": [3.0, 1.0]}
    assert "Fatal" not in err and "Traceback" not in err


def test_a_subinterpreter_is_refused(tmp_path):
    program = """
        import json
        try:
            import _xxsubinterpreters as interpreters
        except ModuleNotFoundError:
            import _interpreters as interpreters
        lines = "try:", " import nbadam", "except ImportError as e:", " open('refusal', 'w').write(str(e))"
        interpreters.run_string(interpreters.create(), chr(10).join(lines))
        import nbadam
        print(json.dumps({"refusal": open("refusal").read(), "imported": nbadam.__name__}))
    """
    facts = run(program, tmp_path)
    assert facts["refusal"].startswith("nbadam runs in the main interpreter only")
    assert facts["imported"] == "nbadam"


def test_a_module_that_is_edited_and_reloaded(warm):
    program = """
import importlib, sys, time
from pathlib import Path
from probes import say

sys.dont_write_bytecode = True
found = []
for factor in (1.0, 2.0, 4.0, 2.0):
    Path("edited.py").write_text(f"def model(x, a):\\n    return {factor} * a * x\\n")
    importlib.invalidate_caches()
    import edited
    importlib.reload(edited)
    found.append(nbadam.curve_fit(edited.model, x, 4 * x, p0=[1.0]).popt[0])
say(found=found)
"""
    assert run(FIT + program, warm)["found"] == pytest.approx([4, 2, 1, 2])


CELLS = [
    "import numpy as np, nbadam\nx = np.linspace(1, 2, 20)\nk = 2.0",
    "def model(x, a):\n    return k * a * x",
    "print(nbadam.curve_fit(model, x, 12 * x, p0=[1.0]).popt)",
    "k = 3.0\nprint(nbadam.curve_fit(model, x, 12 * x, p0=[1.0]).popt)",
    "def model(x, a):\n    return 4.0 * a * x\nprint(nbadam.curve_fit(model, x, 12 * x, p0=[1.0]).popt)",
]


@pytest.mark.skipif(importlib.util.find_spec("nbclient") is None, reason="needs nbclient")
@pytest.mark.skipif(importlib.util.find_spec("ipykernel") is None, reason="needs ipykernel")
def test_a_notebook_runs_twice(tmp_path):
    program = f"""
        import json
        import nbformat
        from nbclient import NotebookClient

        cells = [nbformat.v4.new_code_cell(text) for text in {CELLS!r}]
        book = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(book, kernel_name="python3", timeout=100).execute()
        print(json.dumps({{"out": [output.text for cell in book.cells for output in cell.outputs]}}))
    """
    folder = share_cache(tmp_path)
    for _ in range(2):
        assert run(program, folder)["out"] == ["[6.]\n", "[4.]\n", "[3.]\n"]


def test_odd_characters_in_the_names_of_files(tmp_path):
    folder = tmp_path / "C:\\fits, 'new' \N{GREEK SMALL LETTER XI}\n"
    folder.mkdir()
    program = """
from pathlib import Path
from probes import compilations, say

with compilations() as names:
    result = fit()
opt = nbadam.Adam()
opt.build([np.zeros(3)])
path = "a: 'b' \\\\ \\N{GREEK SMALL LETTER XI}\\n.npz"
opt.save(path)
nbadam.Adam().load(path)
say(result=result, compiled=len(names) > 0)
"""
    first, second = run(FIT + program, folder), run(FIT + program, folder)
    assert first == {"result": [3.0, 1.0], "compiled": True}
    assert second == {"result": [3.0, 1.0], "compiled": False}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
@pytest.mark.skipif(sys.platform != "linux", reason="is about a shared library of Linux")
def test_results_do_not_depend_on_how_another_library_treats_subnormal_numbers(tmp_path):
    """A library compiled with -ffast-math makes them 0 in the whole process: FTZ and DAZ."""
    (tmp_path / "fast.c").write_text("int nothing;")
    command = ["gcc", "-shared", "-ffast-math", "-o", str(tmp_path / "fast.so"), str(tmp_path / "fast.c")]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("the compiler does not work")
    program = """
import ctypes, os, warnings
from scipy.optimize import minimize
from probes import say

warnings.simplefilter("ignore")  # NumPy's about the smallest number
noise = 0.1 * np.random.default_rng(0).standard_normal(20)
scales = {name: float(name) for name in ("1.0", "1e-100", "1e-154", "1e-290", "1e-310")}
data = {name: scale * (3 * x + noise) for name, scale in scales.items()}
if os.environ.get("FAST"):
    ctypes.CDLL("./fast.so")
# Some versions of GCC leave the settings alone when they make a library.
flushed = float(np.float64(5e-324) * np.ones(1)[0]) == 0.0
facts = {}
for name, scale in scales.items():
    try:
        facts[name] = nbadam.curve_fit(line, x, data[name], p0=[scale]).popt[0] / scale
    except RuntimeError as error:
        facts[name] = str(error)
opt, v = nbadam.Adam(), np.full(3, 1.0)
for _ in range(50):
    opt.apply_gradients([(np.full(3, 1e-160), v)])
facts["adam"] = float(v[0])
say(flushed=flushed, **facts)
"""
    share_cache(tmp_path)
    plain = run(FIT + program, tmp_path)
    fast = run(FIT + program, tmp_path, FAST="1")
    if not fast.pop("flushed"):
        pytest.skip("this library does not switch subnormal numbers off")
    assert not plain.pop("flushed")
    assert plain.pop("adam") == fast.pop("adam")
    for name in plain:
        for value in (plain[name], fast[name]):
            is_told = "too small for `dtype`" in str(value)
            assert is_told or value == pytest.approx(plain["1.0"], rel=1e-9), name
