"""The command line; the only part of remotemod that prints."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Runs the ``remotemod`` command."""
    from .app import app

    app(prog_name="remotemod")
