"""Clusters with the parts of the archives, and the user's code for those processes that may have it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import remotemod as rm

USER_CODE = str(Path(__file__).parent / "user_code")
GOLDEN = str(Path(__file__).parent.parent / "golden" / "cases")


@pytest.fixture(scope="session")
def zoo() -> Iterator[ModuleType]:
    """The user's code, importable in this process and in workers that are launched from now on."""
    sys.path[:0] = [USER_CODE, GOLDEN]
    import archive_zoo

    yield archive_zoo
    sys.path.remove(USER_CODE)
    sys.path.remove(GOLDEN)


@pytest.fixture(scope="module")
def inproc(zoo: ModuleType) -> Iterator[rm.Cluster]:
    """Workers of this process."""
    with rm.launch(workers=["ps0", "ps1"], backend="inproc") as cluster:
        yield cluster


def untyped(value: Any) -> Any:
    """``value`` with plain tuples for named ones, as a process without the user's code would say it."""
    if isinstance(value, tuple):
        return tuple(map(untyped, value))
    if isinstance(value, list):
        return list(map(untyped, value))
    if isinstance(value, dict):
        return {key: untyped(item) for key, item in value.items()}
    return value
