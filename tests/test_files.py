"""Files: whole or not at all, in their place, and read with suspicion."""

import io
import json
import os
import random
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from subprocesses import needs_ordinary_kernels, start

from nbadam import RunState, archives, optimizers
from nbadam.files import checked_target, replaced

posix = pytest.mark.skipif(os.name != "posix", reason="links, permissions, devices and pipes of POSIX")


def write(path, text=b"new"):
    with replaced(path) as file:
        file.write(text)


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path, exists):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere/file", tmp_path / "link"
    if exists:
        target.write_bytes(b"old")
    (tmp_path / "middle").symlink_to("elsewhere/file")
    link.symlink_to("middle")
    write(link)
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["file"]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_permissions_are_kept(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == b"new"


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser may write everything")
def test_a_read_only_file_is_not_replaced(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        write(path)
    assert path.read_bytes() == b"old"


@pytest.mark.lowest
@posix
def test_only_regular_files_are_written_and_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (
        tmp_path,
        tmp_path / "pipe",
        tmp_path / "link",
        tmp_path / "loop",
        "/dev/null",
        "nowhere/file",
    ):
        with pytest.raises(ValueError, match="`path` must be the path of a"):
            write(path)
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/null", "/dev/zero"):
        with pytest.raises(ValueError, match="no regular file"):
            archives.read(path, "run")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    for wrong in (3, None, ["x"], "a\0b"):
        with pytest.raises(ValueError, match="`checkpoint` must be the path"):
            checked_target(wrong, "checkpoint")


KILLED = """
import os, signal
from nbadam.files import replaced

with replaced("file") as file:
    file.write(b"half")
    file.flush()
    print("{}", flush=True)
    signal.pause()
"""


@posix
@needs_ordinary_kernels
def test_the_next_save_removes_what_killed_processes_left_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for name in (".file.12345678.tmp.npz", ".file.1234.tmp", ".filex.12345678.tmp"):
        (tmp_path / name).write_bytes(b"another's")
    others = set(os.listdir(tmp_path))
    killed, busy = start(KILLED, tmp_path), start(KILLED, tmp_path)
    try:
        for process in (killed, busy):
            process.stdout.readline()
        left = set(os.listdir(tmp_path)) - others - {"program.py"}
        assert len(left) == 2
        killed.kill()
        killed.wait()
        write(path)
        assert len(left & set(os.listdir(tmp_path))) == 1  # of the process that lives
        assert path.read_bytes() == b"new"
    finally:
        for process in (killed, busy):
            process.kill()
            process.communicate()
    write(path)
    assert set(os.listdir(tmp_path)) == others | {"program.py"}


# --- Archives ------------------------------------------------------------------------------------

ARRAYS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "scalar": np.array(2.5, np.float32),
    "none": np.empty((0, 3), np.int64),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}
FACTS = {"text": "é\n", "list": [1, 2.5, None], "nested": {"flag": True}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "state.npz"
    archives.write(path, "run", FACTS, ARRAYS)
    return path.read_bytes()


def test_archives_return_what_was_written(tmp_path):
    archives.write(tmp_path / "state", "run", FACTS, ARRAYS)
    facts, arrays = archives.read(tmp_path / "state", "run")
    assert facts == FACTS and arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name], strict=True)
        assert array.flags.writeable


def test_files_of_another_kind_say_who_reads_them(tmp_path):
    archives.write(tmp_path / "run", "run", {}, {})
    optimizers.Adam().save(tmp_path / "adam")
    with pytest.raises(ValueError, match=r"run' is no .* kind 'run': read it with nbadam\.RunState\.load"):
        optimizers.Adam().load(tmp_path / "run")
    with pytest.raises(ValueError, match=r"adam' is no .* kind 'optimizer': read it with the method `load`"):
        RunState.load(tmp_path / "adam")
    with pytest.raises(FileNotFoundError):
        RunState.load(tmp_path / "nothing")


def npz(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(shape, descr="<f8", data=b""):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def header(facts):
    data = json.dumps(facts).encode()
    return npy((len(data),), "|u1", data)


GOOD = header({"format": archives.FORMAT, "kind": "run", "header": {}})
HOSTILE = {
    "declares a terabyte": npz({"header.npy": GOOD, "x.npy": npy((10**12,))}),
    "declares more than can be counted": npz({"header.npy": GOOD, "x.npy": npy((2**62, 2**62, 0, 1))}),
    "negative sizes": npz({"header.npy": GOOD, "x.npy": npy((-1, -1), data=bytes(8))}),
    "compressed": npz(
        {"header.npy": GOOD, "x.npy": npy((10**8,), "|u1", bytes(10**8))}, zipfile.ZIP_DEFLATED
    ),
    "objects": npz({"header.npy": GOOD, "x.npy": npy((1,), "|O", b"cos\nsystem\n")}),
    "another's": npz({"x.npy": npy((1,), data=bytes(8))}),
    "no arrays": npz({"header.npy": GOOD, "x": b"text"}),
    "header of numbers": npz({"header.npy": npy((1,), data=bytes(8))}),
    "header of lists": npz({"header.npy": header([[]])}),
    "header without facts": npz(
        {"header.npy": header({"format": archives.FORMAT, "kind": "run", "header": 3})}
    ),
    "unknown kind": npz({"header.npy": header({"format": archives.FORMAT, "kind": "x", "header": {}})}),
    "another format": npz({"header.npy": header({"format": 1, "kind": "run", "header": {}})}),
    "deep header": npz({"header.npy": npy((200_000,), "|u1", b"[" * 200_000)}),
    "deep array": npz({"x.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000}),
    "empty": b"",
    "npy": npy((1,), data=bytes(8)),
    "text": b"x" * 1000,
}


@pytest.mark.lowest
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_one_kind_of_error_and_take_no_memory(case, tmp_path):
    path = tmp_path / "state.npz"
    path.write_bytes(HOSTILE[case])
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"state\.npz' is no saved state"):
        archives.read(path, "run")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000 + 10 * len(HOSTILE[case])


def test_entries_that_share_their_data_are_refused(tmp_path):
    """A small file could be read a million times."""
    data = bytearray(npz({"header.npy": GOOD, "x.npy": npy((1000,), data=bytes(8000))}))
    central = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    end = data.index(b"PK\x05\x06")
    entry = data[central:end]
    data[end:end] = entry * 5
    new_end = data.index(b"PK\x05\x06")
    count, size = struct.unpack_from("<HI", data, new_end + 10)
    struct.pack_into("<HHI", data, new_end + 8, count + 5, count + 5, size + 5 * len(entry))
    (tmp_path / "state.npz").write_bytes(data)
    with pytest.raises(ValueError, match="it declares more data than it has"):
        archives.read(tmp_path / "state.npz", "run")


def test_damaged_files_are_refused_or_read_as_they_were(saved, tmp_path):
    path = tmp_path / "state.npz"
    generator = random.Random(0)
    refused = 0
    for k in range(500):
        data = bytearray(saved)
        if k % 5 == 0:
            del data[generator.randrange(len(data)) :]
        else:
            for _ in range(generator.choice((1, 1, 4, 50))):
                data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(data)
        try:
            facts, arrays = archives.read(path, "run")
        except ValueError as error:
            assert "state.npz" in str(error)
            refused += 1
        else:  # the damage hit a date or the like, or a name
            assert facts == FACTS
            for name in arrays.keys() & ARRAYS.keys():
                np.testing.assert_array_equal(arrays[name], ARRAYS[name], strict=True)
    assert refused > 300


def test_hostile_states_of_optimizers(tmp_path):
    x = np.ones(3)
    opt = optimizers.Adam(0.1)
    opt.apply_gradients([(np.ones(3), x)])
    path = tmp_path / "adam.npz"
    opt.save(path)
    facts, arrays = archives.read(path, "optimizer")
    variable = facts["variables"][0]
    changes = [
        {"calls": -1},
        {"calls": "x"},
        {"calls": True},
        {"skipped_steps": None},
        {"config": []},
        {"config": {"learning_rate": -1}},
        {"config": {"typo": 1}},
        {"callables": 3},
        {"class_name": "SGD"},
        {"variables": 1},
        *({"variables": [variable | change]} for change in (
            {"shape": [4]}, {"shape": [-3]}, {"shape": 3}, {"dtype": "object"}, {"dtype": "float32"},
            {"slots": ["m"]}, {"slots": ["m", "w"]}, {"generation": "x"}, {"decayed": 2}, {"received": []},
        )),
        {"variables": [{}]},
    ]  # fmt: skip
    for change in changes:
        archives.write(path, "optimizer", facts | change, arrays)
        again = optimizers.Adam(0.5)
        again.build(x)
        with pytest.raises(ValueError, match=r"adam\.npz"):
            again.load(path)
        assert again.learning_rate == 0.5 and again.iterations == 0, change
    for missing in facts:
        archives.write(path, "optimizer", {k: v for k, v in facts.items() if k != missing}, arrays)
        with pytest.raises(ValueError, match=r"adam\.npz"):
            optimizers.Adam().load(path)
