"""Programs in processes of their own, for what only processes show: caches, threads, forks."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest

import nbadam

TIMEOUT = 120  # seconds; only a process that hangs takes as long
PACKAGE = Path(nbadam.__file__).parent

needs_ordinary_kernels = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK),
    reason="the processes that this starts run ordinary kernels, whatever the settings of this one",
)


def start(program: str, folder: Path, *, package=PACKAGE, **variables: str | None) -> subprocess.Popen:
    """Start a program, in `folder`, that finds `package` and the modules beside this one.

    Its kernels are cached in ``folder/cache``.  Of the environment's variables those are left out
    that change Python or Numba; `variables` are set, or unset if None.
    """
    program = textwrap.dedent(program)
    file = folder / "program.py"
    if not file.exists() or file.read_text() != program:
        file.write_text(program)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "PYTHON", "COVERAGE"))}
    settings = {
        "PYTHONPATH": os.pathsep.join([str(package.parent), str(Path(__file__).parent)]),
        "PYTHONDONTWRITEBYTECODE": "1",  # an edit within the second could leave stale bytecode
        "NUMBA_CACHE_DIR": str(folder / "cache"),
        "NUMBA_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "passive",
        "OPENBLAS_NUM_THREADS": "1",
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, str(file)],
        cwd=folder,
        env={k: v for k, v in (inherited | settings).items() if v is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # lets `finish` end the children of a process that hangs
    )


def share_cache(folder: Path) -> Path:
    """Let programs that `start` runs in a folder use the kernels of this process, if it was told where."""
    shared = os.environ.get("NUMBA_CACHE_DIR")
    if shared:
        Path(shared).mkdir(parents=True, exist_ok=True)
        (folder / "cache").symlink_to(Path(shared).absolute())
    return folder


def finish(process: subprocess.Popen, timeout: float = TIMEOUT) -> dict:
    """Wait for the end of a process and return what it has said."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"The process hangs.\n{out}\n{err}")
    assert process.returncode == 0, f"exit status {process.returncode}\n{out}\n{err}"
    facts: dict = {}
    for line in out.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    return facts


def run(program: str, folder: Path, **settings) -> dict:
    """Run a program to its end and return what it has said."""
    return finish(start(program, folder, **settings))


def cache_files(folder: Path, pattern: str = "*") -> list[Path]:
    """Files in the cache of the processes that `run` started in a folder."""
    return sorted((folder / "cache").glob(f"*/{pattern}"))
