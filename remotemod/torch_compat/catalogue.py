"""All private names of torch that remotemod relies on, for ``remotemod doctor``, the documentation and the canary test."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from remotemod.torch_compat.private import Private

__all__ = ["TOPICS", "catalogue"]

TOPICS = ("engine", "tensors", "modules", "walks", "tracing", "script", "rpc")
"""The files of this folder that hold names, in the order in which they are shown."""


def catalogue() -> dict[str, list[Private]]:
    """The names by topic; a topic that cannot be imported on this torch has none."""
    return {topic: list(_names_in(topic)) for topic in TOPICS}


def _names_in(topic: str) -> Iterable[Private]:
    try:
        module = importlib.import_module(f"remotemod.torch_compat.{topic}")
    except ImportError:  # torch.distributed.rpc is not in every build
        return
    for value in vars(module).values():
        yield from _names_of(value)


def _names_of(value: Any) -> Iterable[Private]:
    if isinstance(value, Private):
        yield value
    elif isinstance(value, dict):
        yield from (item for item in value.values() if isinstance(item, Private))
