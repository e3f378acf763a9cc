"""What belongs to this test session: its processes and its sockets, told from those of other runs on the machine."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from tests.preloaded.programs import server_pid

__all__ = [
    "MARK",
    "children",
    "left_behind",
    "mark_session",
    "processes_with",
    "sockets",
    "started",
    "unstable_ids",
]

MARK = "REMOTEMOD_TEST_SESSION"
"""The entry of the environment by which a run knows its processes."""
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")


def mark_session() -> None:
    """Gives every process that is started from now on an entry in its environment that no other run has.

    A worker of pytest-xdist, which inherits the entry, takes one of its own.
    """
    os.environ[MARK] = uuid.uuid4().hex


def children() -> set[int]:
    """The process ids of this process's children, without the tests' own server of programs."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found - {server_pid()}


def processes_with(entry: str) -> dict[int, str]:
    """The running processes with ``NAME=value`` in their environment, wherever in the tree: id and command."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if entry.encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_text(errors="replace")
                found[int(folder.name)] = command.replace("\0", " ").strip()
        except OSError:  # another user's, or gone meanwhile
            continue
    return found


def started() -> dict[int, str]:
    """The processes that this test process has started and that run, those whose parents have ended included."""
    found = processes_with(f"{MARK}={os.environ[MARK]}")
    found.pop(os.getpid(), None)
    return found


def sockets() -> list[str]:
    """The names of the sockets on which workers of this test process listen."""
    held = set()
    for pid in (os.getpid(), *started()):
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                held.add(os.readlink(fd))
            except OSError:  # closed meanwhile
                continue
    lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()
    columns = [line.split(None, 7) for line in lines if "@remotemod-" in line]
    return sorted({name for *_, inode, name in columns if f"socket:[{inode}]" in held})


def left_behind(seconds: float = 10.0) -> dict[int, str]:
    """The processes of this test process that are still there after a while in which they may end."""
    until = time.monotonic() + seconds
    while (left := started()) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def unstable_ids(ids: Iterable[str]) -> list[str]:
    """The test ids that hold an address in memory, and so differ from one collection to the next."""
    return [each for each in ids if _ADDRESS.search(each)]
