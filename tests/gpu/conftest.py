"""Marks the tests of this folder, and starts the workers that use their device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import remotemod as rm
from tests.gpu.where import DEVICE

FOLDER = Path(__file__).parent

# Inductor's pool of compilers would outlive the tests, which leave no process behind.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test of this folder is a ``gpu`` one."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def device() -> str:
    """Where the remote modules are."""
    assert DEVICE is not None, "without a device these tests are skipped"
    return DEVICE


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """The fork server that users have, with nothing more in it: what it loads decides whether CUDA works in workers."""
    from remotemod.backends.processes.client import acquire, give_back

    server = acquire()
    yield
    give_back(server)


@pytest.fixture(scope="session")
def workers(fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers, ``one`` and ``two``, that share the device."""
    with rm.launch(workers=["one", "two"], timeout=120) as cluster:
        yield cluster
