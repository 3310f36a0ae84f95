"""The cache of compiled kernels: what another process finds there, and what it must never find."""

import hashlib
import os
import shutil
import sys
from textwrap import dedent

import numpy as np
import pytest
from subprocesses import PACKAGE, cache_files, needs_ordinary_kernels, run, share_cache

import nbadam
from nbadam import _cache
from nbadam.files import replaced

SMALL_STEP = """
from probes import compilations, doubled, say, small_result

with compilations() as names:
    result = small_result(doubled, "float64")
say(compiled=[name for name in names if name.startswith("small_")], result=result)
"""
STEP = """
from probes import compilations, dense, kernel_steps, say
from nbadam import rules

with compilations() as names:
    kernel = dense(rules.ADAM)
say(compiled=[name for name in names if name.startswith("dense_")], result=kernel_steps(kernel, rules.ADAM))
"""


@pytest.fixture
def package(tmp_path):
    """Copy of the package, for tests that change its files."""
    copy = tmp_path / "copy" / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


# --- What another process finds ------------------------------------------------------------------


@needs_ordinary_kernels
def test_a_second_process_compiles_nothing(tmp_path):
    program = """
        import gc
        import sys
        import numpy as np
        import scipy.optimize
        import nbadam
        from numba.extending import is_jitted
        from probes import bits, compilations, large_steps, say

        with compilations() as names:
            fit = scipy.optimize.minimize(
                lambda x: (x @ x, 2 * x), np.ones(7), jac=True, method=nbadam.adam,
                options={"clipnorm": 1.0, "steps": 3},
            )
            has_registries = "numba.misc.cffiimpl" in sys.modules
            results = [bits(fit.x), large_steps()]
        functions = {f.py_func.__qualname__: len(f.signatures) for f in gc.get_objects() if is_jitted(f)}
        kernels = {name: n for name, n in functions.items() if "_serial_" in name or "_parallel_" in name}
        say(compiled=names, results=results, signatures=kernels, has_registries=has_registries)
    """
    share_cache(tmp_path)  # with which the first process need not compile anything, either
    first, second = run(program, tmp_path), run(program, tmp_path)
    assert second["compiled"] == []
    assert second["results"] == first["results"]
    assert set(second["signatures"].values()) == {1}
    assert not second["has_registries"]  # of Numba, whose import takes .4 s


@needs_ordinary_kernels
def test_processes_that_compile_at_once_agree_and_leave_a_whole_cache(tmp_path):
    # Each begins with another kernel, so that several of them write every index at once.
    program = """
        import os
        import numba
        from probes import compilations, say, small_results

        numba.njit("int64(int64)")(lambda x: x)  # what only the first compilation costs, once for all

        def steps(first):
            with compilations() as names:
                results = small_results(first)
            return {"compiled": bool(names), "results": results}

        gate, opener = os.pipe()
        children = []
        for number in range(int(os.environ["PROCESSES"])):
            children.append(os.fork())
            if children[-1] == 0:
                os.close(opener)
                os.read(gate, 1)  # returns when the parent closes its end
                say(**{str(number): steps(number % 6)})
                os._exit(0)
        os.close(opener)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        say(statuses=statuses, last=steps(0))
    """
    facts = run(program, tmp_path, PROCESSES="8")
    assert facts.pop("statuses") == [0] * 8
    ninth = facts.pop("last")
    tenth = run(program, tmp_path, PROCESSES="0")["last"]
    assert ninth["compiled"] is tenth["compiled"] is False
    assert len(set(tenth["results"].values())) == 6
    assert len(facts) == 8
    assert all(process["results"] == ninth["results"] == tenth["results"] for process in facts.values())
    assert any(process["compiled"] for process in facts.values())


@needs_ordinary_kernels
def test_a_rule_in_a_script_is_found_again_until_it_is_edited(tmp_path):
    program = dedent("""
        from numba.extending import register_jitable
        from probes import compilations, dense, kernel_steps, say
        from nbadam.rules import Rule

        SLOWER = 0.5

        @register_jitable
        def slower(x):
            return SLOWER * x

        @register_jitable
        def update(g, x, v, alpha):
            v = 0.9 * v + slower(g)
            return x - alpha * v, v

        @register_jitable
        def scalars(t, learning_rate=0.1):
            return (learning_rate / t,)

        rule = Rule(update, scalars, ("v",))
        with compilations() as names:
            kernel = dense(rule)
        say(compiled=bool(names), result=kernel_steps(kernel, rule))
    """)
    first, second = run(program, tmp_path), run(program, tmp_path)
    assert first["compiled"]
    assert second == {"compiled": False, "result": first["result"]}
    edited = run(program.replace("SLOWER = 0.5", "SLOWER = 0.25"), tmp_path)
    assert edited["compiled"]
    assert edited["result"] != first["result"]


# --- What no process ever finds ------------------------------------------------------------------


@needs_ordinary_kernels
def test_no_mode_loads_the_code_of_another(tmp_path):
    program = """
        from probes import compilations, doubled, say, small_result

        modes = ["serial", "nogil", "parallel"]
        for dtype in ("float64", "float32"):
            for mode in modes:
                with compilations() as names:
                    result = small_result(doubled, dtype, mode)
                say(**{f"{mode} {dtype}": {"compiled": bool(names), "result": result}})
            modes.reverse()
    """
    cold, warm = run(program, tmp_path), run(program, tmp_path)
    assert len(cold) == 6
    for case, found in warm.items():
        assert cold[case] == {"compiled": True, "result": found["result"]}
        assert found == {"compiled": False, "result": 0.2 if "float64" in case else float(np.float32(0.2))}
    launching = [file.name for file in cache_files(tmp_path) if b"numba_parallel_for" in file.read_bytes()]
    assert ["_parallel_" in name for name in launching] == [True, True]


@needs_ordinary_kernels
def test_an_edited_rule_is_compiled_at_once_and_its_old_text_found_again(package, tmp_path):
    file = package / "rules" / "adam.py"
    text = file.read_text()
    line = "return x - alpha * ratio(m, sqrt(v) + epsilon), m, v"
    assert line in text

    original = run(STEP, tmp_path, package=package)
    file.write_text(text.replace(line, line.replace("x - ", "x + ")))
    edited = run(STEP, tmp_path, package=package)
    assert edited["compiled"]
    assert edited["result"] != original["result"]
    file.write_text(text)
    reverted = run(STEP, tmp_path, package=package)
    assert reverted == {"compiled": [], "result": original["result"]}


@needs_ordinary_kernels
def test_a_process_whose_files_are_replaced_keeps_its_kernels_to_itself(package, tmp_path):
    # An upgrade beside an open notebook: what that compiles is not what the files now say.
    program = """
from pathlib import Path
from nbadam import rules

file = Path(rules.adam.__file__)
file.write_text(file.read_text().replace("return x - alpha", "return x + alpha"))
"""
    running = run(program + STEP, tmp_path, package=package)
    upgraded = run(STEP, tmp_path, package=package)
    assert running["compiled"] and upgraded["compiled"]
    assert upgraded["result"] != running["result"]
    assert run(STEP, tmp_path) == {"compiled": [], "result": running["result"]}


@needs_ordinary_kernels
def test_kernels_compiled_under_other_settings_have_an_index_of_their_own(tmp_path):
    program = """
        import numpy as np
        from probes import compilations, say
        from nbadam import _jit

        def third(x):
            return x[2]

        with compilations() as names:
            kernel = _jit.compile_kernel(third, (_jit.array(),), name="third", mode="serial")
        try:
            kernel(np.zeros(3)[:2])
            checks = False
        except IndexError:
            checks = True
        say(compiled=bool(names), checks=checks)
    """
    settings = [{}, {"NUMBA_BOUNDSCHECK": "1"}, {"NUMBA_CPU_NAME": "generic"}]
    for variables in settings:
        assert run(program, tmp_path, **variables) == {"compiled": True, "checks": variables == settings[1]}
    for variables in settings:
        assert run(program, tmp_path, **variables) == {"compiled": False, "checks": variables == settings[1]}
    assert len(cache_files(tmp_path)) == 3


@needs_ordinary_kernels
def test_rules_whose_names_are_the_same_are_told_apart(tmp_path):
    program = """
        import numba
        import numpy as np
        from numba.extending import register_jitable
        from probes import compilations, say
        from nbadam import _jit

        def nested(factor):
            @register_jitable
            def update(x):
                return factor[0] * x
            return update

        class Methods:
            @register_jitable
            def update(x):
                return 3 * x

        @register_jitable
        def update(x):
            return 4 * x

        first_update = update

        @register_jitable
        def update(x):
            return 5 * x

        def written_in(file, factor):
            scope = {}
            exec(compile(f"def update(x): return {factor} * x", file, "exec"), scope)
            return register_jitable(scope["update"])

        @numba.njit
        def jitted(x):
            return 11 * x

        def kernel_of(update):
            def kernel(x):
                x[0] = update(x[0])
            return _jit.compile_kernel(kernel, (_jit.array(),), name="same", mode="serial")

        lambdas = lambda x: 6 * x, lambda x: 7 * x
        large = np.arange(2000.0)
        large[0] = 1
        updates = [
            nested(large), nested((2,)), Methods.update, first_update, update,
            *map(register_jitable, lambdas),
            written_in("<string>", 8), written_in("<ipython-input-1-5eb63bbbe01e>", 9),
            written_in(__file__, 10), jitted,
        ]
        factors, compiled = [], []
        for update in updates:
            with compilations() as names:
                kernel = kernel_of(update)
            x = np.ones(1)
            kernel(x)
            factors.append(x[0])
            compiled.append(bool(names))
        say(factors=factors, compiled=compiled)
    """
    cold, warm = run(program, tmp_path), run(program, tmp_path)
    assert cold["factors"] == warm["factors"] == list(range(1, 12))
    assert cold["compiled"] == [True] * 11
    assert warm["compiled"] == [False] * 10 + [True]  # Numba may have compiled the last one before
    assert len(cache_files(tmp_path)) == 10


# --- Caches that cannot be read or written -------------------------------------------------------


@needs_ordinary_kernels
def test_torn_files_heal(tmp_path):
    program = """
        from probes import compilations, say, small_results

        with compilations() as names:
            results = small_results()
        say(compiled=len([name for name in names if "_serial_" in name]), results=results)
    """
    damages = [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: np.random.default_rng(0).bytes(len(data)),
        lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
        lambda data: hashlib.sha256(b"no kernel").digest() + b"no kernel",
    ]
    whole = run(program, tmp_path)
    for file, damage in zip(cache_files(tmp_path), damages, strict=True):
        file.write_bytes(damage(file.read_bytes()))
    assert run(program, tmp_path) == {"compiled": 6, "results": whole["results"]}
    assert run(program, tmp_path) == {"compiled": 0, "results": whole["results"]}


@needs_ordinary_kernels
def test_a_full_disk_costs_nothing_but_the_cache(tmp_path):
    # A limit on the size of files fails like a full disk: writing beyond it raises OSError.
    pytest.importorskip("resource", reason="a POSIX limit stands in for the full disk")
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size},) * 2)\n" + SMALL_STEP
    fits = [run(full.format(size=size), tmp_path) for size in (0, 1000)]
    assert cache_files(tmp_path) == []
    room, found = run(SMALL_STEP, tmp_path), run(SMALL_STEP, tmp_path)
    # Nothing is wrong with the kernel, so there is no second attempt.
    assert len(room["compiled"]) == 1
    assert fits == [room, room]
    assert found == {"compiled": [], "result": room["result"]}


@needs_ordinary_kernels
def test_an_install_that_nobody_can_write_to_works(package, tmp_path):
    # Root may write whatever the permissions say, unless it gives that right up and starts anew.
    program = """
import os, sys
from pathlib import Path

if sys.platform == "linux" and os.geteuid() == 0 and "CURBED" not in os.environ:
    import ctypes
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"CURBED": "1"})

import nbadam
try:
    (Path(nbadam.__file__).parent / "new").touch()
    readonly = False
except OSError:
    readonly = True
"""
    home = tmp_path / "home"
    home.mkdir()
    places = [home, package, *(path for path in package.rglob("*") if path.is_dir())]
    for place in places:
        place.chmod(0o555)
    try:
        facts = run(
            program + STEP + "say(readonly=readonly)",
            tmp_path,
            package=package,
            NUMBA_CACHE_DIR=str(home / "cache"),
            HOME=str(home),
            XDG_CACHE_HOME=None,
        )
    finally:
        for place in places:
            place.chmod(0o755)
    if not facts["readonly"]:
        pytest.skip("this user can write everywhere")
    assert len(facts["compiled"]) == 1
    assert not list(tmp_path.rglob(f"*{_cache.SUFFIX}"))
    assert facts["result"] == run(STEP, tmp_path)["result"]


@needs_ordinary_kernels
def test_a_package_in_a_zip_file_works(package, tmp_path):
    shutil.make_archive(str(tmp_path / "zipped"), "zip", package.parent)
    facts = run(STEP, tmp_path, package=tmp_path / "zipped.zip" / "nbadam")
    assert len(facts["compiled"]) == 1
    assert run(STEP, tmp_path) == {"compiled": [], "result": facts["result"]}


@needs_ordinary_kernels
def test_a_file_where_the_folder_should_be_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    facts = run(SMALL_STEP, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert len(facts["compiled"]) == 1 and facts["result"] == 0.2


# --- Files ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of a cache that is ours alone."""
    monkeypatch.setattr(_cache, "folders", lambda: iter([tmp_path / "nbadam"]))
    return tmp_path / "nbadam"


def test_the_least_recently_used_kernels_make_room(folder, monkeypatch):
    monkeypatch.setenv("NBADAM_CACHE_SIZE", "0.01")
    for age, name in enumerate("abcdefgh"):
        _cache.write(name + _cache.SUFFIX, bytes(1000))
        os.utime(folder / (name + _cache.SUFFIX), (age, age))
    assert _cache.read("a" + _cache.SUFFIX) == bytes(1000)  # used just now
    _cache.write("i" + _cache.SUFFIX, bytes(2500))
    assert sorted(file.stem for file in folder.iterdir()) == ["a", "f", "g", "h", "i"]
    _cache.write("j" + _cache.SUFFIX, bytes(20_000))  # the newest stays, whatever its size
    assert [file.stem for file in folder.iterdir()] == ["j"]
    monkeypatch.setenv("NBADAM_CACHE_SIZE", "much")
    with pytest.raises(ValueError, match="NBADAM_CACHE_SIZE must be a number of megabytes, not 'much'"):
        _cache.size_limit()


def test_clear_cache_leaves_the_files_of_others(folder):
    _cache.write("a" + _cache.SUFFIX, b"kernel")
    (folder / "other.txt").write_text("")
    (folder / f".b{_cache.SUFFIX}.0123abcd.tmp").write_text("unfinished")
    nbadam.clear_cache()
    assert [file.name for file in folder.iterdir()] == ["other.txt"]
    nbadam.clear_cache()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes what a killed process has open")
def test_files_of_killed_processes_are_removed(folder):
    _cache.write("a" + _cache.SUFFIX, b"kernel")
    abandoned = folder / f".b{_cache.SUFFIX}.0123abcd.tmp"
    abandoned.write_text("unfinished")
    with replaced(folder / f"c{_cache.SUFFIX}") as in_use:
        _cache.write("d" + _cache.SUFFIX, b"kernel")
        assert not abandoned.exists()
        in_use.write(b"kernel")
    assert sorted(file.stem for file in folder.iterdir()) == ["a", "c", "d"]


def test_any_name_of_a_kernel_makes_a_file(folder):
    for name in ("C:\\fits\\new: 'best' ?", "/etc/passwd", "αβγ" * 200, "a\0b\n", ""):
        file = _cache.file_name(name, "0123")
        _cache.write(file, b"kernel")
        assert _cache.read(file) == b"kernel"
        assert (folder / file).is_file()
