"""Interpreters, threads and moments that are not those of a plain script."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest
from subprocesses import needs_ordinary_kernels, run, start

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
    folder = tmp_path_factory.mktemp("warm")
    assert run(FIT + "from probes import say; say(result=fit())", folder) == {"result": [3.0, 1.0]}
    return folder


def test_no_docstrings_and_no_asserts(warm):
    program = """
from probes import compilations, say
import pkgutil, importlib, sys
for module in pkgutil.walk_packages(nbadam.__path__, "nbadam."):
    if not module.name.endswith("__main__"):
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


def test_a_subinterpreter_is_refused_by_a_library_below(tmp_path):
    """NumPy or Numba says so: nothing crashes, and the main interpreter works on."""
    program = """
        import json
        try:
            import _xxsubinterpreters as interpreters
        except ModuleNotFoundError:
            import _interpreters as interpreters
        interpreter = interpreters.create()
        try:
            error = interpreters.run_string(
                interpreter, "import nbadam; import numpy; nbadam.Adam().apply_gradients([(numpy.ones(1),) * 2])"
            )
            refusal = getattr(error, "formatted", "") if error is not None else ""
        except Exception as error:
            refusal = str(error)
        import numpy as np
        import nbadam

        x = np.linspace(1, 2, 20)
        print(json.dumps({"refused": refusal, "popt": nbadam.curve_fit("a * x", x, 3 * x, p0=[1.0]).popt[0]}))
    """
    facts = run(program, tmp_path)
    assert facts["refused"]
    assert facts["popt"] == pytest.approx(3.0)


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
    assert run(FIT + program, warm, PYTHONPATH=None if False else _paths(warm))["found"] == [4, 2, 1, 2]


def _paths(folder) -> str:
    from subprocesses import PACKAGE

    return ":".join(map(str, [PACKAGE.parent, folder, *[p for p in sys.path if p.endswith("tests")]]))


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
    for _ in range(2):
        assert run(program, tmp_path)["out"] == ["[6.]\n", "[4.]\n", "[3.]\n"]


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
if os.environ.get("FAST"):
    ctypes.CDLL("./fast.so")
# Some versions of GCC leave the settings alone when they make a library.
flushed = float(np.float64(5e-324) * np.ones(1)[0]) == 0.0
facts = {}
rng = np.random.default_rng(0)
for scale in (1.0, 1e-154, 1e-290, 1e-310):
    y = scale * (3 * x + 0.1 * rng.standard_normal(20))
    result = nbadam.curve_fit(line, x, y, p0=[scale])
    facts[f"{scale}"] = [result.popt[0] / scale, bool(result.success)]
opt, v = nbadam.Adam(), np.full(3, 1e-310)
for _ in range(50):
    opt.apply_gradients([(np.full(3, 1e-300), v)])
facts["adam"] = [float(v[0]), 0]
say(flushed=flushed, **facts)
"""
    plain = run(FIT + program, tmp_path)
    fast = run(FIT + program, tmp_path, FAST="1")
    if not fast.pop("flushed"):
        pytest.skip("this library does not switch subnormal numbers off")
    assert not plain.pop("flushed")
    print(plain, fast)
    assert plain["1.0"] == fast["1.0"]
    for name in plain:
        for value, is_success in (plain[name], fast[name]):
            if name.startswith("1") and is_success:
                assert value == pytest.approx(3.0, rel=0.1), name
