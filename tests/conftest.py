"""What all tests share: one fork server, and the proof that nothing is left behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

import remotemod as rm
from tests.isolation import children, left_behind, mark_session, unstable_ids
from tests.preloaded import programs

# A machine with other work on it is slow at times, which says nothing about the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden stubs instead of comparing"
    )


def pytest_configure(config: pytest.Config) -> None:
    mark_session()
    if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
        share_cores(int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def share_cores(processes: int) -> None:
    """As many compute threads as this test process and all that it starts may have beside the others."""
    import torch

    threads = max(1, usable_cores() // processes)
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)


def usable_cores() -> int:
    """The cores on which this process may run."""
    return len(os.sched_getaffinity(0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: a core for each, but not so many that loading torch in each is most of the work."""
    return min(usable_cores(), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The contract on torch's RPC comes first: after a process's first shutdown torch releases no reference any more."""
    items.sort(key=lambda item: "::TestTorchRpc::" not in item.nodeid)
    if unstable := unstable_ids(item.nodeid for item in items):
        raise pytest.UsageError(
            "test ids hold addresses in memory, so no two collections agree; give ids to parametrize: "
            + ", ".join(unstable[:5])
        )


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay to the end: no collection of garbage need look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """Keeps a fork server between tests, which has loaded what workers take seconds to load with their first optimizer."""
    from remotemod.backends.processes import client as fork_server
    from tests.preloaded import quiet_rpc

    load = ["torch._dynamo", quiet_rpc.__name__]
    with mock.patch.object(fork_server, "subprocess", programs.like_subprocess(load)):
        server = fork_server.acquire()
    yield
    fork_server.give_back(server)


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
    programs.stop()
    assert not (left := left_behind()), f"a test left processes behind: {left}"
    assert children() <= before, "a test left a process behind"
    if files or os.path.isdir("/dev/shm"):
        assert not [n for n in set(os.listdir("/dev/shm")) - files if "remotemod" in n]
