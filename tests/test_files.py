"""Files are replaced in one step, and whatever happens nothing else is left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from remotemod.files import replace_file, replacing


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durable", [False, True])
def test_a_reader_sees_the_old_or_the_new(tmp_path: Path, durable: bool) -> None:
    """Until the block ends the old content is there, then the new one, and nothing beside it."""
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    with open(path, "rb") as held:
        with replacing(path, durable=durable) as content:
            Path(content).write_bytes(b"new")
            assert path.read_bytes() == b"old"
            assert Path(content).name == "weights"
        assert path.read_bytes() == b"new"
        assert held.read() == b"old"
    assert os.listdir(tmp_path) == ["weights"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever the block raises goes on, and the new content goes."""
    path = tmp_path / "weights"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as content:
            Path(content).write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["weights"]


INTERRUPTED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start what runs behind them deaf to it
from remotemod.files import replacing
with replacing(sys.argv[1]) as content:
    open(content, "w").write("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """A program that is interrupted while it writes leaves no file."""
    path = tmp_path / "weights"
    command = [sys.executable, "-c", INTERRUPTED, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"writing\n"
        assert len(os.listdir(tmp_path)) == 1
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert os.listdir(tmp_path) == []


def test_a_new_file_has_the_umasks_permissions(tmp_path: Path) -> None:
    """As any program makes it."""
    old = os.umask(0o027)
    try:
        replace_file(tmp_path / "new", b"")
    finally:
        os.umask(old)
    assert mode(tmp_path / "new") == 0o640


def test_an_old_file_keeps_its_permissions(tmp_path: Path) -> None:
    """Bits that a new file would not have, too."""
    path = tmp_path / "tool"
    path.write_bytes(b"old")
    path.chmod(0o2757)
    replace_file(path, b"new")
    assert mode(path) == 0o2757


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="not root here")
def test_an_old_file_keeps_its_owner(tmp_path: Path) -> None:
    """Where that is allowed: a container's root writes files of the user's."""
    path = tmp_path / "theirs"
    path.write_bytes(b"old")
    os.chown(path, 65534, 65534)
    replace_file(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


@pytest.mark.parametrize("exists", [False, True])
def test_a_link_goes_on_pointing_to_the_file(tmp_path: Path, exists: bool) -> None:
    """A link to nothing yet makes its file."""
    real = tmp_path / "folder" / "real"
    real.parent.mkdir()
    if exists:
        real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("folder/real")
    replace_file(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert os.listdir(real.parent) == ["real"]


def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    """A folder, a pipe, a link that leads nowhere, a folder that is not there: the error names the path."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        replace_file(tmp_path, b"")
    for name in ("pipe", "loop", "missing/file"):
        with pytest.raises(OSError, match=name.split("/")[0]):
            replace_file(tmp_path / name, b"")
    assert sorted(os.listdir(tmp_path)) == ["loop", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_name_may_be_as_long_as_names_may_be(tmp_path: Path) -> None:
    """What is beside the file meanwhile has a short name of its own."""
    path = tmp_path / ("ü" * 127)
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
