"""A cluster on each backend, one for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import remotemod as rm
from tests.backends import BACKENDS


@pytest.fixture(scope="module", params=BACKENDS)
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers, ``one`` and ``two``."""
    with rm.launch(workers=["one", "two"], backend=request.param) as cluster:
        yield cluster
