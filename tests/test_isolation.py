"""A run of the tests sees what it has started itself, and nothing of another run on the same machine."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

import remotemod as rm
from tests import isolation

LISTEN = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind('\\0' + sys.argv[1]); s.listen(); "
    "print(flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize("ours", [True, False])
def test_another_runs_processes_and_sockets_are_not_seen(ours: bool) -> None:
    """A process is ours by what stands in its environment, a socket by who holds it."""
    name = f"remotemod-{uuid.uuid4().hex[:12]}-w"
    env = {**os.environ} if ours else {**os.environ, isolation.MARK: "another run"}
    command = [sys.executable, "-c", LISTEN, name]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert (f"@{name}" in isolation.sockets()) is ours
        assert (process.pid in isolation.started()) is ours
    assert f"@{name}" not in isolation.sockets()
    assert process.pid not in isolation.started()


def test_workers_are_seen(shm: rm.Cluster) -> None:
    """The fork server's children have its environment, whoever its own parent is."""
    pids = {rm.rpc_sync(worker, os.getpid) for worker in shm.workers}
    assert pids <= set(isolation.started())
    assert shm.address is not None
    token = shm.address.removeprefix("shm://")
    assert {f"@remotemod-{token}-{worker}" for worker in shm.workers} <= set(isolation.sockets())


@pytest.mark.parametrize("value", [print, object(), lambda: None, isolation.children], ids=type)
def test_addresses_in_ids_are_found(value: object) -> None:
    """What ``str`` says of most functions and objects is another id in every collection."""
    found = isolation.unstable_ids([f"tests/a.py::test[{value}]", "tests/a.py::test[0x10-1e5]"])
    assert found == ([f"tests/a.py::test[{value}]"] if value is not print else [])
