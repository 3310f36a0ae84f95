"""Compiled kernels on disk: one file for each, named by a digest of all that decides about it."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numba

from .files import remove_if_abandoned, replaced

SUFFIX = ".kernel"
UNFINISHED = re.compile(rf"\..*{re.escape(SUFFIX)}\.[0-9a-f]+\.tmp")  # names of files that `replaced` writes
SIZE = 512  # MB of kernels that a folder may hold, unless NBADAM_CACHE_SIZE says otherwise
KEPT = 0.75  # share of them that is left when the least recently used ones are removed


def folders() -> Iterator[Path]:
    """Places where kernels may be: kernels are read from all, and written to the first that lets us."""
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR) / "nbadam"
        return
    here = Path(__file__).parent
    if here.is_dir():  # not in a zip file
        yield here / "__pycache__"
    yield _user_cache() / "nbadam"


def _user_cache() -> Path:
    """Return the folder where Numba puts caches that it cannot put beside the source."""
    from numba.misc.appdirs import AppDirs

    return Path(AppDirs("numba", False).user_cache_dir)


def file_name(kernel: str, digest: str) -> str:
    """Return the name of a kernel's file; only the digest tells it from others."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', kernel)[:60]}_{digest}{SUFFIX}"


def read(name: str) -> bytes | None:
    """Return the content of a file, None if it is nowhere; a damaged one is removed."""
    for folder in folders():
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError:
            continue
        checksum, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() == checksum:
            with contextlib.suppress(OSError):
                os.utime(path)  # the least recently used files are those with the oldest times
            return payload
        with contextlib.suppress(OSError):
            path.unlink()
    return None


def write(name: str, payload: bytes) -> None:
    """Keep the content of a file, unless no folder can be written to or the disk is full."""
    for folder in folders():
        is_open = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replaced(folder / name) as file:
                is_open = True
                file.write(hashlib.sha256(payload).digest() + payload)
            _tidy(folder, name)
        except (OSError, ValueError):
            if not is_open:
                continue  # to the next folder
        return


def _tidy(folder: Path, newest: str) -> None:
    """Remove files that killed processes left, and the least recently used kernels if there are too many."""
    kernels = []
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            if entry.name.endswith(SUFFIX):
                status = entry.stat()
                kernels.append((status.st_mtime, status.st_size, entry))
            elif UNFINISHED.fullmatch(entry.name):
                remove_if_abandoned(Path(entry.path))
    size, limit = sum(size for _, size, _ in kernels), size_limit()
    if size <= limit:
        return
    for _, freed, entry in sorted(kernels, key=lambda kernel: kernel[0]):
        if entry.name != newest:
            with contextlib.suppress(OSError):
                os.unlink(entry)
                size -= freed
        if size <= KEPT * limit:
            return


def size_limit() -> float:
    """Return how many bytes of kernels a folder may hold."""
    text = os.environ.get("NBADAM_CACHE_SIZE", "")
    try:
        return (float(text) if text else SIZE) * 1e6
    except ValueError:
        raise ValueError(f"NBADAM_CACHE_SIZE must be a number of megabytes, not {text!r}.") from None


def clear_cache() -> None:
    """Remove all compiled kernels from the disk.

    They are compiled again when they are needed; kernels that a running process has loaded stay with it.
    See :doc:`/cache` for where they are, and for ``NBADAM_CACHE_SIZE``, which bounds their size.

    See Also
    --------
    nbadam.curve_fit : A function whose kernels are kept there.

    Examples
    --------
    >>> import nbadam
    >>> nbadam.clear_cache()  # doctest: +SKIP
    """
    for folder in folders():
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name.endswith(SUFFIX) or UNFINISHED.fullmatch(entry.name):
                    with contextlib.suppress(OSError):
                        os.unlink(entry)
