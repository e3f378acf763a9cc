"""The command line; the only part of remotemod that prints."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Runs the ``remotemod`` command."""
    import gc

    from .app import app

    # A command makes many small objects, keeps them, and ends: looking for garbage only costs time.
    gc.disable()
    app(prog_name="remotemod")
