"""Processes that are killed, disks that are full, damaged files: each leaves a state that is whole."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from subprocesses import cache_files, needs_ordinary_kernels, run

import nbadam

KILLS = int(os.environ.get("NBADAM_KILLS", 100))
DAMAGES = int(os.environ.get("NBADAM_DAMAGES", 2000))


@needs_ordinary_kernels
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_kills_at_random_moments_leave_whole_files(tmp_path):
    """Children compile kernels and save optimizers, one after the other into the same files."""
    program = f"""
        import os, random, signal, time
        import numpy as np
        import nbadam
        from nbadam import _cache
        from probes import doubled, halved, say, small_result, small_results

        def write():
            opt = nbadam.Adam()
            x = np.ones(1000)
            while True:
                opt.apply_gradients([(x, x)])
                opt.save("optimizer.npz")
                small_result(random.choice([doubled, halved]), random.choice(["float32", "float64"]))
                _cache.write("kernel" + _cache.SUFFIX, os.urandom(100_000))

        nbadam.Adam().apply_gradients([(np.ones(1000), np.ones(1000))])
        small_results()  # compiles what children would have to compile each time
        iterations = []
        for _ in range({KILLS}):
            child = os.fork()
            if child == 0:
                write()
            time.sleep(random.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if os.path.exists("optimizer.npz"):
                opt = nbadam.Adam()
                opt.build([np.zeros(1000)])
                opt.load("optimizer.npz")
                iterations.append(opt.iterations)
            found = _cache.read("kernel" + _cache.SUFFIX)
            assert found is None or len(found) == 100_000
        nbadam.Adam().save("optimizer.npz")
        _cache.write("kernel" + _cache.SUFFIX, b"whole")
        say(saved=len(iterations), results=small_results(), files=sorted(os.listdir()))
    """
    facts = run(program, tmp_path)
    assert facts["saved"] > KILLS / 4
    assert len(facts["results"]) == 6
    assert [name for name in facts["files"] if ".tmp" in name] == []
    assert [file.name for file in cache_files(tmp_path) if file.suffix != ".kernel"] == []


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("mount"), reason="mounts a small disk")
def test_a_full_disk_changes_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        opt = nbadam.Adam()
        opt.build([np.zeros(1000)])
        opt.save(disk / "optimizer.npz")
        before = (disk / "optimizer.npz").read_bytes()
        larger = nbadam.Adam()
        larger.build([np.zeros(100_000)])
        with pytest.raises(OSError, match="No space left"):
            larger.save(disk / "optimizer.npz")
        assert (disk / "optimizer.npz").read_bytes() == before
        assert os.listdir(disk) == ["optimizer.npz"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, lengthen, overwrite, repeat or flip some bytes."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        start, stop = sorted(rng.integers(0, len(content) + 1, 2))
        kind = rng.integers(0, 5)
        if kind == 0:
            del content[start:stop]
        elif kind == 1:
            content[start:start] = rng.bytes(int(rng.integers(1, 100)))
        elif kind == 2:
            content[start : start + 8] = rng.bytes(8)
        elif kind == 3:
            content[start:stop] = content[:stop]
        elif content:
            content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        content = content[: 10 * len(data)] or bytearray(b"\0")
    return bytes(content)


@pytest.mark.parametrize("kind", ["optimizer", "run"])
def test_damaged_files_are_refused_by_name_or_as_good_as_whole(kind, tmp_path):
    rng = np.random.default_rng()  # new damages each time
    path, other = tmp_path / "whole.npz", tmp_path / "damaged.npz"
    if kind == "optimizer":
        opt = nbadam.Adam()
        opt.apply_gradients([(np.ones(50), np.ones(50))])
        opt.save(path)
    else:
        from scipy.optimize import minimize

        options = {"steps": 5, "learning_rate": 0.1}
        fit = minimize(lambda x: (x @ x, 2 * x), np.ones(50), jac=True, method=nbadam.adam, options=options)
        fit.state.save(path)
    whole = path.read_bytes()
    refused = 0
    for number in range(DAMAGES // 2):
        seed = int(rng.integers(2**32))
        other.write_bytes(damaged(whole, np.random.default_rng(seed)))
        try:
            if kind == "optimizer":
                again = nbadam.Adam()
                again.build([np.zeros(50)])
                again.load(other)
                assert again.iterations >= 0, (number, seed)
            else:
                nbadam.RunState.load(other)
        except ValueError as error:
            assert "damaged.npz" in str(error), (number, seed)
            refused += 1
        except Exception as error:
            raise AssertionError((number, seed)) from error
    assert refused > DAMAGES // 4
