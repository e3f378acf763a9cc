"""The tests that third parties inherit for a backend of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remotemod.testing.conformance import BackendConformance

__all__ = ["BackendConformance"]


def __getattr__(name: str) -> object:
    if name != "BackendConformance":
        raise AttributeError(f"module 'remotemod.testing' has no attribute '{name}'")
    # pytest is needed from here on.
    from remotemod.testing.conformance import BackendConformance

    return BackendConformance
