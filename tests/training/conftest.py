"""A cluster on each backend, one for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import remotemod as rm
from remotemod.rpc.cluster import make_current
from tests.backends import BACKENDS


@pytest.fixture(scope="module", params=BACKENDS)
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers, ``ps0`` and ``ps1``."""
    if (
        request.param == "shm"
    ):  # the one that other tests have too: first optimizers take torch seconds
        found: rm.Cluster = request.getfixturevalue("shm")
        make_current(found)
        yield found
        return
    with rm.launch(workers=["ps0", "ps1"], backend=request.param) as cluster:
        yield cluster
