"""What the benchmarks share: contenders timed in turn, and the tables and files that come of it."""

import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

SAMPLE = 1e-2  # seconds that one sample of a quick job lasts, by repeating it
PAUSE = 2e-3  # seconds between samples, in which the threads of the last contender stop spinning


class Contender:
    """One way of doing a job, in a process of its own: importing one library can slow another.

    Parameters
    ----------
    name : str
        What the tables call it.
    make : callable
        ``make(*case)`` returns the job, a function without arguments that returns how many units
        (steps, evaluations) it did, or None for one; or None where there is no such job.
    environment : dict
        Variables that the process starts with.
    """

    def __init__(self, name: str, make: Callable, environment: dict[str, str]) -> None:
        self.name = name
        self.missing: str | None = None
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, make), daemon=True)
        outside = dict(os.environ)
        os.environ.update(environment)
        process.start()
        os.environ.clear()
        os.environ.update(outside)
        there.close()

    def prepare(self, *case) -> bool:
        """Set the job up and do it once; whether there is one."""
        answer = self._ask("prepare", case) if self.missing is None else None
        if isinstance(answer, str):
            self.missing = answer
        return answer is True

    def sample(self) -> float:
        """Seconds that a unit takes now."""
        return self._ask("sample", ())

    def release(self) -> None:
        """Let the job and its memory go."""
        if self.missing is None:
            self._ask("release", ())

    def _ask(self, what: str, case: tuple):
        self._connection.send((what, case))
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection, make: Callable) -> None:
    job, repeats = None, 1
    while True:
        try:
            what, case = connection.recv()
        except EOFError:
            return
        answer: object = None
        try:
            if what == "prepare":
                job = make(*case)
                if job is not None:
                    job()
                    _, seconds = _repeated(job, 1)
                    repeats = max(1, int(SAMPLE / max(seconds, 1e-7)))
                answer = job is not None
            elif what == "sample":
                _repeated(job, max(1, repeats // 20))  # the caches are another contender's
                units, seconds = _repeated(job, repeats)
                answer = seconds / units
            else:
                job = None
        except ModuleNotFoundError as error:
            answer = f"{error.name} is not installed"
        except Exception as error:
            answer = error
        connection.send(answer)


def _repeated(job: Callable, repeats: int) -> tuple[int, float]:
    units = 0
    started = time.perf_counter()
    for _ in range(repeats):
        units += job() or 1
    return units, time.perf_counter() - started


def race(contenders: list[Contender], case: tuple, seconds: float, least: int = 5) -> dict[str, list[float]]:
    """Time all contenders at one case in turn, again and again.

    Parameters
    ----------
    contenders : list of Contender
        The one whose time is the unit of the tables first.
    case : tuple
        Arguments of their `make`.
    seconds : float
        How long to go on; `least` rounds are made in any case.

    Returns
    -------
    dict of str to list of float
        Seconds per unit of each contender that takes part, one for each round.
    """
    racing = [contender for contender in contenders if contender.prepare(*case)]
    samples: dict[str, list[float]] = {contender.name: [] for contender in racing}
    started = time.perf_counter()
    rounds = 0
    while rounds < least or time.perf_counter() - started < seconds:
        for contender in racing:
            samples[contender.name].append(contender.sample())
            time.sleep(PAUSE)
        rounds += 1
    for contender in racing:
        contender.release()
    return samples


def summary(samples: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return median, 10th percentile and number of the samples of each contender."""
    return {
        name: {
            "median": statistics.median(times),
            "p10": sorted(times)[len(times) // 10],
            "rounds": len(times),
        }
        for name, times in samples.items()
    }


def ratios(samples: dict[str, list[float]], unit: str) -> dict[str, float]:
    """Return the median time of each contender as a multiple of that of `unit`."""
    medians = {name: statistics.median(times) for name, times in samples.items()}
    return {name: median / medians[unit] for name, median in medians.items()}


def duration(seconds: float) -> str:
    """Write seconds with a fitting unit and three digits."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def environment() -> dict[str, object]:
    """Describe the machine and the versions that a benchmark ran with."""
    packages = {}
    for package in ("nbadam", "numba", "numpy", "scipy", "torch", "jax", "optax"):
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            packages[package] = "not installed"
    model = platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "not set"),
        **packages,
    }


def save(path: Path, results: list[dict]) -> None:
    """Write results, with what they were measured on, as JSON."""
    path.write_text(json.dumps({"environment": environment(), "results": results}, indent=1) + "\n")
