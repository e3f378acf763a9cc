"""The import path of a worker: it can import all that its callers can."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

__all__ = ["extend_path"]


def extend_path(entries: Sequence[str], first: bool) -> None:
    """Add to the import path of a worker.

    Args:
        entries: absolute paths.
        first: whether they come before the present ones.
    """
    missing = [entry for entry in entries if entry not in sys.path]
    index = 0 if first else len(sys.path)
    sys.path[index:index] = missing
    importlib.invalidate_caches()
