"""The one format of saved states: NumPy's npz with a JSON header, read without pickle.

A file may come from anywhere.  Reading one allocates no more than its own size, runs no code, and fails
with one kind of error, a ValueError that names the file.
"""

import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from .files import replaced

FORMAT = 2  # number of the layout; raised when a file of the old one could be misread
HEADER = "header"
# Kinds of files, with the call that reads each.
LOADERS = {
    "run": "nbadam.RunState.load",
    "optimizer": "the method `load` of an optimizer",
    "fit": "nbadam.load_fit",
}


def write(
    path: str | os.PathLike[str], kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a file, so that at any moment there is the old one or the new one, whole.

    Parameters
    ----------
    path : path-like
        The file, whatever its suffix.
    kind : str
        Key of `LOADERS`.
    header : mapping
        Values that JSON can hold.
    arrays : mapping of str to ndarray
        Arrays of numbers or booleans.

    Raises
    ------
    ValueError
        If `path` is a directory, a device or a pipe.
    OSError
        If the file cannot be written.
    """
    text = json.dumps({"format": FORMAT, "kind": kind, "header": dict(header)})
    encoded = np.frombuffer(text.encode(), np.uint8)
    with replaced(path) as file:
        np.savez(file, **{HEADER: encoded}, **arrays)  # type: ignore[arg-type]


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file that `write` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    kind : str
        Key of `LOADERS`: the kind that the caller needs.

    Raises
    ------
    ValueError
        If the file is something else, is of another kind, or is damaged.
    OSError
        If it cannot be opened.
    """
    with open(path, "rb", opener=_open_at_once) as file, refusals(path):
        size = _size(file)
        if file.read(4) != b"PK\x03\x04":
            raise ValueError("it is no npz archive")
        with ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != ZIP_STORED or entry.flag_bits & 1 for entry in entries):
                raise ValueError("it is compressed or encrypted, which no file of nbadam is")
            if sum(entry.file_size for entry in entries) > size:
                raise ValueError("it declares more data than it has")
            arrays = {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}
        if HEADER not in arrays:
            raise ValueError("it has no header")
        facts = json.loads(arrays.pop(HEADER).astype(np.uint8, casting="no").tobytes())
        if facts["format"] != FORMAT:
            raise ValueError(f"it has format {facts['format']}, and this version of nbadam reads {FORMAT}")
        if facts["kind"] != kind:
            loader = LOADERS[facts["kind"]]
            raise ValueError(f"it is of the kind {facts['kind']!r}: read it with {loader}")
        if not isinstance(facts["header"], dict):
            raise TypeError("its header is no dict")
        return facts["header"], arrays


@contextmanager
def refusals(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn every error of a block that interprets a file into a ValueError that names the file.

    Damaged files make zipfile, NumPy and JSON raise errors of about fifteen types.
    """
    try:
        yield
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise ValueError(
            f"{os.fspath(path)!r} is no saved state that nbadam can load here: {reason}."
        ) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a pipe without waiting for its other end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _size(file: IO[bytes]) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    return status.st_size


def _array(data: bytes) -> np.ndarray:
    """Return the array of an npy file, whose header must declare as many bytes as follow it."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, is_fortran, dtype = read_header[version](file)
    declared, there = prod(shape) * dtype.itemsize, len(data) - file.tell()
    if dtype.kind not in "biuf" or min(shape, default=0) < 0 or declared != there:
        raise ValueError(f"it has an array of shape {shape} and dtype {dtype} in {there} bytes")
    array = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if is_fortran else "C")
    return array.copy()
