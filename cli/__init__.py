"""The command line; the only part of remotemod that prints."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the ``remotemod`` command."""
    import gc
    import sys

    from .app import app

    # A command makes many small objects, keeps them, and ends: looking for garbage only costs time.
    gc.disable()
    try:
        app(prog_name="remotemod")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        # For example in pre-commit's environment: the generator needs no torch.
        sys.exit(
            "error: this needs torch, and torch is not installed here\n  hint: pip install torch"
        )
