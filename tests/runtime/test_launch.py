"""How clusters begin: all workers at once, with clear words when one cannot start."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import remotemod as rm
from remotemod.backends.processes import client
from remotemod.backends.processes.workers import Processes
from tests.isolation import sockets


def fail(config: dict[str, Any], primary: socket.socket) -> None:
    raise RuntimeError(f"{config['name']} does not like it here")


def greet(config: dict[str, Any], primary: socket.socket) -> None:
    primary.sendall(config["name"].encode())


def last_of_path() -> str:
    return sys.path[-1]


@pytest.mark.slow
def test_a_worker_imports_nothing_to_start() -> None:
    """Whatever a worker needs was loaded before it was forked."""
    # With a fork server of its own: that of other tests has loaded what their workers need.
    programs = (
        "import sys, remotemod.backends.processes.server, remotemod.backends.processes.preload; print(*sys.modules)",
        "import remotemod as rm\nwith rm.launch(workers=['w']):\n"
        "    print(*rm.rpc_sync('w', lambda: [*__import__('sys').modules]))",
    )
    before, there = (
        set(
            subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout.split()
        )
        for program in programs
    )
    assert there
    assert there <= before


def test_names_of_many_workers(fork_server: None) -> None:
    """Many workers are launched by name and each knows its own."""
    names = [f"trainer{i}" for i in range(24)]
    with rm.launch(workers=names) as cluster:
        pids = [rm.rpc_async(name, os.getpid) for name in names]
        assert [f.wait() for f in pids] == [cluster.engine.pid(name) for name in names]


@pytest.mark.slow
def test_more_workers_than_one_request_asks_for(fork_server: None) -> None:
    """Their number is bounded by the system alone."""
    names = [f"w{i}" for i in range(260)]
    processes = Processes("tests.runtime.test_launch:greet")
    primaries = processes.start(names, {}, None)
    try:
        for name in names:
            primaries[name].settimeout(60)
            assert primaries[name].recv(100).decode() == name
    finally:
        for primary in primaries.values():
            primary.close()
        processes.end()


@pytest.mark.parametrize("backend", ["shm", "torch_rpc"])
def test_a_worker_that_cannot_start_says_why(fork_server: None, backend: str) -> None:
    """The error of the launch names the worker and shows its traceback; nothing is left."""
    before = sockets()
    with pytest.raises(rm.WorkerLost, match="ended while it started: it exited") as raised:
        rm.launch(workers=["a", "b"], backend=backend, threads=-1)
    assert raised.value.worker in ("a", "b")
    assert "set_num_threads" in str(raised.value)
    assert sockets() == before


def test_a_worker_that_is_killed_while_it_starts(
    fork_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launch fails at once and names the worker and the signal."""
    start = Processes.start

    def start_and_kill(self: Processes, *args: Any) -> dict[str, socket.socket]:
        primaries = start(self, *args)
        os.kill(self.pid("b"), signal.SIGKILL)
        return primaries

    monkeypatch.setattr(Processes, "start", start_and_kill)
    with pytest.raises(rm.WorkerLost, match="'b' ended while it started: it was killed by SIGKILL"):
        rm.launch(workers=["a", "b", "c"])


def test_a_failing_entry_is_reported(fork_server: None) -> None:
    """What a kind of worker raises is its last word."""
    processes = Processes("tests.runtime.test_launch:fail")
    try:
        for primary in processes.start(["w"], {}, None).values():
            primary.close()
        loss = processes.why_lost("w")
    finally:
        processes.end()
    assert loss is not None
    assert (loss.what, loss.signal) == ("it exited with status 1", None)
    assert loss.stderr[-1] == "RuntimeError: w does not like it here"
    assert processes.why_lost("nobody") is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("tests.runtime.nowhere:run", "No module named"),
        ("tests.runtime.test_launch:nothing", "has no nothing"),
    ],
)
def test_an_entry_that_does_not_exist_is_reported(
    fork_server: None, entry: str, message: str
) -> None:
    """A backend's mistake does not end the fork server."""
    processes = Processes(entry)
    with pytest.raises(rm.BackendUnavailable, match=message):
        processes.start(["w"], {}, None)
    processes.end()


def test_too_few_file_descriptors_are_reported(fork_server: None) -> None:
    """The system's limit is an error that names it, and no worker is left."""
    before = sockets()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limits[1]))
    try:
        with pytest.raises(rm.BackendUnavailable, match="Too many open files"):
            rm.launch(workers=50)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert sockets() == before


def test_a_long_import_path_reaches_the_workers(
    fork_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No length of ``sys.path`` is too long for a launch."""
    monkeypatch.setattr(sys, "path", [*sys.path, *(f"{tmp_path}/{i:0200}" for i in range(2000))])
    with rm.launch(workers=2):
        assert rm.rpc_sync("worker1", len, ("four",)) == 4
        assert rm.rpc_sync("worker1", last_of_path).endswith("1999")


@pytest.mark.slow
def test_a_long_import_path_reaches_the_fork_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first launch of a program has no bound there either."""
    monkeypatch.setattr(client._SHARED, "value", client._Shared())
    test_a_long_import_path_reaches_the_workers(None, tmp_path, monkeypatch)


@pytest.mark.parametrize("workers", [[], 0, ["a", "a"], ["a/b"], [""], ["rank:0"], "abc"])
def test_names_that_cannot_be_are_refused(workers: Any) -> None:
    """Before anything is started."""
    with pytest.raises(rm.PlacementError):
        rm.launch(workers=workers)
