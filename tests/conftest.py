"""What all tests share: one fork server, and the proof that nothing is left behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import remotemod as rm


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden stubs instead of comparing"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The contract on torch's RPC comes first: after a process's first shutdown torch releases no reference any more."""
    items.sort(key=lambda item: "::TestTorchRpc::" not in item.nodeid)


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: no collection of garbage need look at them again."""
    gc.collect()
    gc.freeze()


def children() -> set[int]:
    """The process ids of this process's children."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


def sockets() -> list[str]:
    """The listening sockets of clusters on this machine."""
    return [
        line for line in Path("/proc/net/unix").read_text().splitlines() if "remotemod-" in line
    ]


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """Keeps the fork server between tests, so that only the first launch loads torch."""
    from remotemod.backends.fork_server import acquire, give_back

    server = acquire()
    yield
    give_back(server)


@pytest.fixture(scope="session")
def shm(fork_server: None) -> Iterator[rm.Cluster]:
    """Two worker processes for the tests that do no harm to them."""
    with rm.launch(workers=["ps0", "ps1"]) as cluster:
        yield cluster


@pytest.fixture(scope="session", autouse=True)
def _leaves_nothing() -> Iterator[None]:
    files = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    before = children()
    yield
    assert children() <= before, "a test left a process behind"
    if files or os.path.isdir("/dev/shm"):
        assert not [n for n in set(os.listdir("/dev/shm")) - files if "remotemod" in n]
