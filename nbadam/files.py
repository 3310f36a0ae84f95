"""Files that are written whole or not at all."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .checks import shown

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where an open file cannot be removed: it needs no lock
    fcntl = None  # type: ignore[assignment]


def checked_target(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return the file that writing to `path` changes, with symbolic links followed.

    Parameters
    ----------
    path : path-like
        The file, which need not exist, in a directory that does.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    ValueError
        If `path` is a directory, a device, a pipe or a socket, or its directory does not exist.
    """
    try:
        target = Path(os.path.realpath(os.fsdecode(path)))
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (TypeError, ValueError, OSError) as error:
        raise ValueError(f"`{name}` must be the path of a file, not {shown(path)}: {error}.") from None
    if not stat.S_ISREG(mode):
        raise ValueError(f"`{name}` must be the path of a regular file; {os.fspath(path)!r} is none.")
    if not target.parent.is_dir():
        raise ValueError(f"`{name}` must be the path of a file in an existing directory, not {shown(path)}.")
    return target


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` at the end: at any moment one of them is there, whole.

    A symbolic link stays and its target is replaced; the new file has the permissions of the old one.
    Temporary files that killed processes left beside it are removed.

    Parameters
    ----------
    path : path-like
        The file.

    Yields
    ------
    file
        To write bytes to.

    Raises
    ------
    ValueError
        If `path` is a directory, a device or a pipe.
    OSError
        If the file cannot be written, or is read-only.
    """
    target = checked_target(path)
    old = target.stat() if target.exists() else None
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"{os.fspath(path)} is read-only.")
    _remove_abandoned(target)
    file, temporary = _open_temporary(target)
    try:
        with file:
            yield file
            if old is not None:
                _copy_permissions(old, file.fileno(), temporary)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # before the lock is released, or another process might remove it
                os.replace(temporary, target)
        if fcntl is None:
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _open_temporary(target: Path) -> tuple[IO[bytes], Path]:
    """Create a file beside the target, locked as long as it is open."""
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        file = open(temporary, "xb")
        if fcntl is None:
            return file, temporary
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file, temporary
        file.close()  # taken for an abandoned one before it was locked


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of `target` that no process has open."""
    pattern = re.compile(re.escape(f".{target.name}.") + r"[0-9a-f]{8}\.tmp")
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if pattern.fullmatch(name):
                remove_if_abandoned(target.parent / name)


def remove_if_abandoned(temporary: Path) -> None:
    """Remove a temporary file that no process has open."""
    with suppress(OSError):  # locked: in use
        if fcntl is not None:
            with open(temporary, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temporary.unlink()
        else:
            temporary.unlink()


def _copy_permissions(old: os.stat_result, file: int, temporary: Path) -> None:
    if hasattr(os, "fchown"):
        with suppress(OSError):  # only the superuser may give a file away
            os.fchown(file, old.st_uid, old.st_gid)
    os.chmod(temporary, stat.S_IMODE(old.st_mode))
