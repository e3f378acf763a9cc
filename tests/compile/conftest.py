"""A cluster on each backend, one for all tests of a module, and a fresh compiler for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import remotemod as rm
from tests.backends import BACKENDS


@pytest.fixture(scope="module", params=BACKENDS)
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers, ``ps0`` and ``ps1``."""
    with rm.launch(workers=["ps0", "ps1"], backend=request.param) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
